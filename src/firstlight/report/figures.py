"""The charts of a report as drawings of their own, for papers and slides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from firstlight.report import drawing
from firstlight.report.content import Beside, Block, Chart, Document
from firstlight.report.pdf import coloured


def figures(document: Document) -> dict[str, str]:
    """Each chart as an SVG, by the name of its file: the section, and a number. Raises ChartError."""
    found = {}
    for section in document.sections:
        for number, chart in enumerate(_charts(section.blocks), 1):
            found[f"{section.anchor}-{number}.svg"] = coloured(drawing.svg(chart.spec, chart.width))
    return found


def _charts(blocks: Sequence[Block]) -> Iterator[Chart]:
    for block in blocks:
        if isinstance(block, Beside):
            yield from _charts(block.blocks)
        elif isinstance(block, Chart):
            yield block
