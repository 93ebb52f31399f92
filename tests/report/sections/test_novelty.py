"""None of these: what is counted is what lies beyond the threshold; what cannot be told has a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.report.run_folders import write_run

from firstlight.records import group
from firstlight.records.novelty import Distances, NoveltyRecord
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report.document import Chart, ImageGrid, Text
from firstlight.report.sections.novelty import caption, chart, numbers, section


def written(path: Path, record: NoveltyRecord | None) -> group.Group:
    path.mkdir()
    write_run(path, test=60)
    if record is not None:
        record.write(RunFolder.open(path))
    return group.of_runs([read(RunFolder.open(path))])[0]


def distances(test: np.ndarray, validation: int = 30) -> Distances:
    strangest = np.argsort(-test)[:3]
    return Distances(
        whitening=np.eye(4, dtype=np.float32),
        centres=np.zeros((3, 4), np.float32),
        validation=np.linspace(0, 2, validation, dtype=np.float32),
        test=test.astype(np.float32),
        strangest=strangest,
        pixels=np.zeros((3, 8, 8, 1), np.uint8),
    )


def test_what_lies_beyond_the_threshold_is_counted(tmp_path: Path) -> None:
    record = NoveltyRecord(rate=0.1, distances=distances(np.where(np.arange(60) % 6 == 0, 9.0, 0.5)))
    found = numbers(written(tmp_path / "run", record))
    assert not isinstance(found, str | None)
    assert (found.strange.sum(), found.validation, len(found.pictures)) == (10, 30, 3)
    assert "10 test images of 60" in caption(found)
    assert "There are more" not in caption(found)
    drawn = chart(found)
    rows = drawn["datasets"][drawn["layer"][0]["data"]["name"]]
    assert sum(row["images"] for row in rows) == 60
    assert sum(row["images"] for row in rows if row["low"] >= 1) == 10
    made = section([written(tmp_path / "same", record)])
    assert made is not None
    assert [type(block) for block in made.blocks] == [Chart, ImageGrid]


def test_more_false_alarms_than_asked_for_are_told(tmp_path: Path) -> None:
    found = numbers(written(tmp_path / "run", NoveltyRecord(rate=0.1, distances=distances(np.full(60, 9.0)))))
    assert not isinstance(found, str | None)
    assert "There are more" in caption(found)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (NoveltyRecord(rate=0.1, reason="There is no validation."), "There is no validation."),
        (NoveltyRecord(rate=0.01, distances=distances(np.ones(60))), "30 validation images are too few"),
    ],
)
def test_what_cannot_be_told_has_a_sentence(tmp_path: Path, record: NoveltyRecord, said: str) -> None:
    made = section([written(tmp_path / "run", record)])
    assert made is not None
    [text] = made.blocks
    assert isinstance(text, Text)
    assert said in text.text


def test_an_earlier_version_has_no_section(tmp_path: Path) -> None:
    assert section([written(tmp_path / "run", None)]) is None
