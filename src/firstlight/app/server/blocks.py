"""The report's blocks inside a page of the dashboard: the same templates and the same style, the charts drawn live.

The dashboard's policy refuses what a template writes into `style`, so static/blocks.js sets it instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from firstlight.report.document import Block, Chart, Numbers, Section
from firstlight.report.render.html import templates
from firstlight.types import Json


@dataclass(frozen=True)
class Drawn:
    """A section as HTML."""

    title: str
    anchor: str
    html: Markup


def drawn(numbers: Numbers, sections: Sequence[Section]) -> tuple[Markup, list[Drawn], list[Json]]:
    """The numbers and the sections as HTML, and the specifications of their charts, which the page's script draws."""
    specs: list[Json] = []

    def number(chart: Chart) -> int:
        specs.append(chart.spec)
        return len(specs) - 1

    environment = templates(number=number, drawing=lambda chart: "")
    template = environment.from_string(
        '{% import "blocks.html.j2" as kinds %}{% for block in blocks %}{{ kinds.draw(block) }}{% endfor %}'
    )

    def html(blocks: Sequence[Block]) -> Markup:
        # In what is text or a value, a quotation mark is written as &#34;: only the templates' own style is meant here.
        return Markup(template.render(blocks=blocks).replace(' style="', ' data-style="'))

    return html([numbers]), [Drawn(s.title, s.anchor, html(s.blocks)) for s in sections], specs
