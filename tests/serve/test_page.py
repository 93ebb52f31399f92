"""The page to try a service at, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.odd_images import encoded, scene
from tests.serve.conftest import HOSTILE, Served

import firstlight as fl

TOKEN = "a-token-of-the-tests"
PASTE = """bytes => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "x.png", { type: "image/png" }));
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
}"""
DROP = """bytes => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "x.png", { type: "image/png" }));
    document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
}"""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    path.write_bytes(encoded(scene(40, 30)))
    return path


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_an_image_is_answered_by_bars(
    page_at: Callable[..., Page], both: Served, served_runs: dict[str, fl.Run], image: Path, width: int, dark: bool
) -> None:
    """Chosen, pasted and dropped, of either model; a hostile name is text; nothing is wider than the screen."""
    page = page_at(width=width, dark=dark)
    page.goto(both.url)
    expect(page.locator("#about")).to_contain_text("10 classes")
    page.set_input_files("#file", image)
    expect(page.locator("#bars li")).to_have_count(10)
    row = served_runs["digits"].predict(image)[0]
    best = served_runs["digits"].class_names[int(row.argmax())]
    expect(page.locator("#status")).to_have_text(best)
    expect(page.locator("#bars li").first.locator(".number")).to_have_text(f"{100 * row.max():.1f} %")

    page.select_option("#model", "colour")
    expect(page.locator("#bars li")).to_have_count(3)
    assert HOSTILE in page.locator("#bars .name").all_text_contents()
    for way in (PASTE, DROP):
        page.select_option("#model", "digits")
        expect(page.locator("#bars li")).to_have_count(10)
        page.evaluate(way, list(encoded(scene(9, 9))))
        expect(page.locator("#pace")).to_contain_text("Answered in")
    page.select_option("#model", "colour")
    expect(page.locator("#example")).to_contain_text("/v1/models/colour/predict")
    assert page.evaluate(WIDER) == 0


def test_by_the_keyboard_alone(page_at: Callable[..., Page], digits_alone: Served, image: Path) -> None:
    page: Any = page_at()
    page.on("filechooser", lambda chooser: chooser.set_files(image))  # looked out for before a key can open it
    page.goto(digits_alone.url)
    expect(page.locator("#main")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.locator("#bars li")).to_have_count(10)


def test_what_is_no_image_is_told_by_the_sentence_of_the_service(
    page_at: Callable[..., Page], digits_alone: Served, tmp_path: Path
) -> None:
    page: Any = page_at()
    page.goto(digits_alone.url)
    expect(page.locator("#main")).to_be_visible()
    (tmp_path / "no.png").write_text("no image")
    page.set_input_files("#file", tmp_path / "no.png")
    expect(page.locator("#status")).to_contain_text("The image cannot be read: ")
    expect(page.locator("#preview")).to_be_hidden()
    assert len(page.complaints) == 1
    assert "422" in page.complaints.pop()


def test_a_locked_service_asks_for_its_token(
    page_at: Callable[..., Page], serve: Callable[..., Any], served_runs: dict[str, fl.Run], image: Path
) -> None:
    with serve([served_runs["digits"].path], token=TOKEN) as served:
        page: Any = page_at(width=390)
        page.goto(served.url)
        expect(page.locator("#token")).to_be_focused()
        page.keyboard.type("wrong-token")
        page.keyboard.press("Enter")
        expect(page.locator("#about")).to_have_text("That is not its token.")
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        page.set_input_files("#file", image)
        expect(page.locator("#bars li")).to_have_count(10)
        assert all("401" in complaint for complaint in page.complaints)
        page.complaints.clear()

        page = page_at()  # the address that the terminal shows has it behind the #
        page.goto(f"{served.url}/#token={TOKEN}")
        expect(page.locator("#main")).to_be_visible()
        assert page.url == f"{served.url}/"
