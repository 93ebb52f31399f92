"""A card as HTML: a piece of somebody else's page, with its charts as static drawings and its style within."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from firstlight import design_tokens
from firstlight.image_encoding import compact_uri
from firstlight.report.document import Block, Chart, Document
from firstlight.report.render.html import HERE as REPORT
from firstlight.report.render.html import drawn_or_why, templates
from firstlight.text import encodable, listed

HERE = Path(__file__).parent
LIMIT = 200_000  # characters of a card beside its style; what comes after is named and left out

# How notebooks say which theme is on: JupyterLab, VS Code, Colab, documentation made of notebooks.
DARK = (
    'body[data-jp-theme-light="false"]',
    "body.vscode-dark",
    "body.vscode-high-contrast",
    'html[theme="dark"]',
    'html[data-theme="dark"]',
)
LIGHT = (
    'body[data-jp-theme-light="true"]',
    "body.vscode-light",
    "body.vscode-high-contrast-light",
    'html[theme="light"]',
    'html[data-theme="light"]',
)


def render(document: Document) -> str:
    """The document as a piece of somebody else's page."""
    shown: list[tuple[str, Markup]] = []
    room = LIMIT
    for section in document.sections:
        content = drawn(section.blocks)
        room -= len(content)
        if room < 0:
            break
        shown.append((section.title, content))
    left_out = [section.title for section in document.sections[len(shown) :]]
    return filled(document, shown, note=f"Too much to show here: {listed(left_out)}." if left_out else "")


def drawn(blocks: Sequence[Block]) -> Markup:
    """Blocks as HTML, their charts as static drawings."""
    draw = _templates().from_string(
        '{% import "blocks.html.j2" as kinds %}{% for block in blocks %}{{ kinds.draw(block) }}{% endfor %}'
    )
    return Markup(draw.render(blocks=blocks))


def filled(
    document: Document, contents: Sequence[tuple[str, Markup]], *, note: str = "", progress: float | None = None
) -> str:
    """The card with these contents under their titles; `progress` is a share, shown as a bar."""
    card = _templates().get_template("card.html.j2")
    shown = card.render(document=document, contents=contents, note=note, progress=progress, style=Markup(style()))
    return encodable(shown)


@cache
def _templates() -> Environment:
    return templates(HERE, number=lambda chart: 0, drawing=_drawing, data_uri=compact_uri)


@cache
def style() -> str:
    """The style of cards: the report's, for what lies inside a card alone, with colours as the notebook's theme asks.

    Of the two classes that say the same, one more outweighs a notebook's own rules for tables and pictures.
    """
    theirs, ours = (path.read_text(encoding="utf-8") for path in (REPORT / "style.css", HERE / "card.css"))
    light = f"{{{design_tokens.declarations(design_tokens.LIGHT | design_tokens.FONTS)}}}"
    dark = f"{{{design_tokens.declarations(design_tokens.DARK)}}}"
    here = ".firstlight"
    text = (
        f"{here}{light}@media (prefers-color-scheme: dark){{{here}{dark}}}"
        f"{','.join(f'{theme} {here}' for theme in DARK)}{dark}{','.join(f'{theme} {here}' for theme in LIGHT)}{light}"
        f"{here}.firstlight-card{{{theirs}{ours}}}"
    )
    return re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))


def _drawing(chart: Chart) -> Markup:
    """The static drawing, whose inner names no other card in the notebook has, unless its drawing is the same."""
    prefix = f"c{hashlib.sha256(repr(chart.spec).encode(errors='replace')).hexdigest()[:10]}-"
    return drawn_or_why(chart, prefix)
