"""The trials of a search as marks: what their charts share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from firstlight.evaluation.metrics import in_words, is_percent
from firstlight.records.search_folder import ENDED, TrialRecord, Tuned
from firstlight.report.format import UNDEFINED, decimal, percent
from firstlight.report.render.vega import NUMBER, SERIES, SHARE, data, even
from firstlight.types import Json

STATES = {"complete": "to its end", "pruned": "stopped early"}
LOOKS = {"complete": ("circle", SERIES[0]), "pruned": ("cross", "var(--muted)")}


@dataclass(frozen=True)
class Mark:
    """A trial that has a value and did not fail.

    state   "complete" or "pruned"
    place   where it stands along the foot: its number, or the value of a setting
    told    the value of the setting as text, where it stands by one
    """

    trial: int
    value: float
    state: str
    epochs: int
    place: object
    told: str = ""

    def row(self) -> Json:
        return {
            "trial": self.trial,
            "value": self.value,
            "state": STATES[self.state],
            "epochs": self.epochs,
            "place": self.place,
            "told": self.told,
        }


def ended(tuned: Tuned) -> list[TrialRecord]:
    """The trials that came to an end, whichever."""
    return [trial for trial in tuned.trials if trial.state in ENDED]


def judged(tuned: Tuned) -> list[tuple[TrialRecord, float]]:
    """The trials that have a value and did not fail, with it."""
    return [(trial, trial.value) for trial in tuned.trials if trial.state in STATES and trial.value is not None]


def value_text(monitor: str, value: float | None) -> str:
    """What a trial is judged by, as shown: an accuracy as a percentage, a loss as a number."""
    if value is None:
        return UNDEFINED
    return percent(value) if is_percent(monitor) else decimal(value)


def outcome_axis(monitor: str, marks: list[Mark]) -> alt.Y:
    """The upright axis of what trials are judged by; of a loss that is spread wide, logarithmic."""
    values, title = [mark.value for mark in marks], in_words(monitor)
    if is_percent(monitor):
        return alt.Y("value:Q", title=title, scale=even([values], most=1), axis=SHARE)
    if max(values) > 100 * min(values) > 0:
        axis = alt.Axis(tickCount=5, format=".3~g")
        return alt.Y("value:Q", title=f"{title}, logarithmic", scale=alt.Scale(type="log"), axis=axis)
    return alt.Y("value:Q", title=title, scale=even([values]), axis=NUMBER)


def layer(monitor: str, marks: list[Mark], x: alt.X) -> alt.Chart:
    """A mark per trial, a cross where it was stopped early."""
    kinds = [state for state in STATES if any(mark.state == state for mark in marks)]
    legend = alt.Legend() if len(kinds) > 1 else None

    def scale(which: int) -> Mapping[str, Any]:
        names, looks = [STATES[kind] for kind in kinds], [LOOKS[kind][which] for kind in kinds]
        return {"scale": alt.Scale(domain=names, range=looks), "legend": legend}

    tooltip: list[Any] = [
        "trial:Q",
        alt.Tooltip("value:Q", title=in_words(monitor), format=".2%" if is_percent(monitor) else ".4~g"),
        "epochs:Q",
        alt.Tooltip("state:N", title="trained"),
    ]
    if any(mark.told for mark in marks):
        tooltip.append(alt.Tooltip("told:N", title="setting"))
    return (
        alt.Chart(data([mark.row() for mark in marks]))
        .mark_point(filled=True, size=55, opacity=0.85)
        .encode(
            x=x,
            y=outcome_axis(monitor, marks),
            shape=alt.Shape("state:N", **scale(0)),
            color=alt.Color("state:N", **scale(1)),
            tooltip=tooltip,
        )
    )
