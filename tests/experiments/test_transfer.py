"""Weights taken over, frozen, replaced and trained on, by both engines."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import firstlight as fl
from firstlight import experiments, models, pretrained, weights
from firstlight.console import TrainingProgress
from firstlight.errors import DataError, ExperimentError, FirstlightError, ModelError, RunError
from firstlight.experiments import Experiment
from firstlight.prepare import IMAGENET_MEAN, Preparation
from firstlight.records.result import ParameterCounts
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array, Dataset
from firstlight.weights import from_file, to_bytes

ENGINES = ("numpy", "torch")
PARITY = {"even": ["0", "2", "4", "6", "8"], "odd": ["1", "3", "5", "7", "9"]}
LAYERS = [
    {"type": "Conv2D", "filters": 4, "name": "conv"},
    {"type": "BatchNorm", "name": "norm"},
    {"type": "ReLU"},
    {"type": "Flatten"},
    {"type": "Dense", "units": 10, "name": "head"},
]


def experiment(changes: Mapping[str, Any]) -> Experiment:
    tables: dict[str, Any] = {
        "data": {"source": "digits", "limit": 200},
        "model": {"layers": LAYERS},
        "training": {"epochs": 2},
    }
    for key, value in changes.items():
        experiments.put(tables, key, value)
    return Experiment.of(tables)


def do(path: Path, changes: Mapping[str, Any], notes: list[str] | None = None) -> RunFolder:
    watcher = TrainingProgress(Console(quiet=True))
    setup = experiments.set_up(experiment(changes))
    if notes is not None:
        notes += setup.warnings()
    return experiments.start(setup, path, watcher)


def arrays(run: RunFolder) -> dict[str, Array]:
    return from_file(run.path / "weights.safetensors")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return do(tmp_path_factory.mktemp("runs") / "base", {})


@pytest.fixture
def two(base: RunFolder) -> dict[str, Any]:
    """The notebooks' case: digits even or odd, one sigmoid unit for it, and all but that unit frozen."""
    layers = [*LAYERS[:-1], {"type": "Dense", "units": 1, "name": "head"}]
    return {
        "data.regroup": PARITY,
        "model.layers": layers,
        "loss.name": "binary-cross-entropy",
        "weights": {"init_from": str(base.path), "fresh": ["head"], "freeze": ["*", "!head"], "batchnorm": "frozen"},
        "training.epochs": 3,
        "optimizer.lr": 0.02,
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_all_but_a_new_head_is_frozen(tmp_path: Path, base: RunFolder, two: dict[str, Any], engine: str) -> None:
    run = do(tmp_path / "two", {**two, "engine": engine})
    before, after = arrays(base), arrays(run)
    for name, array in before.items():
        assert (after[name] == array).all() != name.startswith("head"), name
    frozen = sum(
        array.size for name, array in before.items() if name in ("conv.W", "conv.b", "norm.gamma", "norm.beta")
    )
    head = 4 * 36 + 1
    assert run.result.parameters == ParameterCounts(
        total=frozen + 8 + head, trainable=head, frozen=frozen, non_trainable=frozen + 8
    )
    assert run.result.test.accuracy > 0.7
    assert run.model.start is not None
    assert run.model.start.origin == str(base.path)
    assert run.model.start.fresh == ("head.W", "head.b")
    trained = fl.open_run(run.path)
    assert trained.task.model.trainable == head
    assert trained.evaluate()[0].accuracy == run.result.test.accuracy
    assert trained.predict(np.zeros((2, 8, 8, 1), np.uint8)).shape == (2, 2)


@pytest.mark.parametrize("engine", ENGINES)
def test_statistics_of_batch_norm_stay_only_where_that_is_asked(
    tmp_path: Path, base: RunFolder, two: dict[str, Any], engine: str
) -> None:
    trained = do(tmp_path / "trained", {**two, "engine": engine, "weights": {**two["weights"], "batchnorm": "train"}})
    assert (arrays(trained)["norm.mean"] != arrays(base)["norm.mean"]).all()
    # A norm that starts again has no statistics worth keeping.
    fresh = {**two["weights"], "fresh": ["head", "norm"], "freeze": []}
    anew = do(tmp_path / "anew", {**two, "engine": engine, "weights": fresh})
    assert (arrays(anew)["norm.mean"] != 0).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_factors_of_the_learning_rate_go_by_name(tmp_path: Path, base: RunFolder, engine: str) -> None:
    changes = {"weights.init_from": str(base.path), "optimizer": {"name": "sgd", "lr_factors": {"*": 1e-9, "head": 1}}}
    run = do(tmp_path / "slow", {**changes, "engine": engine})
    moved = {name: float(np.abs(array - arrays(base)[name]).max()) for name, array in arrays(run).items()}
    assert moved["head.W"] > 1e-3
    assert moved["conv.W"] < 1e-6 < moved["norm.mean"]


def test_both_engines_learn_the_same_from_the_same_start(tmp_path: Path, two: dict[str, Any]) -> None:
    losses = [
        do(tmp_path / engine, {**two, "engine": engine, "precision": "float64"}).history["loss"] for engine in ENGINES
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)


def test_a_file_of_weights_starts_a_run_as_its_run_does(tmp_path: Path, base: RunFolder) -> None:
    shutil.copy(base.path / "weights.safetensors", tmp_path / "mine.safetensors")
    files = [str(base.path), str(tmp_path / "mine.safetensors")]
    first, second = (
        do(tmp_path / str(i), {"weights.init_from": path, "training.epochs": 1}) for i, path in enumerate(files)
    )
    assert (first.history["loss"] == second.history["loss"]).all()
    assert first.history["loss"][0] < base.history["loss"][0]


def test_a_run_goes_on_when_what_it_began_from_is_gone(tmp_path: Path, base: RunFolder, two: dict[str, Any]) -> None:
    shutil.copytree(base.path, tmp_path / "base")
    two["weights"]["init_from"] = str(tmp_path / "base")
    whole = do(tmp_path / "whole", two)
    cut = tmp_path / "cut"
    shutil.copytree(whole.path, cut)
    (cut / "result.json").unlink()
    shutil.rmtree(sorted((cut / "checkpoints").iterdir())[-1])
    shutil.rmtree(tmp_path / "base")
    resumed = experiments.resume(cut, TrainingProgress(Console(quiet=True)))
    assert (resumed.history["loss"] == whole.history["loss"]).all()
    assert all((array == arrays(whole)[name]).all() for name, array in arrays(resumed).items())


def test_images_that_the_weights_were_trained_on_are_told(tmp_path: Path, base: RunFolder) -> None:
    same: list[str] = []
    other: list[str] = []
    do(tmp_path / "same", {"weights.init_from": str(base.path)}, same)
    do(tmp_path / "other", {"weights.init_from": str(base.path), "seed": 1, "prepare.scale": False}, other)
    assert not [note for note in same if "too high" in note]
    assert [note for note in other if "of the test images" in note and "too high" in note]
    assert [note for note in other if "prepare.scale = True" in note]


def cut(path: Path) -> bytes:
    return path.read_bytes()[:-9]


def pickled(path: Path) -> bytes:
    return pickle.dumps({"conv.W": 1})


def zipped(path: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(path))
    return buffer.getvalue()


def other_shape(path: Path) -> bytes:
    return to_bytes({**from_file(path), "conv.W": np.zeros((8, 1, 3, 3), np.float32)})


def another_net(path: Path) -> bytes:
    model = models.lenet5()
    return to_bytes(model.layout.named(model.layout.initial(0)))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (cut, r"a\.safetensors is not a valid safetensors file"),
        (lambda path: b"", r"a\.safetensors is not a valid safetensors file"),
        (pickled, r"a\.safetensors is a pickle.*safetensors\.torch\.save_file"),
        (zipped, r"a\.safetensors is a pickle"),
        (other_shape, r"conv\.W has the shape \(8, 1, 3, 3\) in .*; custom needs \(4, 1, 3, 3\).*fresh = \[\"conv\"\]"),
        (another_net, r"has no conv\.W, of shape \(4, 1, 3, 3\), which custom needs. Did you mean conv"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_written(
    tmp_path: Path, base: RunFolder, file: Callable[[Path], bytes], message: str
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(file(base.path / "weights.safetensors"))
    with pytest.raises(ModelError, match=message):
        do(tmp_path / "run", {"weights.init_from": str(path)})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"weights.init_from": "nowhere"}, RunError, "nowhere is neither a run folder nor a file"),
        (
            {"weights.freeze": ["hade"]},
            ExperimentError,
            r"weights\.freeze: custom has no parameters called 'hade'.*head",
        ),
        (
            {"optimizer.lr_factors": {"haed": 2}},
            ExperimentError,
            r"lr_factors: custom has no parameters called 'haed'.*head",
        ),
        ({"weights.freeze": ["*"]}, ExperimentError, "leaves nothing to train"),
        ({"weights.fresh": ["head"]}, ExperimentError, r"give weights\.init_from"),
        ({"weights.batchnorm": "frozen"}, ExperimentError, r"give weights\.init_from"),
        ({"weights.init_from": "imagenet"}, ModelError, "custom has no published weights"),
        ({"data.regroup": {"a": ["0"], "b": ["x"]}}, DataError, "there is no class 'x'"),
    ],
)
def test_what_cannot_be_done_is_named(
    tmp_path: Path, changes: dict[str, Any], error: type[FirstlightError], message: str
) -> None:
    with pytest.raises(error, match=message):
        do(tmp_path / "run", changes)
    assert not (tmp_path / "run").exists()


def test_a_run_without_weights_says_why(tmp_path: Path, base: RunFolder) -> None:
    shutil.copytree(base.path, tmp_path / "base")
    (tmp_path / "base" / "weights.safetensors").unlink()
    with pytest.raises(RunError, match=r"has no weights\.safetensors"):
        do(tmp_path / "run", {"weights.init_from": str(tmp_path / "base")})


@pytest.mark.slow
@pytest.mark.parametrize("given", ["imagenet", "file"])
def test_published_weights_begin_a_run_that_records_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    model = models.resnet18((32, 32, 3), 10)
    random = np.random.default_rng(0)
    published = {
        pretrained.published_names(model)[entry.name]: (
            random.uniform(0.5, 1, shape) if "var" in entry.name else random.standard_normal(shape) / 30
        ).astype(np.float32)
        for entry in model.layout.entries
        for shape in [(1000, *entry.parameter.shape[1:]) if "head" in entry.name else entry.parameter.shape]
    }
    path = tmp_path / "model.safetensors"
    path.write_bytes(to_bytes(published))
    monkeypatch.setattr(pretrained, "fetch", lambda name: path)
    tables: dict[str, Any] = {
        "engine": "torch",
        "data": {"source": "digits", "limit": 40, "size": 32},
        "model": {"name": "resnet18"},
        "weights": {
            "init_from": str(path) if given == "file" else "imagenet",
            "fresh": ["head"],
            "freeze": ["*", "!head"],
        },
        "training": {"epochs": 1},
    }
    grey = fl.load("digits", size=32)
    images = grey.splits["train"]
    colour = replace(grey, splits={"train": replace(images, pixels=np.repeat(images.pixels, 3, axis=3))})
    setup = experiments.set_up(Experiment.of(tables), grey if given == "imagenet" else colour)
    run = experiments.start(setup, tmp_path / "run", TrainingProgress(Console(quiet=True)))
    assert (arrays(run)["layer3_1.body.conv2.W"] == published["layer3.1.conv2.weight"]).all()
    assert run.result.parameters.trainable == 512 * 10 + 10
    start = run.model.start
    assert start is not None
    assert start.others["normalization"]["mean"] == list(IMAGENET_MEAN)
    if given == "imagenet":
        assert start.licence == "bsd-3-clause"
        assert start.revision == pretrained.PRETRAINED["resnet18"].revision
        assert run.experiment.prepare.standardise == "imagenet"
        assert run.model.preparation.input_shape == (3, 32, 32), "grey images become three channels"
    else:
        assert [note for note in setup.warnings() if "normalized as ImageNet's were" in note]
    with pytest.raises(ModelError, match=r"fc\.weight of shape \(1000, 512\); .*head\.W of shape \(10, 512\)"):
        experiments.set_up(Experiment.of({**tables, "weights": {**tables["weights"], "fresh": []}}), colour)


def test_imagenets_normalization_is_of_three_channels(few_digits: Dataset) -> None:
    images = few_digits.splits["train"]
    preparation = Preparation.fit(images, standardise="imagenet")
    prepared = preparation.apply(images)
    assert prepared.shape == (8, 8, 3)
    assert (prepared.pixels == images.pixels).all()
    scale, shift = preparation.scale_shift(np.float64)
    np.testing.assert_allclose((255 * scale + shift)[:, 0, 0], (1 - np.array(IMAGENET_MEAN)) / (0.229, 0.224, 0.225))
    assert Preparation.from_json(preparation.to_json()).apply(images).shape == (8, 8, 3)
    with pytest.raises(ExperimentError, match=r"leave prepare\.greyscale out"):
        Preparation.fit(images, standardise="imagenet", greyscale=True)


def test_patterns_choose_by_the_last_that_fits() -> None:
    assert weights.chosen("block1.conv1.W", ["*"])
    assert not weights.chosen("head.W", ["*", "!head"])
    assert weights.chosen("head.b", ["*", "!head", "*.b"])
    assert weights.chosen("block1.conv1.W", ["block?"])
    assert not weights.chosen("block10.conv1.W", ["block1"])
    assert not weights.chosen("conv1.W", [])
