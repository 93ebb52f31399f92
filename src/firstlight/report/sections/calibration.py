"""Calibration: whether the confidence of a model can be believed, as a reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np

from firstlight.evaluation import Evaluation, ReliabilityBin, measure, wilson_interval
from firstlight.records.group import Group
from firstlight.report.document import Block, Chart, Section
from firstlight.report.format import percent
from firstlight.report.render.vega import SERIES, SHARE, Values, data, finish
from firstlight.types import Json, Predictions


def numbers(group: Group) -> Evaluation | None:
    """The evaluation of a single run, or of all images over folds; None of seeds, each of which is a model."""
    return group.pooled


def chart(bins: Sequence[ReliabilityBin]) -> Json:
    """Accuracy against confidence, a point a bin with its interval; on the diagonal, confidence can be believed."""
    rows: Values = []
    for b in bins:
        if b.accuracy is None:
            continue
        low, high = wilson_interval(round(b.accuracy * b.images), b.images)
        rows.append({"confidence": b.confidence, "accuracy": b.accuracy, "low": low, "high": high, "images": b.images})
    unit = alt.Scale(domain=[0, 1])
    diagonal = alt.Chart(data([{"x": 0, "y": 0}, {"x": 1, "y": 1}])).mark_line(
        strokeDash=[3, 3], color="var(--muted)", strokeWidth=1
    )
    diagonal = diagonal.encode(x=alt.X("x:Q"), y=alt.Y("y:Q"))
    base = alt.Chart(data(rows)).encode(
        x=alt.X("confidence:Q", title="mean confidence", scale=unit, axis=SHARE),
        tooltip=[
            alt.Tooltip("confidence:Q", format=".1%"),
            alt.Tooltip("accuracy:Q", format=".1%"),
            alt.Tooltip("images:Q", format=",d"),
        ],
    )
    whiskers = base.mark_rule(color=SERIES[0]).encode(y="low:Q", y2="high:Q")
    size = alt.Size("images:Q", legend=None, scale=alt.Scale(range=[30, 320], zero=True))
    dots = base.mark_point(filled=True, opacity=1, color=SERIES[0]).encode(
        y=alt.Y("accuracy:Q", title="accuracy", scale=unit, axis=SHARE), size=size
    )
    return finish(alt.layer(dots, diagonal, whiskers, dots), height=320)


def caption(test: Evaluation) -> str:
    """Whether the model's confidence can be believed."""
    confidence = sum(b.images * (b.confidence or 0) for b in test.bins) / test.images
    gap = confidence - test.accuracy
    means = f"its mean confidence is {percent(confidence)}, its accuracy {percent(test.accuracy)}"
    if abs(gap) < 0.01:
        said = f"The model is well calibrated on average: {means}."
    else:
        said = f"The model is {'over' if gap > 0 else 'under'}confident: {means}."
    return (
        f"{said} Points below the diagonal are overconfident predictions, points above it underconfident ones; a "
        f"larger point stands for more images. The expected calibration error over {len(test.bins)} bins is "
        f"{percent(test.calibration_error)}."
    )


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 and groups[0].runs else None
    return None if found is None else Section("Confidence", "confidence", blocks(found))


def blocks(test: Evaluation) -> tuple[Block, ...]:
    described = "Reliability diagram: accuracy against mean confidence."
    return (Chart(chart(test.bins), described, caption(test), width=440, kind="calibration"),)


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd evaluations, by what is odd."""
    labels = np.arange(6) % 2
    sure = np.eye(2, dtype=np.float32)
    answers = {"sure and right": sure[labels], "sure and wrong": sure[1 - labels], "unsure": np.full((6, 2), 0.5)}
    return {
        what: blocks(measure(Predictions(labels.astype(str), labels, p.astype(np.float32)), ("a", "<b>"), 0.5))
        for what, p in answers.items()
    }
