"""A trained model leaves: one format a file, each proved to give what firstlight gives before it is written."""

from __future__ import annotations

from typing import Any

from firstlight.export.c import C
from firstlight.export.exportable import Expected, Exportable, exportable, exportable_ensemble
from firstlight.export.gate import Findings, Format, export
from firstlight.export.html import Html
from firstlight.export.onnx import Onnx
from firstlight.export.pytorch import Torch
from firstlight.options import choose

# A new format needs its import above, and its name here.
FORMATS: dict[str, type[Format]] = {kind.name: kind for kind in (Onnx, Html, C, Torch)}


def open_format(name: str, **options: Any) -> Format:
    """The format called `name` with its options. Raises ExperimentError for an unknown name or option."""
    return choose("export format", FORMATS, name, options)


__all__ = [
    "FORMATS",
    "Expected",
    "Exportable",
    "Findings",
    "Format",
    "export",
    "exportable",
    "exportable_ensemble",
    "open_format",
]
