"""The compiled graph, which trains, beside the layers' own closures, step by step: an operation that is wrong is named.

The closures call the reference kernels: the compiled ones that layers call are the graph's own operations.

The graph runs in float64 on one thread, for as many images as a vector has numbers, so that every operation is met in
its fast form. At each of its checkpoints, what lies in memory is compared with what the layer gave, or with the
gradient with respect to that; and as a step writes gradients with respect to weights, or running statistics, with those
of the closures.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from firstlight import randomness
from firstlight.engine_parity.differences import largest, relative_difference
from firstlight.engine_parity.layers import named_arrays, perturbed
from firstlight.engines import Task
from firstlight.engines.executor import CompiledExecutor
from firstlight.kernels import Kernels, reference
from firstlight.kernels.graph import Graph, NotRecordedError, Step
from firstlight.kernels.lock import LOCK
from firstlight.layers import Backward, Pass
from firstlight.records.parity import GRADIENT, CompiledGraph, GraphFault
from firstlight.types import Array, Images

BESIDE_LAYERS = "the loss", "the images"


def compare_graph(task: Task, images: Images, vector: Array, kernels: Kernels) -> CompiledGraph | None:
    """How far the graph and the closures are apart at the weights `vector`; None where the kernels have no graph."""
    runtime = getattr(kernels, "Runtime", None)
    if runtime is None:
        return None
    with LOCK, _one_thread():
        try:
            executor = CompiledExecutor(task, runtime, vector.copy())
        except NotRecordedError as error:
            return CompiledGraph(not_compiled=str(error))
        return _Comparison(task, images, vector, executor).compare()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


class _Comparison:
    """One pass, forward and back, of the graph and of the closures."""

    def __init__(self, task: Task, images: Images, vector: Array, executor: CompiledExecutor) -> None:
        self.task, self.executor, self.runtime = task, executor, executor.training
        self.graph: Graph = self.runtime.graph
        self.pixels = np.ascontiguousarray(images.pixels).reshape(len(images), -1)
        self.index = np.resize(np.arange(len(images)), self.runtime.lanes)
        self.labels = images.labels[self.index]
        self.prepared = reference.gather(images.pixels, self.index, *task.preparation.scale_shift(np.float64))
        # Off all ties: where two pixels are equal, the first of them need not be found by both.
        self.x = perturbed(self.prepared, randomness.generator(task.seed, "parity", "graph"))
        self._truth(vector)
        self.worst = 0.0
        trained = [entry.name for entry in task.model.layout.entries if entry.parameter.trainable]
        self.gradients = dict.fromkeys(trained, math.inf)

    def noise(self, path: str) -> np.random.Generator:
        return randomness.generator(self.task.seed, "noise", path)

    def _truth(self, vector: Array) -> None:
        """What the closures give: each layer's output and the gradient with respect to it by path; those of weights."""
        self.outputs: dict[str, Array] = {}
        self.by_output: dict[str, Array] = {}

        def watch(path: str, y: Array, backward: Backward) -> tuple[Array, Backward]:
            self.outputs[path] = y

            def watched(dy: Array) -> Any:
                self.by_output[path] = dy
                return backward(dy)

            return y, watched

        layout, after = self.task.model.layout, vector.copy()
        run = Pass(
            reference,
            training=True,
            needs_dx=False,
            noise=self.noise,
            running_stats=self.task.running_stats,
            trained=layout.trained,
            watch=watch,
        )
        y, backward = self.task.trained_layers().forward(layout.tree(after), self.x, run)
        self.by_weight = dict(named_arrays(backward(self.task.loss.value_and_gradient(y, self.labels)[1])[1]))
        self.held = {e.name: after[e.start : e.stop] for e in layout.entries if not e.parameter.trainable}
        found = self.outputs, self.by_output, self.by_weight
        self.scales = tuple(largest(*arrays.values()) for arrays in found)

    def compare(self) -> CompiledGraph:
        """Go through the graph until something differs, or to its end."""
        program = self.runtime.program(len(self.index))
        written = self.runtime.gradients(program)[0]
        written[:] = np.nan  # so that it shows which step writes which of them
        self.runtime.draw(program, lambda path: randomness.philox_key(self.task.seed, "noise", path))
        suspects: list[Step] = []
        fault: GraphFault | None = None
        for done in self.runtime.step_by_step(program, self.pixels, self.index, self.labels):
            step = self.graph.steps[done - 1]
            suspects.append(step)
            fault = self._prepared(program, step, suspects) or self._weights(written, step, suspects)
            fault = fault or self._checkpoints(program, done, suspects)
            if fault:  # whatever comes behind it is wrong because of it
                break
            if self.graph.takes_output_gradients and done == self.graph.forward_steps:
                program.output_gradients[...] = self.task.loss.value_and_gradient(program.outputs, self.labels)[1]
        fault = fault or self._unwritten()
        return CompiledGraph(len(self.graph.steps), len(self.index), self.worst, self.gradients, fault)

    def _prepared(self, program: Any, step: Step, suspects: list[Step]) -> GraphFault | None:
        """Compare the images as the graph prepares them; it then continues with those that are off all ties."""
        if step.name != "gather":
            return None
        x = self.runtime.value(program, next(step.values()))
        difference = relative_difference(x, self.prepared)
        x[...] = self.x
        suspects.clear()
        return self._judged(difference, [step], "what the net sees of the images")

    def _weights(self, written: Array, step: Step, suspects: list[Step]) -> GraphFault | None:
        """Compare the gradients with respect to weights that this step wrote, and the running statistics after it."""
        for entry in self.task.model.layout.entries:
            if ".".join(entry.path[:-1]) != step.path:
                continue
            part = slice(entry.start, entry.stop)
            if entry.name in self.held:
                if step.name == "normalize":
                    difference = relative_difference(self.runtime.theta[part], self.held[entry.name])
                    if fault := self._judged(difference, [step], entry.name):
                        return fault
            elif math.isinf(self.gradients.get(entry.name, 0.0)) and not np.isnan(written[part]).any():
                difference = relative_difference(written[part], self.by_weight[entry.name].ravel(), self.scales[2])
                self.gradients[entry.name] = difference
                if fault := self._judged(difference, [step], f"the gradient with respect to {entry.name}"):
                    return fault
                if step.name != "normalize_running_back":  # which writes more than these
                    suspects[:] = [one for one in suspects if one is not step]
        return None

    def _checkpoints(self, program: Any, done: int, suspects: list[Step]) -> GraphFault | None:
        """Compare what layers gave, and the gradients with respect to it, that are whole after so many steps."""
        for point in self.graph.checkpoints:
            if point.steps != done:
                continue
            truth = (self.by_output if point.backward else self.outputs).get(point.path)
            if truth is None:
                continue
            found = self.runtime.value(program, point.value)
            what = (
                f"the gradient with respect to the output of {point.path}"
                if point.backward
                else f"the output of {point.path}"
            )
            difference = relative_difference(found, truth, self.scales[point.backward])
            if fault := self._judged(difference, suspects or [self.graph.steps[done - 1]], what):
                return fault
            suspects.clear()
        return None

    def _unwritten(self) -> GraphFault | None:
        """A gradient that no step wrote."""
        for name, difference in self.gradients.items():
            if math.isinf(difference):
                path = name.rpartition(".")[0]
                steps = [step for step in self.graph.steps if step.backward and step.path == path]
                return self._judged(difference, steps, f"the gradient with respect to {name}")
        return None

    def _judged(self, difference: float, suspects: list[Step], what: str) -> GraphFault | None:
        """What is wrong, where a difference is more than is tolerated."""
        self.worst = max(self.worst, difference)
        if difference <= GRADIENT:
            return None
        places = dict.fromkeys((one.name, one.path or BESIDE_LAYERS[one.name == "gather"]) for one in suspects)
        operations, layers = zip(*places, strict=True)
        return GraphFault(operations, layers, what, difference)
