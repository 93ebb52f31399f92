"""The sheet of one image: a whole picture, whatever the names are and whatever the net has."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.report.run_folders import HOSTILE

from firstlight.records.explanation import Attribution, LayerMaps
from firstlight.report.attribution_sheet import _panels, attribution_sheet

BLUE, RED = (0, 0x72, 0xB2), (0xB3, 0x26, 0x1E)
NAMES = ("cat", "dog", HOSTILE[0] + "\x00\x1b" + "long" * 30)
RANDOM = np.random.default_rng(0)
LOOK = Attribution(
    id="test/1",
    split="test",
    label=1,
    target=1,
    probabilities=np.array([0.2, 0.7, 0.1], np.float32),
    pixels=RANDOM.integers(0, 256, (9, 6, 3), dtype=np.uint8),
    saliency=RANDOM.random((9, 6), np.float32),
    grad_cam=RANDOM.random((9, 6), np.float32),
    cam_layer="relu1",
    occlusion=RANDOM.random((9, 6), np.float32) - 0.5,
)
MAPS = (
    LayerMaps("conv1", "Conv2D", 40, RANDOM.standard_normal((40, 9, 6)).astype(np.float32)),
    LayerMaps("dense1", "Dense", 7, np.zeros((1, 1, 7), np.float32)),
)


def colours(look: Attribution, maps: tuple[LayerMaps, ...] = MAPS) -> tuple[set[tuple[int, ...]], tuple[int, int]]:
    """Of the upper part, where the answer stands; and the sheet's size."""
    with Image.open(io.BytesIO(attribution_sheet(look, maps, NAMES))) as sheet:
        head = np.asarray(sheet.convert("RGB").crop((0, 0, sheet.width, 100)))
        return set(map(tuple, head.reshape(-1, 3).tolist())), sheet.size


def test_the_true_class_is_blue_and_a_wrong_answer_red() -> None:
    right, _ = colours(LOOK)
    wrong, _ = colours(replace(LOOK, label=0))
    unknown, _ = colours(replace(LOOK, label=-1))
    assert (BLUE in right, RED in right) == (True, False)
    assert (BLUE in wrong, RED in wrong) == (False, True)
    assert (BLUE in unknown, RED in unknown) == (False, False)


def said(look: Attribution) -> str:
    return "".join(_panels(look, NAMES))


def test_the_first_row_says_what_its_colours_are() -> None:
    occlusion = np.zeros((9, 6), np.float32)
    occlusion[0, :2] = 0.125, -0.5
    assert "orange: falls by at most 0.12<" in said(replace(LOOK, occlusion=occlusion))
    assert "blue: rises by at most 0.50<" in said(replace(LOOK, occlusion=occlusion))
    rises = said(replace(LOOK, occlusion=np.minimum(occlusion, -0.001)))
    assert "orange: falls by less than 0.01<" in rises
    assert "no evidence for this class" in said(replace(LOOK, grad_cam=np.zeros((9, 6), np.float32)))
    assert "no evidence" not in said(LOOK)


@pytest.mark.parametrize("label", [-1, 0, 2])
def test_names_stay_text_and_nets_without_maps_have_a_sheet(label: int) -> None:
    hostile = replace(LOOK, label=label, target=2, grad_cam=None, cam_layer="", id=HOSTILE[0])
    _, size = colours(replace(hostile, probabilities=np.array([0.2, 0.1, 0.7], np.float32)))
    assert size == colours(LOOK)[1]
    assert colours(LOOK, MAPS[:1])[1][1] < size[1]
