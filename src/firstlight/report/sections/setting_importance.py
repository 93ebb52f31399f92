"""The importance of the settings that were searched: how much of the spread of the trials' values each explains."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt

from firstlight.records.search_folder import Tuned
from firstlight.report.document import Block, Chart, Section, Text
from firstlight.report.format import counted
from firstlight.report.render.vega import SHARE, data, finish
from firstlight.types import Json

NONE = "Too few trials are complete, or all are equal: the importance of the settings cannot be estimated."


def numbers(tuned: Tuned) -> Mapping[str, float]:
    """The share of each setting, by fANOVA; empty where that cannot be told."""
    return tuned.importance


def chart(shares: Mapping[str, float]) -> Json:
    """A bar for each setting."""
    rows = [{"setting": key, "share": share} for key, share in shares.items()]
    axis = alt.Axis(domain=False, ticks=False, labelPadding=6, labelLimit=180)
    bars = (
        alt.Chart(data(rows))
        .mark_bar(opacity=0.75)
        .encode(
            x=alt.X("share:Q", title="share of the variance explained", scale=alt.Scale(domain=[0, 1]), axis=SHARE),
            y=alt.Y("setting:N", title=None, scale=alt.Scale(domain=list(shares)), axis=axis),
            tooltip=["setting:N", alt.Tooltip("share:Q", format=".1%")],
        )
    )
    return finish(bars, height={"step": 24})


def caption(complete: int) -> str:
    """How it was found, from how many complete trials."""
    return (
        "How much of the variance of the complete trials’ values each setting explains, by itself or in interaction "
        f"with others (fANOVA, a forest fitted to {counted(complete, 'complete trial')}; the shares add up to one). An "
        "unimportant setting need not be searched the next time. With few trials this is only a hint."
    )


def blocks(shares: Mapping[str, float], complete: int) -> tuple[Block, ...]:
    """The chart, or that there is none."""
    if not shares:
        return (Text(NONE, tone="note"),)
    description = "The importance of each searched setting."
    return (Chart(spec=chart(shares), description=description, caption=caption(complete), width=560),)


def section(tuned: Tuned) -> Section:
    """The importance of the settings of a search."""
    return Section("Importance of the settings", "importance", blocks(numbers(tuned), len(tuned.complete)))


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd shares, by what is odd."""
    return {
        "two": blocks({"optimizer.lr": 0.75, "<b>": 0.25}, 10),
        "all of it": blocks({"constructor": 1.0, "b": 0.0}, 1),
        "none": blocks({}, 1),
    }
