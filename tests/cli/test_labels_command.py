"""`firstlight labels`: labels that were made wrong on purpose are found among all images of a k-fold split."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Answer
from tests.experiments.small_runs import do

import firstlight as fl
from firstlight.data.corrections import pixels_sha256
from firstlight.errors import DamagedFileError, RunError
from firstlight.explain.label_errors import WITNESSES
from firstlight.randomness import generator
from firstlight.records import label_issues, out_of_fold
from firstlight.records.label_issues import LABEL_ISSUES
from firstlight.types import Dataset

FOLDS, SPOILT = 2, 20
TABLES = {
    "model": {"name": "mlp-128", "units": [32]},
    "optimizer": {"lr": 0.01},
    "training": {"epochs": 8},
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    """400 digits, of which the first twenty of a random order have another label."""
    images = digits.splits["train"]
    labels = images.labels[:400].copy()
    labels[spoilt()] = (labels[spoilt()] + 1) % 10
    path = tmp_path_factory.mktemp("images") / "digits.npz"
    np.savez(path, images=images.pixels[:400], labels=labels)
    return path


def spoilt() -> np.ndarray:
    return np.sort(generator(0).permutation(400)[:SPOILT])


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """The folder of the folds in that of a study: their runs and the out-of-fold record."""
    place = tmp_path_factory.mktemp("runs") / "study" / "mlp" / "seed-0"
    tables = {**TABLES, "data": {"source": str(source), "folds": FOLDS}}
    runs = [do(tables, place / f"fold-{fold}", None, data__fold=fold) for fold in range(1, FOLDS + 1)]
    out_of_fold.collect(runs).write(place)
    return place


@pytest.fixture(scope="module")
def found(folds: Path) -> label_issues.LabelIssues:
    return fl.label_issues(folds.parent.parent)


def test_spoilt_labels_come_first(found: label_issues.LabelIssues, source: Path) -> None:
    ids = [f"train/{i:05d}" for i in spoilt()]
    assert np.isin(found.ids[:10], ids).mean() >= 0.9  # by chance 0.05
    assert np.isin(ids, found.ids).mean() >= 0.9
    assert found.images == 400
    assert (found.scores > 0).all()
    assert found.nearest_ids.shape == (len(found), WITNESSES)


def test_neighbours_are_of_other_folds(found: label_issues.LabelIssues, folds: Path) -> None:
    asked = out_of_fold.read(folds)
    assert asked is not None
    fold_of = dict(zip(asked.ids.tolist(), asked.folds.tolist(), strict=True))
    label_of = dict(zip(asked.ids.tolist(), asked.labels.tolist(), strict=True))
    for one in found:
        assert fold_of[one.id] == one.fold
        assert all(fold_of[sample] != one.fold for sample in one.nearest)
        assert [label_of[sample] for sample in one.nearest] == list(one.labels)


def test_each_has_its_reason_and_its_pixels(found: label_issues.LabelIssues, source: Path) -> None:
    one = found[0]
    images = fl.load(source).splits["train"]
    place = images.ids.tolist().index(one.id)
    assert one.pixels == pixels_sha256(images.pixels[place])
    np.testing.assert_array_equal(found.pixels[0], images.pixels[place])
    np.testing.assert_array_equal(found.nearest_pixels[0, 0], images.pixels[images.ids.tolist().index(one.nearest[0])])
    given, suggested = one.class_names[one.given], one.class_names[one.suggested]
    assert one.reason == (
        f"the net that was not trained on it predicts {suggested} {one.probabilities[1]:.2f}, {given} "
        f"{one.probabilities[0]:.2f}; of its {WITNESSES} nearest images {one.labels.count(one.suggested)} are labelled "
        f"{suggested}, {one.labels.count(one.given)} {given}"
    )


def test_the_record_is_read_again(found: label_issues.LabelIssues, folds: Path, tmp_path: Path) -> None:
    again = label_issues.read(folds)
    assert again is not None
    assert list(again) == list(found)
    assert label_issues.read(tmp_path) is None
    copy = Path(shutil.copytree(folds, tmp_path / "copy"))
    (copy / LABEL_ISSUES).write_bytes((copy / LABEL_ISSUES).read_bytes()[:-100])
    with pytest.raises(DamagedFileError, match=r"label_issues\.npz is damaged: .* Make it again: firstlight labels"):
        label_issues.read(copy)
    replace(found, runs=tuple(replace(run, predictions="0" * 64) for run in found.runs)).write(copy)
    with pytest.raises(RunError, match="is of other predictions than"):
        label_issues.read(copy)
    with pytest.raises(ValueError, match="suggested from 0 to 10 for 10 classes"):
        replace(found, suggested=np.where(np.arange(len(found)) == 0, 10, 0))


def test_the_command(firstlight: Callable[..., Answer], folds: Path, tmp_path: Path) -> None:
    table = tmp_path / "doubts.csv"
    answer = firstlight("labels", folds.parent, "--out", table, "--top", 3, "--json")
    assert answer.code == 0, answer.err
    value = json.loads(answer.out)
    assert value["images"] == 400
    assert value["in_doubt"] == len(value["labels"])
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [one["image"] for one in value["labels"]]
    assert rows[0]["reason"] == value["labels"][0]["reason"]
    assert rows[0]["nearest_1"] == value["labels"][0]["nearest"][0]["image"]
    answer = firstlight("labels", folds, "--top", 3)
    assert answer.out.count("→") == 3
    assert "firstlight view" in answer.out


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("seed-0/fold-1", "is the run of one fold. Give the folder of all: firstlight labels .*seed-0$"),
        ("alone", r"is one run\. .*firstlight explain .* --folds 5"),
        ("seed-0/nothing", "there is no such folder"),
        ("empty", "has no out-of-fold predictions: .* firstlight resume"),
    ],
)
def test_what_is_no_folder_of_folds(firstlight: Callable[..., Answer], folds: Path, place: str, says: str) -> None:
    (folds.parent / "empty").mkdir(exist_ok=True)
    if not (folds.parent / "alone").exists():
        shutil.copytree(folds / "fold-1", folds.parent / "alone")
    answer = firstlight("labels", folds.parent / place)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    with pytest.raises(RunError, match=says):
        fl.label_issues(folds.parent / place)


def test_several_splits_are_told(firstlight: Callable[..., Answer], folds: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        shutil.copytree(folds, tmp_path / "mlp" / f"seed-{seed}")
    with pytest.raises(RunError, match=r"holds several k-fold splits. Give one of them: .*seed-0 or .*seed-1"):
        fl.label_issues(tmp_path)
    assert firstlight("labels", folds, "--out", "doubts.txt").code == 2


def test_images_that_changed(folds: Path, tmp_path: Path, source: Path) -> None:
    arrays = dict(np.load(source))
    arrays["images"] = 255 - arrays["images"]
    np.savez(tmp_path / "digits.npz", **arrays)
    with pytest.raises(RunError, match="no longer the same"):
        fl.label_issues(folds, data=tmp_path / "digits.npz")
