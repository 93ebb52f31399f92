"""Groups that differ only in the engine: how far their losses agree, and what an epoch costs each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np

from firstlight.evaluation import Spread
from firstlight.records.group import Group, differences, present
from firstlight.report.document import Beside, Block, Chart, Heading, Section, Table
from firstlight.report.format import THIN, UNDEFINED, counted, exponent, plus_minus
from firstlight.report.format import seconds as duration
from firstlight.report.render.vega import SERIES, Values, data, epoch_axis, epoch_range, finish, loss_axis, plain
from firstlight.types import Array, Json

OF_THE_ENGINE = frozenset({"engine", "kernels", "device", "exact_noise"})  # settings that change no mathematics
LEAST = 1e-17  # where no difference is drawn on a logarithmic axis


@dataclass(frozen=True)
class Side:
    """What came of one of the engines: the test accuracy, and the median seconds of an epoch."""

    name: str
    engine: str
    accuracy: Spread
    seconds: float | None


@dataclass(frozen=True, eq=False)
class Engines:
    """Two groups that differ in nothing but the engine.

    losses  the training loss of both by epoch, float64 (E,), of `run`, the first seed (or fold) that both have
    apart   |a − b| / |b| of their training losses by epoch, for each run that both have; empty where none is finite
    """

    sides: tuple[Side, Side]
    run: str
    losses: tuple[Array, Array]
    apart: Mapping[str, Sequence[float]]


def numbers(groups: Sequence[Group]) -> list[Engines]:
    """The groups that differ in their engine and in nothing that changes what is computed, two by two."""
    return [
        _engines(first, second)
        for first, second in itertools.combinations(present(groups), 2)
        if _only_engine(first, second)
    ]


def _only_engine(first: Group, second: Group) -> bool:
    apart = differences([first.settings, second.settings]).keys()
    return "engine" in apart and apart <= OF_THE_ENGINE


def _engines(first: Group, second: Group) -> Engines:
    losses = {
        first.title(key): (run.history["loss"], second.averaged[key].history["loss"])
        for key, run in first.averaged.items()
        if key in second.averaged
    }
    apart = {run: gaps for run, (a, b) in losses.items() if (gaps := _relative(a, b))}
    if not np.isfinite([gap for gaps in apart.values() for gap in gaps]).any():
        apart = {}
    run = next(iter(apart), "")
    return Engines((_side(first), _side(second)), run, losses.get(run, (np.zeros(0), np.zeros(0))), apart)


def _relative(a: Array, b: Array) -> list[float]:
    """|a − b| / |b| of the epochs that both have."""
    n = min(len(a), len(b))
    with np.errstate(all="ignore"):  # a run that diverged ends with what is not a number
        return (np.abs(a[:n] - b[:n]) / np.maximum(np.abs(b[:n]), np.finfo(np.float64).tiny)).tolist()


def _side(group: Group) -> Side:
    return Side(group.name, group.first.experiment.engine, group.accuracy, group.seconds_an_epoch)


def losses_chart(found: Engines) -> Json:
    """The training loss of two engines: the second is dotted and lies on the first where they agree."""
    names = [side.name for side in found.sides]
    looks: tuple[Json, Json] = ({"strokeWidth": 5, "opacity": 0.5}, {"strokeWidth": 1.5, "strokeDash": [3, 4]})
    rows: list[Values] = [
        [{"run": name, "epoch": epoch, "value": loss} for epoch, loss in enumerate(plain(losses), 1)]
        for name, losses in zip(names, found.losses, strict=True)
    ]
    y, form = loss_axis("training loss", list(found.losses))
    colour = alt.Scale(domain=names, range=[SERIES[0], "var(--ink)"])
    lines = [
        alt.Chart(data(values))
        .mark_line(point=len(values) == 1, **look)
        .encode(
            x=epoch_axis(epoch_range([*rows[0], *rows[1]])),
            y=y,
            color=alt.Color("run:N", scale=colour, legend=alt.Legend(symbolType="stroke", columns=1)),
            tooltip=["run:N", "epoch:Q", alt.Tooltip("value:Q", title="loss", format=form)],
        )
        for values, look in zip(rows, looks, strict=True)
    ]
    return finish(alt.layer(*lines), height=240)


def differences_chart(apart: Mapping[str, Sequence[float]]) -> Json:
    """The relative difference of two losses by epoch, one line per run, logarithmic; none at all is drawn low.

    At least one of them is finite.
    """
    rows: Values = [
        {"run": run, "epoch": epoch, "gap": max(gap, LEAST), "shown": f"{gap:.1e}"}
        for run, values in apart.items()
        for epoch, gap in enumerate(values, 1)
        if math.isfinite(gap)
    ]
    powers = [math.log10(row["gap"]) for row in rows]
    decades = range(math.floor(min(powers)), math.floor(max(powers)) + 2)
    ticks = [10.0**power for power in decades]
    chart = (
        alt.Chart(data(rows))
        .mark_line(point=alt.OverlayMarkDef(size=18, filled=True, color=SERIES[0]), strokeWidth=1.5, color=SERIES[0])
        .encode(
            x=epoch_axis(epoch_range(rows)),
            y=alt.Y(
                "gap:Q",
                title="relative difference of the loss, logarithmic",
                scale=alt.Scale(type="log", domain=[ticks[0], ticks[-1]], nice=False),
                axis=alt.Axis(format=".0e", values=ticks),
            ),
            detail="run:N",
            tooltip=["run:N", "epoch:Q", alt.Tooltip("shown:N", title="difference")],
        )
    )
    return finish(chart, height=240)


def table(found: Engines) -> Table:
    """A row an engine: its accuracy, and the time of an epoch."""
    known = [value for values in found.apart.values() for value in values if np.isfinite(value)]
    worst = exponent(max(known)) if known else UNDEFINED
    first, second = found.sides
    ratio = f"{first.seconds / second.seconds:.2f}" if first.seconds and second.seconds else UNDEFINED
    rows = tuple((side.name, side.engine, plus_minus(side.accuracy), _short(side.seconds)) for side in found.sides)
    return Table(
        titles=("run", "engine", "test accuracy", "an epoch"),
        rows=rows,
        right=frozenset({2, 3}),
        caption=f"The greatest relative difference of the training loss is {worst}. An epoch, the median of all, takes "
        f"{first.name} {ratio} times as long as {second.name}.",
    )


def _short(value: float | None) -> str:
    """The time of an epoch, in milliseconds where it is below a second."""
    return duration(value) if value is None or value >= 1 else f"{1000 * value:.3g}{THIN}ms"


def blocks(found: Engines) -> list[Block]:
    """The losses of both by epoch, how far apart they are, and the seconds per epoch."""
    first, second = found.sides
    title = Heading(f"{first.name} and {second.name}")
    if not found.apart:
        return [title, table(found)]
    charts = (
        Chart(
            spec=losses_chart(found),
            description=f"The training loss of both engines over the epochs, {found.run}.",
            width=440,
        ),
        Chart(
            spec=differences_chart(found.apart),
            description="The relative difference of the training loss over the epochs, one line per run, logarithmic.",
            width=440,
        ),
    )
    caption = (
        f"Left, the training loss of {found.run}: the dotted line lies on the thick one where they agree. Right, "
        f"the relative difference of the losses, of {counted(len(found.apart), 'run')}."
    )
    return [title, Beside(charts, caption=caption), table(found)]


def section(groups: Sequence[Group]) -> Section | None:
    """Each two groups that differ only in the engine."""
    made = [block for found in numbers(groups) for block in blocks(found)]
    return Section("Two engines side by side", "engines", tuple(made)) if made else None


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd pairs, by what is odd."""
    sides = (Side("<b>", "numpy", Spread(2, 0.9, 0.01), 0.5), Side("constructor", "torch", Spread(2, 0.9, 0.02), 1.5))
    loss = np.array([0.9, 0.5, 0.3])
    gaps = {"seed 0": (1e-6, 0.0, 1e-3), "seed 1": (0.0, math.inf)}
    return {
        "they agree": tuple(blocks(Engines(sides, "seed 0", (loss, loss), gaps))),
        "one epoch": tuple(blocks(Engines(sides, "seed 3", (loss[:1], loss[:1]), {"seed 3": (0.0,)}))),
        "no seed in common": tuple(blocks(Engines(sides, "", (loss[:0], loss[:0]), {}))),
    }
