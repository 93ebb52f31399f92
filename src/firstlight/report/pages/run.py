"""The report of one run: a record in, a document out, in the order in which a reader asks."""

from __future__ import annotations

from firstlight.records.group import of_runs
from firstlight.records.run import RunRecord
from firstlight.report import selection
from firstlight.report.document import (
    Document,
    Number,
    Numbers,
)
from firstlight.report.format import (
    THIN,
    count,
    counted,
    date,
    interval,
    percent,
    seconds,
)
from firstlight.report.pages import contents


def document(record: RunRecord) -> Document:
    """The report of a run."""
    return Document(
        kind_of="Report of a run",
        title=f"{record.model} on {record.data}",
        subtitle=" · ".join(filter(None, [f"run {record.name}", date(record.environment.started)])),
        verdict=verdict(record),
        numbers=_numbers(record),
        sections=contents.sections(contents.RUN, of_runs([record])),
    )


def verdict(record: RunRecord) -> str:
    """The outcome of a run in two sentences."""
    test = record.test
    support = test.confusion.sum(axis=1)
    if test.correct == test.images:
        said = f"{record.model} is right on all {count(test.images)} test images."
    else:
        said = f"{record.model} is right on {count(test.correct)} of {count(test.images)} test images."
    leaked = record.checks.across.get(("train", "test"), 0)
    near = 0 if record.checks.near is None else record.checks.near.across.get(("train", "test"), 0)
    new = (
        f"{count(leaked)} of them are also among its training images" if leaked else "It was not trained on any of them"
    )
    new += f", and {count(near)} are near copies of training images" if near else ""
    groups = record.groups
    if groups is not None and not leaked and not near and not any(groups.divided.values()):
        new += f", nor any other image of their {counted(groups.splits.get('test', 0), 'group')}"
    ended = "Training diverged: its loss was no longer finite. " if record.status == "diverged" else ""
    last = record.best_epoch is None and record.weights_epoch == record.epochs_run > 0
    expected = record.status != "diverged" and (record.kept_best or last)
    measured = "" if expected else f" Evaluated were {selection.weights(record)}."
    return (
        f"{ended}{said} {new}; always predicting “{test.class_names[int(support.argmax())]}”, the most "
        f"frequent class, would be right on {percent(int(support.max()) / test.images)}.{measured}"
    )


def _numbers(record: RunRecord) -> Numbers:
    trainable = record.parameters("trainable")
    known = record.result.images_per_second
    speed = "" if known is None else f"{count(round(known))} images/s"
    return Numbers(
        (
            Number(
                "test accuracy",
                percent(record.test.accuracy),
                f"95{THIN}% interval {interval(record.test.accuracy_interval)}",
            ),
            Number("test images", count(record.test.images), counted(len(record.class_names), "class")),
            Number("parameters", count(record.parameters()), f"{count(trainable)} trainable"),
            Number("epochs", count(record.epochs_run), _best(record)),
            Number("training time", seconds(record.seconds("train")), speed),
        )
    )


def _best(record: RunRecord) -> str:
    if record.best_epoch is None:
        return "weights of the last" if record.weights_epoch else record.status
    kept = "" if record.kept_best else f", kept: {record.weights_epoch}"
    return f"best: {record.best_epoch}{kept}"
