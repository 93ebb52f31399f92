"""What a wrong derivative and another cost do to a dense net on MNIST, in plain NumPy.

    FIRSTLIGHT_DATA=… python -m benchmarks.derivatives [--seeds 3] [--epochs 15]

A published notebook takes the derivative of its activation f at a = f(z), where it belongs at z; and the cost that it
prints is cross-entropy with a second term, −Σ (1 − t) log(1 − p), while its gradient is that of cross-entropy alone.
Nothing of firstlight's engines is used here but the reading of the images: 784-500-250-100-10, Glorot's start, plain
descent at 0.01 in steps of 64, on all 60,000 training images. Prints a table in Markdown; each run as it ends.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import firstlight as fl
from firstlight.types import Array

WIDTHS = (784, 500, 250, 100, 10)
BATCH, RATE = 64, 0.01


@dataclass(frozen=True)
class Activation:
    """f, and its derivative as a function of z."""

    f: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


ACTIVATIONS = {
    "sigmoid": Activation(_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
    "tanh": Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": Activation(lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype)),
}


def softmax(z: Array) -> Array:
    p = np.exp(z - z.max(axis=0))
    return p / p.sum(axis=0)


def costs(p: Array, t: Array) -> tuple[float, float]:
    """Cross-entropy, and the cost that the notebook prints: both terms, summed over the classes."""
    least = np.finfo(p.dtype).tiny
    first = -(t * np.log(np.maximum(p, least))).sum(axis=0).mean()
    second = -((1 - t) * np.log(np.maximum(1 - p, least))).sum(axis=0).mean()
    return float(first), float(first + second)


def train(
    pixels: Array, labels: Array, activation: Activation, *, at_output: bool, both_terms: bool, epochs: int, seed: int
) -> tuple[list[tuple[Array, Array]], list[tuple[float, float]]]:
    """The weights, and both costs of the first epoch's steps and of the last's, on the mean.

    at_output   the derivative is taken at a = f(z), as in the notebook
    both_terms  the gradient is that of the cost with both terms
    """
    draw = np.random.default_rng(seed)
    weights = []
    for inputs, units in itertools.pairwise(WIDTHS):
        bound = np.sqrt(6 / (inputs + units))
        weights.append((draw.uniform(-bound, bound, (units, inputs)).astype(np.float32), np.zeros((units, 1), "f4")))
    one_hot = np.eye(10, dtype=np.float32)
    told = []
    for epoch in range(epochs):
        found = []
        order = draw.permutation(len(labels))
        for start in range(0, len(order) - BATCH + 1, BATCH):  # the last 32 images are left out, as in the notebook
            index = order[start : start + BATCH]
            a, t = [pixels[index].T], one_hot[labels[index]].T
            z = []
            for number, (w, b) in enumerate(weights):
                z.append(w @ a[-1] + b)
                a.append(activation.f(z[-1]) if number < len(weights) - 1 else softmax(z[-1]))
            p = a[-1]
            found.append(costs(p, t))
            dz: Array = p - t
            if both_terms:
                odds = (1 - t) * p / np.maximum(1 - p, np.finfo(p.dtype).eps)
                dz = dz + odds - p * odds.sum(axis=0)
            dz = dz / BATCH
            for number in reversed(range(len(weights))):
                w, b = weights[number]
                slope = None if number == 0 else activation.slope(a[number] if at_output else z[number - 1])
                before = dz
                if slope is not None:
                    dz = (w.T @ dz) * slope
                w -= RATE * (before @ a[number].T)
                b -= RATE * before.sum(axis=1, keepdims=True)
        if epoch in (0, epochs - 1):
            told.append(tuple(np.mean(found, axis=0)))
    return weights, told


def accuracy(pixels: Array, labels: Array, activation: Activation, weights: list[tuple[Array, Array]]) -> float:
    a = pixels.T
    for number, (w, b) in enumerate(weights):
        a = w @ a + b
        if number < len(weights) - 1:
            a = activation.f(a)
    return float((a.argmax(axis=0) == labels).mean())


def main() -> None:
    """Train each and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--limit", type=int, default=None, help="so many training images, for a quick look")
    options = parser.parse_args()
    splits = fl.load("mnist").splits
    (pixels, labels), (test, expected) = (
        (images.pixels.reshape(len(images), -1).astype(np.float32) / 255, images.labels)
        for images in (splits["train"], splits["test"])
    )
    pixels, labels = pixels[: options.limit], labels[: options.limit]
    cases = [(name, at_output, False) for name in ("sigmoid", "tanh") for at_output in (False, True)]
    cases += [("sigmoid", False, True), ("tanh", False, True), ("relu", False, False), ("relu", False, True)]
    print(
        "| activation | derivative at | gradient of | seed | test accuracy | costs of the first epoch | of the last |"
    )
    print("|---|---|---|---|---|---|---|")
    for seed in range(options.seeds):
        for name, at_output, both_terms in cases:
            activation = ACTIVATIONS[name]
            weights, (*_, first, last) = train(
                pixels, labels, activation, at_output=at_output, both_terms=both_terms, epochs=options.epochs, seed=seed
            )
            reached = accuracy(test, expected, activation, weights)
            shown = [f"{one:.3f}, {both:.3f}" for one, both in (first, last)]
            where, what = "f(z)" if at_output else "z", "both terms" if both_terms else "cross-entropy"
            print(f"| {name} | {where} | {what} | {seed} | {reached:.4f} | {shown[0]} | {shown[1]} |", flush=True)


if __name__ == "__main__":
    main()
