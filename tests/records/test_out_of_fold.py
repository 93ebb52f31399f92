"""The out-of-fold record: each image once, by the net that has not seen it; what is not so is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.run_folders import write_run

from firstlight.errors import DamagedFileError, NewerFormatError, RunError
from firstlight.files import write_json
from firstlight.records import run_folder
from firstlight.records.out_of_fold import OUT_OF_FOLD, FoldRun, OutOfFold, collect, read
from firstlight.records.record_files import read_json
from firstlight.records.run_folder import RunFolder
from firstlight.types import Predictions

NAMES = ("cat", "dog", "bird")


def folds(root: Path, sizes: tuple[int, ...] = (4, 3, 5)) -> list[RunFolder]:
    """Runs whose test images are the folds of one split, and whose training images are the others'."""
    ids = np.array([f"train/{number}" for number in range(sum(sizes))])
    ends = np.cumsum((0, *sizes))
    runs = []
    for number, (first, last) in enumerate(pairwise(ends), 1):
        place = root / f"fold-{number}"
        place.mkdir(parents=True)
        test, train = ids[first:last], np.delete(ids, np.arange(first, last))
        write_run(place, class_names=NAMES, test=len(test), validation=False)
        labels = np.arange(len(test)) % 3
        given = np.full((len(test), 3), 0.25, np.float32)
        given[:, number - 1] = 0.5
        run_folder.write_predictions(place, {"test": Predictions(test, labels, given)})
        splits = {
            name: {"images": len(of), "counts": np.bincount(np.arange(len(of)) % 3).tolist(), "ids": of.tolist()}
            for name, of in (("train", train), ("test", test))
        }
        data = read_json(place, run_folder.DATA)
        write_json(place / run_folder.DATA, {**data, "format": 1, "splits": splits})
        run_folder.write_result(place, RunFolder(place).result)
        runs.append(RunFolder(place))
    return runs


def test_each_image_is_there_once_with_the_fold_that_tested_it(tmp_path: Path) -> None:
    found = collect(folds(tmp_path))
    assert found.ids.tolist() == [f"train/{number}" for number in range(12)]
    assert found.folds.tolist() == [1] * 4 + [2] * 3 + [3] * 5
    assert (found.probabilities.argmax(axis=1) == found.folds - 1).all()
    assert [run.folder for run in found.runs] == ["fold-1", "fold-2", "fold-3"]
    assert np.array_equal(found.predictions.probabilities, found.probabilities)


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    made = collect(folds(tmp_path))
    made.write(tmp_path)
    found = read(tmp_path)
    assert found is not None
    assert (found.class_names, found.runs) == (made.class_names, made.runs)
    for key in ("ids", "labels", "probabilities", "folds"):
        back, array = getattr(found, key), getattr(made, key)
        assert np.array_equal(back, array)
        assert back.dtype == array.dtype


def test_runs_that_are_no_folds_of_one_split_are_refused(tmp_path: Path) -> None:
    runs = folds(tmp_path)
    with pytest.raises(RunError, match="train/0 is there more than once"):
        collect([runs[0], runs[0]])
    with pytest.raises(RunError, match="has the image train/7, which none of them tested"):
        collect(runs[:2])


def record() -> OutOfFold:
    return OutOfFold(
        np.array(["a", "b"]),
        np.array([0, 1]),
        np.full((2, 2), 0.5, np.float32),
        np.array([1, 2]),
        ("x", "y"),
        (FoldRun("fold-1"), FoldRun("fold-2")),
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ids": np.array(["a", "a"])}, "a is there more than once"),
        ({"labels": np.array([0, 2])}, "labels from 0 to 2 for 2 classes"),
        ({"labels": np.array([0])}, "2 ids of 2 classes"),
        ({"folds": np.array([1, 1])}, "folds from 1 to 1 of 2 runs"),
        ({"folds": np.array([0, 1])}, "folds from 0 to 1 of 2 runs"),
        ({"probabilities": np.full((2, 3), 1 / 3, np.float32)}, "2 ids of 2 classes"),
    ],
)
def test_what_does_not_belong_together_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(record(), **change)


def _without_record(path: Path) -> None:
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files if key != "record"}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path.write_bytes(buffer.getvalue())


def _of_a_later_version(path: Path) -> None:
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files}
    later = arrays["record"].tobytes().replace(b'"format": 1', b'"format": 9')
    buffer = io.BytesIO()
    np.savez(buffer, **{**arrays, "record": np.frombuffer(later, np.uint8)})
    path.write_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), DamagedFileError),
        (_without_record, DamagedFileError),
        (_of_a_later_version, NewerFormatError),
    ],
)
def test_a_spoilt_file_is_told(tmp_path: Path, spoil: Callable[[Path], object], error: type[RunError]) -> None:
    record().write(tmp_path)
    spoil(tmp_path / OUT_OF_FOLD)
    with pytest.raises(error, match=OUT_OF_FOLD):
        read(tmp_path)


def test_predictions_of_a_run_that_was_trained_anew_are_told(tmp_path: Path) -> None:
    runs = folds(tmp_path)
    collect(runs).write(tmp_path)
    again = runs[0].predictions["test"]
    run_folder.write_predictions(
        runs[0].path, {"test": replace(again, probabilities=again.probabilities[:, ::-1].copy())}
    )
    run_folder.write_result(runs[0].path, runs[0].result)
    with pytest.raises(RunError, match="trained again"):
        read(tmp_path)
