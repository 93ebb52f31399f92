"""The engine written from first principles: NumPy, with the inner loops of `kernels`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from firstlight import kernels
from firstlight.engines.base import Tally, Task
from firstlight.errors import ModelError, TrainingError
from firstlight.layers import Pass
from firstlight.prepare import batches, epoch_order
from firstlight.randomness import generator
from firstlight.types import Array, Images

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class NumpyEngine:
    """Opens sessions on the CPU. `kernels` is "compiled" or "reference"; dtype float64 is for proofs."""

    kernels: str = "compiled"
    dtype: Any = np.float32
    name: str = "numpy"

    def session(self, task: Task, train: Images | None = None, vector: Array | None = None) -> NumpySession:
        """See `Engine.session`."""
        return NumpySession(task, train, vector, self)

    def describe(self) -> dict[str, Any]:
        """See `Engine.describe`."""
        return {"engine": self.name, "kernels": self.kernels, "threads": self._threads()}

    def _threads(self) -> int:
        """How many the kernels use; BLAS is held to one."""
        if self.kernels == "reference":
            return 1
        from numba import get_num_threads

        return int(get_num_threads())


class NumpySession:
    """See `Session`. One flat vector of weights; the optimiser works on its trained part."""

    def __init__(self, task: Task, train: Images | None, vector: Array | None, engine: NumpyEngine) -> None:
        self.task = task
        self.layers = task.trained_layers()
        self.layout = task.model.layout
        self.kernels = kernels.load(engine.kernels)
        self.dtype = engine.dtype
        self._vector = self.layout.initial(task.seed, self.dtype) if vector is None else vector.astype(self.dtype)
        self.parameters = self.layout.tree(self._vector)
        self.gradient = np.zeros(self.layout.trainable, self.dtype)
        self.optimizer_state = task.optimizer.state(self.layout.trainable, self.dtype)
        self.penalties = task.penalties()
        self.scale, self.shift = task.preparation.scale_shift(self.dtype)
        self.train = train

    def warm_up(self, batch_size: int) -> None:
        """See `Session.warm_up`."""
        images = self._train_images()
        trial = self.layout.tree(self._vector.copy())
        with _blas_held():
            index = np.arange(min(batch_size, len(images)))
            self._gradients(trial, images, index, epoch=0)
            self._forward(trial, images, index, Pass(self.kernels))

    def train_epoch(self, epoch: int, batch_size: int, rates: Array, progress: Callable[[int, float], None]) -> Tally:
        """See `Session.train_epoch`."""
        images = self._train_images()
        order = epoch_order(self.task.seed, epoch, len(images))
        total, correct, done = 0.0, 0, 0
        trained = self._vector[: self.layout.trainable]
        with _blas_held(), np.errstate(over="ignore", invalid="ignore"):
            for step, (index, rate) in enumerate(zip(batches(order, batch_size), rates, strict=True)):
                loss, right = self._gradients(self.parameters, images, index, epoch, step)
                if not math.isfinite(loss):
                    raise TrainingError(_not_finite(loss, epoch, step, float(rate)))
                self.task.optimizer.step(trained, self.gradient, self.optimizer_state, float(rate))
                total, correct, done = total + loss * len(index), correct + right, done + len(index)
                progress(done, total / done)
        return Tally(total / done, correct / done)

    def outputs(self, images: Images) -> Array:
        """See `Session.outputs`."""
        run = Pass(self.kernels, training=False)
        rows = np.empty((len(images), math.prod(self.task.model.output_shape)), self.dtype)
        with _blas_held(), np.errstate(over="ignore", invalid="ignore"):
            for index in batches(np.arange(len(images)), EVALUATION_BATCH):
                rows[index] = self._forward(self.parameters, images, index, run).T
        return rows

    def vector(self) -> Array:
        """See `Session.vector`."""
        return self._vector.copy()

    def state(self) -> dict[str, Array]:
        """See `Session.state`."""
        return {name: array.copy() for name, array in self.optimizer_state.items()}

    def restore(self, vector: Array, state: dict[str, Array] | None = None) -> None:
        """See `Session.restore`."""
        self._vector[:] = vector
        for name, array in (state or {}).items():
            self.optimizer_state[name][...] = array

    def _train_images(self) -> Images:
        if self.train is None:
            raise ModelError("This session was opened to predict: it has no training images.")
        return self.train

    def _forward(self, parameters: Any, images: Images, index: Array, run: Pass) -> Array:
        x = self.kernels.gather(images.pixels, index, self.scale, self.shift)
        return self.layers.forward(parameters, x, run)[0]

    def _gradients(self, parameters: Any, images: Images, index: Array, epoch: int, step: int = 0) -> tuple[float, int]:
        """Fill `self.gradient` for one batch; return its mean loss and how many it got right."""

        def noise(path: str) -> np.random.Generator:
            return generator(self.task.seed, "noise", path, epoch, step)

        run = Pass(self.kernels, training=True, needs_dx=False, noise=noise)
        x = self.kernels.gather(images.pixels, index, self.scale, self.shift)
        y, backward = self.layers.forward(parameters, x, run)
        labels = images.labels[index]
        loss, dy = self.task.loss.value_and_gradient(y, labels)
        _, gradients = backward(dy)
        self.layout.collect(gradients, self.gradient)
        for part, l1, l2 in self.penalties:
            weights = self._vector[part]
            if l1:
                self.gradient[part] += l1 * np.sign(weights)
            if l2:
                self.gradient[part] += 2 * l2 * weights
        return loss, int((self.task.loss.predicted(y) == labels).sum())


@contextlib.contextmanager
def _blas_held() -> Iterator[None]:
    """Hold BLAS to one thread while the compiled kernels run theirs, and give the caller's setting back.

    Two pools of threads that wait for each other on the same cores cost far more than they bring.
    """
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        yield


def _not_finite(loss: float, epoch: int, step: int, rate: float) -> str:
    return (
        f"The loss became {loss} in epoch {epoch + 1}, step {step + 1}, at a learning rate of {rate:g}. "
        "The steps were too large: try a tenth of the learning rate (--lr), a warm-up (--set schedule.warmup=1), "
        "or batch norm."
    )
