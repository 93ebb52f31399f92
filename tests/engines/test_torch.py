"""The PyTorch engine in one process: step by step it is the NumPy engine, and it leaves no trace on its caller."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from firstlight import api, data, engines, experiments
from firstlight.engines import Session, Task, open_engine
from firstlight.engines.numpy import NumpyEngine
from firstlight.engines.torch import ComputeMode, TorchEngine, TorchSession, find_device
from firstlight.engines.torch import session as session_module
from firstlight.errors import ExperimentError, ModelError, TrainingError
from firstlight.layers import (
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool2D,
    ReLU,
    Tanh,
)
from firstlight.losses import LOSSES, BinaryCrossEntropy, CrossEntropy, HalfSquaredError, Loss, MeanSquaredError
from firstlight.models import Model
from firstlight.optimizers import (
    SGD,
    Adam,
    AdamW,
    Lagged,
    Lion,
    Lookahead,
    MovingAverage,
    Muon,
    NAdam,
    Optimizer,
    RMSprop,
)
from firstlight.prepare import Preparation
from firstlight.progress import Watcher
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array, Dataset, Images

BATCH = 32
STEPS = 4  # an epoch of 100 images; the last batch has 4
NET = Chain(
    (
        Chain((Conv2D(4, 3, padding="same", bias=False), BatchNorm(), ReLU(), MaxPool2D(2)), name="block"),
        *(Conv2D(6, 3), Tanh(), Dropout(0.2), Flatten(), Dense(8, bias=False), BatchNorm(), Tanh(), Dropout(0.3)),
        Dense(10, name="head"),
    )
)

LINEAR = (Flatten(), Dense(10))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads for a net so small, beside other processes, wait for each other far longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images(digits: Dataset) -> Images:
    return data.split(digits)["train"].take(np.arange(100))


def task(images: Images, net: Chain = NET, frozen: tuple[str, ...] = (), **changes: Any) -> Task:
    model = Model("net", net, (8, 8, 1), len(images.class_names), frozen=frozen)
    preparation = Preparation.fit(images, standardise="pixel")
    return replace(Task(model, CrossEntropy(), preparation, SGD(lr=0.1), seed=3), **changes)


def exact(engine: str, task: Task, images: Images) -> Session:
    if engine == "numpy":
        return NumpyEngine("reference", np.float64).session(task, images)
    return TorchEngine("cpu", "float64", exact_noise=True).session(task, images)


def train(session: Session, epochs: range = range(2), rate: float = 0.05) -> list[float]:
    rates = np.geomspace(rate, rate / 3, STEPS)
    tallies = [session.train_epoch(epoch, BATCH, rates, lambda images, loss: None) for epoch in epochs]
    return [number for metrics in tallies for number in (metrics.loss, metrics.accuracy)]


def both(task: Task, images: Images, rate: float = 0.05) -> tuple[Array, Array, float]:
    """The weights after two epochs on each engine, and how far apart the losses and accuracies are at most."""
    one, other = exact("numpy", task, images), exact("torch", task, images)
    losses = np.subtract(train(one, rate=rate), train(other, rate=rate))
    return one.vector(), other.vector(), float(np.abs(losses).max())


def assert_alike(task: Task, images: Images, rate: float = 0.05) -> None:
    one, other, losses = both(task, images, rate)
    assert np.abs(one - other).max() < 1e-9
    assert losses < 1e-9
    assert np.abs(one - task.model.layout.initial(task.seed, np.float64)).max() > 1e-3, "something was learnt"


# --- step by step the same as the other engine ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        (SGD(), 0.05),
        (SGD(momentum=0.9), 0.02),
        (SGD(momentum=0.8, nesterov=True), 0.02),
        (Adam(), 1e-3),
        (Adam(beta1=0.5, beta2=0.9, epsilon=1e-3), 1e-2),
        (AdamW(weight_decay=0.3), 1e-2),
        (RMSprop(), 1e-3),
        (RMSprop(rho=0.8, epsilon=1e-4), 1e-3),
        (Lagged(SGD(momentum=0.9), 0.3), 0.02),
        (Lagged(Adam(), 0.3), 1e-2),
        (Lagged(Adam(), 0.0), 1e-2),
    ],
    ids=str,
)
def test_every_optimizer_takes_the_same_steps(images: Images, optimizer: Optimizer, rate: float) -> None:
    assert_alike(task(images, optimizer=optimizer), images, rate)


def test_with_a_lag_of_one_nothing_is_learnt(images: Images) -> None:
    start = task(images, optimizer=Lagged(SGD(momentum=0.9), 1.0))
    one, other, _ = both(start, images)
    trained = start.model.trainable
    assert (one[:trained] == other[:trained]).all()
    assert (one[:trained] == start.model.layout.initial(3, np.float64)[:trained]).all()


def test_the_comparison_tells_one_option_from_another(images: Images) -> None:
    ends = [exact("torch", task(images, optimizer=SGD(momentum=momentum)), images) for momentum in (0.9, 0.899)]
    losses = [train(session) for session in ends]
    assert np.abs(ends[0].vector() - ends[1].vector()).max() > 1e-6
    assert losses[0] != losses[1]


@pytest.mark.parametrize("loss", [CrossEntropy(0.1), *(kind() for kind in LOSSES.values())], ids=str)
def test_every_loss_has_the_same_gradient(images: Images, loss: Loss) -> None:
    assert_alike(task(images, loss=loss), images)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), CrossEntropy(0.2)], ids=str)
def test_two_classes_with_a_head_of_one_unit_or_two(images: Images, loss: Loss) -> None:
    two = Images(images.pixels, images.labels % 2, images.ids, ("even", "odd"))
    units = 1 if isinstance(loss, BinaryCrossEntropy) else 2
    assert_alike(task(two, Chain((*NET.layers[:-1], Dense(units))), loss=loss), two)


@pytest.mark.parametrize(
    "changes",
    [
        {"l1": 0.01},
        {"l2": 0.02},
        {"l1": 0.01, "l2": 0.02},
        {"lr_factors": {"*": 0.1, "head": 1.0, "block.conv1": 0.0}},
        {"frozen": ("block", "!block.batchnorm1.beta")},
        {"frozen": ("*", "!head")},
        {"running_stats": frozenset({"block.batchnorm1"})},
        {"class_weights": np.linspace(0.2, 3, 10)},
        {"class_weights": np.linspace(0.2, 3, 10), "loss": MeanSquaredError()},
        {"sampling": "balanced"},
        {"steps_per_epoch": STEPS},
        {"steps_per_epoch": STEPS, "sampling": "balanced"},
        {"preparation": Preparation((8, 8, 1), "image", np.full((1, 1, 1), 1 / 16), np.zeros((1, 1, 1)))},
        {"frozen": ("block",), "running_stats": frozenset({"block.batchnorm1", "batchnorm1"}), "l2": 0.1},
    ],
    ids=lambda changes: " and ".join(changes),
)
def test_every_setting_of_a_task_has_the_same_effect(images: Images, changes: dict[str, Any]) -> None:
    assert_alike(task(images, **changes), images)
    plain, changed = exact("torch", task(images), images), exact("torch", task(images, **changes), images)
    train(plain)
    train(changed)
    named = [session.task.model.layout.named(session.vector()) for session in (plain, changed)]  # type: ignore[attr-defined]
    assert any((named[0][name] != named[1][name]).any() for name in named[0]), "the setting has an effect"


def test_a_weighted_loss_is_that_of_pytorch_over_the_images(images: Images) -> None:
    """PyTorch's own `weight`, summed and divided by the images; its mean divides by the weights in the batch."""
    weights = np.linspace(0.2, 3, 10)
    session = exact("torch", task(images, class_weights=weights, running_stats=frozenset(), net=Chain(LINEAR)), images)
    index = np.arange(BATCH)
    y = torch.tensor(session.outputs(images.take(index)))
    labels = torch.tensor(images.labels[index])
    theirs = torch.nn.functional.cross_entropy(y, labels, weight=torch.tensor(weights), reduction="sum") / BATCH
    assert session.train_step(index, 0, 0, 0.1)[0] == pytest.approx(float(theirs))


@pytest.mark.parametrize("units", [1, 2])
def test_class_weights_with_a_head_of_one_unit_or_two(images: Images, units: int) -> None:
    two = Images(images.pixels, images.labels % 2, images.ids, ("even", "odd"))
    loss = BinaryCrossEntropy() if units == 1 else CrossEntropy(0.2)
    net = Chain((*NET.layers[:-1], Dense(units)))
    assert_alike(task(two, net, loss=loss, class_weights=np.array([0.5, 3.0])), two)


def test_penalties_of_single_layers(images: Images) -> None:
    layers = (Conv2D(4, 3, l1=0.01), Tanh(), Flatten(), Dense(10, l2=0.05, name="head"))
    assert_alike(task(images, Chain(layers), l2=0.01), images)


def test_both_start_from_the_same_weights(images: Images) -> None:
    start = task(images)
    for precision in ("float32", "float64"):
        sessions = [open_engine(name, precision=precision).session(start) for name in ("numpy", "torch")]
        assert sessions[0].vector().tobytes() == sessions[1].vector().tobytes()


def test_single_steps_are_those_of_an_epoch(images: Images) -> None:
    ends = []
    for engine in ("numpy", "torch"):
        session = exact(engine, task(images), images)
        index = np.arange(BATCH)[::-1].copy()
        ends.append([session.train_step(index, 0, step, 0.1) for step in range(3)])
    assert np.abs(np.subtract(ends[0], ends[1])).max() < 1e-9


def test_outputs_are_the_same_over_several_batches(digits: Dataset, images: Images) -> None:
    many = digits.splits["train"].take(np.arange(600))
    one, other = (exact(engine, task(images), images) for engine in ("numpy", "torch"))
    train(one)
    other.restore(one.vector())
    a, b = one.outputs(many), other.outputs(many)
    assert a.shape == b.shape == (600, 10)
    assert np.abs(a - b).max() < 1e-12
    assert (other.outputs(many.take(np.array([3, 300]))) == b[[3, 300]]).all()


def test_a_session_that_predicts_needs_no_training_images(images: Images) -> None:
    start = task(images)
    trained = exact("torch", start, images)
    alone = TorchEngine("cpu", "float64").session(start, vector=trained.vector())
    assert (alone.outputs(images) == trained.outputs(images)).all()
    with pytest.raises(ModelError, match="no training images"):
        alone.train_epoch(0, BATCH, np.ones(STEPS), lambda images, loss: None)
    with pytest.raises(ModelError, match="no training images"):
        alone.train_step(np.arange(3), 0, 0, 0.1)


# --- state and checkpoints --------------------------------------------------------------------------------------------

OPTIMIZERS = [
    SGD(),
    SGD(momentum=0.9),
    Adam(),
    AdamW(),
    RMSprop(),
    NAdam(),
    Lion(),
    Muon(),
    Lagged(Adam(), 0.3),
    Lookahead(Adam(), 3),
    Lagged(Lookahead(Lion(), 3), 0.3),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize(("first", "then"), [("numpy", "torch"), ("torch", "numpy")])
def test_a_checkpoint_of_one_engine_goes_on_in_the_other(
    images: Images, optimizer: Optimizer, first: str, then: str
) -> None:
    start = task(images, optimizer=optimizer, frozen=("block.conv1",))
    whole, before, after = (exact(engine, start, images) for engine in (first, first, then))
    train(whole, range(4), 0.01)
    train(before, range(2), 0.01)
    assert before.state().keys() == after.state().keys()
    after.restore(before.vector(), before.state())
    for name, array in after.state().items():
        assert (array == before.state()[name]).all(), name
    train(after, range(2, 4), 0.01)
    assert np.abs(after.vector() - whole.vector()).max() < 1e-9
    for name, array in after.state().items():
        assert np.abs(array - whole.state()[name]).max() < 1e-9, name


@pytest.mark.parametrize(
    ("mode", "optimizer"),
    [
        *((ComputeMode(True, 1, "float16"), each) for each in OPTIMIZERS),
        *((ComputeMode(), each) for each in OPTIMIZERS[::3]),
        (ComputeMode(channels_last=True), Adam()),
        (ComputeMode(half="bfloat16"), Adam()),
        (ComputeMode(half="float16"), Lion()),
    ],
    ids=str,
)
def test_a_state_restored_goes_on_in_the_same_bits(images: Images, optimizer: Optimizer, mode: ComputeMode) -> None:
    one, other = (opened(task(images, optimizer=optimizer), images, mode) for _ in range(2))
    train(one, range(2), 0.01)
    other.restore(one.vector(), one.state())
    assert same(one, other)
    for session in (one, other):
        train(session, range(2, 4), 0.01)
    assert same(one, other)


def test_matrices_are_the_same_on_both_engines_where_parts_learn_at_their_own_rates(images: Images) -> None:
    factors = {"block": 0.5, "conv2d": 2.0, "head": 3.0}
    assert_alike(task(images, optimizer=Muon(), lr_factors=factors), images, 1e-3)
    assert_alike(task(images, optimizer=Lagged(Lookahead(Lion(), 2), 0.2), lr_factors=factors), images, 1e-3)


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_the_average_is_that_of_the_weights_after_each_step(images: Images, engine: str) -> None:
    averaged, plain = (exact(engine, task(images, average=average), images) for average in (MovingAverage(0.3), None))
    expected = averaged.vector()
    for step in range(6):
        index = np.arange(step, step + 20)
        for session in (averaged, plain):
            session.train_step(index, 0, step, 0.05)
        decay = min(0.3, (2 + step) / (11 + step))  # 0.18, 0.25, 0.3, …
        expected = decay * expected + (1 - decay) * plain.vector()
    assert np.abs(averaged.state()["average"] - expected).max() < 1e-12
    assert averaged.vector().tobytes() == plain.vector().tobytes()
    assert "average" not in plain.state()
    statistics = averaged.vector()[task(images).model.trainable :]
    assert len(statistics)  # of batch norm, averaged too
    assert np.abs(averaged.state()["average"][-len(statistics) :] - statistics).max() > 1e-4


@pytest.mark.parametrize(("first", "then"), [("numpy", "torch"), ("torch", "numpy")])
def test_the_average_goes_on_from_a_checkpoint_in_either_engine(images: Images, first: str, then: str) -> None:
    start = task(images, average=MovingAverage(0.9), optimizer=Adam())
    whole, before, after = (exact(engine, start, images) for engine in (first, first, then))
    train(whole, range(4), 0.01)
    train(before, range(2), 0.01)
    after.restore(before.vector(), before.state())
    assert (after.state()["average"] == before.state()["average"]).all()
    train(after, range(2, 4), 0.01)
    assert np.abs(after.state()["average"] - whole.state()["average"]).max() < 1e-9
    assert np.abs(whole.state()["average"] - whole.vector()).max() > 1e-4
    after.restore(before.vector())  # for a look at other weights: the average stays
    assert np.abs(after.state()["average"] - whole.state()["average"]).max() < 1e-9


def test_it_matters_that_moments_lie_in_memory_as_the_weights_do(images: Images) -> None:
    """The fused steps of PyTorch on a CPU walk through the memory of weights and moments side by side."""
    one, other = (opened(task(images, optimizer=Adam()), images, ComputeMode(channels_last=True)) for _ in range(2))
    train(one, range(1))
    other.restore(one.vector(), one.state())
    for moments in other.trained.optimizer.state.values():
        for name in ("exp_avg", "exp_avg_sq"):
            moments[name] = moments[name].contiguous()
    assert same(one, other), "as numbers they are the same"
    for session in (one, other):
        train(session, range(1, 2))
    assert not same(one, other)


def test_the_scale_of_half_precision_is_part_of_the_state(images: Images) -> None:
    one, other = (opened(task(images, optimizer=Adam()), images, ComputeMode(half="float16")) for _ in range(2))
    assert one.state()["loss_scale"].tolist()[:2] == [2.0**16, 0]
    one.restore(one.vector(), one.state() | {"loss_scale": np.array([2.0**18, 1])})  # so much that steps overflow
    train(one, range(1), 0.01)
    state = one.state()
    scale, *_ = state["loss_scale"]
    assert 1 < scale < 2.0**18, "it comes down"
    assert state["step"] < STEPS, "the steps that overflowed do not count"
    assert np.isfinite(one.vector()).all()
    other.restore(one.vector(), state)
    assert same(one, other)


def opened(task: Task, images: Images, mode: ComputeMode, **options: Any) -> TorchSession:
    session = TorchEngine("cpu", mode.half or "float32", **options).session(task, images)
    session.use(mode)
    return session


def same(one: Session, other: Session) -> bool:
    """Whether two sessions have the same bits."""
    states = one.state(), other.state()
    return one.vector().tobytes() == other.vector().tobytes() and all(
        states[0][name].tobytes() == states[1][name].tobytes() for name in states[0]
    )


@pytest.mark.parametrize("exact_noise", [True, False])
@pytest.mark.parametrize("channels_last", [True, False])
def test_the_same_seed_gives_the_same_bits(images: Images, exact_noise: bool, channels_last: bool) -> None:
    ends = []
    for seed in (7, 7, 8):
        start = task(images, optimizer=Adam(), seed=seed)
        session = opened(start, images, ComputeMode(channels_last), exact_noise=exact_noise)
        torch.rand(seed)  # what the caller draws is no matter
        train(session, rate=1e-3)
        ends.append(session.vector().tobytes())
    assert ends[0] == ends[1]
    assert ends[0] != ends[2]


def test_masks_differ_from_epoch_to_epoch_and_from_the_hosts(images: Images) -> None:
    still = task(images, optimizer=Lagged(SGD(), 1.0))  # the weights stay as they are
    own, hosts = (TorchEngine("cpu", "float64", exact_noise=exact).session(still, images) for exact in (False, True))
    losses = train(own, range(2))[::2] + train(hosts, range(2))[::2]
    assert len(set(losses)) == 4
    assert max(losses) - min(losses) < 1


# --- precision and the compute mode -----------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_it_learns_in_every_precision(images: Images, precision: str) -> None:
    session = TorchEngine("cpu", precision).session(task(images, optimizer=Adam()), images)
    losses = train(session, range(15), 0.01)[::2]
    assert losses[-1] < 0.7 * losses[0]
    assert session.describe()["precision"] == precision
    assert session.vector().dtype == np.float32
    full = TorchEngine("cpu", "float32").session(session.task, vector=session.vector())
    assert (full.outputs(images) == session.outputs(images)).all(), "it is judged in full precision"


def test_half_precision_is_used_in_training(images: Images) -> None:
    start = task(images)
    losses = {
        precision: TorchEngine("cpu", precision, exact_noise=True)
        .session(start, images)
        .train_step(np.arange(BATCH), 0, 0, 0.1)[0]
        for precision in ("float32", "bfloat16", "float16")
    }
    assert 1e-7 < abs(losses["bfloat16"] - losses["float32"]) < 0.05
    assert 1e-7 < abs(losses["float16"] - losses["float32"]) < 0.01


def test_warming_up_changes_nothing(images: Images) -> None:
    session = TorchEngine("cpu", "auto").session(task(images, optimizer=Adam()), images)
    train(session, range(1))
    vector, state = session.vector(), session.state()
    session.warm_up(BATCH, 1)
    assert session.vector().tobytes() == vector.tobytes()
    assert all((array == state[name]).all() for name, array in session.state().items())


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({}, ComputeMode(threads=2)),
        ({"channels_last": 0.5}, ComputeMode(channels_last=True, threads=2)),
        ({"threads": 0.5}, ComputeMode(threads=1)),
        ({"half": 0.5}, ComputeMode(threads=2, half="bfloat16")),
        ({"channels_last": 0.97, "half": 1.2}, ComputeMode(threads=2)),
        ({"channels_last": 0.5, "threads": 0.9, "half": 0.5}, ComputeMode(True, 1, "bfloat16")),
    ],
    ids=str,
)
def test_the_fastest_mode_is_chosen(
    images: Images, monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float], expected: ComputeMode
) -> None:
    def trial(session: TorchSession, share: int) -> float:
        now, plain = session.mode, ComputeMode(threads=2)
        return math.prod(factor for name, factor in seconds.items() if getattr(now, name) != getattr(plain, name))

    monkeypatch.setattr(session_module, "default_threads", lambda: 2)
    monkeypatch.setattr(TorchSession, "_trial", trial)
    session = TorchEngine("cpu", "auto").session(task(images), images)
    session.warm_up(BATCH, 1)
    assert session.mode == expected


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="there is no compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own
def test_a_compiled_net_learns_alike(images: Images) -> None:
    """On a CPU it is never chosen; but what PyTorch compiles for a GPU is the same net."""
    net = Chain((Conv2D(4, 3), BatchNorm(), ReLU(), MaxPool2D(2), Flatten(), Dense(10)))
    plain, compiled = (opened(task(images, net), images, ComputeMode(compiled=compiled)) for compiled in (False, True))
    losses = [train(session) for session in (plain, compiled)]
    assert np.abs(np.subtract(losses[0], losses[1])).max() < 1e-5
    assert np.abs(plain.vector() - compiled.vector()).max() < 1e-5
    assert (plain.vector() != compiled.vector()).any(), "it is another program"


def test_a_mode_that_cannot_be_had_is_passed_over(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("no compiler found")

    monkeypatch.setattr(torch, "compile", no_compiler)
    monkeypatch.setattr(TorchSession, "_candidates", lambda session, seconds: [{"compiled": True}])
    session = TorchEngine("cpu").session(task(images), images)
    session.warm_up(BATCH, 1)
    assert not session.mode.compiled
    assert train(session)


def test_half_precision_is_tried_only_where_it_may_be_chosen(images: Images) -> None:
    tried = {
        precision: [
            name
            for change in TorchEngine("cpu", precision).session(task(images), images)._candidates(1e6)
            for name in change
        ]
        for precision in ("float32", "float64", "bfloat16", "auto")
    }
    assert "channels_last" in tried["float32"]
    assert [precision for precision, names in tried.items() if "half" in names] == ["auto"]


def test_a_session_that_goes_on_computes_as_the_one_before(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TorchEngine("cpu", "auto")
    before = engine.session(task(images), images)
    before.use(ComputeMode(channels_last=True, threads=1, half="bfloat16"))
    record = before.describe()

    def choose(session: TorchSession, share: int, steps: int) -> None:
        session.use(ComputeMode(threads=1))

    monkeypatch.setattr(TorchSession, "_choose_mode", choose)
    for changes, expected in (
        ({}, before.mode),
        ({"engine": "numpy"}, ComputeMode(threads=1)),
        ({"torch": "1.0"}, ComputeMode(threads=1)),
        ({"processes": 2}, ComputeMode(threads=1)),
    ):
        after = engine.session(task(images), images)
        after.warm_up(BATCH, 1, record | changes)
        assert after.mode == expected, changes
    full = TorchEngine("cpu", "float32").session(task(images), images)
    full.warm_up(BATCH, 1, record)
    assert full.mode == ComputeMode(channels_last=True, threads=1), "a precision that was asked for is kept"


def test_the_record_tells_what_it_computes_with(images: Images) -> None:
    session = TorchEngine("cpu", "float64", exact_noise=True).session(task(images), images)
    session.use(ComputeMode(channels_last=True, threads=1))
    assert session.describe() == {
        "engine": "torch",
        "torch": torch.__version__,
        "device": "cpu",
        "precision": "float64",
        "channels_last": True,
        "compiled": False,
        "threads": 1,
        "processes": 1,
        "exact_noise": True,
    }


# --- the caller's own settings ----------------------------------------------------------------------------------------


def test_the_callers_settings_are_as_before(images: Images) -> None:
    session = TorchEngine("cpu", "float32").session(task(images), images)
    session.use(ComputeMode(threads=1))
    torch.manual_seed(5)
    expected = torch.rand(3)
    inside = seen_in_steps(session)
    outside = []

    def look(done: int, loss: float) -> None:
        outside.append((torch.get_num_threads(), flushes()))

    for flush in (False, True):
        torch.manual_seed(5)
        torch.set_num_threads(3)
        torch.set_flush_denormal(flush)
        try:
            session.warm_up(BATCH, 1)
            session.train_epoch(0, BATCH, np.full(STEPS, 0.1), look)
            session.outputs(images)
            session.use(ComputeMode(threads=1))
            assert (torch.get_num_threads(), flushes()) == (3, flush)
        finally:
            torch.set_num_threads(2)
            torch.set_flush_denormal(False)
        assert (torch.rand(3) == expected).all()
    assert set(inside) == {(1, True)}
    assert set(outside) == {(3, False), (3, True)}


def seen_in_steps(session: TorchSession) -> list[tuple[int, bool]]:
    """The threads, and whether denormals are flushed, in each step to come."""
    seen, step = [], session._step

    def watched(*arguments: Any) -> Any:
        seen.append((torch.get_num_threads(), flushes()))
        return step(*arguments)

    session._step = watched  # type: ignore[assignment, method-assign]
    return seen


def flushes() -> bool:
    return bool((torch.tensor([sys.float_info.min], dtype=torch.float64) / 2 == 0).item())


def test_denormals_are_kept_where_double_precision_is_a_proof(images: Images) -> None:
    session = TorchEngine("cpu", "float64").session(task(images), images)
    inside = seen_in_steps(session)
    session.train_epoch(0, BATCH, np.full(STEPS, 0.1), lambda done, loss: None)
    assert {flushed for _, flushed in inside} == {False}


def test_settings_are_given_back_after_an_error(images: Images) -> None:
    session = TorchEngine("cpu").session(task(images), images)
    session.use(ComputeMode(threads=1))

    def stop(done: int, loss: float) -> None:
        raise KeyboardInterrupt

    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        session.train_epoch(0, BATCH, np.full(STEPS, 0.1), stop)
    assert (torch.get_num_threads(), flushes()) == (threads, False)
    assert (torch.get_rng_state() == state).all()


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_with_step_and_rate(images: Images) -> None:
    net = Chain((Flatten(), Dense(10)))
    session = TorchEngine("cpu").session(task(images, net, loss=HalfSquaredError()), images)
    with pytest.raises(TrainingError, match=r"(?s)epoch 1, step \d.*rate of 1e\+25.*--lr"):
        session.train_epoch(0, BATCH, np.full(STEPS, 1e25), lambda images, loss: None)
    with pytest.raises(TrainingError, match=r"(?s)epoch 2, step 6.*rate of 0.1.*--lr"):
        session.train_step(np.arange(3), 1, 5, 0.1)


def test_a_net_in_which_all_is_frozen_is_not_trained(images: Images) -> None:
    with pytest.raises(ModelError, match="frozen"):
        TorchEngine("cpu").session(task(images, frozen=("*",)), images)
    TorchEngine("cpu").session(task(images, frozen=("*",))).outputs(images)


def test_memory_that_is_full_is_told(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    session = TorchEngine("cpu").session(task(images), images)

    def too_much(*arguments: Any) -> None:
        torch.empty(2**55)

    monkeypatch.setattr(session, "_gradients", too_much)
    with pytest.raises(MemoryError, match=r"cpu is full.*--batch-size"):
        train(session)


def test_a_defect_stays_a_defect(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    session = TorchEngine("cpu").session(task(images), images)

    def defect(*arguments: Any) -> None:
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(session, "_gradients", defect)
    with pytest.raises(RuntimeError, match="size mismatch"):
        train(session)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "'gpu' is unknown. Known: auto, cpu, cuda, cuda:1, mps"),
        ("cpu:1", "'cpu:1' is unknown"),
        ("cuda:x", "'cuda:x' is unknown"),
        ("cuda:²", "'cuda:²' is unknown"),
        ("cuda", "cuda is not available.*--device cpu"),
        ("cuda:1", "cuda:1 is not available.*--device cpu"),
        ("mps", "GPU of a Mac.*--device cpu"),
    ],
)
def test_a_device_that_is_not_here_is_told(device: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ExperimentError, match=message):
        open_engine("torch", device=device)
    assert find_device("auto") == torch.device("cpu")


def test_gpus_are_found_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("auto") == find_device("cuda") == torch.device("cuda", 0)
    assert find_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ExperimentError, match=r"cuda:2 is not available.*Known: cuda:0, cuda:1\."):
        find_device("cuda:2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert find_device("cuda") == torch.device("cuda", 1), "each process has its own"
    with pytest.raises(ExperimentError, match="each process needs its own"):
        find_device("cuda:0")


def test_without_pytorch_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(ExperimentError, match=r"pip install 'firstlight\[torch\]'"):
        open_engine("torch")


def test_what_an_engine_does_not_have_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExperimentError, match=r"numpy has no 'float16'.*--engine torch"):
        open_engine("numpy", precision="float16")
    with pytest.raises(ExperimentError, match=r"numpy runs on the CPU.*--engine torch"):
        open_engine("numpy", device="cuda")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ExperimentError, match=r"one process; torchrun started 2"):
        open_engine("numpy")


@pytest.mark.parametrize("options", [["--device", "cuda:9"], ["--device", "tpu"], ["--precision", "int8"]])
def test_a_bad_device_on_the_command_line_writes_nothing(firstlight: Any, tmp_path: Path, options: list[str]) -> None:
    answer = firstlight("run", "--data", "digits", "--engine", "torch", *options, "--out", tmp_path / "a")
    assert answer.code == 2
    assert answer.err.startswith("firstlight: ")
    assert "Traceback" not in answer.err
    assert not (tmp_path / "a").exists()


# --- whole runs -------------------------------------------------------------------------------------------------------


def tables(**changes: Any) -> experiments.Experiment:
    values: dict[str, Any] = {
        "engine": "torch",
        "data": {"source": "digits", "limit": 200},
        "model": {"name": "pyramid-regularised", "units": [16, 8], "dropout": [0.0, 0.2]},
        "training": {"epochs": 4},
    }
    for key, value in changes.items():
        experiments.put(values, key.replace("__", "."), value)
    return experiments.Experiment.of(values)


class Silent(Watcher):
    """A watcher that cuts the power after some epochs."""

    def __init__(self, epochs: int = -1) -> None:
        self.epochs = epochs

    def epoch_done(self, row: dict[str, float], best: bool) -> None:
        if row["epoch"] == self.epochs:
            raise SystemError


@pytest.mark.parametrize("precision", ["float32", "float16", "auto"])
def test_a_run_cut_off_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tables(precision=precision)
    whole = experiments.start(experiments.set_up(experiment), tmp_path / "whole", Silent())
    recorded = {key: getattr(whole.environment, key) for key in ("precision", "channels_last", "threads")}

    def choose(session: TorchSession, share: int, steps: int) -> None:
        session.use(
            ComputeMode(
                recorded["channels_last"],
                recorded["threads"],
                recorded["precision"] if recorded["precision"].endswith("16") else "",
            )
        )

    monkeypatch.setattr(TorchSession, "_choose_mode", choose)  # on a busy machine, trials may choose otherwise
    with pytest.raises(SystemError):
        experiments.start(experiments.set_up(experiment), tmp_path / "cut", Silent(2))
    resumed = experiments.resume(tmp_path / "cut", Silent())
    assert (resumed.path / "weights.safetensors").read_bytes() == (whole.path / "weights.safetensors").read_bytes()
    assert resumed.history["loss"].tolist() == whole.history["loss"].tolist()


def test_a_run_of_one_engine_is_used_and_resumed_by_the_other(tmp_path: Path) -> None:
    settings = {"precision": "float64", "exact_noise": True, "optimizer__name": "sgd", "optimizer__momentum": 0.9}
    whole = experiments.start(
        experiments.set_up(tables(engine="numpy", precision="float64")), tmp_path / "numpy", Silent()
    )
    with pytest.raises(SystemError):
        experiments.start(experiments.set_up(tables(**settings, optimizer__lr=0.02)), tmp_path / "cut", Silent(2))
    file = tmp_path / "cut" / "experiment.toml"
    text = file.read_text()
    assert 'engine = "torch"' in text
    file.write_text(text.replace('engine = "torch"', 'engine = "numpy"').replace("exact_noise = true", ""))
    resumed = experiments.resume(tmp_path / "cut", Silent())
    straight = experiments.start(
        experiments.set_up(tables(**(settings | {"engine": "numpy", "exact_noise": False}), optimizer__lr=0.02)),
        tmp_path / "straight",
        Silent(),
    )
    assert np.abs(resumed.history["loss"] - straight.history["loss"]).max() < 1e-9
    assert {path.name for path in resumed.path.iterdir()} == {path.name for path in whole.path.iterdir()}

    file = whole.path / "experiment.toml"
    file.write_text(file.read_text().replace('engine = "numpy"', 'engine = "torch"'))
    run = api.open_run(whole.path)
    assert run.session.describe()["engine"] == "torch"
    _, predictions = run.evaluate()
    recorded = RunFolder.open(whole.path).predictions["test"]
    assert np.abs(predictions.probabilities - recorded.probabilities).max() < 1e-6
