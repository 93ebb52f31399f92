"""Runs on corrected labels: the splits stay, the record tells, and a run that is found again has the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.experiments import small_runs
from tests.experiments.small_runs import QUIET

import firstlight as fl
from firstlight import data, experiments
from firstlight.data.corrections import Correction, pixels_sha256, write_corrections
from firstlight.errors import DataError, ExperimentError, RunError
from firstlight.records import group, run
from firstlight.records.run_folder import RunFolder
from firstlight.types import Dataset

TABLES: dict[str, Any] = {
    "data": {"source": "digits"},
    "model": {"name": "mlp-128", "units": [8]},
    "training": {"epochs": 1},
}
experiment, do = partial(small_runs.experiment, TABLES), partial(small_runs.do, TABLES)


def corrections(dataset: Dataset, changes: Mapping[str, Sequence[str]]) -> list[Correction]:
    """For some images of each split, new labels: "" drops, "same" keeps."""
    rows = []
    for split, new in changes.items():
        images = data.split(dataset)[split]
        for i, name in enumerate(new):
            old = images.class_names[images.labels[i]]
            rows.append(
                Correction(str(images.ids[i]), pixels_sha256(images.pixels[i]), old, old if name == "same" else name)
            )
    return rows


CHANGES = {"train": ["7", "", "same"], "validation": ["7"], "test": ["7", "7", ""]}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    path = tmp_path_factory.mktemp("table") / "corrections.csv"
    write_corrections(path, corrections(digits, CHANGES))
    return path


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory, table: Path) -> RunFolder:
    return do(tmp_path_factory.mktemp("runs") / "corrected", data__corrections=str(table))


def test_the_split_is_that_of_the_labels_as_they_were(corrected: RunFolder, digits: Dataset) -> None:
    for name, images in data.split(digits).items():
        changes = CHANGES[name]
        kept = [sample for i, sample in enumerate(images.ids.tolist()) if changes[i : i + 1] != [""]]
        assert list(corrected.data.splits[name].ids) == kept
    test = corrected.predictions["test"]
    truth = dict(zip(data.split(digits)["test"].ids.tolist(), data.split(digits)["test"].labels.tolist(), strict=True))
    changed = [i for i, sample in enumerate(test.ids.tolist()) if truth[sample] != test.labels[i]]
    assert changed == [0, 1]
    assert test.labels[:2].tolist() == [7, 7]


def test_the_record(corrected: RunFolder, table: Path) -> None:
    record = corrected.data.corrections
    assert record is not None
    assert record.counts == {
        "train": {"relabelled": 1, "dropped": 1, "kept": 1},
        "validation": {"relabelled": 1, "dropped": 0, "kept": 0},
        "test": {"relabelled": 2, "dropped": 1, "kept": 0},
    }
    assert (record.changed("train"), record.changed("test")) == (2, 3)
    assert record.location == str(table)
    assert len(record.sha256) == 64
    assert [(one.split, one.kind) for one in record.rows if one.kind == "kept"] == [("train", "kept")]
    assert {one.split for one in record.rows} == {"train", "validation", "test"}
    assert "of test 2 relabelled and 1 dropped" in corrected.data.how_split
    assert any("firstlight compare shows both" in warning for warning in corrected.data.warnings)


def test_a_run_is_found_again_whatever_became_of_the_table(tmp_path: Path, table: Path, digits: Dataset) -> None:
    path = tmp_path / "corrections.csv"
    path.write_bytes(table.read_bytes())
    folder = do(tmp_path / "run", data__corrections=str(path))
    again = experiment(data__corrections=str(path))
    assert experiments.holds(folder, experiments.set_up(again))
    write_corrections(path, corrections(digits, {"train": ["9"]}))
    with pytest.raises(RunError, match=r"other corrections than .*corrections.csv has now"):
        experiments.holds(folder, experiments.set_up(again))
    path.unlink()
    measured, predictions = fl.Run(folder.path).evaluate()
    assert measured.accuracy == folder.result.test.accuracy
    np.testing.assert_array_equal(predictions.labels, folder.predictions["test"].labels)
    (folder.path / "result.json").unlink()
    epochs = (folder.path / "experiment.toml").read_text().replace("epochs = 1", "epochs = 2")
    (folder.path / "experiment.toml").write_text(epochs)
    assert experiments.resume(folder.path, QUIET).result.epochs.run == 2


def test_other_corrections_are_another_recipe(tmp_path: Path, corrected: RunFolder, digits: Dataset) -> None:
    path = tmp_path / "corrections.csv"
    write_corrections(path, corrections(digits, {"train": ["9"]}))
    other = do(tmp_path / "other", data__corrections=str(path))
    first, second = group.recipe(run.read(corrected)), group.recipe(run.read(other))
    assert first[-1] != second[-1]  # type: ignore[index]
    assert other.data.corrections is not None
    assert not any("compare" in warning for warning in other.data.warnings)  # no test image has another label


def test_classes_are_chosen_after_the_corrections(tmp_path: Path, table: Path, digits: Dataset) -> None:
    setup = experiments.set_up(experiment(data__corrections=str(table), data__classes=["7", "1"]), digits)
    plain = experiments.set_up(experiment(data__classes=["7", "1"]), digits)
    added = set(setup.splits["test"].ids.tolist()) - set(plain.splits["test"].ids.tolist())
    assert added <= set(data.split(digits)["test"].ids[:2].tolist())
    assert setup.corrections is not None
    few = experiments.set_up(experiment(data__corrections=str(table), data__limit=10), digits)
    assert few.corrections is not None
    assert {one.split for one in few.corrections.rows} == {"", "validation", "test"}


def test_what_does_not_fit_is_told_before_anything_starts(tmp_path: Path, digits: Dataset) -> None:
    path = tmp_path / "corrections.csv"
    [row] = corrections(digits, {"test": ["7"]})
    write_corrections(path, [Correction(row.id, "0" * 64, row.old, row.new)])
    with pytest.raises(DataError, match=r"corrections.csv: 1 of 1 images are not those that were reviewed"):
        do(tmp_path / "run", data__corrections=str(path))
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataError, match=r"gone.csv cannot be read: No such file"):
        experiments.set_up(experiment(data__corrections=str(tmp_path / "gone.csv")), digits)


def test_the_path_is_relative_to_the_file(tmp_path: Path, table: Path) -> None:
    file = tmp_path / "some" / "e.toml"
    file.parent.mkdir()
    file.write_text('[data]\nsource = "digits"\ncorrections = "c.csv"\n')
    with pytest.raises(ExperimentError, match=r"data.corrections: there is nothing called 'c.csv': looked for"):
        experiments.read_located(file)
    (file.parent / "c.csv").write_bytes(table.read_bytes())
    assert experiments.read_located(file)["data"]["corrections"] == str(file.parent / "c.csv")


def test_the_file_of_a_run_finds_its_corrections(corrected: RunFolder, table: Path) -> None:
    file = corrected.path / "experiment.toml"
    file.write_text(file.read_text().replace(str(table), table.name))
    assert experiments.read_located(file)["data"]["corrections"] == str(table)
