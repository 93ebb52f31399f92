"""A smaller rate where training no longer gets better."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Unit

from firstlight.schedules.base import SCHEDULES, Factor, History, Schedule, Share
from firstlight.types import Array


@SCHEDULES.register
class Plateau(Schedule):
    """lr · factorᵏ after k times more than `patience` epochs without a better value.

    Better is lower by a share of 10⁻⁴ at least, as in PyTorch; without validation images, the training loss is used.
    Epochs of the warm-up do not count.

    factor    the factor at each plateau
    patience  epochs without improvement before the rate falls
    of        the value: "val_loss", or "val_error", the error rate on the validation images
    final     the lower bound, as a share of the rate
    """

    factor: Factor = 0.1
    patience: Annotated[int, Ge(0), Unit("epochs")] = 5
    of: Literal["val_loss", "val_error"] = "val_loss"
    final: Share = 0.0

    def curve(self, epochs: Array, progress: Array) -> Array:
        return np.ones_like(progress)

    def reduction(self, history: History) -> float:
        share, best, waited = 1.0, math.inf, 0
        for row in history[math.ceil(self.warmup) :]:
            value = row.get("val_loss", row["loss"])
            if self.of == "val_error" and "val_accuracy" in row:
                value = 1 - row["val_accuracy"]
            better = value < best * (1 - 1e-4)
            best, waited = (value, 0) if better else (best, waited + 1)
            if waited > self.patience:
                share, waited = max(share * self.factor, self.final), 0
        return share
