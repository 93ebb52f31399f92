"""The page of a parity check: its record in, a document out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt
import numpy as np

from firstlight.records.parity import GRADIENT, Parity, SideBySide
from firstlight.report import parity_tables as tables
from firstlight.report.document import (
    Beside,
    Block,
    Chart,
    Document,
    Number,
    Numbers,
    Section,
    Table,
    Text,
)
from firstlight.report.format import UNDEFINED, count, counted, date, shape
from firstlight.report.parity_tables import exponent, milliseconds, power
from firstlight.report.render.vega import NUMBER, SERIES, Values, data, even, finish, plain
from firstlight.types import Json

ZERO = 1e-17  # where a difference of zero is drawn on a logarithmic axis
HEIGHT = 240

POINT = (
    "Gradients are taken in float64 at the initial weights, each moved by a tenth of their size, so that none is zero, "
    "and at inputs moved likewise, off the zeros of a ReLU and the ties of a max pooling, where there is no derivative."
)


def document(parity: Parity) -> Document:
    """The page of a parity check."""
    failures = parity.failures
    wrong = (Section("What is wrong", "wrong", tuple(Text(text, tone="warning") for text in failures)),)
    return Document(
        kind_of="Parity of two engines",
        title=f"{parity.model}: by hand and by PyTorch",
        subtitle=" · ".join([parity.images, date(parity.environment.started)]),
        verdict=parity.verdict,
        numbers=_numbers(parity),
        sections=(
            *(wrong if failures else ()),
            Section("Layer by layer", "layers", (tables.layers(parity),)),
            Section("Through the whole net", "parameters", (tables.parameters(parity),)),
            Section("Two runs side by side", "runs", _runs(parity)),
            Section("Seconds a step", "seconds", (tables.speed(parity),)),
            Section("How it was measured", "measured", _measured(parity)),
        ),
        source="one measurement",
    )


def _numbers(parity: Parity) -> Numbers:
    double, single = parity.runs
    ours, theirs = parity.speed.numpy.median, parity.speed.torch.median
    return Numbers(
        (
            Number("gradients, autograd", exponent(parity.hand_autograd), f"tolerated: {power(GRADIENT)}"),
            Number("gradients, central", exponent(parity.hand_central), f"tolerated: {power(GRADIENT)}"),
            Number(f"loss, {double.precision}", exponent(double.worst), f"tolerated: {power(double.tolerance)}"),
            Number(f"loss, {single.precision}", exponent(single.worst), f"tolerated: {power(single.tolerance)}"),
            Number("milliseconds a step", milliseconds(ours), f"PyTorch: {milliseconds(theirs)}"),
        )
    )


def _runs(parity: Parity) -> tuple[Block, ...]:
    losses = tuple(
        Chart(
            spec=_losses(run),
            description=f"The loss on both engines over the steps, in {run.precision}.",
            caption=f"The loss of each step’s batch in {run.precision}.",
            width=440,
        )
        for run in parity.runs
    )
    differences = tuple(
        Chart(
            spec=_differences(parity.runs, column, title, tolerances=column == "loss"),
            description=f"The relative difference of the {column} over the steps, logarithmic.",
            width=440,
        )
        for column, title in (("loss", "difference of the loss"), ("weights", "difference of the weights"))
    )
    caption = (
        f"The differences of each step, on a logarithmic axis; none at all is drawn at {power(ZERO)}. Dashed is what "
        "is tolerated. The difference of the weights is the largest, over the largest weight."
    )
    return (Beside(losses), Beside(differences, caption=caption), tables.runs(parity))


def _losses(run: SideBySide) -> Json:
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


def _measured(parity: Parity) -> tuple[Block, ...]:
    environment = parity.environment
    rows = [
        ("Model", ", ".join([parity.model, *(f"{key} {value}" for key, value in parity.options.items())])),
        ("Input", f"{shape(parity.input_shape)}, {counted(parity.classes, 'class')}"),
        ("Parameters", count(parity.parameter_count)),
        ("Images", f"{parity.images}; gradients on {counted(parity.gradient_images, 'image')}"),
        ("Training", f"{parity.optimizer}, {counted(parity.steps, 'step')}, batches of {parity.batch_size}"),
        ("Seed", str(parity.seed)),
        ("firstlight", environment.firstlight or UNDEFINED),
        ("Python", environment.python or UNDEFINED),
        ("Packages", ", ".join(f"{name} {version}" for name, version in environment.packages.items()) or UNDEFINED),
        ("Machine", environment.machine.name or UNDEFINED),
        ("The check took", f"{parity.seconds:.0f} s"),
    ]
    return (
        Text(tables.DEFINITION),
        Text(POINT),
        Table(tuple(rows), caption="What was measured, and where"),
    )
