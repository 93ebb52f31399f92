"""The format c."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from firstlight.errors import ExportError
from firstlight.export.c import compiler
from firstlight.export.c.quantization import calibrated, chosen, quantized
from firstlight.export.c.source import Source
from firstlight.export.exportable import NONE_OF_THESE, Expected, Exportable
from firstlight.export.gate import FORMATS, TOLERANCE, Files, Findings, Format
from firstlight.export.inference_graph import NOVELTY, Convolution, Operation, Product, Reshape, Weighted, folded
from firstlight.export.reference import values
from firstlight.types import Array

MOST_WEIGHTS = 4_000_000  # a compiler takes some 300 bytes and 4 µs for each
CHECKED = 100  # test images on which int8 is compared with its own arithmetic in NumPy


@FORMATS.register
class C(Format):
    """One C99 file without dependencies or allocation.

    int8       weights and activations as int8, calibrated on training images
    most_loss  of accuracy by int8, in percentage points: above it, nothing is written
    """

    int8: bool = False
    most_loss: Annotated[float, Ge(0), Le(100)] = 1.0

    name: ClassVar[str] = "c"
    title: ClassVar[str] = "C"
    about: ClassVar[str] = "one C99 file without dependencies or allocation"
    suffix: ClassVar[str] = ".c"

    def write(self, model: Exportable, claim: str) -> Files:
        if self.int8:
            operations, calibration = self.quantized(model)
            return self._files(model, operations, claim, {"numbers": INT8, "calibration": calibration})
        return self._files(model, self.operations(model), claim, {"numbers": "float32"})

    def operations(self, model: Exportable) -> tuple[Operation, ...]:
        """What is written. Raises ExportError where it is too much."""
        weights = sum(one.W.size for one in model.operations if isinstance(one, Weighted))
        if weights > MOST_WEIGHTS:
            raise ExportError(
                f"{model.title} has {weights:,} weights; a C file of more than {MOST_WEIGHTS:,} is too "
                "large for compilers. Export it to onnx."
            )
        return products(folded(model.operations))

    def tells_strangeness(self, model: Exportable) -> bool:
        return model.tells_strangeness and not self.int8

    def quantized(self, model: Exportable) -> tuple[tuple[Operation, ...], str]:
        """The same in int8, and what it was calibrated on. Raises RunError where the training images are not there."""
        if model.nets:
            raise ExportError(
                f"int8 is calibrated for a single net, and {model.name} is the mean of {len(model.nets)}. Export one "
                f"of its runs, such as {model.nets[0].name}, or leave --int8 out."
            )
        # How strange an image is, is a small difference of features, which eight bits do not hold.
        operations = tuple(one for one in self.operations(model) if one.path != NOVELTY)
        train = model.training()
        some = chosen(len(train), operations)
        ranges = calibrated(operations, train.pixels[some])
        calibration = (
            f"{len(some):,} of {len(train):,} training images; ranges without the outermost 0.01 % at either end"
        )
        return quantized(operations, ranges), calibration

    def file_name(self, run: str) -> str:
        return f"{run}{'-int8' if self.int8 else ''}{self.suffix}"

    def runtime(self) -> str:
        return compiler.compiler()[1]

    def run(self, model: Exportable, folder: Path, pixels: Array) -> Array:
        (source,) = folder.glob("*.c")
        seconds = 120 + 1e-8 * work(model.operations) * len(pixels)
        strangeness = self.tells_strangeness(model)
        columns = len(model.class_names) + strangeness
        return compiler.answers(source, pixels, columns, strangeness, seconds)

    def verify(self, model: Exportable, expected: Expected, runtime: str) -> tuple[Files, Findings]:
        """As the base; int8 is verified to compute what its arithmetic says, and to lose no more than `most_loss`."""
        if not self.int8:
            files, findings = super().verify(model, expected, runtime)
            return files, replace(findings, facts={"memory": Source(model, self.operations(model), "", {}).memory})
        operations, calibration = self.quantized(model)
        write = partial(self._files, model, operations)
        found = self.answers(model, write("", {}), expected.images.pixels)
        self._as_computed(operations, expected, found)
        accuracy, before = (_accuracy(expected, given) for given in (found, expected.probabilities))
        n, alike = len(expected.images), int((found.argmax(1) == expected.probabilities.argmax(1)).sum())
        loss = round((before - accuracy) * 100, 9)
        if loss > self.most_loss:
            raise ExportError(
                f"int8 has an accuracy of {accuracy:.4f} on the {n:,} test images, and float32 {before:.4f}: a loss of "
                f"{loss:.2f} points, where {self.most_loss:g} is allowed, so nothing was written. "
                "Allow more by --most-loss, or leave --int8 out."
            )
        text = f"int8 {accuracy:.4f}, float32 {before:.4f}; the same class for {alike:,} of {n:,} test images"
        claim = f"Measured: {runtime} ran this on all {n:,} test images of the run. Accuracy: {text}."
        facts = {"numbers": INT8, "calibration": calibration, "accuracy": text}
        apart = float(np.abs(found - expected.probabilities).max())
        told = {**facts, "memory": Source(model, operations, "", facts).memory}
        return write(claim, facts), Findings(largest_difference=apart, accuracy=accuracy, facts=told)

    def _as_computed(self, operations: Sequence[Operation], expected: Expected, found: Array) -> None:
        """Raises ExportError where what ran differs from the same arithmetic in NumPy, on the first images."""
        wanted = _computed(operations, expected.images.pixels[:CHECKED])
        apart = np.abs(found[:CHECKED] - wanted).max()
        if not apart <= TOLERANCE:
            raise ExportError(
                f"The C export in int8 does not compute what it should, so nothing was written: probabilities differ "
                f"by up to {apart:.2g} from those of the same arithmetic in NumPy, and {TOLERANCE:g} is allowed."
            )

    def _files(self, model: Exportable, operations: Sequence[Operation], claim: str, facts: dict[str, str]) -> Files:
        if self.int8:
            model = replace(model, facts={name: text for name, text in model.facts.items() if name != NONE_OF_THESE})
        if self.int8 and model.samples is not None:  # of itself, which is what it can be held to
            pixels = model.samples.images.pixels
            model = replace(model, samples=replace(model.samples, probabilities=_computed(operations, pixels)))
        source = Source(model, operations, claim, facts)
        if found := compiler.code_and_stack(source.code()):
            code, stack = found
            measured = (
                f"as {compiler.compiler()[1]} -Os makes it: code {code:,} bytes, stack {stack:,} bytes, and what the "
                "mathematics library needs"
            )
            source = replace(source, measured=measured)
        return {f"{model.name}.c": source.text().encode("ascii")}


INT8 = "int8 weights by output channel, int8 activations, int32 sums"


def work(operations: Sequence[Operation]) -> int:
    """Multiplications of one image."""
    return sum(one.W.size * math.prod(one.shape[1:]) for one in operations if isinstance(one, Weighted))


def products(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """The same with each convolution that sees its whole input once as a product, whose loops are better."""
    shapes = {one.output: one.shape for one in operations}
    found: list[Operation] = []
    for one in operations:
        if isinstance(one, Convolution) and one.W.shape[1:] == shapes[one.inputs[0]] and not np.any(one.padding):
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


def _computed(operations: Sequence[Operation], pixels: Array) -> Array:
    """The probabilities (N, K) by NumPy."""
    *_, (_, y) = values(operations, pixels)
    return y.T


def _accuracy(expected: Expected, probabilities: Array) -> float:
    return float((probabilities.argmax(axis=1) == expected.images.labels).mean())
