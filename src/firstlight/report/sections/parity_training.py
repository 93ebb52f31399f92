"""Parity in training: two runs from the same start on the same batches, side by side on both engines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import altair as alt
import numpy as np

from firstlight.records.parity import Parity, SideBySide
from firstlight.report.document import Beside, Block, Chart, Section, Table
from firstlight.report.format import counted, exponent, power
from firstlight.report.render.vega import NUMBER, SERIES, Values, data, even, finish, plain
from firstlight.types import Json

ZERO = 1e-17  # where a difference of zero is drawn on a logarithmic axis
HEIGHT = 240
HOW = (
    "In float32 the learning rate is a hundredth of that: rounding errors flip a ReLU or max pooling now and then, and "
    "between any two programs the consequences grow with the rate. Weights are not compared: if a gradient is zero but "
    "for rounding errors, as that of a bias before a batch norm, Adam still takes full steps along it."
)


def section(parity: Parity) -> Section:
    return Section("Two runs side by side", "runs", blocks(parity.runs))


def blocks(runs: Sequence[SideBySide]) -> tuple[Block, ...]:
    """The losses, their differences, and the largest of these."""
    losses = tuple(
        Chart(
            spec=chart(run),
            description=f"The loss on both engines over the steps, in {run.precision}.",
            caption=f"The loss of each step’s batch in {run.precision}.",
            width=440,
        )
        for run in runs
    )
    differences = tuple(
        Chart(
            spec=_differences(runs, column, title, tolerances=column == "loss"),
            description=f"The relative difference of the {column} over the steps, logarithmic.",
            width=440,
        )
        for column, title in (("loss", "difference of the loss"), ("weights", "difference of the weights"))
    )
    caption = (
        f"The differences of each step, on a logarithmic axis; zero is drawn at {power(ZERO)}. The dashed line "
        "is the tolerance. The difference of the weights is the largest, relative to the largest weight."
    )
    return (Beside(losses), Beside(differences, caption=caption), table(runs))


def chart(run: SideBySide) -> Json:
    """The loss of each step on both engines: the second is dotted and lies on the first where they agree."""
    columns = {"numpy": plain(np.array(run.numpy)), "torch": plain(np.array(run.torch))}
    looks: dict[str, Json] = {
        "numpy": {"strokeWidth": 4, "opacity": 0.55},
        "torch": {"strokeWidth": 1.5, "strokeDash": [3, 4]},
    }
    colour = alt.Scale(domain=list(columns), range=[SERIES[0], "var(--ink)"])
    lines = [
        alt.Chart(data([{"engine": engine, "step": n, "loss": loss} for n, loss in enumerate(values, 1)]))
        .mark_line(point=len(values) == 1, **looks[engine])
        .encode(
            x=_step_axis(len(values)),
            y=alt.Y("loss:Q", scale=even([*columns.values()]), axis=NUMBER),
            color=alt.Color("engine:N", scale=colour, legend=alt.Legend(symbolType="stroke")),
            tooltip=["engine:N", "step:Q", alt.Tooltip("loss:Q", format=".10~g")],
        )
        for engine, values in columns.items()
    ]
    return finish(alt.layer(*lines), height=HEIGHT)


def _differences(runs: Sequence[SideBySide], column: str, title: str, tolerances: bool) -> Json:
    """A difference of each step in both precisions, on a logarithmic axis, with what is tolerated."""
    rows: Values = [
        {"precision": run.precision, "step": step, "difference": max(difference, ZERO), "name": exponent(difference)}
        for run in runs
        for step, difference in enumerate(getattr(run, column), 1)
        if math.isfinite(difference)
    ]
    names = [run.precision for run in runs]
    colour = alt.Color("precision:N", scale=alt.Scale(domain=names, range=[SERIES[0], SERIES[1]]))
    axis = alt.Axis(format=".0e", tickCount=6)
    y = alt.Y("difference:Q", title=f"{title}, logarithmic", scale=alt.Scale(type="log"), axis=axis)
    base = alt.Chart(data(rows)).encode(
        x=_step_axis(len(runs[0].loss)),
        y=y,
        color=colour,
        shape=alt.Shape("precision:N", scale=alt.Scale(domain=names, range=["circle", "square"])),
        tooltip=["precision:N", "step:Q", alt.Tooltip("name:N", title="difference")],
    )
    layers: list[alt.Chart] = [base.mark_line(strokeWidth=1), base.mark_point(filled=True, size=18, opacity=1)]
    if tolerances:
        limits = [{"precision": run.precision, "difference": run.tolerance} for run in runs]
        layers.append(alt.Chart(data(limits)).mark_rule(strokeDash=[4, 3]).encode(y=y, color=colour))
    return finish(alt.layer(*layers), height=HEIGHT)


def _step_axis(steps: int) -> alt.X:
    domain = [1, steps] if steps > 1 else [0, 2]
    axis = alt.Axis(format="d", tickCount=min(6, steps), tickMinStep=1, grid=False)
    return alt.X("step:Q", title="step", scale=alt.Scale(domain=domain, nice=False), axis=axis)


def table(runs: Sequence[SideBySide]) -> Table:
    """How far two runs are apart."""
    return Table(
        titles=("precision", "learning rate", "loss", "tolerated", "weights", "most in"),
        rows=tuple(
            (
                run.precision,
                f"{run.rate:g}",
                exponent(run.worst),
                power(run.tolerance),
                exponent(max(run.weights)),
                run.where,
            )
            for run in runs
        ),
        right=frozenset({1, 2, 3, 4}),
        strong=frozenset(n for n, run in enumerate(runs) if not run.passed),
        caption=f"The largest relative differences over {counted(len(runs[0].loss), 'step')}. {HOW}",
    )


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd checks, by what is odd."""

    def odd(steps: int = 4, loss: float = 2e-16, **more: float) -> tuple[Block, ...]:
        losses = tuple(2.3 - 0.1 * n for n in range(steps))
        one = SideBySide("float64", 1e-3, losses, losses, (loss,) * steps, (4e-13,) * steps, "<b>conv1.b")
        return blocks([one, replace(one, precision="float32", rate=1e-5)])

    return {"sound": odd(), "one step": odd(1), "no difference": odd(loss=0.0), "lost": odd(loss=math.inf)}
