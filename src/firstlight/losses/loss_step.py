"""What the loss did in one step, and the rule by which any loss's numbers can be worked out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from firstlight.errors import ModelError, nearest
from firstlight.notebook_display import Brief, Shown
from firstlight.types import Array, Json
from firstlight.working import Index, Line, Operand, Working, array_json, batch_json, number, place_in, places

if TYPE_CHECKING:
    from firstlight.losses.base import Loss

NUDGE = 1e-5


@dataclass(frozen=True, eq=False, repr=False)
class LossStep(Shown, Brief):
    """The loss in one step. The batch is the last axis of y, t and dy.

    y        what the net gave, (K, N)
    targets  what the loss is taken against: labels (N,), or shares of classes (K, N)
    t        the targets as columns, (K, N)
    values   the loss of each image, (N,), as it counts
    value    the mean of these; without penalties
    dy       its gradient with respect to y, (K, N)
    probabilities  what y says of the classes, float32 (N, classes)
    weights  what each image counts, (N,); None where all count the same
    penalty  what the penalties of the weights add to the loss that is descended along
    """

    loss: Loss
    y: Array
    targets: Array
    t: Array
    values: Array
    value: float
    dy: Array
    probabilities: Array
    weights: Array | None = None
    penalty: float = 0.0

    @property
    def arrays(self) -> dict[str, Array]:
        """What can be worked out: the loss of an image, and the gradient with respect to one of its outputs."""
        return {"value": self.values, "dy": self.dy}

    def weight(self, n: int) -> float:
        """What the image n counts."""
        return 1.0 if self.weights is None else float(self.weights[n])

    def column(self, array: str, n: int) -> Operand:
        """What "y" or "t" has of the image n, one number for each output."""
        return Operand.of(array, self.y if array == "y" else self.t, places(np.arange(len(self.y)), n))

    def weighed(self, n: int, count: int = 1) -> list[Operand]:
        """What the image n counts, as a factor of so many terms; nothing where all count the same."""
        return [] if self.weights is None else [Operand("w", np.full(count, self.weight(n)))]

    def working(self, of: str, index: Index) -> Working:
        """How the loss "value" of an image (n,) came about, or the gradient "dy" with respect to one output (k, n).

        Raises ModelError for another array, or a place outside it.
        """
        if of not in self.arrays:
            raise ModelError(f"The loss has no {of!r} to work out. {nearest(of, self.arrays)}")
        made = self.loss.working(self, of, place_in(index, self.arrays[of].shape, f"The loss: {of}"))
        if self.weights is None:
            return made
        *before, last = made.lines
        return replace(made, lines=(*before, replace(last, says="times w, what the image counts")))

    def to_json(self, image: int | None = None) -> Json:
        """Plain values; of one image, where it is given. Raises ModelError for one that the batch does not have."""
        arrays = {"y": self.y, "t": self.t, "dy": self.dy, "p": self.probabilities.T}
        return {
            "type": self.loss.name,
            "value": number(self.value),
            "penalty": number(self.penalty),
            "values": array_json(self.values),
            "weights": None if self.weights is None else array_json(self.weights),
            "arrays": {name: batch_json(array, image) for name, array in arrays.items()},
        }


def general(step: LossStep, of: str, index: Index) -> Working:
    """The rule for any loss: its formula in float64, and for the gradient a nudge of the one output by either side."""
    loss, n = step.loss, index[-1]
    wide, weight, N = step.y.astype(np.float64), step.weight(n), step.y.shape[1]
    y = step.column("y", n)
    if of == "value":
        value = weight * float(loss.values(wide, step.targets)[n])
        line = replace(Line.expression("L", "L = L(y)", value, y), says="the loss's own formula, in float64")
        return Working.made(of, index, [line], step.values[n], size=1 + abs(value) + float(np.abs(y.values).max()))
    sides = []
    for sign in (1, -1):
        moved = wide.copy()
        moved[index] += sign * NUDGE
        sides.append(weight * float(loss.values(moved, step.targets)[n]) / N)
    up, down = (
        Line.expression(symbol, f"{symbol} = L(y[k] {sign} h) / N", side, Operand.at("y", step.y, *index))
        for symbol, sign, side in zip(("above", "below"), "+−", sides, strict=True)
    )
    h = Operand.number("h", NUDGE)
    dy = (sides[0] - sides[1]) / (2 * NUDGE)
    line = Line.expression("dy", "dy[k] = (above − below) / (2 h)", dy, up.operand, down.operand, h)
    note = f"A nudge of the one output by {NUDGE:.0e} to either side, in float64."
    return Working.made(of, index, [up, down, line], step.dy[index], note, size=(1 + abs(dy)) * weight / N)
