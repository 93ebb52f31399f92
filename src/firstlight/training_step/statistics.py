"""How large each layer's numbers are in a step, how lively, and how far the step moves its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight.training_step.weight import owner
from firstlight.types import Array, Json
from firstlight.weights import Layout
from firstlight.working import number

if TYPE_CHECKING:
    from firstlight.training_step.step import Step


@dataclass(frozen=True)
class LayerStatistics:
    """A layer's numbers in a step. Those by weights are None where it has none that are trained.

    output    root mean square of y
    silent    share of its units, channels or features, that give zero everywhere, for all images
    zeros     share of the numbers of y that are zero
    dy        root mean square of the gradient with respect to y
    weights   that of its trained weights
    gradient  that of the gradient with respect to them, penalties included
    update    that of what the step adds to them
    ratio     update / weights: about 0.001 is usual, 0.1 is much
    """

    output: float
    silent: float
    zeros: float
    dy: float
    weights: float | None = None
    gradient: float | None = None
    update: float | None = None
    ratio: float | None = None

    def to_json(self) -> Json:
        return {name: None if value is None else number(value) for name, value in vars(self).items()}


def statistics(step: Step) -> Mapping[str, LayerStatistics]:
    """Those of every layer of a step, by its path."""
    parts = trained_parts(step.course.task.model.layout, step.layers)
    found = {}
    for path, layer in step.layers.items():
        y = layer.y.reshape(len(layer.y), -1)
        live = (y != 0).any(axis=1)
        own = parts.get(path, ())
        shares = (1 - float(live.mean()), 1 - float(np.count_nonzero(y)) / y.size)
        one = LayerStatistics(root_mean_square(y), *shares, root_mean_square(layer.dy))
        if own:
            gradient = root_mean_square(of_parts(step.gradient, own))
            weights, update, ratio = moved(step.vector, step.after, own)
            one = replace(one, weights=weights, gradient=gradient, update=update, ratio=ratio)
        found[path] = one
    return found


def trained_parts(layout: Layout, layers: Mapping[str, Any]) -> dict[str, list[slice]]:
    """Where the trained weights of each layer lie in the vector, by its path."""
    parts: dict[str, list[slice]] = {}
    for entry in layout.entries:
        if entry.parameter.trainable:
            parts.setdefault(owner(entry, layers)[0], []).append(slice(entry.start, entry.stop))
    return parts


def moved(before: Array, after: Array, parts: Sequence[slice]) -> tuple[float, float, float | None]:
    """Root mean squares of the weights in parts of the vector and of their update; and the ratio."""
    weights = of_parts(before, parts)
    size, update = root_mean_square(weights), root_mean_square(of_parts(after, parts) - weights)
    return size, update, update / size if size else None


def of_parts(vector: Array, parts: Sequence[slice]) -> Array:
    return np.concatenate([vector[part] for part in parts])


def root_mean_square(array: Array) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.square(array, dtype=np.float64).mean())) if array.size else 0.0
