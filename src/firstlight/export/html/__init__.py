"""HTML: one page that holds the net and everything that is needed to use it, on any machine with a browser."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from firstlight.errors import ExportError
from firstlight.export.exportable import Expected, Exportable
from firstlight.export.gate import FORMATS, Files, Findings, Format
from firstlight.export.html import page, runtime
from firstlight.types import Array

DRAWING = Path(__file__).parent / "drawing"  # what the dashboard's page Draw and this page share
FEW = 500  # test images that float16 is tried on first
Weights = Literal["auto", "float16", "float32"]


@FORMATS.register
class Html(Format):
    """A page to draw, drop, paste, choose or photograph an image, offline.

    weights  "float16" halves the file; "auto" tries it first, and takes "float32" where it does not pass the gate
    """

    weights: Weights = "auto"

    name: ClassVar[str] = "html"
    title: ClassVar[str] = "HTML"
    about: ClassVar[str] = "a page that works offline and alone"
    suffix: ClassVar[str] = ".html"

    def write(self, model: Exportable, claim: str) -> Files:
        text = page.page(model, claim, half=self.weights == "float16")
        return {f"{model.name}{self.suffix}": text.encode()}

    def runtime(self) -> str:
        return runtime.at_hand().title

    def run(self, model: Exportable, folder: Path, pixels: Array) -> Array:
        [path] = folder.glob(f"*{self.suffix}")
        return runtime.at_hand().run(path, pixels, model.columns)

    def verify(self, model: Exportable, expected: Expected, runtime: str) -> tuple[Files, Findings]:
        if self.weights == "auto":
            half = replace(self, weights="float16")
            first = expected.take(np.arange(min(FEW, len(expected.images))))
            with suppress(ExportError):
                half.verify(model, first, runtime)  # which most nets do not pass
                return half.verify(model, expected, runtime)
            return replace(self, weights="float32").verify(model, expected, runtime)
        files, findings = super().verify(model, expected, runtime)
        return files, replace(findings, facts={"weights": self.weights})
