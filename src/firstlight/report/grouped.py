"""The blocks that show groups of runs side by side: the study's report and a comparison of several seeds share them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from firstlight.evaluation import Spread
from firstlight.records.group import Group, leader, present, selected, standing, tasks, varied, winners
from firstlight.records.run import RunRecord
from firstlight.report import seeds
from firstlight.report.document import Beside, Block, Cell, Chart, Link, Number, Numbers, Table, Text
from firstlight.report.format import (
    DASH,
    UNDEFINED,
    count,
    counted,
    decimal,
    listed,
    percent,
    plus_minus,
    signed,
    task_name,
)
from firstlight.report.format import seconds as duration
from firstlight.report.published import MARKS, MARKS_EXPLAINED
from firstlight.report.render.vega import spread_wide
from firstlight.report.settings import differences
from firstlight.types import Array

GAP = (
    "The training accuracy is that of the epoch whose weights were kept, measured while it trained, with dropout and "
    "augmentation where there are any; the gap is that less the validation accuracy, and a large one tells of "
    "overfitting. "
)


def numbers(groups: Sequence[Group]) -> Numbers:
    """What is to be seen from afar: the accuracy of the best, how many published numbers are reached, the cost."""
    found = present(groups)
    runs, asked = sum(len(group.runs) for group in groups), sum(len(group.asked) for group in groups)
    times = [record.seconds("train") or 0.0 for group in found for record in group.runs.values()]
    (first, *others) = tasks(groups)
    ahead = leader(first)
    label = "test accuracy of the best" if selected(first) else f"test accuracy, {ahead.name}"
    on = "" if not others else f" on {task_name(*first[0].task)}"
    shown = [
        Number(f"{label}{on}", plus_minus(ahead.accuracy), counted(len(ahead.averaged), "seed")),
        *_reached(groups),
        Number("runs", count(runs), "all that were asked for" if runs == asked else f"of {count(asked)} asked for"),
        Number("test images", count(ahead.first.test.images), counted(len(ahead.first.class_names), "class")),
        Number("training time", duration(sum(times)), "all runs together"),
    ]
    return Numbers(tuple(shown))


def _reached(groups: Sequence[Group]) -> list[Number]:
    given = [claim for group in groups for claim in group.claims]
    judged = [claim.reached for claim in given if claim.ours is not None]
    if not judged:
        return []
    left = f"; {count(len(given) - len(judged))} not tried" if len(given) > len(judged) else ""
    of = f"{sum(judged)} of {len(judged)}"
    return [Number("published numbers reached", of, f"within two s.d., or better{left}")]


def table(groups: Sequence[Group]) -> Table:
    """One row a group: how many seeds, accuracies, the numbers to stand beside them, loss, parameters, seconds."""
    ahead = {id(group) for task in tasks(groups) for group in winners(task)}
    others = list(dict.fromkeys(name for group in groups for name in group.beside))
    measures = list(dict.fromkeys(claim.measure for group in groups for claim in group.claims))
    published = "test" in measures
    best = "validation" in measures
    validated = any(group.validation is not None for group in present(groups))
    titles = (
        "run",
        "seeds",
        "test accuracy",
        *(["published"] if published else []),
        *others,
        *(["greatest validation accuracy", "published, validation"] if best else []),
        *(["validation accuracy"] if validated else []),
        "training accuracy",
        *(["gap, points"] if validated else []),
        "test loss",
        "parameters",
        "training time",
    )
    rows = [_row(group, validated, published, best, others, id(group) in ahead) for group in groups]
    several = {len(group.averaged) > 1 for group in present(groups)}
    caption = (
        "Means over the seeds, of the test accuracy ± its standard deviation" if True in several else "One seed each"
    )
    caption += "; of a single seed, its own numbers" if len(several) > 1 else ""
    mean = "mean " if True in several else ""
    caption += f"; ★ the best by {mean}validation accuracy. " if ahead else ". "
    if best:
        caption += "The greatest validation accuracy is that over the epochs, whichever weights were kept. "
    if published or best or others:
        caption += f"{MARKS_EXPLAINED} "
    if any(group.missing or group.unread for group in groups):
        caption += "“4 of 5” seeds: the others have no result. "
    caption += "The training time is the mean of one run. " if True in several else ""
    caption += GAP if validated else ""
    caption += "Losses compare only where the loss function is the same."
    strong = frozenset(place for place, group in enumerate(groups) if id(group) in ahead)
    return Table(
        titles=titles, rows=tuple(rows), right=frozenset(range(1, len(titles))), strong=strong, caption=caption
    )


def _row(
    group: Group, validated: bool, published: bool, best: bool, others: Sequence[str], ahead: bool
) -> tuple[Cell, ...]:
    n = len(group.averaged) if group.runs else 0
    asked = len(group.asked)
    many = count(n) if n == asked else f"{n} of {asked}"
    given = [*([group.published] if published else []), *(group.beside.get(name) for name in others)]
    if not group.runs:
        claimed = [UNDEFINED, percent(group.published_validation, 2)] if best else []
        told = [*(percent(g, 2) for g in given), *claimed]
        return (group.name, many, UNDEFINED, *told, *[UNDEFINED] * (4 + 2 * validated))
    ours = group.accuracy
    validation, training = group.validation, group.training
    return (
        f"{'★ ' if ahead else ''}{group.name}",
        many,
        plus_minus(ours),
        *(_beside(ours, number) for number in given),
        *([_mean(group.best_validation), _beside(group.best_validation, group.published_validation)] if best else []),
        *([percent(validation.mean, 2) if validation else UNDEFINED] if validated else []),
        percent(training.mean if training else None, 2),
        *([signed(group.gap)] if validated else []),
        decimal(group.loss.mean),
        count(group.first.parameters()),
        duration(group.seconds),
    )


def _mean(found: Spread | None) -> str:
    return UNDEFINED if found is None else plus_minus(found)


def _beside(ours: Spread | None, number: float | None) -> str:
    """A number to stand beside ours, and how that stands to it."""
    if number is None:
        return DASH
    return percent(number, 2) if ours is None else f"{percent(number, 2)} {MARKS[standing(ours, number)]}"


def every_run(groups: Sequence[Group], folder: Path) -> Table:
    """The test accuracy of every run, a column a seed, each a link to its own report where it has one."""
    numbers = sorted({seed for group in groups for seed in (*group.asked, *group.runs)})
    rows = tuple((group.name, *(_cell(group, seed, folder) for seed in numbers)) for group in groups)
    return Table(
        titles=("run", *(f"seed {seed}" for seed in numbers)),
        rows=rows,
        right=frozenset(range(1, len(numbers) + 1)),
        caption="The test accuracy of every run. † interrupted: not in the means. ‡ diverged: in the means.",
    )


def _cell(group: Group, seed: int, folder: Path) -> Cell:
    if seed in group.unread:
        return "unreadable"
    if seed not in group.runs:
        return "failed" if seed in group.failed else "no result" if seed in group.asked else DASH
    record = group.runs[seed]
    sign = {"interrupted": " †", "diverged": " ‡"}.get(record.status, "")
    text = f"{percent(record.test.accuracy, 2)}{sign}"
    return text if record.report is None else link(text, record.report, folder)


def link(text: str, target: Path, folder: Path) -> Link:
    """A link to `target` for a page that lies in `folder`."""
    relative = Path(os.path.relpath(target.resolve(), folder.resolve()))
    return Link(text, quote(relative.as_posix()))


def dots(groups: Sequence[Group]) -> Chart:
    """The accuracy of every seed, with what is published."""
    found = present(groups)
    given = any(group.published is not None or group.beside for group in found)
    several = any(len(group.averaged) > 1 for group in found)
    shown = listed(["the mean"] * several + ["the published and other numbers"] * given)
    mean = ", the upright line the mean of several" if several else ""
    marks = " ◇ is the published number, and a triangle another one to stand beside ours." if given else ""
    return Chart(
        spec=seeds.dots(found, graded=varied(found) is not None),
        description=f"Test accuracy of every seed of each run{f', with {shown}' if shown else ''}.",
        caption=f"A dot is a seed{mean}.{marks} Look first whether the clouds of dots overlap.",
        width=720,
    )


def learning(groups: Sequence[Group]) -> tuple[Block, ...]:
    """The curves of training, and of validation where every run has them."""
    found = [group for group in present(groups) if len(group.curve("loss")["epoch"])]
    if not found:
        return (Text("Training ended within the first epoch, so there are no curves.", tone="note"),)
    validated = all(group.validation is not None for group in found)
    kinds = [("training", "loss", "accuracy")]
    if validated:
        kinds.insert(0, ("validation", "val_loss", "val_accuracy"))
    blocks: list[Block] = [_curves(found, *kind, last=kind is kinds[-1]) for kind in kinds]
    blocks.append(extremes(found))
    if not validated and any(group.validation is not None for group in found):
        blocks.append(Text("Not every run has a validation split, so only training compares.", tone="note"))
    return tuple(blocks)


def extremes(groups: Sequence[Group]) -> Table:
    """The best point of each curve with its epoch: of the means over the seeds, where there are several."""
    kinds = [("loss", "lowest training loss"), ("accuracy", "highest training accuracy")]
    if all(group.validation is not None for group in groups):
        kinds += [("val_loss", "lowest validation loss"), ("val_accuracy", "highest validation accuracy")]
    rows = tuple(
        (group.name, *(_best_point(group.curve(column)["mean"], column) for column, _ in kinds)) for group in groups
    )
    several = ", of the means over the seeds" if any(len(group.averaged) > 1 for group in groups) else ""
    return Table(
        titles=("run", *(title for _, title in kinds)),
        rows=rows,
        right=frozenset(range(1, len(kinds) + 1)),
        caption=f"The best point of each curve{several}, and its epoch in brackets.",
    )


def _best_point(values: Array, column: str) -> str:
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return UNDEFINED
    share = column.endswith("accuracy")
    place = known[np.argmax(values[known]) if share else np.argmin(values[known])]
    shown = percent(float(values[place]), 2) if share else decimal(float(values[place]))
    return f"{shown} ({place + 1})"


def _curves(groups: Sequence[Group], kind: str, loss: str, share: str, last: bool) -> Beside:
    losses = {group.name: group.curve(loss) for group in groups}
    shares = {group.name: group.curve(share) for group in groups}
    graded = varied(groups) is not None
    pair = (
        Chart(
            spec=seeds.curves(losses, f"{kind} loss", graded=graded),
            description=f"The {kind} loss of each run over the epochs.",
            width=440,
        ),
        Chart(
            spec=seeds.curves(shares, f"{kind} accuracy", share=True, graded=graded),
            description=f"The {kind} accuracy of each run over the epochs.",
            width=440,
        ),
    )
    return Beside(pair, caption=_curves_caption(groups, losses, kind) if last else f"On the {kind} images.")


def _curves_caption(groups: Sequence[Group], losses: Mapping[str, Mapping[str, Array]], kind: str) -> str:
    text = f"On the {kind} images."
    if any(len(group.averaged) > 1 for group in groups):
        text += " Lines are means over the seeds, the bands reach from the least to the greatest."
    if any(len({len(record.history["epoch"]) for record in group.averaged.values()}) > 1 for group in groups):
        text += " Where seeds stopped at different epochs, the line goes on over those that still trained."
    if setting := varied(groups):
        text += f" The colours go from the least {setting} to the greatest, in the order of the legend."
    if spread_wide([column["high"] for column in losses.values()]):
        text += " A loss grew so large that its axis is logarithmic."
    return text


def settings(groups: Sequence[Group]) -> list[Block]:
    """The settings by which the groups differ: a table with a row a group, where they are few enough to read."""
    rows = [row for row in differences({group.name: group.first for group in groups}) if row[0] != "seed"]
    if not rows:
        return []
    keys = tuple(row[0] for row in rows)
    by_group = tuple((group.name, *(row[place] for row in rows)) for place, group in enumerate(groups, 1))
    return [
        Table(
            titles=("run", *keys),
            rows=by_group,
            caption="The settings in which they differ; all others are the same, and in each only the seed changes.",
        )
    ]


def named_runs(groups: Sequence[Group]) -> dict[str, RunRecord]:
    """Every run by the name of its group and its seed."""
    single = all(len(group.runs) <= 1 for group in groups)
    return {
        group.name if single else f"{group.name}, seed {seed}": record
        for group in groups
        for seed, record in group.runs.items()
    }
