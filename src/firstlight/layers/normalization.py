"""How the numbers of a normalization came about: its mean and variance, x̂, and the sums of its gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from firstlight.layers.layer_step import LayerStep
from firstlight.types import Array
from firstlight.working import Index, Line, Operand, Working, places


def moments(x: Array, where: Array) -> list[Line]:
    """μ and σ² of the numbers of x at `where` (m, axes)."""
    seen = Operand.of("x", x, where)
    share = Operand("1/m", np.full(len(where), 1 / len(where)))
    mean = Line.sum("μ", "μ = Σ x / m", [seen, share])
    apart = Operand("x − μ", seen.values - mean.value, where)
    return [mean, Line.sum("σ²", "σ² = Σ (x − μ)² / m", [apart, apart, share])]


def normalized(
    step: LayerStep,
    of: str,
    index: Index,
    statistics: Sequence[Line],
    x_hat: Array,
    scales: Array,
    group: Array | None,
    epsilon: float,
) -> Working:
    """The working of y = γ x̂ + β, and of its gradients.

    statistics  the lines of μ and σ²
    x_hat       all of x̂, float64, in the shape of x; and `scales` every s
    group       where the numbers lie that share μ and σ², (K, axes); None where these were not taken of them
    """
    c, x, dy = index[0], step.x, step.dy
    channel = places(c, *np.argwhere(np.ones(x.shape[1:], bool)).T)
    if of == "beta":
        return Working.made(
            of, index, [Line.sum("dβ", "dβ = Σ dy", [Operand.of("dy", dy, channel)])], _value(step, of, c)
        )
    if of == "gamma":
        terms = [Operand.of("dy", dy, channel), Operand.of("x̂", x_hat, channel)]
        line = Line.sum("dγ", "dγ = Σ dy x̂", terms)
        wide = float((np.abs(terms[0].values) * scales[c].ravel()).sum()) * float(np.abs(x[c]).max())
        size = line.size + wide  # x̂ is rounded as x is, and then made larger by s
        return Working.made(of, index, [line], _value(step, of, c), size=size)
    mean, variance = (line.value for line in statistics)
    scale = 1 / math.sqrt(variance + epsilon)
    s = Line.expression("s", "s = 1 / √(σ² + ε)", scale, statistics[1].operand, Operand.number("ε", epsilon))
    seen, gamma = Operand.at("x", x, *index), Operand.at("gamma", step.p["gamma"], c)
    centred = Line.expression(
        "x̂", "x̂ = (x − μ) s", (seen.values[0] - mean) * scale, seen, statistics[0].operand, s.operand
    )
    lines = [*statistics, s]
    wide = scale * (abs(seen.values[0]) + statistics[0].size)  # what x̂ rounds by
    if of == "y":
        beta = Operand.at("beta", step.p["beta"], c)
        lines += [centred, Line.sum("y", "y = γ x̂ + β", [gamma, centred.operand], [beta])]
        size = abs(gamma.values[0]) * wide + abs(beta.values[0])
        return Working.made(of, index, lines, step.y[index], size=float(size))
    here = Operand.at("dy", dy, *index)
    g, d = gamma.values[0], here.values[0]
    if group is None:
        lines.append(Line.sum("dx", "dx = γ s dy", [gamma, s.operand, here]))
        return Working.made(of, index, lines, step.dx[index])
    K = len(group)
    share = Operand("1/K", np.full(K, 1 / K))
    gammas = Operand.of("gamma", step.p["gamma"], group[:, :1])
    incoming, hats = Operand.of("dy", dy, group), Operand.of("x̂", x_hat, group)
    a = Line.sum("a", "a = Σ γ dy / K", [gammas, incoming, share])
    b = Line.sum("b", "b = Σ γ dy x̂ / K", [gammas, incoming, hats, share])
    dx = scale * (g * d - a.value - centred.value * b.value)
    parts = (s.operand, gamma, here, a.operand, centred.operand, b.operand)
    lines += [centred, a, b, Line.expression("dx", "dx = s (γ dy − a − x̂ b)", dx, *parts)]
    spread = float(np.abs(gammas.values * incoming.values).mean())
    size = scale * (abs(g * d) + a.size + (1 + wide) * (b.size + wide * spread))
    return Working.made(of, index, lines, step.dx[index], size=float(size))


def _value(step: LayerStep, of: str, c: int) -> float:
    return float(step.gradients[of][c])
