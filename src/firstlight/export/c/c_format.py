"""The format c."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from firstlight.errors import ExportError, NoRuntimeError
from firstlight.export.c import compiler
from firstlight.export.c.source import Source
from firstlight.export.exportable import Exportable
from firstlight.export.gate import Files, Format
from firstlight.export.inference_graph import Convolution, Operation, Product, Reshape, folded
from firstlight.types import Array

MOST_WEIGHTS = 4_000_000


@dataclass(frozen=True)
class C(Format):
    """One C99 file without dependencies or allocation."""

    name: ClassVar[str] = "c"
    title: ClassVar[str] = "C"
    about: ClassVar[str] = "one C99 file without dependencies or allocation"
    suffix: ClassVar[str] = ".c"

    def write(self, model: Exportable, claim: str) -> Files:
        weights = sum(one.W.size for one in model.operations if isinstance(one, Convolution | Product))
        if weights > MOST_WEIGHTS:
            raise ExportError(
                f"{model.task.model.name} has {weights:,} weights; a C file of more than {MOST_WEIGHTS:,} is too "
                "large for compilers. Export it to onnx."
            )
        operations = products(folded(model.operations))
        return {f"{model.name}.c": _source(model, operations, claim)}

    def runtime(self) -> str:
        return compiler.compiler()[1]

    def run(self, model: Exportable, folder: Path, pixels: Array) -> Array:
        (source,) = folder.glob("*.c")
        seconds = 120 + 1e-8 * work(model.operations) * len(pixels)
        return compiler.probabilities(source, pixels, math.prod(model.operations[-1].shape), seconds)


def work(operations: Sequence[Operation]) -> int:
    """Multiplications of one image."""
    return sum(one.W.size * math.prod(one.shape[1:]) for one in operations if isinstance(one, Convolution | Product))


def _source(model: Exportable, operations: Sequence[Operation], claim: str) -> bytes:
    source = Source(model, operations, claim)
    try:
        found = compiler.code_and_stack(source.code())
    except NoRuntimeError:
        found = None
    if found is not None:
        code, stack = found
        measured = (f"as {compiler.compiler()[1]} -Os makes it: code {code:,} bytes, stack {stack:,} bytes, and "
                    "what the mathematics library needs",)  # fmt: skip
        source = Source(model, operations, claim, measured)
    return source.text().encode("ascii")


def products(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """The same with each convolution that sees its whole input once as a product, whose loops are better."""
    shapes = {one.output: one.shape for one in operations}
    found: list[Operation] = []
    for one in operations:
        if isinstance(one, Convolution) and one.W.shape[1:] == shapes[one.inputs[0]] and one.shape[1:] == (1, 1):
            W = one.W.reshape(len(one.W), -1)
            flat, sums = f"{one.output}.x", f"{one.output}.y"
            found += [
                Reshape(one.path, one.inputs, flat, W.shape[1:]),
                Product(one.path, (flat,), sums, W.shape[:1], W, one.b),
                Reshape(one.path, (sums,), one.output, one.shape),
            ]
        else:
            found.append(one)
    return tuple(found)
