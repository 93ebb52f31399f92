"""One step of training, taken apart: every layer's numbers, the loss, the gradients, and the update."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight.engines.executor import noise_of
from firstlight.engines.numpy import one_thread_of_blas
from firstlight.errors import ModelError, nearest
from firstlight.explain.net import Place
from firstlight.kernels.lock import LOCK
from firstlight.layers import Backward, LayerStep, Pass
from firstlight.layers.container import Container
from firstlight.losses import LossStep
from firstlight.losses.targets import columns
from firstlight.notebook_display import Shown
from firstlight.training_step.statistics import LayerStatistics, statistics
from firstlight.training_step.weight import Float64, WeightStep, autograd_of, weight_step
from firstlight.types import Array, Images, Json
from firstlight.working import Index, Working, number

if TYPE_CHECKING:
    from firstlight.training_step.course import Course, StepRow


@dataclass(frozen=True, eq=False, repr=False)
class Step(Shown):
    """The step of training that comes after `number` others, on the images of its course.

    It is taken apart when it is first looked into. Whatever it holds stays as it is: `forward` gives another step.

    course    the weights' way: what is trained, on what, and how
    number    how many steps were taken before
    vector    all weights, in the order of the model's layout
    state     the optimizer's moments, and its count of steps
    training  whether layers do what they do in training, or as in evaluation: dropout and batch norm differ
    """

    course: Course
    number: int
    vector: Array
    state: Mapping[str, Array]
    training: bool = True

    def __repr__(self) -> str:
        return f"<Step {self.number} of {self.course.name}, images: {len(self.images)}, loss {self.loss.value:.4g}>"

    @property
    def images(self) -> Images:
        """The prepared images that it is of."""
        return self.course.images

    @property
    def epoch(self) -> int:
        """From 0, of the images that are trained on."""
        return self.number // self.course.steps_per_epoch

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.course.rate

    @cached_property
    def _taken(self) -> _TakenApart:
        with LOCK:
            return _TakenApart(self)

    @property
    def x(self) -> Array:
        """What the net sees of the images, float32 (C, H, W, N)."""
        return self._taken.x

    @property
    def layers(self) -> Mapping[str, LayerStep]:
        """Every layer, and container of layers, by its path, in the order of the data."""
        return self._taken.layers

    @property
    def loss(self) -> LossStep:
        """Outputs, probabilities, targets, the loss and its gradient."""
        return self._taken.loss

    @property
    def gradient(self) -> Array:
        """The gradient with respect to the trained weights, float32 (trainable,), penalties included."""
        return self._taken.gradient

    @property
    def predicted(self) -> Array:
        """The most probable class of each image, int64 (N,)."""
        return self.loss.probabilities.argmax(axis=1)

    @cached_property
    def _after(self) -> tuple[Array, dict[str, Array]]:
        """The weights after the optimizer's step by this gradient, and its state."""
        task, vector = self.course.task, self._taken.after_forward.copy()
        state = {name: array.copy() for name, array in self.state.items()}
        task.optimizer.step(
            vector[: task.model.layout.trainable], self.gradient, state, self.rate, task.optimizer.parts(task.blocks())
        )
        return vector, state

    @property
    def after(self) -> Array:
        """All weights after this step on these images, as `vector`."""
        return self._after[0]

    @property
    def state_after(self) -> Mapping[str, Array]:
        """The optimizer's state after it."""
        return self._after[1]

    @cached_property
    def statistics(self) -> Mapping[str, LayerStatistics]:
        """How large and how lively each layer's numbers are, by its path."""
        return statistics(self)

    def layer(self, path: str) -> LayerStep:
        """The numbers of the layer at `path`. Raises ModelError where there is none."""
        if path not in self.layers:
            raise ModelError(f"{self.course.name} has no layer {path!r}. {nearest(path, self.layers)}")
        return self.layers[path]

    def working(self, path: str, of: str, index: Index) -> Working:
        """How a number of a layer came about, see `LayerStep.working`; of the loss with "loss" for a path."""
        return self.loss.working(of, index) if path == "loss" else self.layer(path).working(of, index)

    @cached_property
    def float64(self) -> Float64:
        """The net in float64, for nudges."""
        return Float64(self)

    @cached_property
    def autograd(self) -> tuple[Mapping[str, Array] | None, str]:
        """By name, PyTorch's gradient with respect to each trained array; or None, and why there is none."""
        return autograd_of(self)

    def weight(self, name: str, index: Index) -> WeightStep:
        """One weight: its derivative by hand, by autograd and by a nudge, and what the optimizer does with it.

        name   of the array, such as "conv1.W", and `index` its place there
        Raises ModelError for a name or a place that is not trained.
        """
        return weight_step(self, name, index)

    def in_evaluation(self) -> Step:
        """The same as in evaluation: without dropout, and batch norm with what it has learnt. Its update is nothing."""
        return replace(self, training=False)

    def forward(self, steps: int = 1) -> Step:
        """The step after so many more. Raises TrainingError where the loss is no longer a number on the way."""
        return self._moved(self.number + _whole(steps))

    def epochs(self, epochs: int = 1) -> Step:
        """The first step of the epoch after so many more; with −1, of the one before."""
        return self._moved((self.epoch + _whole(epochs)) * self.course.steps_per_epoch)

    def back(self, steps: int = 1) -> Step:
        """The step before so many, at most the first one; forward again, the numbers are the same."""
        return self._moved(self.number - _whole(steps))

    def _moved(self, number: int) -> Step:
        return self.course.at(max(0, number))

    @property
    def history(self) -> list[StepRow]:
        """What the steps up to here were like, the first one first."""
        return self.course.history(self.number)

    def to_json(self) -> Json:
        """The step without its arrays, as plain values; see `firstlight.training_step`."""
        return {
            "name": self.course.name,
            "number": self.number,
            "epoch": self.epoch,
            "steps_per_epoch": self.course.steps_per_epoch,
            "rate": self.rate,
            "training": self.training,
            "optimizer": self.course.optimizer_name,
            "classes": list(self.images.class_names),
            "images": [
                {
                    "id": str(self.images.ids[n]),
                    "label": int(self.images.labels[n]),
                    "predicted": int(self.predicted[n]),
                    "loss": number(float(self.loss.values[n])),
                    "probabilities": [number(float(p)) for p in self.loss.probabilities[n]],
                }
                for n in range(len(self.images))
            ],
            "loss": {
                "type": self.loss.loss.name,
                "value": number(self.loss.value),
                "penalty": number(self.loss.penalty),
            },
            "layers": [self._layer_json(path, layer) for path, layer in self.layers.items()],
        }

    def _layer_json(self, path: str, layer: LayerStep) -> Json:
        options = {name: value for name, value in layer.layer.to_json().items() if name != "type"}
        return {
            "path": path,
            "type": layer.type,
            "source": layer.source,
            "container": bool(layer.inner) or isinstance(layer.layer, Container),
            "options": {} if isinstance(layer.layer, Container) else options,
            "input_shape": list(layer.input_shape),
            "output_shape": list(layer.output_shape),
            "parameters": {
                name: {"shape": list(array.shape), "trained": f"{path}.{name}" in self._taken.trained}
                for name, array in layer.parameters.items()
            },
            "statistics": self.statistics[path].to_json(),
        }


def _whole(steps: int) -> int:
    """So many steps. Raises ModelError where they are no whole number."""
    try:
        return operator.index(steps)
    except TypeError:
        raise ModelError(f"Steps and epochs are whole numbers; received {steps!r}.") from None


class _TakenApart:
    """What one pass forward and backward leaves of every layer; the weights of the step are not written to.

    after_forward  the weights with the running statistics as batch norm leaves them
    """

    def __init__(self, step: Step) -> None:
        course = step.course
        task, layout = course.task, course.task.model.layout
        index, net = np.arange(len(course.images)), task.trained_layers()
        self.trained = frozenset(entry.name for entry in layout.entries if entry.parameter.trainable)
        self.after_forward = step.vector.copy()
        tree, before = layout.tree(self.after_forward), layout.tree(step.vector)
        seen: dict[str, dict[str, Any]] = {}
        several: set[str] = set()  # paths of what a container of one's own asks more than once

        def watch(path: str, y: Array, backward: Backward) -> tuple[Array, Backward]:
            if path in seen:
                several.add(path)
            seen[path] = {"y": y}

            def watched(dy: Array) -> tuple[Array | None, Any]:
                dx, gradients = backward(dy)
                seen[path] |= {"dy": dy, "dx": dx, "gradients": gradients}
                return dx, gradients

            return y, watched

        run = Pass(
            course.session.kernels,
            step.training,
            noise=noise_of(task, step.epoch, step.number % course.steps_per_epoch),
            running_stats=task.running_stats,
            trained=layout.trained,
        )
        with one_thread_of_blas(), np.errstate(over="ignore", invalid="ignore"):
            self.x = course.x
            y, backward = net.forward(tree, self.x, replace(run, watch=watch))
            targets, weights = task.targets(course.images, index)
            loss = task.loss
            value, dy = loss.value_and_gradient(y, targets, weights)
            values = loss.values(y, targets)
            _, gradients = backward(dy)
            probabilities = loss.probabilities(y)
        self.gradient = np.zeros(layout.trainable, step.vector.dtype)
        layout.collect(gradients, self.gradient)
        course.session.add_penalties(self.gradient, step.vector)
        weighted = values if weights is None else values * weights.astype(values.dtype)
        penalty = task.penalty(step.vector)
        t = columns(targets, y)
        self.loss = LossStep(loss, y, targets, t, weighted, value, dy, probabilities, weights, penalty)
        once = {path: found for path, found in seen.items() if path not in several and "dx" in found}
        self.layers = _layer_steps(course.places, once, before, self.x, run)


def _layer_steps(
    places: Mapping[str, Place], seen: Mapping[str, Mapping[str, Any]], p: Mapping[str, Any], x: Array, run: Pass
) -> dict[str, LayerStep]:
    """The layers in the order of the data; a container comes after those inside it, and holds them.

    One that does not ask each of its children once, in the pass that it was given, has none: it is one layer itself.
    """
    made: dict[str, LayerStep] = {}
    for path, place in places.items():
        if path not in seen or (place.source and place.source not in made):
            continue
        tree = p
        for name in path.split("."):
            tree = tree.get(name, {})
        inner = {}
        if isinstance(place.layer, Container):
            children = [(name, f"{path}.{name}") for name, _ in place.layer.named()]
            if all(child in made for _, child in children):
                inner = {name: made[child] for name, child in children}
            else:
                made = {of: step for of, step in made.items() if not of.startswith(f"{path}.")}
        source = made[place.source].y if place.source else x
        made[path] = LayerStep(
            path, place.layer, place.source, tree, source, **seen[path], run=replace(run, path=path), inner=inner
        )
    return made
