"""Parity, layer by layer: each layer and the loss beside its twin in PyTorch's own operations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from firstlight.records.parity import GRADIENT, Comparison, LayerRow, LossRow, Parity
from firstlight.report.document import Block, Section, Table
from firstlight.report.format import exponent, power

HOW = (
    "Each layer is compared with its twin, PyTorch’s own operation, at its input in the net and for a random gradient "
    "with respect to its output: y is that output, dx the gradient with respect to the input, dθ the worst of those "
    "with respect to its parameters, each in training or evaluation, whichever is worse. Central differences are of "
    "this layer alone."
)


def section(parity: Parity) -> Section:
    return Section("Layer by layer", "layers", (table(parity.layers, parity.loss),))


def table(layers: Sequence[LayerRow], loss: LossRow) -> Table:
    """How far each layer and its twin are apart."""
    shown = shown_layers(layers)
    rows: list[tuple[str, ...]] = [
        (
            row.path or "all layers",
            row.type,
            exponent(row.y),
            exponent(row.dx.hand_autograd),
            exponent(_worst(c.hand_autograd for c in row.parameters.values())),
            exponent(row.dx.hand_central),
            exponent(_worst(c.hand_central for c in row.parameters.values())),
        )
        for row in shown
    ]
    rows.append(
        (
            loss.name,
            "loss",
            exponent(loss.value),
            *map(exponent, (loss.dy.hand_autograd, None, loss.dy.hand_central, None)),
        )
    )
    return Table(
        titles=("layer", "type", "y", "dx", "dθ", "dx, central", "dθ, central"),
        rows=tuple(rows),
        right=frozenset(range(2, 7)),
        strong=frozenset(n for n, row in enumerate(shown) if row.faults()),
        caption=f"Relative differences; the tolerance is {power(GRADIENT)}. {HOW}",
    )


def shown_layers(layers: Sequence[LayerRow]) -> list[LayerRow]:
    """The rows worth a line: all layers, and of what is made of layers the whole net and what is at fault."""
    return [row for row in layers if not row.container or row.faults() or not row.path]


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd checks, by what is odd."""
    fine, lost = Comparison(1e-15, 1e-10, 1e-10, 1e-11), Comparison(math.inf, None, 0.5)
    layer = LayerRow("<b>conv1", "Conv2D", False, 1e-16, 0.0, fine, {"W": fine})
    whole = LayerRow("", "Chain", True, 0.0, 0.0, fine, {})
    loss = LossRow("cross-entropy", 0.0, fine)
    wrong = LayerRow("conv1", "Conv2D", False, 1.0, 0.0, lost, {})
    return {
        "sound": (table([layer, whole], loss),),
        "at fault": (table([wrong, whole], LossRow("mse", 1.0, lost)),),
    }
