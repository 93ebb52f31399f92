"""What a net held on the way: both engines show the same values and gradients, and the gradients are derivatives."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from firstlight.engines import Session, Task, open_engine
from firstlight.layers import (
    AvgPool2D,
    BatchNorm,
    Chain,
    Concat,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    PadChannels,
    Residual,
    Softmax,
    Tanh,
)
from firstlight.losses import CrossEntropy
from firstlight.models import Model
from firstlight.optimizers import SGD
from firstlight.prepare import Preparation
from firstlight.types import Array, Images

N = 5
BODY = Chain((Conv2D(4, padding="same", bias=False), BatchNorm(), Tanh(), Conv2D(4, padding="same")))
NETS = {
    "chain": Chain((Conv2D(3), BatchNorm(), Tanh(), Flatten(), Dropout(0.5), Dense(4), Softmax())),
    "residual": Chain((Conv2D(4), Residual(BODY, name="block"), Tanh(), Flatten(), Dense(4))),
    "shortcut": Chain(
        (
            Residual(Conv2D(5, stride=2, padding=1), Chain((AvgPool2D(1, stride=2), PadChannels(1, 1)))),
            Flatten(),
            Dense(4),
        )
    ),
    "concat": Chain(
        (Concat((Chain(()), Chain((BatchNorm(), Tanh(), Conv2D(2, padding="same"))))), Flatten(), Dense(4))
    ),
}


@cache
def images() -> Images:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (N, 8, 6, 3), dtype=np.uint8)
    return Images(pixels, np.arange(N) % 4, np.arange(N).astype(str), tuple("abcd"))


def session(net: str, engine: str, standardise: Any = "channel", **options: Any) -> Session:
    prepared = Preparation.fit(images(), standardise=standardise)
    model = Model(net, NETS[net], (8, 6, 3), 4)
    task = Task(model, CrossEntropy(), prepared, SGD())
    vector = model.layout.initial(0, np.float64)
    vector += np.random.default_rng(1).uniform(0.05, 0.2, len(vector))  # running statistics and biases of their own
    return open_engine(engine, precision="float64", **options).session(task, vector=vector)


def cotangents(session: Session, x: Array, seed: int = 2) -> dict[str, Array]:
    """One at random for every layer and container."""
    random = np.random.default_rng(seed)
    return {path: random.standard_normal(y.shape) for path, y in session.trace(x).values.items()}


@pytest.mark.parametrize("net", NETS)
def test_the_engines_hold_the_same(net: str) -> None:
    ours, theirs = session(net, "numpy"), session(net, "torch")
    x = ours.prepared(images())
    np.testing.assert_allclose(x, theirs.prepared(images()), rtol=1e-12)
    given = cotangents(ours, x)
    a, b = ours.trace(x, given), theirs.trace(x, given)
    assert list(a.values) == list(b.values)
    for path in a.values:
        np.testing.assert_allclose(a.values[path], b.values[path], rtol=1e-9, atol=1e-11, err_msg=path)
        np.testing.assert_allclose(a.gradients[path], b.gradients[path], rtol=1e-9, atol=1e-11, err_msg=path)
    assert a.dx is not None
    assert b.dx is not None
    np.testing.assert_allclose(a.dx, b.dx, rtol=1e-9, atol=1e-11)
    assert a.dx.shape == x.shape


@pytest.mark.parametrize("net", NETS)
def test_dx_is_the_derivative(net: str) -> None:
    found = session(net, "numpy")
    x = found.prepared(images())
    given = cotangents(found, x)
    dx = found.trace(x, given).dx
    assert dx is not None
    direction = np.random.default_rng(3).standard_normal(x.shape)

    def objective(x: Array) -> float:
        values = found.trace(x).values
        return float(sum((given[path] * values[path]).sum() for path in given))

    numeric = (objective(x + 1e-6 * direction) - objective(x - 1e-6 * direction)) / 2e-6
    assert (dx * direction).sum() == pytest.approx(numeric, rel=1e-6)


def test_the_last_values_are_the_outputs_and_each_image_stands_alone() -> None:
    found = session("residual", "numpy")
    x = found.prepared(images())
    whole = found.trace(x)
    np.testing.assert_allclose([*whole.values.values()][-1], found.outputs(images()), rtol=1e-12)
    alone = found.trace(x[2:3])
    for path, value in whole.values.items():
        np.testing.assert_allclose(alone.values[path][0], value[2], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_only_what_is_asked_for_is_kept(engine: str) -> None:
    found = session("residual", engine)
    x = found.prepared(images())
    given = {"dense1": np.ones((N, 4))}
    trace = found.trace(x, given, only=["block", "block.body.tanh1"])
    assert set(trace.values) == set(trace.gradients) == {"block", "block.body.tanh1"}
    everything = found.trace(x, given)
    for path in trace.values:
        np.testing.assert_array_equal(trace.values[path], everything.values[path])
        np.testing.assert_array_equal(trace.gradients[path], everything.gradients[path])
    without = found.trace(x)
    assert without.gradients == {}
    assert without.dx is None
    with pytest.raises(KeyError, match="conv9"):
        found.trace(x, {"conv9": np.ones(1)})


def test_compiled_and_reference_sessions_trace_the_same() -> None:
    compiled, reference = session("chain", "numpy"), session("chain", "numpy", kernels="reference")
    x = compiled.prepared(images())
    given = cotangents(compiled, x)
    a, b = compiled.trace(x, given), reference.trace(x, given)
    for path in a.values:
        np.testing.assert_allclose(a.values[path], b.values[path], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(a.gradients[path], b.gradients[path], rtol=1e-9, atol=1e-12)


def test_images_standardized_by_themselves_are_prepared_alike() -> None:
    ours, theirs = (session("chain", engine, standardise="image") for engine in ("numpy", "torch"))
    x = ours.prepared(images())
    np.testing.assert_allclose(x, theirs.prepared(images()), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(x.mean(axis=(1, 2, 3)), 0, atol=1e-12)


def test_trained_weights_are_looked_at_as_they_are_now() -> None:
    found = session("chain", "numpy")
    x = found.prepared(images())
    before = found.trace(x).values["dense1"]
    found.restore(found.vector() * 1.5)
    assert np.abs(found.trace(x).values["dense1"] - before).max() > 1e-3
