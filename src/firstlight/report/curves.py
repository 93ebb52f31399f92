"""Learning curves of several groups: loss and accuracy over the epochs, over the seeds of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np

from firstlight.records.group import Group, varied
from firstlight.report.by_task import by_task
from firstlight.report.document import Beside, Block, Chart, Section, Table, Text
from firstlight.report.format import UNDEFINED, decimal, listed, percent
from firstlight.report.render.vega import (
    Values,
    data,
    epoch_axis,
    epoch_range,
    finish,
    loss_axis,
    plain,
    run_colour,
    run_shape,
    share_axis,
    spread_wide,
)
from firstlight.types import Array, Json

WHAT = {
    "validation": "On the validation images. A curve that still rises at its end would gain from more epochs; a "
    "validation loss that rises again is a sign of overfitting.",
    "training": "On the training images.",
}
EPOCHS_MARKED = 15  # epochs: the marks of more of them would hide the lines


def chart(columns: Mapping[str, Mapping[str, Array]], title: str, share: bool = False, graded: bool = False) -> Json:
    """The mean over the seeds by epoch, a line a group; the band around it reaches from the least to the greatest.

    columns  by group, as `Group.curve` gives them; at least one has an epoch
    """
    names = list(columns)
    reached = [column[key] for column in columns.values() for key in ("low", "high")]
    y, form = (share_axis if share else loss_axis)(title, reached)
    rows: Values = []
    for name, column in columns.items():
        values = zip(*(plain(column[key]) for key in ("epoch", "mean", "low", "high")), strict=True)
        rows += [{"run": name, "epoch": e, "value": mean, "low": low, "high": high} for e, mean, low, high in values]
    several = any(row["low"] != row["high"] for row in rows)
    base = alt.Chart(data(rows)).encode(
        x=epoch_axis(epoch_range(rows)),
        color=run_colour(names, graded=graded),
        tooltip=["run:N", "epoch:Q", alt.Tooltip("value:Q", title=f"{title}{', mean' * several}", format=form)],
    )
    epochs = len({row["epoch"] for row in rows})
    layers = [base.mark_line(strokeWidth=2).encode(y=y)]
    if several:
        low = y.copy()
        low.shorthand = "low:Q"
        layers.insert(0, base.mark_area(opacity=0.16).encode(y=low, y2="high:Q"))
    if epochs == 1 or (not graded and epochs <= EPOCHS_MARKED):
        layers.append(base.mark_point(filled=True, size=34, opacity=1).encode(y=y, shape=run_shape(names)))
    return finish(alt.layer(*layers), height=260)


def blocks(task: Sequence[Group]) -> list[Block]:
    """The curves of validation where every run has them, and of training, and the best point of each."""
    found = [group for group in task if len(group.curve("loss")["epoch"])]
    without = [group.name for group in task if not len(group.curve("loss")["epoch"])]
    if not found:
        return [Text("Training ended within the first epoch, so there are no curves.", tone="note")]
    validated = all(group.validation is not None for group in found)
    kinds = [("training", "loss", "accuracy")]
    if validated:
        kinds.insert(0, ("validation", "val_loss", "val_accuracy"))
    made: list[Block] = [_curves(found, *kind, last=kind is kinds[-1]) for kind in kinds]
    made.append(extremes(found))
    if not validated and any(group.validation is not None for group in found):
        made.append(Text("Not every run has a validation split, so only training compares.", tone="note"))
    if without:
        made.append(
            Text(f"Training ended within the first epoch, so there is no curve of {listed(without)}.", tone="note")
        )
    return made


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
            spec=chart(losses, f"{kind} loss", graded=graded),
            description=f"The {kind} loss of each run over the epochs.",
            width=440,
        ),
        Chart(
            spec=chart(shares, f"{kind} accuracy", share=True, graded=graded),
            description=f"The {kind} accuracy of each run over the epochs.",
            width=440,
        ),
    )
    return Beside(pair, caption=f"{WHAT[kind]}{_how(groups, losses) if last else ''}")


def _how(groups: Sequence[Group], losses: Mapping[str, Mapping[str, Array]]) -> str:
    """How the curves are drawn."""
    text = ""
    if any(len(group.averaged) > 1 for group in groups):
        text += " Lines are means over the seeds, the bands reach from the least to the greatest."
    if any(len({len(record.history["epoch"]) for record in group.averaged.values()}) > 1 for group in groups):
        text += " Where seeds stopped at different epochs, the line goes on over those that still trained."
    if setting := varied(groups):
        text += f" The colours go from the least {setting} to the greatest, in the order of the legend."
    if spread_wide([column["high"] for column in losses.values()]):
        text += " A loss grew so large that its axis is logarithmic."
    return text


def section(groups: Sequence[Group]) -> Section:
    """The curves of each task."""
    return by_task("Learning", "learning", groups, blocks)
