"""None of these: how strange the test images are to the net, and how many of them it takes for none of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np

from firstlight.evaluation import wilson_interval
from firstlight.records.group import Group
from firstlight.records.run import RunRecord
from firstlight.report.document import Block, Chart, ImageGrid, Picture, Section, Text
from firstlight.report.format import THIN, count, counted, decimal, interval, percent
from firstlight.report.render.vega import SERIES, Values, data, finish
from firstlight.types import Array, Json

BINS = 40
SHOWN = 3.0  # of strangeness in the chart, at least: what lies beyond the greatest of them is counted in the last bin


@dataclass(frozen=True, eq=False)
class Novelty:
    """How strange the test images of a run are.

    rate         of false alarms that was asked for
    validation   how many images the threshold was taken from
    strangeness  of the test images, float32 (T,); above 1, an image is of none of the classes
    correct      which of them the net is right about, boolean (T,)
    pictures     of the strangest
    """

    rate: float
    validation: int
    strangeness: Array
    correct: Array
    pictures: Sequence[Picture] = ()

    @property
    def strange(self) -> Array:
        return self.strangeness > 1


def numbers(group: Group) -> Novelty | str | None:
    """Those of a single run; a sentence where it cannot tell; None of an earlier version, and of several runs."""
    run = group.first
    record = run.novelty if len(group.runs) == 1 else None
    if record is None:
        return None
    if record.distances is None or record.threshold is None:
        return record.why_none(record.rate)
    strangeness = record.distances.test / np.float32(max(record.threshold, 1e-6))
    shown = zip(record.distances.strangest.tolist(), record.distances.pixels, strict=True)
    pictures = tuple(_picture(run, row, pixels, float(strangeness[row])) for row, pixels in shown)
    return Novelty(record.rate, len(record.distances.validation), strangeness, run.predictions.correct, pictures)


def _picture(run: RunRecord, row: int, pixels: Array, strangeness: float) -> Picture:
    found, names = run.predictions, run.class_names
    detail = f"strangeness {decimal(strangeness, 1)}, true: {names[int(found.labels[row])]}"
    image = ("test", str(found.ids[row]))
    return Picture(pixels, names[int(found.predicted[row])], detail, bool(found.correct[row]), image)


def chart(found: Novelty) -> Json:
    """A histogram of the strangeness of the test images, right answers and wrong ones, with the threshold."""
    most = max(SHOWN, float(np.quantile(found.strangeness, 0.999)))
    fine = max(int(BINS / most), 1)  # bins up to the threshold, which is an edge
    edges = np.arange(int(np.ceil(most * fine)) + 1) / fine
    most = float(edges[-1])
    rows: Values = []
    for answer, which in (("right", found.correct), ("wrong", ~found.correct)):
        counts, _ = np.histogram(np.minimum(found.strangeness[which], most), edges)
        rows += [
            {"low": float(low), "high": float(high), "images": int(n), "answer": answer}
            for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
            if n
        ]
    answers = alt.Scale(domain=["right", "wrong"], range=[SERIES[0], SERIES[1]])
    bars = (
        alt.Chart(data(rows))
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X(
                "low:Q",
                bin="binned",
                title="strangeness: distance from the classes, the threshold being 1",
                scale=alt.Scale(domain=[0, most]),
                axis=alt.Axis(tickCount=8, grid=False),
            ),
            x2="high:Q",
            y=alt.Y("images:Q", title="test images", stack="zero"),
            color=alt.Color("answer:N", title="answer", scale=answers),
            tooltip=[
                alt.Tooltip("low:Q", title="from", format=".2f"),
                alt.Tooltip("high:Q", title="to", format=".2f"),
                alt.Tooltip("images:Q", format=",d"),
                alt.Tooltip("answer:N"),
            ],
        )
    )
    rule = alt.Chart(data([{"threshold": 1}])).mark_rule(strokeDash=[4, 3], color="var(--ink)", strokeWidth=1.5)
    return finish(alt.layer(bars, rule.encode(x="threshold:Q")), height=240)


def caption(found: Novelty) -> str:
    """How many test images are taken for none of the classes, though all of them are of one."""
    strange, images = int(found.strange.sum()), len(found.strange)
    bounds = wilson_interval(strange, images)
    share = f"{percent(strange / images)}, 95{THIN}% interval {interval(bounds)}"
    said = (
        f"Beyond the dashed line, the model says “none of these”: for {counted(strange, 'test image')} of "
        f"{count(images)} ({share}). All of them belong to its classes, so these are false alarms. The threshold is "
        f"set for a false-alarm rate of at most {percent(found.rate)}, on {counted(found.validation, 'image')} of the "
        "validation split."
    )
    if bounds[0] > found.rate:
        said += " There are more: the test images are stranger to the net than the validation images."
    accepted = found.correct[~found.strange]
    if len(accepted):
        said += (
            f" The accuracy is {percent(float(found.correct.mean()), 2)} on all test images, as reported, and "
            f"{percent(float(accepted.mean()), 2)} on those that it assigns to one of its classes."
        )
    return said


def strangest_caption(found: Novelty) -> str:
    """What the strangest test images are good for."""
    return (
        f"The {count(len(found.pictures))} test images that lie farthest from the classes, the farthest first, with "
        "the class that they are most like. Look for images that do not belong in the dataset, and for kinds of which "
        "there are too few training images."
    )


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 and groups[0].runs else None
    return None if found is None else Section("None of these", "novelty", blocks(found))


def blocks(found: Novelty | str) -> tuple[Block, ...]:
    """The histogram, and the strangest images; the sentence where there is nothing to show."""
    if isinstance(found, str):
        return (Text(f"The model assigns every image to one of its classes. {found}", tone="note"),)
    described = "Histogram of the strangeness of the test images."
    drawn = Chart(chart(found), described, caption(found), width=720, kind="novelty")
    if not found.pictures:
        return (drawn,)
    return drawn, ImageGrid(tuple(found.pictures), columns=5, caption=strangest_caption(found), kind="strangest")


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd images, by what is odd."""
    spread = np.linspace(0.1, 1.4, 60, dtype=np.float32)
    right = np.arange(60) % 7 > 0
    one = [Picture(np.full((6, 9, 3), 90, np.uint8), "<b>", "strangeness 1.4, true: b", right=False)]
    return {
        "usual": blocks(Novelty(0.05, 99, spread, right, one)),
        "all strange, all wrong": blocks(Novelty(0.05, 99, spread + 5, ~right & right, one * 15)),
        "none strange": blocks(Novelty(0.999, 1, 0 * spread, right | ~right)),
        "one image": blocks(Novelty(0.5, 1, spread[:1], right[:1], one)),
        "cannot tell": blocks("The run has no validation images."),
    }
