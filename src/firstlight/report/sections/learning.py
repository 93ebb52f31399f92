"""Learning curves: loss and accuracy over the epochs, of one run, or of several and their seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import altair as alt
import numpy as np

from firstlight.records.group import Group, present, varied
from firstlight.records.run import RunRecord
from firstlight.report import selection
from firstlight.report.document import Beside, Block, Chart, Section, Table, Text
from firstlight.report.format import UNDEFINED, counted, decimal, percent, points
from firstlight.report.render.vega import (
    SERIES,
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
from firstlight.report.tasks import by_task
from firstlight.text import listed
from firstlight.types import Array, Json

KIND = "learning"
COLUMNS = {
    "loss": "training loss",
    "accuracy": "training accuracy",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
}
HEIGHT = 240  # of the curves of a run, in CSS pixels
EPOCHS_MARKED = 15  # epochs: the marks of more of them would hide the lines
GAP = 0.02  # between the accuracies of train and validation, from where on it is worth a word
LOSS_TIMES, LOSS_APART = 2.0, 0.03  # the same of the losses: how many times train's, and how far above it

Quantity = Literal["loss", "accuracy"]


@dataclass(frozen=True, eq=False)
class Curve:
    """A column of the history by epoch, float64 (E,): mean, least and greatest over the seeds that got so far."""

    mean: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Learning:
    """What a recipe came to, epoch by epoch.

    curves      by column of the history; those of validation where each run has a validation split
    seeds       over which means are taken
    noun        what these are: "seed", or "fold"
    uneven      whether they stopped at different epochs
    best        the best epoch by validation, of a single run
    best_kept   whether its weights were kept and measured
    weights     which weights were, in words
    asked       the epochs that were asked for
    validated   the number of validation images
    remedies    what may help against overfitting and this recipe does without
    apart       why the curves of train and validation do not compare
    balanced    whether train is measured over other proportions of the classes
    """

    name: str
    curves: Mapping[str, Curve]
    seeds: int = 1
    noun: str = "seed"
    uneven: bool = False
    best: int | None = None
    best_kept: bool = True
    weights: str = ""
    asked: int = 1
    validated: int = 0
    remedies: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    balanced: bool = False

    @property
    def epochs(self) -> int:
        """The greatest number of complete epochs of a seed."""
        return len(self.curves["loss"].mean)

    @property
    def columns(self) -> list[str]:
        return [column for column in COLUMNS if column in self.curves]


def numbers(group: Group) -> Learning:
    """The curves of a group of which there is at least one run."""
    columns = [column for column in COLUMNS if group.validation is not None or not column.startswith("val_")]
    found = {column: group.curve(column) for column in columns}
    curves = {column: Curve(curve["mean"], curve["low"], curve["high"]) for column, curve in found.items()}
    lengths = {len(record.history["epoch"]) for record in group.averaged.values()}
    seeds, record = len(group.averaged), group.first
    return Learning(
        name=group.name,
        curves=curves,
        seeds=seeds,
        noun=group.noun,
        uneven=len(lengths) > 1,
        best=record.best_epoch if seeds == 1 else None,
        best_kept=record.kept_best,
        weights=selection.weights(record),
        asked=record.epochs_asked,
        validated=record.validation.images if record.validation else 0,
        remedies=_remedies(record),
        apart=_apart(record),
        balanced=bool(record.drawn),
    )


def of_history(
    history: Mapping[str, Array], name: str = "", best: int | None = None, best_kept: bool = True
) -> Learning:
    """The curves of a run that may still train, of whose history there is at least one epoch."""
    found = {column: np.asarray(history[column]) for column in COLUMNS if column in history}
    curves = {column: Curve(values, values, values) for column, values in found.items()}
    return Learning(name, curves, best=best, best_kept=best_kept)


def _remedies(record: RunRecord) -> tuple[str, ...]:
    types = {layer.type for layer in record.layers}
    done_without = {
        "augmented images": not record.augmented,
        "dropout": "Dropout" not in types,
        "batch norm": "BatchNorm" not in types,
        "a weight penalty": not any(record.experiment.penalty.values()),
        "early stopping": not record.experiment.training.early_stopping,
    }
    return ("more images", *(name for name, missing in done_without.items() if missing), "fewer parameters")


def _apart(record: RunRecord) -> tuple[str, ...]:
    reasons = []
    if record.drawn:
        reasons.append("Train is measured on classes sampled equally often, validation on the classes as they are.")
    elif record.class_weights:
        reasons.append("Train loss is weighted by class and validation loss is not: their gap means little.")
    if record.mixed:
        reasons.append(
            "Train images are mixed with others, so they have no single class: train loss is computed with the shares "
            "of classes as targets, and train accuracy counts an image as correct if the class with the largest share "
            "is predicted. Neither is comparable with validation."
        )
    elif record.augmented:
        harder = ", which are harder than those of validation" if record.validation else ""
        reasons.append(f"The train curves are of augmented images{harder}.")
    return tuple(reasons)


# --- the charts


def chart(run: Learning, quantity: Quantity) -> Json:
    """Loss or accuracy of a run on train and validation, the best epoch marked; hover reads both.

    The mark says so where the weights of the best epoch were not the ones kept.
    """
    names = {"train": quantity, "validation": f"val_{quantity}"}
    found = {name: run.curves[column].mean for name, column in names.items() if column in run.curves}
    shown = {name: plain(values) for name, values in found.items()}
    y, form = (share_axis if quantity == "accuracy" else loss_axis)(quantity, list(found.values()))
    rows = [{"epoch": e + 1, **{name: values[e] for name, values in shown.items()}} for e in range(run.epochs)]
    domain = epoch_range(rows)
    x = epoch_axis(domain)
    lines = (
        alt.Chart(data(rows))
        .transform_fold([*shown], as_=["split", "value"])
        .encode(
            x=x,
            y=y,
            color=alt.Color("split:N", scale=alt.Scale(domain=[*names], range=[SERIES[1], SERIES[0]])),
            strokeDash=alt.StrokeDash("split:N", scale=alt.Scale(domain=[*names], range=[[5, 3], [1, 0]])),
        )
    )
    layers = [lines.mark_line(strokeWidth=2)]
    if len(rows) == 1:
        layers.append(lines.mark_point(filled=True, size=60))
    if run.best is not None:
        layers += _best(run.best, domain, at_foot=quantity == "accuracy", kept=run.best_kept)
    layers.append(_hover(rows, x, [*shown], form))
    return finish(alt.layer(*layers), height=HEIGHT)


def _best(best: int, domain: Sequence[float], at_foot: bool, kept: bool) -> list[alt.Chart]:
    """A line at the best epoch with its name, where the curve of a loss or of an accuracy leaves room."""
    name = f"best: epoch {best}" if kept else f"best: epoch {best} (not kept)"
    base = alt.Chart(data([{"epoch": best, "label": name}])).encode(x=epoch_axis(domain))
    late = best > sum(domain) / 2
    label = base.mark_text(
        align="right" if late else "left",
        dx=-5 if late else 5,
        baseline="bottom" if at_foot else "top",
        color="var(--muted)",
    )
    return [base.mark_rule(strokeDash=[2, 2]), label.encode(y=alt.value(HEIGHT - 3 if at_foot else 2), text="label:N")]


def _hover(rows: Values, x: alt.X, names: Sequence[str], form: str) -> alt.Chart:
    """An upright line under the pointer, which tells every value at its epoch."""
    near = alt.selection_point(name="hover", on="pointerover", nearest=True, fields=["epoch"], empty=False)
    return (
        alt.Chart(data(rows), name="hovered")
        .mark_rule(strokeWidth=1)
        .encode(
            x=x,
            opacity=alt.condition(near, alt.value(0.6), alt.value(0)),
            tooltip=["epoch:Q", *(alt.Tooltip(f"{name}:Q", format=form) for name in names)],
        )
        .add_params(near)
    )


def overlay(runs: Sequence[Learning], column: str, graded: bool = False) -> Json:
    """A column of several recipes: the mean over the seeds, and a band from the least to the greatest.

    graded  whether the recipes are steps of one setting, so that their colours go from one end to the other
    """
    names, title = [run.name for run in runs], COLUMNS[column]
    found = [run.curves[column] for run in runs]
    axis = share_axis if column.endswith("accuracy") else loss_axis
    y, form = axis(title, [bound for curve in found for bound in (curve.low, curve.high)])
    rows: Values = []
    for name, curve in zip(names, found, strict=True):
        values = zip(plain(curve.mean), plain(curve.low), plain(curve.high), strict=True)
        rows += [
            {"run": name, "epoch": epoch, "value": mean, "low": low, "high": high}
            for epoch, (mean, low, high) in enumerate(values, 1)
        ]
    several = any(row["low"] != row["high"] for row in rows)
    base = alt.Chart(data(rows)).encode(
        x=epoch_axis(epoch_range(rows)),
        color=run_colour(names, graded=graded),
        tooltip=["run:N", "epoch:Q", alt.Tooltip("value:Q", title=f"{title}{', mean' * several}", format=form)],
    )
    epochs = max(run.epochs for run in runs)
    layers = [base.mark_line(strokeWidth=2).encode(y=y)]
    if several:
        low = y.copy()
        low.shorthand = "low:Q"
        layers.insert(0, base.mark_area(opacity=0.16).encode(y=low, y2="high:Q"))
    if epochs == 1 or (not graded and epochs <= EPOCHS_MARKED):
        layers.append(base.mark_point(filled=True, size=34, opacity=1).encode(y=y, shape=run_shape(names)))
    return finish(alt.layer(*layers), height=260)


# --- the captions


def caption(run: Learning) -> str:
    """What the curves of a run show: the best epoch, and how far train runs ahead of validation."""
    wide = "The loss grew so large that its axis is logarithmic." if _wide([run], True, False) else ""
    if run.epochs < 2:
        said = ["After a single epoch there is a point, not yet a curve."]
    elif "val_loss" not in run.curves:
        said = ["There was no validation split, so these curves say nothing about unseen images."]
    else:
        said = [_at_the_best(run), _fit(run)]
    return " ".join(filter(None, [*said, *run.apart, wide]))


def _at_the_best(run: Learning) -> str:
    loss, accuracy = run.curves["val_loss"].mean, run.curves["val_accuracy"].mean
    if run.best is None or run.best > len(loss):
        return ""
    said = (
        f"At the best epoch, {run.best}, validation loss is {decimal(loss[run.best - 1])} and accuracy "
        f"{percent(accuracy[run.best - 1])}."
    )
    return said if run.best_kept else f"{said} Evaluated were {run.weights}."


def _fit(run: Learning) -> str:
    """Whether the run overfitted, and what may help."""
    loss, accuracy, val_loss, val_accuracy = (run.curves[column].mean for column in COLUMNS)
    after = val_loss[int(val_loss.argmin()) :] if np.isfinite(val_loss).all() else val_loss
    if not np.isfinite([accuracy[-1] - val_accuracy[-1], *after]).all():
        return "Where a loss was not finite, the curve has a gap."
    if len(after) > 2 and after[-1] > 1.05 * after[0]:
        lowest = len(val_loss) - len(after) + 1
        said = f"Validation loss was lowest at epoch {lowest} and rose afterwards"
        if loss[-1] > 1.05 * loss[lowest - 1]:
            return f"{said}, and train loss with it: training became unstable."
        return f"{said} while training continued: overfitting. {_help(run)}"
    return "" if run.balanced else _apart_at_the_end(run)


def _apart_at_the_end(run: Learning) -> str:
    """How far train runs ahead of validation after the last epoch, in accuracy and in loss, and what may help."""
    loss, accuracy, val_loss, val_accuracy = (float(run.curves[column].mean[-1]) for column in COLUMNS)
    numbers = (
        f"At the end, loss is {decimal(loss)} on train and {decimal(val_loss)} on validation, accuracy "
        f"{percent(accuracy)} and {percent(val_accuracy)}"
    )
    gap, times = accuracy - val_accuracy, val_loss / loss if loss > 0 else math.inf
    images = run.validated or 1
    by_chance = 2 * math.sqrt(val_accuracy * (1 - val_accuracy) / images)
    by_loss = times > LOSS_TIMES and val_loss - loss > LOSS_APART
    if gap > GAP and gap > by_chance:
        ahead = f"train is {points(gap)} ahead"
        return f"{numbers}: {ahead}, {'' if by_loss else 'some '}overfitting. {_help(run)}"
    if by_loss:
        many = f"{times:.0f} times" if times < 1000 else "more than 1,000 times"
        return (
            f"{numbers}: validation loss is {many} train loss, some overfitting, which shows less in the "
            f"predictions than in their confidence. {_help(run)}"
        )
    if gap > GAP:
        return f"{numbers}: train is {points(gap)} ahead, which may be due to chance with {counted(images, 'image')}."
    if gap < -0.005:
        return (
            f"{numbers}. Validation is ahead of train: the train columns are averages over the epoch, with dropout "
            "active, if there is any."
        )
    return f"{numbers}. Train and validation stay together to the end: little overfitting."


def _help(run: Learning) -> str:
    return f"Not used in this run, and may help: {listed(list(run.remedies))}."


def caption_of_several(runs: Sequence[Learning], kind: str) -> str:
    """What to look for in curves of several recipes on the training or the validation images."""
    text = f"On the {kind} images."
    if kind == "validation":
        text += (
            " A curve that still rises at its end would benefit from more epochs; a validation loss that rises again "
            "is a sign of overfitting."
        )
    return f"{text} A loss grew so large that its axis is logarithmic." if _wide(runs, kind == "training") else text


def _how_drawn(runs: Sequence[Learning], setting: str | None) -> str:
    text, noun = "", _noun(runs)
    if any(run.seeds > 1 for run in runs):
        text += f" Lines are means over the {noun}s, the bands from the lowest to the highest."
    if any(run.uneven for run in runs):
        text += f" Where {noun}s stopped at different epochs, the line continues over those that were still training."
    if setting:
        text += f" The colours go from the lowest {setting} to the highest, in the order of the legend."
    return text


def _noun(runs: Sequence[Learning]) -> str:
    nouns = {run.noun for run in runs}
    return nouns.pop() if len(nouns) == 1 else "run"


def _wide(runs: Sequence[Learning], *of_training: bool) -> bool:
    columns = [column for column, training in (("loss", True), ("val_loss", False)) if training in of_training]
    losses = [run.curves[column].high for run in runs for column in columns if column in run.curves]
    return bool(losses) and spread_wide(losses)


# --- the section


def section(groups: Sequence[Group]) -> Section | None:
    """One run with train and validation together, or a line each of several, for each task."""
    if not present(groups):
        return None
    return by_task(
        "Learning", "learning", groups, lambda task: blocks([numbers(group) for group in task], varied(groups))
    )


def blocks(runs: Sequence[Learning], setting: str | None = None) -> tuple[Block, ...]:
    """The curves; `setting` is the one by which several recipes differ in steps."""
    known = [run for run in runs if run.epochs]
    if not known:
        return (Text(_no_curves(runs), tone="note"),)
    if len(runs) == 1 and runs[0].seeds == 1:
        return (Beside(of_run(runs[0]), caption(runs[0])),)
    validated = all("val_loss" in run.curves for run in known)
    pairs = [_of_several(known, kind, setting is not None) for kind in ("validation", "training")[not validated :]]
    pairs[-1] = replace(pairs[-1], caption=f"{pairs[-1].caption}{_how_drawn(known, setting)}")
    notes = []
    if not validated and any("val_loss" in run.curves for run in known):
        notes.append("Not every run has a validation split, so only training compares.")
    if without := [run.name for run in runs if not run.epochs]:
        notes.append(f"Training ended within the first epoch, so there is no curve of {listed(without)}.")
    return (*pairs, best_points(known), *(Text(note, tone="note") for note in notes))


def _no_curves(runs: Sequence[Learning]) -> str:
    if all(run.asked == 0 for run in runs):
        return "No training was requested: the initial weights were evaluated."
    return "Training ended within the first epoch, so there are no curves."


def of_run(run: Learning) -> tuple[Chart, ...]:
    """Loss and accuracy of a run that has a complete epoch."""
    return tuple(
        Chart(
            chart(run, quantity),
            f"{quantity.capitalize()} over the epochs, train and validation.",
            width=440,
            kind=KIND,
        )
        for quantity in ("loss", "accuracy")
        if quantity in run.curves
    )


def _of_several(runs: Sequence[Learning], kind: str, graded: bool) -> Beside:
    prefix = "val_" if kind == "validation" else ""
    charts = tuple(
        Chart(
            spec=overlay(runs, f"{prefix}{quantity}", graded),
            description=f"The {kind} {quantity} of each run over the epochs.",
            width=440,
            kind=KIND,
        )
        for quantity in ("loss", "accuracy")
    )
    return Beside(charts, caption=caption_of_several(runs, kind))


def best_points(runs: Sequence[Learning]) -> Table:
    """The best point of each curve with its epoch: of the means over the seeds or folds, where there are several."""
    columns = [column for column in COLUMNS if all(column in run.curves for run in runs)]
    several = f", of the means over the {_noun(runs)}s" if any(run.seeds > 1 for run in runs) else ""
    return Table(
        titles=("run", *(f"{'highest' if c.endswith('accuracy') else 'lowest'} {COLUMNS[c]}" for c in columns)),
        rows=tuple((run.name, *(_best_point(run.curves[c].mean, c) for c in columns)) for run in runs),
        right=frozenset(range(1, len(columns) + 1)),
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


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd curves, by what is odd."""

    def odd(name: str, losses: Sequence[float], validation: bool = True, **more: object) -> Learning:
        loss = np.array(losses, np.float64)
        share = np.linspace(0.3, 0.9, len(loss))
        columns = {"loss": loss, "accuracy": share} | ({"val_loss": loss, "val_accuracy": share} if validation else {})
        return replace(of_history(columns, name), **more)  # type: ignore[arg-type]

    falling = (0.9, 0.5, 0.3, 0.2)
    return {
        "one run": blocks([odd("a", falling, best=3)]),
        "not kept": blocks([odd("a", falling, best=3, best_kept=False, weights="the weights of the last epoch (4)")]),
        "no validation": blocks([odd("a", falling, validation=False)]),
        "one epoch": blocks([odd("a", falling[:1], best=1)]),
        "no epoch": blocks([odd("a", ())]),
        "not asked for": blocks([odd("a", (), asked=0)]),
        "not finite": blocks([odd("a", (0.9, math.inf, 2.0**70, math.nan, 1e300))]),
        "never finite": blocks([odd("a", (math.nan,) * 3)]),
        "several": blocks([odd("<b>", falling), odd("constructor", falling[:1]), odd("c", ())]),
        "steps of a setting": blocks([odd(f"{n}", falling, seeds=3) for n in range(4)], "optimizer.lr"),
        "some without validation": blocks([odd("a", falling), odd("b", falling, validation=False)]),
    }
