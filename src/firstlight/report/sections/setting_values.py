"""Each setting that was searched against what the trials came to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from firstlight.evaluation.metrics import in_words
from firstlight.records.search_folder import Tuned, shown
from firstlight.report.document import Beside, Block, Chart, Section, Text
from firstlight.report.render.vega import SERIES, data, finish
from firstlight.report.trials import Mark, judged, layer, outcome_axis
from firstlight.text import listed
from firstlight.types import Json

HEIGHT = 200


@dataclass(frozen=True)
class Range:
    """Numbers from low to high; logarithmic where they were drawn so."""

    low: float
    high: float
    logarithmic: bool


@dataclass(frozen=True)
class SettingValues:
    """What the trials came to by the values of a setting.

    monitor   what they are judged by, as the experiment has it
    domain    the range that was searched, or the choices as text
    best      the number of the best trial
    maximise  whether a greater value is better
    """

    key: str
    monitor: str
    domain: Range | Sequence[str]
    marks: list[Mark]
    best: int
    maximise: bool

    @property
    def at_an_end(self) -> bool:
        """Whether the best value lies within a twentieth of an end of the range."""
        best = next((mark.place for mark in self.marks if mark.trial == self.best), None)
        if not isinstance(self.domain, Range) or not isinstance(best, int | float):
            return False
        scale = math.log if self.domain.logarithmic else float
        low, high = scale(self.domain.low), scale(self.domain.high)
        return not 0.05 < (scale(best) - low) / (high - low) < 0.95


def range_of(domain: Any) -> Range | None:
    """The range of numbers of a searched key, as the tune file has it; None for a list of choices."""
    if not isinstance(domain, Mapping):
        return None
    kind = next(name for name in ("uniform", "log", "int", "log_int") if name in domain)
    low, high = domain[kind]
    return Range(float(low), float(high), kind.startswith("log"))


def numbers(tuned: Tuned) -> list[SettingValues]:
    """Those of each setting, the most important first."""
    keys = sorted(tuned.space, key=lambda key: -tuned.importance.get(key, 0.0))
    return [_values(tuned, key) for key in keys]


def _values(tuned: Tuned, key: str) -> SettingValues:
    found = range_of(tuned.space[key])
    marks = []
    for trial, value in judged(tuned):
        setting = trial.values[key]
        place = shown(setting) if found is None else setting
        marks.append(Mark(trial.number, value, trial.state, trial.epochs, place, shown(setting)))
    domain = [shown(value) for value in tuned.space[key]] if found is None else found
    return SettingValues(key, tuned.monitor, domain, marks, tuned.best.number, tuned.maximise)


def chart(found: SettingValues) -> Json:
    """A mark per trial, the best one ringed; choices stand side by side."""
    if isinstance(found.domain, Range):
        low, high, logarithmic = found.domain.low, found.domain.high, found.domain.logarithmic
        x = alt.X(
            "place:Q",
            title=f"{found.key}, logarithmic" if logarithmic else found.key,
            scale=alt.Scale(type="log" if logarithmic else "linear", domain=[low, high], nice=False, padding=8),
            axis=_axis(low, high, logarithmic),
        )
    else:
        angle = 0 if sum(map(len, found.domain)) < 36 else -35
        axis = alt.Axis(labelAngle=angle, domain=False, ticks=False)
        x = alt.X("place:N", title=found.key, scale=alt.Scale(domain=list(found.domain)), axis=axis)
    best = [{"place": mark.place, "value": mark.value} for mark in found.marks if mark.trial == found.best]
    ring = (
        alt.Chart(data(best))
        .mark_point(filled=False, size=190, strokeWidth=2, color=SERIES[1], opacity=1)
        .encode(x=x, y=outcome_axis(found.monitor, found.marks))
    )
    return finish(alt.layer(layer(found.monitor, found.marks, x), ring), height=HEIGHT)


def _axis(low: float, high: float, logarithmic: bool) -> alt.Axis:
    """Powers of ten where the range has several of them, else a few round numbers."""
    if not logarithmic:
        return alt.Axis(tickCount=5, grid=False)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if len(exponents) > 3 else (1, 2, 5)
    ticks = [m * 10.0**e for e in exponents for m in steps if low <= m * 10.0**e <= high]
    return alt.Axis(values=ticks, format="~g" if low >= 1e-4 else ".0e", grid=False)


def caption(found: Sequence[SettingValues]) -> str:
    """How to read the charts, of which there is at least one."""
    quantity, edge = in_words(found[0].monitor), "upper" if found[0].maximise else "lower"
    return (
        f"The {quantity} of each trial against each setting, the most important first; the best trial is ringed. Other "
        f"settings differ from dot to dot: look at the {edge} edge of the cloud, not at its middle."
    )


def blocks(found: Sequence[SettingValues]) -> tuple[Block, ...]:
    """The charts side by side, and which ranges may be too narrow."""
    charts = tuple(
        Chart(
            spec=chart(one),
            description=f"The {in_words(one.monitor)} of the trials against {one.key}.",
            width=440,
        )
        for one in found
    )
    ends = [one.key for one in found if one.at_an_end]
    note = Text(
        f"The best value of {listed(ends)} lies at an end of its range: better ones may lie beyond. Widen the range "
        "and search again.",
        tone="note",
    )
    return (Beside(charts, caption=caption(found)), note) if ends else (Beside(charts, caption=caption(found)),)


def section(tuned: Tuned) -> Section:
    """The settings of a search of which a trial is complete."""
    return Section("Setting by setting", "settings", blocks(numbers(tuned)))


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd settings, by what is odd."""

    def values(key: str, domain: Range | Sequence[str], *places: object) -> SettingValues:
        marks = [Mark(n, 0.5 + n / 10, "complete", 3, place, str(place)) for n, place in enumerate(places, 1)]
        return SettingValues(key, "val_accuracy", domain, marks, 1, maximise=True)

    return {
        "ranges": blocks(
            [
                values("optimizer.lr", Range(1e-6, 1.0, True), 1e-3, 1e-6),
                values("model.dropout", Range(0.0, 0.5, False), 0.2, 0.5),
                values("training.batch_size", Range(16, 64, True), 32),
            ]
        ),
        "choices": blocks([values("<b>", ["[1, 8]", "constructor" * 4], "[1, 8]", "constructor" * 4)]),
    }
