"""The page of a parity check: what is wrong, if anything, then layers, parameters, graph, training, speed, method."""

from __future__ import annotations

from firstlight.records.parity import GRADIENT, Parity
from firstlight.report.document import Document, Number, Numbers, Section, Text
from firstlight.report.format import date, exponent, milliseconds, power
from firstlight.report.pages import contents


def document(parity: Parity) -> Document:
    """The page of a parity check."""
    failures = parity.failures
    wrong = (Section("What is wrong", "wrong", tuple(Text(text, tone="warning") for text in failures)),)
    return Document(
        kind_of="Parity of two engines",
        title=f"{parity.model}: by hand and by PyTorch",
        subtitle=" · ".join([parity.images, date(parity.environment.started)]),
        verdict=parity.verdict,
        numbers=_numbers(parity),
        sections=(*(wrong if failures else ()), *contents.sections(contents.PARITY, parity)),
        source="one measurement",
    )


def _numbers(parity: Parity) -> Numbers:
    double, single = parity.runs
    ours, theirs = parity.speed.numpy.median, parity.speed.torch.median
    return Numbers(
        (
            Number("gradients, autograd", exponent(parity.hand_autograd), f"tolerated: {power(GRADIENT)}"),
            Number("gradients, central", exponent(parity.hand_central), f"tolerated: {power(GRADIENT)}"),
            Number(f"loss, {double.precision}", exponent(double.worst), f"tolerated: {power(double.tolerance)}"),
            Number(f"loss, {single.precision}", exponent(single.worst), f"tolerated: {power(single.tolerance)}"),
            Number("milliseconds per step", milliseconds(ours), f"PyTorch: {milliseconds(theirs)}"),
        )
    )
