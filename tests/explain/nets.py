"""Small nets to look into, on both engines, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.engines import Task, open_engine
from firstlight.explain import Net
from firstlight.layers import (
    ELU,
    AvgPool2D,
    BatchNorm,
    Chain,
    Concat,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    ReLU,
    Residual,
    Sigmoid,
    Softmax,
    Tanh,
)
from firstlight.losses import BinaryCrossEntropy, CrossEntropy, Loss
from firstlight.models import Model
from firstlight.optimizers import SGD
from firstlight.prepare import Preparation
from firstlight.types import Array, Images

CLASSES = ("a", "b", "c")
BODY = Chain((Conv2D(4, padding="same", bias=False), BatchNorm(), Tanh(), Conv2D(4, padding="same")))
NETS = {
    "conv": Chain(
        (
            Conv2D(4, padding="same"),
            Tanh(),
            MaxPool2D(2),
            Conv2D(5),
            ReLU(),
            Flatten(),
            Dropout(0.5),
            Dense(3),
            Softmax(),
        )
    ),
    "residual": Chain((Conv2D(4), Residual(BODY, name="block"), ReLU(), AvgPool2D(2), Flatten(), Dense(3))),
    "concat": Chain(
        (
            Concat((Chain(()), Chain((Conv2D(2, padding="same"), ELU())))),
            GlobalAvgPool2D(),
            Dense(6),
            Sigmoid(),
            Dense(3),
        )
    ),
    "dense": Chain((Flatten(), Dense(7), BatchNorm(), Tanh(), Dense(3))),
}


def images(n: int = 5, shape: tuple[int, int, int] = (10, 8, 3), seed: int = 0) -> Images:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (n, *shape), dtype=np.uint8)
    return Images(pixels, np.arange(n) % 3, np.array([f"test/{i}" for i in range(n)]), CLASSES)


def net(name: str, engine: str = "numpy", standardise: Any = "channel") -> Net:
    """One of the nets above, with weights that are not trained but all different from zero."""
    return made(NETS[name], images(), engine=engine, standardise=standardise)


def made(
    layers: Chain,
    given: Images,
    *,
    weights: dict[str, Array] | None = None,
    engine: str = "numpy",
    standardise: Any = "none",
    loss: Loss | None = None,
) -> Net:
    """A net on `given`, with weights by name, or with some at random."""
    model = Model("tried", layers, given.shape, len(given.class_names))
    vector = model.layout.initial(0, np.float64)
    vector += np.random.default_rng(1).uniform(0.05, 0.2, len(vector))
    if weights is not None:
        vector = model.layout.vector(weights)
    preparation = Preparation.fit(given, standardise=standardise)
    task = Task(model, loss or CrossEntropy(), preparation, SGD())
    return Net(open_engine(engine, precision="float64").session(task, vector=vector.astype(np.float64)), task)


def one_logit(given: Images) -> Net:
    return made(Chain((Conv2D(2), Tanh(), Flatten(), Dense(1))), given, loss=BinaryCrossEntropy())
