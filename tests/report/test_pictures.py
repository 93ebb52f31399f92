"""The pictures of a run: answers, mistakes and samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.report.run_folders import MakeRun

from firstlight.records.run import read
from firstlight.report import pictures
from firstlight.report.document import ImageGrid, Text
from firstlight.types import Predictions


def test_pictures_show_the_answer_of_the_same_id(make_run: MakeRun) -> None:
    run = make_run()
    record = read(run)
    grid = pictures.answers(record)
    assert isinstance(grid, ImageGrid)
    assert len(grid.pictures) == 25
    for picture, pixels, name in zip(grid.pictures, run.samples["test"].pixels, run.samples["test"].ids, strict=False):
        row = list(record.predictions.ids).index(name)
        np.testing.assert_array_equal(picture.pixels, pixels)
        assert picture.text == record.class_names[record.predictions.predicted[row]]
        assert picture.right == record.predictions.correct[row]
        assert picture.right or f"true: {record.class_names[record.predictions.labels[row]]}" in picture.detail


def test_mistakes_are_wrong_and_unknown_samples_are_left_out(make_run: MakeRun) -> None:
    record = read(make_run(skill=0.5))
    grid = pictures.mistakes(record)
    assert isinstance(grid, ImageGrid)
    assert len(grid.pictures) == pictures.MISTAKES
    assert not any(picture.right for picture in grid.pictures)
    p = record.predictions
    others = replace(record, predictions=Predictions(np.char.add(p.ids, "?"), p.labels, p.probabilities))
    assert isinstance(pictures.mistakes(others), Text)
    assert isinstance(pictures.answers(others), Text)


def test_no_mistakes_are_said_in_words(make_run: MakeRun) -> None:
    said = pictures.mistakes(read(make_run(skill=99.0)))
    assert isinstance(said, Text)
    assert "no mistakes" in said.text


def test_samples_spread_over_the_classes(make_run: MakeRun) -> None:
    record = read(make_run(class_names=tuple("abcdefgh")))
    for grid in pictures.samples(record):
        assert {picture.text for picture in grid.pictures} == set("abcdefgh")
        assert [p.text for p in grid.pictures] == sorted(p.text for p in grid.pictures)
