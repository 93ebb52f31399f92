"""What a named architecture must pass: it fits what it is made for, and every weight of it can learn."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from firstlight import models
from firstlight.checks import gradients as g
from firstlight.checks.demand import Demand, DemandError, Fault, NotApplicableError, must_be_finite, must_equal, spoilt
from firstlight.losses import CrossEntropy
from firstlight.models import Model
from firstlight.models.registry import GREY28
from firstlight.types import Shape

N = 4
BUDGET = 5_000_000  # multiply-adds of an image, above which no net is run here


@dataclass(frozen=True)
class Case:
    """A named architecture, built for images (H, W, C) of so many classes."""

    name: str
    input_shape: Shape
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)
    build: Callable[..., Model] = models.build

    @classmethod
    def all_of(cls, name: str) -> list[Case]:
        """What it is usually shown with, and as many classes as are the fewest."""
        asked = inspect.signature(models.ARCHITECTURES[name]).parameters
        usual = {"input_shape": GREY28, "classes": 10}
        usual |= {key: asked[key].default for key in usual if asked[key].default is not inspect.Parameter.empty}
        shape: Any = usual["input_shape"]
        classes: Any = usual["classes"]
        return [cls(name, shape, classes), cls(name, shape, 2)]

    def __str__(self) -> str:
        return f"{self.name} for {'×'.join(map(str, self.input_shape))}, {self.classes} classes"

    def model(self) -> Model:
        return self.build(self.name, self.input_shape, self.classes, self.options)


def outputs(case: Case) -> None:
    """It is built for its images, with one output a class."""
    must_equal("outputs", (case.classes,), case.model().output_shape, "the shape {}, one per class")
    CrossEntropy().check_head(case.model().layers, case.model().channels_first, case.classes)


def json_round_trip(case: Case) -> None:
    """The model can be written as JSON and read back equal, as a run folder does."""
    model = case.model()
    read = Model.from_json(json.loads(json.dumps(model.to_json())))
    if read != model:
        raise DemandError("JSON", "an equal model", read.to_json())


def same_again(case: Case) -> None:
    """Built again, it is the same: nothing in it is drawn."""
    if case.model() != case.model():
        raise DemandError("built twice", "equal models", "two that differ")


def learns(case: Case) -> None:
    """From its initial weights, outputs are finite and every array of weights has a gradient that is not zero."""
    model = case.model()
    _must_be_small(model)
    draw = np.random.default_rng(0)
    layout, x = model.layout, draw.standard_normal((*model.channels_first, N))
    layers = CrossEntropy().check_head(model.layers, model.channels_first, model.classes)
    vector = layout.initial(0, np.float64)
    y, backward = layers.forward(layout.tree(vector), x, g.a_pass(training=True))
    must_be_finite("outputs", y)
    dy = CrossEntropy().value_and_gradient(y, draw.integers(0, model.classes, N))[1]
    for path, value in g.leaves(backward(dy)[1]):
        if not np.isfinite(value).all() or not value.any():
            raise DemandError(
                f"gradient with respect to {'.'.join(path)}", "finite numbers that are not all zero", value.ravel()[0]
            )


DEMANDS = (
    Demand("outputs", outputs),
    Demand("JSON", json_round_trip),
    Demand("the same result again", same_again),
    Demand("learns", learns),
)


def _must_be_small(model: Model) -> None:
    if model.multiply_adds > BUDGET:
        raise NotApplicableError(
            f"it takes {model.multiply_adds / 1e6:,.0f} million multiply-adds per image: too many here"
        )


def _stopped(case: Case) -> Case:
    _must_be_small(case.model())
    return _built(_zeroed)(case)


def _built(change: Callable[[Model], Model]) -> Callable[[Case], Case]:
    return lambda case: replace(case, build=lambda *asked: change(case.build(*asked)))


def _renamed(case: Case) -> Case:
    calls = iter(range(10**9))
    return _built(lambda model: replace(model, name=f"{model.name}-{next(calls)}"))(case)


def _zeroed(model: Model) -> Model:
    """The model with a last layer that lets no gradient through."""
    *others, last = model.layers.layers

    def forward(p: Any, x: Any, run: Any) -> Any:
        y, backward = last.forward(p, x, run)
        return y, lambda dy: backward(0 * dy)

    return replace(model, layers=replace(model.layers, layers=(*others, spoilt(last, forward=forward))))


FAULTS: tuple[Fault[Case], ...] = (
    Fault(
        "one output too many",
        lambda case: replace(case, build=lambda name, shape, classes, options: models.build(name, shape, classes + 1)),
    ),
    Fault("a different model each time", _renamed),
    Fault("a last layer that stops the gradient", _stopped),
)
