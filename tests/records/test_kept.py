"""Folders that earlier versions wrote stay readable: `kept/` has them as they were written, without pages and locks.

early      of the first version that wrote runs: no hashes, no times but three, no device
run        interrupted after epoch 2 and resumed, with costs, augmentation, an explanation and a checkpoint
diverged   without validation; its loss became nan in epoch 3
study      two entries with two seeds, of which one run failed
search     four trials
parity     what `firstlight parity --json` printed, before the compiled graph was compared
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firstlight import training
from firstlight.records import group
from firstlight.records.parity import Parity
from firstlight.records.run import RunRecord, read
from firstlight.records.run_folder import RunFolder
from firstlight.records.search_folder import TuneFolder
from firstlight.records.study_folder import StudyFolder

KEPT = Path(__file__).parent / "kept"
RUNS = ("early", "run", "diverged", "study/softmax/seed-0", "study/softmax/seed-1", "study/slim/seed-0")


def run(name: str) -> RunRecord:
    return read(RunFolder.open(KEPT / name))


@pytest.mark.parametrize(
    ("name", "status", "epochs", "best", "test", "validation", "counts"),
    [
        ("early", "finished", (2, 2), 2, 0.0947075208913649, 0.10555555555555556, (1258, 180, 359)),
        ("run", "finished", (3, 3), 1, 0.6728971962616822, 0.719626168224299, (323, 107, 107)),
        ("diverged", "diverged", (2, 6), None, 0.5972222222222222, None, (288, 72)),
        ("study/softmax/seed-0", "finished", (2, 2), 2, 0.411214953271028, 0.5327102803738317, (323, 107, 107)),
        ("study/softmax/seed-1", "finished", (2, 2), 2, 0.37383177570093457, 0.411214953271028, (323, 107, 107)),
        ("study/slim/seed-0", "finished", (2, 2), 2, 0.5700934579439252, 0.5794392523364486, (323, 107, 107)),
    ],
)
def test_a_run(
    name: str,
    status: str,
    epochs: tuple[int, int],
    best: int | None,
    test: float,
    validation: float | None,
    counts: tuple[int, ...],
) -> None:
    found = run(name)

    assert found.status == status
    assert (found.epochs_run, found.epochs_asked, found.best_epoch) == (*epochs, best)
    assert found.test.accuracy == test
    assert (found.validation and found.validation.accuracy) == validation
    assert tuple(map(sum, found.counts.values())) == counts
    assert len(found.predictions) == found.test.images == counts[-1]
    assert found.history["epoch"].tolist() == list(range(1, epochs[0] + 1))
    assert found.shape == (8, 8, 1)


def test_what_a_run_held_beside() -> None:
    found = run("run")

    assert (found.model, found.data, found.licence) == ("slim-cnn", "digits", "CC BY 4.0")
    assert (found.parameters(), found.parameters("non_trainable"), found.multiply_adds) == (1236, 18, 2898)
    assert [layer.type for layer in found.layers][:3] == ["Conv2D", "BatchNorm", "ReLU"]
    assert found.seconds("total") == 0.24708288600049855
    assert found.run.costs is not None
    assert found.run.costs["step"].tolist() == [5, 10, 15, 20, 25, 30]
    assert {name: len(images) for name, images in found.samples.items()} == {
        "train": 30,
        "validation": 30,
        "test": 52,
        "augmented": 24,
    }
    assert len(found.run.hashes) == 6
    assert found.experiment.seed == 3
    assert found.checks.within == {"train": 0, "validation": 0, "test": 0}
    assert found.machine.cores == 2


def test_why_a_run_stopped() -> None:
    assert run("diverged").stopped_because.startswith("The loss became nan in epoch 3, step 2")
    assert run("run").stopped_because == ""


def test_a_checkpoint() -> None:
    found, damaged = training.newest(KEPT / "run" / "checkpoints")
    early, _ = training.newest(KEPT / "early" / "checkpoints")

    assert found is not None
    assert early is not None
    assert not damaged
    assert (found.progress.epoch, found.progress.best, found.progress.waited) == (3, 1, 2)
    assert found.vector.shape == (1236,)
    assert [step for step, _ in found.progress.costs] == [5, 10, 15, 20, 25, 30]
    assert found.progress.asked["training"]["epochs"] == 3
    assert (early.progress.epoch, early.progress.costs, early.progress.asked) == (2, (), {})


def test_an_explanation() -> None:
    found = run("run").explanation

    assert found is not None
    assert (found.layer, found.looked, found.image) == ("relu2", 107, "train/01204")
    assert [one.layer for one in found.activity][:2] == ["conv1", "batchnorm1"]
    assert (len(found.attributions), len(found.maximizing_images), len(found.mistakes), len(found.label_issues)) == (
        8,
        6,
        12,
        24,
    )
    assert [(one.method, len(one.points), round(one.in_map.silhouette, 6)) for one in found.embeddings] == [
        ("pca", 430, 0.21249),
        ("t-sne", 430, 0.394954),
    ]
    assert found.filters is not None
    assert found.filters.weights.shape == (3, 1, 3, 3)
    assert run("early").explanation is None


def test_a_study() -> None:
    folder = StudyFolder.open(KEPT / "study")
    softmax, slim = group.of_study(folder)

    assert (folder.title, folder.about) == ("A few digits", "Two small models.")
    assert softmax.accuracies == {0: 0.411214953271028, 1: 0.37383177570093457}
    assert (softmax.published, softmax.beside, softmax.note) == (0.95, {"Keras, the same images": 0.9}, "A baseline.")
    assert (slim.accuracies, slim.missing) == ({0: 0.5700934579439252}, (1,))
    assert slim.failed == {1: "The loss became nan."}


def test_a_search() -> None:
    folder = TuneFolder.open(KEPT / "search")
    found = folder.result

    assert (found.status, found.asked, found.sampler, found.monitor) == ("complete", 4, "random", "val_accuracy")
    assert [trial.number for trial in found.complete] == [2, 1, 3, 4]
    assert found.best.value == 0.9626168224299065
    assert found.best.values == {"optimizer.lr": 0.09184899062039402, "optimizer.name": "adam"}
    assert folder.best.optimizer.options["lr"] == 0.09184899062039402


def test_a_parity() -> None:
    kept = json.loads((KEPT / "parity.json").read_text())
    found = Parity.of(kept)

    assert (found.model, found.steps, found.parameter_count, found.passed, found.graph) == (
        "softmax-regression",
        3,
        650,
        True,
        None,
    )
    assert (found.hand_autograd, found.hand_central) == (3.0812853722660877e-16, 1.1679161096066372e-12)
    assert [run.worst for run in found.runs] == [1.306047215000655e-16, 1.0630452884532229e-07]
    assert found.parameters[0].shape == (10, 64)
    assert found.speed.ratio.median == 0.6554449170939655
    assert found.to_json() == {**kept, "graph": None}
