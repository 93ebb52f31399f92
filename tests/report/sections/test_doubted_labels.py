"""Doubted labels: the record beside folds, as rows of an image and those that are nearest to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.report.run_folders import write_run

from firstlight.records.group import Group
from firstlight.records.label_issues import LABEL_ISSUES, LabelIssues
from firstlight.records.out_of_fold import FoldRun
from firstlight.records.run import RunRecord, read
from firstlight.records.run_folder import RunFolder
from firstlight.records.study_folder import FoldKey, RunKey
from firstlight.report.document import ImageGrid
from firstlight.report.sections.doubted_labels import section


def over_folds(root: Path) -> Group:
    keys: dict[RunKey, RunRecord] = {}
    for fold in (1, 2):
        place = root / f"fold-{fold}"
        place.mkdir()
        write_run(place, seed=fold)
        keys[FoldKey(0, fold)] = read(RunFolder(place))
    return Group("net", keys, tuple(keys))


def issues(n: int) -> LabelIssues:
    return LabelIssues(
        images=40,
        layer="dense1",
        ids=np.array([f"train/{i}" for i in range(n)], dtype=np.str_),
        folds=np.ones(n, np.int64),
        given=np.zeros(n, np.int64),
        suggested=np.ones(n, np.int64),
        probabilities=np.tile(np.array([0.1, 0.9], np.float32), (n, 1)),
        scores=np.ones(n, np.float32),
        nearest_ids=np.tile(["train/7", "train/8"], (n, 1)),
        nearest_labels=np.tile([1, 2], (n, 1)),
        hashes=np.full(n, "0" * 64),
        pixels=np.zeros((n, 8, 8, 1), np.uint8),
        nearest_pixels=np.zeros((n, 2, 8, 8, 1), np.uint8),
        class_names=("cat", "dog", "bird"),
        runs=(FoldRun("fold-1"), FoldRun("fold-2")),
    )


def test_a_row_for_each(tmp_path: Path) -> None:
    group = over_folds(tmp_path)
    assert section([group]) is None  # nothing was asked yet
    issues(3).write(tmp_path)
    made = section([group])
    assert made is not None
    [grid] = made.blocks
    assert isinstance(grid, ImageGrid)
    assert grid.columns == 3
    assert [picture.text for picture in grid.pictures[:3]] == ["cat → dog", "dog", "bird"]
    assert "0.10 → 0.90, 1 of 2 near" in grid.pictures[0].detail
    assert "3 of 40 labels are suspected to be wrong" in grid.caption
    (tmp_path / LABEL_ISSUES).write_bytes(b"damaged")
    assert section([group]) is None


def test_runs_that_are_no_folds_have_none(tmp_path: Path) -> None:
    group = over_folds(tmp_path)
    issues(1).write(tmp_path)
    single = Group("net", {0: next(iter(group.runs.values()))}, (0,))
    assert section([single]) is None
