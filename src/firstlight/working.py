"""How one number came about: the named numbers that were multiplied, their products, and the sum, line by line.

A `Working` is what a person would write on paper for one value of a layer's output, of a gradient, of a loss, or of a
weight after a step. Each `Line` has a symbol, a formula in the notation of the docstrings, and the numbers that went
into it; a later line may use an earlier one by its symbol. The last line is the number itself.

The terms are added up in float64, one after another. An engine adds the same terms in float32 and in another order, so
the two differ in their last digits: both are kept, with a bound on how far rounding can take them apart.
"""

from __future__ import annotations

import base64
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from firstlight.errors import ModelError
from firstlight.notebook_display import Brief, Shown
from firstlight.types import Array, Json

Index = tuple[int, ...]

EPSILON = 2.0**-24  # half the distance from 1 to the next float32: what one operation rounds by, relatively
SLACK = 8  # operations of an engine beside one for each term, such as the scaling of a mean
LIKELY = 6  # standard deviations
MOST = 400  # terms of a product that are written to JSON


@dataclass(frozen=True, eq=False)
class Operand:
    """Numbers that take part in a product, one for each term.

    array   the array that they lie in, by the layer's own name of it ("x", "y", "dy", "dx", "W"), or the symbol of an
            earlier line; "" for a number that lies nowhere
    values  float64 (T,)
    index   int64 (T, axes): where in the array, the batch's axis last; None where it is no array
    """

    array: str
    values: Array
    index: Array | None = None

    @classmethod
    def of(cls, array: str, numbers: Array, index: Array) -> Operand:
        """The numbers of an array at `index` (T, axes)."""
        index = np.asarray(index, np.int64).reshape(-1, numbers.ndim)
        return cls(array, numbers[tuple(index.T)].astype(np.float64), index)

    @classmethod
    def at(cls, array: str, numbers: Array, *index: int) -> Operand:
        """One number of an array."""
        return cls.of(array, numbers, np.array([index]))

    @classmethod
    def number(cls, symbol: str, value: float) -> Operand:
        """One number with a symbol, such as a mean or ε."""
        return cls(symbol, np.array([value], np.float64))


@dataclass(frozen=True, eq=False)
class Product:
    """Terms of a sum, each the product of one number of every operand."""

    operands: tuple[Operand, ...]

    @property
    def values(self) -> Array:
        """The products, float64 (T,)."""
        values: Array = np.ones(len(self.operands[0].values))
        with np.errstate(over="ignore", invalid="ignore"):
            for operand in self.operands:
                values = values * operand.values
        return values

    def to_json(self, most: int = MOST) -> Json:
        """Of more than `most` terms the largest, in their order, and what the others add up to."""
        values = self.values
        kept = np.arange(len(values))
        if len(values) > most:
            kept = np.sort(np.argsort(-np.abs(values), kind="stable")[:most])
        rest = np.delete(values, kept)
        return {
            "operands": [
                {
                    "array": operand.array,
                    "index": None if operand.index is None else operand.index[kept].tolist(),
                    "values": numbers(operand.values[kept]),
                }
                for operand in self.operands
            ],
            "values": numbers(values[kept]),
            "terms": len(values),
            "omitted": len(rest),
            "omitted_sum": number(float(rest.sum())),
        }


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a working: a formula and its value, which goes by a symbol in later lines.

    formula in the notation of `firstlight.formulas`; "" where words alone tell it
    kind    "sum": the value is the sum of all products. "largest": that of the largest of them. "value": the formula
            says what is done with the numbers
    winner  of the largest, which term of the first product it is
    says    in words, what no formula does
    """

    symbol: str
    formula: str
    value: float
    products: tuple[Product, ...] = ()
    kind: Literal["sum", "largest", "value"] = "sum"
    winner: int | None = None
    says: str = ""

    @classmethod
    def sum(cls, symbol: str, formula: str, *products: Sequence[Operand]) -> Line:
        """The sum of products, each of so many operands."""
        made = tuple(Product(tuple(operands)) for operands in products)
        return cls(symbol, formula, float(sum(product.values.sum() for product in made)), made)

    @classmethod
    def expression(cls, symbol: str, formula: str, value: float, *operands: Operand) -> Line:
        """What the formula makes of some numbers."""
        return cls(symbol, formula, float(value), tuple(Product((operand,)) for operand in operands), "value")

    @property
    def operand(self) -> Operand:
        """The result, for a later line."""
        return Operand.number(self.symbol, self.value)

    @property
    def size(self) -> float:
        """Σ |terms|: what rounding is measured by."""
        with np.errstate(over="ignore", invalid="ignore"):
            return max(abs(self.value), float(sum(np.abs(product.values).sum() for product in self.products)))

    @property
    def terms(self) -> int:
        return sum(len(product.values) for product in self.products)

    def to_json(self, most: int = MOST) -> Json:
        return {
            "symbol": self.symbol,
            "formula": self.formula,
            "says": self.says,
            "kind": self.kind,
            "value": number(self.value),
            "winner": self.winner,
            "products": [product.to_json(max(most, (self.winner or 0) + 1)) for product in self.products],
        }


@dataclass(frozen=True, eq=False, repr=False)
class Working(Shown, Brief):
    """How one number came about.

    of        what it is a number of: "y", "dx" or the name of a parameter, whose gradient it then is
    index     where it lies there, the batch's axis last
    lines     what is worked out, in order; the last one is the number
    value     the number that the engine has there
    rounding  how far float32 can take the two apart: that, or more, is no rounding
    note      what a reader has to know of how the terms were found
    """

    of: str
    index: Index
    lines: tuple[Line, ...]
    value: float
    rounding: float
    note: str = ""

    @classmethod
    def made(
        cls, of: str, index: Index, lines: Sequence[Line], value: Any, note: str = "", size: float | None = None
    ) -> Working:
        """A working with a bound on its rounding.

        The errors of T operations add up as chance has it, to less than 6 √T EPSILON Σ |terms| but once in a hundred
        million (Higham and Mary 2019, "A new approach to probabilistic rounding error analysis", theorem 2.4).

        size  Σ |terms|, where the last line's own does not tell what was rounded on the way
        """
        terms = max(line.terms for line in lines)
        size = lines[-1].size if size is None else size
        rounding = LIKELY * math.sqrt(terms + SLACK) * EPSILON * float(size)
        return cls(of, index, tuple(lines), float(value), rounding, note)

    @property
    def worked(self) -> float:
        """The number as the lines make it."""
        return self.lines[-1].value

    @property
    def difference(self) -> float:
        """The engine's number beside it: how far they are apart."""
        return abs(self.worked - self.value)

    @property
    def agrees(self) -> bool:
        """Whether the two are equal but for rounding; of what is not finite, whether neither is."""
        if not (math.isfinite(self.worked) and math.isfinite(self.value)):
            return not math.isfinite(self.value) and not math.isfinite(self.worked)
        return self.difference <= self.rounding

    def called(self, names: Mapping[str, str], of: str) -> Working:
        """The same with other names of arrays: of a layer that is made of others."""

        def renamed(product: Product) -> Product:
            return Product(tuple(replace(each, array=names.get(each.array, each.array)) for each in product.operands))

        lines = tuple(replace(line, products=tuple(map(renamed, line.products))) for line in self.lines)
        return replace(self, lines=lines, of=of)

    def against(self, value: float) -> Working:
        """The same lines beside another number."""
        return replace(self, value=float(value))

    def to_json(self, most: int = MOST) -> Json:
        """Plain values.

        most  terms of a product that are written; the others are added up
        """
        return {
            "of": self.of,
            "index": list(self.index),
            "lines": [line.to_json(most) for line in self.lines],
            "value": number(self.value),
            "worked": number(self.worked),
            "difference": number(self.difference),
            "rounding": number(self.rounding),
            "agrees": self.agrees,
            "note": self.note,
        }


def place_in(index: Any, shape: tuple[int, ...], of: str) -> Index:
    """A place in an array of this shape, as whole numbers. Raises ModelError for one that it does not have.

    of  what the array is called in the message, such as "conv1: y"
    """
    try:
        found = tuple(map(operator.index, index))
    except TypeError:
        found = None
    if found is None or len(found) != len(shape) or not all(0 <= i < n for i, n in zip(found, shape, strict=True)):
        raise ModelError(
            f"{of} has the shape {shape}, so a place in it is {len(shape)} whole numbers from 0 to less than these; "
            f"received the place {index!r}."
        )
    return found


def places(*parts: Any) -> Array:
    """Places in an array, int64 (T, axes), of numbers and of arrays (T,) one axis after the other."""
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def array_json(array: Array) -> Json:
    """An array for JSON: its shape, and its numbers in the order of C as float32, little-endian, in base64."""
    data = np.ascontiguousarray(array, "<f4").tobytes()
    return {"shape": list(array.shape), "float32": base64.b64encode(data).decode()}


def batch_json(array: Array, image: int | None) -> Json:
    """The same of an array whose last axis is the batch's, or of one image of it.

    Raises ModelError for an image that the batch does not have.
    """
    if image is None:
        return array_json(array)
    images = array.shape[-1]
    try:
        found = operator.index(image)
    except TypeError:
        found = -1
    if not 0 <= found < images:
        raise ModelError(f"The step has {images} images, 0 to {images - 1}; received the image {image!r}.")
    return array_json(array[..., found])


def number(value: float) -> float | str:
    """A number for JSON, which has none that is not finite: "NaN", "Infinity" and "-Infinity" are texts."""
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def numbers(values: Array) -> list[float | str]:
    """As `number`, for all of (T,)."""
    return values.tolist() if np.isfinite(values).all() else [number(float(value)) for value in values]
