"""What one layer did in one step, and the rule by which any layer's numbers can be worked out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight.errors import ModelError, nearest
from firstlight.notebook_display import Brief, Shown
from firstlight.types import Array, Json, Shape
from firstlight.working import Index, Line, Operand, Working, array_json, batch_json, place_in

if TYPE_CHECKING:
    from firstlight.layers.base import Layer, Pass, Tree

NUDGE = 1e-5  # of a number, relative to its size, for a column of a Jacobian in float64
FEW = 64  # outputs that depend on one number, up to which each is asked by itself
SMALL = 1e-9  # of the largest: what a nudge gives below that is its own rounding


@dataclass(frozen=True, eq=False, repr=False)
class LayerStep(Shown, Brief):
    """A layer's numbers in one step. The batch is the last axis: x is (C, H, W, N) or (I, N).

    path       of the layer in its net, such as "block1.conv1"
    source     the path of what it reads; "" for the prepared images
    p          its parameters, by name; a container's are nested
    x, y       what went in and what came out
    dy, dx     the gradients of the loss by y and by x
    gradients  those by its parameters, by name; without what is not trained
    run        the pass, in which `forward` gives y again
    inner      of a container, the steps of its children by name
    """

    path: str
    layer: Layer
    source: str
    p: Tree
    x: Array
    y: Array
    dy: Array
    dx: Array
    gradients: Tree
    run: Pass
    inner: Mapping[str, LayerStep] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return type(self.layer).__name__

    @property
    def input_shape(self) -> Shape:
        """Of one image."""
        return tuple(self.x.shape[:-1])

    @property
    def output_shape(self) -> Shape:
        return tuple(self.y.shape[:-1])

    @property
    def arrays(self) -> dict[str, Array]:
        """What can be worked out, by the name that `working` takes: y, dx, and each parameter, for its gradient."""
        return {"y": self.y, "dx": self.dx, **self.parameter_gradients}

    @property
    def parameters(self) -> dict[str, Array]:
        """By name; of a layer that is made of others, such as "first.W". Of a container none: its layers have them."""
        return {} if self.inner else dict(_leaves(self.p))

    @property
    def parameter_gradients(self) -> dict[str, Array]:
        """The gradients with respect to these, as far as they are trained."""
        return {} if self.inner else dict(_leaves(self.gradients))

    def working(self, of: str, index: Index) -> Working:
        """How one number came about: of the output "y", of the gradient "dx", or of that of a parameter, such as "W".

        index  where it lies there, the batch's axis last in y and dx
        Raises ModelError for an array that the layer does not have, or a place outside it.
        """
        arrays = self.arrays
        if of not in arrays:
            raise ModelError(f"{self.path} ({self.type}) has no {of!r} to work out. {nearest(of, arrays)}")
        return self.layer.working(self, of, place_in(index, arrays[of].shape, f"{self.path}: {of}"))

    def again(self, x: Array, p: Tree | None = None) -> tuple[Array, Any]:
        """`forward` of the layer at another input, or at other parameters; nothing of the step is written to."""
        return self.layer.forward(_copied(self.p if p is None else p), x, replace(self.run, watch=None))

    def to_json(self, image: int | None = None) -> Json:
        """Its shapes and numbers as plain values; see `firstlight.training_step` for the form.

        image  which of the batch, so that y is (C, H, W) or (I,); all of them where none is given
        Raises ModelError for an image that the batch does not have.
        """
        arrays = {"x": self.x, "y": self.y, "dy": self.dy, "dx": self.dx}
        return {
            "path": self.path,
            "type": self.type,
            "source": self.source,
            "arrays": {name: batch_json(array, image) for name, array in arrays.items()},
            "parameters": {name: array_json(array) for name, array in self.parameters.items()},
            "gradients": {name: array_json(array) for name, array in self.parameter_gradients.items()},
        }


def general(step: LayerStep, of: str, index: Index) -> Working:
    """The rule for any layer: what `forward` and `backward` say of the Jacobian, one row or one column of it.

    A row, ∂y[i] / ∂x[j] for all j, is what `backward` answers to a cotangent that is 1 at i and 0 elsewhere. Where
    Σⱼ ∂y[i]/∂x[j] · x[j] is y[i] itself, the layer is linear there, and that sum is how y came about; otherwise it
    tells what a small change of x would do. A column, ∂y[i] / ∂x[j] for all i, or that by one number of a parameter, is
    made of the rows of the outputs that a nudge of x[j] changes; of very many, by the nudge itself, in float64. Its
    product with dy is the gradient.
    """
    return _output(step, index) if of == "y" else _gradient(step, of, index)


def _output(step: LayerStep, index: Index) -> Working:
    one_hot = np.zeros_like(step.y)
    one_hot[index] = 1
    row = step.again(step.x)[1](one_hot)[0]
    where = np.argwhere(np.zeros_like(step.x) if row is None else row)
    terms = [Operand.of("", step.x if row is None else row, where), Operand.of("x", step.x, where)]
    linear = Line.sum("y", "y[i] = Σⱼ (∂y[i] / ∂x[j]) x[j]", terms)
    note = "The row ∂y[i] / ∂x[j] of the Jacobian is what backward answers to a dy that is 1 here and 0 elsewhere."
    made = Working.made("y", index, [linear], step.y[index], note)
    if made.agrees:
        return made
    says = "not y[i] itself, as the layer is not linear: so much a change of x in proportion adds to it"
    share = replace(linear, symbol="s", formula="s = Σⱼ (∂y[i] / ∂x[j]) x[j]", says=says)
    y = float(_wide_step(step).again(step.x.astype(np.float64))[0][index])
    lines = [share, Line.expression("y", "y[i] = f(x)", y)]
    return Working.made("y", index, lines, step.y[index], note, size=linear.size + abs(y))


def _gradient(step: LayerStep, of: str, index: Index) -> Working:
    by, name = ("x[j]", "dx[j]") if of == "dx" else (f"{of}[j]", f"d{of}[j]")
    column, nudge = _nudged(step, of, index)
    where = np.argwhere(column)
    note = f"The column ∂y[i] / ∂{by} is what a nudge of {by} by {nudge:.0e}, in float64, changes in y."
    bend = 1e-6  # the nudge sees a little of it
    if len(where) <= FEW:
        column, bend = _rows(step, of, index, where), 0.0
        note = f"∂y[i] / ∂{by} is what backward answers to a dy that is 1 at i and 0 elsewhere, one i after the other."
    terms = [Operand.of("dy", step.dy, where), Operand.of("", column, where)]
    line = Line.sum(name, f"{name} = Σᵢ dy[i] (∂y[i] / ∂{by})", terms)
    made = Working.made(of, index, [line], step.arrays[of][index], note)
    return replace(made, rounding=made.rounding + bend * line.size)


def _nudged(step: LayerStep, of: str, index: Index) -> tuple[Array, float]:
    """∂y / ∂ one number of the input or of a parameter, in the shape of y, by a central difference; and its nudge."""
    wide = _wide_step(step)
    array = step.x.astype(np.float64) if of == "dx" else step.parameters[of].astype(np.float64)
    nudge = NUDGE * max(1.0, abs(float(array[index])))
    sides = []
    for sign in (1, -1):
        moved = array.copy()
        moved[index] += sign * nudge
        sides.append((wide.again(moved) if of == "dx" else wide.again(wide.x, _replaced(wide.p, of, moved)))[0])
    column: Array = (sides[0] - sides[1]) / (2 * nudge)
    column[np.abs(column) < SMALL * np.abs(column).max(initial=0)] = 0
    return column, nudge


def _rows(step: LayerStep, of: str, index: Index, where: Array) -> Array:
    """The same, exactly: of the rows of the Jacobian at `where` (T, axes) the one number."""
    column = np.zeros(step.y.shape)
    for place in map(tuple, where):
        one_hot = np.zeros_like(step.y)
        one_hot[place] = 1
        dx, gradients = step.again(step.x)[1](one_hot)
        column[place] = (dx if of == "dx" else dict(_leaves(gradients))[of])[index]
    return column


def _wide_step(step: LayerStep) -> LayerStep:
    """The same in float64."""
    return replace(step, x=step.x.astype(np.float64), p=_wide(step.p))


def _leaves(tree: Tree, before: str = "") -> Iterator[tuple[str, Array]]:
    """The arrays of a tree by their names, inner ones after a full stop."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _replaced(tree: Tree, name: str, array: Array) -> Tree:
    """The tree with another array of this name."""
    first, _, rest = name.partition(".")
    return {**tree, first: _replaced(tree[first], rest, array) if rest else array}


def _copied(p: Tree) -> Tree:
    return {name: _copied(value) if isinstance(value, Mapping) else np.array(value) for name, value in p.items()}


def _wide(p: Tree) -> Tree:
    return {name: _wide(v) if isinstance(v, Mapping) else v.astype(np.float64) for name, v in p.items()}
