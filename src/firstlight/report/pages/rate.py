"""The page of a test of learning rates: what is suggested and why, the curve, how it was measured."""

from __future__ import annotations

from firstlight.records.rate_test import RateTest
from firstlight.report.document import Document, Number, Numbers
from firstlight.report.format import count, date, decimal
from firstlight.report.pages import contents


def document(test: RateTest) -> Document:
    """The page of a test of learning rates."""
    suggested, smooth = test.suggestion, test.smoothed
    value = "none" if suggested.rate is None else f"{suggested.rate:.2g}"
    begins = "No learning rate is suggested." if suggested.rate is None else f"Try a learning rate of {value}."
    return Document(
        kind_of="Learning rate range test",
        title=f"{test.model}: learning rate range test",
        subtitle=" · ".join([test.data, test.optimizer, date(test.environment.started)]),
        verdict=f"{begins} {suggested.reason}",
        numbers=Numbers(
            (
                Number("suggested", value),
                Number("asked for", f"{test.lr:.2g}", "by the experiment"),
                Number("lowest loss", decimal(float(smooth.min())), f"at {test.rates[int(smooth.argmin())]:.2g}"),
                Number(
                    "last rate",
                    f"{test.rates[-1]:.2g}",
                    "the loss grew" if test.diverged else "the loss did not diverge",
                ),
                Number("steps", count(len(test.rates))),
            )
        ),
        sections=tuple(contents.sections(contents.RATE, test)),
        source="one measurement",
    )
