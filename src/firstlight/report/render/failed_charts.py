"""Charts that cannot be drawn: each leaves a sentence in its place, and who asked for the report is told."""

from __future__ import annotations

import warnings

from firstlight.cautions import Caution
from firstlight.errors import ReportWarning
from firstlight.report.document import Chart, Document
from firstlight.report.format import counted
from firstlight.report.render.vega_process import ChartError

NAMED = 3  # charts that are named, of those that one reason has


class FailedCharts:
    """The charts of a document that could not be drawn, by the reason."""

    def __init__(self, document: Document) -> None:
        self.title = document.title
        self.found: dict[str, list[str]] = {}

    def note(self, chart: Chart, error: ChartError) -> None:
        self.found.setdefault(str(error), []).append(chart.description)

    def warn(self) -> None:
        """Tell, a `ReportWarning` a reason."""
        for reason, charts in self.found.items():
            more = f" and {counted(len(charts) - NAMED, 'other')}" if len(charts) > NAMED else ""
            names = "; ".join(f"“{name.rstrip('.')}”" for name in charts[:NAMED])
            many = "a chart" if len(charts) == 1 else counted(len(charts), "chart")
            warnings.warn(
                Caution.CHART_NOT_DRAWN.text(f"The report of {self.title} lacks {many}, {names}{more}: {reason}."),
                ReportWarning,
                stacklevel=2,
            )


def sentence(error: ChartError) -> str:
    """What stands in the place of a chart that cannot be drawn."""
    return f"This chart could not be drawn: {error}."
