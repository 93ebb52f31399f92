"""Targets in the form of a net's outputs: labels, one-hot or soft columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.errors import ModelError
from firstlight.types import Array


def columns(targets: Array, y: Array) -> Array:
    """The targets as columns like those of y, one-hot where they are labels.

    Of one output, which speaks of class 1 of two, the columns of both classes give theirs of class 1.
    """
    if targets.ndim == 2:
        if (len(targets), len(y)) == (2, 1):
            targets = targets[1:]
        if targets.shape != y.shape:
            raise ModelError(
                f"Outputs of shape {y.shape} cannot be compared with targets of shape {targets.shape}. "
                "Give one column per sample and one row per output, or integer labels."
            )
        return targets.astype(y.dtype, copy=False)
    if len(y) == 1:
        return targets[None].astype(y.dtype)
    t = np.zeros(y.shape, y.dtype)
    t[targets, np.arange(y.shape[1])] = 1
    return t


def twin_targets(torch: Any, targets: Any, y: Any) -> Any:
    """As `columns`, in rows and of PyTorch."""
    if targets.dim() == 2:
        return (targets[:, 1:] if (targets.shape[1], y.shape[1]) == (2, 1) else targets).to(y.dtype)
    return (targets[:, None] if y.shape[1] == 1 else torch.nn.functional.one_hot(targets, y.shape[1])).to(y.dtype)
