"""Binary cross-entropy of the softmax.

Derivation

    p = softmax(y)
    L = −Σₖ [tₖ log pₖ + (1 − tₖ) log(1 − pₖ)]
    ∂pₖ/∂yⱼ = pₖ (δₖⱼ − pⱼ)               as of Softmax; δₖⱼ is 1 where k = j, else 0
    ∂L/∂yⱼ = −Σₖ {tₖ / pₖ − (1 − tₖ) / (1 − pₖ)} · ∂pₖ/∂yⱼ   log′ z = 1 / z, and the chain rule
      = −Σₖ tₖ (δₖⱼ − pⱼ) + Σₖ (1 − tₖ) pₖ (δₖⱼ − pⱼ) / (1 − pₖ)
      = pⱼ − tⱼ + Σₖ (1 − tₖ) pₖ (δₖⱼ − pⱼ) / (1 − pₖ)   as Σₖ tₖ = 1
      = pⱼ − tⱼ + (1 − tⱼ) pⱼ − Σₖ≠ⱼ (1 − tₖ) pₖ pⱼ / (1 − pₖ)   in the term k = j, 1 − pⱼ goes out
    dyⱼ = 1/N · ∂L/∂yⱼ                    the mean over the N images of a batch
      = {pⱼ − tⱼ + (1 − tⱼ) pⱼ − Σₖ≠ⱼ (1 − tₖ) pₖ pⱼ / (1 − pₖ)} / N
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from firstlight.layers import Layer, Softmax
from firstlight.layers.softmax import softmax_lines
from firstlight.losses.base import LOSSES, Loss
from firstlight.losses.loss_step import LossStep
from firstlight.losses.probabilities import log_softmax, rows, softmax
from firstlight.losses.targets import columns, twin_targets
from firstlight.types import Array
from firstlight.working import Index, Line, Operand, Working


@LOSSES.register
class SoftmaxBinaryCrossEntropy(Loss):
    """L = −Σₖ [tₖ log pₖ + (1 − tₖ) log(1 − pₖ)] with p = softmax(y): binary cross-entropy, summed over the classes

    Cross-entropy has the first term alone. The second one asks of every other class that its probability be small,
    which the softmax does already: it makes steps larger, and an untrained net of ten classes begins at 3.25, not 2.30.
    dyⱼ = {pⱼ − tⱼ + (1 − tⱼ) pⱼ − Σₖ≠ⱼ (1 − tₖ) pₖ pⱼ / (1 − pₖ)} / N, for targets that sum to one
    """

    fuses: ClassVar[type[Layer] | None] = Softmax

    def values(self, y: Array, targets: Array) -> Array:
        t = columns(targets, y)
        rest = np.log1p(-_without_largest(y, softmax(y)))  # log(1 − p) of classes with p ≤ ½
        z = y - y.max(axis=0)
        largest, others = _largest_and_others(z)
        rest[largest] = log_sum_exp(others) - log_sum_exp(z)
        return -(t * log_softmax(y) + (1 - t) * rest).sum(axis=0)

    def gradient(self, y: Array, targets: Array) -> Array:
        # pₖ / (1 − pₖ) grows beyond all bounds as pₖ goes to one, but pⱼ / (1 − pₖ) does not: it is qⱼ, the softmax
        # over the other classes. Only the largest p can be near one, so its part of the sum is taken by itself.
        t, p = columns(targets, y), softmax(y)
        largest, others = _largest_and_others(y)
        below = _without_largest(y, p)
        odds = (1 - t) * below / (1 - below)
        second = (1 - t) * p - p * (odds.sum(axis=0) - odds) - ((1 - t) * p)[largest] * softmax(others)
        return (p - t + second) / y.shape[1]

    def twin(self, torch: Any, y: Any, targets: Any) -> Any:
        t, log_p = twin_targets(torch, targets, y), torch.log_softmax(y, 1)
        largest = torch.nn.functional.one_hot(y.argmax(1), y.shape[1]).bool()
        others = torch.logsumexp(y.masked_fill(largest, -math.inf), 1) - torch.logsumexp(y, 1)
        rest = torch.where(largest, others[:, None], torch.log1p(-log_p.exp().masked_fill(largest, 0)))
        return -(t * log_p + (1 - t) * rest).sum(dim=1)

    def working(self, step: LossStep, of: str, index: Index) -> Working:
        """The softmax; then a yes for the target, and a no for every other class."""
        n, K = index[-1], len(step.y)
        k = int(step.t[:, n].argmax()) if of == "value" else index[0]
        y, t = step.column("y", n), step.column("t", n)
        lines = softmax_lines("y", "p", y, k)
        log_p = log_softmax(y.values[:, None])[:, 0]
        p = Operand("p", np.exp(log_p), y.index)
        other = Operand("1 − t", 1 - t.values, t.index)
        rest = np.array([log_sum_exp(np.delete(y.values, j)) for j in range(K)]) - log_sum_exp(y.values)
        if of == "value":
            weight = step.weighed(n, K)
            yes, no = Operand("−log p", -log_p, y.index), Operand("−log(1 − p)", -rest, y.index)
            formula = "L = −Σₖ (tₖ log pₖ + (1 − tₖ) log(1 − pₖ))"
            line = Line.sum("L", formula, [t, yes, *weight], [other, no, *weight])
            return Working.made(of, index, [*lines, line], step.values[n], size=line.size + 1)
        N, apart = step.y.shape[1], np.arange(K) != k
        among = [Operand(o.array, o.values[apart], None if o.index is None else o.index[apart]) for o in (other, p)]
        share = Operand("pₖ / (1 − pⱼ)", np.exp(log_p[k] - rest[apart]))
        s = Line.sum("s", "s = Σⱼ (1 − tⱼ) pⱼ pₖ / (1 − pⱼ)", [*among, share])
        own, target = p.values[k], t.values[k]
        dy = step.weight(n) * (own - target + (1 - target) * own - s.value) / N
        parts = [lines[-1].operand, Operand.at("t", step.t, *index), s.operand, Operand.number("N", N)]
        formula = "dyₖ = (pₖ − tₖ + (1 − tₖ) pₖ − s) / N"
        lines += [replace(s, says="over the other classes j"), Line.expression("dy", formula, dy, *parts)]
        return Working.made(of, index, lines, step.dy[index], size=step.weight(n) * (2 + s.size) / N)

    def probabilities(self, y: Array) -> Array:
        return rows(softmax(y))


def log_sum_exp(y: Array) -> Array:
    largest = y.max(axis=0)
    return largest + np.log(np.exp(y - largest).sum(axis=0))


def _largest_and_others(y: Array) -> tuple[tuple[Array, Array], Array]:
    """Where the largest output of each column is, and the outputs with −∞ in its place."""
    place = (y.argmax(axis=0), np.arange(y.shape[1]))
    others = y.copy()
    others[place] = -np.inf
    return place, others


def _without_largest(y: Array, p: Array) -> Array:
    """Probabilities p with 0 in the place of the largest output: all of them at most ½."""
    below = p.copy()
    below[y.argmax(axis=0), np.arange(y.shape[1])] = 0
    return below
