"""The loss within the epochs: the mean of every so many steps of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np

from firstlight.records.group import Group
from firstlight.report.document import Block, Chart, Section
from firstlight.report.render.vega import SERIES, data, finish, loss_axis, plain
from firstlight.types import Array, Json


def numbers(group: Group) -> Mapping[str, Array] | None:
    """The columns step and loss of a single run; None where they were not kept."""
    found = group.first.run.costs if len(group.runs) == 1 else None
    return found if found is not None and len(found["step"]) else None


def chart(columns: Mapping[str, Array]) -> Json:
    """The mean loss of every so many steps; hover reads it."""
    y, form = loss_axis("loss", [columns["loss"]])
    values = zip(plain(columns["step"]), plain(columns["loss"]), strict=True)
    x = alt.X(
        "step:Q", title="step", axis=alt.Axis(format=",d", tickMinStep=1, grid=False), scale=alt.Scale(nice=False)
    )
    drawn = (
        alt.Chart(data([{"step": step, "value": cost} for step, cost in values]))
        .mark_line(strokeWidth=1.5, color=SERIES[0], point=alt.OverlayMarkDef(size=16, filled=True, color=SERIES[0]))
        .encode(
            x=x, y=y, tooltip=[alt.Tooltip("step:Q", format=",d"), alt.Tooltip("value:Q", title="loss", format=form)]
        )
    )
    return finish(drawn, height=240)


def caption(columns: Mapping[str, Array]) -> str:
    every = int(columns["step"][0])
    return (
        f"The mean training loss of every {every:,} steps. How fast it falls within the first epoch shows how "
        "training starts; a jagged curve, that the steps are large for what is left to learn."
    )


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 and groups[0].runs else None
    return None if found is None else Section("Loss within the epochs", "steps", blocks(found))


def blocks(columns: Mapping[str, Array]) -> tuple[Block, ...]:
    described = "Loss within the epochs, by steps."
    return (Chart(chart(columns), described, caption(columns), width=880, kind="step-loss"),)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd losses, by what is odd."""
    steps = np.arange(1.0, 6) * 50
    losses = {"falling": (0.9, 0.5, 0.3, 0.2, 0.1), "not finite": (0.9, np.inf, 1e300, np.nan, 1), "one": (0.9,)}
    return {name: blocks({"step": steps[: len(v)], "loss": np.array(v, float)}) for name, v in losses.items()}
