"""The content as one page of HTML that needs no other file and no network.

Every text is escaped by the template; every chart stands there as a static drawing, which the script replaces with a
live one. The page forbids itself any request, by its content security policy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from firstlight import design_tokens, diagram
from firstlight.image_encoding import shown_size, small_uri, sprite
from firstlight.report.document import Beside, Block, Chart, Diagram, Document
from firstlight.report.format import LOCALE
from firstlight.report.render import vega
from firstlight.report.render.failed_charts import FailedCharts, sentence
from firstlight.report.render.vega_process import ChartError
from firstlight.text import encodable
from firstlight.types import Json

HERE = Path(__file__).parent
COLUMNS = 928.0  # CSS pixels that a wide page has for its blocks


def page(document: Document) -> str:
    """The document as a page."""
    blocks = [block for section in document.sections for block in section.blocks]
    drawn = [chart for block in blocks for chart in _charts(block)]
    place = {id(chart): n for n, chart in enumerate(drawn)}
    failed = FailedCharts(document)
    environment = templates(
        number=lambda chart: place[id(chart)],
        drawing=lambda chart: drawn_or_why(chart, f"chart-{place[id(chart)]}-", failed),
    )
    made = environment.get_template("page.html.j2").render(
        document=document,
        version=version("firstlight"),
        specs=embedded(vega.cleaned([chart.spec for chart in drawn], encodable)),
        sprites=embedded(sprites(drawn)),
        locale=embedded(LOCALE),
        style=Markup(design_tokens.css() + _asset("style.css")),
        library=_library() if drawn else None,
        script=Markup(script(_asset("tables.js") + _asset("tooltip.js") + _asset("page.js"))),
    )
    failed.warn()
    return encodable(made)


def _library() -> Markup | None:
    """The script that makes the charts live; without it they stand still."""
    with suppress(ChartError):
        return Markup(script(vega.javascript()))
    return None


def templates(*folders: Path, **filters: Callable[..., Any]) -> Environment:
    """The templates of the report, and of other folders whose pages show its blocks.

    The blocks need the filters `number` and `drawing`, which say of a chart its place and its drawing.
    """
    loader = FileSystemLoader([HERE, *folders])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update({"data_uri": small_uri, "shown_size": shown_size, "diagram": diagram_drawn, **filters})
    return environment


def diagram_drawn(block: Diagram) -> Markup:
    """A net in columns and, for where the page is narrow, in one."""
    drawn = [diagram.embedded(block.layers, block.input_shape, block.title, width=width) for width in (COLUMNS, 0.0)]
    if drawn[0] == drawn[1]:
        return Markup(drawn[0])
    return Markup(f'<div class="columns">{drawn[0]}</div><div class="column">{drawn[1]}</div>')


def sprites(charts: Sequence[Chart]) -> Json:
    """The pictures of charts: the sprites, and the sprite of each chart that has one by its place.

    Charts that have the same array share its sprite.
    """
    pictured = {n: chart.pictures for n, chart in enumerate(charts) if chart.pictures is not None}
    arrays = list({id(pictures): pictures for pictures in pictured.values()}.values())
    place = {id(pictures): n for n, pictures in enumerate(arrays)}
    return {"sheets": [sprite(pictures) for pictures in arrays], "of": {n: place[id(p)] for n, p in pictured.items()}}


def embedded(value: object) -> Markup:
    """JSON that can stand inside a script element whatever its strings hold."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def script(code: str) -> str:
    """JavaScript of ours or of a library that can stand inside a script element: nothing in it may close that."""
    return re.sub(r"<(/script|!--)", r"\\x3c\1", code, flags=re.IGNORECASE)


def _charts(block: Block) -> list[Chart]:
    if isinstance(block, Beside):
        return [chart for inner in block.blocks for chart in _charts(inner)]
    return [block] if isinstance(block, Chart) else []


def drawn_or_why(chart: Chart, prefix: str, failed: FailedCharts | None = None) -> Markup:
    """The static drawing of a chart, or the sentence that stands in its place, kept in `failed` too."""
    try:
        return static_drawing(chart, prefix)
    except ChartError as error:
        if failed is not None:
            failed.note(chart, error)
        return Markup('<p class="undrawn">{}</p>').format(sentence(error))


def static_drawing(chart: Chart, prefix: str) -> Markup:
    """The static drawing; names inside it are made unique in the page by a prefix. Raises ChartError."""
    svg = re.sub(r'(?<=transform="translate\()(-?[\d.]+),(-?[\d.]+)', _rounded, vega.svg(chart.spec, chart.width))
    return Markup(re.sub(r'(id="|url\(#)', rf"\1{prefix}", svg))


def _rounded(place: re.Match[str]) -> str:
    """Coordinates without the digits that no screen shows: a chart of thousands of points is mostly these."""
    return f"{float(place[1]):.5g},{float(place[2]):.5g}"


def _asset(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
