"""What each operation computes, in plain NumPy: the truth that formats are written from, and calibrations look into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import singledispatch

import numpy as np

from firstlight.evaluation.novelty import ClassDistances
from firstlight.export.inference_graph import (
    INPUT,
    Activate,
    Add,
    AveragePool,
    BatchNorm,
    Concatenate,
    Convolution,
    Depthwise,
    Estimates,
    MaxPool,
    Mean,
    Operation,
    Prepare,
    Product,
    Reshape,
    SampleNorm,
    Softmax,
    Strangeness,
)
from firstlight.kernels import reference
from firstlight.layers.selu import ALPHA, SCALE
from firstlight.prepare.preparation import standardized
from firstlight.types import Array


def values(operations: Sequence[Operation], pixels: Array) -> Iterator[tuple[Operation, Array]]:
    """Each operation with what it gives, float32 (·, N), for images uint8 (N, H, W, C); the last are probabilities.

    A value is forgotten once its last reader has been.
    """
    last = {name: number for number, one in enumerate(operations) for name in one.inputs}
    held = {INPUT: pixels.transpose(3, 1, 2, 0)}
    for number, one in enumerate(operations):
        y = held[one.output] = compute(one, *(held[name] for name in one.inputs))
        yield one, y
        for name in [name for name in held if last.get(name, -1) <= number and name != one.output]:
            del held[name]


@singledispatch
def compute(one: Operation, *inputs: Array) -> Array:
    """What one operation gives, for inputs (·, N)."""
    raise NotImplementedError(type(one).__name__)


@compute.register
def _(one: Prepare, x: Array) -> Array:
    y = x.astype(np.float32) * one.scale[..., None] + one.shift[..., None]
    return standardized(y) if one.per_image else y


@compute.register
def _(one: Convolution, x: Array) -> Array:
    return reference.conv2d(x, one.W, one.b, one.stride, one.padding)


@compute.register
def _(one: Depthwise, x: Array) -> Array:
    filters = len(one.W) // len(x)
    each = [
        reference.conv2d(x[o // filters, None], one.W[o, None], one.b[o, None], one.stride, one.padding)
        for o in range(len(one.W))
    ]
    return np.concatenate(each)


@compute.register
def _(one: SampleNorm, x: Array) -> Array:
    channels = (-1, *[1] * (x.ndim - 1))
    seen = x.reshape(*one.seen, x.shape[-1])
    apart = seen - seen.mean(axis=1, keepdims=True)
    apart /= np.sqrt(np.square(apart).mean(axis=1, keepdims=True) + np.float32(one.epsilon))
    return one.gamma.reshape(channels) * apart.reshape(x.shape) + one.beta.reshape(channels)


@compute.register
def _(one: Product, x: Array) -> Array:
    return one.W @ x + one.b[:, None]


@compute.register
def _(one: Activate, x: Array) -> Array:
    a = np.float32(one.constant)
    match one.function:
        case "relu":
            return np.maximum(x, 0)
        case "leaky":
            return np.where(x > 0, x, a * x)
        case "elu":
            return np.where(x > 0, x, a * np.expm1(np.minimum(x, 0)))
        case "selu":
            return np.float32(SCALE) * np.where(x > 0, x, np.float32(ALPHA) * np.expm1(np.minimum(x, 0)))
        case "sigmoid":
            return 1 / (1 + np.exp(-x))
        case "tanh":
            return np.tanh(x)
        case "silu":
            return x / (1 + np.exp(-x))
        case "mish":
            return x * np.tanh(np.logaddexp(np.float32(0), x))
        case "gelu":
            from scipy.special import ndtr

            return x * ndtr(x)
        case _:
            raise NotImplementedError(one.function)


@compute.register
def _(one: MaxPool, x: Array) -> Array:
    return reference.max_pool(x, one.size, one.stride, one.padding)[0]


@compute.register
def _(one: AveragePool, x: Array) -> Array:
    return reference.avg_pool(x, one.size, one.stride, one.padding)


@compute.register
def _(one: BatchNorm, x: Array) -> Array:
    channels = (-1, *[1] * (x.ndim - 1))
    return one.scale.reshape(channels) * x + one.shift.reshape(channels)


@compute.register
def _(one: Reshape, x: Array) -> Array:
    return x.reshape(*one.shape, x.shape[-1])


@compute.register
def _(one: Add, x: Array, z: Array) -> Array:
    return x + z


@compute.register
def _(one: Concatenate, *parts: Array) -> Array:
    def zeros(channels: int) -> Array:
        return np.zeros((channels, *parts[0].shape[1:]), np.float32)

    return np.concatenate([zeros(one.before), *parts, zeros(one.after)])


@compute.register
def _(one: Softmax, x: Array) -> Array:
    y = np.exp(x - x.max(axis=0))
    return y / y.sum(axis=0)


@compute.register
def _(one: Strangeness, x: Array) -> Array:
    return ClassDistances(one.W, one.c).distances(x.T)[None]


@compute.register
def _(one: Mean, *inputs: Array) -> Array:
    return np.mean(inputs, axis=0)


@compute.register
def _(one: Estimates, x: Array) -> Array:
    y = np.maximum(x, 0)
    none = y.max(axis=0) == 0
    y[:, none] = np.arange(len(x))[:, None] == x.argmax(axis=0)[none]
    return y / y.sum(axis=0)
