"""The engine written from first principles: NumPy, with the inner loops of `kernels`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from firstlight import kernels
from firstlight.engines.base import AVERAGE, EpochMetrics, Task, Trace, not_finite
from firstlight.engines.executor import EagerExecutor, build_executor
from firstlight.errors import ModelError
from firstlight.kernels.lock import LOCK, in_turn
from firstlight.pixels import is_mapped, located
from firstlight.prepare import batches
from firstlight.types import Array, Images


@dataclass(frozen=True)
class NumpyEngine:
    """Opens sessions on the CPU. `kernels` is "compiled" or "reference"; dtype float64 is for proofs.

    half  whether 3×3 convolutions and the gradients with respect to all kernels of convolutions are taken, in training,
          of factors in bfloat16; sums, weights, moments and statistics, and all of evaluation, stay in `dtype`, float32
    """

    kernels: str = "compiled"
    dtype: Any = np.float32
    half: bool = False
    name: str = "numpy"

    def session(self, task: Task, train: Images | None = None, vector: Array | None = None) -> NumpySession:
        """See `Engine.session`."""
        return NumpySession(task, train, vector, self)


class NumpySession:
    """See `Session`. One flat vector of weights; the optimizer works on its trained part.

    Threads take turns: a step, or a batch of images, at a time.
    """

    def __init__(self, task: Task, train: Images | None, vector: Array | None, engine: NumpyEngine) -> None:
        self.task = task
        self.engine = engine
        self.layout = task.model.layout
        self.kernels = kernels.load(engine.kernels)
        self.dtype = np.dtype(engine.dtype).type
        self.units = math.prod(task.model.output_shape)
        self._vector = self.layout.initial(task.seed, self.dtype) if vector is None else vector.astype(self.dtype)
        with LOCK:
            self.executor = build_executor(task, self.kernels, self._vector, engine.half)
        self._eager = self.executor if isinstance(self.executor, EagerExecutor) else None
        self.optimizer_state = task.initial_state(self.dtype)
        if task.average is not None:
            self.optimizer_state[AVERAGE][:] = self._vector
        self.penalties = task.penalties()
        self.parts = [part._replace(cuts=self.executor.cuts) for part in task.optimizer.parts(task.blocks())]
        self.train = None if train is None else _in_order(train)
        self.augmented = task.augmented(self.train, self.kernels)

    def warm_up(self, batch_size: int, epochs: int, as_before: Mapping[str, Any] | None = None) -> None:
        """See `Session.warm_up`: compile the kernels by one step, which is then undone."""
        index = np.arange(min(batch_size, len(self._train_images())))
        with self._quietly(), LOCK:
            before, state = self._vector.copy(), self.state()
            _, _, gradients = self.gradients(index, 0, 0)
            self.executor.outputs(self._train_images().pixels[index])
            self._move(gradients, 0.0)
            self.restore(before, state)

    def train_step(self, index: Array, epoch: int, step: int, rate: float) -> tuple[float, int]:
        """See `Session.train_step`."""
        with self._quietly():
            return self._step(*self._batch(index, epoch), epoch, step, rate)

    def train_epoch(
        self, epoch: int, batch_size: int, rates: Array, progress: Callable[[int, float], None]
    ) -> EpochMetrics:
        """See `Session.train_epoch`."""
        total, correct, done = 0.0, 0, 0
        with self._quietly():
            for step, ((images, index), rate) in enumerate(zip(self._batches(epoch, batch_size), rates, strict=True)):
                loss, hits = self._step(images, index, epoch, step, float(rate))
                total, correct, done = total + loss * len(index), correct + hits, done + len(index)
                progress(done, total / done)
        return EpochMetrics(total / done, correct / done)

    def outputs(self, images: Images | Array) -> Array:
        """See `Session.outputs`."""
        most, pixels = self.executor.most, images.pixels if isinstance(images, Images) else images
        rows = np.empty((len(pixels), self.units), self.dtype)
        with self._quietly() if self.executor.blas else contextlib.nullcontext():
            for start in range(0, len(pixels), most):
                block = slice(start, min(start + most, len(pixels)))
                with LOCK:
                    if is_mapped(pixels):
                        where = located(pixels, np.arange(block.start, block.stop))
                        rows[block] = self.executor.outputs(*where).T
                    else:
                        rows[block] = self.executor.outputs(pixels[block]).T
        return rows

    def prepared(self, images: Images) -> Array:
        """See `Session.prepared`."""
        return np.moveaxis(self.eager.prepared(images.pixels, np.arange(len(images))), -1, 0)

    def trace(self, x: Array, cotangents: Mapping[str, Array] | None = None, only: Collection[str] = ()) -> Trace:
        """See `Session.trace`."""
        with self._quietly(blas=True), LOCK:
            return self.eager.trace(x, cotangents or {}, only)

    @property
    def eager(self) -> EagerExecutor:
        """The net layer by layer, on the same weights: a graph keeps no values to look at."""
        with LOCK:
            if self._eager is None:
                self._eager = EagerExecutor(self.task, self.kernels, self._vector)
            return self._eager

    @in_turn
    def vector(self) -> Array:
        """See `Session.vector`."""
        return self._vector.copy()

    @in_turn
    def state(self) -> dict[str, Array]:
        """See `Session.state`."""
        return {name: array.copy() for name, array in self.optimizer_state.items()}

    @in_turn
    def restore(self, vector: Array, state: dict[str, Array] | None = None) -> None:
        """See `Session.restore`."""
        self._vector[:] = vector
        for name, array in self.optimizer_state.items():
            if state is not None:
                array[...] = state[name]

    def agree(self, stop: bool) -> bool:
        """See `Session.agree`: this engine works in one process."""
        return stop

    def share(self, text: str) -> str:
        """See `Session.share`."""
        return text

    def describe(self) -> dict[str, Any]:
        """See `Session.describe`."""
        optimizer = self.task.optimizer.innermost
        return {
            "engine": self.engine.name,
            "device": "cpu",
            "precision": "bfloat16" if self.engine.half else np.dtype(self.dtype).name,
            "kernels": self.engine.kernels,
            "threads": _threads(self.engine.kernels),
            **({"optimizer_not_compiled": why} if (why := optimizer.not_compiled(self.kernels)) else {}),
            **({"not_compiled": layer} if (layer := getattr(self.executor, "not_compiled", "")) else {}),
        }

    @contextlib.contextmanager
    def _quietly(self, blas: bool = False) -> Iterator[None]:
        """What is not finite is told by the loss; and where BLAS is called, it is held to one thread.

        Two pools of threads that wait for each other on the same cores cost far more than they bring. The caller's
        setting is given back. To find the libraries takes longer than a small net's step, so it is done only there.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(np.errstate(over="ignore", invalid="ignore"))
            if blas or self.executor.blas or self.task.optimizer.innermost.uses_blas:
                stack.enter_context(one_thread_of_blas())
            yield

    def _train_images(self) -> Images:
        if self.train is None:
            raise ModelError("This session was opened to predict: it has no training images.")
        return self.train

    def gradients(self, index: Array, epoch: int, step: int) -> tuple[float, int, Array]:
        """The mean loss of the training images at `index`, how many are correct, and the gradient with the penalties'.

        The gradient is (k, trained): the sum of its rows.
        """
        return self._gradients(*self._batch(index, epoch), epoch, step)

    def _batch(self, index: Array, epoch: int) -> tuple[Images, Array]:
        """Images, and which of them are the training images at `index` as they are drawn for an epoch."""
        if self.augmented is None:
            return self._train_images(), index
        return self.augmented.batch(index, epoch), np.arange(len(index))

    def _batches(self, epoch: int, batch_size: int) -> Iterator[tuple[Images, Array]]:
        """The same for each step of an epoch."""
        train = self._train_images()
        order = self.task.order(train, epoch, batch_size)
        if self.augmented is None:
            return ((train, index) for index in batches(order, batch_size))
        runs = self.augmented.runs(order, epoch, batches(np.arange(len(order)), batch_size))
        return ((images, index) for images, parts in runs for index in parts)

    @in_turn
    def _gradients(self, images: Images, index: Array, epoch: int, step: int) -> tuple[float, int, Array]:
        loss, correct, gradients = self.executor.gradients(images, index, epoch, step)
        self.add_penalties(gradients[0], self._vector)  # the executor writes its gradients again each time
        return loss, correct, gradients

    def add_penalties(self, gradient: Array, vector: Array) -> None:
        """Add the gradient of the penalties, at weights `vector`, to that of the loss, in place."""
        for part, l1, l2 in self.penalties:
            weights = vector[part]
            if l1:
                gradient[part] += l1 * np.sign(weights)
            if l2:
                gradient[part] += 2 * l2 * weights

    @in_turn
    def _step(self, images: Images, index: Array, epoch: int, step: int, rate: float) -> tuple[float, int]:
        loss, correct, gradients = self._gradients(images, index, epoch, step)
        if not math.isfinite(loss):
            raise not_finite(loss, epoch, step, rate)
        self._move(gradients, rate)
        return loss, correct

    def _move(self, gradients: Array, rate: float) -> None:
        state, trained = self.optimizer_state, self._vector[: self.layout.trainable]
        self.task.optimizer.step(trained, gradients, state, rate, self.parts, self.kernels)
        if self.task.average is not None:
            self.task.average.update(self.kernels, state[AVERAGE], self._vector, int(state["step"][0]))


_blas_held = contextlib.ExitStack()
_holders = 0


@contextlib.contextmanager
def one_thread_of_blas() -> Iterator[None]:
    """Hold BLAS to one thread; of several callers the last one gives back what the first one found."""
    global _holders
    with LOCK:
        if not _holders:
            _blas_held.enter_context(ThreadpoolController().limit(limits=1, user_api="blas"))
        _holders += 1
    try:
        yield
    finally:
        with LOCK:
            _holders -= 1
            if not _holders:
                _blas_held.close()


def _in_order(images: Images) -> Images:
    """The same with pixels that lie one after another, as the kernels read them; a copy only where they do not."""
    if is_mapped(images.pixels):
        return images
    pixels = np.ascontiguousarray(images.pixels)
    return images if pixels is images.pixels else replace(images, pixels=pixels)


def _threads(kernels: str) -> int:
    """How many the kernels use; BLAS is held to one."""
    if kernels == "reference":
        return 1
    from numba import get_num_threads

    return int(get_num_threads())
