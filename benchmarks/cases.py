"""What is measured: a net of ours on images of noise, which cost a step as much as any others."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from firstlight import models
from firstlight.models import Model
from firstlight.types import Array

CLASSES = 10


@dataclass(frozen=True)
class Case:
    """A net and how it is trained or, with `predict`, used.

    batch   images per step; when predicting, images per call
    steps   of an epoch: the training set has batch × steps images
    layers  the net as plain values, from which a peer builds its own; filled in by `described`
    """

    name: str
    model: str
    batch: int
    shape: tuple[int, int, int] = (28, 28, 1)
    steps: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    predict: bool = False
    layers: tuple[dict[str, Any], ...] = ()

    @property
    def images(self) -> int:
        return self.batch * self.steps

    def build(self) -> Model:
        """Our net."""
        return models.build(self.model, self.shape, CLASSES, self.options)

    def described(self) -> dict[str, Any]:
        """What a worker is sent."""
        return asdict(self) | {"layers": self.build().to_json()["layers"]}

    @classmethod
    def of(cls, value: dict[str, Any]) -> Case:
        """The case that `described` wrote."""
        return cls(**value | {"shape": tuple(value["shape"]), "layers": tuple(value["layers"])})

    def noise(self) -> tuple[Array, Array]:
        """uint8 pixels (N, H, W, C) and int64 labels (N,)."""
        random = np.random.default_rng(0)
        return random.integers(0, 256, (self.images, *self.shape), np.uint8), random.integers(0, CLASSES, self.images)

    def floats(self) -> tuple[Array, Array]:
        """The same as a peer keeps them: float32 in [0, 1], (N, H, W, C)."""
        pixels, labels = self.noise()
        return pixels.astype(np.float32) / 255, labels
