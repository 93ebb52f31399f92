"""Predictions as a table: CSV, JSON lines or Parquet, written row by row, and there when it is whole.

path, class, probability, then class_2, probability_2, … of the next ones, and reason; label is the true class, where
classes are compared. none_of_these and strangeness stand before the reason where the run can tell. JSON lines name the
classes with their probabilities in a list, `top`.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from firstlight.errors import ExperimentError
from firstlight.files import writing
from firstlight.inference import Prediction
from firstlight.records.run_folder import require_other
from firstlight.text import listed, printable_name

ROWS = 8_192  # of a row group in Parquet, which are in memory together
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that a spreadsheet computes

Write = Callable[[Prediction], object]


@dataclass(frozen=True)
class Columns:
    """What a table has columns for.

    top       how many classes
    labelled  whether true classes
    novelty   whether what is of none of the classes
    """

    top: int
    labelled: bool = False
    novelty: bool = False

    @property
    def names(self) -> list[str]:
        more = [name for k in range(2, self.top + 1) for name in (f"class_{k}", f"probability_{k}")]
        label = ["label"] if self.labelled else []
        novelty = ["none_of_these", "strangeness"] if self.novelty else []
        return ["path", *label, "class", "probability", *more, *novelty, "reason"]

    def row(self, prediction: Prediction) -> dict[str, Any]:
        """The cells by column; None where there is nothing."""
        ranked = [cell for name, p in prediction.top[: self.top] for cell in (name, _digits(p))]
        ranked += [None] * (2 * self.top - len(ranked))
        label = [prediction.true_class or None] if self.labelled else []
        novelty = [prediction.none_of_these, _digits(prediction.strangeness)] if self.novelty else []
        cells = [printable_name(prediction.path), *label, *ranked, *novelty, prediction.reason or None]
        return dict(zip(self.names, cells, strict=True))


@contextmanager
def prediction_table(path: Path, *, top: int, labelled: bool = False, novelty: bool = False) -> Iterator[Write]:
    """What takes the predictions, in order; where it ends without an error, the table is at `path`, as its ending says.

    top       how many classes there are columns for
    labelled  whether there is a column of true classes
    novelty   whether there are columns of what is of none of the classes

    Raises ExperimentError for another ending, or where pyarrow is missing; OSError where it cannot be written.
    """
    open_table = format_of(path)
    require_other(path)
    with writing(path) as file, open_table(file, Columns(top, labelled, novelty)) as write:
        yield write


def format_of(path: Path) -> Callable[[BinaryIO, Columns], Any]:
    """What writes a table with the ending of `path`. Raises ExperimentError where nothing can."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise ExperimentError(f"--out {path}: a table ends in {listed(FORMATS, 'or')}; Excel opens .csv.")
    if found is _parquet:
        _pyarrow()
    return found


@contextmanager
def _csv(file: BinaryIO, columns: Columns) -> Iterator[Write]:
    """As RFC 4180 has it, in UTF-8, and safe in a spreadsheet: no cell is a formula."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    table = csv.writer(text)
    table.writerow(columns.names)

    def write(prediction: Prediction) -> None:
        row = columns.row(prediction)
        row["path"] = _no_formula_path(prediction.path)
        table.writerow([_cell(value) for value in row.values()])

    yield write
    text.flush()
    text.detach()


@contextmanager
def _json_lines(file: BinaryIO, columns: Columns) -> Iterator[Write]:
    def write(prediction: Prediction) -> None:
        row = replace(columns, top=1).row(prediction)
        reason = row.pop("reason")
        ranked = [{"class": name, "probability": _digits(p)} for name, p in prediction.top[: columns.top]]
        line = json.dumps({**row, "top": ranked, "reason": reason}, ensure_ascii=False, allow_nan=False)
        file.write(line.encode(errors="backslashreplace") + b"\n")

    yield write


@contextmanager
def _parquet(file: BinaryIO, columns: Columns) -> Iterator[Write]:
    pyarrow, parquet = _pyarrow()
    kinds = {"none_of_these": pyarrow.bool_(), "strangeness": pyarrow.float64()}

    def kind(name: str) -> Any:
        return pyarrow.float64() if name.startswith("probability") else kinds.get(name, pyarrow.string())

    schema = pyarrow.schema([(name, kind(name)) for name in columns.names])
    rows: list[Mapping[str, Any]] = []
    with parquet.ParquetWriter(file, schema) as table:

        def flush() -> None:
            if rows:
                table.write_batch(pyarrow.RecordBatch.from_pylist(rows, schema=schema))
                rows.clear()

        def write(prediction: Prediction) -> None:
            rows.append(columns.row(prediction))
            if len(rows) == ROWS:
                flush()

        yield write
        flush()


FORMATS: dict[str, Callable[[BinaryIO, Columns], Any]] = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ExperimentError(
            'A table in Parquet needs pyarrow: pip install "firstlight[parquet]". Otherwise, write a .csv or .jsonl.'
        ) from None
    return pyarrow, parquet


def _digits(number: float) -> float | None:
    """Seven digits, as many as the net's numbers have."""
    return None if math.isnan(number) else float(f"{number:.7g}")


def _cell(value: Any) -> Any:
    """A cell of a CSV. An apostrophe before what begins as a formula is how a spreadsheet is told that it is a text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(FORMULAS) and not _is_number(value):
        return f"'{value}"
    return value


def _no_formula_path(path: str) -> str:
    """The same file, by a path that no spreadsheet takes for a formula."""
    name = printable_name(path)
    return f".{os.sep}{name}" if name.startswith(FORMULAS) else name


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
