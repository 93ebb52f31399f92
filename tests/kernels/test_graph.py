"""A graph, run by threads, gives what the layers give one by one with the reference kernels."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.graphs import BENT, RECORDED, Net, around, assert_equal, cut, index_of, run_compiled, run_eager, step

from firstlight.engines import Task
from firstlight.engines.executor import CompiledExecutor, EagerExecutor, build_executor
from firstlight.engines.numpy import NumpyEngine
from firstlight.errors import ModelError
from firstlight.kernels import Padding, Pair, compiled
from firstlight.kernels.graph import NotRecordedError
from firstlight.kernels.runtime import Runtime
from firstlight.layers import (
    GELU,
    AvgPool2D,
    BatchNorm,
    Chain,
    Concat,
    Conv2D,
    Dense,
    Dropout,
    Example,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    PadChannels,
    ReLU,
    Reshape,
    Residual,
    Softmax,
    Tanh,
)
from firstlight.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    HalfSquaredError,
    MeanSquaredError,
    SoftmaxBinaryCrossEntropy,
)
from firstlight.models import Model
from firstlight.optimizers import SGD
from firstlight.prepare import Preparation
from firstlight.types import Dataset, Shape

quick = settings(max_examples=40, deadline=None, derandomize=True)

LOSSES = (
    CrossEntropy(),
    CrossEntropy(0.1),
    BinaryCrossEntropy(),
    SoftmaxBinaryCrossEntropy(),
    MeanSquaredError(),
    HalfSquaredError(),
    Focal(),
)


def whole(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most)


@st.composite
def windows(draw: st.DrawFn, size: Pair, kernel: int = 5, padding: int = 3) -> tuple[Pair, Pair, Padding]:
    """A kernel (at times the whole image), its stride, and a padding: none, full, or as it comes."""
    kind = draw(st.sampled_from(["image", "none", "full", "any"]))
    chosen: Any = size if kind == "image" else tuple(draw(whole(1, min(kernel, n))) for n in size)
    border: Any = ((0, 0), (0, 0))
    if kind == "full":
        border = tuple((k - 1, k - 1) for k in chosen)
    elif kind == "any":
        border = tuple((draw(whole(0, padding)), draw(whole(0, padding))) for _ in chosen)
        chosen = tuple(draw(whole(1, min(kernel, n + sum(b)))) for n, b in zip(size, border, strict=True))
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2), (3, 1)]))
    return chosen, stride, border


@st.composite
def convolutions(draw: st.DrawFn, shape: Shape) -> Layer:
    kernel, stride, padding = draw(windows((shape[1], shape[2])))
    return Conv2D(draw(st.sampled_from([1, 2, 3, 5, 8, 17])), kernel, stride, padding, bias=draw(st.booleans()))


@st.composite
def pools(draw: st.DrawFn, shape: Shape) -> Layer:
    """Overlapping, padded, and such that they leave rows and columns out; at times the usual one."""
    kind = draw(st.sampled_from([MaxPool2D, AvgPool2D]))
    if min(shape[1:]) > 1 and draw(st.booleans()):
        return kind(2, draw(st.sampled_from([1, 2, 3])))
    kernel: Any
    kernel, stride, padding = draw(windows((shape[1], shape[2]), 4, 2))
    if any(max(side) >= k for side, k in zip(padding, kernel, strict=True)):
        padding = ((0, 0), (0, 0))
        kernel = tuple(min(k, n) for k, n in zip(kernel, shape[1:], strict=True))
    return kind(kernel, stride, padding)


@st.composite
def layers(draw: st.DrawFn, shape: Shape, depth: int) -> Layer:
    """A layer that takes `shape`; a container's children keep it."""
    names = ["bent", "bent", "norm", "dropout", "channels"]
    names += ["convolution", "convolution", "pool"] if len(shape) == 3 else ["dense"]
    names += ["residual", "concat"] if depth else []
    kind = draw(st.sampled_from(names))
    if kind == "bent":
        return draw(st.sampled_from(BENT))
    if kind == "norm":
        return BatchNorm(momentum=draw(st.sampled_from([0.9, 0.0])), epsilon=1e-2)
    if kind == "dropout":
        return Dropout(draw(st.sampled_from([0.3, 0.0])))
    if kind == "channels":
        return PadChannels(draw(whole(0, 1)), draw(whole(0, 1)))
    if kind == "convolution":
        return draw(convolutions(shape))
    if kind == "pool":
        return draw(pools(shape))
    if kind == "dense":
        return Dense(draw(whole(1, 9)), bias=draw(st.booleans()))
    if kind == "residual":
        return Residual(draw(same(shape, depth - 1)), draw(same(shape, depth - 1)))
    return Concat(tuple(draw(same(shape, depth - 1)) for _ in range(draw(whole(1, 3)))))


@st.composite
def same(draw: st.DrawFn, shape: Shape, depth: int) -> Layer:
    """A chain from a shape to the same shape, at times without layers."""
    chain: list[Layer] = []
    for _ in range(draw(whole(0, 3))):
        layer = draw(layers(shape, depth))
        if layer.output_shape(shape) != shape:
            layer = Conv2D(shape[0], 3, padding="same") if len(shape) == 3 else Dense(shape[0])
        chain.append(layer)
    return Chain(tuple(chain))


@st.composite
def nets(draw: st.DrawFn) -> Net:
    shape: Shape = (draw(st.sampled_from([1, 1, 3, 4])), draw(whole(1, 9)), draw(whole(1, 9)))
    first = shape
    chain: list[Layer] = []
    for _ in range(draw(whole(0, 5))):
        chain.append(draw(layers(shape, 2)))
        shape = chain[-1].output_shape(shape)
        if shape[0] > 24 or (len(shape) == 3 and draw(whole(0, 7)) == 0):
            chain.append(draw(st.sampled_from([GlobalAvgPool2D(), Flatten()])) if len(shape) == 3 else Dense(4))
            shape = chain[-1].output_shape(shape)
    chain += [Flatten(), Dense(draw(whole(2, 5)), name="head")]
    net = Net(tuple(chain), first, draw(st.sampled_from(LOSSES)), seed=draw(whole(0, 99)))  # type: ignore[arg-type]
    names = [entry.name for entry in net.task.model.layout.entries]
    frozen = draw(st.one_of(st.just([]), st.lists(st.sampled_from(names), unique=True), st.just(["*", "!head*"])))
    norms = sorted({name.removesuffix(".mean") for name in names if name.endswith(".mean")})
    running_stats = draw(st.lists(st.sampled_from(norms), unique=True)) if norms else []
    standardized = draw(st.sampled_from([False, False, True]))
    return replace(net, frozen=tuple(frozen), running_stats=frozenset(running_stats), standardized=standardized)


SIZES = st.one_of(whole(1, 9), whole(10, 70))


@quick
@given(net=nets(), images=SIZES, workers=whole(1, 3), cache=st.sampled_from([1, 20_000, 1 << 20]))
def test_a_graph_gives_what_the_layers_give(net: Net, images: int, workers: int, cache: int) -> None:
    index = index_of(images)
    with cut(workers, cache):
        try:
            expected = run_eager(net, index)
        except ModelError as error:  # one value a channel, on which a batch norm cannot train
            with pytest.raises(ModelError, match=re.escape(str(error))):
                run_compiled(net, index)
        else:
            assert_equal(run_compiled(net, index), expected)


@st.composite
def small(draw: st.DrawFn, kind: Any) -> Net:
    """One layer that has something to train before it and after."""
    shape = (draw(st.sampled_from([1, 2, 3, 9])), draw(whole(1, 10)), draw(whole(1, 10)))
    layer = draw(kind(shape))
    front = Conv2D(shape[0], 1, name="front")
    seed = draw(whole(0, 99))
    return Net((front, layer, *draw(st.sampled_from([(), (ReLU(),)])), Flatten(), Dense(3)), shape, seed=seed)


@quick
@given(net=small(convolutions), images=SIZES, workers=whole(1, 3))
def test_convolutions(net: Net, images: int, workers: int) -> None:
    with cut(workers):
        assert_equal(run_compiled(net, index_of(images)), run_eager(net, index_of(images)))


@st.composite
def wide(draw: st.DrawFn) -> Net:
    """A 3×3 convolution of many channels, which a graph may do in another way than the others."""
    border: Any = tuple((draw(whole(0, 3)), draw(whole(0, 3))) for _ in range(2))
    height, width = (draw(whole(max(1, 3 - sum(side)), 9)) for side in border)
    front = Conv2D(draw(st.sampled_from([15, 16, 17, 24])), 1, name="front")
    filters = draw(st.sampled_from([1, 16, 17, 33]))
    after = draw(st.sampled_from([(), (ReLU(),), (BatchNorm(epsilon=1e-2), ReLU(), MaxPool2D(1, 2))]))
    layers = (front, Conv2D(filters, 3, padding=border, bias=draw(st.booleans())), *after, Flatten(), Dense(3))
    return Net(layers, (2, height, width), frozen=draw(st.sampled_from([(), ("conv1.W",), ("front.*",)])))


@quick
@given(net=wide(), images=st.sampled_from([7, 8, 16, 24, 32, 40, 48, 64]), workers=whole(1, 3))
def test_wide_convolutions(net: Net, images: int, workers: int) -> None:
    with cut(workers):
        assert_equal(run_compiled(net, index_of(images)), run_eager(net, index_of(images)))


@quick
@given(net=small(pools), images=SIZES, workers=whole(1, 3))
def test_pools(net: Net, images: int, workers: int) -> None:
    with cut(workers):
        assert_equal(run_compiled(net, index_of(images)), run_eager(net, index_of(images)))


@pytest.mark.parametrize("example", RECORDED)
def test_every_example(example: Example) -> None:
    net = around(example)
    for images in (2, 3, 33):
        assert_equal(run_compiled(net, index_of(images)), run_eager(net, index_of(images)))


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        (Softmax.examples[0], "Softmax"),
        (Softmax.examples[1], "Softmax"),
        (Example(MaxPool2D((16, 17)), (1, 16, 17)), "more than 256 pixels"),
    ],
)
def test_what_no_graph_can_hold_goes_layer_by_layer(example: Example, reason: str) -> None:
    net = around(example)
    vector = net.weights()
    with pytest.raises(NotRecordedError, match=reason):
        CompiledExecutor(net.task, Runtime, vector)
    chosen = build_executor(net.task, compiled, vector)
    assert isinstance(chosen, EagerExecutor)
    assert_equal(step(chosen, vector, net, index_of(7)), run_eager(net, index_of(7)))


def test_a_net_that_no_graph_can_hold_trains_all_the_same(digits: Dataset) -> None:
    images = digits.splits["train"].take(np.arange(100))
    layers = Chain((Flatten(), Dense(9), Softmax(), Dense(10)))
    task = Task(Model("gated", layers, (8, 8, 1), 10), CrossEntropy(), Preparation.fit(images), SGD(lr=0.1))
    ends = []
    for kernels in ("compiled", "reference"):
        session = NumpyEngine(kernels, np.float64).session(task, images)
        assert isinstance(session.executor, EagerExecutor)
        session.train_epoch(0, 32, np.full(4, 0.1), lambda done, loss: None)
        ends.append(session.vector())
    assert np.abs(ends[0] - ends[1]).max() < 1e-12
    assert np.abs(ends[0] - session.layout.initial(0)).max() > 1e-3


# Geometries at which convolutions take other ways than on small images: strips, blocks of images, channels in parts.
SAME3, SAME5 = ((1, 1), (1, 1)), ((2, 2), (2, 2))
LARGER = {
    "lenet5": ((Conv2D(6, 5, padding=SAME5), MaxPool2D(2), Conv2D(16, 5)), (1, 28, 28), 32),
    "wide": ((Conv2D(32, padding=SAME3), Conv2D(40, padding=SAME3)), (3, 12, 12), 64),
    "wide, and a rest of its blocks": (
        (Conv2D(24, 1), Conv2D(33, padding=SAME3), Conv2D(16, padding=SAME3)),
        (2, 12, 11),
        91,
    ),
    "blocks of images and a rest": ((Conv2D(96, 1), Conv2D(9, padding=SAME3)), (2, 16, 16), 70),
    "strided": ((Conv2D(48, 1), Conv2D(11, padding=SAME3, stride=2)), (2, 15, 16), 64),
    "a thousand taps": ((Conv2D(130, 1), Conv2D(5, 3, padding=2)), (1, 4, 5), 33),
    "as wide as its rows are long": ((Conv2D(16, 1), Conv2D(16, 3, padding=SAME3)), (1, 16, 16), 32),
}


@pytest.mark.parametrize("case", LARGER.values(), ids=LARGER.keys())
def test_larger_convolutions(case: tuple[tuple[Layer, ...], Any, int]) -> None:
    layers, shape, images = case
    net = Net((*layers, Flatten(), Dense(3)), shape)
    assert_equal(run_compiled(net, index_of(images)), run_eager(net, index_of(images)))


C3, NORM, IDENTITY = Conv2D(3, 3, padding="same"), BatchNorm(), Chain(())
# What a graph makes one step of, or writes in the place of what came before, and where it must not.
NEIGHBOURS: dict[str, tuple[Layer, ...]] = {
    "rectified images": (ReLU(), C3),
    "convolution, relu": (C3, ReLU(), C3),
    "relu twice": (C3, ReLU(), ReLU(), C3),
    "convolution, relu, pool": (C3, ReLU(), MaxPool2D(2)),
    "convolution, relu, pool, relu": (C3, ReLU(), MaxPool2D(2), ReLU()),
    "convolution, relu, dropout, pool": (C3, ReLU(), Dropout(0.4), MaxPool2D(2)),
    "convolution, dropout, relu": (C3, Dropout(0.4), ReLU(), C3),
    "norm, relu": (C3, NORM, ReLU(), C3),
    "norm, relu, pool": (C3, NORM, ReLU(), MaxPool2D(3, 2), C3),
    "norm, relu, reshaped": (C3, NORM, Reshape((3, 7, 6)), ReLU(), MaxPool2D(2)),
    "norm, dropout, relu": (C3, NORM, Dropout(0.4), ReLU(), C3),
    "norm, tanh": (C3, NORM, Tanh(), C3),
    "norm of images": (NORM, C3),
    "norm after norm": (C3, NORM, NORM, ReLU(), C3),
    "pool, tanh": (C3, MaxPool2D(2), Tanh(), C3),
    "tanh, pool, gelu, pool": (C3, Tanh(), MaxPool2D(2), GELU(), AvgPool2D(2)),
    "relu for two": (C3, ReLU(), Concat((MaxPool2D(2), AvgPool2D(2), MaxPool2D(2))), C3),
    "norm for two": (C3, NORM, Concat((ReLU(), Tanh(), IDENTITY, Chain((ReLU(), C3)))), C3),
    "a sum of the same twice": (C3, Residual(IDENTITY), ReLU(), C3),
    "a residual block": (C3, ReLU(), Residual(Chain((C3, NORM, ReLU(), C3, NORM))), ReLU(), MaxPool2D(2)),
    "a residual of images": (Residual(Chain((C3, ReLU(), Conv2D(1, 1)))), ReLU()),
    "blocks in blocks": (C3, Residual(Residual(Concat((IDENTITY,))), Residual(Chain((Dropout(0.2), C3))))),
    "dropout in two branches": (C3, Residual(Dropout(0.4), Dropout(0.4)), C3),
    "kernel as large as the image": (C3, ReLU(), Conv2D(4, (6, 7)), ReLU()),
}


@pytest.mark.parametrize("layers", NEIGHBOURS.values(), ids=NEIGHBOURS.keys())
@pytest.mark.parametrize("running_stats", [False, True], ids=["", "running_stats"])
def test_neighbours(layers: tuple[Layer, ...], running_stats: bool) -> None:
    norms = frozenset({"batchnorm1"} if running_stats else ())
    net = Net((*layers, Flatten(), Dense(3)), (1, 6, 7), running_stats=norms)
    for images in (5, 33):
        assert_equal(run_compiled(net, index_of(images)), run_eager(net, index_of(images)))
