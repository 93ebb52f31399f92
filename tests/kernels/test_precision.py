"""float32 stays near float64: whole nets, the activations over the whole range, and long sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.graphs import Net, Results, assert_equal, cut, index_of, run_compiled

from firstlight import models
from firstlight.kernels import reference
from firstlight.kernels.graph import Graph, Value
from firstlight.kernels.operation import Part
from firstlight.kernels.ops.activation import FORMULAS
from firstlight.kernels.ops.batch_norm import Statistics
from firstlight.kernels.ops.convolution import BiasGradient, Correlation, KernelGradient
from firstlight.kernels.ops.output import Output
from firstlight.kernels.runtime import Program, Runtime
from firstlight.layers import (
    ELU,
    GELU,
    SELU,
    AvgPool2D,
    Layer,
    LeakyReLU,
    MaxPool2D,
    Mish,
    Pass,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
from firstlight.models import Model
from firstlight.types import Array

KINDS = pytest.mark.parametrize("kind", [np.float32, np.float64])

# Smooth activations and pooling by the mean: where two values are equal to seven digits, float32 may take the other
# side of a kink or the other pixel of a window than float64, and neither is wrong.
NETS = {
    "lenet5": models.lenet5(activation="tanh", pooling="average"),
    "lenet5-batchnorm": models.lenet5_batchnorm(activation="tanh"),
    "lenet5-dropout": models.lenet5(activation="sigmoid", pooling="average", dropout=0.5),
    "mlp-500-250-100": models.mlp_500_250_100(activation="gelu"),
    "vgg-small": models.vgg_small(activation="elu"),
}


def smooth(model: Model) -> Net:
    layers = tuple(AvgPool2D(layer.size) if isinstance(layer, MaxPool2D) else layer for layer in model.layers.layers)
    return Net(layers, model.channels_first)


def assert_near(found: Results, expected: Results) -> None:
    """Each result within 1e-5 of its largest number; with batch norm, of the largest of the whole gradient.

    It takes the part out of the gradient that all values of a channel share, and magnifies the rounding of the rest:
    float32 layer by layer, with NumPy's own products, is hardly closer.
    """
    norms = any(name.startswith("running") for name in expected)
    assert_equal(found, expected, tolerance=1e-5, floor=1.0 if norms else 1e-3)


@pytest.mark.parametrize("model", NETS.values(), ids=NETS.keys())
def test_nets(model: Model) -> None:
    """Loss, outputs, statistics and gradients."""
    net = smooth(model)
    index = index_of(32 if model.name == "vgg-small" else 64)
    assert_near(run_compiled(net, index, np.float32), run_compiled(net, index, np.float64))


@pytest.mark.parametrize("name", ["lenet5", "lenet5-batchnorm", "vgg-small"])
def test_the_comparison_rejects_half_the_digits(name: str) -> None:
    net = smooth(NETS[name])
    weights = net.weights()
    coarse = weights * (1 + 2e-4 * np.random.default_rng(0).uniform(-1, 1, weights.shape))
    with pytest.raises(AssertionError):
        assert_near(run_compiled(net, index_of(8), np.float32, coarse), run_compiled(net, index_of(8)))


def by_hand(graph: Graph, values: Array, kind: Any, trained: int = 0, images: int = 1) -> tuple[Runtime, Program]:
    """Run a graph whose every pixel has a value of its own, the same for all images, in one worker and chunk."""
    shape = graph.input_shape
    with cut(1, cache=1 << 40), np.errstate(all="ignore"):
        # −1 · 0 + value is the value, also of −0.
        runtime = Runtime(
            graph,
            np.zeros(max(1, trained), kind),
            trained,
            np.full(shape, -1, kind),
            values.astype(kind).reshape(shape),
        )
        program = runtime.program(images)
        at = np.arange(images)
        runtime.run(program, np.zeros((images, values.size), np.uint8), at, at)
    return runtime, program


BENT: dict[str, tuple[str, float, Layer]] = {
    "relu": ("relu", 0, ReLU()),
    "leaky": ("leaky", 0.2, LeakyReLU(0.2)),
    "elu": ("elu", 0.7, ELU(0.7)),
    "selu": ("selu", 0, SELU()),
    "sigmoid": ("sigmoid", 0, Sigmoid()),
    "tanh": ("tanh", 0, Tanh()),
    "gelu": ("gelu", 0, GELU()),
    "silu": ("silu", 0, SiLU()),
    "mish": ("mish", 0, Mish()),
}
TINY = 10.0 ** np.linspace(-45, 0, 3000)
FINITE = np.concatenate([
    np.linspace(-110, 110, 40001), np.linspace(-1, 1, 20001), TINY, -TINY, [0.0, -0.0, 3e38, -3e38, 1e-45, -1e-45]
]).astype(np.float32)  # fmt: skip
ENDS = np.array([np.inf, -np.inf, np.nan], np.float32)
# In units in the last place, where more than four: erfc(−x / √2) magnifies the rounding of its argument by x².
ULPS = {("gelu", np.float64): 4096}
# The float32 exponentials end there, at 2e-38, and x is a factor of these.
STEEP = ("silu", "mish")


def truth(layer: Layer, x: Array, dy: Array | None = None) -> Array:
    """y in float64, or dx."""
    with np.errstate(all="ignore"):
        y, backward = layer.forward({}, x.astype(np.float64)[:, None], Pass(reference))
        found = y if dy is None else backward(dy.astype(np.float64)[:, None])[0]
    assert found is not None
    return found[:, 0]


@KINDS
@pytest.mark.parametrize("bent", BENT.values(), ids=BENT.keys())
def test_activations(bent: tuple[str, float, Layer], kind: Any) -> None:
    name, constant, layer = bent
    values = np.concatenate([FINITE, ENDS])
    graph = Graph((1, 1, len(values)), training=False)
    graph.output(graph.activation(graph.input(), name, constant))
    found = by_hand(graph, values, kind)[1].outputs[:, 0].astype(np.float64)
    expected = truth(layer, values)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    finite = np.isfinite(expected)
    ulps = ULPS.get((name, kind), 4) * float(np.finfo(kind).eps)
    # Below the smallest normal number no digits are promised; the float32 sigmoid ends there, at 2e-38.
    least = 2 * float(np.finfo(kind).tiny) * (np.clip(np.abs(values[finite]), 1, 110) if name in STEEP else 1)
    allowed = ulps * np.abs(expected[finite]) + least
    assert (np.abs(found[finite] - expected[finite]) <= allowed).all()


@KINDS
@pytest.mark.parametrize("bent", BENT.values(), ids=BENT.keys())
def test_slopes(bent: tuple[str, float, Layer], kind: Any) -> None:
    """dy · f′(x), with as many digits as y has near its limits."""
    name, constant, layer = bent
    x, dy = FINITE, np.random.default_rng(0).standard_normal(len(FINITE)).astype(np.float32)
    graph = Graph((2, 1, len(x)), training=False)
    both = graph.input()
    y = graph.activation(Value((len(x),), both.memory), name, constant)
    formula = FORMULAS[name]
    graph.append(formula.backward(both if formula.from_x else y, Part(both, len(x)), len(x), constant))
    graph.outputs = len(x)
    graph.append(Output(Part(both, len(x)), len(x)))
    found = by_hand(graph, np.concatenate([x, dy]), kind)[1].outputs[:, 0]
    ulps = 8 if kind == np.float32 or name not in STEEP else 64  # of the truth itself, which takes 1 − σ of large x
    assert (np.abs(found - truth(layer, x, dy)) <= ulps * np.finfo(kind).eps * np.abs(dy)).all()


# Where a sum grows far beyond what is added, each addition loses digits: at most 1e-5 of the whole shall go.
MILLION = {
    "a large mean": 1000 + np.random.default_rng(0).standard_normal(1000),
    "a small mean": 0.1 + np.random.default_rng(1).standard_normal(1000),
    "all alike": np.full(1000, 0.42421296),  # each addition then errs to the same side
    "all but alike": 0.7 + 1e-3 * np.random.default_rng(2).standard_normal(1000),
}


@pytest.mark.parametrize("values", MILLION.values(), ids=MILLION.keys())
def test_sums_of_a_million(values: Array) -> None:
    """A bias's gradient, and the statistics of batch norm."""
    graph = Graph((1, 1, 1000), training=False)
    x = graph.input()
    graph.statistics = 2
    graph.append(BiasGradient(x, 0, 1, 1000))
    graph.append(Statistics(x, 1, 1000, 0))
    runtime, program = by_hand(graph, values, np.float32, trained=1, images=1000)
    exact = values.astype(np.float32).astype(np.float64)
    mean = math.fsum(exact) / 1000
    squares = 1000 * math.fsum((exact - mean) ** 2)
    mean_found, squares_found = program.arrays["statistics"][0]
    assert runtime.gradients(program)[0, 0] == pytest.approx(1000 * math.fsum(exact), rel=5e-6)
    assert mean_found == pytest.approx(mean, rel=5e-6)
    # The mean is rounded to float32, which moves the sum of squares by its own square.
    assert squares_found == pytest.approx(squares, rel=1e-5, abs=1e6 * (3e-6 * mean) ** 2)


@pytest.mark.parametrize("images", [64, 256])
def test_weights_seen_by_many_pixels(images: int) -> None:
    """dW over 28×28 pixels and the images, all products of one sign: where it reads in place, and from strips."""
    x_shape, y_shape, kernel = (1, 28, 28), (2, 24, 24), (5, 5)
    pixels, outputs = math.prod(x_shape), math.prod(y_shape)
    graph = Graph((1, 1, pixels + outputs), training=False)
    both = graph.input()
    graph.append(KernelGradient(both, Part(both, pixels), 0, Correlation(x_shape, y_shape, (0, 0), kernel)))
    values = np.random.default_rng(0).uniform(0.1, 1, both.size).astype(np.float32)
    runtime, program = by_hand(graph, values, np.float32, 2 * 25, images)
    x, dy = np.split(values.astype(np.float64), [pixels])
    expected = reference.conv2d_dW(x.reshape(*x_shape, 1), dy.reshape(*y_shape, 1), (1, 1), ((0, 0), (0, 0)), kernel)
    np.testing.assert_allclose(runtime.gradients(program)[0], images * expected.ravel(), rtol=1e-5)
