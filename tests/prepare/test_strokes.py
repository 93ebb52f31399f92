"""A drawing is scaled and moved as the digits of MNIST were, and images tell how they were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import firstlight as fl
from firstlight.prepare.strokes import StrokeStyle, fitted
from firstlight.types import Dataset, Images


class TestStrokeStyle:
    def test_digits_are_light_on_a_dark_plain_paper_and_fill_their_frame(self, digits: Dataset) -> None:
        style = StrokeStyle.of(digits.splits["train"])
        assert (style.paper, style.light, style.plain, style.box) == ((0,), True, True, 8)

    def test_inverted_digits_are_dark_on_light(self, digits: Dataset) -> None:
        train = digits.splits["train"]
        style = StrokeStyle.of(Images(255 - train.pixels, train.labels, train.ids, train.class_names))
        assert (style.paper, style.light, style.plain, style.box) == ((255,), False, True, 8)

    def test_images_with_papers_of_their_own_are_not_plain(self, digits: Dataset) -> None:
        train = digits.splits["train"].take(np.arange(40))
        papers = np.arange(40, dtype=np.uint8)[:, None, None, None] * 4
        style = StrokeStyle.of(Images(np.maximum(train.pixels, papers), train.labels, train.ids, train.class_names))
        assert not style.plain

    def test_a_thicker_stroke_needs_a_thicker_brush(self) -> None:
        def bars(width: int) -> Images:
            pixels = np.zeros((3, 40, 40, 1), np.uint8)
            pixels[:, 5:35, 20 : 20 + width] = 255
            return Images(pixels, np.zeros(3, np.int64), np.arange(3).astype(str), ("bar",))

        thin, thick = StrokeStyle.of(bars(2)).brush, StrokeStyle.of(bars(4)).brush
        assert 1.6 < thick / thin < 2.2

    def test_mnist_has_the_box_that_its_makers_gave_it(self, real_data: Path) -> None:
        style = StrokeStyle.of(fl.load("mnist").splits["train"].take(np.arange(200)))
        assert (style.light, style.plain, style.box) == (True, True, 20)


class TestFitted:
    def test_what_is_drawn_gets_the_box_and_its_centre_of_mass_the_middle(self) -> None:
        drawn = np.zeros((280, 280, 1), np.uint8)
        drawn[200:270, 10:40] = 255
        drawn[250:270, 10:60] = 255
        pixels = fitted(drawn, 20, (28, 28))[:, :, 0].astype(float)
        rows, cols = np.flatnonzero(pixels.max(axis=1)), np.flatnonzero(pixels.max(axis=0))
        assert len(rows) == 20
        assert len(cols) == 14  # 50 of 70
        for axis in (0, 1):
            mass = pixels.sum(axis=1 - axis)
            assert abs((mass * np.arange(28)).sum() / mass.sum() - 13.5) <= 0.5

    def test_dark_on_light_is_the_mirror_image_of_light_on_dark(self) -> None:
        drawn = np.zeros((100, 100, 3), np.uint8)
        drawn[20:90, 60:70] = (200, 30, 90)
        assert np.array_equal(255 - fitted(drawn, 8, (8, 8)), fitted(255 - drawn, 8, (8, 8)))

    def test_an_empty_sheet_stays_empty(self) -> None:
        assert np.array_equal(fitted(np.full((50, 60, 3), 77, np.uint8), 20, (28, 28)), np.full((28, 28, 3), 77))

    def test_a_dot_does_not_fill_the_sheet(self) -> None:
        drawn = np.zeros((280, 280, 1), np.uint8)
        drawn[100:120, 100:120] = 255
        assert (fitted(drawn, 20, (28, 28)) > 0).sum() <= 7 * 7

    def test_ink_at_the_edge_stays_whole(self) -> None:
        drawn = np.zeros((80, 80, 1), np.uint8)
        drawn[:, 0:8] = 255
        drawn[70:, :40] = 255
        pixels = fitted(drawn, 8, (8, 8))
        assert pixels[0].any()
        assert pixels[-1].any()
        assert pixels.sum() / 255 == pytest.approx((80 * 8 + 10 * 32) / 100, rel=0.05)

    def test_a_digit_of_mnist_in_a_corner_becomes_that_digit_again(self, real_data: Path) -> None:
        test = fl.load("mnist").splits["test"]
        for pixels in test.pixels[:20]:
            sheet = np.zeros((400, 400, 1), np.uint8)
            sheet[110:390, 5:285] = np.kron(pixels, np.ones((10, 10, 1), np.uint8))
            again = fitted(sheet, 20, (28, 28)).astype(float)
            shifts = [np.roll(pixels, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
            assert min(np.abs(again - shifted).mean() for shifted in shifts) < 8
