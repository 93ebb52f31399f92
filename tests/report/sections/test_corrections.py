"""Corrected labels: both nets by both labels, and what of a difference is that of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.page_parts import said, table
from tests.report.run_folders import write_run

from firstlight import report
from firstlight.evaluation import measure
from firstlight.records import run_folder
from firstlight.records.group import Group, of_runs
from firstlight.records.record_files import read_json, write_record
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report.relabelled import relabelled
from firstlight.report.sections import cautions, corrections

CHANGED, DROPPED = (3, 4, 5), 6


def run(path: Path, corrected: Sequence[int], dropped: Sequence[int] = (), **odd: Any) -> RunFolder:
    """A run whose test labels of some images are the next class, and which lacks some others."""
    path.mkdir()
    write_run(path, **odd)
    folder = RunFolder(path)
    test = folder.predictions["test"]
    labels = test.labels.copy()
    labels[list(corrected)] = (labels[list(corrected)] + 1) % 3
    kept = np.setdiff1d(np.arange(len(test)), dropped)
    changed = replace(test, ids=test.ids[kept], labels=labels[kept], probabilities=test.probabilities[kept])
    run_folder.write_predictions(path, {**folder.predictions, "test": changed})
    evaluation = measure(changed, folder.class_names, loss=0.5)
    result = replace(folder.result, test=type(folder.result.test).of(evaluation))
    run_folder.write_result(path, result)
    rows = [
        {"id": str(test.ids[i]), "pixels": "0" * 64, "old": "cat", "new": "dog", "kind": "relabelled", "split": "test"}
        for i in (*corrected, *dropped)
    ]
    if rows:
        counts = {"test": {"relabelled": len(corrected), "dropped": len(dropped), "kept": 0}}
        record = {"location": "/c.csv", "sha256": "1" * 64, "counts": counts, "rows": rows}
        data = read_json(path, run_folder.DATA)
        write_record(path, run_folder.DATA, {**data, "corrections": record})
    return RunFolder(path)


@pytest.fixture
def groups(tmp_path: Path) -> list[Group]:
    before = run(tmp_path / "before", ())
    after = run(tmp_path / "after", CHANGED, [DROPPED])
    return list(of_runs([read(before), read(after)]))


def test_the_same_net_gains_by_labels_alone(groups: list[Group]) -> None:
    [found] = corrections.numbers(groups)
    assert (found.first, found.second) == ("before", "after")
    assert (found.images, found.changed, found.dropped, found.added) == (59, 3, 1, 0)
    assert found.old[0] == found.old[1]  # both runs have the same net
    assert found.new[0] == found.new[1] == found.alone[1]
    assert found.by_net == 0
    assert found.by_labels == pytest.approx(found.alone[1] - found.alone[0])
    assert found.tests is not None
    assert all(test.difference == 0 for test in found.tests)


def test_what_is_said(groups: list[Group]) -> None:
    section = corrections.section(groups)
    assert [row[0] for row in table(section).rows] == ["before", "after", "difference, points"]
    text = said(section)
    assert "3 of 59 test labels are changed and 1 test image is dropped" in text
    assert "3 of 59 test labels are changed" in corrections.verdict(groups)
    assert any("are not directly comparable" in each.text for each in cautions.of_several(groups))


def test_without_corrections_there_is_nothing(tmp_path: Path) -> None:
    one, other = run(tmp_path / "one", ()), run(tmp_path / "other", (), skill=3.0, model="another")
    found = of_runs([read(one), read(other)])
    assert corrections.section(found) is None
    assert corrections.verdict(found) == ""


def test_corrections_of_training_labels_alone(tmp_path: Path) -> None:
    before, after = run(tmp_path / "before", ()), run(tmp_path / "after", [3])
    predictions = before.predictions
    run_folder.write_predictions(after.path, predictions)
    run_folder.write_result(after.path, before.result)
    found = of_runs([read(before), read(RunFolder(after.path))])
    assert "the difference is that of the nets" in said(corrections.section(found))
    assert corrections.verdict(found) == ""


def test_other_images_are_not_told_as_corrected(tmp_path: Path) -> None:
    before, after = run(tmp_path / "before", ()), run(tmp_path / "after", CHANGED, [DROPPED])
    data = read_json(after.path, run_folder.DATA)
    data["corrections"]["rows"] = data["corrections"]["rows"][:1]  # the others differ for another reason
    write_record(after.path, run_folder.DATA, data)
    assert relabelled(read(before), read(RunFolder(after.path))) is None
    assert corrections.section(of_runs([read(before), read(RunFolder(after.path))])) is None


def test_the_command_prints_the_table(groups: list[Group]) -> None:
    found = report.outcome(report.Comparison([group.first.run for group in groups], "two"))
    assert found.tables[-1].titles[1] == "by old labels"
    assert "labels alone" in found.verdict
