"""Augmentation in training: the same on both engines and on any number of threads, and of training batches alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest

from firstlight import data, models
from firstlight.engines import Session, Task
from firstlight.engines.numpy import NumpyEngine, NumpySession
from firstlight.engines.torch import TorchEngine
from firstlight.losses import CrossEntropy
from firstlight.optimizers import SGD
from firstlight.prepare import Augmentation, Augmented, Preparation
from firstlight.types import Array, Dataset, Images

AUGMENT = {"rotate": 20, "shift": 0.1, "zoom": 0.2, "flip_horizontal": 0.5, "noise": 0.05, "cutout": 0.3}
EPOCHS, BATCH = 2, 32
ENGINES: dict[str, Any] = {
    "compiled": NumpyEngine(dtype=np.float64),
    "reference": NumpyEngine("reference", np.float64),
    "torch": TorchEngine("cpu", "float64"),
}


@pytest.fixture(scope="module")
def images(digits: Dataset) -> Images:
    return data.split(digits)["train"].take(np.arange(150))


def task(images: Images, **changes: Any) -> Task:
    model = models.mlp_128((8, 8, 1), units=(16,), activation="tanh")
    usual = Task(model, CrossEntropy(), Preparation.fit(images), SGD(lr=0.1), augmentation=Augmentation.of(AUGMENT))
    return replace(usual, **changes)


def trained(session: Session, images: Images, batch_size: int = BATCH) -> Array:
    """The loss and the accuracy of each epoch, then the weights."""
    steps = -(-len(images) // batch_size)
    tallies = [session.train_epoch(e, batch_size, np.full(steps, 0.1), lambda n, loss: None) for e in range(EPOCHS)]
    return np.array(
        [value for metrics in tallies for value in (metrics.loss, metrics.accuracy)] + session.vector().tolist()
    )


@pytest.mark.parametrize("changes", [{}, {"sampling": "balanced"}], ids=["shuffled", "balanced"])
def test_the_engines_and_both_kernels_learn_the_same(images: Images, changes: dict[str, Any]) -> None:
    found = {name: trained(engine.session(task(images, **changes), images), images) for name, engine in ENGINES.items()}
    for name, values in found.items():
        assert np.abs(values - found["compiled"]).max() < 1e-9, name
    plain = trained(NumpyEngine(dtype=np.float64).session(task(images, augmentation=None, **changes), images), images)
    assert np.abs(plain - found["compiled"]).max() > 1e-2, "augmentation makes a difference"


def test_one_thread_learns_as_two_do(images: Images) -> None:
    def pixels() -> list[bytes]:
        made = Augmented(images, Augmentation.of(AUGMENT), 0, ENGINES["compiled"].session(task(images)).kernels)
        return [made.batch(np.arange(150), epoch).pixels.tobytes() for epoch in range(2)]

    before, whole = numba.get_num_threads(), pixels()
    numba.set_num_threads(1)
    try:
        assert pixels() == whole
    finally:
        numba.set_num_threads(before)


def seen(images: Images, batch_size: int, epoch: int, **changes: Any) -> dict[str, bytes]:
    """What the net gets to see of each sample in an epoch."""
    session = NumpyEngine().session(task(images, **changes), images)
    found: dict[str, bytes] = {}

    class Watched:
        def gradients(self, images: Images, index: Array, *where: int) -> Any:
            found.update({images.ids[i].item(): images.pixels[i].tobytes() for i in index})
            return executor.gradients(images, index, *where)

        def __getattr__(self, name: str) -> Any:
            return getattr(executor, name)

    executor, session.executor = session.executor, Watched()
    session.train_epoch(epoch, batch_size, np.full(-(-len(images) // batch_size), 0.1), lambda n, loss: None)
    return found


def test_a_sample_looks_the_same_in_batches_of_any_size_and_among_others(images: Images) -> None:
    usual = seen(images, 32, 1)
    assert set(usual) == set(images.ids.tolist())
    assert seen(images, 7, 1) == usual
    some = seen(images.take(np.arange(40, 90)), 16, 1)
    assert some == {name: usual[name] for name in some}
    others = seen(images, 32, 2)
    assert sum(others[name] == usual[name] for name in usual) < 3
    assert seen(images, 32, 1, augmentation=None) == {
        name.item(): pixels.tobytes() for name, pixels in zip(images.ids, images.pixels, strict=True)
    }


def test_single_steps_see_what_the_epoch_does(images: Images) -> None:
    for engine in ENGINES.values():
        one, other = (engine.session(task(images), images) for _ in range(2))
        order = one.task.order(images, 0, 75)
        one.train_epoch(0, 75, np.full(2, 0.1), lambda n, loss: None)
        for step, index in enumerate((order[:75], order[75:])):
            other.train_step(index, 0, step, 0.1)
        assert np.abs(one.vector() - other.vector()).max() < 1e-12


@pytest.mark.parametrize("name", ENGINES)
def test_only_training_batches_are_augmented(images: Images, name: str) -> None:
    with_, without = (
        ENGINES[name].session(task(images, augmentation=a), images) for a in (task(images).augmentation, None)
    )
    without.restore(with_.vector())
    assert np.array_equal(with_.outputs(images), without.outputs(images))
    losses = [np.array(session.train_step(np.arange(32), 0, 0, 0.1)) for session in (with_, without)]
    assert not np.array_equal(losses[0], losses[1])


@pytest.mark.parametrize("name", ENGINES)
def test_what_never_happens_costs_nothing(images: Images, name: str) -> None:
    session = ENGINES[name].session(task(images, augmentation=Augmentation()), images)
    assert session.augmented is None


def test_a_session_that_predicts_needs_no_training_images(images: Images) -> None:
    for engine in ENGINES.values():
        session = engine.session(task(images))
        assert session.outputs(images).shape == (150, 10)


def test_warming_up_leaves_no_trace(images: Images) -> None:
    session = NumpyEngine(dtype=np.float64).session(task(images), images)
    assert isinstance(session, NumpySession)
    session.warm_up(BATCH, EPOCHS)
    assert np.array_equal(trained(session, images), trained(ENGINES["compiled"].session(task(images), images), images))
