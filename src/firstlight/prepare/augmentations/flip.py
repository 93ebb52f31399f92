"""What both mirror images have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from firstlight.errors import ExperimentError
from firstlight.prepare.augmentations.base import (
    AUGMENTATIONS,
    Probability,
    Transform,
    Uniform,
    is_probability,
    table_options,
)
from firstlight.types import Array


@dataclass(frozen=True)
class Flip(Transform):
    """A mirror image; the probability alone is given.

    p  the probability of a mirror image
    """

    p: Probability = field(kw_only=False)

    def __post_init__(self) -> None:
        if not is_probability(self.p):
            key = f"augment.{AUGMENTATIONS.name_of(type(self))}"
            raise ExperimentError(f"{key} must be a probability, from 0 to 1; received {self.p!r}.", key=key)

    @classmethod
    def allowed(cls) -> str:
        return "a probability, 0 to 1"

    @classmethod
    def of(cls, name: str, value: Any) -> Self:
        return cls(table_options(name, value, ("p",))["p"] if isinstance(value, Mapping) else value)

    def table(self) -> Any:
        return float(self.p)

    def sign(self, uniform: Uniform) -> Array | float:
        """−1 where an image is mirrored, else 1."""
        return np.where(uniform(0) < self.p, -1.0, 1.0) if self.p else 1.0
