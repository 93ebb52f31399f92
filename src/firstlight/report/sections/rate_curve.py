"""The loss against the learning rate, as this rose from step to step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np

from firstlight.records.rate_test import RateTest, Suggestion
from firstlight.report.document import Block, Chart, Section
from firstlight.report.format import counted
from firstlight.report.render.vega import SERIES, Values, data, finish, loss_axis, plain
from firstlight.types import Array, Json

HEIGHT = 280
ROOM = 1.15  # times the first loss and more: what the axis shows of a loss that grows without end


@dataclass(frozen=True, eq=False)
class RateCurve:
    """rates, losses and smoothed losses of each step (n,); the rate that the experiment asks for."""

    rates: Array
    losses: Array
    smoothed: Array
    suggestion: Suggestion
    lr: float
    diverged: bool


def numbers(test: RateTest) -> RateCurve:
    return RateCurve(
        np.array(test.rates), np.array(test.losses), test.smoothed, test.suggestion, test.lr, test.diverged
    )


def section(test: RateTest) -> Section:
    return Section("Loss against learning rate", "curve", blocks(numbers(test)))


def blocks(found: RateCurve) -> tuple[Block, ...]:
    described = "The loss of each step against its learning rate, on a logarithmic axis, and the same smoothed."
    return (Chart(spec=chart(found), description=described, caption=caption(found), kind="rate"),)


def chart(found: RateCurve) -> Json:
    """Points for the steps, a line for what is smoothed, and an upright line at the rate that is suggested."""
    most = ROOM * float(max(found.smoothed[: max(1, len(found.smoothed) // 10)].max(), found.losses[0]))
    shown = {name: np.where(values <= most, values, np.nan) for name, values in _lines(found).items()}
    y, form = loss_axis("loss", [*shown.values()])
    x = alt.X(
        "rate:Q",
        title="learning rate",
        scale=alt.Scale(type="log", domain=_domain(found.rates), nice=False),
        axis=alt.Axis(format=".0e", tickCount=6, grid=False),
    )
    rows: Values = [
        {"rate": rate, "loss": loss, "smoothed": smooth}
        for rate, loss, smooth in zip(plain(found.rates), plain(shown["loss"]), plain(shown["smoothed"]), strict=True)
    ]
    base = alt.Chart(data(rows)).encode(
        x=x,
        tooltip=[
            alt.Tooltip("rate:Q", title="learning rate", format=".2~g"),
            alt.Tooltip("loss:Q", format=form),
            alt.Tooltip("smoothed:Q", format=form),
        ],
    )
    points, line = y.copy(), y.copy()
    points.shorthand, line.shorthand = "loss:Q", "smoothed:Q"
    layers = [
        base.mark_point(filled=True, size=12, opacity=0.45, color=SERIES[1]).encode(y=points),
        base.mark_line(strokeWidth=2, color=SERIES[0]).encode(y=line),
    ]
    if found.suggestion.rate is not None:
        layers += _marked(found.suggestion.rate, found.rates, x)
    return finish(alt.layer(*layers), height=HEIGHT)


def _lines(found: RateCurve) -> dict[str, Array]:
    return {"loss": found.losses, "smoothed": found.smoothed}


def _domain(rates: Array) -> list[float]:
    """The axis; a single rate stands in its middle."""
    low, high = float(rates.min()), float(rates.max())
    return [low, high] if low < high else [low / 2, high * 2]


def _marked(rate: float, rates: Array, x: alt.X) -> list[alt.Chart]:
    late = math.log(rate) > (math.log(rates[0]) + math.log(rates[-1])) / 2
    base = alt.Chart(data([{"rate": rate, "label": f"suggested: {rate:.2g}"}])).encode(x=x)
    label = base.mark_text(
        align="right" if late else "left", dx=-5 if late else 5, baseline="bottom", color="var(--muted)"
    )
    return [base.mark_rule(strokeDash=[2, 2]), label.encode(y=alt.value(HEIGHT - 3), text="label:N")]


def caption(found: RateCurve) -> str:
    """What the curve speaks for, and how to read it."""
    suggested = found.suggestion
    begins = "No rate is suggested." if suggested.rate is None else f"Suggested: {suggested.rate:.2g}."
    beside = ""
    if suggested.rate is not None:
        ratio = found.lr / suggested.rate
        if 1 / 3 <= ratio <= 3:
            beside = f" The experiment asks for {found.lr:g}, which is about that."
        else:
            many = f"{max(ratio, 1 / ratio):.0f} times as {'much' if ratio > 1 else 'little'}"
            beside = f" The experiment asks for {found.lr:g}, {many}."
    steps = counted(len(found.rates), "step")
    read = (
        f" Each point is the loss of a batch before its step, over {steps}; the line is a moving average. A loss "
        "far above the first is left out."
    )
    return f"{begins} {suggested.reason}{beside}{read}"


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd tests, by what is odd."""

    def odd(
        losses: Sequence[float], rate: float | None = 1e-3, reason: str = "The loss falls fastest there."
    ) -> tuple[Block, ...]:
        rates, found = np.geomspace(1e-6, 1, max(2, len(losses)))[: len(losses)], np.array(losses)
        return blocks(RateCurve(rates, found, np.nan_to_num(found, nan=1.0), Suggestion(rate, reason), 0.1, True))

    fall = [2.3, 2.2, 2.0, 1.2, 0.9, 4.0, 50.0]
    return {
        "usual": odd(fall),
        "nothing to suggest": odd([2.3] * 7, None, "<b>The loss never fell clearly."),
        "one step": odd([2.3], None, "The loss grew after 1 steps."),
        "ends in no number": odd([*fall, math.nan]),
    }
