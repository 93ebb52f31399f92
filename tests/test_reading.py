"""A run's folder is believed only where it is what the run wrote; whatever else lies there is told, not a traceback."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from firstlight import api, experiments, files
from firstlight.cli.run import opened
from firstlight.errors import FirstlightError, ModelError, RunError
from firstlight.experiments import Experiment
from firstlight.records import explanation, run_folder
from firstlight.records.run_folder import RunFolder
from firstlight.records.search_folder import TuneFolder
from firstlight.records.study_folder import StudyFolder
from firstlight.types import Array
from firstlight.weights import from_bytes, to_bytes

PIXELS = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
TABLES = {"data": {"source": "digits"}, "model": {"name": "mlp-128", "units": [16]}}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    out = tmp_path_factory.mktemp("reading") / "run"
    quiet = Console(quiet=True)
    run = api.fit(
        "mlp-128",
        "digits",
        epochs=1,
        out=out,
        console=quiet,
        settings={"training.cost_every": 10, "model.units": [16]},
    )
    return run.folder


@pytest.fixture
def folder(kept: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(kept.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def without_hashes(folder: RunFolder) -> None:
    """As an earlier version wrote it."""
    record = json.loads((folder.path / run_folder.RESULT).read_text())
    del record["hashed"]
    (folder.path / run_folder.RESULT).write_text(json.dumps(record))
    (folder.path / run_folder.HASHES).unlink()


def spoil(folder: RunFolder, change: Callable[[dict[str, Array]], object]) -> None:
    """Change the arrays of its weights."""
    path = folder.path / run_folder.WEIGHTS
    arrays = from_bytes(path.read_bytes(), "x")
    change(arrays)
    path.write_bytes(to_bytes(arrays))


def begin(path: Path) -> None:
    """Set up a run that starts from there."""
    experiments.set_up(Experiment.of({**TABLES, "weights": {"init_from": str(path)}}))


def read_all(folder: RunFolder) -> None:
    fresh = RunFolder(folder.path)
    for name in ("experiment", "environment", "data", "model", "result", "history", "costs", "predictions", "samples"):
        getattr(fresh, name)
    explanation.read(fresh)
    api.Run(folder.path).predict(PIXELS)


def test_a_run_keeps_the_hashes_of_its_files(kept: RunFolder) -> None:
    assert kept.hashes == {name: files.sha256(kept.path / name) for name in run_folder.HASHED}
    read_all(kept)


def test_hashes_that_are_gone_are_missed(folder: RunFolder) -> None:
    (folder.path / run_folder.HASHES).unlink()
    with pytest.raises(RunError, match=r"has no hashes\.json"):
        api.Run(folder.path).predict(PIXELS)


@pytest.mark.parametrize("name", run_folder.HASHED)
def test_a_flipped_bit_is_told(folder: RunFolder, name: str) -> None:
    data = bytearray((folder.path / name).read_bytes())
    data[len(data) * 3 // 4] ^= 1
    (folder.path / name).write_bytes(bytes(data))
    with pytest.raises(RunError, match=rf"{name} is damaged"):
        read_all(folder)


def test_weights_that_are_not_the_run_s_own_are_told(folder: RunFolder) -> None:
    def swap(arrays: dict[str, Array]) -> None:
        arrays["dense1.b"] = arrays["dense1.b"][::-1].copy()

    spoil(folder, swap)
    for use in (
        lambda: api.Run(folder.path).predict(PIXELS),
        lambda: api.Run(folder.path).evaluate(),
        lambda: begin(folder.path),
    ):
        with pytest.raises(RunError, match=r"weights\.safetensors is damaged: it is not the file that the run wrote"):
            use()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda a: a.update({"dense1.b": a["dense1.b"] * np.nan}), "dense1.b are not all finite"),
        (lambda a: a.update({"dense1.b": a["dense1.b"].astype(np.float64) + 1e300}), "dense1.b are not all finite"),
        (lambda a: a.update({"dense1.b": a["dense1.b"].view(np.int32)}), "dense1.b are int32"),
        (lambda a: a.update({"dense1.b": a["dense1.b"][None]}), "dense1.b have shape"),
        (lambda a: a.pop("dense1.b"), "have no dense1.b"),
        (lambda a: a.update({"x" * 9999: a["dense1.b"]}), "which the model does not have"),
    ],
)
def test_weights_without_a_hash_are_looked_at_all_the_same(
    folder: RunFolder, change: Callable[[dict[str, Array]], object], why: str
) -> None:
    without_hashes(folder)
    assert api.Run(folder.path).predict(PIXELS).shape == (1, 10)
    spoil(folder, change)
    with pytest.raises(ModelError, match=why) as told:
        api.Run(folder.path).predict(PIXELS)
    assert str(folder.path / run_folder.WEIGHTS) in str(told.value)
    assert len(str(told.value)) < 1000
    alone = Path(shutil.copy(folder.path / run_folder.WEIGHTS, folder.path.parent / "alone.safetensors"))
    if "does not have" not in why:  # which a file to start from may have
        with pytest.raises(ModelError, match=r"alone\.safetensors"):
            begin(alone)


def test_a_run_of_an_earlier_version_is_said_to_have_no_hashes(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(folder.path, None, None)
    assert capsys.readouterr().err == ""
    without_hashes(folder)
    opened(folder.path, None, None)
    assert capsys.readouterr().err.count("has no hashes of its files") == 1


def test_an_explanation_of_other_weights_is_told(folder: RunFolder) -> None:
    found = explanation.Explanation("dense1", 1, "a", (), (), None, (), (), (), (), (), 1.0, folder.class_names)
    found.write(folder)
    assert explanation.read(RunFolder(folder.path)) is not None
    record = json.loads((folder.path / run_folder.HASHES).read_text())
    record["sha256"][run_folder.WEIGHTS] = "0" * 64
    (folder.path / run_folder.HASHES).write_text(json.dumps(record))
    with pytest.raises(RunError, match="explains other weights"):
        explanation.read(RunFolder(folder.path))
    without_hashes(folder)
    assert explanation.read(RunFolder(folder.path)) is not None


def change_json(folder: Path, name: str, key: str, value: Any) -> None:
    record = at = json.loads((folder / name).read_text())
    *parents, last = key.split(".")
    for part in parents:
        at = at[int(part) if isinstance(at, list) else part]
    at[int(last) if isinstance(at, list) else last] = value
    (folder / name).write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        (run_folder.MODEL, "input_shape", [10**9, 10**9, 1]),
        (run_folder.MODEL, "input_shape", [8, 8]),
        (run_folder.MODEL, "input_shape", [8, 9, 1]),
        (run_folder.MODEL, "class_names", ["a"] * 10),
        (run_folder.MODEL, "class_names", "abcdefghij"),
        (run_folder.MODEL, "classes", 3),
        (run_folder.MODEL, "layers", {}),
        (run_folder.MODEL, "summary", [1]),
        (run_folder.MODEL, "name", 3),
        (run_folder.MODEL, "preparation", None),
        (run_folder.DATA, "splits", {}),
        (run_folder.DATA, "splits.test.counts", [1] * 10),
        (run_folder.DATA, "splits.test.ids", ["a"] * 360),
        (run_folder.DATA, "splits.test.images", 1.5),
        (run_folder.DATA, "source", ["digits"]),
        (run_folder.DATA, "warnings", "x"),
        (run_folder.RESULT, "status", "frob"),
        (run_folder.RESULT, "test.accuracy", 0.5),
        (run_folder.RESULT, "test.accuracy", "0.5"),
        (run_folder.RESULT, "test.confusion.counts", [[1]]),
        (run_folder.RESULT, "test.confusion.rows", "predicted"),
        (run_folder.RESULT, "epochs.run", -1),
        (run_folder.RESULT, "seconds.train", None),
        (run_folder.RESULT, "seconds.train", True),
        (run_folder.RESULT, "parameters", []),
        (run_folder.HASHES, "sha256", {"weights.safetensors": 3}),
        (run_folder.ENVIRONMENT, "machine", "x"),
        (run_folder.ENVIRONMENT, "threads", "2"),
        (run_folder.ENVIRONMENT, "format", 1.0),
        (run_folder.ENVIRONMENT, "format", True),
    ],
)
def test_a_record_of_other_kinds_is_named_with_its_key(folder: RunFolder, name: str, key: str, value: Any) -> None:
    change_json(folder.path, name, key, value)
    with pytest.raises(RunError, match=rf"{name} is damaged: ") as told:
        read_all(folder)
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (run_folder.HISTORY, "epoch,loss\n1,0.5\n1.5,0.4\n"),
        (run_folder.HISTORY, "epoch,loss\ninf,0.5\n"),
        (run_folder.HISTORY, "epoch,loss\nnan,0.5\n"),
        (run_folder.HISTORY, "epoch\n1\n"),
        (run_folder.HISTORY, "epoch,epoch,loss\n1,2,3\n"),
        (run_folder.HISTORY, '"' + "x" * 200_000),
        (run_folder.COSTS, "\0" * 50),
        (run_folder.EXPERIMENT, "x = " + "[" * 3000),
        (run_folder.EXPERIMENT, "data = 3"),
        (run_folder.EXPERIMENT, "seed = -1\n[data]\nsource = 'digits'"),
        (run_folder.EXPERIMENT, "[data]\nsource = 3"),
        (run_folder.RESULT, "[" * 100_000),
        (run_folder.RESULT, "9" * 5000),
        (run_folder.MODEL, "null"),
        (run_folder.DATA, '{"format": ' + "9" * 5000 + "}"),
    ],
)
def test_a_text_that_is_no_record_is_named(folder: RunFolder, name: str, text: str) -> None:
    without_hashes(folder)
    (folder.path / name).write_text(text)
    with pytest.raises(RunError, match=rf"{name} is damaged: ") as told:
        read_all(folder)
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize(
    "name", [run_folder.EXPERIMENT, *run_folder.HASHED, run_folder.DATA, run_folder.RESULT, explanation.EXPLANATION]
)
@pytest.mark.parametrize("what", ["pipe", "zero", "outside", "folder", "loop", "large"])
def test_what_is_no_file_of_the_folder_is_told_at_once(folder: RunFolder, name: str, what: str) -> None:
    path = folder.path / name
    path.unlink(missing_ok=True)
    match what:
        case "pipe":
            os.mkfifo(path)
        case "zero":
            path.symlink_to("/dev/zero")
        case "outside":
            (folder.path.parent / "other").write_text("secret")
            path.symlink_to("../other")
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path.name)
        case "large":
            with path.open("wb") as file:
                file.truncate(files.WEIGHTS_LIMIT + 1)  # of a sparse file, on paper only
    with pytest.raises(FirstlightError) as told:
        read_all(folder)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    "change",
    [
        {"test.labels": np.full(360, 10)},
        {"test.labels": np.full(360, -1)},
        {"test.labels": np.zeros(360)},
        {"test.labels": np.zeros((360, 1), int)},
        {"test.ids": np.arange(360)},
        {"test.probabilities": np.full((360, 10), np.nan, np.float32)},
        {"test.probabilities": np.full((360, 10), 2, np.float32)},
        {"test.probabilities": np.full((360, 11), 0.1, np.float32)},
        {"test.probabilities": np.float32(1)},
        {"test.probabilities": np.full((360, 10), 0.1, np.complex64)},
    ],
)
def test_predictions_that_are_none_are_told(folder: RunFolder, change: dict[str, Array]) -> None:
    without_hashes(folder)
    path = folder.path / run_folder.PREDICTIONS
    arrays = files.arrays_of(path.read_bytes()) | change
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    path.write_bytes(buffer.getvalue())
    with pytest.raises(RunError, match=r"predictions\.npz is damaged"):
        read_all(folder)


STUDY = {"format": 1, "name": "s", "title": "t", "about": "", "runs": [{"name": "a", "seeds": [0]}]}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../outside"),
        ("name", ".."),
        ("runs.0.name", "/etc"),
        ("runs.0.name", "a/../../b"),
        ("runs.0.name", "a\0"),
        ("runs.0.name", "\ud800"),
        ("runs.0.seeds", [-1]),
        ("runs.0.seeds", "01"),
        ("runs.0.published", "0.9"),
        ("runs.0.beside", {"x": None}),
        ("runs", [{"name": "a", "seeds": [0]}] * 2),
        ("runs", {}),
        ("title", 3),
    ],
)
def test_a_study_names_its_own_folders_alone(tmp_path: Path, key: str, value: Any) -> None:
    (tmp_path / run_folder.STUDY).write_text(json.dumps(STUDY))
    assert StudyFolder.open(tmp_path).entries[0].name == "a"
    change_json(tmp_path, run_folder.STUDY, key, value)
    with pytest.raises(RunError, match=r"study\.json is damaged: "):
        StudyFolder.open(tmp_path)


def test_a_search_of_other_kinds_is_told(tmp_path: Path) -> None:
    trial = {"number": 1, "state": "complete", "values": {"optimizer.lr": 0.1}, "value": 0.5}
    search = {"status": "complete", "monitor": "val_accuracy", "maximise": True, "asked": 1, "sampler": "tpe"}
    search |= {"pruner": "none", "seed": 0, "epochs": 1, "data": "digits", "model": "lenet5"}
    search |= {"space": {"optimizer.lr": {"log": [0.01, 1]}, "training.batch_size": [16, 32]}}
    search |= {"format": 1, "trials": [trial], "importance": {}, "of a later version": 1}
    (tmp_path / "tune.toml").write_text("")
    for key, value in (
        ("", None),
        ("trials.0.state", "frob"),
        ("trials.0.number", 0),
        ("trials.0.value", "1"),
        ("trials.0.values", {"optimizer.lr": {"a": 1}}),
        ("trials.0.values", {"training.batch_size": 64}),
        ("space", 3),
        ("space", {"optimizer.lr": {"log": ["\0", 1]}}),
        ("space", {"optimizer.lr": {"log": [0, 1]}}),
        ("space", {"optimizer.lr": {}}),
    ):
        (tmp_path / run_folder.RESULT).write_text(json.dumps(search))
        if not key:
            assert TuneFolder.open(tmp_path).result.best.value == 0.5
            continue
        change_json(tmp_path, run_folder.RESULT, key, value)
        with pytest.raises(RunError, match=rf"result\.json is damaged: {key.partition('.')[0]}"):
            _ = TuneFolder.open(tmp_path).result


HEAD = {"type": "Dense", "units": 10}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": {"name": "mlp-128", "units": [10**18]}}, "parameters for these images; the limit"),
        ({"model": {"layers": [{"type": "Flatten"}, {"type": "Dense", "units": 2**62}]}}, "parameters for these"),
        (
            {
                "model": {"layers": [{"type": "Conv2D", "filters": 2**24}, {"type": "GlobalAvgPool2D"}, HEAD]},
                "training": {"batch_size": 2**20},
            },
            "GiB of memory or more",
        ),
    ],
)
def test_a_model_that_no_machine_holds_is_refused(changes: dict[str, Any], why: str) -> None:
    tables = {"data": {"source": "digits"}, **changes}
    with pytest.raises(FirstlightError, match=why):
        experiments.set_up(Experiment.of(tables))
