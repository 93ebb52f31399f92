"""What the accuracy costs: the test accuracy against the number of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

from firstlight.records.group import Group, present
from firstlight.report.document import Block, Chart, Section
from firstlight.report.format import percent
from firstlight.report.render.vega import SHARE, data, even, finish, run_colour, run_shape
from firstlight.types import Json

KIND = "parameters"
CAPTION = (
    "What the accuracy costs in parameters, on a logarithmic axis: up and to the left is better. Means over several "
    "seeds or folds."
)


def numbers(groups: Sequence[Group]) -> dict[str, tuple[int, float]]:
    """The parameters and the mean test accuracy of each group; none where all have as many parameters."""
    found = {group.name: (max(1, group.first.parameters()), group.accuracy.mean) for group in present(groups)}
    return found if len({parameters for parameters, _ in found.values()}) > 1 else {}


def chart(found: Mapping[str, tuple[int, float]]) -> Json:
    """A mark per group, over parameters that grow tenfold a step."""
    names = list(found)
    rows = [{"run": run, "parameters": n, "accuracy": a, "shown": percent(a, 2)} for run, (n, a) in found.items()]
    parameters = [n for n, _ in found.values()]
    low, high = min(parameters) / 1.5, max(parameters) * 1.5
    ticks = [m * 10**k for k in range(10) for m in (1, 3) if low <= m * 10**k <= high]
    marks = (
        alt.Chart(data(rows))
        .mark_point(filled=True, size=110, opacity=1)
        .encode(
            x=alt.X(
                "parameters:Q",
                title="parameters",
                scale=alt.Scale(type="log", domain=[low, high], nice=False),
                axis=alt.Axis(format="~s", values=ticks, grid=False),
            ),
            y=alt.Y(
                "accuracy:Q",
                title="test accuracy",
                scale=even([[a for _, a in found.values()]], most=1, padding=12),
                axis=SHARE,
            ),
            color=run_colour(names),
            shape=run_shape(names),
            tooltip=[
                "run:N",
                alt.Tooltip("parameters:Q", format=",d"),
                alt.Tooltip("shown:N", title="test accuracy"),
            ],
        )
    )
    return finish(marks, height=240)


def blocks(found: Mapping[str, tuple[int, float]]) -> tuple[Block, ...]:
    """The chart of groups that differ in their parameters."""
    description = "Test accuracy against the number of parameters."
    return (Chart(spec=chart(found), description=description, caption=CAPTION, width=560, kind=KIND),)


def section(groups: Sequence[Group]) -> Section | None:
    """The chart, where the groups differ in their parameters."""
    found = numbers(groups)
    return Section("Accuracy against parameters", "parameters", blocks(found)) if found else None


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd models, by what is odd."""
    return {
        "none has parameters": blocks({"<b>": (1, 0.5), "constructor": (1, 0.5)}),
        "a thousandfold": blocks({"a": (500, 0.9), "b": (5_000_000, 1.0)}),
    }
