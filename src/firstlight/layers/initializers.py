"""Initial weights, drawn so that signals keep their size from layer to layer.

Uniform draws come from [−a, a] and normal ones from N(0, σ²), where σ² = a²/3 is

    Glorot & Bengio 2010   2 / (fan_in + fan_out)   tanh, softmax; Keras's default
    He et al. 2015         2 / fan_in               ReLU, which halves the variance
    LeCun et al. 1998      1 / fan_in               SELU (Klambauer et al. 2017)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from firstlight.constraints import OneOf
from firstlight.errors import ModelError, nearest
from firstlight.layers.base import Parameter
from firstlight.types import Array

VARIANCES: dict[str, Callable[[Parameter], float]] = {
    "glorot": lambda parameter: 2 / (parameter.fan_in + parameter.fan_out),
    "he": lambda parameter: 2 / parameter.fan_in,
    "lecun": lambda parameter: 1 / parameter.fan_in,
}

INITIALIZERS = ("zeros", "ones", *(f"{family}_{law}" for family in VARIANCES for law in ("uniform", "normal")))
Initializer = Annotated[str, OneOf(INITIALIZERS)]


def check(name: str) -> None:
    """Raise ModelError unless there is an initializer called `name`."""
    if name not in INITIALIZERS:
        raise ModelError(f"initializer: {name!r} is unknown. {nearest(str(name), INITIALIZERS)}")


def initialize(parameter: Parameter, generator: np.random.Generator, dtype: Any = np.float32) -> Array:
    """The parameter's initial value. Drawn in float64, so that every dtype starts from the same numbers."""
    check(parameter.initializer)
    if parameter.initializer in ("zeros", "ones"):
        return np.full(parameter.shape, parameter.initializer == "ones", dtype)
    family, law = parameter.initializer.split("_")
    deviation = math.sqrt(VARIANCES[family](parameter))
    if law == "normal":
        return generator.normal(0.0, deviation, parameter.shape).astype(dtype)
    bound = math.sqrt(3) * deviation
    return generator.uniform(-bound, bound, parameter.shape).astype(dtype)
