"""ARFF, the format of Weka that OpenML publishes: a head with an attribute per line, then a row of values per line."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from firstlight.data.formats import FILE_LIMIT
from firstlight.errors import DataError, brief
from firstlight.files import open_file
from firstlight.types import Array

LONGEST_LINE = 16_000_000  # bytes: a row of a million numbers
BLOCK = 1_000  # rows that are read at a time

# Each character is looked at once, whatever a line holds: what has matched is not given back.
_QUOTED = r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\""""
_ATTRIBUTE = re.compile(rf"@attribute\s++({_QUOTED}|[^\s{{]++)\s*+(\{{.*|\w++)", re.IGNORECASE)
_VALUE = re.compile(rf"\s*+({_QUOTED}|[^,{{}}]*+)\s*+([,}}])")


@dataclass(frozen=True)
class Attribute:
    """A column: its name, and the values that it may have, in order; none where it is a number or a text."""

    name: str
    numeric: bool
    values: tuple[str, ...] = ()


class Arff:
    """A dense ARFF file, of which rows are read block by block.

    Raises DataError where it is none, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attributes: list[Attribute] = []
        with self._open() as file:
            for _ in self._head(file):
                pass
        names = [attribute.name for attribute in self.attributes]
        if len(set(names)) < len(names):
            raise DataError(f"{path}: two of its attributes have one name.")

    def rows(self, target: str, used: Sequence[str]) -> Iterator[tuple[list[str], Array]]:
        """The target's values as text, and those of the numeric attributes `used`, float64 (n, F): a block at a time.

        Raises DataError, with the line, where a row has other cells, or a value is missing.
        """
        names = [attribute.name for attribute in self.attributes]
        at = names.index(target)
        others = [i for i in range(len(names)) if i != at]
        columns = np.array([others.index(names.index(name)) for name in used])
        needed = set(columns.tolist())
        plain = at in (0, len(names) - 1) and all(self.attributes[i].numeric for i in others)
        labels: list[str] = []
        rows: list[Array] = []
        with self._open() as file:
            line = sum(1 for _ in self._head(file))
            while text := self._line(file):
                line += 1
                row = text.strip()
                if not row or row.startswith(b"%"):
                    continue
                try:
                    label, numbers = self._plain(row, at) if plain else self._cells(row, at, others, needed)
                    if len(numbers) != len(others):
                        raise ValueError(f"{len(numbers) + 1} values")
                except ValueError as error:
                    raise DataError(
                        f"{self.path}, line {line}: {len(names)} values were expected, a number for each attribute but "
                        f"{brief(target, 60)}; received {brief(row[:80].decode('utf-8', 'replace'))!r} ({error})."
                    ) from None
                labels.append(label)
                rows.append(numbers[columns])
                if len(rows) == BLOCK:
                    yield labels, np.stack(rows)
                    labels, rows = [], []
        if rows:
            yield labels, np.stack(rows)

    def _open(self) -> BinaryIO:
        try:
            return open_file(self.path, limit=FILE_LIMIT)
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}.") from None

    def _line(self, file: BinaryIO) -> bytes:
        text = file.readline(LONGEST_LINE)
        if len(text) == LONGEST_LINE:
            raise DataError(f"{self.path}: a line of more than {LONGEST_LINE:,} bytes is none of an ARFF file.")
        return text

    def _head(self, file: BinaryIO) -> Iterator[None]:
        """Each line up to @data; the attributes are kept."""
        self.attributes = []
        while raw := self._line(file):
            yield
            text = raw.decode("utf-8", "replace").strip()
            key = text[:10].casefold()
            if key.startswith("@data"):
                return
            if key.startswith("@attribute"):
                self.attributes.append(self._attribute(text))
            elif text and not text.startswith("%") and not key.startswith("@relation"):
                break
        raise DataError(f"{self.path}: not an ARFF file, or its head is damaged: there is no line @data.")

    def _attribute(self, text: str) -> Attribute:
        found = _ATTRIBUTE.match(text)
        if found is None:
            raise DataError(f"{self.path}: an attribute has a name and a type; received {brief(text)!r}.")
        name, kind = _bare(found[1]), found[2]
        if kind.startswith("{"):
            return Attribute(name, False, tuple(value for value in self._values(kind) if value))
        return Attribute(name, kind.casefold() in ("numeric", "real", "integer"))

    def _values(self, text: str) -> Iterator[str]:
        """The values in braces, whatever stands behind."""
        at, end = 1, ","
        while end == ",":
            found = _VALUE.match(text, at)
            if found is None:
                raise DataError(f"{self.path}: the values of an attribute stand in braces; received {brief(text)!r}.")
            yield _bare(found[1].strip())
            at, end = found.end(), found[2]

    def _plain(self, row: bytes, at: int) -> tuple[str, Array]:
        """A row of numbers with the target at one end."""
        numbers, _, label = row.rpartition(b",") if at else row.partition(b",")[::-1]
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what is not a number
            try:
                values = np.fromstring(numbers.decode("ascii"), np.float64, sep=",")
            except (DeprecationWarning, UnicodeDecodeError):
                raise ValueError("not a row of numbers") from None
        return _given(_bare(label.decode("utf-8").strip())), values

    def _cells(self, row: bytes, at: int, others: Sequence[int], columns: set[int]) -> tuple[str, Array]:
        """A row with other cells than numbers; only those of `columns`, places among `others`, need be numbers."""
        text = row.decode("utf-8")
        quote = "'" if "'" in text else '"'
        try:
            [cells] = csv.reader([text], quotechar=quote, escapechar="\\", skipinitialspace=True)
        except csv.Error as error:
            raise ValueError(str(error)) from None
        if len(cells) != len(others) + 1:
            raise ValueError(f"{len(cells)} values")
        values = np.array([float(cells[i]) if k in columns else 0.0 for k, i in enumerate(others)])
        return _given(_bare(cells[at].strip())), values


def _given(label: str) -> str:
    if label in ("?", ""):
        raise ValueError("the class is missing")
    return label


def _bare(text: str) -> str:
    """A name or a value without its quotation marks."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
