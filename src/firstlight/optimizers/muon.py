"""Muon: the momentum of each matrix of weights, made orthogonal.

Derivation

Of all steps D of a matrix that lengthen no vector by more than one (D's largest singular value is at most 1), that with
the largest product ⟨G, D⟩ with the gradient G = U S Vᵀ is U Vᵀ: it is the sum of the singular values of G. So all
directions of the gradient count alike, also those in which it is small.

    x = U S Vᵀ / ‖G‖                      singular values from 0 to 1
    x ← a x + b x xᵀ x + c x xᵀ x xᵀ x    Newton and Schulz: U and V stay, and each singular value z becomes
                                          a z + b z³ + c z⁵, which five times over brings it near 1

The elements of U Vᵀ have a mean square of 1 / max(rows, columns). With the factor it is that of AdamW's steps:

    Θ ← (1 − lr λ) Θ − lr 0.2 √max(rows, columns) · U Vᵀ
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Lt

from firstlight.kernels import Kernels
from firstlight.optimizers.adamw import AdamW
from firstlight.optimizers.base import OPTIMIZERS, Block, Optimizer, Part, State
from firstlight.optimizers.weight_update import WeightUpdate
from firstlight.types import Array
from firstlight.working import Line, Operand, Working

COEFFICIENTS = 3.4445, -4.7750, 2.0315  # Jordan's: singular values come near one in five steps
# Iterations whose factors are multiplied before x is, where x is so many times as wide as high. A factor lengthens
# small singular values 3.4 times, and what is rounded of x xᵀ by the square of all: three stay near float32's digits.
TOGETHER, WIDE = 3, 2


@OPTIMIZERS.register
class Muon(AdamW):
    """Θ ← (1 − lr λ) Θ − lr 0.2 √max(rows, columns) · U Vᵀ, where U S Vᵀ is the momentum's   (Jordan et al. 2024)

    Θ is a layer's kernel: filters (O, C, kh, kw) as a matrix (O, C·kh·kw). U Vᵀ is found by Newton–Schulz iterations.
    With the factor of Liu et al. (2025) a step is as long as AdamW's, so one learning rate serves both: biases, norms
    and the output layer are AdamW's, as its author recommends.

    beta1, beta2, epsilon  of AdamW, for parameters that are not matrices
    momentum  the decay rate of the mean gradient of a matrix
    nesterov  whether to use Nesterov momentum
    iterations  Newton–Schulz iterations per step
    """

    uses_blas: ClassVar[bool] = True

    momentum: Annotated[float, Ge(0), Lt(1)] = 0.95
    nesterov: bool = True
    iterations: Annotated[int, Ge(1)] = 5

    @property
    def moments(self) -> Mapping[str, str]:
        return {"m": "m", "v": "v"}

    def parts(self, blocks: Sequence[Block]) -> list[Part]:
        """Each matrix by itself, and what lies between two of them."""
        kernels = [block for block in blocks if block.kernel and len(block.shape) > 1]
        parts: list[Part] = []
        rest: list[Block] = []
        for block in blocks:
            if block in kernels[:-1]:  # the last is the output layer's
                parts += [*super().parts(rest), Part(block.where, block.factor, block.shape)]
                rest = []
            else:
                rest.append(block)
        return parts + super().parts(rest)

    def update(self, kernels: Kernels, part: Part, theta: Array, gradients: Array, state: State, lr: float) -> None:
        if part.shape is None:
            super().update(kernels, part, theta, gradients, state, lr)
            return
        weights, mean = theta[part.where], state["m"][part.where]
        g = gradients[:, part.where].sum(0)
        mean += (1 - self.momentum) * (g - mean)
        direction = g + self.momentum * (mean - g) if self.nesterov else mean
        matrix = orthogonalized(direction.reshape(part.shape[0], -1), self.iterations)
        weights *= 1 - lr * self.weight_decay
        weights -= lr * 0.2 * math.sqrt(max(matrix.shape)) * matrix.reshape(-1)

    def working(self, update: WeightUpdate) -> Working:
        """Of a matrix, the one number of U Vᵀ, which all of the momentum has a part in."""
        if update.part.shape is None:
            return super().working(update)
        where = update.part.where
        g, mean = update.gradient[where].astype(np.float64), update.state["m"][where].astype(np.float64)
        k = update.at - where.start
        before, share = Operand.number("m", mean[k]), Operand.number("μ", self.momentum)
        slope, theta = Operand.number("g", g[k]), Operand.number("θ", update.weight)
        mean = mean + (1 - self.momentum) * (g - mean)
        lines = [Line.expression("m", "m ← m + (1 − μ) (g − m)", mean[k], before, share, slope)]
        direction = mean
        if self.nesterov:
            direction = g + self.momentum * (mean - g)
            parts = (slope, share, lines[0].operand)
            lines.append(Line.expression("d", "d = g + μ (m − g)", direction[k], *parts))
        matrix = orthogonalized(direction.reshape(update.part.shape[0], -1), self.iterations)
        one = Line.expression("o", "o = U Vᵀ", matrix.ravel()[k], lines[-1].operand)
        one = replace(one, says="its number in the place of the weight")
        factor = Line.expression("f", "f = 0.2 √max(rows, columns)", 0.2 * math.sqrt(max(matrix.shape)))
        end = update.weight * (1 - update.lr * self.weight_decay) - update.lr * factor.value * one.value
        given = (theta, Operand.number("lr", update.lr), Operand.number("λ", self.weight_decay))
        lines += [one, factor]
        lines.append(Line.expression("θ", "θ ← (1 − lr λ) θ − lr f o", end, *given, factor.operand, one.operand))
        made = update.working(lines, "U Vᵀ is of the whole matrix, in float64 here.")
        # Newton and Schulz's iterations carry what float32 rounds in the matrix on from one to the next.
        return replace(made, rounding=made.rounding + 1e-4 * update.lr * factor.value)

    def twin(self, torch: Any, groups: Sequence[Mapping[str, Any]], fused: bool) -> Any:
        return Optimizer.twin(self, torch, groups, fused)


def orthogonalized(matrix: Any, iterations: int) -> Any:
    """Nearly U Vᵀ of a matrix U S Vᵀ: each singular value comes to lie between about 0.7 and 1.2.

    One iteration makes the singular value s a s + b s³ + c s⁵. For arrays of NumPy and for tensors.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / ((x * x).sum() ** 0.5 + 1e-7)
    at_once = TOGETHER if x.shape[1] >= WIDE * x.shape[0] else 1
    for start in range(0, iterations, at_once):
        x = _iterated(x, min(at_once, iterations - start))
    return x.T if tall else x


def _iterated(x: Any, iterations: int) -> Any:
    """x after some iterations: its product with polynomials of the square matrix x xᵀ, taken first.

    Of a wide x two products are with x, however many iterations there are, and all others with the small square.
    """
    a, b, c = COEFFICIENTS
    square, product = x @ x.T, None
    for left in reversed(range(iterations)):
        factor = b * square + c * (square @ square)
        factor.reshape(-1)[:: len(factor) + 1] += a  # its diagonal
        product = factor if product is None else factor @ product
        if left:
            square = factor @ square @ factor  # x xᵀ of the next iteration's x
    return product @ x
