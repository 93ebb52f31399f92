"""What the settings of a full matrix do to the test accuracy: main effects, and curves over settings that are numbers.

Numbers first, then their drawing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np

from firstlight.evaluation import Spread
from firstlight.records.group import Group, differences
from firstlight.report.document import Block, Chart, Section, Table
from firstlight.report.format import counted, percent, signed
from firstlight.report.render.vega import SHARE, Values, data, even, finish, run_colour, run_shape
from firstlight.report.tasks import by_task
from firstlight.text import listed
from firstlight.types import Json

WIDE = 10  # the ratio of the greatest to the least value from which an axis is logarithmic


@dataclass(frozen=True)
class Effect:
    """The mean test accuracy of all groups in which a setting has one value: its main effect, and of how many."""

    key: str
    value: object
    mean: float
    groups: int


def factors(groups: Sequence[Group]) -> dict[str, list[object]]:
    """The settings in which groups differ, with their values, where the groups are every combination of these once."""
    asked = [group.settings for group in groups]
    found = {key: list({str(v): v for v in values}.values()) for key, values in differences(asked).items()}
    combinations = {tuple(str(table.get(key)) for key in found) for table in asked}
    whole = len(groups) == len(combinations) == np.prod([len(values) for values in found.values()])
    return found if found and whole else {}


def numbers(groups: Sequence[Group]) -> list[Effect]:
    """The main effects of at least two settings of a full matrix; none where there is no such matrix."""
    varied = factors(groups)
    if len(varied) < 2:
        return []
    found = []
    for key, values in varied.items():
        for value in values:
            means = [g.accuracy.mean for g in groups if str(g.settings.get(key)) == str(value)]
            found.append(Effect(key, value, float(np.mean(means)), len(means)))
    return found


def table(found: Sequence[Effect]) -> Table:
    rows: list[tuple[str, ...]] = []
    strong = set[int]()
    for _, same in itertools.groupby(found, key=lambda effect: effect.key):
        level = list(same)
        top = max(effect.mean for effect in level)
        for effect in level:
            if effect.mean == top:
                strong.add(len(rows))
            less = signed(effect.mean - top) if effect.mean < top else ""
            rows.append(
                (effect.key, str(effect.value), percent(effect.mean, 2), less, counted(effect.groups, "combination"))
            )
    return Table(
        titles=("setting", "value", "mean test accuracy", "less than the highest, points", "mean of"),
        rows=tuple(rows),
        right=frozenset({2, 3}),
        strong=frozenset(strong),
        caption="Main effects: the test accuracy for each value of a setting, averaged over all combinations of the "
        "others. If the best value of one setting depends on another one (an interaction), look at the combinations "
        "themselves. Do not choose settings by these: that would be selection on the test images.",
    )


def curve(groups: Sequence[Group], key: str, others: Sequence[str]) -> dict[str, list[tuple[float, Spread]]]:
    """The test accuracies by the values of `key`, in order, a line for each combination of the other settings."""
    found: dict[str, list[tuple[float, Spread]]] = {}
    for group in groups:
        asked = group.settings
        name = ", ".join(f"{other.rpartition('.')[2]} {asked.get(other)}" for other in others) or "test accuracy"
        found.setdefault(name, []).append((float(asked[key]), group.accuracy))  # type: ignore[arg-type]
    return {name: sorted(line, key=lambda point: point[0]) for name, line in found.items()}


def curve_block(lines: Mapping[str, Sequence[tuple[float, Spread]]], key: str, others: Sequence[str]) -> Chart:
    """The test accuracy over a setting; a line for each combination of `others`."""
    several = any(spread.sd for line in lines.values() for _, spread in line)
    return Chart(
        spec=chart(lines, key),
        description=f"Test accuracy over {key}{f', for each {listed(list(others))}' if others else ''}.",
        caption=f"The test accuracy over {key}"
        f"{', a line for each combination of the other settings' if others else ''}"
        f"{'; the bars reach one standard deviation over the seeds to either side' if several else ''}.",
        width=640,
    )


def chart(lines: Mapping[str, Sequence[tuple[float, Spread]]], key: str) -> Json:
    """The test accuracy over the values of a setting, with a bar of one standard deviation to either side."""
    rows: Values = []
    for name, line in lines.items():
        for value, spread in line:
            sd = spread.sd or 0.0
            at = {"run": name, "at": value, "value": spread.mean, "shown": percent(spread.mean, 2)}
            rows.append({**at, "low": max(0.0, spread.mean - sd), "high": min(1.0, spread.mean + sd)})
    places = [row["at"] for row in rows]
    logarithmic = min(places) > 0 and max(places) / min(places) >= WIDE
    scale = alt.Scale(type="log", nice=False) if logarithmic else alt.Scale(zero=False, nice=False, padding=12)
    axis = alt.Axis(values=sorted(set(places)), format="~g", grid=False, labelOverlap=True)
    y = alt.Y(
        "value:Q",
        title="test accuracy",
        axis=SHARE,
        scale=even([[row[k] for row in rows] for k in ("low", "high")], most=1),
    )
    legend = len(lines) > 1
    base = alt.Chart(data(rows)).encode(
        x=alt.X("at:Q", title=f"{key}, logarithmic" if logarithmic else key, scale=scale, axis=axis),
        color=run_colour(list(lines), legend=legend),
        tooltip=["run:N", alt.Tooltip("at:Q", title=key), alt.Tooltip("shown:N", title="test accuracy")],
    )
    layers = [
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, size=44, opacity=1).encode(y=y, shape=run_shape(list(lines), legend=legend)),
    ]
    if any(row["low"] < row["high"] for row in rows):
        low = y.copy()
        low.shorthand = "low:Q"
        layers.insert(0, base.mark_rule(opacity=0.6).encode(y=low, y2="high:Q"))
    return finish(alt.layer(*layers), height=260)


def blocks(groups: Sequence[Group]) -> list[Block]:
    """A table of the main effects, and the accuracy over each setting that is a number with three values or more."""
    made: list[Block] = []
    if found := numbers(groups):
        made.append(table(found))
    varied = factors(groups)
    for key, values in varied.items():
        if len(values) >= 3 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            others = [other for other in varied if other != key]
            made.append(curve_block(curve(groups, key, others), key, others))
    return made


def section(groups: Sequence[Group]) -> Section | None:
    """The effects in each task that is a full matrix."""
    return by_task("Effects of the settings", "effects", groups, blocks)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd effects, by what is odd."""
    effects = [Effect("model.name", "<b>", 0.9, 2), Effect("model.name", "c", 0.8, 2), Effect("constructor", 1, 0.9, 2)]
    lines = {
        name: [(value, Spread(3, 0.5 + value / 4, 0.02)) for value in (0.001, 0.1, 1.0)] for name in ("lr 1", "<b>")
    }
    alone = {"test accuracy": [(value, Spread(1, 0.9, None)) for value in (-1.0, 0.0, 1.0)]}
    return {
        "effects": (table(effects),),
        "lines with bars": (curve_block(lines, "optimizer.lr", ["model.name"]),),
        "one line": (curve_block(alone, "data.limit", []),),
    }
