"""The Python side: fit, runs, and what is public."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import firstlight as fl
from firstlight import api
from firstlight.errors import ExperimentError, RunError
from firstlight.records import run_folder
from firstlight.types import Dataset

QUIET = Console(quiet=True)


def test_every_public_name_is_there_and_documented() -> None:
    assert len(fl.__all__) == len(set(fl.__all__)) > 30
    for name in fl.__all__:
        assert getattr(fl, name).__doc__, name
    assert set(fl.__all__) <= set(dir(fl))
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = fl.nothing_here


def test_importing_firstlight_imports_nothing_heavy() -> None:
    code = "import sys, firstlight, firstlight.cli; print(*sys.modules); import firstlight.api; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    first, of_api = map(str.split, printed.splitlines())
    assert not {"numpy", "numba", "pydantic", "altair", "sklearn", "rich.progress"} & set(first)
    assert not {"altair", "sklearn", "torch", "loky", "onnx"} & set(of_api)


def test_fit_learns_and_measures(digits_run: fl.Run, digits: Dataset) -> None:
    assert digits_run.accuracy > 0.9
    assert len(digits_run.history["loss"]) == 8
    assert digits_run.experiment.data.source == "digits"
    measured, predictions = digits_run.evaluate()
    assert measured.accuracy == digits_run.accuracy
    assert measured.loss == pytest.approx(digits_run.folder.result.test.loss)
    assert (predictions.ids == digits_run.predictions["test"].ids).all()
    assert (predictions.probabilities == digits_run.predictions["test"].probabilities).all()


def test_settings_that_came_too_late_are_refused(digits: Dataset, tmp_path: Path) -> None:
    for key, value in (("data.size", 16), ("data.source", "mnist")):
        with pytest.raises(fl.ExperimentError, match=f"{key} is used when images are loaded"):
            fl.fit("softmax-regression", digits, settings={key: value}, out=tmp_path / "a", console=QUIET)


def test_a_class_instead_of_a_value_is_named(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(fl.ExperimentError, match=r"Did you mean SGD\(…\)"):
        fl.fit("softmax-regression", digits, optimizer=fl.optimizers.SGD, out=tmp_path / "a", console=QUIET)  # type: ignore[arg-type]


def test_a_model_made_for_other_images_is_refused_with_the_remedy(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(fl.ModelError, match=r"28×28×1.*8×8×1.*input_shape=\(8, 8, 1\)"):
        fl.fit(fl.models.mlp_128(), digits, out=tmp_path / "a", console=QUIET)
    assert not (tmp_path / "a").exists()


def test_a_model_of_ones_own_is_recorded_layer_by_layer(digits: Dataset, tmp_path: Path) -> None:
    from firstlight.layers import GELU, Chain, Dense, Flatten

    model = fl.Model("mine", Chain((Flatten(), Dense(12), GELU(), Dense(10))), (8, 8, 1), 10)
    run = fl.fit(model, digits, epochs=1, out=tmp_path / "mine", console=QUIET)
    again = fl.run(run.path / "experiment.toml", out=tmp_path / "again", console=QUIET)
    assert again.task.model.layers == model.layers
    assert (again.path / "weights.safetensors").read_bytes() == (run.path / "weights.safetensors").read_bytes()


def test_values_and_names_say_the_same(digits: Dataset, tmp_path: Path) -> None:
    by_value = fl.fit(
        fl.models.mlp_128((8, 8, 1), units=(16,)),
        digits,
        epochs=1,
        optimizer=fl.optimizers.Lagged(fl.optimizers.SGD(lr=0.05, momentum=0.9), 0.1),
        schedule=fl.schedules.Cosine(warmup=0.5),
        loss=fl.losses.CrossEntropy(label_smoothing=0.1),
        out=tmp_path / "values",
        console=QUIET,
    )
    by_name = fl.fit(
        "mlp-128",
        "digits",
        epochs=1,
        optimizer="sgd",
        schedule="cosine",
        settings={
            "data.size": 8,
            "model.units": [16],
            "optimizer.lr": 0.05,
            "optimizer.momentum": 0.9,
            "optimizer.lag": 0.1,
            "schedule.warmup": 0.5,
            "loss.label_smoothing": 0.1,
        },
        out=tmp_path / "names",
        console=QUIET,
    )
    assert by_value.experiment == by_name.experiment
    assert (by_value.task.model.layers, by_value.history["loss"]) == (
        by_name.task.model.layers,
        by_name.history["loss"],
    )


def test_folders_are_named_by_themselves(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [fl.fit("softmax-regression", digits, epochs=1, console=QUIET).path.as_posix() for _ in range(2)]
    assert paths == ["runs/softmax-regression-digits", "runs/softmax-regression-digits-2"]


def test_a_study_on_this_machine_has_no_address(tmp_path: Path) -> None:
    with pytest.raises(
        fl.ExperimentError, match=r"tcp://host:8786' with backend loky.*--backend dask or --backend ray"
    ):
        fl.run_study("fashion-lenet", out=tmp_path / "study", address="tcp://host:8786")
    assert not (tmp_path / "study").exists()


def test_a_run_that_is_there_is_reused(few_digits: Dataset, tmp_path: Path) -> None:
    def fit(images: Dataset = few_digits, **options: Any) -> fl.Run:
        asked = {"epochs": 2, "out": tmp_path / "run", "reuse": True, **options}
        return fl.fit("softmax-regression", images, console=QUIET, **asked)

    def written() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}

    first, before = fit(), written()
    again = fit()
    assert written() == before
    assert again.accuracy == first.accuracy
    with pytest.raises(RunError, match=r"another experiment: it differs in training.epochs"):
        fit(epochs=3)
    train = few_digits.splits["train"]
    darker = replace(few_digits, splits={**few_digits.splits, "train": replace(train, pixels=train.pixels // 2)})
    with pytest.raises(RunError, match="no longer the same"):
        fit(darker)
    with pytest.raises(RunError, match="exists already"):
        fit(reuse=False)
    with pytest.raises(ExperimentError, match="needs the folder"):
        fit(out=None)
    assert written() == before

    (tmp_path / "run" / run_folder.RESULT).unlink()  # cut off before it was measured
    assert fit().accuracy == first.accuracy
    for path in (tmp_path / "run").iterdir():  # cut off while its plan was written
        if path.name != run_folder.EXPERIMENT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert fit().accuracy == first.accuracy


def test_a_run_folder_that_is_named_by_itself_has_a_name_that_file_systems_take(tmp_path: Path) -> None:
    setup = SimpleNamespace(model=SimpleNamespace(name="mlp-128"), dataset=SimpleNamespace(name="é" * 250))
    name = api._free_folder(setup).name  # type: ignore[arg-type]
    assert len(name.encode()) <= 120
    assert name.startswith("mlp-128-é")
