"""What goes wrong in training, to be tried: each with its cause, one sentence of what to watch, and the same mended.

They run on the digits that come with scikit-learn, on every core alike, in well under a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from firstlight import losses, models, optimizers
from firstlight.data import load
from firstlight.engines import Task
from firstlight.errors import ExperimentError, nearest
from firstlight.layers import BatchNorm, Chain, Dense, Flatten, ReLU
from firstlight.models import Model
from firstlight.prepare import Preparation
from firstlight.training_step.course import Course
from firstlight.training_step.step import Step
from firstlight.types import Images, Json
from firstlight.weights import chosen

IMAGES = 60  # that every step is on
OF_ONE_CLASS = 12


@dataclass(frozen=True)
class Settings:
    """How one net is trained in a preset.

    options  of the architecture
    weights  what the arrays that a pattern names are filled with before the first step
    training whether layers do at the end what they do in training
    """

    lr: float
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    training: bool = True


@dataclass(frozen=True)
class Preset:
    """Something that goes wrong, and its mending.

    model      the name of an architecture, or the layers of one
    wrong, mended  how it is trained, and how it should be
    steps      after which it is plain to see
    watch      what to look at, one sentence
    cause      why, one sentence
    remedy     what helps, one sentence
    path, statistic  where it is seen: a number of `LayerStatistics`; "" and "loss", or "accuracy", for the net
    one_class  whether the images that are looked at are of one class, and others are trained on
    """

    name: str
    title: str
    model: str | Chain
    wrong: Settings
    mended: Settings
    steps: int
    watch: str
    cause: str
    remedy: str
    path: str = ""
    statistic: str = "loss"
    one_class: bool = False

    def course(self, mended: bool = False) -> Course:
        """The way of the weights, from the first step on."""
        settings, (images, looked) = self.mended if mended else self.wrong, _images()
        shape, classes = images.shape, len(images.class_names)
        if isinstance(self.model, str):
            model = models.build(self.model, shape, classes, settings.options)
        else:
            model = Model(self.name, self.model, shape, classes)
        loss, sgd = losses.CrossEntropy(), optimizers.SGD(lr=settings.lr)
        task = Task(model, loss, Preparation.fit(images), sgd)
        vector = model.layout.initial(task.seed)
        for entry in model.layout.entries:
            for pattern, value in settings.weights.items():
                if chosen(entry.name, [pattern]):
                    vector[entry.start : entry.stop] = value
        others: dict[str, Any] = {}
        if self.one_class:
            others = {"train": images, "batch_size": IMAGES, "kernels": "reference"}
        return Course(task, looked if self.one_class else images, name=self.name, vector=vector, **others)

    def step(self, mended: bool = False) -> Step:
        """The step at which it is plain to see."""
        step = self.course(mended).at(self.steps)
        return step if (self.mended if mended else self.wrong).training else step.in_evaluation()

    def seen(self, step: Step) -> float:
        """The number that tells it."""
        if not self.path:
            return step.loss.value if self.statistic == "loss" else float((step.predicted == step.images.labels).mean())
        return float(getattr(step.statistics[self.path], self.statistic) or 0.0)

    def to_json(self) -> Json:
        """Plain values: what a page lists."""
        names = ("name", "title", "steps", "watch", "cause", "remedy", "path", "statistic")
        return {name: getattr(self, name) for name in names}


@cache
def _images() -> tuple[Images, Images]:
    """The digits that are trained on, and some more that are all of one class."""
    digits = load("digits").splits["train"]
    rest = digits.take(np.arange(IMAGES, len(digits)))
    return digits.take(np.arange(IMAGES)), rest.take(np.flatnonzero(rest.labels == 3)[:OF_ONE_CLASS])


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "learning-rate-too-large",
            "A learning rate that is too large",
            "mlp-128",
            Settings(lr=2.0),
            Settings(lr=0.2),
            20,
            "Watch the loss: it falls for some steps and then jumps, again and again, above where it began.",
            "A step follows the tangent further than the loss follows it: on the other side of the valley, higher up.",
            "One tenth of the learning rate: the loss falls in every step.",
        ),
        Preset(
            "dead-relus",
            "ReLUs that are dead",
            "mlp-128",
            Settings(lr=5.0),
            Settings(lr=0.2),
            20,
            "Watch the layer relu1: after a few steps its units give zero for every image, and the gradient behind it, "
            "of dense1, is exactly zero.",
            "Too large a step has moved the weights to where W x + b is below zero for every image; there the "
            "derivative of a ReLU is zero too, so no later step brings it back.",
            "A smaller learning rate, or an activation that lets a little through below zero, such as a leaky ReLU.",
            "relu1",
            "silent",
        ),
        Preset(
            "vanishing-gradients",
            "Gradients that vanish with the depth",
            "mlp-500-250-100",
            Settings(lr=0.01, options={"activation": "sigmoid"}),
            Settings(lr=0.01, options={"activation": "relu"}),
            2,
            "Watch the gradients from the head back to dense1: each sigmoid leaves less, at the first layer it is some "
            "hundred times smaller than at the last, and so are its steps.",
            "The derivative of a sigmoid is at most ¼, and the chain rule multiplies those of all layers.",
            "ReLUs, whose derivative is 1 where they are open.",
            "dense1",
            "gradient",
        ),
        Preset(
            "no-initialization",
            "No initialization: all weights begin at zero",
            "mlp-128",
            Settings(lr=0.2, weights={"*": 0.0}),
            Settings(lr=0.2),
            10,
            "Watch the gradient of dense1: it is exactly zero and stays so, and only the biases of the head ever move.",
            "Every unit gives zero, so the head has nothing to weigh; and the head's weights are zero, so nothing goes "
            "back through them.",
            "Random numbers of the right size, such as Glorot's, by which units differ from the first step on.",
            "dense1",
            "gradient",
        ),
        Preset(
            "batch-norm-not-in-evaluation",
            "Batch norm that was not switched to evaluation",
            Chain((Flatten(), Dense(32), BatchNorm(), ReLU(), Dense(10, name="head"))),
            Settings(lr=0.5),
            Settings(lr=0.5, training=False),
            40,
            "Watch the predictions for twelve images of one class: with the mean and variance of this batch most are "
            "wrong, with the running ones of training they are right.",
            "What all images of the batch have in common, their class, is their mean, and that is subtracted.",
            "Evaluation uses the running mean and variance, so that a prediction does not depend on the other images.",
            "",
            "accuracy",
            one_class=True,
        ),
    )
}


def preset(name: str) -> Preset:
    """The preset called `name`. Raises ExperimentError where there is none."""
    if name not in PRESETS:
        raise ExperimentError(f"There is no preset called {name!r}. {nearest(name, PRESETS)}")
    return PRESETS[name]
