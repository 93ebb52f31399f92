"""The page in a browser, from a file: drawn on, given images, on a phone, by keyboard alone, hostile, dark, printed."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from rich.console import Console
from tests.export.exporting import exportable_of, task_of, weights_of
from tests.odd_images import encoded, odd_images, scene

import firstlight as fl
from firstlight import weights
from firstlight.app.pages.draw.live import DrawingRequest, prepared
from firstlight.export import exportable
from firstlight.export.html import Html
from firstlight.layers import Chain, Dense, Flatten
from firstlight.models import Model
from firstlight.prepare import Preparation, outside_image
from firstlight.prepare.strokes import style_of_run
from firstlight.trained_run import Run
from firstlight.types import unlabelled

CLAIM = "Verified: a test ran this."
HOSTILE = (
    "</script><img src=x onerror=\"document.title='taken'\">",
    "<!--<script>",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd",
    "a name without any end " * 40,
    "{{ 7 * 7 }} ${7 * 7} &amp; \\u003c",
)
NOT_SHOWN = ("deep.tif", "plain.ppm")  # kinds of files that no browser shows


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("page") / "digits"
    return fl.fit("slim-cnn", "digits", epochs=2, seed=2, out=out, console=Console(quiet=True))


@pytest.fixture(scope="module")
def path(run: Run) -> Path:
    """The page of a run that was trained on digits."""
    vector = weights.of_run(run.folder, run.task.model.layout)
    model = exportable(run.folder, run.task, vector, lambda: run._own["train"])
    [data] = Html().write(model, CLAIM).values()
    found = run.path / "page.html"
    found.write_bytes(data)
    return found


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a model of photographs, with names that would like to be more than text."""
    model = Model("net", Chain((Flatten(), Dense(len(HOSTILE)))), (12, 9, 3), len(HOSTILE))
    task = task_of(model)
    leaving = replace(exportable_of(task, weights_of(model)), class_names=HOSTILE, facts={"data": HOSTILE[0]})
    [data] = Html().write(leaving, f"Not verified: {HOSTILE[0]}").values()
    found = tmp_path_factory.mktemp("hostile") / "page.html"
    found.write_bytes(data)
    return found


@contextmanager
def opened(browser: Browser, path: Path, width: int = 1280, **options: object) -> Iterator[Page]:
    """The page from its file, offline; whatever the browser complains of fails the test."""
    small = {"has_touch": True, "is_mobile": True} if width < 500 else {}
    context = browser.new_context(viewport={"width": width, "height": 900}, **small, **options)  # type: ignore[arg-type]
    context.set_offline(True)
    page, complaints = context.new_page(), list[str]()
    page.complaints = complaints  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    page.wait_for_selector("#verdict[data-answer]")
    yield page
    context.close()
    assert complaints == []


def arc(x: float, y: float, w: float, h: float, start: float, end: float) -> list[tuple[float, float]]:
    """Points of an ellipse from one angle to another, in turns clockwise from the top."""
    turns = [start + (end - start) * i / 12 for i in range(13)]
    return [(x + w * math.sin(2 * math.pi * t), y - h * math.cos(2 * math.pi * t)) for t in turns]


DIGITS: dict[str, list[list[tuple[float, float]]]] = {
    "0": [arc(0.5, 0.5, 0.16, 0.28, 0, 1)],
    "1": [[(0.4, 0.3), (0.52, 0.2), (0.52, 0.8)]],
    "2": [[*arc(0.5, 0.35, 0.15, 0.14, -0.25, 0.35), (0.35, 0.78), (0.67, 0.78)]],
    "3": [[*arc(0.48, 0.35, 0.15, 0.14, -0.2, 0.5), *arc(0.48, 0.64, 0.17, 0.15, 0, 0.7)]],
    "4": [[(0.55, 0.2), (0.33, 0.58), (0.7, 0.58)], [(0.58, 0.4), (0.58, 0.8)]],
    "5": [[(0.65, 0.22), (0.4, 0.22), (0.38, 0.45), *arc(0.48, 0.61, 0.17, 0.17, -0.1, 0.65)]],
    "6": [[(0.6, 0.2), (0.42, 0.45), *arc(0.5, 0.63, 0.14, 0.15, -0.25, 0.8)]],
    "7": [[(0.33, 0.22), (0.67, 0.22), (0.45, 0.8)]],
    "8": [[*arc(0.5, 0.35, 0.12, 0.13, 0.5, -0.5), *arc(0.5, 0.63, 0.15, 0.15, 0, 1)]],
    "9": [[*arc(0.5, 0.36, 0.13, 0.14, 0.25, -0.75), (0.6, 0.8)]],
}


def draw(page: Page, strokes: list[list[tuple[float, float]]]) -> None:
    """Strokes by the mouse, in shares of the sheet."""
    box = page.locator("#sheet").bounding_box()
    assert box is not None
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()
    settled(page)


def settled(page: Page) -> None:
    """The answer to what was done last is there: it comes by a timer of no delay, set before this one."""
    page.evaluate("new Promise((done) => setTimeout(() => setTimeout(done)))")


def shown(page: Page) -> list[float]:
    """The probabilities as the bars have them."""
    return page.evaluate("[...document.querySelectorAll('.bar')].map((bar) => +bar.style.getPropertyValue('--share'))")


def pixels_of(page: Page, canvas: str) -> bytes:
    address = page.evaluate("(id) => document.getElementById(id).toDataURL()", canvas)
    return base64.b64decode(address.partition(",")[2])


@pytest.mark.slow
def test_ten_drawings_have_the_probabilities_of_the_dashboards_way(browser: Browser, path: Path, run: Run) -> None:
    style = style_of_run(run.folder, lambda: run._own["train"])
    assert style.plain
    answers = set()
    with opened(browser, path) as page:
        for strokes in DIGITS.values():
            draw(page, strokes)
            pixels = prepared(pixels_of(page, "sheet"), run.task.preparation, DrawingRequest(box=style.box))
            seen = prepared(pixels_of(page, "seen"), run.task.preparation, DrawingRequest())
            np.testing.assert_array_equal(seen, pixels)
            np.testing.assert_allclose(shown(page), run.predict(pixels[np.newaxis])[0], atol=2e-6)
            answer = page.get_attribute("#verdict", "data-answer")
            assert answer == run.class_names[int(np.argmax(shown(page)))]
            assert page.text_content("#said", timeout=100).startswith(f"{answer}, ")  # type: ignore[union-attr]
            answers.add(answer)
            page.click("#clear")
            settled(page)
            assert shown(page) == [0.0] * 10
        assert len(answers) > 3
        page.click("#undo")
        settled(page)
        assert sum(shown(page)) == pytest.approx(1, abs=1e-5)
        assert page.locator("#layers canvas").count() == len(run.net.shown)
        page.check("#swap")
        settled(page)
        assert pixels_of(page, "sheet") != encoded(scene())


JS = """async ([files, size]) => {
  const found = {};
  for (const [name, text] of Object.entries(files)) {
    const shown = await pictureOf(new Blob([fromBase64(text)]));
    found[name] = shown && [...suited(read(shown, size[0], size[1]), size).data];
  }
  return found;
}"""


def test_it_answers_while_a_stroke_is_drawn_and_says_so_after_it(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        draw(page, DIGITS["1"])
        page.evaluate("performance.now = () => 0")  # however busy this machine is
        page.click("#clear")
        settled(page)
        box, sure = page.locator("#sheet").bounding_box(), []
        assert box is not None
        for i in range(4):
            page.mouse.move(box["x"] + box["width"] * (0.3 + 0.1 * i), box["y"] + box["height"] * (0.3 + 0.15 * i))
            if i == 0:
                page.mouse.down()
            settled(page)
            sure.append(tuple(shown(page)))
            assert page.text_content("#said") == ""
        assert len(set(sure[1:])) == 3
        page.mouse.up()
        settled(page)
        assert page.text_content("#said")


@pytest.mark.parametrize("shape", [(8, 8, 1), (12, 9, 3)])
def test_odd_files_are_what_python_makes_of_them(shape: tuple[int, int, int], browser: Browser, path: Path) -> None:
    files = odd_images()
    preparation = Preparation.fit(unlabelled(scene(*shape)[np.newaxis]))
    with opened(browser, path) as page:
        texts = {name: base64.b64encode(data).decode() for name, data in files.items()}
        found = page.evaluate(JS, [texts, list(shape)])
    assert [name for name, pixels in found.items() if pixels is None] == [*NOT_SHOWN]
    for name in set(files) - set(NOT_SHOWN):
        expected = outside_image(files[name], preparation)
        apart = np.abs(np.reshape(found[name], shape).astype(int) - expected).max()
        allowed = 3 if name.endswith(("jpg", "lossy.webp")) else 1  # decoders of what is compressed with a loss differ
        assert apart <= allowed, name


def test_images_that_are_chosen_pasted_and_dropped(browser: Browser, path: Path, run: Run, tmp_path: Path) -> None:
    data = encoded(scene(80, 70))
    (tmp_path / "scene.png").write_bytes(data)
    (tmp_path / "letter.txt").write_text("no image")
    expected = run.predict(outside_image(data, run.task.preparation)[np.newaxis])[0]
    give = """([kind, text]) => {
      const data = new DataTransfer();
      data.items.add(new File([fromBase64(text)], "scene.png", { type: "image/png" }));
      const pasted = () => new ClipboardEvent(kind, { clipboardData: data });
      dispatchEvent(kind === "paste" ? pasted() : new DragEvent(kind, { dataTransfer: data }));
    }"""
    with opened(browser, path) as page:
        for way in ("choose", "paste", "drop"):
            if way == "choose":
                page.set_input_files("#file", tmp_path / "scene.png")
            else:
                page.evaluate(give, [way, base64.b64encode(data).decode()])
            page.wait_for_selector("#polarity:has-text('scene.png')")
            settled(page)
            np.testing.assert_allclose(shown(page), expected, atol=0.02)  # one grey level
            page.click("#clear")
        page.set_input_files("#file", tmp_path / "letter.txt")
        page.wait_for_selector("#message:not([hidden])")
        assert "letter.txt is not an image" in str(page.text_content("#message"))
        page.check("#fit")
        page.set_input_files("#file", tmp_path / "scene.png")
        page.wait_for_selector("#message", state="hidden")
        assert "scene.png is given to the model as it is." in str(page.text_content("#polarity"))
        page.check("#swap")
        settled(page)
        assert "scene.png is given to the model with light and dark inverted." in str(page.text_content("#polarity"))
        inverted = prepared(data, run.task.preparation, DrawingRequest(invert=True))
        np.testing.assert_allclose(shown(page), run.predict(inverted[np.newaxis])[0], atol=0.02)


def test_a_photograph_by_the_camera(browser: Browser, coloured: Path) -> None:
    with opened(browser, coloured) as page:
        page.evaluate("""() => void (navigator.mediaDevices.getUserMedia = async () => {
          const canvas = document.createElement("canvas");
          const context = canvas.getContext("2d");
          setInterval(() => (context.fillStyle = "rgb(10 200 90)", context.fillRect(0, 0, 300, 150)), 20);
          return canvas.captureStream(30);
        })""")
        page.click("#camera")
        page.wait_for_selector("#live[open]")
        page.evaluate("new Promise((done) => find('video').requestVideoFrameCallback(done))")
        page.click("#take")
        page.wait_for_selector("#polarity:has-text('The photograph')")
        assert not page.evaluate("document.getElementById('live').open || document.getElementById('video').srcObject")
        settled(page)
        seen = outside_image(pixels_of(page, "seen"), Preparation.fit(unlabelled(scene(12, 9, 3)[np.newaxis])))
        assert np.abs(seen.reshape(-1, 3).mean(axis=0) - (10, 200, 90)).max() < 12  # a video has colours of its own
        none = "() => Promise.reject(new DOMException('', 'NotFoundError'))"
        page.evaluate(f"() => void (navigator.mediaDevices.getUserMedia = {none})")
        page.click("#camera")
        page.wait_for_selector("#message:not([hidden])")
        assert "none was found" in str(page.text_content("#message"))


@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_names_are_text(width: int, browser: Browser, coloured: Path, tmp_path: Path) -> None:
    (tmp_path / "scene.png").write_bytes(encoded(scene()))
    with opened(browser, coloured, width) as page:
        page.set_input_files("#file", tmp_path / "scene.png")
        page.wait_for_selector("#verdict:not([data-answer=''])")
        assert page.get_attribute("#verdict", "data-answer") in HOSTILE
        assert page.locator(".bars .name").all_text_contents() == [*HOSTILE]
        assert page.locator(".classes li").all_text_contents() == [*HOSTILE]
        page.click("summary")
        assert page.locator("main img, .bars script").count() == 0
        assert "taken" not in page.title() or page.title().startswith("net")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.text_content("#claim") == f"Not verified: {HOSTILE[0]}"


def test_nothing_else_runs_or_is_asked_for(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        add = """() => {
          const script = document.createElement("script");
          script.textContent = "window.taken = true";
          document.body.append(script);
          return "taken" in window;
        }"""
        assert not page.evaluate(add)
        assert page.evaluate("fetch('https://example.org').then(() => 'sent', () => 'refused')") == "refused"
        complaints: list[str] = page.complaints  # type: ignore[attr-defined]
        assert len(complaints) >= 2
        assert all("Content Security Policy" in one for one in complaints)
        complaints.clear()
        policy = str(page.get_attribute("meta[http-equiv]", "content"))
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy


def test_on_a_phone_by_touch(browser: Browser, path: Path) -> None:
    with opened(browser, path, 390) as page:
        box = page.locator("#sheet").bounding_box()
        assert box is not None
        cdp = page.context.new_cdp_session(page)
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in DIGITS["1"][0]]
        for kind, point in [("touchStart", points[0]), *(("touchMove", point) for point in points[1:])]:
            cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": point[0], "y": point[1]}]})
        cdp.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        settled(page)
        assert page.get_attribute("#verdict", "data-answer")
        assert page.evaluate("scrollY") == 0, "a stroke does not move the page"
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.is_visible("#snapshot")
        assert page.get_attribute("#photograph", "capture") == "environment"
        small = [box for box in (part.bounding_box() for part in page.locator("button:visible").all()) if box]
        assert min(box["height"] for box in small) >= 34


def test_by_keyboard_alone(browser: Browser, path: Path, tmp_path: Path) -> None:
    (tmp_path / "scene.png").write_bytes(encoded(scene()))
    with opened(browser, path) as page:
        # Looked out for before a key can open it.
        page.on("filechooser", lambda chooser: chooser.set_files(tmp_path / "scene.png"))
        reached = []
        for _ in range(30):
            page.keyboard.press("Tab")
            name = page.evaluate("document.activeElement.id || document.activeElement.tagName")
            if name in reached:
                break
            reached.append(name)
            assert page.evaluate("document.activeElement.matches(':focus-visible')")
        controls = page.locator("main :is(button:enabled, input, summary, a):visible, main input[type=file]")
        visible = "(all) => all.filter((one) => one.checkVisibility()).map((one) => one.id || one.tagName)"
        expected = set(controls.evaluate_all(visible))
        assert len(expected) > 6
        assert expected <= set(reached)
        page.focus("#file")
        page.keyboard.press("Space")
        page.wait_for_selector("#verdict:not([data-answer=''])")
        assert page.text_content("#said")
        assert page.get_attribute("#said", "aria-live") == "polite"
        page.keyboard.press("Escape")
        settled(page)
        assert page.get_attribute("#verdict", "data-answer") == ""
        page.keyboard.press("Control+z")
        settled(page)
        assert page.get_attribute("#verdict", "data-answer") in [str(k) for k in range(10)]


def contrast(page: Page, selector: str) -> float:
    """Of a text and the page, after WCAG."""
    script = """(selector) => ["color", "backgroundColor"].map((name, i) => {
      const element = i ? document.body : document.querySelector(selector);
      return getComputedStyle(element)[name].match(/[\\d.]+/g).slice(0, 3).map(Number);
    })"""
    levels = []
    for colour in page.evaluate(script, selector):
        parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        levels.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05)
    return max(levels) / min(levels)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(scheme: str, browser: Browser, path: Path) -> None:
    with opened(browser, path, color_scheme=scheme) as page:
        for selector in ("h1", ".lead", ".note", ".origin dt", "#claim", ".switch label", ".bars .name", "summary"):
            assert contrast(page, selector) >= 4.5, selector


def test_it_says_what_it_is_and_prints(browser: Browser, path: Path, run: Run) -> None:
    with opened(browser, path) as page:
        assert page.title() == "slim-cnn · digits"
        assert page.get_attribute("html", "lang") == "en"
        text = page.inner_text("main")
        for part in (CLAIM, run.path.name, "95 % interval", "digits", f"{100 * run.accuracy:.1f}"):
            assert part in text.replace("\u202f", " ").replace("\xa0", " ")
        model = json.loads(str(page.text_content("#model")))
        assert model["classes"] == [*run.class_names]
        page.emulate_media(media="print")
        assert not page.is_visible(".tools")
        assert page.is_visible("#verdict")
        assert page.evaluate("document.querySelectorAll('[id]').length") == page.evaluate(
            "new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size"
        )
