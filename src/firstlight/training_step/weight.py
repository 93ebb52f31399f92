"""One weight in a step: its derivative found in three ways, the loss along it, and what the optimizer does with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight.engines.executor import noise_of
from firstlight.engines.numpy import one_thread_of_blas
from firstlight.errors import ModelError, nearest
from firstlight.kernels import reference
from firstlight.kernels.lock import LOCK
from firstlight.layers import Pass
from firstlight.notebook_display import Brief, Shown
from firstlight.optimizers.weight_update import WeightUpdate
from firstlight.types import Array, Json
from firstlight.weights import Entry
from firstlight.working import Index, Working, number, numbers, place_in

if TYPE_CHECKING:
    from firstlight.training_step.step import Step

NUDGE = 1e-5  # of the weight, in float64
POINTS = 21  # of the loss along the weight
SPAN = 0.5  # how far they reach to either side, at least


@dataclass(frozen=True, eq=False, repr=False)
class WeightStep(Shown, Brief):
    """One trained weight in a step.

    name, index  the array, such as "conv1.W", and the place in it
    value     the weight
    by_hand   the derivative of the mean loss by it, as the layer's `backward` has it, float32
    by_nudge  (L(θ + h) − L(θ − h)) / 2h in float64
    penalty   the derivative of the penalties by it, which the optimizer adds
    offsets, losses  the mean loss, float64 (T,), where the weight is moved by so much and the others stay
    working   the sum that makes the derivative
    update    what the optimizer does with it, line by line
    after     the weight after the step
    """

    step: Step
    name: str
    index: Index
    value: float
    by_hand: float
    by_nudge: float
    penalty: float
    offsets: Array
    losses: Array
    working: Working
    update: Working
    after: float

    @property
    def by_autograd(self) -> float | None:
        """As PyTorch's autograd has it, in float64; None where `no_autograd` says why. PyTorch is loaded for it."""
        found = self.step.autograd[0]
        return None if found is None else float(found[self.name][self.index])

    @property
    def no_autograd(self) -> str:
        return self.step.autograd[1]

    @property
    def agrees(self) -> bool:
        """Whether the three derivatives are equal, but for rounding."""
        return self.equals(self.by_nudge) and (self.by_autograd is None or self.equals(self.by_autograd))

    def equals(self, derivative: float) -> bool:
        """Whether another derivative is that by hand but for what float32 rounds, here and in the layers after it."""
        scale = max(self.working.lines[-1].size, abs(self.by_hand))
        return abs(self.by_hand - derivative) <= self.working.rounding + 1e-4 * scale + 1e-8

    def loss_at(self, weight: float) -> float:
        """The mean loss, float64, where the weight has another value and all others stay."""
        with LOCK:
            return _Along(self.step, self.name, self.index)(weight)

    @property
    def tangent(self) -> Array:
        """What the losses would be were the loss a straight line: L + g · offset, float64 (T,)."""
        middle = self.losses[len(self.losses) // 2]
        line: Array = middle + self.by_hand * self.offsets
        return line

    def to_json(self, autograd: bool = True) -> Json:
        """Plain values.

        autograd  whether PyTorch is asked, which takes seconds when it is loaded first; None stands there otherwise
        """
        by_autograd = self.by_autograd if autograd else None
        return {
            "name": self.name,
            "index": list(self.index),
            "value": number(self.value),
            "by_hand": number(self.by_hand),
            "by_nudge": number(self.by_nudge),
            "nudge_agrees": self.equals(self.by_nudge),
            "by_autograd": number(by_autograd) if by_autograd is not None else None,
            "no_autograd": self.no_autograd if autograd else "",
            "autograd_agrees": self.equals(by_autograd) if by_autograd is not None else None,
            "penalty": number(self.penalty),
            "offsets": numbers(self.offsets),
            "losses": numbers(self.losses),
            "tangent": numbers(self.tangent),
            "working": self.working.to_json(),
            "update": self.update.to_json(),
            "after": number(self.after),
        }


def weight_step(step: Step, name: str, index: Index) -> WeightStep:
    """See `Step.weight`."""
    entry, index = trained_entry(step, name, index)
    task, layout = step.course.task, step.course.task.model.layout
    at = entry.start + int(np.ravel_multi_index(index, entry.parameter.shape)) if index else entry.start
    path, parameter = owner(entry, step.layers)
    working = step.layer(path).working(parameter, index)
    value, trained = float(step.vector[at]), layout.trainable
    penalties = np.zeros(trained)
    step.course.session.add_penalties(penalties, step.vector)
    part = next(p for p in task.optimizer.parts(task.blocks()) if p.where.start <= at < p.where.stop)
    update = WeightUpdate(
        at, step.vector[:trained], step.after[:trained], step.gradient, step.state, step.state_after,
        step.rate * part.factor, int(step.state_after["step"][0]), part,
    )  # fmt: skip
    along = _Along(step, name, index)
    with LOCK, one_thread_of_blas(), np.errstate(over="ignore", invalid="ignore"):  # the net in float64 is the step's
        by_nudge = (along(value + NUDGE) - along(value - NUDGE)) / (2 * NUDGE)
        span = max(SPAN, 2 * abs(update.after[at] - value))
        offsets = np.linspace(-span, span, POINTS)
        losses = np.array([along(value + offset) for offset in offsets])
    return WeightStep(
        step,
        name,
        index,
        value,
        working.value,
        by_nudge,
        float(penalties[at]),
        offsets,
        losses,
        working,
        task.optimizer.working(update),
        float(step.after[at]),
    )


def trained_entry(step: Step, name: str, index: Index) -> tuple[Entry, Index]:
    """Where a trained array lies, and the place in it. Raises ModelError where there is none."""
    entries = {entry.name: entry for entry in step.course.task.model.layout.entries}
    if name not in entries:
        raise ModelError(f"{step.course.name} has no weights called {name!r}. {nearest(name, entries)}")
    entry = entries[name]
    if not entry.parameter.trainable:
        raise ModelError(f"{name} is not trained, so it has no derivative here.")
    return entry, place_in(index, entry.parameter.shape, name)


def owner(entry: Entry, layers: Mapping[str, Any]) -> tuple[str, str]:
    """The path of the layer that has an array as its parameter, and the name there, as "first.W" of an inner one."""
    for depth in range(len(entry.path) - 1, 0, -1):
        path = ".".join(entry.path[:depth])
        if path in layers:
            return path, ".".join(entry.path[depth:])
    raise ModelError(f"{entry.name} is of no layer that was seen in the step.")


class Float64:
    """The net of a step in float64, layer by layer: what reaches each layer of its chain, for a start in the middle."""

    def __init__(self, step: Step) -> None:
        course, layout = step.course, step.course.task.model.layout
        task = course.task
        self.vector = step.vector.astype(np.float64)
        self.tree: Mapping[str, Any] = layout.tree(self.vector)
        self.loss, self.layers = task.loss, task.trained_layers().named()
        self.targets, self.weights = task.targets(course.images, np.arange(len(course.images)))
        self.entries = {entry.name: entry for entry in layout.entries}
        noise = noise_of(task, step.epoch, step.number % course.steps_per_epoch)
        self.run = Pass(reference, step.training, False, noise=noise, running_stats=task.running_stats)
        self.reaching: list[Array] = [step.x.astype(np.float64)]
        for place in range(len(self.layers)):
            self.reaching.append(self._through(place, self.reaching[-1]))

    def mean_loss(self, first: int) -> float:
        """The mean loss, where nothing has changed before the layer of this number."""
        y = self.reaching[first]
        for place in range(first, len(self.layers)):
            y = self._through(place, y)
        values = self.loss.values(y, self.targets)
        return float((values if self.weights is None else values * self.weights).mean())

    def _through(self, place: int, x: Array) -> Array:
        name, layer = self.layers[place]
        return self.run.through(layer, name, self.tree, x, False)[0]


class _Along:
    """The mean loss as a function of one weight."""

    def __init__(self, step: Step, name: str, index: Index) -> None:
        self.net = step.float64
        entry = self.net.entries[name]
        self.weights = self.net.vector[entry.start : entry.stop].reshape(entry.parameter.shape)
        self.index, self.first = index, [child for child, _ in self.net.layers].index(entry.path[0])

    def __call__(self, weight: float) -> float:
        before = self.weights[self.index]
        self.weights[self.index] = weight
        try:
            return self.net.mean_loss(self.first)
        finally:
            self.weights[self.index] = before


def autograd_of(step: Step) -> tuple[Mapping[str, Array] | None, str]:
    """The gradient with respect to every trained array by PyTorch's autograd, float64, or why there is none."""
    if find_spec("torch") is None:
        return None, "PyTorch is not installed."
    from firstlight.engines import autograd

    course, task = step.course, step.course.task
    targets, weights = task.targets(course.images, np.arange(len(course.images)))
    vector = step.vector.astype(np.float64)
    try:
        return autograd.of_net(
            task.trained_layers(), task.loss, task.model.layout.tree(vector), step.x.astype(np.float64), targets,
            noise=noise_of(task, step.epoch, step.number % course.steps_per_epoch), weights=weights,
            training=step.training, running_stats=task.running_stats,
        ), ""  # fmt: skip
    except ModelError as error:  # a layer or a loss without a twin
        return None, str(error)
