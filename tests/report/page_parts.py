"""Parts of a page, by what they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from firstlight.report.document import Beside, Block, Chart, Document, Section, Table, Text


def section(document: Document, anchor: str) -> Section:
    return next(s for s in document.sections if s.anchor == anchor)


def table(part: Section | None, n: int = 0) -> Table:
    assert part is not None
    return [b for b in part.blocks if isinstance(b, Table)][n]


def said(part: Section | None) -> str:
    """The texts of a section."""
    assert part is not None
    return " ".join(b.text for b in part.blocks if isinstance(b, Text))


def charts(blocks: Sequence[Block]) -> list[Chart]:
    inner = [b for block in blocks for b in (block.blocks if isinstance(block, Beside) else (block,))]
    return [b for b in inner if isinstance(b, Chart)]


def rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Every row of data in a specification."""
    layers = [spec, *spec.get("layer", [])]
    inline = [layer.get("data", {}).get("values", []) for layer in layers]
    return [row for values in (*inline, *spec.get("datasets", {}).values()) for row in values]
