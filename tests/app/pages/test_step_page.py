"""The page Step: the numbers that it shows are the engine's, each with what it is made of, at every step."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Locator, Page
from tests.app.conftest import TOKEN, Served
from tests.app.pages.test_draw_page import ONE, png, stroke
from tests.test_parity import all_layers

import firstlight as fl
from firstlight.app.pages.step import courses, subject
from firstlight.app.pages.step.opening import Asked, opened
from firstlight.app.pages.step.subject import Subject
from firstlight.errors import TrainingError
from firstlight.layers import Dense
from firstlight.prepare import Preparation
from firstlight.training_step import Step
from firstlight.training_step.presets import PRESETS
from firstlight.types import Array, Dataset, Images

Ask = Callable[..., Any]


@pytest.fixture
def begin(client: httpx.Client) -> Ask:
    """Begin a step, as the page does: begin(of="model-lenet5", image=3)."""

    def begun(body: bytes = b"", **asked: Any) -> dict[str, Any]:
        answer = client.post("/api/step", params=asked, content=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return begun


def ask(client: httpx.Client, key: str, what: str, **asked: Any) -> dict[str, Any]:
    answer = client.get(f"/api/step/{key}/{what}", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def floats(tensor: dict[str, Any]) -> Array:
    return np.frombuffer(base64.b64decode(tensor["values"]), "<f4").reshape(tensor["shape"])


def untrained(count: int = 1, image: int = 0, over: bool = False) -> Step:
    """LeNet-5 on the digits, as the page begins with it."""
    found = subject.of_architecture("lenet5", "digits")
    return found.course(found.images.take(np.arange(image, image + count)), over).start


class TestAnswers:
    def test_the_tensors_of_a_run_are_those_of_its_step(self, client: httpx.Client, served: Served, begin: Ask) -> None:
        run = fl.open_run(served.root / "cnn")
        test = run.images["test"]
        expected = run.step(test.take(np.array([3, 4])))
        opened = begin(of=served.id("cnn"), image=3, batch=2)
        assert [layer["path"] for layer in opened["layers"]] == [*expected.layers]
        assert opened["images"]["told"].startswith(f"2 images from {test.ids[3]} on")
        for path in ("conv1", "head"):
            layer = expected.layer(path)
            tensors = ask(client, opened["key"], "tensors", layer=path, n=1)["tensors"]
            for name in ("x", "y", "dy", "dx"):
                np.testing.assert_array_equal(floats(tensors[name]), getattr(layer, name)[..., 1])
            for name, array in layer.p.items():
                np.testing.assert_array_equal(floats(tensors[name]), array)
                np.testing.assert_array_equal(floats(tensors[f"d{name}"]), layer.gradients[name])

    def test_the_loss_of_each_image_is_told_by_its_outputs(self, client: httpx.Client, begin: Ask) -> None:
        expected = untrained(3).loss
        key = begin(batch=3)["key"]
        for n in range(3):
            loss = ask(client, key, "state", n=n)["loss"]
            assert (loss["value"], loss["mean"]) == (float(expected.values[n]), expected.value)
            for name, array in (("y", expected.y), ("t", expected.t), ("dy", expected.dy)):
                assert [row[name] for row in loss["rows"]] == array[:, n].astype(float).tolist()
            assert ask(client, key, "loss", n=n, of="dy", k=2)["value"] == float(expected.dy[2, n])
            assert ask(client, key, "loss", n=n, of="value")["value"] == float(expected.values[n])

    def test_a_large_tensor_comes_a_channel_at_a_time(
        self, client: httpx.Client, begin: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from firstlight.app.pages.step import answers

        monkeypatch.setattr(answers, "SENT_AT_ONCE", 100)
        key, expected = begin()["key"], untrained().layer("conv2")
        assert ask(client, key, "tensors", layer="conv2")["tensors"]["W"]["values"] is None
        found = ask(client, key, "channel", layer="conv2", of="W", channel=7)
        np.testing.assert_array_equal(floats({**found, "shape": expected.p["W"].shape[1:]}), expected.p["W"][7])

    def test_steps_forward_and_back_are_keyed(self, client: httpx.Client, begin: Ask) -> None:
        key, first = begin(image=5)["key"], untrained(image=5)
        there = ask(client, key, "state", at=0, to=4)
        assert there["loss"]["mean"] == first.forward(4).loss.value
        assert there["history"]["loss"] == [first.forward(k).loss.value for k in range(5)]
        assert ask(client, key, "state", at=4, to=3)["loss"]["mean"] == first.forward(3).loss.value
        assert ask(client, key, "state", at=3, to=4) == there
        weight = ask(client, key, "weight", at=4, name="conv1.W", index="0,0,1,1")
        assert weight["value"] == float(first.forward(4).layer("conv1").p["W"][0, 0, 1, 1])
        assert weight["after"] == float(first.forward(5).layer("conv1").p["W"][0, 0, 1, 1])

    def test_an_epoch_is_of_the_training_images(self, client: httpx.Client, begin: Ask) -> None:
        expected = untrained(over=True)
        opened = begin(over="train")
        assert opened["epoch"] == expected.course.steps_per_epoch > 10
        assert ask(client, opened["key"], "state", to=3)["loss"]["mean"] == expected.forward(3).loss.value

    def test_what_takes_long_is_answered_on_the_way(
        self, client: httpx.Client, begin: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(courses, "PATIENCE", 0.0)
        key = begin(image=6)["key"]
        assert ask(client, key, "state", at=0, to=20)["at"] == 0
        monkeypatch.setattr(courses, "PATIENCE", 60.0)
        assert ask(client, key, "state", at=0, to=20)["at"] == 20

    def test_the_class_that_is_aimed_at_may_be_another(self, client: httpx.Client, begin: Ask) -> None:
        own, other = begin(image=1), begin(image=1, label=5)
        assert own["key"] != other["key"]
        assert other["state"]["loss"]["label"] == 5
        assert other["images"]["told"].endswith("here labelled 5.")

    def test_layers_as_in_evaluation(self, client: httpx.Client, begin: Ask) -> None:
        found = subject.of_architecture("lenet5-dropout", "digits")
        step = found.course(found.images.take(np.arange(1)), False).start
        key = begin(of="model-lenet5-dropout")["key"]
        for evaluation, expected in ((0, step), (1, step.in_evaluation())):
            assert ask(client, key, "state", evaluation=evaluation)["loss"]["mean"] == expected.loss.value

    @pytest.mark.parametrize("mended", [0, 1])
    def test_a_preset_goes_where_it_goes_by_itself(self, client: httpx.Client, begin: Ask, mended: int) -> None:
        preset = PRESETS["dead-relus"]
        key = begin(of="preset-dead-relus", mended=mended)["key"]
        there = ask(client, key, "state", to=preset.steps)
        relu = next(layer for layer in there["history"]["layers"] if layer["path"] == "relu1")
        assert relu["silent"][-1] == preset.seen(preset.step(bool(mended)))

    def test_the_end_of_a_training_that_diverges_is_told(self) -> None:
        held = courses.Held(opened(None, Asked("preset-dead-relus", "")))  # type: ignore[arg-type]
        at = held.opened.course.at

        def diverges(number: int) -> Step:
            if number > 5:
                raise TrainingError("The loss became nan.")
            return at(number)

        object.__setattr__(held.opened, "course", type("Course", (), {"at": staticmethod(diverges)}))
        assert held.toward(0, 20).number == 5
        assert held.ended == "The loss became nan."
        assert held.toward(5, 6).number == 5

    def test_every_architecture_that_is_offered_can_be_built(self) -> None:
        for name in subject.architectures():
            assert subject.of_architecture(name, "digits").model.name == name


class TestRefusals:
    @pytest.mark.parametrize(
        ("asked", "text"),
        [
            ({"of": "model-nothing"}, "no architecture"),
            ({"of": "0123456789ab"}, "nothing with the id"),
            ({"of": "<script>"}, "nothing with the id"),
            ({"of": "model-lenet5", "data": "../etc"}, "no images"),
            ({"image": "5000"}, "numbered from 0"),
            ({"image": "-1"}, "A number is expected"),
            ({"batch": "33"}, "1 to 32 images"),
            ({"batch": "0"}, "1 to 32 images"),
            ({"label": "10"}, "There are 10 classes"),
            ({"over": "everything"}, "over is"),
        ],
    )
    def test_what_there_is_not(self, client: httpx.Client, asked: dict[str, str], text: str) -> None:
        answer = client.post("/api/step", params=asked)
        assert answer.status_code == 404
        assert text in answer.json()["error"]

    @pytest.mark.parametrize(
        ("what", "asked", "status"),
        [
            ("tensors", {"layer": "conv9"}, 422),
            ("tensors", {"layer": "conv1", "n": "1"}, 404),
            ("working", {"layer": "conv1", "of": "y", "index": "1,2"}, 422),
            ("working", {"layer": "conv1", "of": "y", "index": "1,2,x"}, 404),
            ("working", {"layer": "conv1", "of": "z", "index": "1"}, 422),
            ("working", {"layer": "conv1", "of": "y", "index": "0,0," + "9" * 100}, 404),
            ("channel", {"layer": "conv1", "of": "W", "channel": "6"}, 404),
            ("channel", {"layer": "conv1", "of": "Q", "channel": "0"}, 404),
            ("weight", {"name": "conv1.Q", "index": "0"}, 422),
            ("loss", {"of": "dy", "k": "10"}, 422),
            ("state", {"at": "-1"}, 404),
            ("state", {"to": "1e9"}, 404),
            ("tensors", {"layer": "conv1", "at": "3000"}, 404),
        ],
    )
    def test_a_place_that_there_is_not(
        self, client: httpx.Client, begin: Ask, what: str, asked: dict[str, str], status: int
    ) -> None:
        answer = client.get(f"/api/step/{begin(image=2)['key']}/{what}", params=asked)
        assert answer.status_code == status, answer.text
        assert "Traceback" not in answer.text

    def test_a_step_that_is_not_held(self, client: httpx.Client) -> None:
        answer = client.get("/api/step/0123/state")
        assert answer.status_code == 404
        assert answer.json()["error"] == courses.NO_LONGER_HELD

    def test_a_file_that_is_no_image(self, client: httpx.Client) -> None:
        answer = client.post("/api/step", content=b"no image")
        assert answer.status_code == 422
        assert "not a PNG" in answer.json()["error"]

    def test_without_the_token_nothing_begins(self, served: Served) -> None:
        assert httpx.post(f"{served.url}/api/step", trust_env=False).status_code == 403

    def test_courses_are_held_up_to_a_number(self) -> None:
        held = courses.Courses()
        for n in range(courses.HELD + 2):
            held.begin(str(n), lambda: None)  # type: ignore[arg-type, return-value]
        with pytest.raises(fl.FirstlightError, match="no longer held"):
            held.get("1")
        assert held.get("2")


# --- in the browser


def ready(page: Page, served: Served, query: str = "", times: int = 1) -> None:
    page.goto(f"{served.url}/step{query}")
    wait(page, times)


def wait(page: Page, times: int) -> None:
    page.locator(f'body[data-ready="{times}"]').wait_for()


def tensor(page: Page, of: str) -> Locator:
    return page.locator(f'.tensor[data-of="{of}"]')


def explained(page: Page, text: str) -> tuple[float, float, bool]:
    """The value that the working shows, the one that its lines make, and whether they are said to agree."""
    page.locator(f'#working[data-of="{text}"]').wait_for()
    value = page.locator("#terms .result .value")
    told = [float(value.get_attribute(name) or "nan") for name in ("data-value", "data-worked")]
    return told[0], told[1], page.locator("#terms .agree").get_attribute("data-agrees") == "true"


@pytest.fixture
def every_layer(monkeypatch: pytest.MonkeyPatch) -> Step:
    """A step of a net of every layer that there is, which the page then shows."""
    model = all_layers()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    images = Images(pixels, np.arange(6) % 4, np.array([f"image {n}" for n in range(6)]), tuple("abcd"))
    found = Subject("every layer", model, Preparation.fit(images), images, images)
    monkeypatch.setattr(subject, "of", lambda index, chosen, source: found)
    return found.course(images.take(np.arange(4)), False).start


class TestPage:
    @pytest.mark.slow
    def test_the_numbers_are_the_engines_for_every_layer(self, page: Page, served: Served, every_layer: Step) -> None:
        ready(page, served, "?of=model-every-layer")
        page.fill("#batch", "4")
        page.locator("#batch").press("Enter")
        wait(page, 2)
        types = set()
        for n, (path, layer) in enumerate(every_layer.layers.items()):
            page.select_option("#layers", str(n))
            page.locator("#layer-title", has_text=f"{path} · {layer.type}").wait_for()
            types.add(layer.type)
            for of, array in layer.arrays.items():
                shown = tensor(page, of if of in ("y", "dx") else f"d{of}")
                shape: tuple[int, ...] = array.shape[:-1] if of in ("y", "dx") else array.shape
                shown.locator(".map").press("End")  # of the first row
                width = shape[-1] if len(shape) > 2 or shape[-1] <= 32 else math.ceil(math.sqrt(shape[-1]))
                place = tuple(int(i) for i in np.unravel_index(width - 1, shape))
                at = (*place, 0) if of in ("y", "dx") else place
                value, worked, agrees = explained(page, f"{of}{','.join(map(str, place))}")
                expected = every_layer.working(path, of, at)
                assert value == float(array[at]), (path, of)
                assert float(shown.locator(".at").get_attribute("data-value") or "nan") == float(array[at])
                assert worked == pytest.approx(expected.worked, abs=expected.rounding)
                assert agrees, (path, of)
        assert types >= {type(layer).__name__ for layer in _inside(all_layers().layers)}

    def test_a_spoilt_gradient_is_seen_to_disagree(
        self, page: Page, served: Served, every_layer: Step, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forward = Dense.forward

        def spoilt(self: Dense, p: Any, x: Array, run: Any) -> Any:
            y, backward = forward(self, p, x, run)

            def wrong(dy: Array) -> Any:
                dx, gradients = backward(dy)
                return dx, {**gradients, "W": gradients["W"] * np.float32(1.01)}

            return y, wrong

        ready(page, served, "?of=model-every-layer")
        page.select_option("#layers", label="head · Dense")
        tensor(page, "dW").locator(".map").press("Enter")
        assert explained(page, "W0,0")[2]
        page.locator("#weight .value[data-value]").wait_for()
        monkeypatch.setattr(Dense, "forward", spoilt)
        page.click("#one")
        page.locator("#at", has_text="Step 1").wait_for()
        page.locator('#terms .agree[data-agrees="false"]', has_text="They disagree").wait_for()
        page.locator('#weight .agree[data-agrees="false"]', has_text="by hand disagrees").wait_for()
        for way in ("by autograd", "by a nudge"):
            assert page.locator(f'#weight tr[data-way="{way}"]').count() == 1

    def test_hover_shows_the_terms_and_where_they_lie(self, page: Page, served: Served) -> None:
        expected = untrained()
        ready(page, served)
        canvas = tensor(page, "y").locator(".map canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 10.5 * box["width"] / 28, box["y"] + 12.5 * box["height"] / 28)
        value, _, agrees = explained(page, "y0,12,10")
        assert value == float(expected.layer("conv1").y[0, 12, 10, 0])
        assert agrees
        rows = page.locator("#terms tbody tr")
        assert rows.count() == 25  # of the kernel
        before = tensor(page, "x").locator("canvas").first.evaluate("canvas => canvas.toDataURL()")
        page.mouse.move(box["x"] - 5, box["y"] - 40)
        page.locator("#terms", has_text="No value is chosen").wait_for()
        assert tensor(page, "x").locator("canvas").first.evaluate("canvas => canvas.toDataURL()") != before

    def test_the_keyboard_is_enough_and_is_said_aloud(self, page: Page, served: Served) -> None:
        expected = untrained().layer("conv1").y
        ready(page, served)
        box = tensor(page, "y").locator(".map")
        box.focus()
        for key in ("Enter", "ArrowDown", "ArrowDown", "End", "ArrowLeft", "PageDown"):
            page.keyboard.press(key)
        assert explained(page, "y1,2,26")[0] == float(expected[1, 2, 26, 0])
        page.locator("#said", has_text="y[1, 2, 26] is").wait_for()
        assert "the sum of 21 terms" in page.locator("#said").inner_text()
        assert "at [1, 2, 26]" in (box.get_attribute("aria-label") or "")
        assert tensor(page, "y").locator(".channel input").input_value() == "1"
        page.keyboard.press("Escape")
        page.locator("#terms", has_text="No value is chosen").wait_for()
        tensor(page, "b").locator("summary").press("Enter")
        tensor(page, "b").locator("td").first.wait_for()  # it opens a moment after the key
        assert tensor(page, "b").locator("td").count() == 6

    def test_a_weight_is_chosen_and_moved_along_the_tangent(self, page: Page, served: Served) -> None:
        weight = untrained().weight("conv1.W", (0, 0, 0, 1))
        ready(page, served)
        for key in ("Enter", "ArrowRight"):
            tensor(page, "W").locator(".map").press(key)
        page.locator("#weight .result", has_text="conv1.W[0, 0, 0, 1]").wait_for()
        ways = page.locator("#weight .ways tr")
        assert ways.count() == 3
        page.locator('#weight tr[data-way="by autograd"] td[data-value*="."]').wait_for()
        found = [float(ways.nth(n).locator("td").first.get_attribute("data-value") or "nan") for n in range(3)]
        assert found == pytest.approx([weight.by_hand] * 3, abs=1e-6)
        assert found[0] == weight.by_hand
        assert page.locator("#weight .agree").get_attribute("data-agrees") == "true"
        slider = page.locator("#nudge")
        before = page.locator("#weight .moved").inner_text()
        slider.press("ArrowRight")
        assert page.locator("#weight .moved").inner_text() != before
        assert "along the tangent" in (slider.get_attribute("aria-valuetext") or "")
        after = page.locator("#weight [data-after]").get_attribute("data-after")
        assert float(after or "nan") == weight.after

    def test_steps_are_taken_and_taken_back(self, page: Page, served: Served) -> None:
        first = untrained()
        ready(page, served)

        def losses() -> list[float]:
            shown = page.locator('#loss button[data-of="value"]').get_attribute("data-value")
            return [float(shown or "nan")]

        for button, at in (("#one", 1), ("#ten", 11), ("#back", 10)):
            page.click(button)
            page.locator(f'#at[data-at="{at}"]').wait_for()
            assert losses() == [first.forward(at).loss.value]
        row = page.locator('#course tr[data-path="conv1"] td[data-key="ratio"]')
        assert float(row.get_attribute("data-value") or "nan") == first.forward(10).statistics["conv1"].ratio
        page.locator("#said", has_text="Step 10").wait_for()
        assert page.locator("#epoch").is_disabled()
        page.select_option("#over", "train")
        wait(page, 2)
        assert page.locator("#epoch").is_enabled()

    def test_quick_presses_add_up_and_a_number_that_is_none_is_put_back(self, page: Page, served: Served) -> None:
        ready(page, served)
        page.evaluate("for (let k = 0; k < 4; k++) document.getElementById('one').click()")
        page.locator("#at[data-at='4']").wait_for()
        page.locator("#step[aria-busy=false]").wait_for()
        page.evaluate("for (let k = 0; k < 3; k++) document.getElementById('next-image').click()")
        wait(page, 2)
        assert (page.input_value("#image-number"), page.locator("#at").get_attribute("data-at")) == ("3", "0")
        expected = untrained(image=3).images.ids[0]
        assert str(expected) in page.inner_text("#image-told")
        page.fill("#image-number", "99999")
        page.press("#image-number", "Tab")
        assert page.input_value("#image-number") == "3"

    @pytest.mark.slow
    def test_a_step_that_was_dropped_is_gone_to_again(self, page: Page, served: Served) -> None:
        ready(page, served)
        page.click("#one")
        page.locator('#at[data-at="1"]').wait_for()
        page.locator('#step[aria-busy="false"]').wait_for()
        with httpx.Client(base_url=served.url, headers={"X-Firstlight-Token": TOKEN}, trust_env=False) as other:
            for n in range(courses.HELD):
                other.post("/api/step", params={"image": 20 + n}, timeout=60).raise_for_status()
        tensor(page, "y").locator(".map").press("Enter")
        assert explained(page, "y0,0,0")[0] == float(untrained().forward(1).layer("conv1").y[0, 0, 0, 0])
        page.complaints.clear()  # type: ignore[attr-defined]  # the console names the requests that were refused

    @pytest.mark.slow
    def test_an_image_of_ones_own(self, page: Page, served: Served, digits: Dataset, tmp_path: Path) -> None:
        file = tmp_path / "seven.png"
        file.write_bytes(png(digits.splits["train"].pixels[7]))
        ready(page, served)
        page.set_input_files("#file", file)
        wait(page, 2)
        assert page.locator("#image-told").inner_text() == "Your own image."
        page.select_option("#target", "7")
        wait(page, 3)
        assert page.locator("#loss tr.true th").inner_text() == "7"
        page.click("#draw")
        stroke(page, ONE)
        wait(page, 4)
        page.locator("#next-image").is_disabled()
        page.fill("#image-number", "12")
        page.locator("#image-number").press("Enter")
        wait(page, 5)
        assert page.locator("#next-image").is_enabled()

    def test_what_cannot_be_begun_is_told(self, page: Page, served: Served) -> None:
        page.goto(f"{served.url}/step?of=0123456789ab")
        page.locator("#message.error", has_text="There is nothing with the id").wait_for()
        ready(page, served, "?of=model-lenet5-batchnorm")  # whose last batch norm has one value of an image
        page.locator("#message", has_text="So there are 4 images here.").wait_for()
        assert page.locator("#batch").input_value() == "4"
        page.fill("#shown", "3")
        page.locator("#shown").press("Enter")
        third = subject.of_architecture("lenet5-batchnorm", "digits")
        loss = third.course(third.images.take(np.arange(4)), False).start.loss
        page.locator(f'#loss button[data-of="value"][data-value="{float(loss.values[3])!r}"]').wait_for()
        page.complaints.clear()  # type: ignore[attr-defined]  # the console names the requests that were refused

    def test_what_goes_wrong_is_tried(self, page: Page, served: Served) -> None:
        ready(page, served, "?of=preset-dead-relus")
        preset = PRESETS["dead-relus"]
        assert page.locator("#watch").inner_text() == preset.watch
        assert page.locator("#layer-title").inner_text() == "relu1 · ReLU"
        assert page.locator("#chooser").is_hidden()
        page.click("#there")
        page.locator(f'#at[data-at="{preset.steps}"]').wait_for()
        silent = page.locator('#course tr[data-path="relu1"] td[data-key="silent"]').get_attribute("data-value")
        assert float(silent or "nan") == preset.seen(preset.step()) > 0.9
        with page.expect_navigation():
            page.click("text=The same, fixed")
        assert page.locator("#watch-title").inner_text().endswith(", fixed")

    @pytest.mark.parametrize("dark", [False, True])
    def test_a_phones_width_is_enough(self, page_at: Callable[..., Page], served: Served, dark: bool) -> None:
        page = page_at(width=390, dark=dark)
        ready(page, served)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        tensor(page, "y").locator(".map").tap(position={"x": 40, "y": 40})
        page.locator("#terms .result").wait_for()
        panel = page.locator("#working").bounding_box()
        assert panel is not None
        assert panel["y"] + panel["height"] <= 901  # in sight

    def test_every_control_has_a_name(self, page: Page, served: Served) -> None:
        ready(page, served)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("main button, main input, main select, main [tabindex]")]
              .filter((each) => each.checkVisibility())
              .filter((each) => !(each.labels?.length || each.ariaLabel || each.textContent.trim()))
              .map((each) => each.outerHTML.slice(0, 200))"""
        )
        assert nameless == []


def _inside(layer: Any) -> Iterator[Any]:
    for _, child in layer.named() if hasattr(layer, "named") else ():
        yield child
        yield from _inside(child)
