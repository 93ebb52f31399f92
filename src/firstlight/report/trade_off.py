"""What the accuracy costs: the test accuracy against the number of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

from firstlight.records.group import Group, present
from firstlight.report.document import Chart, Section
from firstlight.report.format import percent
from firstlight.report.render.vega import SHARE, data, even, finish, run_colour, run_shape
from firstlight.types import Json

CAPTION = (
    "What the accuracy costs in parameters, on an axis of equal factors: up and to the left is better. Of several "
    "seeds, the mean."
)


def numbers(groups: Sequence[Group]) -> dict[str, tuple[int, float]]:
    """The parameters and the mean test accuracy of each group; none where all have as many parameters."""
    found = {group.name: (max(1, group.first.parameters()), group.accuracy.mean) for group in present(groups)}
    return found if len({parameters for parameters, _ in found.values()}) > 1 else {}


def chart(found: Mapping[str, tuple[int, float]]) -> Json:
    """A mark a group, over parameters that grow tenfold a step."""
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


def section(groups: Sequence[Group]) -> Section | None:
    """The chart, where the groups differ in their parameters."""
    found = numbers(groups)
    if not found:
        return None
    drawn = Chart(
        spec=chart(found), description="Test accuracy against the number of parameters.", caption=CAPTION, width=560
    )
    return Section("Accuracy against parameters", "parameters", (drawn,))
