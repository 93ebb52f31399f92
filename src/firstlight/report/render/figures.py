"""The charts of a report, and its net, as drawings of their own, for papers and slides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from firstlight import diagram
from firstlight.report.document import Beside, Block, Chart, Diagram, Document
from firstlight.report.render import vega
from firstlight.report.render.failed_charts import FailedCharts
from firstlight.report.render.html import COLUMNS
from firstlight.report.render.pdf import coloured
from firstlight.report.render.vega_process import ChartError


def figures(document: Document) -> dict[str, str]:
    """Each chart, and each net, as an SVG, by the name of its file: the section, and a number.

    One that cannot be drawn is left out, and a `ReportWarning` names it.
    """
    found, failed = {}, FailedCharts(document)
    for section in document.sections:
        for number, chart in enumerate(_charts(section.blocks), 1):
            if isinstance(chart, Diagram):
                drawn = diagram.standalone(chart.layers, chart.input_shape, chart.title, width=COLUMNS)
                found[f"{section.anchor}-{number}.svg"] = drawn
                continue
            try:
                found[f"{section.anchor}-{number}.svg"] = coloured(vega.svg(chart.spec, chart.width))
            except ChartError as error:
                failed.note(chart, error)
    failed.warn()
    return found


def _charts(blocks: Sequence[Block]) -> Iterator[Chart | Diagram]:
    for block in blocks:
        if isinstance(block, Beside):
            yield from _charts(block.blocks)
        elif isinstance(block, Chart | Diagram):
            yield block
