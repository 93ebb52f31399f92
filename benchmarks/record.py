"""docs/why/benchmarks.json: every section as it was last measured, with where and when."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS, versions
from benchmarks.rounds import Summary, fastest, ratio, summary
from benchmarks.sections import Options
from firstlight.experiments.environment import environment
from firstlight.files import write_json
from firstlight.kernels._vectors import HAS_BFLOAT16, VECTOR_BYTES
from firstlight.records.codec import encode
from firstlight.types import Json

FORMAT = 1
NAME = "benchmarks.json"


class RecordError(Exception):
    """The record cannot be read, or has not what is asked of it."""


def read(path: Path) -> Json:
    """The record at `path`; an empty one where there is none. Raises RecordError for anything else."""
    if not path.exists():
        return {"format": FORMAT, "sections": {}}
    try:
        record: Any = json.loads(path.read_text())
        if record["format"] != FORMAT:
            raise ValueError(f"its format is {record['format']!r}, not {FORMAT}")
        if not isinstance(record["sections"], dict):
            raise ValueError("its sections are not table")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{path} is not a record of benchmarks: {error}. Remove it, or name another folder."
        ) from None
    return record


def put(path: Path, section: str, found: Json, options: Options, seconds: float) -> None:
    """Put what was measured in place of what the section was before."""
    record = read(path)
    record["sections"][section] = {
        **encode(environment()),
        "versions": versions(),
        "instructions": _instructions(),
        "rounds": options.rounds,
        "quick": options.quick,
        "seconds": round(seconds, 1),
        **_rounded(found),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record)


def _instructions() -> str:
    """The widest vectors that the compiled loops use here: a virtual machine's name of its processor hides them."""
    widest = {64: "AVX-512", 32: "AVX2"}.get(VECTOR_BYTES, "vectors of 16 bytes")
    return f"{widest} BF16" if HAS_BFLOAT16 else widest


def label(name: str) -> str:
    """A contestant's name for the reader."""
    return CONTESTANTS[name].label if name in CONTESTANTS else name


def case(section: Json, name: str) -> Json | None:
    """The case of that name, if it was measured."""
    return next((found for found in section.get("cases", []) if found["name"] == name), None)


def times_faster(found: Json, peers: Sequence[str]) -> tuple[str, float, float] | None:
    """(the fastest of `peers`, how many times longer it takes by medians, by rounds); None without any of them."""
    turns = found["turns"]
    peer = fastest(turns, peers)
    return None if peer is None else (peer, *ratio(turns[peer], turns["firstlight"]))


def ms(values: Sequence[float]) -> str:
    """ "1.23 ± 0.04" of seconds, in milliseconds, to three figures of the median."""
    found = summary([value * 1e3 for value in values])
    return f"{figures(found.median)} ± {figures(found.spread, like=found.median)}"


def seconds(values: Sequence[float]) -> str:
    """ "1.23 ± 0.04 s"; without a spread for a single one."""
    found: Summary = summary(values)
    spread = f" ± {figures(found.spread, like=found.median)}" if found.n > 1 else ""
    return f"{figures(found.median)}{spread} s"


def figures(value: float, like: float | None = None) -> str:
    """Three figures, or as many decimals as `like` has then."""
    places = max(0, 2 - math.floor(math.log10(abs(like or value)))) if (like or value) else 0
    return f"{value:.{min(places, 4)}f}"


def _rounded(value: Any) -> Any:
    """Six figures are enough for any time."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
