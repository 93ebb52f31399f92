"""A picture of a net is sound SVG in which every layer stands within its frame, and no text runs into another."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser
from tests.diagram.nets import HOSTILE, inception, nested, own

from firstlight import design_tokens
from firstlight.diagram import embedded, standalone
from firstlight.models import ARCHITECTURES, Model, build, default_shape

SVG = "{http://www.w3.org/2000/svg}"
MODELS = {"own": own(), "nested": nested(), "inception": inception()} | {
    name: build(name, *default_shape(name)) for name in ARCHITECTURES
}

# Of each layer's group: texts that leave its first rectangle, and pairs of them that overlap.
MISFITS = """() => {
  const found = [];
  for (const group of document.querySelectorAll("g.layer")) {
    const path = group.dataset.path, frame = group.querySelector("rect").getBoundingClientRect();
    const boxes = [...group.querySelectorAll(":scope > text")].map((text) => text.getBoundingClientRect());
    boxes.forEach((box, n) => {
      if (box.left < frame.left || box.right > frame.right) found.push(`${path} leaves its frame`);
      for (const other of boxes.slice(n + 1)) {
        const across = Math.min(box.right, other.right) - Math.max(box.left, other.left);
        const down = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
        if (across > 0 && down > 4) found.push(`${path} has texts that overlap`);
      }
    });
  }
  return found;
}"""


def drawn(model: Model, **how: Any) -> str:
    return embedded(model.summary(), model.input_shape, f"The layers of {model.name}", **how)


def numbers(root: ElementTree.Element, *names: str) -> list[float]:
    return [float(e.attrib[name]) for e in root.iter() for name in names if e.tag != f"{SVG}svg" and name in e.attrib]


@pytest.mark.parametrize("width", [0, 928])
@pytest.mark.parametrize("name", MODELS)
def test_every_net_is_drawn_within_its_picture(name: str, width: int) -> None:
    svg = drawn(MODELS[name], width=width)
    root = ElementTree.fromstring(svg)
    _, _, wide, high = map(float, root.attrib["viewBox"].split())
    assert wide <= max(width, 460 if name in ARCHITECTURES else 900)
    assert root.attrib["aria-label"] == f"The layers of {MODELS[name].name}"
    assert (root.findtext(f"{SVG}desc") or "").startswith("From an image of ")
    for rect in root.iter(f"{SVG}rect"):
        left, top, w, h = (float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        assert (min(left, top, w, h) >= 0, left + w <= wide, top + h <= high) == (True, True, True)
    points = [float(n) for path in root.iter(f"{SVG}path") for n in re.findall(r"[\d.]+", path.attrib["d"])]
    assert max(points) <= max(wide, high)


@pytest.mark.parametrize("name", ["own", "nested", "resnet20"])
def test_each_layer_has_its_path_and_can_be_a_button(name: str) -> None:
    rows = MODELS[name].summary()
    root = ElementTree.fromstring(drawn(MODELS[name], fold=False, interactive=True))
    groups = {group.attrib["data-path"]: group for group in root.iter(f"{SVG}g")}
    assert {row.name.replace("\x07", "\ufffd") for row in rows} == set(groups)
    assert {(g.attrib["role"], g.attrib["tabindex"]) for g in groups.values()} == {("button", "0")}
    assert root.attrib["role"] == "group"
    assert groups[rows[0].name].attrib["aria-label"].startswith(f"{rows[0].name}: {rows[0].type} to ")
    assert 'role="button"' not in drawn(MODELS[name])


def test_colours_are_those_of_the_page_or_the_files_own() -> None:
    inside = drawn(MODELS["resnet20"])
    assert set(re.findall(r"var\(--([\w-]+)\)", inside)) <= design_tokens.LIGHT.keys() & design_tokens.DARK.keys()
    assert not re.search(r"#[0-9a-f]{6}| style=|<style", inside), "a strict policy lets no style through"
    alone = standalone(MODELS["resnet20"].summary(), (32, 32, 3), "a net")
    assert "var(" not in alone
    assert f'[fill="{design_tokens.LIGHT["ink"]}"]{{fill:{design_tokens.DARK["ink"]}}}' in alone
    ElementTree.fromstring(alone.encode())


def test_names_are_text_and_nothing_else() -> None:
    svg = embedded(own().summary(), (8, 8, 1), HOSTILE)
    assert "<script" not in svg
    assert "\x07" not in svg


def test_texts_stand_in_their_frames_and_apart(browser: Browser) -> None:
    page = browser.new_page()
    style = f":root {{ {design_tokens.declarations(design_tokens.LIGHT)} }}"
    pictures = [drawn(MODELS[name], width=928) for name in ("own", "nested", "resnet50", "densenet121", "vgg16")]
    page.set_content(f"<style>{style}</style>{''.join(pictures)}")
    assert page.evaluate(MISFITS) == []
    broken = re.sub(r'(<text[^>]* text-anchor="end"[^>]*>)', r"\1far too long for its place, ", pictures[-1])
    page.set_content(broken)
    assert any("overlap" in found for found in page.evaluate(MISFITS))
    page.close()
