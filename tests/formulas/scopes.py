"""For each layer and each loss the numbers that its derivation speaks of: those of `forward` and `backward`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import ndtr
from tests.formulas.following import Scope
from tests.formulas.values import Located

from firstlight import layers
from firstlight.checks import gradients as g
from firstlight.layers import Chain, Concat, Container, Dense, Layer, Residual, Tanh
from firstlight.layers.selu import ALPHA, SCALE
from firstlight.losses import Loss, loss

N = 2  # images
LETTERS = {"gamma": "γ", "beta": "β"}


def of_layer(
    layer: Layer,
    shape: tuple[int, ...],
    sizes: Mapping[str, int] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    training: bool = True,
    batch: bool = True,
) -> Scope:
    """The numbers of a layer on random inputs of a shape; without `batch` those of one image, and no axis for it."""
    random = np.random.default_rng(1)
    p = g.parameters(layer, shape, random)
    x = g.inputs(shape, N if batch else 1, random, smooth=False)  # away from kinks
    run = g.a_pass(training=training)
    y, backward = layer.forward(g.copied(p), x, run)
    dy = random.standard_normal(y.shape)
    dx, grads = backward(dy)
    assert dx is not None

    def images(array: Any) -> Any:
        return array if batch else array[..., 0]

    def made(given: Mapping[str, Any]) -> dict[str, Any]:
        tree = {name: given[LETTERS.get(name, name)].reshape(value.shape) for name, value in p.items()}
        return {"y": images(layer.forward(tree, given["x"] if batch else given["x"][..., None], run)[0])}

    def named(arrays: Mapping[str, Any], d: str = "") -> dict[str, Any]:
        one = isinstance(layer, layers.DepthwiseConv2D)  # each filter of one channel
        return {
            d + LETTERS.get(name, name): value[:, 0] if one and name == "W" else value for name, value in arrays.items()
        }

    given = {"x": images(x), **named(p)}
    fixed = {"dy": images(dy), "dx": images(dx), "N": N, **named(grads, "d"), **(options or {})}
    return Scope(given, made, fixed, sizes or {})


def activation(layer: Layer, **options: Any) -> Scope:
    return of_layer(layer, (6,), options=options)


def convolution(layer: Layer, **sizes: int) -> Scope:
    """Windows of 3 × 1 at every second place, which overlap downwards."""
    both = {"i": 2, "j": 2, "u": 3, "v": 1, "p": 5, "q": 3, **sizes}
    return of_layer(layer, (sizes["c"], 5, 3), both, {"s": 2, "m": 2, "n": 3}, batch=False)


def separable() -> Scope:
    """z is given, and what the layer does with it is Conv2D's."""
    layer = layers.SeparableConv2D(3, 2)
    whole = of_layer(layer, (2, 3, 3), {"f": 3, "o": 2, "i": 2, "j": 2}, batch=False)
    depthwise, pointwise = layers.DepthwiseConv2D(2, bias=False), layers.Conv2D(3, 1)
    run = g.a_pass(training=True)

    def first(D: Any, x: Any) -> Any:
        return depthwise.forward({"W": D[:, None]}, x[..., None], run)[0][..., 0]

    def second(given: Mapping[str, Any]) -> Any:
        return pointwise.forward({"W": given["W"][..., None, None], "b": given["b"]}, given["z"][..., None], run)

    D, x, W = whole.given["depthwise"][:, 0], whole.given["x"], whole.given["W"][..., 0, 0]
    given = {"x": x, "D": D, "z": first(D, x), "W": W, "b": whole.given["b"]}
    y, backward = second(given)
    assert np.allclose(y[..., 0], whole.names()["y"])
    dz = backward(whole.fixed["dy"][..., None])[0][..., 0]
    fixed = {**whole.fixed, "dW": whole.fixed["dW"][..., 0, 0], "dz": dz, "∗": first}
    return Scope(given, lambda given: {"y": second(given)[0][..., 0]}, fixed, whole.sizes)


def max_pool() -> Scope:
    sizes = {"c": 2, "i": 2, "j": 2, "u": 3, "v": 3}
    scope = of_layer(layers.MaxPool2D(3, stride=2), (2, 5, 5), sizes, {"s": 2}, batch=False)
    windows = np.lib.stride_tricks.sliding_window_view(scope.given["x"], (3, 3), (1, 2))[:, ::2, ::2]
    p, q = np.divmod(windows.reshape(2, 2, 2, 9).argmax(axis=-1), 3)
    located = {"p": Located(p, ("c", "i", "j")), "q": Located(q, ("c", "i", "j"))}
    return Scope(scope.given, scope.made, {**scope.fixed, **located}, scope.sizes)


def batch_norm(*, training: bool) -> Scope:
    """Of one channel: its m values are the batch."""
    layer, m = layers.BatchNorm(), 6
    x, dy = np.random.default_rng(2).standard_normal((2, m))
    running = {"mean": np.array([0.2]), "var": np.array([0.7])}

    def forward(given: Mapping[str, Any]) -> Any:
        p = {"gamma": np.array([given["γ"]]), "beta": np.array([given["β"]]), **g.copied(running)}
        return layer.forward(p, given["x"][None], g.a_pass(training=training))

    def made(given: Mapping[str, Any]) -> dict[str, Any]:
        y = forward(given)[0][0]
        return {"y": y} if training else {"y": y, "x̂": (y - given["β"]) / given["γ"]}

    given = {"x": x, "γ": 1.3, "β": -0.4}
    dx, grads = forward(given)[1](dy[None])
    fixed = {"dx": dx[0], "dy": dy, "dγ": grads["gamma"][0], "dβ": grads["beta"][0], "m": m, "ε": layer.epsilon}
    s = {} if training else {"s": 1 / math.sqrt(0.7 + layer.epsilon)}
    return Scope(given, made, {**fixed, **s}, {"i": m, "j": m})


def container(layer: Container) -> tuple[Scope, list[Callable[[Any], Any]], list[Any]]:
    """Of one image; with the children as functions, and the derivatives of each."""
    random, run = np.random.default_rng(3), g.a_pass(training=True)
    p, x = g.parameters(layer, (3,), random), random.standard_normal(3)

    def function(name: str, child: Layer) -> Callable[[Any], Any]:
        return lambda x: child.forward(p.get(name, {}), x[:, None], run)[0][:, 0]

    functions = [function(*named) for named in layer.named()]
    y, backward = layer.forward(p, x[:, None], run)
    dy = random.standard_normal(len(y))
    dx = backward(dy[:, None])[0]
    assert dx is not None
    place, jacobians = x, []
    for each in functions:
        moved = 1e-6 * np.eye(len(place))
        jacobians.append(np.stack([(each(place + step) - each(place - step)) / 2e-6 for step in moved], axis=1))
        place = each(place) if isinstance(layer, Chain) else x
    scope = Scope({"x": x}, lambda given: {"y": layer.forward(p, given["x"][:, None], run)[0][:, 0]})
    scope.fixed = {"dx": dx[:, 0], "dy": dy}
    return scope, functions, jacobians


def chain() -> Scope:
    scope, functions, jacobians = container(Chain((Dense(4), Tanh(), Dense(2))))
    numbers = "₁₂ₙ"
    named = {f"f{number}": function for number, function in zip(numbers, functions, strict=True)}
    derivatives = {f"J{number}": jacobian for number, jacobian in zip(numbers, jacobians, strict=True)}
    return Scope(scope.given, scope.made, {**scope.fixed, **named, **derivatives})


def residual() -> Scope:
    scope, functions, jacobians = container(Residual(Chain((Dense(3), Tanh())), Dense(3)))
    named = dict(zip(("body", "shortcut", "J₁", "J₂"), [*functions, *jacobians], strict=True))
    return Scope(scope.given, scope.made, {**scope.fixed, **named})


def concat() -> Scope:
    scope, functions, jacobians = container(Concat((Dense(2), Chain((Dense(2), Tanh())))))
    dy = np.split(scope.fixed["dy"], 2)
    dx = [jacobian.T @ part for jacobian, part in zip(jacobians, dy, strict=True)]
    located = {"Jₖ": jacobians, "dyₖ": dy, "dxₖ": dx}
    fixed = {**scope.fixed, **dict(zip(("f₁", "f₂"), functions, strict=True))}
    fixed |= {name: Located(np.array(arrays), ("k",)) for name, arrays in located.items()}
    return Scope(scope.given, scope.made, fixed, {"k": 2})


def of_loss(name: str, **options: Any) -> Scope:
    """Outputs (K, N) and soft targets that sum to one; L is of each image."""
    made_of: Loss = loss(name)
    random, K = np.random.default_rng(4), 3
    y, t = random.standard_normal((K, N)), random.dirichlet(np.ones(K), N).T
    fixed = {"t": t, "dy": made_of.value_and_gradient(y, t)[1], "K": K, "N": N, **options}
    return Scope({"y": y}, lambda given: {"L": made_of.values(given["y"], t)}, fixed, {"k": K, "j": K})


def dropout() -> Scope:
    layer, rate = layers.Dropout(0.4), 0.4
    kept, _ = layer.forward({}, np.ones((6, N)), g.a_pass(training=True))
    return activation(layer, rate=rate, m=(kept > 0).astype(float))


def selu() -> Scope:
    return activation(layers.SELU(), λ=SCALE, α=ALPHA, Φ=ndtr)


SCOPES: dict[str, Callable[[], Scope]] = {
    "AvgPool2D": lambda: convolution(layers.AvgPool2D((3, 1), stride=2), c=2),
    "BatchNorm": lambda: batch_norm(training=True),
    "Chain": chain,
    "Concat": concat,
    "Conv2D": lambda: convolution(layers.Conv2D(2, (3, 1), stride=2), c=2, o=2),
    "Dense": lambda: of_layer(layers.Dense(4), (3,), {"k": 4, "i": 3, "n": N}),
    "DepthwiseConv2D": lambda: convolution(layers.DepthwiseConv2D((3, 1), stride=2, multiplier=2), c=2, o=4),
    "Dropout": dropout,
    "ELU": lambda: activation(layers.ELU(0.6), α=0.6),
    "Flatten": lambda: of_layer(layers.Flatten(), (2, 3, 4), {"c": 2, "i": 3, "j": 4}, {"H": 3, "W": 4}),
    "GELU": lambda: activation(layers.GELU(), Φ=ndtr),
    "GlobalAvgPool2D": lambda: of_layer(
        layers.GlobalAvgPool2D(), (2, 3, 4), {"c": 2, "i": 3, "j": 4}, {"H": 3, "W": 4}
    ),
    "GroupNorm": lambda: of_layer(layers.GroupNorm(1), (3, 2), {"c": 3, "e": 3, "p": 2, "q": 2}, {"K": 6, "ε": 1e-5}),
    "LayerNorm": lambda: of_layer(layers.LayerNorm(), (4,), {"i": 4, "j": 4}, {"K": 4, "ε": 1e-5}),
    "LeakyReLU": lambda: activation(layers.LeakyReLU(0.3), slope=0.3),
    "MaxPool2D": max_pool,
    "Mish": lambda: activation(layers.Mish()),
    "PadChannels": lambda: of_layer(layers.PadChannels(1, 2), (2, 2, 2), {"c": 2, "k": 5}, {"before": 1}),
    "ReLU": lambda: activation(layers.ReLU()),
    "Reshape": lambda: of_layer(layers.Reshape((4,)), (4,), {"k": 4, "j": 4}),
    "Residual": residual,
    "SELU": selu,
    "SeparableConv2D": separable,
    "SiLU": lambda: activation(layers.SiLU()),
    "Sigmoid": lambda: activation(layers.Sigmoid()),
    "Softmax": lambda: of_layer(layers.Softmax(), (4,), {"k": 4, "j": 4, "i": 4}),
    "Tanh": lambda: activation(layers.Tanh()),
    "binary-cross-entropy": lambda: of_loss("binary-cross-entropy"),
    "cross-entropy": lambda: of_loss("cross-entropy"),
    "focal": lambda: of_loss("focal", γ=2.0),
    "half-mse": lambda: of_loss("half-mse"),
    "mse": lambda: of_loss("mse"),
    "softmax-binary-cross-entropy": lambda: of_loss("softmax-binary-cross-entropy"),
}
IN_EVALUATION: dict[str, Callable[[], Scope]] = {
    "BatchNorm": lambda: batch_norm(training=False),
    "Dropout": lambda: of_layer(layers.Dropout(0.4), (6,), training=False),
}
