"""A trained model leaves: one format a file, each verified to give what firstlight gives before it is written."""

from __future__ import annotations

from typing import Any

from firstlight.components import import_modules
from firstlight.export.exportable import Expected, Exportable, exportable, exportable_ensemble
from firstlight.export.gate import FORMATS, Findings, Format, export

import_modules(__name__, __path__)


def open_format(name: str, **options: Any) -> Format:
    """The format called `name` with its options. Raises ExperimentError for an unknown name or option."""
    return FORMATS.build(name, **options)


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
