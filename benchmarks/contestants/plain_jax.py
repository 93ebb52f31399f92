"""JAX without a framework: one jitted step with donated weights, Adam by hand, images resident."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.cases import Case
from benchmarks.worker import Prepared

Tree = list[dict[str, jax.Array]]  # the arrays of each layer
PREDICTED = 1000  # images at a time: of 100, 250, 1,000 and 10,000 the fastest for lenet5
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def prepare(case: Case) -> Prepared:
    """The set on the device; the step is compiled by the first call."""
    pixels, labels = case.floats()
    x, y = jnp.asarray(pixels), jnp.asarray(labels, jnp.int32)
    weights, statistics = initial(case)
    sizes = jax.tree.map(jnp.size, (weights, statistics))
    repeat = _predict(case, x, weights, statistics) if case.predict else _train(case, x, y, weights, statistics)
    repeat(1)
    return Prepared(sum(jax.tree.leaves(sizes)), repeat, {})


def initial(case: Case) -> tuple[Tree, Tree]:
    """Weights drawn after He, and the running statistics of batch norms."""
    random = np.random.default_rng(0)
    shape: tuple[int, ...] = case.shape
    weights: Tree = []
    statistics: Tree = []
    for layer in case.layers:
        drawn: dict[str, Any] = {}
        running: dict[str, Any] = {}
        match layer["type"]:
            case "Conv2D" | "Dense":
                kernel = layer.get("kernel", 3)
                window = (kernel, kernel) if layer["type"] == "Conv2D" else ()
                units = layer["filters" if window else "units"]
                full = (*window, shape[-1], units)
                drawn = {"W": random.normal(0, np.sqrt(2 / np.prod(full[:-1])), full), "b": np.zeros(units)}
            case "BatchNorm":
                drawn = {"gamma": np.ones(shape[-1]), "beta": np.zeros(shape[-1])}
                running = {"mean": np.zeros(shape[-1]), "var": np.ones(shape[-1])}
        weights.append({name: jnp.asarray(array, jnp.float32) for name, array in drawn.items()})
        statistics.append({name: jnp.asarray(array, jnp.float32) for name, array in running.items()})
        one = jnp.zeros((1, *shape))
        shape = _layer(layer, weights[-1], statistics[-1], one, None)[0].shape[1:]
    return weights, statistics


def forward(
    layers: tuple[dict[str, Any], ...], weights: Tree, statistics: Tree, x: jax.Array, key: jax.Array | None
) -> tuple[jax.Array, Tree]:
    """Outputs (N, K) and the running statistics after; with a key it is a step of training."""
    after = []
    for number, (layer, w, running) in enumerate(zip(layers, weights, statistics, strict=True)):
        x, running = _layer(layer, w, running, x, None if key is None else jax.random.fold_in(key, number))
        after.append(running)
    return x, after


def _layer(
    layer: dict[str, Any], w: dict[str, jax.Array], running: dict[str, jax.Array], x: jax.Array, key: jax.Array | None
) -> tuple[jax.Array, dict[str, jax.Array]]:
    match layer["type"]:
        case "Conv2D":
            padding = layer.get("padding", "valid").upper()
            return lax.conv_general_dilated(x, w["W"], (1, 1), padding, dimension_numbers=DIMENSIONS) + w["b"], running
        case "Dense":
            return x @ w["W"] + w["b"], running
        case "ReLU":
            return jax.nn.relu(x), running
        case "SELU":
            return jax.nn.selu(x), running
        case "Flatten":
            return x.reshape(len(x), -1), running
        case "MaxPool2D":
            window = (1, layer.get("size", 2), layer.get("size", 2), 1)
            return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID"), running
        case "BatchNorm":
            return _batch_norm(w, running, x, key is not None)
        case "Dropout" if key is None:
            return x, running
        case "Dropout":
            keep = 1 - layer["rate"]
            return jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0), running
        case other:
            raise ValueError(f"This peer has no {other}.")


def _batch_norm(
    w: dict[str, jax.Array], running: dict[str, jax.Array], x: jax.Array, training: bool
) -> tuple[jax.Array, dict[str, jax.Array]]:
    now = running
    if training:
        axes = tuple(range(x.ndim - 1))
        now = {"mean": x.mean(axes), "var": x.var(axes)}
        m = x.size // x.shape[-1]
        seen = {"mean": now["mean"], "var": now["var"] * (m / (m - 1))}
        running = {name: 0.9 * running[name] + 0.1 * seen[name] for name in running}
    return (x - now["mean"]) * (w["gamma"] * lax.rsqrt(now["var"] + 1e-5)) + w["beta"], running


def _train(case: Case, x: jax.Array, labels: jax.Array, weights: Tree, statistics: Tree) -> Callable[[int], None]:
    layers = case.layers

    def loss_of(weights: Tree, statistics: Tree, batch: jax.Array, targets: jax.Array, key: jax.Array) -> Any:
        y, after = forward(layers, weights, statistics, batch, key)
        loss = -jnp.take_along_axis(jax.nn.log_softmax(y), targets[:, None], 1).mean()
        return loss, (after, (y.argmax(1) == targets).sum())

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, x: jax.Array, labels: jax.Array, index: jax.Array) -> Any:
        weights, statistics, m, v, t, total, right = state
        key = jax.random.fold_in(jax.random.key(0), t)
        (loss, (statistics, hits)), g = jax.value_and_grad(loss_of, has_aux=True)(
            weights, statistics, x[index], labels[index], key
        )
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate, after = 1e-3 / (1 - 0.9**t), 1 - 0.999**t
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v / after) + 1e-8), weights, m, v)
        return weights, statistics, m, v, t, total + loss, right + hits

    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = [
        weights,
        statistics,
        zeros,
        jax.tree.map(jnp.zeros_like, weights),
        jnp.int32(0),
        jnp.float32(0),
        jnp.int32(0),
    ]
    random = np.random.default_rng(0)

    def train(epochs: int) -> None:
        nonlocal state
        for _ in range(epochs):
            order = random.permutation(len(x)).astype(np.int32).reshape(case.steps, case.batch)
            for index in order:
                state = step(state, x, labels, index)
        jax.block_until_ready(state)
        if not np.isfinite(float(state[5])):
            raise ArithmeticError(f"The loss became {state[5]}.")

    return train


def _predict(case: Case, x: jax.Array, weights: Tree, statistics: Tree) -> Callable[[int], None]:
    outputs = jax.jit(lambda weights, statistics, x: forward(case.layers, weights, statistics, x, None)[0])

    def predict(times: int) -> None:
        for _ in range(times):
            parts = [outputs(weights, statistics, x[at : at + PREDICTED]) for at in range(0, len(x), PREDICTED)]
            jax.block_until_ready(jnp.concatenate(parts))

    return predict
