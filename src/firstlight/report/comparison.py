"""The comparison of several runs: records in, a document out. The best is chosen by validation, never by test."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from firstlight.errors import RunError
from firstlight.evaluation import Evaluation
from firstlight.report import charts, overlays
from firstlight.report.captions import comparison_verdict, discordant, most_confused, per_class_comparison, precision
from firstlight.report.content import (
    Beside,
    Block,
    Cell,
    Chart,
    Code,
    Document,
    Heading,
    Link,
    Number,
    Numbers,
    Section,
    Table,
    Text,
)
from firstlight.report.drawing import spread_wide
from firstlight.report.notes import notes
from firstlight.report.numbers import THIN, UNDEFINED, accuracy, count, counted, decimal, interval, percent, seconds
from firstlight.report.pictures import samples, still_wrong
from firstlight.report.record import RunRecord
from firstlight.report.settings import differences

MATRICES = 6  # at most so many confusion matrices stand side by side

Runs = Mapping[str, RunRecord]


def document(records: Sequence[RunRecord], title: str, folder: Path) -> Document:
    """The comparison of runs, for a page that will lie in `folder`."""
    runs = ranked(records)
    sections = [
        Section("The runs", "runs", _table(runs, folder)),
        Section("Before you trust it", "notes", _notes(runs)),
        Section("Accuracy", "accuracy", (_accuracy(runs),)),
        Section("Learning", "learning", _learning(runs)),
    ]
    if len({record.class_names for record in records}) == 1:
        sections.append(Section("Class by class", "classes", _classes(runs)))
    sections.append(
        Section(
            "The images", "images", (*samples(best(runs)), Heading("What the best still gets wrong"), still_wrong(runs))
        )
    )
    sections.append(Section("How to reproduce it", "reproduce", _reproduce(runs)))
    return Document(
        kind_of=f"Comparison of {counted(len(runs), 'run')}",
        title=title,
        subtitle=", ".join(dict.fromkeys(record.data for record in records)),
        verdict=comparison_verdict(runs),
        numbers=_numbers(runs),
        sections=tuple(sections),
    )


def ranked(records: Sequence[RunRecord]) -> dict[str, RunRecord]:
    """The runs by a name of their own, the best by validation first. Raises RunError where that cannot be said."""
    if not records:
        raise RunError("There is no run to compare.")
    validated = [(record, record.validation) for record in records if record.validation is not None]
    if len(validated) < len(records):
        without = next(record for record in records if record.validation is None)
        raise RunError(f"{without.run.path} has no evaluation on validation images, by which runs are compared.")
    validated.sort(key=lambda pair: (-pair[1].accuracy, pair[1].loss))
    names = [record.name for record in records]
    return {record.name if names.count(record.name) == 1 else str(record.run.path): record for record, _ in validated}


def best(runs: Runs) -> RunRecord:
    """The run that is best by validation."""
    return next(iter(runs.values()))


def _numbers(runs: Runs) -> Numbers:
    winner = best(runs)
    times = [record.seconds("train") for record in runs.values()]
    known = [t for t in times if t is not None]
    return Numbers(
        (
            Number(
                "test accuracy of the best",
                percent(winner.test.accuracy),
                f"95{THIN}% interval {interval(winner.test.accuracy_interval)}",
            ),
            Number("test images", count(winner.test.images), counted(len(winner.class_names), "class")),
            Number("runs", count(len(runs)), "best by validation first"),
            Number("parameters of the best", count(winner.parameters()), winner.model),
            Number("training time", seconds(sum(known)) if known else "", "all runs together"),
        )
    )


def _table(runs: Runs, folder: Path) -> tuple[Block, ...]:
    rows = []
    for place, (name, record) in enumerate(runs.items()):
        validation = record.validation
        rows.append(
            (
                _linked(name, record, folder),
                f"{'★ ' if place == 0 else ''}{percent(validation.accuracy if validation else None)}",
                accuracy(record.test),
                decimal(record.test.loss),
                count(record.parameters()),
                count(record.multiply_adds),
                f"{record.epochs_run} ({record.weights_epoch or UNDEFINED})",
                seconds(record.seconds("train")),
            )
        )
    titles = (
        "run",
        "validation accuracy",
        "test accuracy",
        "test loss",
        "parameters",
        "multiply-adds",
        "epochs (kept)",
        "time",
    )
    return (
        Table(
            titles=titles,
            rows=tuple(rows),
            right=frozenset(range(1, len(titles))),
            strong=frozenset({0}),
            caption=f"★ Best by validation. In brackets, the 95{THIN}% interval of the test accuracy, and the epoch "
            "whose weights were kept and measured. "
            "Losses compare only between runs with the same loss function.",
        ),
    )


def _linked(name: str, record: RunRecord, folder: Path) -> Cell:
    if record.report is None:
        return name
    relative = Path(os.path.relpath(record.report.resolve(), folder.resolve()))
    return Link(name, quote(relative.as_posix()))


def _notes(runs: Runs) -> tuple[Text, ...]:
    found: dict[str, list[str]] = {}
    for name, record in runs.items():
        for note in notes(record):
            if note.tone == "warning":
                found.setdefault(note.text, []).append(name)
    warnings = [text if len(names) == len(runs) else f"{', '.join(names)}: {text}" for text, names in found.items()]
    if any(discordant(best(runs).predictions, record.predictions) is None for record in runs.values()):
        warnings.insert(0, "The runs were not tested on the same images: their accuracies do not compare.")
    selection = (
        "Selection is by validation: the best run is the one with the highest validation accuracy. The test "
        "accuracies are shown for every run, but choosing by them would flatter the winner."
    )
    return (
        *(Text(text, tone="warning") for text in warnings),
        Text(selection, tone="note"),
        Text(precision(runs), tone="note"),
    )


def _accuracy(runs: Runs) -> Beside:
    evaluations = _tests(runs)
    dots = Chart(
        spec=overlays.accuracies(evaluations),
        description=f"Test accuracy of each run with its 95{THIN}% interval.",
        width=440,
    )
    against = Chart(
        spec=overlays.against_parameters(evaluations, {name: max(1, r.parameters()) for name, r in runs.items()}),
        description="Test accuracy against the number of parameters.",
        width=440,
    )
    return Beside(
        (dots, against),
        caption="Left, the test accuracies with their intervals: look first whether they overlap. Right, what the "
        "accuracy costs in parameters, on an axis of equal factors: up and to the left is better.",
    )


def _learning(runs: Runs) -> tuple[Block, ...]:
    columns = {name: record.history for name, record in runs.items()}
    without = [name for name, history in columns.items() if not len(history["epoch"])]
    left_out = f"Training ended within the first epoch: {', '.join(without)}. There are no curves of it."
    if len(without) == len(runs):
        return (Text(left_out, tone="note"),)
    loss = Chart(
        spec=overlays.overlaid(columns, "val_loss", "validation loss"),
        description="Validation loss of each run over the epochs.",
        width=440,
    )
    share = Chart(
        spec=overlays.overlaid(columns, "val_accuracy", "validation accuracy", share=True),
        description="Validation accuracy of each run over the epochs.",
        width=440,
    )
    wide = spread_wide([history["val_loss"] for history in columns.values()])
    uneven = " A loss grew so large that its axis is logarithmic." if wide else ""
    curves = Beside(
        (loss, share),
        caption="Validation loss and accuracy over the epochs. A curve that still rises at its end would gain from "
        "more epochs; a loss that turns upwards tells that the run learns its training images by heart." + uneven,
    )
    return (curves, Text(left_out, tone="note")) if without else (curves,)


def _classes(runs: Runs) -> tuple[Block, ...]:
    tests = _tests(runs)
    dots = Chart(
        spec=overlays.class_dots(
            best(runs).class_names, {n: [s.accuracy for s in e.classes] for n, e in tests.items()}
        ),
        description="Accuracy of each class in each run.",
        caption=per_class_comparison(tests),
        width=640,
    )
    blocks: list[Block] = []
    for name, test in list(tests.items())[:MATRICES]:
        chart = Chart(
            spec=charts.confusion(test.confusion, test.class_names, small=True),
            description=f"Confusion matrix of {name}: rows are the true classes, columns the predicted ones.",
            caption=f"{name}. {most_confused(test)}",
            width=380,
        )
        blocks.append(chart)
    matrices = Beside(
        tuple(blocks),
        caption="Rows are the true classes, columns the predicted ones; the colour is the share of the row, "
        "with mistakes in their own hue.",
    )
    return (dots, matrices)


def _reproduce(runs: Runs) -> tuple[Block, ...]:
    rows = differences(runs)
    blocks: list[Block] = []
    if rows:
        blocks.append(
            Table(
                titles=("setting", *runs),
                rows=tuple(rows),
                caption="The settings in which the runs differ; all others are the same.",
            )
        )
    blocks.append(Code("firstlight run experiment.toml", title="With any of the files below, in a shell:"))
    for name, record in runs.items():
        blocks.append(Code(record.experiment_text.rstrip("\n"), title=f"{name}: experiment.toml", folded=True))
    return tuple(blocks)


def _tests(runs: Runs) -> dict[str, Evaluation]:
    return {name: record.test for name, record in runs.items()}
