"""What holds for one layer: values worked out by hand, shapes, and clear errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.checks import gradients as g
from firstlight.errors import ModelError
from firstlight.kernels import load
from firstlight.layers import (
    ELU,
    GELU,
    SELU,
    AvgPool2D,
    BatchNorm,
    Chain,
    Concat,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    LeakyReLU,
    MaxPool2D,
    PadChannels,
    Pass,
    ReLU,
    Reshape,
    Residual,
    Sigmoid,
    Softmax,
    Tanh,
    from_json,
)
from firstlight.layers.window import padding_of
from firstlight.types import Array


def evaluated(layer: Layer, x: Any, p: Any = None) -> Array:
    return layer.forward(p or {}, np.asarray(x, np.float64), g.a_pass(training=False))[0]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (ReLU(), [0, 0, 0, 1.5]),
        (LeakyReLU(0.1), [-0.2, -0.05, 0, 1.5]),
        (ELU(2.0), [2 * (math.exp(-2) - 1), 2 * (math.exp(-0.5) - 1), 0, 1.5]),
        (SELU(), [1.0507009873554805 * 1.6732632423543772 * math.expm1(x) for x in (-2, -0.5, 0)] + [1.57605148103322]),
        (GELU(), [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in (-2, -0.5, 0, 1.5)]),
        (Sigmoid(), [1 / (1 + math.exp(-x)) for x in (-2, -0.5, 0, 1.5)]),
        (Tanh(), [math.tanh(x) for x in (-2, -0.5, 0, 1.5)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_activations_equal_their_formula(layer: Layer, expected: list[float]) -> None:
    np.testing.assert_allclose(evaluated(layer, [[-2.0], [-0.5], [0.0], [1.5]])[:, 0], expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("layer", "slope"), [(ReLU(), 0.0), (LeakyReLU(0.1), 0.1), (ELU(2.0), 2.0), (SELU(), 1.7580993408473766)]
)
def test_the_gradient_at_a_kink_is_that_from_below_as_in_pytorch(layer: Layer, slope: float) -> None:
    _, backward = layer.forward({}, np.zeros((1, 1)), g.a_pass(training=True))
    dx, _ = backward(np.ones((1, 1)))
    assert dx is not None
    assert dx.item() == pytest.approx(slope)


@pytest.mark.parametrize("layer", [Sigmoid(), Tanh(), Softmax(), ELU(), SELU(), GELU()], ids=repr)
def test_activations_stand_extreme_inputs(layer: Layer) -> None:
    x = np.array([[-1e4, 0.0, 1e4], [1e4, 0.0, -1e4]], np.float32)
    y, backward = layer.forward({}, x, g.a_pass(training=True))
    dx, _ = backward(np.ones_like(y))
    assert dx is not None
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


@settings(deadline=None)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=12))
def test_softmax_is_a_distribution(logits: list[float]) -> None:
    y, _ = Softmax().forward({}, np.array(logits, np.float32)[:, None], g.a_pass(training=False))
    assert y.min() >= 0
    assert y.sum() == pytest.approx(1, abs=1e-6)
    assert y[int(np.argmax(logits)), 0] == y.max()


# --- dense and convolution --------------------------------------------------------------------------------------------


def test_dense_is_a_column_an_image() -> None:
    p = {"W": np.array([[1.0, 2], [3, 4], [5, 6]]), "b": np.array([0.5, 0, -1])}
    np.testing.assert_array_equal(evaluated(Dense(3), [[1, 0], [1, -1]], p), [[3.5, -1.5], [7, -4], [10, -7]])


def test_conv2d_is_a_cross_correlation() -> None:
    generator = np.random.default_rng(0)
    x, W, b = generator.normal(size=(2, 6, 7, 3)), generator.normal(size=(4, 2, 3, 2)), generator.normal(size=4)
    y = evaluated(Conv2D(4, (3, 2), stride=(2, 1), padding=((1, 0), (0, 2))), x, {"W": W, "b": b})
    padded = np.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)))
    assert y.shape == (4, 3, 8, 3)
    for o, i, j, n in np.ndindex(y.shape):
        window = padded[:, 2 * i : 2 * i + 3, j : j + 2, n]
        assert y[o, i, j, n] == pytest.approx((W[o] * window).sum() + b[o])


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_gives_size_over_stride_with_the_odd_zero_last(size: int, kernel: int, stride: int) -> None:
    assert Conv2D(1, kernel, stride, "same").output_shape((1, size, size)) == (1, *[math.ceil(size / stride)] * 2)
    (before, after), _ = padding_of("same", (size, size), (kernel, kernel), (stride, stride))
    assert after - before in (0, 1)


def test_shapes_parameters_and_costs_of_convolution_and_dense() -> None:
    conv = Conv2D(16, 5, l1=0.1, l2=0.2)
    assert conv.output_shape((6, 14, 14)) == (16, 10, 10)
    W, b = conv.parameters((6, 14, 14)).values()
    assert (W.shape, b.shape) == ((16, 6, 5, 5), (16,))
    assert (W.fan_in, W.fan_out, W.l1, W.l2, W.kernel, b.kernel) == (150, 400, 0.1, 0.2, True, False)
    assert conv.multiply_adds((6, 14, 14)) == 16 * 100 * 150
    W = Dense(10, bias=False).parameters((84,))["W"]
    assert (W.shape, W.fan_in, W.fan_out) == ((10, 84), 84, 10)
    assert Dense(10).multiply_adds((84,)) == 840


# --- pooling and shapes -----------------------------------------------------------------------------------------------


def test_pooling_rounds_down_and_counts_no_padding() -> None:
    x = np.arange(1.0, 26).reshape(1, 5, 5, 1)
    np.testing.assert_array_equal(evaluated(MaxPool2D(), x)[0, ..., 0], [[7, 9], [17, 19]])
    np.testing.assert_array_equal(evaluated(AvgPool2D(), x)[0, ..., 0], [[4, 6], [14, 16]])
    np.testing.assert_array_equal(evaluated(AvgPool2D(3, 2, 1), x)[0, 0, :, 0], [4, 5.5, 7])
    np.testing.assert_array_equal(evaluated(MaxPool2D(3, 2, 1), -x)[0, 0, :, 0], [-1, -2, -4])
    assert evaluated(GlobalAvgPool2D(), x).item() == 13


def test_flatten_and_reshape_keep_the_order_of_channels_rows_and_columns() -> None:
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    flat = evaluated(Flatten(), x)
    np.testing.assert_array_equal(flat[:, 1], x[..., 1].ravel())
    np.testing.assert_array_equal(evaluated(Reshape((2, 3, 2)), flat), x)


def test_pad_channels_puts_zeros_before_and_after() -> None:
    np.testing.assert_array_equal(evaluated(PadChannels(1, 2), [[1.0], [2]])[:, 0], [0, 1, 2, 0, 0])


# --- dropout and batch norm -------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_drops_its_share() -> None:
    y, _ = Dropout(0.3).forward({}, np.ones((100, 400)), g.a_pass(training=True))
    assert y.mean() == pytest.approx(1, abs=0.01)
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.01)
    np.testing.assert_allclose(y[y != 0], 1 / 0.7)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.floats(0.05, 0.95))
def test_dropout_draws_the_same_mask_for_the_same_key_whatever_the_dtype(seed: int, rate: float) -> None:
    def mask(dtype: Any, seed: int = seed) -> Array:
        run = g.a_pass(training=True, seed=seed).within("drop")
        return Dropout(rate).forward({}, np.ones((8, 25), dtype), run)[0] != 0

    np.testing.assert_array_equal(mask(np.float32), mask(np.float32))
    np.testing.assert_array_equal(mask(np.float32), mask(np.float64))


def test_two_dropouts_of_a_net_draw_from_different_keys() -> None:
    paths: list[str] = []

    def noise(path: str) -> np.random.Generator:
        paths.append(path)
        return np.random.default_rng(0)

    net = Chain((Dropout(0.5), Chain((Dropout(0.5), Dropout(0.2, name="last"))), Dropout(0.5)))
    net.forward({}, np.ones((3, 2)), Pass(load("reference"), training=True, noise=noise))
    assert paths == ["dropout1", "chain1.dropout1", "chain1.last", "dropout2"]


def test_dropout_without_a_generator_says_so() -> None:
    with pytest.raises(ModelError, match="The layer drop needs a random generator"):
        Dropout(0.5).forward({}, np.ones((2, 2)), Pass(load("reference"), training=True).within("drop"))


@pytest.mark.parametrize("shape", [(3, 50), (3, 4, 5, 6)], ids=["dense", "images"])
def test_batch_norm_normalizes_by_the_batch_and_learns_running_statistics(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(2, 3, shape)
    p = {"gamma": np.full(3, 2.0), "beta": np.full(3, 0.5), "mean": np.full(3, 7.0), "var": np.full(3, 5.0)}
    mean_before = p["mean"]
    axes = tuple(range(1, x.ndim))
    y, _ = BatchNorm(momentum=0.8, epsilon=1e-5).forward(p, x, g.a_pass(training=True))
    np.testing.assert_allclose(y.mean(axis=axes), 0.5, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=axes), 4 * x.var(axis=axes) / (x.var(axis=axes) + 1e-5))
    assert p["mean"] is mean_before, "the running statistics must be updated where they lie"
    np.testing.assert_allclose(p["mean"], 0.8 * 7 + 0.2 * x.mean(axis=axes))
    np.testing.assert_allclose(p["var"], 0.8 * 5 + 0.2 * x.var(axis=axes, ddof=1))


def test_batch_norm_evaluates_with_the_running_statistics() -> None:
    p = {"gamma": np.array([2.0]), "beta": np.array([1.0]), "mean": np.array([3.0]), "var": np.array([4.0])}
    np.testing.assert_allclose(evaluated(BatchNorm(epsilon=0.0001), [[5.0, 3.0]], p), [[1 + 4 / math.sqrt(4.0001), 1]])


def test_batch_norm_refuses_a_single_value_a_channel() -> None:
    p = g.parameters(BatchNorm(), (3,), np.random.default_rng(0))
    run = g.a_pass(training=True).within("norm1")
    with pytest.raises(ModelError, match="norm1: one value per channel has no variance"):
        BatchNorm().forward(p, np.ones((3, 1)), run)


# --- containers -------------------------------------------------------------------------------------------------------


def test_children_are_named_by_type_and_number_or_by_themselves() -> None:
    net = Chain(
        (
            *(Conv2D(2), BatchNorm(), ReLU(), MaxPool2D()),
            *(Conv2D(2, name="middle"), ReLU(), Conv2D(2), GlobalAvgPool2D()),
            *(Chain(()), Residual(Dense(2)), Concat((Dense(2),)), Dropout(0.1), Dense(2)),
        )
    )
    assert [name for name, _ in net.named()] == [
        *("conv1", "batchnorm1", "relu1", "maxpool1"),
        *("middle", "relu2", "conv3", "globalavgpool1"),
        *("chain1", "residual1", "concat1", "dropout1", "dense1"),
    ]


def test_parameters_are_nested_by_the_names_and_bare_children_left_out() -> None:
    net = Chain((Flatten(), Residual(Chain((Dense(4), ReLU()))), Dense(2, bias=False, name="head")))
    tree = net.parameters((4, 1, 1))
    assert {path for path, _ in g.leaves(tree)} == {
        ("residual1", "body", "dense1", "W"),
        ("residual1", "body", "dense1", "b"),
        ("head", "W"),
    }
    assert tree.keys() == {"residual1", "head"}
    assert net.multiply_adds((4, 1, 1)) == 16 + 8


def test_equal_names_beside_each_other_are_an_error() -> None:
    with pytest.raises(ModelError, match="2 layers beside each other are called 'a'"):
        Chain((Dense(2, name="a"), ReLU(name="a")))
    with pytest.raises(ModelError, match="called 'relu1'"):
        Concat((Dense(2, name="relu1"), ReLU()))
    with pytest.raises(ModelError, match="called 'body'"):
        Residual(Dense(2), Dense(2, name="body"))


@pytest.mark.parametrize(
    "first",
    [
        Dense(4),
        Chain((Dense(4), Tanh())),
        Residual(Dense(4), Dense(4)),
        Residual(Dense(5)),
        Concat((Dense(2), Dense(2))),
        Concat((Dense(2), Chain(()))),
    ],
    ids=repr,
)
def test_the_first_weights_compute_no_dx_unless_it_is_wanted(first: Layer) -> None:
    net = Chain((Tanh(), first, Tanh(), Dense(2)))
    generator = np.random.default_rng(0)
    p, x = g.parameters(net, (5,), generator), g.inputs((5,), 3, generator)
    for needs_dx in (True, False):
        y, backward = net.forward(p, x, g.a_pass(training=True, needs_dx=needs_dx))
        dx, grads = backward(np.cos(y))
        assert (dx is not None) == needs_dx
        assert grads["dense1"]["W"].shape


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Dense(3), (1, 28, 28), r"Dense received an input of shape \(1, 28, 28\).*Put Flatten before it"),
        (Dense(3, name="head"), (1, 2, 2), r"Dense 'head' received"),
        (Conv2D(3, 5), (1, 4, 4), r"\(1, 4, 4\): its window \(5, 5\) is larger than the image"),
        (Conv2D(3), (10,), r"\(10,\): it takes images \(C, H, W\)"),
        (MaxPool2D(3), (1, 2, 2), "larger than the image"),
        (AvgPool2D(), (3,), "it takes images"),
        (GlobalAvgPool2D(), (3,), "it takes images"),
        (Reshape((2, 3)[:1]), (3,), r"its 3 numbers are not the 2 of \(2,\)"),
        (Residual(Dense(3)), (4,), r"its body gives \(3,\) and its shortcut \(4,\)"),
        (Concat((Conv2D(2), Conv2D(2, 1))), (1, 5, 5), r"\(2, 3, 3\), \(2, 5, 5\), which differ"),
        (Chain((Flatten(), Conv2D(2))), (1, 5, 5), r"^conv1: Conv2D received an input of shape \(25,\)"),
        (Chain((Residual(Chain((ReLU(), Dense(2)))),)), (1, 5, 5), "^residual1: body: dense1: Dense received"),
    ],
)
def test_an_input_that_does_not_fit_is_named_with_its_shape_and_the_remedy(
    layer: Layer, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        layer.output_shape(shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0), "Dense.units must be an integer from 1; received 0"),
        (lambda: Dense(True), "Dense.units .* received True"),
        (lambda: Dense(3, bias=1), "Dense.bias must be true or false"),  # type: ignore[arg-type]
        (lambda: Dense(3, initializer="he_norml"), "Did you mean he_normal"),
        (lambda: Dense(3, l1=-1), "Dense.l1 must be a number from 0"),
        (lambda: Dense(3, l2=math.nan), "Dense.l2 must be a number from 0"),
        (lambda: Dense(3, name="a.b"), "Dense.name must be a string without a full stop"),
        (lambda: Conv2D(3, (1, 2, 3)), "Conv2D.kernel"),  # type: ignore[arg-type]
        (lambda: Conv2D(3, stride=0), "Conv2D.stride"),
        (lambda: Conv2D(3, padding="full"), 'Conv2D.padding must be "valid", "same"'),  # type: ignore[arg-type]
        (lambda: Conv2D(3, padding=((1, 1), 2)), "Conv2D.padding"),  # type: ignore[arg-type]
        (lambda: Conv2D(3, padding=-1), "Conv2D.padding"),
        (lambda: MaxPool2D(2, padding=2), "MaxPool2D.padding must be less than the size 2"),
        (lambda: AvgPool2D(2, stride=(0, 1)), "AvgPool2D.stride"),
        (lambda: Reshape((2, 2)), "Reshape.shape must be three integers"),
        (lambda: LeakyReLU(1.0), "LeakyReLU.slope"),
        (lambda: ELU(-0.5), "ELU.alpha"),
        (lambda: Dropout(1.0), "Dropout.rate must be a number from 0 to below 1; received 1.0"),
        (lambda: BatchNorm(momentum=1.1), "BatchNorm.momentum"),
        (lambda: BatchNorm(epsilon=0), "BatchNorm.epsilon"),
        (lambda: PadChannels(-1, 0), "PadChannels.before"),
        (lambda: Chain([Dense(2)]), "Chain.layers must be a tuple of layers"),  # type: ignore[arg-type]
        (lambda: Residual("dense"), "Residual.body must be a layer"),  # type: ignore[arg-type]
        (lambda: Concat(()), "Concat.branches must be a tuple of at least one layer"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()


def test_from_json_reads_what_a_person_writes() -> None:
    layer = from_json({"type": "Conv2D", "filters": 6, "kernel": [5, 3], "padding": [[1, 2], [0, 0]], "l2": 0})
    assert layer == Conv2D(6, (5, 3), padding=((1, 2), (0, 0)))
    assert Conv2D(6, 5, name="c").to_json() == {"type": "Conv2D", "name": "c", "filters": 6, "kernel": 5}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "Dens", "units": 3}, "There is no layer of type 'Dens'. Did you mean Dense"),
        ({"type": "Dense", "unit": 3}, "Dense has no setting 'unit'. Did you mean units"),
        ({"type": "Dense"}, "Dense needs the setting 'units'"),
        ({"type": "Dense", "units": "ten"}, "Dense.units must be an integer from 1; received 'ten'"),
        ({"type": "Dense", "units": {"type": "ReLU"}}, "Dense.units must be"),
        ({"type": "Chain", "layers": ["Dense"]}, "Chain.layers must be a tuple of layers"),
        ({"type": "Chain", "layers": [{"units": 3}]}, "A layer is a table with a type"),
        ({"type": 3}, "A layer is a table with a type"),
        ("Dense", "A layer is a table with a type"),
    ],
)
def test_from_json_refuses_what_is_no_layer(settings: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        from_json(settings)
