"""What an engine is: it takes a task, trains epoch by epoch, and answers with plain arrays.

Tensors of an engine never leave it. Everything random in a task is drawn from its seed, so that engines agree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from firstlight.errors import TrainingError
from firstlight.kernels import Kernels
from firstlight.layers import Chain
from firstlight.losses import Loss
from firstlight.models import Model
from firstlight.optimizers import Block, MovingAverage, Optimizer
from firstlight.prepare import Augmentation, Augmented, Preparation, balanced_order, epoch_order
from firstlight.prepare.class_weights import weighted_targets
from firstlight.types import Array, Images, MixedImages
from firstlight.weights import fits

AVERAGE = "average"  # of the weights, where one is kept: its name among the arrays of a session's state
Sampling = Literal["shuffled", "balanced"]


@dataclass(frozen=True, eq=False)
class Task:
    """All that an engine has to know to train or to predict.

    preparation    fitted on the training split; applied to every image
    l1, l2         penalties on every layer's kernels, beside those of the layers themselves
    lr_factors     what the learning rate is multiplied by, by patterns of names; the last one that fits a name counts
    running_stats  paths of batch norms that keep their running statistics in training, and use them
    share_norms    batch norm over the images of all processes, where there are several
    class_weights  (K,): what the loss of an image is multiplied by in training, by its class; None for nothing
    sampling       "shuffled", or "balanced": each epoch draws all classes equally often
    steps_per_epoch  so many full batches an epoch, the next one going on behind them; None for all images once
    augmentation   what happens to the images of a training batch, and to no others; None for nothing
    average        of the weights over the steps, which is evaluated and kept; None for the weights themselves
    """

    model: Model
    loss: Loss
    preparation: Preparation
    optimizer: Optimizer
    l1: float = 0.0
    l2: float = 0.0
    seed: int = 0
    lr_factors: Mapping[str, float] = field(default_factory=dict)
    running_stats: frozenset[str] = frozenset()
    share_norms: bool = False
    class_weights: Array | None = None
    sampling: Sampling = "shuffled"
    steps_per_epoch: int | None = None
    augmentation: Augmentation | None = None
    average: MovingAverage | None = None

    def trained_layers(self) -> Chain:
        """The layers that the loss is applied to; a final activation that the loss contains is left to the loss.

        Raises ModelError where head, labels and loss do not fit.
        """
        return self.loss.check_head(self.model.layers, self.model.channels_first, self.model.classes)

    def order(self, train: Images, epoch: int, batch_size: int) -> Array:
        """The training images of an epoch in their order, int64 (images_per_epoch,).

        With `steps_per_epoch`, it is cut from one pass over all images after another: each comes equally often.
        """
        if self.steps_per_epoch is None:
            return self._whole(train, epoch)
        n, taken = len(train), self.images_per_epoch(len(train), batch_size)
        first, end = epoch * taken, (epoch + 1) * taken
        passes = [self._whole(train, number) for number in range(first // n, -(-end // n))]
        return np.concatenate(passes)[first % n :][:taken]

    def images_per_epoch(self, images: int, batch_size: int) -> int:
        """How many of so many training images an epoch takes."""
        return images if self.steps_per_epoch is None else self.steps_per_epoch * batch_size

    def _whole(self, train: Images, number: int) -> Array:
        """All training images in the order of a pass over them, int64 (N,)."""
        if self.sampling == "balanced":
            return balanced_order(self.seed, number, train.labels)
        return epoch_order(self.seed, number, len(train))

    def augmented(self, train: Images | None, kernels: Kernels) -> Augmented | None:
        """The training images as they are drawn for each epoch; None where nothing is drawn."""
        if not self.augmentation or train is None:
            return None
        return Augmented(train, self.augmentation, self.seed, kernels, balanced=self.sampling == "balanced")

    @property
    def mixes(self) -> bool:
        """Whether training images are mixed, so that targets are shares of classes."""
        return self.augmentation is not None and self.augmentation.mixes

    def targets(self, images: Images, index: Array) -> tuple[Array, Array | None]:
        """What the loss of the training images at `index` is taken against, and what each counts, (n,).

        The targets are labels (n,), or shares of classes (K, n) where images are mixed; None where all count the same.
        """
        if isinstance(images, MixedImages):
            return weighted_targets(images.targets[index].T, self.class_weights)
        labels = images.labels[index]
        return labels, None if self.class_weights is None else self.class_weights[labels]

    def penalties(self) -> list[tuple[slice, float, float]]:
        """(part of the vector, l1, l2) for every trained array that is penalized."""
        parts = []
        for entry in self.model.layout.entries:
            parameter = entry.parameter
            if not parameter.trainable:
                continue
            l1 = parameter.l1 + (self.l1 if parameter.kernel else 0.0)
            l2 = parameter.l2 + (self.l2 if parameter.kernel else 0.0)
            if l1 or l2:
                parts.append((slice(entry.start, entry.stop), l1, l2))
        return parts

    def lr_factor(self, name: str) -> float:
        """What the learning rate of the array called `name` is multiplied by."""
        return next((factor for pattern, factor in reversed([*self.lr_factors.items()]) if fits(name, pattern)), 1.0)

    def blocks(self) -> list[Block]:
        """The trained arrays, in the order of the vector, as the optimizer sees them."""
        return [
            Block(slice(entry.start, entry.stop), each.shape, self.lr_factor(entry.name), each.kernel)
            for entry in self.model.layout.entries
            if (each := entry.parameter).trainable
        ]

    def initial_state(self, dtype: Any = np.float32) -> dict[str, Array]:
        """What `Session.state` has before the first step, but for the numbers of the average."""
        state = self.optimizer.state(self.model.layout.trainable, dtype)
        return state if self.average is None else state | {AVERAGE: np.zeros(self.model.layout.size, dtype)}

    def penalty(self, vector: Array) -> float:
        """Σ l1·|w| + l2·w² over the penalized weights."""
        return sum(
            l1 * float(np.abs(vector[part]).sum(dtype=np.float64))
            + l2 * float(np.square(vector[part], dtype=np.float64).sum())
            for part, l1, l2 in self.penalties()
        )


@dataclass(frozen=True)
class EpochMetrics:
    """What an epoch of training added up to, as a running mean over its batches (penalty left out)."""

    loss: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Trace:
    """What a net held in evaluation as it looked at N prepared images; the batch is the first axis.

    values  by path, what the layer or container of layers there gave: (N, C, H, W) or (N, I). In the order of the data
    gradients  by the same paths, the gradient of Σ cotangent · value by that; empty where no cotangent was given
    dx      the same by the prepared images, (N, C, H, W); None where no cotangent was given
    """

    values: Mapping[str, Array]
    gradients: Mapping[str, Array]
    dx: Array | None


class Session(Protocol):
    """A model being trained or used on one engine."""

    def warm_up(self, batch_size: int, epochs: int, as_before: Mapping[str, Any] | None = None) -> None:
        """Make ready for so much training, without effect on it, so that compiling and trials are not counted to it.

        as_before  what `describe` said of the session that this one continues from: to compute in the same way
        Raises ExperimentError where it cannot be done with this batch size.
        """
        ...

    def train_step(self, index: Array, epoch: int, step: int, rate: float) -> tuple[float, int]:
        """Take one step on the images at `index`; return their mean loss before it, and how many were correct."""
        ...

    def train_epoch(
        self, epoch: int, batch_size: int, rates: Array, progress: Callable[[int, float], None]
    ) -> EpochMetrics:
        """Train over the training images of `Task.order`, at a learning rate for each step.

        `progress(images done, running mean of the loss)` is called now and then.
        Raises TrainingError where the loss is not finite.
        """
        ...

    def outputs(self, images: Images | Array) -> Array:
        """The raw outputs of the net, what the loss takes, for prepared images: float32 (N, K).

        images  or their pixels alone, uint8 (N, H, W, C): no label is looked at
        """
        ...

    def prepared(self, images: Images) -> Array:
        """What the net sees of images that `Preparation.apply` made ready: (N, C, H, W)."""
        ...

    def trace(self, x: Array, cotangents: Mapping[str, Array] | None = None, only: Collection[str] = ()) -> Trace:
        """Let prepared images x (N, C, H, W) through the net in evaluation, and keep what every layer gives.

        cotangents  by path, an array of the shape of what is given there: the gradient of Σ cotangent · value is taken.
                    A path that holds no layer is an error of the caller, a KeyError
        only        keep values and gradients of these paths; of all where none are named
        """
        ...

    def vector(self) -> Array:
        """A copy of all weights, in the order of the model's layout."""
        ...

    def state(self) -> dict[str, Array]:
        """Copies of the optimizer's arrays and of the average of the weights, for a checkpoint."""
        ...

    def restore(self, vector: Array, state: dict[str, Array] | None = None) -> None:
        """Take over weights, and the optimizer's arrays where given."""
        ...

    def agree(self, stop: bool) -> bool:
        """Whether any of the processes that share this training wants to stop; all ask at the same points."""
        ...

    def share(self, text: str) -> str:
        """What the first of the processes that share this training gives; all wait for it."""
        ...

    def describe(self) -> dict[str, Any]:
        """What the record of a run says of the engine: its name, and what it computes with."""
        ...


class Engine(Protocol):
    """Opens sessions."""

    @property
    def name(self) -> str: ...

    def session(self, task: Task, train: Images | None = None, vector: Array | None = None) -> Session:
        """A session on `vector`, or on initial weights of the task's seed. `train` are prepared images to learn from.

        Raises ModelError or ExperimentError where the engine cannot do the task.
        """
        ...


def not_finite(loss: float, epoch: int, step: int, rate: float) -> TrainingError:
    """The error for a step after which training makes no sense."""
    return TrainingError(
        f"The loss became {loss} in epoch {epoch + 1}, step {step + 1}, at a learning rate of {rate:g}. "
        "The steps were too large: try one tenth of the learning rate (--lr), a warm-up (--set schedule.warmup=1), "
        "or batch norm."
    )
