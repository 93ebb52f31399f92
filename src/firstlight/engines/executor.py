"""How a batch goes through the net on the NumPy engine: layer by layer in Python, or all at once from a graph.

Both work on the flat vector of weights and answer with the same numbers; a graph is the faster the smaller the net.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import numpy as np

from firstlight.engines.base import Task, Trace
from firstlight.kernels import Kernels
from firstlight.kernels.graph import Graph, NotRecordedError
from firstlight.layers import Backward, Pass
from firstlight.layers.batchnorm import must_vary
from firstlight.pixels import located
from firstlight.prepare import standardized
from firstlight.randomness import generator, philox_key
from firstlight.types import Array, Images

Noise = Callable[[str], np.random.Generator]


class Executor(Protocol):
    """The forward and backward passes of a net.

    most  images that `outputs` should be asked for at once
    blas  whether they call BLAS, whose threads are then held to one
    cuts  of the weights, in order, where arrays begin and end whose rows stay with a thread each
    """

    most: int
    blas: bool
    cuts: tuple[int, ...]

    def gradients(self, images: Images, index: Array, epoch: int, step: int) -> tuple[float, int, Array]:
        """Of the batch at `index`: mean loss, how many are correct, and the gradient, (k, trained) for k summands."""
        ...

    def outputs(self, pixels: Array, index: Array | None = None) -> Array:
        """The raw outputs (K, n) in evaluation for prepared pixels, uint8 (n, H, W, C), until it is asked again.

        index  of the pixels, only these (n,)
        """
        ...


def build_executor(task: Task, kernels: Kernels, vector: Array, half: bool = False) -> Executor:
    """How the task's net is computed on `vector`: from a graph where the kernels and the layers can."""
    runtime = getattr(kernels, "Runtime", None)
    if runtime is not None:
        try:
            return CompiledExecutor(task, runtime, vector, half)
        except NotRecordedError as error:
            return EagerExecutor(task, kernels, vector, not_compiled=str(error))
    return EagerExecutor(task, kernels, vector)


def noise_of(task: Task, epoch: int, step: int) -> Noise:
    """The generator of a layer's random numbers in this step, by its path."""
    return lambda path: generator(task.seed, "noise", path, epoch, step)


class EagerExecutor:
    """Layer by layer: each one's `forward` and the closure that it returns.

    not_compiled  the layer that no graph can hold, where that is why; empty where compiled kernels were not asked for
    """

    most = 256  # every value of the net lies in memory for all of them
    blas = True
    cuts: tuple[int, ...] = ()

    def __init__(self, task: Task, kernels: Kernels, vector: Array, not_compiled: str = "") -> None:
        self.task, self.kernels, self.not_compiled = task, kernels, not_compiled
        self.layers, self.layout = task.trained_layers(), task.model.layout
        self.parameters = self.layout.tree(vector)
        self.gradient = np.zeros((1, self.layout.trainable), vector.dtype)
        self.scale, self.shift = task.preparation.scale_shift(vector.dtype)

    def gradients(self, images: Images, index: Array, epoch: int, step: int) -> tuple[float, int, Array]:
        """See `Executor.gradients`."""
        run = Pass(
            self.kernels,
            training=True,
            needs_dx=False,
            noise=noise_of(self.task, epoch, step),
            running_stats=self.task.running_stats,
            trained=self.layout.trained,
        )
        y, backward = self._forward(images.pixels, index, run)
        loss, dy = self.task.loss.value_and_gradient(y, *self.task.targets(images, index))
        _, gradients = backward(dy)
        self.layout.collect(gradients, self.gradient[0])
        return loss, int((self.task.loss.predicted(y) == images.labels[index]).sum()), self.gradient

    def outputs(self, pixels: Array, index: Array | None = None) -> Array:
        """See `Executor.outputs`."""
        run, index = Pass(self.kernels, training=False), np.arange(len(pixels)) if index is None else index
        outputs: Array = self._forward(np.ascontiguousarray(pixels), index, run)[0]
        return outputs

    def prepared(self, pixels: Array, index: Array) -> Array:
        """What the net sees of the images at `index`, (C, H, W, n)."""
        x = self.kernels.gather(*located(pixels, index), self.scale, self.shift)
        return standardized(x) if self.task.preparation.per_image else x

    def trace(self, x: Array, cotangents: Mapping[str, Array], only: Collection[str]) -> Trace:
        """See `Session.trace`."""
        values: dict[str, Array] = {}
        gradients: dict[str, Array] = {}
        left = set(cotangents)

        def watch(path: str, y: Array, backward: Backward) -> tuple[Array, Backward]:
            kept = not only or path in only
            left.discard(path)
            if kept:
                values[path] = _batch_first(y)

            def watched(dy: Array) -> tuple[Array | None, Any]:
                if path in cotangents:
                    dy = dy + np.moveaxis(cotangents[path], 0, -1).astype(dy.dtype, copy=False)
                if kept:
                    gradients[path] = _batch_first(dy)
                return backward(dy)

            return y, watched

        columns = np.ascontiguousarray(np.moveaxis(x, 0, -1), self.scale.dtype)
        y, backward = self.layers.forward(self.parameters, columns, Pass(self.kernels, watch=watch))
        if left:
            raise KeyError(min(left))
        dx = backward(np.zeros_like(y))[0] if cotangents else None
        return Trace(values, gradients, None if dx is None else _batch_first(dx))

    def _forward(self, pixels: Array, index: Array, run: Pass) -> tuple[Array, Any]:
        return self.layers.forward(self.parameters, self.prepared(pixels, index), run)


class CompiledExecutor:
    """All at once: the net written on a graph, which the threads run, each for its share of the images."""

    most = 4096  # values lie in memory for a chunk at a time
    blas = False

    def __init__(self, task: Task, runtime: Callable[..., Any], vector: Array, half: bool = False) -> None:
        self.task = task
        layout = task.model.layout
        scale, shift = task.preparation.scale_shift(vector.dtype)
        self.training, self.evaluation = (
            runtime(
                _record(task, training), vector, layout.trainable if training else 0, scale, shift, half and training
            )
            for training in (True, False)
        )
        slots = self.training.graph.split
        self.cuts = tuple(sorted({end for slot in slots for end in (slot.start, slot.start + math.prod(slot.shape))}))

    def gradients(self, images: Images, index: Array, epoch: int, step: int) -> tuple[float, int, Array]:
        """See `Executor.gradients`."""
        runtime, labels = self.training, self._labels(images, index)
        for path, pixels in runtime.graph.norms:
            must_vary(pixels * len(index), path)
        program = runtime.program(len(index))
        runtime.draw(program, lambda path: philox_key(self.task.seed, "noise", path, epoch, step))
        found, index = located(images.pixels, index)
        pixels = _flat(found)
        if not runtime.graph.takes_output_gradients:
            runtime.run(program, pixels, index, labels)
            return float(program.losses.mean()), int(program.correct.sum()), runtime.gradients(program)
        halfway = runtime.graph.forward_steps
        runtime.run(program, pixels, index, labels, end=halfway)
        loss, dy = self.task.loss.value_and_gradient(program.outputs, *self.task.targets(images, index))
        program.output_gradients[...] = dy
        runtime.run(program, pixels, index, labels, first=halfway)
        correct = int((self.task.loss.predicted(program.outputs) == labels).sum())
        return loss, correct, runtime.gradients(program)

    def outputs(self, pixels: Array, index: Array | None = None) -> Array:
        """See `Executor.outputs`."""
        outputs: Array = self.evaluation.evaluate(_flat(pixels), index)
        return outputs

    def _labels(self, images: Images, index: Array) -> Array:
        """Raises IndexError where one is not of the task: no kernel would notice."""
        labels, classes = images.labels[index], self.task.model.classes
        if not 0 <= labels.min() <= labels.max() < classes:
            raise IndexError(f"labels from {labels.min()} to {labels.max()} of {classes} classes.")
        return labels


def _flat(pixels: Array) -> Array:
    """The pixels as (images, H W C); a view where they lie one after another."""
    return np.ascontiguousarray(pixels).reshape(len(pixels), -1)


def _batch_first(columns: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(columns, -1, 0))


def _record(task: Task, training: bool) -> Graph:
    class_weights = () if task.class_weights is None else task.class_weights.tolist()
    graph = Graph(task.model.channels_first, training, task.running_stats, class_weights)
    y = task.trained_layers().record(graph, task.model.layout.slots, graph.input(task.preparation.per_image), "")
    if training and not task.mixes:  # recorded losses take labels
        task.loss.record(graph, y)
    else:
        graph.output(y)
    return graph
