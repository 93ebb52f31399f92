"""The way of the weights, step by step, forward and back: every step is keyed, so it is always the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from firstlight.engines import Task
from firstlight.engines.numpy import NumpyEngine, one_thread_of_blas
from firstlight.explain.net import Place, places_of
from firstlight.kernels.lock import LOCK
from firstlight.prepare import batches, steps
from firstlight.training_step.statistics import moved, trained_parts
from firstlight.training_step.step import Step
from firstlight.types import Array, Images, Json
from firstlight.working import number

KEPT = 256e6  # bytes of weights and moments that are kept to go back to; the steps between are taken again
BATCH = 64
LOOKS = 30  # of an epoch, at most, in which the images are looked at


@dataclass(frozen=True)
class LayerRow:
    """A layer in a step that was taken: see `LayerStatistics`; numbers are None where it was not looked at."""

    ratio: float | None = None
    weights: float | None = None
    update: float | None = None
    gradient: float | None = None
    output: float | None = None
    silent: float | None = None
    dy: float | None = None

    def to_json(self) -> Json:
        return {name: None if value is None else number(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class StepRow:
    """A step that was taken.

    number    how many were before it
    loss      the mean of the batch that was trained on, before the step
    accuracy  the share of it that was right
    looked    the mean loss of the images of the course before the step; None where these were not looked at
    layers    by path, those with trained weights, and where the images were looked at all
    """

    number: int
    epoch: int
    loss: float
    accuracy: float
    looked: float | None
    layers: Mapping[str, LayerRow]

    def to_json(self) -> Json:
        return {
            "number": self.number,
            "epoch": self.epoch,
            "loss": number(self.loss),
            "accuracy": number(self.accuracy),
            "looked": None if self.looked is None else number(self.looked),
            "layers": {path: row.to_json() for path, row in self.layers.items()},
        }


class Course:
    """Weights under training, one step after another, and the images that each step is shown on.

    name    of the net
    task    what is trained; its seed draws the weights, the order of the images, and dropout's noise
    images  prepared images to look at, and to train on where there are no others
    train   prepared images to train on; each batch is drawn as the engine draws it
    rate    the learning rate of every step
    """

    def __init__(
        self,
        task: Task,
        images: Images,
        *,
        name: str = "",
        train: Images | None = None,
        batch_size: int | None = None,
        rate: float | None = None,
        vector: Array | None = None,
        kernels: str = "compiled",
    ) -> None:
        """Begin at weights `vector`, or at the initial weights of the task's seed.

        batch_size  of `train`; without these, every step is on all images that are looked at
        rate        the optimizer's own unless given
        kernels     by which the steps on `train` are taken
        """
        self.name = name or task.model.name
        self.images = images
        self.own = train is None
        self.task = replace(task, average=None)
        if self.own:
            self.task = replace(self.task, augmentation=None, sampling="shuffled", steps_per_epoch=None)
        self.batch_size = len(images) if train is None else batch_size or BATCH
        self.rate = float(vars(task.optimizer.innermost)["lr"]) if rate is None else float(rate)
        trained_on = images if train is None else train
        # Of the images alone, every step is that of the layers one by one, the very numbers that are shown. Over many,
        # the compiled net takes the steps: its sums are rounded in another order.
        self.session = NumpyEngine("reference").session(self.task, trained_on, vector)
        self._trainer = self.session if self.own else NumpyEngine(kernels).session(self.task, trained_on, vector)
        self.steps_per_epoch = self.task.steps_per_epoch or steps(len(trained_on), self.batch_size)
        self._kept: dict[int, tuple[Array, dict[str, Array]]] = {0: (self.session.vector(), self.session.state())}
        self._every = 1
        self._rows: dict[int, StepRow] = {}
        self._at = 0  # how many steps the trainer has taken; −1 where that is not known
        self._epoch, self._index = -1, [np.empty(0, np.int64)]

    @property
    def optimizer_name(self) -> str:
        return type(self.task.optimizer.innermost).__name__

    @cached_property
    def places(self) -> Mapping[str, Place]:
        """Every layer and container of layers by its path."""
        return places_of(self.task)

    @cached_property
    def x(self) -> Array:
        """What the net sees of the images, (C, H, W, N)."""
        return self.session.eager.prepared(self.images.pixels, np.arange(len(self.images)))

    @property
    def start(self) -> Step:
        """The first step."""
        return self.at(0)

    def at(self, number: int) -> Step:
        """The step after `number` others, which are taken if they were not, or are kept no longer.

        Raises TrainingError where the loss is no longer finite before it.
        """
        if number < 0:
            raise ValueError(f"Steps count from 0; received {number}.")
        with LOCK, one_thread_of_blas():  # once for all steps: to find the libraries takes as long as a step
            kept = max(each for each in self._kept if each <= number)
            if not kept <= self._at <= number:
                self._trainer.restore(*self._kept[kept])
                self._at = kept
            try:
                while self._at < number:
                    self._take(self._at)
            except BaseException:
                self._at = -1
                raise
            return self._step(number)

    def history(self, number: int) -> list[StepRow]:
        """What the steps before that of this number were like."""
        return [self._rows[step] for step in range(number) if step in self._rows]

    def _step(self, number: int) -> Step:
        """That which starts from where the trainer is."""
        return Step(self, number, self._trainer.vector(), self._trainer.state())

    def _take(self, number: int) -> None:
        """Take the step of this number, and note what it was like."""
        epoch, within = divmod(number, self.steps_per_epoch)
        before = self._step(number)
        index = self._batches(epoch)[within]
        loss, correct = self._trainer.train_step(index, epoch, within, self.rate)
        self._at = number + 1
        after = self._trainer.vector()
        if number not in self._rows:
            self._rows[number] = self._row(before, after, loss, correct / len(index))
        self._keep(number + 1, after)

    def _batches(self, epoch: int) -> list[Array]:
        images = self.images if self.own else self._trainer.train
        assert images is not None
        if self._epoch != epoch:
            self._epoch = epoch
            order = np.arange(len(images)) if self.own else self.task.order(images, epoch, self.batch_size)
            self._index = list(batches(order, self.batch_size))
        return self._index

    def _row(self, before: Step, after: Array, loss: float, accuracy: float) -> StepRow:
        looks = before.number % self.steps_per_epoch % max(1, self.steps_per_epoch // LOOKS) == 0
        layers = dict(self._moves(before.vector, after))
        looked = None
        if looks:
            looked = before.loss.value
            for path, one in before.statistics.items():
                seen = {"gradient": one.gradient, "output": one.output, "silent": one.silent, "dy": one.dy}
                layers[path] = replace(layers.get(path, LayerRow()), **seen)
        return StepRow(before.number, before.epoch, loss, accuracy, looked, layers)

    def _moves(self, before: Array, after: Array) -> Mapping[str, LayerRow]:
        """How far the trained weights of each layer went."""
        found = {}
        for path, parts in self._parts.items():
            weights, update, ratio = moved(before, after, parts)
            found[path] = LayerRow(ratio, weights, update)
        return found

    @cached_property
    def _parts(self) -> Mapping[str, list[slice]]:
        return trained_parts(self.task.model.layout, self.places)

    def _keep(self, number: int, vector: Array) -> None:
        """Keep the weights before a step; of too many, every second one."""
        if number % self._every:
            return
        self._kept[number] = (vector, self._trainer.state())
        a_step = vector.nbytes * (1 + len(self._trainer.optimizer_state))
        while len(self._kept) > 2 and len(self._kept) * a_step > KEPT:
            self._every *= 2
            self._kept = {kept: state for kept, state in self._kept.items() if kept % self._every == 0}
