"""Answers on test images: a random sample, and panels with the likeliest classes of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firstlight.records.group import Group
from firstlight.records.run import RunRecord
from firstlight.report.document import Bar, Block, Heading, ImageGrid, Panel, Panels, Picture, Section, Text
from firstlight.report.format import count, counted, percent
from firstlight.report.pictures import answered, kept
from firstlight.types import Array

SAMPLE = 25
PANELS = 12
LIKELIEST = 5  # classes that have a bar


@dataclass(frozen=True, eq=False)
class Answers:
    """Test images with the answers of a run.

    sample       random ones
    panels       first those of the sample, then mistakes from the least sure to the surest of those that were kept
    of_sample    how many of the panels are of the sample
    more         whether there are more classes than have a bar
    """

    sample: Sequence[Picture]
    panels: Sequence[Panel] = ()
    of_sample: int = 0
    more: bool = False


def numbers(group: Group) -> Answers:
    """Those of the first run. Random test images stand first among the samples of the test split."""
    run = group.first
    found = kept(run)
    sample, wrong = _shown_in_panels(run, list(found))
    return Answers(
        sample=[answered(run, row, pixels) for row, pixels in list(found.items())[:SAMPLE]],
        panels=[_panel(run, row, found[row]) for row in (*sample, *wrong)],
        of_sample=len(sample),
        more=len(run.class_names) > LIKELIEST,
    )


def _shown_in_panels(run: RunRecord, rows: Sequence[int]) -> tuple[list[int], list[int]]:
    """Half of the panels from the sample, half mistakes; where these are few, the sample fills up."""
    correct, confidence = run.predictions.correct, run.predictions.confidence
    sample = list(rows[: PANELS // 2])
    wrong = [row for row in rows if not correct[row] and row not in sample]
    wrong.sort(key=lambda row: float(confidence[row]))
    spaced = np.linspace(0, len(wrong) - 1, min(PANELS // 2, len(wrong))).round().astype(int)
    chosen = [wrong[i] for i in spaced]
    sample += [row for row in rows if row not in (*sample, *chosen)][: PANELS - len(sample) - len(chosen)]
    return sample, chosen


def _panel(record: RunRecord, row: int, pixels: Array) -> Panel:
    """The likeliest classes of an image; the true one takes the last place where it is not among them."""
    predictions, names = record.predictions, record.class_names
    probabilities, true = predictions.probabilities[row], int(predictions.labels[row])
    answer, right = int(predictions.predicted[row]), bool(predictions.correct[row])
    likeliest = [answer, *(int(k) for k in np.argsort(-probabilities, kind="stable") if k != answer)][:LIKELIEST]
    if true not in likeliest:
        likeliest[-1] = true
    bars = []
    for k in likeliest:
        share = float(probabilities[k])
        bars.append(
            Bar(names[k], share, percent(share, 0), "true" if k == true else "wrong" if k == answer else "other")
        )
    text = f"{names[answer]}, {bars[0].text}; true: {names[true]}"
    return Panel(pixels, text, right, tuple(bars))


def caption(sample: Sequence[Picture]) -> str:
    """What the grid of answers shows."""
    shown, right = len(sample), sum(bool(picture.right) for picture in sample)
    drawn = (
        f"{counted(shown, 'test image')}, the classes in turn, with the prediction, its confidence and the true class"
    )
    if right == shown:
        return f"{drawn}: all are right."
    wrong = count(shown - right)
    return f"{drawn}: {count(right)} right (✓) and {wrong} wrong (✗, in a dashed frame)."


def panels_caption(found: Answers) -> str:
    """How to read the prediction panels."""
    sample, wrong = found.of_sample, len(found.panels) - found.of_sample
    which = (
        f"The first {count(sample)} are the first of the sample above" if sample > 1 else "An image of the sample above"
    )
    if wrong:
        which += (
            f", the other {count(wrong)} mistakes, from the least to the most confident that were kept with the run"
        )
    bars = "The bars are the most probable classes" if found.more else "The bars are the classes"
    return (
        f"{which}. Above each stand the prediction, its probability and the true class. {bars}: blue and ✓ the true "
        "one, red stripes and ✗ a wrong prediction. If the second bar is long as well, the model was uncertain."
    )


def section(groups: Sequence[Group]) -> Section | None:
    """The answers of a single run."""
    if len(groups) != 1 or len(groups[0].runs) != 1:
        return None
    return Section("A sample", "sample", blocks(numbers(groups[0])))


def blocks(found: Answers) -> tuple[Block, ...]:
    """The sample, and the panels where any image was kept."""
    if not found.sample:
        return (Text("No test images were kept with this run.", tone="note"),)
    grid = ImageGrid(tuple(found.sample), columns=5, caption=caption(found.sample), kind="answers")
    if not found.panels:
        return (grid,)
    return grid, Heading("Prediction panels"), Panels(tuple(found.panels), panels_caption(found))


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd answers, by what is odd."""
    pixels = np.full((9, 12, 1), 90, np.uint8)
    sure = Panel(
        pixels, "<b>, 100 %; true: <b>", True, (Bar("<b>", 1.0, "100 %", "true"), Bar("b", 0.0, "0 %", "other"))
    )
    return {
        "none were kept": blocks(Answers([])),
        "one right": blocks(Answers([Picture(pixels, "<b>", "100 %", right=True)], [sure], 1)),
        "a mistake": blocks(Answers([Picture(pixels, "<b>", "51 %", right=False)] * 2, [sure] * 3, 2, more=True)),
    }
