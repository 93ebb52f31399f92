"""Focal loss: cross-entropy in which what is known already counts little.

Derivation

    p = softmax(y)
    h(z) = −(1 − z)^γ log z               the loss of a class of probability z
    h′(z) = γ (1 − z)^(γ − 1) log z − (1 − z)^γ / z   the rule for products
    L = −Σₖ tₖ (1 − pₖ)^γ log pₖ = Σₖ tₖ h(pₖ)
    ∂pₖ/∂yⱼ = pₖ (δₖⱼ − pⱼ)               as of Softmax; δₖⱼ is 1 where k = j, else 0
    gₖ = tₖ (1 − pₖ)^γ (γ pₖ log pₖ / (1 − pₖ) − 1) = tₖ pₖ h′(pₖ)
    ∂L/∂yⱼ = Σₖ tₖ h′(pₖ) · ∂pₖ/∂yⱼ       the chain rule
      = Σₖ gₖ (δₖⱼ − pⱼ)
      = gⱼ − pⱼ Σₖ gₖ
    dyⱼ = 1/N · ∂L/∂yⱼ = (gⱼ − pⱼ Σₖ gₖ) / N   the mean over the N images of a batch

With γ = 0, gₖ = −tₖ and this is the gradient of cross-entropy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le

from firstlight.layers import Layer, Softmax
from firstlight.layers.softmax import softmax_lines
from firstlight.losses.base import LOSSES, Loss
from firstlight.losses.loss_step import LossStep
from firstlight.losses.probabilities import log_softmax, rows, softmax
from firstlight.losses.targets import columns, twin_targets
from firstlight.types import Array
from firstlight.working import Index, Line, Operand, Working


@LOSSES.register
class Focal(Loss):
    """L = −Σₖ tₖ (1 − pₖ)^γ log pₖ with p = softmax(y): samples that are classified with confidence count less

    Lin, Goyal, Girshick, He and Dollár (2017), "Focal loss for dense object detection", eq. 4, of K classes instead of
    two; its α are loss.class_weights. dyⱼ = (gⱼ − pⱼ Σₖ gₖ) / N, with gₖ = tₖ (1 − pₖ)^γ (γ pₖ log pₖ / (1 − pₖ) − 1).

    gamma  γ, from 0: how much less; with 0 this is cross-entropy
    """

    gamma: Annotated[float, Ge(0), Le(10)] = 2.0

    fuses: ClassVar[type[Layer] | None] = Softmax

    def values(self, y: Array, targets: Array) -> Array:
        log_p = log_softmax(y)
        return -(columns(targets, y) * _others(log_p) ** self.gamma * log_p).sum(axis=0)

    def gradient(self, y: Array, targets: Array) -> Array:
        log_p = log_softmax(y)
        p, q = np.exp(log_p), _others(log_p)
        # log p / (1 − p) goes to −1 as p goes to 1.
        ratio = np.divide(log_p, q, out=np.full_like(q, -1), where=q > 0)
        g = columns(targets, y) * q**self.gamma * (self.gamma * p * ratio - 1)
        return (g - softmax(y) * g.sum(axis=0)) / y.shape[1]

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        log_p = torch.log_softmax(y, 1)
        # Not zero, for the slope of a root is infinite there, and a NaN for autograd.
        q = (-torch.expm1(log_p)).clamp_min(torch.finfo(y.dtype).tiny)
        return -(twin_targets(torch, targets, y) * q**self.gamma * log_p).sum(dim=1)

    def working(self, step: LossStep, of: str, index: Index) -> Working:
        """The softmax; then what is left to learn of the target's class, by which its logarithm counts."""
        n, K = index[-1], len(step.y)
        k = int(step.t[:, n].argmax()) if of == "value" else index[0]
        y, t = step.column("y", n), step.column("t", n)
        log_p = log_softmax(y.values[:, None])[:, 0]
        lines = softmax_lines("y", "p", y, k)
        left = Operand("(1 − p)^γ", _others(log_p) ** self.gamma, y.index)
        if of == "value":
            terms = [t, left, Operand("−log p", -log_p, y.index), *step.weighed(n, K)]
            line = Line.sum("L", "L = −Σₖ tₖ (1 − pₖ)^γ log pₖ", terms)
            return Working.made(of, index, [*lines, line], step.values[n], size=line.size + 1)
        wide = step.y.astype(np.float64)
        p, q = np.exp(log_p), _others(log_p)
        ratio = np.divide(log_p, q, out=np.full_like(q, -1), where=q > 0)
        bend = Operand("γ p log p / (1 − p) − 1", self.gamma * p * ratio - 1, y.index)
        g = Line.sum("g", "g = Σⱼ tⱼ (1 − pⱼ)^γ (γ pⱼ log pⱼ / (1 − pⱼ) − 1)", [t, left, bend])
        of_one = [Operand(each.array, each.values[k : k + 1]) for each in (t, left, bend)]
        own = replace(Line.sum("gₖ", "gₖ", of_one), says="the term of this output")
        dy = step.weight(n) * float(self.gradient(wide, step.targets)[index])
        parts = [own.operand, lines[-1].operand, g.operand, Operand.number("N", step.y.shape[1]), *step.weighed(n)]
        lines += [g, own, Line.expression("dy", "dyₖ = (gₖ − pₖ g) / N", dy, *parts)]
        return Working.made(of, index, lines, step.dy[index], size=step.weight(n) * (1 + g.size) / step.y.shape[1])

    def probabilities(self, y: Array) -> Array:
        return rows(softmax(y))


def _others(log_p: Array) -> Array:
    """1 − p, exact where p is nearly one."""
    return -np.expm1(log_p)
