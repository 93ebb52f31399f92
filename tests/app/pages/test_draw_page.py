"""The page Draw: a drawing is prepared as the model's images were, and read while it is drawn."""

from __future__ import annotations

import base64
import io
import math
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page
from rich.console import Console
from tests.app.conftest import TOKEN, Served, dashboard, looking

import firstlight as fl
from firstlight.app.index import Index
from firstlight.app.pages.draw import facts
from firstlight.errors import RunError
from firstlight.types import Array, Dataset, Images

HOSTILE = "<img src=x onerror=alert(1)>"
Points = Sequence[tuple[float, float]]

ONE: Points = [(0.5, 0.12), (0.5, 0.88)]
ZERO: Points = [(0.5 + 0.2 * math.sin(math.tau * t / 16), 0.5 - 0.36 * math.cos(math.tau * t / 16)) for t in range(17)]
SEVEN: Points = [(0.25, 0.15), (0.75, 0.15), (0.45, 0.88)]


@pytest.fixture(scope="module")
def drawn_for(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Iterator[Served]:
    """A dashboard over a net that reads digits well, one of colour images, and one whose classes have hostile names."""
    root = tmp_path_factory.mktemp("draw")
    quiet = Console(quiet=True)
    fl.fit("slim-cnn", digits, epochs=12, seed=3, out=root / "reader", console=quiet)
    train = digits.splits["train"].take(np.arange(300))
    tints = np.random.default_rng(0).uniform(0.3, 1, (300, 1, 1, 3))
    coloured = (np.repeat(train.pixels, 3, axis=3) * tints).astype(np.uint8)
    _fit_few(Images(coloured, train.labels, train.ids, train.class_names), "colour", root)
    for name, pixels in (("grey-alone", train.pixels), ("colour-alone", coloured)):  # each image standardized by itself
        images = Images(pixels, train.labels, train.ids, train.class_names)
        _fit_few(images, name, root, settings={"prepare.standardise": "image"})
    names = (HOSTILE, "</script><script>alert(2)</script>", *train.class_names[2:])
    _fit_few(Images(train.pixels, train.labels, train.ids, names), "hostile", root)
    with dashboard(root) as running:
        yield running


def _fit_few(images: Images, name: str, root: Path, **options: Any) -> None:
    data = Dataset(name, {"train": images})
    fl.fit("mlp-128", data, epochs=1, out=root / name, console=Console(quiet=True), **options)


@pytest.fixture
def ask(drawn_for: Served) -> Iterator[Callable[..., httpx.Response]]:
    """Send bytes to be looked at, as the page does: ask("reader", data, box=8, maps=1)."""
    with httpx.Client(base_url=drawn_for.url, headers={"X-Firstlight-Token": TOKEN}, trust_env=False) as client:

        def send(name: str, data: bytes, **options: Any) -> httpx.Response:
            return client.post(f"/api/draw/{drawn_for.id(name)}", params=options, content=data, timeout=120)

        yield send


def png(pixels: Array) -> bytes:
    """Pixels (H, W, C) as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def unpacked(text: str, *shape: int) -> Array:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)


class TestAnswer:
    def test_an_uploaded_training_image_gets_the_probabilities_of_predict(
        self, drawn_for: Served, ask: Callable[..., httpx.Response], digits: Dataset, tmp_path: Path
    ) -> None:
        run = fl.open_run(drawn_for.root / "reader")
        for i in (0, 7, 300):
            file = tmp_path / f"{i}.png"
            file.write_bytes(png(digits.splits["train"].pixels[i]))
            found = ask("reader", file.read_bytes()).json()
            assert found["probabilities"] == pytest.approx(run.predict(file)[0].tolist(), abs=1e-7)
            assert np.array_equal(unpacked(found["seen"]["pixels"], 8, 8, 1), digits.splits["train"].pixels[i])

    def test_what_is_of_none_of_the_classes_is_told(
        self, drawn_for: Served, ask: Callable[..., httpx.Response], digits: Dataset
    ) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
        pixels = np.concatenate([noise, digits.splits["train"].pixels[:6]])
        expected = fl.open_run(drawn_for.root / "reader").strangeness(pixels) > 1
        assert [ask("reader", png(one)).json()["none_of_these"] for one in pixels] == expected.tolist()
        assert expected[:6].any()
        assert not expected[6:].all()

    def test_a_photo_goes_the_way_of_predict_too(
        self, drawn_for: Served, ask: Callable[..., httpx.Response], tmp_path: Path
    ) -> None:
        waves = np.add.outer(np.arange(300), np.arange(200))[:, :, None] * [1, 2, 3] % 256
        file = tmp_path / "photo.jpg"
        Image.fromarray(waves.astype(np.uint8)).save(file, exif=_lying_on_its_side())
        for name in ("reader", "colour"):
            expected = fl.open_run(drawn_for.root / name).predict(file)[0]
            assert ask(name, file.read_bytes()).json()["probabilities"] == pytest.approx(expected.tolist(), abs=1e-7)

    def test_an_inverted_picture_is_turned_round_when_asked(
        self, ask: Callable[..., httpx.Response], digits: Dataset
    ) -> None:
        pixels = digits.splits["train"].pixels[0]
        straight = ask("reader", png(pixels)).json()["probabilities"]
        assert ask("reader", png(255 - pixels)).json()["probabilities"] != pytest.approx(straight, abs=1e-3)
        assert ask("reader", png(255 - pixels), invert=1).json()["probabilities"] == pytest.approx(straight)

    def test_the_layers_come_as_the_net_gave_them(
        self, drawn_for: Served, ask: Callable[..., httpx.Response], digits: Dataset
    ) -> None:
        pixels = digits.splits["train"].pixels[:1]
        found = ask("reader", png(pixels[0]), maps=1).json()
        run = fl.open_run(drawn_for.root / "reader")
        images = digits.splits["train"].take(np.arange(1))
        values = run.session.trace(run.session.prepared(run.task.preparation.apply(images))).values
        data, at = base64.b64decode(found["values"]), 0
        assert [layer["path"] for layer in found["layers"]] == [p for p in values if not p.startswith("flatten")]
        for layer in found["layers"]:
            n, height, width = (layer[name] for name in ("maps", "height", "width"))
            sent = np.frombuffer(data, np.uint8, n * height * width, at).reshape(n, height, width).astype(float)
            at += sent.size
            expected = values[layer["path"]].reshape(n, height, width)
            scaled = (sent - 128) / 127 if layer["signed"] else sent / 255
            assert np.allclose(scaled * layer["largest"], expected, atol=layer["largest"] / 120)
            silent = int((expected == 0).all(axis=(1, 2)).sum())
            assert layer["silent"] == silent
        assert at == len(data)

    @pytest.mark.parametrize("name", ["reader", "colour", "grey-alone", "colour-alone"])
    def test_saliency_is_the_slope_of_the_answer(
        self, drawn_for: Served, ask: Callable[..., httpx.Response], digits: Dataset, name: str
    ) -> None:
        pixels = digits.splits["train"].pixels[3]
        if name.startswith("colour"):
            pixels = (np.repeat(pixels, 3, axis=2) * (1, 0.7, 0.4)).astype(np.uint8)
        sent = unpacked(ask(name, png(pixels), saliency=1).json()["saliency"], 8, 8) / 255
        expected = fl.open_run(drawn_for.root / name).attribution(pixels).saliency
        assert np.allclose(sent, expected / expected.max(), atol=0.01)


def _lying_on_its_side() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _white(side: int, rows: int | None = None) -> bytes:
    """A PNG of side × side white pixels, one bit each, which takes few bytes; cut off after some rows."""
    row = b"\0" + b"\xff" * (side // 8)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(row * (rows or side)))
        + chunk(b"IEND", b"")
    )


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b"", "empty"),
            (b"no picture at all", "not a PNG, JPEG, BMP or WebP image"),
            (png(np.zeros((50, 50, 3), np.uint8))[:-40], "truncated or damaged"),
            (b"GIF89a" + bytes(50), "not a PNG, JPEG, BMP or WebP image"),
        ],
    )
    def test_what_is_no_picture_is_told(self, ask: Callable[..., httpx.Response], data: bytes, text: str) -> None:
        answer = ask("reader", data)
        assert answer.status_code == 422
        assert text in answer.json()["error"]

    @pytest.mark.parametrize("side", [5_008, 14_400, 40_000])
    def test_too_many_pixels_are_refused_by_the_head(self, ask: Callable[..., httpx.Response], side: int) -> None:
        answer = ask("reader", _white(side, rows=1))
        assert answer.status_code == 422
        assert answer.json()["error"] == "The image: more than 25,000,000 pixels; scale it down first."

    def test_as_many_pixels_as_are_allowed_are_read(self, ask: Callable[..., httpx.Response]) -> None:
        assert ask("reader", _white(4_992), box=8).status_code == 200

    def test_too_many_bytes_are_refused(self, ask: Callable[..., httpx.Response]) -> None:
        answer = ask("reader", bytes(5_000_001))
        assert answer.status_code == 413
        assert "At most 5 MB" in answer.json()["error"]

    @pytest.mark.parametrize("box", ["0", "-1", "nan", "inf", "5000", "../../x"])
    def test_a_box_is_a_number_of_pixels(self, ask: Callable[..., httpx.Response], box: str) -> None:
        answer = ask("reader", png(np.zeros((8, 8, 1), np.uint8)), box=box)
        assert answer.status_code == 422
        assert "box is a number of pixels" in answer.json()["error"]

    def test_without_the_token_nothing_is_looked_at(self, drawn_for: Served) -> None:
        address = f"{drawn_for.url}/api/draw/{drawn_for.id('reader')}"
        answer = httpx.post(address, content=png(np.zeros((8, 8, 1), np.uint8)), trust_env=False)
        assert answer.status_code == 403

    def test_a_run_that_there_is_not(self, drawn_for: Served) -> None:
        headers = {"X-Firstlight-Token": TOKEN}
        answer = httpx.post(f"{drawn_for.url}/api/draw/0123456789ab", headers=headers, content=b"", trust_env=False)
        assert answer.status_code == 404
        assert httpx.get(f"{drawn_for.url}/draw?run=0123456789ab", trust_env=False).status_code == 404


def test_where_the_folder_keeps_no_samples_the_runs_own_images_tell_ink_and_paper(
    trained_runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained_runs / "mlp", tmp_path / "mlp")
    index = Index(tmp_path)
    [entry] = index.entries()
    kept = facts(index, entry.id)
    (tmp_path / "mlp" / "samples.npz").unlink()
    own = facts(index, entry.id)
    assert own.keys() == kept.keys()
    assert [own[key] for key in ("size", "paper", "light", "plain")] == [[8, 8], [0], True, True]
    for name in ("data.json", "experiment.toml"):  # and neither are those to be had
        file = tmp_path / "mlp" / name
        file.write_text(file.read_text().replace('"digits"', '"gone"'))
    with pytest.raises(RunError, match=r"has no samples\.npz"):
        facts(Index(tmp_path), entry.id)


def opened(page: Page, served: Served, name: str) -> None:
    """The page for a run, its model ready."""
    page.goto(f"{served.url}/draw?run={served.id(name)}")
    page.locator("#verdict[data-answer]").wait_for()


def stroke(page: Page, points: Points) -> None:
    """Draw with the mouse, points as shares of the sheet."""
    box = page.locator("#sheet").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()


def reads(page: Page, answer: str, *, settled: bool = True) -> None:
    """Wait until the net says `answer`, and nothing is left to be asked."""
    page.locator(f'#verdict[data-answer="{answer}"]').wait_for()
    if settled:
        page.locator('#verdict[aria-busy="false"]').wait_for()
    assert page.locator(".bars .best .name").inner_text() == answer


def seen(page: Page) -> list[int]:
    """The levels of what the net sees, red alone."""
    levels: list[int] = page.evaluate(
        """() => { const c = document.getElementById("seen");
        return [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0); }"""
    )
    return levels


class TestPage:
    @pytest.mark.parametrize(("points", "digit"), [(ZERO, "0"), (ONE, "1"), (SEVEN, "7")])
    def test_a_drawn_digit_is_read(self, page: Page, drawn_for: Served, points: Points, digit: str) -> None:
        opened(page, drawn_for, "reader")
        assert "light on dark, so the pen is white" in page.locator("#polarity").inner_text()
        assert page.locator("#fit").is_checked()
        stroke(page, points)
        reads(page, digit)

    def test_the_net_is_asked_once_a_stroke(self, page: Page, drawn_for: Served) -> None:
        opened(page, drawn_for, "reader")
        page.locator('#verdict[aria-busy="false"]').wait_for()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        box = page.locator("#sheet").bounding_box()
        assert box is not None
        middle = box["x"] + box["width"] / 2
        page.mouse.move(middle, box["y"] + 0.1 * box["height"])
        page.mouse.down()
        page.mouse.move(middle, box["y"] + 0.9 * box["height"], steps=30)
        assert page.locator("#hint").is_hidden()
        page.wait_for_timeout(300)
        assert not asked  # the button is still held
        page.mouse.up()
        reads(page, "1")
        assert len(asked) == 1
        assert "/api/draw/" in asked[0]

    def test_undo_and_clear_and_undo_again(self, page: Page, drawn_for: Served) -> None:
        opened(page, drawn_for, "reader")
        assert page.locator("#undo").is_disabled()
        stroke(page, ZERO)
        reads(page, "0")
        zero = seen(page)
        page.keyboard.press("Control+z")
        page.locator('#verdict[data-answer=""]').wait_for()
        assert not any(seen(page))
        stroke(page, ZERO)
        page.click("#clear")
        page.locator('#verdict[data-answer=""]').wait_for()
        page.click("#undo")
        reads(page, "0")
        assert np.abs(np.subtract(seen(page), zero)).max() <= 2

    def test_ink_of_the_wrong_colour_is_what_the_net_then_gets(self, page: Page, drawn_for: Served) -> None:
        opened(page, drawn_for, "reader")
        stroke(page, ZERO)
        reads(page, "0")
        light = seen(page)
        page.check("#swap")
        page.locator('#verdict[aria-busy="false"]').wait_for()
        assert np.abs(np.add(seen(page), light) - 255).max() <= 2

    def test_an_uploaded_image_is_seen_as_it_is(
        self, page: Page, drawn_for: Served, digits: Dataset, tmp_path: Path
    ) -> None:
        file = tmp_path / "five.png"
        pixels = digits.splits["train"].pixels[5]
        file.write_bytes(png(pixels))
        opened(page, drawn_for, "reader")
        page.set_input_files("#file", file)
        expected = fl.open_run(drawn_for.root / "reader").predict(file)[0]
        reads(page, str(expected.argmax()))
        assert seen(page) == pixels.ravel().tolist()
        assert not page.locator("#fit").is_checked()
        kind = "The training images are light on dark."
        assert page.locator("#polarity").inner_text() == f"five.png is given to the model as it is. {kind}"
        stroke(page, ONE)  # a new drawing takes its place, fitted again
        reads(page, "1")
        assert page.locator("#fit").is_checked()
        page.set_input_files("#file", file)
        page.locator("#polarity", has_text="as it is.").wait_for()
        page.check("#swap")
        page.check("#fit")
        page.locator("#polarity", has_text="with light and dark inverted, scaled and centred.").wait_for()

    @pytest.mark.parametrize("event", ["drop", "paste"])
    def test_a_file_is_dropped_or_pasted(self, page: Page, drawn_for: Served, digits: Dataset, event: str) -> None:
        pixels = digits.splits["train"].pixels[11]
        opened(page, drawn_for, "reader")
        page.evaluate(
            """([event, bytes]) => {
                const files = new DataTransfer();
                files.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
                const options = { bubbles: true, cancelable: true, dataTransfer: files, clipboardData: files };
                const made = event === "drop" ? new DragEvent(event, options) : new ClipboardEvent(event, options);
                document.getElementById("sheet").dispatchEvent(made);
            }""",
            [event, list(png(pixels))],
        )
        page.locator("#polarity", has_text="dropped.png is given to the model as it is").wait_for()
        page.locator('#verdict:not([data-answer=""])[aria-busy="false"]').wait_for()
        assert seen(page) == pixels.ravel().tolist()

    def test_a_file_that_is_no_image_is_told_and_the_page_goes_on(
        self, page: Page, drawn_for: Served, tmp_path: Path
    ) -> None:
        file = tmp_path / "no.png"
        file.write_bytes(b"no picture")
        opened(page, drawn_for, "reader")
        page.set_input_files("#file", file)
        page.locator("#message", has_text="not a PNG, JPEG, BMP or WebP image").wait_for()
        stroke(page, ONE)
        reads(page, "1")
        assert page.locator("#message").is_hidden()
        page.complaints.clear()  # type: ignore[attr-defined]  # the console names the refused request

    def test_a_file_that_is_too_large_is_not_even_sent(self, page: Page, drawn_for: Served, tmp_path: Path) -> None:
        file = tmp_path / "large.png"
        file.write_bytes(bytes(5_300_000))
        opened(page, drawn_for, "reader")
        page.set_input_files("#file", file)
        page.locator("#message", has_text="large.png has 5.3 MB; at most 5.0 MB can be sent at once.").wait_for()

    def test_the_layers_move_along(self, page: Page, drawn_for: Served) -> None:
        opened(page, drawn_for, "reader")
        first = page.locator("#layers li").first
        assert "conv1" in first.inner_text()
        picture = "() => document.querySelector('#layers canvas').toDataURL()"
        before = page.evaluate(picture)
        stroke(page, ZERO)
        reads(page, "0")
        assert page.evaluate(picture) != before
        page.uncheck("#maps")
        first.wait_for(state="hidden")

    def test_a_net_of_colour_images_has_a_pen_of_any_colour(self, page: Page, drawn_for: Served) -> None:
        opened(page, drawn_for, "colour")
        page.fill("#pen", "#ff0000")
        page.fill("#brush", "30")
        stroke(page, ONE)
        page.locator('#verdict:not([data-answer=""])[aria-busy="false"]').wait_for()
        levels = page.evaluate(
            """() => [...document.getElementById("seen").getContext("2d").getImageData(4, 4, 1, 1).data]"""
        )
        assert levels[0] > 200
        assert max(levels[1:3]) < 60

    def test_a_finger_draws_too(self, browser: Browser, drawn_for: Served) -> None:
        with looking(browser, width=390) as (page, complaints):
            opened(page, drawn_for, "reader")
            box = page.locator("#sheet").bounding_box()
            assert box is not None
            finger = page.context.new_cdp_session(page)
            top, bottom, middle = box["y"] + 0.1 * box["height"], box["height"] * 0.8, box["x"] + box["width"] / 2
            for step in range(11):
                touch = {"x": middle, "y": top + bottom * step / 10}
                kind = "touchMove" if step else "touchStart"
                finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [touch]})
            finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            reads(page, "1")
            assert page.evaluate("scrollY") == 0
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert not complaints.found

    def test_hostile_class_names_stay_text(self, page: Page, drawn_for: Served) -> None:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        opened(page, drawn_for, "hostile")
        stroke(page, ZERO)
        page.locator('#verdict:not([data-answer=""])').wait_for()
        assert page.locator(".bars .name").first.inner_text() == HOSTILE
        assert page.locator("main img").count() == 0

    def test_another_model_is_chosen(self, page: Page, drawn_for: Served) -> None:
        opened(page, drawn_for, "reader")
        with page.expect_navigation():
            page.select_option("#run", drawn_for.id("hostile"))
        page.locator("#verdict[data-answer]").wait_for()
        assert page.locator("#run").input_value() == drawn_for.id("hostile")

    def test_without_a_trained_model_it_says_so(self, page: Page, tmp_path: Path) -> None:
        with dashboard(tmp_path) as empty:
            page.goto(f"{empty.url}/draw")
            assert "no trained model here yet" in page.locator("main").inner_text()
