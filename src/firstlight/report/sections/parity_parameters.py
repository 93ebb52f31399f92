"""Parity through the whole net: the gradient of the loss with respect to each parameter, three ways."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.records.parity import GRADIENT, WHOLE_NET, Comparison, ParameterRow, Parity
from firstlight.report.document import Block, Section, Table
from firstlight.report.format import exponent, power, shape

HOW = (
    "The gradient of the loss with respect to each parameter, through the whole net. Central differences of the whole "
    "net are less exact, by the amount under “uncertain”: a step of a millionth of the weights crosses a kink of some "
    f"ReLU or pooling, and with smaller steps rounding errors dominate. The tolerance is {power(WHOLE_NET)} for them, "
    f"and {power(GRADIENT)} for autograd."
)


def section(parity: Parity) -> Section:
    return Section("Through the whole net", "parameters", (table(parity.parameters),))


def table(parameters: Sequence[ParameterRow]) -> Table:
    """How far the gradients of each parameter are apart."""
    rows = [(row.name, shape(row.shape), exponent(row.largest), *_three(row.gradient)) for row in parameters]
    return Table(
        titles=("parameter", "shape", "largest", "by hand, autograd", "by hand, central", "uncertain"),
        rows=tuple(rows),
        right=frozenset(range(2, 6)),
        strong=frozenset(n for n, row in enumerate(parameters) if row.gradient.fault(WHOLE_NET)),
        caption=HOW,
    )


def _three(comparison: Comparison) -> tuple[str, str, str]:
    return (
        exponent(comparison.hand_autograd),
        exponent(comparison.hand_central),
        exponent(comparison.uncertainty),
    )


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd checks, by what is odd."""
    fine, wrong = Comparison(1e-15, 6e-8, 6e-8, 7e-8), Comparison(0.5)
    return {
        "sound": (table([ParameterRow("conv1.W", (6, 1, 5, 5), 2.5, fine)]),),
        "at fault": (table([ParameterRow("<b>", (), 0.0, wrong)]),),
        "no parameters": (table([]),),
    }
