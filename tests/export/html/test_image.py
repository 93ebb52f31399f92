"""What the page makes of an image, run by Node, is what Python makes: Pillow's passes, and the fitting of drawings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from tests.odd_images import scene

from firstlight.data.decoding import resize
from firstlight.prepare.preparation import luma
from firstlight.prepare.strokes import fitted
from firstlight.types import Array

SIDES = (1, 2, 3, 7, 28, 29, 40, 101)


def as_json(pixels: Array) -> dict[str, object]:
    height, width, channels = pixels.shape
    return {"height": height, "width": width, "channels": channels, "data": pixels.ravel().tolist()}


def run(in_node: Callable[..., Any], call: str, given: list[list[object]]) -> list[Array]:
    """What a function of the page makes of pixels and what else it takes, as pixels."""
    code = f"""(given) => given.map(([pixels, ...rest]) => {{
      const found = {call}({{ ...pixels, data: Uint8Array.from(pixels.data) }}, ...rest);
      return {{ ...found, data: [...found.data] }};
    }})"""
    found = in_node(code, given, "image.js")
    return [np.array(one["data"], np.uint8).reshape(one["height"], one["width"], one["channels"]) for one in found]


def test_each_pass_is_pillows(in_node: Callable[..., Any]) -> None:
    """The two passes differ in their order between versions of Pillow, where the sides shrink unequally."""
    draws = np.random.default_rng(0)
    given, wanted, whole = [], [], []
    for height, width in [(a, b) for a in SIDES for b in SIDES[::2]]:
        pixels = draws.integers(0, 256, (height, width, 3), np.uint8)
        for size in ((28, 28), (9, 12), (61, 37)):
            given.append([as_json(pixels), *size])
            narrow = Image.fromarray(pixels).resize((size[1], height), Image.Resampling.BILINEAR)
            wanted.append(np.asarray(narrow.resize(size[::-1], Image.Resampling.BILINEAR)))
            whole.append(resize(pixels[np.newaxis], size)[0])
    for found, twice, once in zip(run(in_node, "resized", given), wanted, whole, strict=True):
        np.testing.assert_array_equal(found, twice)
        assert np.abs(found.astype(int) - once).max() <= 1


def test_grey_and_colour_as_the_model_takes_it(in_node: Callable[..., Any]) -> None:
    every = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), axis=-1).reshape(18, -1, 3).astype(np.uint8)
    [grey] = run(in_node, "suited", [[as_json(every), [*every.shape[:2], 1]]])
    np.testing.assert_array_equal(grey, luma(every[np.newaxis])[0])
    level = scene(9, 8, 1)
    [colour] = run(in_node, "suited", [[as_json(level), [9, 8, 3]]])
    np.testing.assert_array_equal(colour, np.repeat(level, 3, axis=2))


def drawing(draws: np.random.Generator) -> Array:
    """Strokes of any width and level on a sheet of one level, sometimes with noise, sometimes empty."""
    height, width = draws.integers(20, 140, 2)
    sheet = np.full((height, width, 3), draws.integers(0, 256, 3), np.uint8)
    for _ in range(draws.integers(0, 4)):
        top, left = draws.integers(0, height), draws.integers(0, width)
        high, wide = draws.integers(1, height), draws.integers(1, width)
        sheet[top : top + high, left : left + wide] = draws.integers(0, 256, 3)
    if draws.random() < 0.3:
        sheet = np.clip(sheet + draws.integers(-20, 21, sheet.shape), 0, 255).astype(np.uint8)
    return sheet


def test_drawings_are_fitted_as_in_python(in_node: Callable[..., Any]) -> None:
    draws = np.random.default_rng(1)
    given, wanted = [], []
    for number in range(150):
        pixels = drawing(draws)
        size = [(28, 28), (8, 8), (32, 20)][number % 3]
        box = float(draws.uniform(4, max(size)))
        given.append([as_json(pixels), box, size])
        wanted.append(fitted(pixels, box, size))
    apart = [
        int(np.abs(found.astype(int) - expected).max())
        for found, expected in zip(run(in_node, "fitted", given), wanted, strict=True)
    ]
    assert max(apart) <= 1
    assert np.mean(np.array(apart) == 0) > 0.8, "the order of Pillow's passes alone differs"


def test_halves_are_rounded_as_python_does(in_node: Callable[..., Any]) -> None:
    values = [0.5, 1.5, 2.5, -0.5, 0.49999, 7.0]
    assert in_node("(values) => values.map(even)", values, "image.js") == [round(value) for value in values]
