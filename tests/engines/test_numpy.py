"""The NumPy engine: its gradient is that of the whole objective, it is deterministic, and it learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from firstlight import data, models
from firstlight.engines import Task, open_engine
from firstlight.engines.numpy import NumpyEngine, NumpySession
from firstlight.errors import ExperimentError, ModelError, TrainingError
from firstlight.losses import CrossEntropy, HalfSquaredError
from firstlight.models import Model
from firstlight.optimizers import SGD, Adam
from firstlight.prepare import Preparation, balanced_order, batches, steps
from firstlight.types import Array, Dataset, Images


def nothing(images: int, loss: float) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def images(digits: Dataset) -> Images:
    return data.split(digits)["train"].take(np.arange(200))


def task(images: Images, model: Model | None = None, **changes: Any) -> Task:
    model = model or models.mlp_128((8, 8, 1), units=(16,), activation="tanh")
    return replace(Task(model, CrossEntropy(), Preparation.fit(images), SGD(lr=0.1)), **changes)


def objective(session: NumpySession, images: Images, theta: Array) -> float:
    """The loss of a batch plus the penalties, computed again from the outputs: what the gradient must be of."""
    vector = session.vector()
    vector[: len(theta)] = theta
    session.restore(vector)
    values = session.task.loss.values(session.outputs(images).T, images.labels)
    if session.task.class_weights is not None:
        values = values * session.task.class_weights[images.labels]
    return float(values.mean()) + session.task.penalty(vector)


def gradient_error(session: NumpySession, images: Images, seed: int = 0) -> float:
    """How far the engine's gradient is from central differences, relative, along random directions."""
    theta = session.vector()[: session.layout.trainable]
    session.restore(session.vector())
    gradient = session.gradients(np.arange(len(images)), 0, 0)[2].sum(axis=0)
    random = np.random.default_rng(seed)
    worst = 0.0
    for _ in range(4):
        direction = random.standard_normal(len(theta))
        direction /= np.linalg.norm(direction)
        step = 1e-5
        ahead = objective(session, images, theta + step * direction)
        behind = objective(session, images, theta - step * direction)
        slope = float(gradient @ direction)
        worst = max(worst, abs((ahead - behind) / (2 * step) - slope) / max(abs(slope), 1e-3))
    return worst


@pytest.mark.parametrize("l1_l2", [(0.0, 0.0), (0.02, 0.0), (0.0, 0.03), (0.01, 0.01)])
@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.1), HalfSquaredError()])
def test_the_gradient_is_that_of_loss_and_penalty(images: Images, l1_l2: tuple[float, float], loss: Any) -> None:
    session = NumpyEngine("reference", np.float64).session(
        task(images, loss=loss, l1=l1_l2[0], l2=l1_l2[1]), images.take(np.arange(20))
    )
    assert gradient_error(session, images.take(np.arange(20))) < 1e-6


@pytest.mark.parametrize("kernels", ["reference", "compiled"])
@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.1), HalfSquaredError()])
def test_the_gradient_is_that_of_the_weighted_loss(images: Images, kernels: str, loss: Any) -> None:
    few = images.take(np.arange(20))
    weights = np.random.default_rng(0).uniform(0.2, 4, 10)
    session = NumpyEngine(kernels, np.float64).session(task(images, loss=loss, class_weights=weights, l2=0.01), few)
    assert gradient_error(session, few) < 1e-6
    plain = NumpyEngine(kernels, np.float64).session(task(images, loss=loss, l2=0.01), few)
    plain.task = session.task
    assert gradient_error(plain, few) > 1e-3, "the check rejects a gradient without weights"


def test_balanced_sampling_is_the_order_of_an_epoch(images: Images) -> None:
    few = images.take(np.flatnonzero((images.labels != 3) | (np.arange(len(images)) < 40)))
    one, other = (NumpyEngine("reference").session(task(images, sampling="balanced"), few) for _ in range(2))
    order = balanced_order(one.task.seed, 2, few.labels)
    assert np.ptp(np.bincount(few.labels[order])) <= 1 < np.ptp(few.counts)
    one.train_epoch(2, 32, np.full(steps(len(few), 32), 0.1), nothing)
    for step, index in enumerate(batches(order, 32)):
        other.train_step(index, 2, step, 0.1)
    assert one.vector().tobytes() == other.vector().tobytes()


@pytest.mark.parametrize("sampling", ["shuffled", "balanced"])
@pytest.mark.parametrize(("steps_per_epoch", "batch_size"), [(3, 16), (1, 199), (9, 50), (4, 50)])
def test_epochs_of_so_many_steps_go_on_where_the_one_before_ended(
    images: Images, sampling: Any, steps_per_epoch: int, batch_size: int
) -> None:
    """Cut from one pass over all images after another, whether an epoch is a part of a pass or more than one."""
    short, whole = (task(images, sampling=sampling, steps_per_epoch=steps) for steps in (steps_per_epoch, None))
    taken = np.concatenate([short.order(images, epoch, batch_size) for epoch in range(20)])
    assert short.images_per_epoch(len(images), batch_size) == steps_per_epoch * batch_size == len(taken) / 20
    passes = [whole.order(images, number, batch_size) for number in range(len(taken) // len(images) + 1)]
    np.testing.assert_array_equal(taken, np.concatenate(passes)[: len(taken)])
    if sampling == "shuffled":
        assert np.ptp(np.bincount(taken, minlength=len(images))) <= 1


def test_steps_per_epoch_are_the_steps_that_are_taken(images: Images) -> None:
    one, other = (NumpyEngine("reference").session(task(images, steps_per_epoch=3), images) for _ in range(2))
    seen: list[int] = []
    one.train_epoch(5, 16, np.full(3, 0.1), lambda done, loss: seen.append(done))
    for step, index in enumerate(np.split(one.task.order(images, 5, 16), 3)):
        other.train_step(index, 5, step, 0.1)
    assert one.vector().tobytes() == other.vector().tobytes()
    assert seen == [16, 32, 48]
    with pytest.raises(ValueError, match="zip"):
        one.train_epoch(6, 16, np.full(4, 0.1), nothing)


def test_the_check_rejects_a_gradient_without_its_penalty(images: Images) -> None:
    session = NumpyEngine("reference", np.float64).session(task(images, l2=0.03), images.take(np.arange(20)))
    session.penalties = []
    assert gradient_error(session, images.take(np.arange(20))) > 1e-3


def test_penalties_of_a_layer_and_of_all_add_up(images: Images) -> None:
    model = models.fashion_cnn((8, 8, 1), l2=0.5)
    both = task(images, model, l2=0.25)
    vector = model.layout.initial(0)
    kernels = [array for name, array in model.layout.named(vector).items() if name.endswith(".W")]
    assert both.penalty(vector) == pytest.approx(0.75 * sum(float((w.astype(float) ** 2).sum()) for w in kernels))


@pytest.mark.parametrize("kernels", ["reference", "compiled"])
def test_the_same_seed_gives_the_same_bits(images: Images, kernels: str) -> None:
    model = models.lenet5((28, 28, 1), dropout=0.2, batch_norm=True)
    large = Images(np.repeat(np.repeat(images.pixels, 4, 1), 4, 2)[:, 2:30, 2:30], *_rest(images))
    ends = []
    for seed in (7, 7, 8):
        session = NumpyEngine(kernels).session(task(large, model, seed=seed, optimizer=Adam()), large)
        session.train_epoch(0, 32, np.full(7, 1e-3), nothing)
        ends.append(session.vector().tobytes())
    assert ends[0] == ends[1]
    assert ends[0] != ends[2]


def _rest(images: Images) -> tuple[Array, Array, tuple[str, ...]]:
    return images.labels, images.ids, images.class_names


def test_reference_and_compiled_kernels_learn_alike(images: Images) -> None:
    model = models.lenet5((28, 28, 1))
    large = Images(np.repeat(np.repeat(images.pixels, 4, 1), 4, 2)[:, 2:30, 2:30], *_rest(images))
    ends = []
    for kernels in ("reference", "compiled"):
        session = NumpyEngine(kernels, np.float64).session(task(large, model), large)
        session.train_epoch(0, 50, np.full(4, 0.05), nothing)
        ends.append(session.vector())
    assert np.abs(ends[0] - ends[1]).max() < 1e-12


def test_warming_up_changes_nothing(images: Images) -> None:
    model = models.pyramid_regularised((8, 8, 1))
    session = NumpyEngine().session(task(images, model), images)
    before = session.vector()
    session.warm_up(32, 1)
    assert (session.vector() == before).all()


def test_evaluating_twice_gives_the_same_and_changes_nothing(images: Images) -> None:
    model = models.pyramid_regularised((8, 8, 1))
    session = NumpyEngine().session(task(images, model), images)
    session.train_epoch(0, 32, np.full(7, 1e-2), nothing)
    before = session.vector()
    first = session.outputs(images)
    assert (first == session.outputs(images)).all()
    assert (session.vector() == before).all()
    assert np.allclose(first[[3, 150]], session.outputs(images.take(np.array([3, 150]))), atol=1e-5)


def test_it_learns(images: Images) -> None:
    session = NumpyEngine().session(task(images, optimizer=Adam()), images)
    tallies = [session.train_epoch(epoch, 32, np.full(7, 5e-3), nothing) for epoch in range(20)]
    assert tallies[0].loss > 2
    assert tallies[-1].loss < 0.3
    assert tallies[-1].accuracy > 0.95


def test_a_loss_that_is_not_finite_stops_with_step_and_rate(images: Images) -> None:
    session = NumpyEngine().session(task(images, loss=HalfSquaredError()), images)
    with pytest.raises(TrainingError, match=r"(?s)epoch 1, step \d.*rate of 1e\+09.*--lr"):
        session.train_epoch(0, 32, np.full(7, 1e9), nothing)


def test_blas_is_given_back_its_threads(images: Images) -> None:
    def counts() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = counts()
    session = NumpyEngine("reference").session(task(images), images)
    inside: list[int] = []
    session.train_epoch(0, 100, np.full(2, 0.1), lambda images, loss: inside.extend(counts()))
    assert set(inside) == {1}
    assert counts() == before


def test_a_state_restored_goes_on_in_the_same_bits(images: Images) -> None:
    one = NumpyEngine().session(task(images, optimizer=Adam()), images)
    one.train_epoch(0, 32, np.full(7, 1e-2), nothing)
    other = NumpyEngine().session(task(images, optimizer=Adam()), images)
    other.restore(one.vector(), one.state())
    for session in (one, other):
        session.train_epoch(1, 32, np.full(7, 1e-2), nothing)
    assert one.vector().tobytes() == other.vector().tobytes()


def test_a_head_that_does_not_fit_is_refused_before_the_first_step(images: Images) -> None:
    bad = models.custom([{"type": "Flatten"}, {"type": "Dense", "units": 7}], (8, 8, 1), 10)
    with pytest.raises(ModelError, match=r"dense1 \(Dense\).*\(7,\).*\(10,\)"):
        NumpyEngine().session(task(images, bad), images)


def test_softmax_at_the_end_is_fused_and_stays_right(images: Images) -> None:
    layers: list[dict[str, Any]] = [{"type": "Flatten"}, {"type": "Dense", "units": 10}]
    plain = models.custom(layers, (8, 8, 1), 10)
    ended = models.custom([*layers, {"type": "Softmax"}], (8, 8, 1), 10)
    vectors = []
    for model in (plain, ended):
        session = NumpyEngine().session(task(images, model), images)
        session.train_epoch(0, 32, np.full(7, 0.1), nothing)
        vectors.append(session.vector())
    assert (vectors[0] == vectors[1]).all()


def test_the_record_names_kernels_and_threads(images: Images) -> None:
    described = NumpyEngine("reference", np.float64).session(task(images), images).describe()
    assert described == {
        "engine": "numpy",
        "device": "cpu",
        "precision": "float64",
        "kernels": "reference",
        "threads": 1,
    }
    assert NumpyEngine("compiled").session(task(images), images).describe()["threads"] >= 1


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(ExperimentError, match="nunpy"):
        open_engine("nunpy")
    with pytest.raises(ModelError, match="no training images"):
        NumpyEngine().session(
            Task(
                models.mlp_128((8, 8, 1)), CrossEntropy(), Preparation((8, 8, 1), "none", *np.ones((2, 1, 1, 1))), SGD()
            )
        ).train_epoch(0, 1, np.ones(1), nothing)
