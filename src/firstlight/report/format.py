"""How numbers are written for people: commas between thousands, shares as percentages, fitting units of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from firstlight.evaluation import Evaluation, MetricScore, Spread
from firstlight.records.result import Shown
from firstlight.text import listed

THIN = "\u202f"  # a narrow space that does not break the line
DASH = "–\u2060"  # a dash after which the line does not break
UNDEFINED = "—"

LOCALE = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", ""], "percent": f"{THIN}%"}


def count(value: int) -> str:
    """An integer: 61,706."""
    return f"{value:,}"


def file_size(size: int) -> str:
    """A number of bytes: 247 KB, 3.4 MB (of 1,000 and of a million)."""
    if size < 1_000_000:
        return f"{max(size // 1000, 1) if size else 0:,} KB"
    return f"{size / 1e6:.1f} MB"


def counted(value: int, noun: str) -> str:
    """A number of things: "1 image", "2 images"."""
    plural = noun if value == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count(value)} {plural}"


def task_name(data: str, class_names: Sequence[str]) -> str:
    """What runs were tested on: "digits, 0, 1 and 2"."""
    return f"{data}, {listed(list(class_names)) if len(class_names) <= 3 else counted(len(class_names), 'class')}"


def bare_percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage without its sign; only a whole is shown as 100 and only nothing as 0."""
    if share is None:
        return UNDEFINED
    text = f"{100 * share:.{digits}f}"
    smallest = 10**-digits
    if share < 1 and float(text) == 100:
        return f">{100 - smallest:.{digits}f}"
    if share > 0 and float(text) == 0:
        return f"<{smallest:.{digits}f}"
    return text


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage: 98.3 %."""
    text = bare_percent(share, digits)
    return text if share is None else f"{text}{THIN}%"


def plus_minus(spread: Spread) -> str:
    """A mean share with its standard deviation: 98.31 ± 0.12 %; a single number has none."""
    sd = "" if spread.sd is None else f" ± {100 * spread.sd:.2f}"
    return f"{bare_percent(spread.mean, 2)}{sd}{THIN}%".replace(" ", "\u00a0")


def interval(bounds: tuple[float, float] | None) -> str:
    """An interval of shares: 96.4–99.2 %."""
    if bounds is None:
        return UNDEFINED
    return f"{bare_percent(bounds[0])}{DASH}{bare_percent(bounds[1])}{THIN}%"


def measured(shown: MetricScore, found: Spread) -> str:
    """A mean of a metric with its standard deviation: 98.31 ± 0.12 %, or 0.8731 ± 0.0040."""
    if shown.percent:
        return plus_minus(found)
    sd = "" if found.sd is None else f"\u00a0±\u00a0{decimal(found.sd)}"
    return f"{decimal(found.mean)}{sd}".replace("-", "−")


def scored(score: MetricScore) -> str:
    """What a metric says, with its interval where there is one: 88.56 % (85.4–91.6 %)."""
    if score.value is None:
        return UNDEFINED
    within = f" ({measured_interval(score, score.interval)})" if score.interval else ""
    return f"{measured(score, Spread(1, score.value, None))}{within}"


def measured_interval(shown: MetricScore, bounds: tuple[float, float] | None) -> str:
    """The interval of a metric: 96.4–99.2 %, or 0.8358–0.9070."""
    if shown.percent or bounds is None:
        return interval(bounds)
    low, high = (decimal(bound).replace("-", "−") for bound in bounds)
    return f"{low}{DASH}{high}" if bounds[0] >= 0 else f"{low} to {high}"


def points(difference: float) -> str:
    """A difference of two shares, in percentage points."""
    return f"{100 * abs(difference):.1f} percentage points"


def signed(difference: float | None) -> str:
    """A difference of shares in points, with its sign: +0.42."""
    return UNDEFINED if difference is None else f"{100 * difference:+.2f}".replace("-", "−")


def decimal(value: float | None, digits: int = 4) -> str:
    """A plain number such as a loss; one that would fill the line is written with its power of ten: 3.6e+30."""
    if value is None:
        return UNDEFINED
    return f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.{digits}g}"


def seconds(value: float | None) -> str:
    """A duration: 0.42 s, 12.3 s, 4 min 05 s, 1 h 12 min."""
    if value is None:
        return UNDEFINED
    if value < 59.95:
        return f"{value:.{1 if value >= 1 else 2}f}{THIN}s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}{THIN}min {rest:02d}{THIN}s"
    return f"{minutes // 60}{THIN}h {minutes % 60:02d}{THIN}min"


def significant(value: float) -> str:
    """A number of any size to three digits: 0.000123, 1.5e+06."""
    return f"{value:.3g}".replace("-", "−")


WRITTEN: Mapping[str, Callable[[float], str]] = {
    "count": lambda value: count(round(value)),
    "decimal": decimal,
    "percent": percent,
    "seconds": seconds,
    "significant": significant,
}


def recorded(shown: Shown, value: float | None) -> str:
    """A number of a record, as that says it is shown."""
    return UNDEFINED if value is None else f"{WRITTEN[shown.text](value)}{shown.unit}"


def date(iso: str | None) -> str:
    """A moment in ISO format as a day and a time."""
    try:
        moment = datetime.fromisoformat(iso or "")
    except ValueError:
        return iso or ""
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def shape(sizes: object) -> str:
    """A shape: 28 × 28 × 1, on one line."""
    return "\u00a0×\u00a0".join(str(size) for size in sizes) if isinstance(sizes, list | tuple) else str(sizes)


def channels_last(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """A shape (C, H, W) of the engine as people and files write it, (H, W, C); others stay as they are."""
    return (*sizes[1:], sizes[0]) if len(sizes) == 3 else tuple(sizes)


def accuracy(evaluation: Evaluation) -> str:
    """An accuracy with its interval: 98.3 % (96.4–99.2 %)."""
    return f"{percent(evaluation.accuracy)} ({interval(evaluation.accuracy_interval)})"


def exponent(value: float | None) -> str:
    """A difference in two digits: 3.1e-16; 0 only where there is none."""
    if value is None:
        return DASH
    if math.isinf(value):
        return "∞"
    return f"{value:.1e}" if value else "0"


def power(value: float) -> str:
    """A round number such as a tolerance: 1e-9."""
    return f"{value:.0e}".replace("e-0", "e-")


def milliseconds(seconds: float) -> str:
    """A short time in three digits."""
    return f"{1000 * seconds:.3g}"
