"""The content as pages of A4: its texts as JSON, its charts and pictures as files, set by typst with `page.typ`.

The way of a PDF: `Document` -> a folder (content.json, drawings, pictures, the template) -> typst -> bytes. No text is
ever markup, since the template only places strings; nothing is fetched, and the same document gives the same bytes.
Fonts are those inside typst; letters that they lack are borrowed from the system's, or stand as an empty frame.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from firstlight import design_tokens, diagram
from firstlight.errors import RunError
from firstlight.image_encoding import shown_size, small_png
from firstlight.report.document import (
    Beside,
    Block,
    Cell,
    Chart,
    Code,
    Diagram,
    Document,
    Heading,
    ImageGrid,
    Link,
    Numbers,
    Panels,
    Picture,
    Table,
    Text,
)
from firstlight.report.render import vega
from firstlight.report.render.failed_charts import FailedCharts, sentence
from firstlight.report.render.vega_process import ChartError
from firstlight.text import encodable
from firstlight.types import Array, Json

HERE = Path(__file__).parent
TEMPLATE = "page.typ"

# Lengths in points, of an A4 page of 595 by 842.
MARGIN = 57.0
TEXT_WIDTH = 595.27 - 2 * MARGIN
GUTTER = 20.0  # between blocks side by side
TALLEST = 640.0  # chart: its caption must find room on the same page
TILE = 6.0  # between the pictures of a grid
PICTURE = 58.0
PANEL_IMAGE = 62.0
PIXEL = 0.7  # points that a CSS pixel takes on paper, so that the lettering of charts is as large as a caption's

DIAGRAM_WIDTHS = (1.0, 1.35, 1.7, 2.2, 3.0)  # of a net before it is reduced, as shares of the room

FONT = "Libertinus Serif, Liberation Serif, Times New Roman, serif"  # the others measure it where it is not at hand
NARROW = 300  # CSS pixels: charts up to this width stand three in a row, wider ones two
SPLIT_FROM, SPLIT_UP_TO, SPLIT_WIDTH = 24, 120, 52  # lines of code, and their length, for which two columns serve


def pdf(document: Document) -> bytes:
    """The document as a PDF. Raises RunError where typst is not installed."""
    try:
        import typst
    except ModuleNotFoundError:
        raise RunError(
            "A report as PDF needs typst, which is not installed: pip install 'firstlight[pdf]'. "
            "The HTML page needs no extra package."
        ) from None
    with TemporaryDirectory(prefix="firstlight-") as name:
        folder = Path(name)
        made: bytes = typst.compile(lay_out(document, folder), root=folder)
    return made


def lay_out(document: Document, folder: Path) -> Path:
    """Write all that typst needs into an empty folder, and return the file to compile there."""
    files = _Files(folder, FailedCharts(document))
    content = {
        "title": document.title,
        "kind": document.kind_of,
        "subtitle": document.subtitle,
        "verdict": document.verdict,
        "origin": f"Made by firstlight {version('firstlight')} from {document.source} alone.",
        "margin": MARGIN,
        "colours": _colours(),
        "numbers": _block(document.numbers, TEXT_WIDTH, files),
        "sections": [
            {"title": section.title, "blocks": [_block(block, TEXT_WIDTH, files) for block in section.blocks]}
            for section in document.sections
        ],
    }
    text = json.dumps(vega.cleaned(content, encodable), allow_nan=False)
    (folder / "content.json").write_text(text, encoding="utf-8")
    files.failed.warn()
    main = folder / TEMPLATE
    main.write_bytes((HERE / TEMPLATE).read_bytes())
    return main


class _Files:
    """The drawings and pictures of a document in its folder, which the template knows by their names."""

    def __init__(self, folder: Path, failed: FailedCharts) -> None:
        self.folder = folder
        self.failed = failed
        self.written = 0

    def add(self, data: bytes, ending: str) -> str:
        self.written += 1
        name = f"{self.written}.{ending}"
        (self.folder / name).write_bytes(data)
        return f"/{name}"


def _block(block: Block, width: float, files: _Files) -> Json:
    """A block as the template reads it, in a column of `width` points."""
    return {"element": block.element, **_parts(block, width, files)}


def _parts(block: Block, width: float, files: _Files) -> Json:
    match block:
        case Heading():
            return {"text": block.text}
        case Text():
            return {"text": block.text, "tone": block.tone}
        case Numbers():
            return {"items": [{"label": n.label, "value": n.value, "detail": n.detail} for n in block.items]}
        case Table():
            return _table(block)
        case Chart():
            return _chart(block, width, files)
        case ImageGrid():
            column = (width - TILE * (block.columns - 1)) / block.columns
            tiles = [_tile(picture, column, files) for picture in block.pictures]
            return {"pictures": tiles, "columns": block.columns, "caption": block.caption}
        case Panels():
            return _panels(block, files)
        case Diagram():
            return _diagram(block, width, files)
        case Code():
            return {"title": block.title, "parts": _split(block.text)}
        case Beside():
            return _beside(block, width, files)


def _table(block: Table) -> Json:
    return {
        "rows": [[_cell(cell) for cell in row] for row in block.rows],
        "titles": block.titles,
        "right": sorted(block.right),
        "strong": sorted(block.strong),
        "caption": block.caption,
    }


def _cell(cell: Cell) -> str | Json:
    return {"text": cell.text, "target": cell.target} if isinstance(cell, Link) else cell


def _chart(chart: Chart, room: float, files: _Files) -> Json:
    """A chart drawn for the room it has; one that turns out larger is reduced, and one that fails is a sentence."""
    spec = {**chart.spec, "config": {**chart.spec["config"], "font": FONT}}
    try:
        svg = coloured(vega.svg(spec, min(chart.width, int(room / PIXEL))))
        width, height = _size(svg)
        if not width or not height:
            raise ChartError("its drawing has no size")
    except ChartError as error:
        files.failed.note(chart, error)
        return {"undrawn": sentence(error), "caption": chart.caption}
    scale = min(PIXEL, room / width, TALLEST / height)
    return {
        "file": files.add(svg.encode(), "svg"),
        "width": scale * width,
        "height": scale * height,
        "description": chart.description,
        "caption": chart.caption,
    }


def _diagram(block: Diagram, room: float, files: _Files) -> Json:
    """A net in as many columns as make it largest on a page."""

    def drawn(share: float) -> tuple[float, float, float, str]:
        wide = share * room / PIXEL
        svg = diagram.standalone(block.layers, block.input_shape, block.title, width=wide, paper=False)
        width, height = _size(svg)
        return min(PIXEL, room / width, TALLEST / height), width, height, svg

    scale, width, height, svg = max(map(drawn, DIAGRAM_WIDTHS), key=lambda found: found[0])
    return {
        "element": "chart",
        "file": files.add(svg.replace(escape(design_tokens.CHART_FONT), FONT).encode(), "svg"),
        "width": scale * width,
        "height": scale * height,
        "description": block.title,
        "caption": block.caption,
    }


def _size(svg: str) -> tuple[float, float]:
    """The width and the height of a drawing; zeros where it does not say."""
    found = re.search(r'<svg[^>]* width="([\d.]+)(?:px)?" height="([\d.]+)(?:px)?"', svg)
    return (float(found[1]), float(found[2])) if found else (0.0, 0.0)


def coloured(svg: str) -> str:
    """A drawing whose colours are named after the style sheet, with the colours themselves; texts stay as they are."""
    colours = _colours()
    named = re.compile(r"var\(--([\w-]+)\)")
    return re.sub(r"<[^>]*>", lambda tag: named.sub(lambda name: colours.get(name[1], name[0]), tag[0]), svg)


@cache
def _colours() -> dict[str, str]:
    """The light colours of the pages, by name."""
    return {name: value for name, value in design_tokens.LIGHT.items() if value.startswith("#")}


def _tile(picture: Picture, room: float, files: _Files) -> Json:
    alt = ", ".join(filter(None, [picture.text, picture.detail]))
    frame = 2.4 if picture.right is False else 0.0
    return {
        **_image(picture.pixels, min(room - frame, PICTURE), alt, files),
        "text": picture.text,
        "detail": picture.detail,
        "right": picture.right,
    }


def _image(pixels: Array, room: float, alt: str, files: _Files) -> Json:
    """An image at the size of the page, reduced to the room that there is in both directions."""
    width, height = (PIXEL * side for side in shown_size(pixels))
    scale = min(1.0, room / width, max(room, 80.0) / height)
    return {"file": files.add(small_png(pixels), "png"), "width": scale * width, "height": scale * height, "alt": alt}


def _panels(block: Panels, files: _Files) -> Json:
    panels = [
        {
            **_image(panel.pixels, PANEL_IMAGE - 2.4, panel.text, files),
            "room": PANEL_IMAGE,
            "text": panel.text,
            "right": panel.right,
            "bars": [{"label": b.label, "share": b.share, "text": b.text, "role": b.role} for b in panel.bars],
        }
        for panel in block.panels
    ]
    return {"panels": panels, "caption": block.caption}


def _split(text: str) -> list[str]:
    """Code in one part; a file of short lines in two, the second beginning with a table of its own where it can."""
    lines = text.split("\n")
    widest = max((len(line) for line in lines if not line.startswith("#")), default=0)  # comments may wrap
    if not SPLIT_FROM <= len(lines) <= SPLIT_UP_TO or widest > SPLIT_WIDTH:
        return [text]
    half = (len(lines) + 1) // 2
    starts = [n for n, line in enumerate(lines) if line.startswith("[") and abs(n - half) <= len(lines) // 6]
    cut = min(starts, key=lambda n: abs(n - half), default=half)
    return ["\n".join(lines[:cut]).rstrip("\n"), "\n".join(lines[cut:])]


def _beside(block: Beside, width: float, files: _Files) -> Json:
    columns = min(len(block.blocks), 3 if _narrow(block.blocks) else 2)
    column = (width - GUTTER * (columns - 1)) / columns
    blocks = [_block(inner, column, files) for inner in block.blocks]
    drawn = all(isinstance(inner, Chart) for inner in block.blocks)
    heights = [inner.get("height", 0) for inner in blocks]
    height = sum(max(heights[n : n + columns]) + 30 for n in range(0, len(blocks), columns)) if drawn else 0
    return {
        "blocks": blocks,
        "columns": columns,
        "gutter": GUTTER,
        "caption": block.caption,
        "breakable": not drawn or height > TALLEST,
    }


def _narrow(blocks: Sequence[Block]) -> bool:
    return all(isinstance(block, Chart) and block.width <= NARROW for block in blocks)
