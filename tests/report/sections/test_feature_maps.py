"""Feature maps of one image: one scale a layer, dead channels named, layers chosen evenly."""

from __future__ import annotations

import numpy as np
from tests.report.explanations import chapters_of, explained_run, grids
from tests.report.run_folders import MakeRun

from firstlight.records.explanation import LayerMaps
from firstlight.report.document import ImageGrid
from firstlight.report.render import colours
from firstlight.report.sections.feature_maps import LAYERS, MAPS, ImageMaps, blocks


def shown(*layers: LayerMaps) -> list[ImageGrid]:
    return [block for block in blocks(ImageMaps(layers)) if isinstance(block, ImageGrid)]


def test_feature_maps_are_grids_with_their_dead_channels_named(make_run: MakeRun) -> None:
    section = chapters_of(explained_run(make_run))["layers"]
    image, maps, flat, filters = grids(section)
    assert image.pictures[0].text in ("cat", "dog", "bird")
    assert [(picture.text, picture.detail) for picture in maps.pictures] == [
        ("0", ""),
        ("1", "dead"),
        ("2", ""),
        ("3", "dead"),
    ]
    assert "conv1 (Conv2D): 4 maps of 8\u00a0×\u00a08" in maps.caption
    assert flat.pictures[0].text == "dense1"
    assert flat.pictures[0].pixels.shape == (2, 20, 3)
    assert len(filters.pictures) == 4
    assert filters.pictures[0].pixels.shape == (3, 3, 3)


def test_maps_of_a_layer_share_one_scale() -> None:
    quiet = np.stack([np.full((4, 4), value, np.float32) for value in (1, 100)])
    [grid] = shown(LayerMaps("relu", "ReLU", 2, quiet))
    dark, bright = (picture.pixels[0, 0].tolist() for picture in grid.pictures)
    assert bright == list(bytes.fromhex(colours.VIRIDIS[-1]))
    assert np.abs(np.array(dark) - list(bytes.fromhex(colours.VIRIDIS[0]))).max() < 10


def test_maps_of_one_row_are_shown_as_maps() -> None:
    row, flat = np.ones((3, 1, 6), np.float32), np.ones((1, 1, 6), np.float32)
    layers = (
        LayerMaps("conv1", "Conv2D", 3, row),
        LayerMaps("conv2", "Conv2D", 1, flat),
        LayerMaps("dense1", "Dense", 6, flat),
    )
    assert [[picture.text for picture in grid.pictures] for grid in shown(*layers)] == [
        ["0", "1", "2"],
        ["0"],
        ["dense1"],
    ]


def test_of_a_deep_net_layers_are_chosen_evenly() -> None:
    maps = np.ones((20, 4, 4), np.float32)
    grids = shown(*(LayerMaps(f"conv{k}", "Conv2D", 90, maps) for k in range(100)))
    assert [len(grid.pictures) for grid in grids] == [MAPS] * LAYERS
    assert "the first 16 of 90 maps" in grids[0].caption
