"""What a report says of augmentation: in words, by pictures, and of the curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.report.run_folders import MakeRun

from firstlight.prepare import Augmentation
from firstlight.records import run_folder
from firstlight.records.experiment import ExperimentRecord
from firstlight.records.group import of_runs
from firstlight.records.run import read
from firstlight.report.document import ImageGrid
from firstlight.report.sections.augmentation import section
from firstlight.report.settings import augmentation, settings
from firstlight.types import Images


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, ""),
        ({"rotate": {"range": 15, "p": 0}}, ""),
        ({"rotate": 15}, "rotate ±15°, outside nearest"),
        ({"rotate": [-5, 12.5], "fill": "reflect"}, "rotate −5° to 12.5°, outside reflect"),
        ({"shift": 0.15, "fill": "constant", "fill_value": 128}, "shift ±15 %, outside constant 128"),
        ({"noise": 0.025}, "noise 2.5 %"),
        ({"crop": {"range": 0.8, "p": 0.5}}, "crop 80 % to 100 % (p 0.5)"),
        ({"contrast": 0.2, "flip_horizontal": 0.5}, "contrast ±20 %, mirrored left to right (p 0.5)"),
    ],
)
def test_a_table_in_words(table: dict[str, Any], words: str) -> None:
    tables = {"data": {"source": "digits"}, "augment": Augmentation.of(table).table()}
    said = augmentation(ExperimentRecord.of(tables).augment)
    assert said.replace("\u202f", " ").replace("\xa0", " ") == words


def test_ends_that_are_whole_numbers() -> None:
    tables = {"data": {"source": "digits"}, "augment": {"shift": {"range": [0, 1], "p": 1}}}
    assert augmentation(ExperimentRecord.of(tables).augment).startswith("shift 0 % to 100 %".replace(" %", "\u202f%"))


TABLE = "flip_horizontal = 0.5\n[augment.rotate]\nrange = [-10.0, 10.0]\np = 1.0"


def test_the_settings_name_it(make_run: MakeRun) -> None:
    plain, augmented = read(make_run("plain")), read(make_run("augmented", augment=TABLE))
    assert "Augmentation" not in dict(settings(plain))
    assert dict(settings(augmented))["Augmentation"].startswith("rotate ±10°, mirrored left to right (p 0.5)")


def test_drawn_images_stand_beside_their_originals(make_run: MakeRun) -> None:
    run = make_run(augment=TABLE)
    assert section(of_runs([read(run)])) is None, "a run of before, or without"
    samples = run.samples
    train = samples["train"]
    turned = [train.take(np.array([2, 0])) for _ in range(3)]
    pixels = np.concatenate([255 - images.pixels // (1 + k) for k, images in enumerate(turned)])
    labels, ids = (np.concatenate([getattr(images, name) for images in turned]) for name in ("labels", "ids"))
    run_folder.write_samples(run.path, {**samples, "augmented": Images(pixels, labels, ids, train.class_names)})
    shown = section(of_runs([read(run_folder.RunFolder.open(run.path))]))
    assert shown is not None
    (grid,) = shown.blocks
    assert isinstance(grid, ImageGrid)
    assert grid.columns == 4
    assert len(grid.pictures) == 8
    for row, sample in enumerate((2, 0)):
        original, *drawn = grid.pictures[4 * row : 4 * row + 4]
        assert np.array_equal(original.pixels, train.pixels[sample])
        assert (original.text, original.detail) == (train.class_names[train.labels[sample]], "original")
        assert [picture.text for picture in drawn] == ["epoch 1", "epoch 2", "epoch 3"]
        for k, picture in enumerate(drawn):
            assert np.array_equal(picture.pixels, 255 - train.pixels[sample] // (1 + k))
