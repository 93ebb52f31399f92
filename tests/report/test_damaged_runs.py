"""Run folders of which nothing can be reported: what is wrong with them is said."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.report.run_folders import MakeRun

from firstlight.errors import RunError
from firstlight.records import run_folder
from firstlight.records.run import read


def test_a_run_without_a_result_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    (run.path / run_folder.RESULT).unlink()
    with pytest.raises(RunError, match="still training, or it was cut off"):
        read(run)


def test_a_run_without_predictions_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    (run.path / run_folder.PREDICTIONS).unlink()
    with pytest.raises(RunError, match=r"has no predictions\.npz"):
        read(run)


def test_a_run_without_test_predictions_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    run_folder.write_predictions(run.path, {"validation": run.predictions["validation"]})
    with pytest.raises(RunError, match="no evaluation of test images"):
        read(run_folder.RunFolder.open(run.path))


def test_a_damaged_result_is_an_error(make_run: MakeRun) -> None:
    with pytest.raises(RunError, match=r"result\.json is damaged: it has no 'test\.images'"):
        read(make_run(result={"test": {"accuracy": 0.5}}))


def break_json(run: run_folder.RunFolder, name: str, changes: dict[str, Any]) -> run_folder.RunFolder:
    """Change keys of a record, or remove those that become None."""
    record = json.loads((run.path / name).read_text()) | changes
    (run.path / name).write_text(json.dumps({key: value for key, value in record.items() if value is not None}))
    return run_folder.RunFolder.open(run.path)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        (run_folder.DATA, {"name": None}, r"data\.json is damaged: it has no 'name'"),
        (run_folder.DATA, {"splits": 5}, r"data\.json is damaged: splits: must be a table; received 5"),
        (run_folder.DATA, {"splits": {"train": {}}}, r"data\.json is damaged: it has no 'splits\.train\.images'"),
        (
            run_folder.DATA,
            {"splits": {"train": {"images": 1, "counts": [1], "ids": ["a"]}}},
            r"splits\.train\.counts has 1 numbers for 3 classes",
        ),
        (run_folder.DATA, {"drawn": [1, 2]}, r"data\.json is damaged: drawn has 2 numbers for 3 classes"),
        (run_folder.DATA, {"class_weights": 2}, r"data\.json is damaged: class_weights: .*list; received 2"),
        (
            run_folder.DATA,
            {"before": {"class_names": ["a"], "counts": {"train": [1, 2]}}},
            r"before: counts\.train has 2 numbers for 1 classes",
        ),
        (run_folder.DATA, {"before": {"counts": {}}}, r"data\.json is damaged: it has no 'before\.class_names'"),
        (run_folder.MODEL, {"class_names": None}, r"model\.json is damaged: it has no 'class_names'"),
        (
            run_folder.MODEL,
            {"class_names": ["a", "b", "c"]},
            r"class_names of model\.json are not those of result\.json",
        ),
        (run_folder.MODEL, {"summary": None}, r"model\.json is damaged: it has no 'summary'"),
    ],
)
def test_a_record_that_lacks_something_is_an_error(
    make_run: MakeRun, name: str, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(RunError, match=says):
        read(break_json(make_run(), name, changes))


def test_an_empty_record_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    (run.path / run_folder.DATA).write_text('{"format": 1}')
    with pytest.raises(RunError, match=r"data\.json is damaged: it has no '"):
        read(run)


@pytest.mark.parametrize("name", [run_folder.SAMPLES, run_folder.PREDICTIONS])
def test_other_arrays_are_an_error(make_run: MakeRun, name: str) -> None:
    run = make_run()
    np.savez(run.path / name, **{"test.other": np.zeros(3)})  # type: ignore[arg-type]
    with pytest.raises(RunError, match=rf"{name} is damaged: it has no "):
        read(run)


def test_samples_of_other_classes_are_an_error(make_run: MakeRun) -> None:
    run = make_run()
    arrays = {"pixels": np.zeros((1, 8, 8, 1), np.uint8), "labels": np.array([9]), "ids": np.array(["a"])}
    np.savez(run.path / run_folder.SAMPLES, **{f"test.{key}": array for key, array in arrays.items()})  # type: ignore[arg-type]
    with pytest.raises(RunError, match=r"samples\.npz is damaged\. Labels must lie in 0\.\.2"):
        read(run)


def test_a_history_without_validation_of_a_validated_run_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    run_folder.write_history(run.path, ["epoch", "loss", "accuracy"], [{"epoch": 1, "loss": 1, "accuracy": 1}])
    with pytest.raises(RunError, match=r"history\.csv is damaged: it has no column 'val_loss'"):
        read(run)


def test_files_of_different_runs_are_an_error(make_run: MakeRun) -> None:
    other = make_run("other", test=30)
    with pytest.raises(RunError, match="belong to different runs"):
        read(make_run(result={"test": other.result.test}))
