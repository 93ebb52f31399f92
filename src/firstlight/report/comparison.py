"""The comparison of several runs: records in, a document out. The best is chosen by validation, never by test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from firstlight.errors import RunError
from firstlight.evaluation import Evaluation, same_images
from firstlight.records.group import Group, of_runs, ranked, selected, tasks, winners
from firstlight.records.run import RunRecord
from firstlight.report import charts, contrasts, grouped, overlays, seedwise, verdicts
from firstlight.report.captions import most_confused, per_class_comparison
from firstlight.report.document import (
    Beside,
    Block,
    Chart,
    Code,
    Document,
    Heading,
    Number,
    Numbers,
    Section,
    Table,
    Text,
)
from firstlight.report.format import (
    THIN,
    UNDEFINED,
    accuracy,
    count,
    counted,
    decimal,
    interval,
    percent,
    seconds,
    signed,
)
from firstlight.report.notes import merged
from firstlight.report.pictures import samples, still_wrong
from firstlight.report.render.vega import spread_wide
from firstlight.report.settings import differences

MATRICES = 6  # at most so many confusion matrices stand side by side

Runs = Mapping[str, RunRecord]


def document(records: Sequence[RunRecord], title: str, folder: Path) -> Document:
    """The comparison of runs, for a page that will lie in `folder`. Runs that differ only in the seed are one."""
    if not records:
        raise RunError("There is no run to compare.")
    groups = of_runs(records)
    about_seeds = any(len(group.runs) > 1 for group in groups)
    subtitle = ", ".join(dict.fromkeys(record.data for record in records))
    make = _over_seeds if about_seeds else _one_by_one
    return make(groups, title, subtitle, folder)


def _over_seeds(groups: Sequence[Group], title: str, subtitle: str, folder: Path) -> Document:
    runs = sum(len(group.runs) for group in groups)
    sections = (
        Section("The runs", "runs", (grouped.table(groups), grouped.dots(groups))),
        *seedwise.sections(groups),
        Section("Every run", "every", (grouped.every_run(groups, folder),)),
        Section("How to reproduce it", "reproduce", (*grouped.settings(groups), *_files(grouped.named_runs(groups)))),
    )
    return Document(
        kind_of=f"Comparison of {counted(runs, 'run')}",
        title=title,
        subtitle=subtitle,
        verdict=verdicts.study(groups),
        numbers=grouped.numbers(groups),
        sections=sections,
        source="the run folders",
    )


def _one_by_one(groups: Sequence[Group], title: str, subtitle: str, folder: Path) -> Document:
    runs = {group.name: group.first for group in ranked(groups)}
    chosen = selected(groups)
    sections = [
        Section("The runs", "runs", _table(runs, folder, len(winners(groups)))),
        Section("Before you trust it", "notes", _notes(groups, runs, chosen)),
        Section("Accuracy", "accuracy", (_accuracy(runs),)),
        seedwise.by_task("Significance of the differences", "significance", groups, contrasts.section),
        Section("Learning", "learning", _learning(groups, runs, chosen)),
    ]
    if len(tasks(groups)) == 1:
        sections.append(Section("Class by class", "classes", _classes(runs)))
    name, first = next(iter(runs.items()))
    how = "the best by validation" if chosen else "the first as given"
    wrong = (*samples(first), Heading(f"What {name} still gets wrong"), still_wrong(runs, how))
    sections.append(Section("The images", "images", wrong))
    sections.append(Section("How to reproduce it", "reproduce", _reproduce(runs)))
    return Document(
        kind_of=f"Comparison of {counted(len(runs), 'run')}",
        title=title,
        subtitle=subtitle,
        verdict=verdicts.comparison(groups),
        numbers=_numbers(runs, chosen),
        sections=tuple(sections),
        source="the run folders",
    )


def best(runs: Runs) -> RunRecord:
    """The run that comes first: the best by validation, where each run has such images."""
    return next(iter(runs.values()))


def _numbers(runs: Runs, chosen: bool) -> Numbers:
    winner, which = best(runs), "best" if chosen else "first"
    times = [record.seconds("train") for record in runs.values()]
    known = [t for t in times if t is not None]
    return Numbers(
        (
            Number(
                f"test accuracy of the {which}",
                percent(winner.test.accuracy),
                f"95{THIN}% interval {interval(winner.test.accuracy_interval)}",
            ),
            Number("test images", count(winner.test.images), counted(len(winner.class_names), "class")),
            Number("runs", count(len(runs)), "best by validation first" if chosen else "in the order given"),
            Number(f"parameters of the {which}", count(winner.parameters()), winner.model),
            Number("training time", seconds(sum(known)) if known else "", "all runs together"),
        )
    )


def _table(runs: Runs, folder: Path, best_ones: int) -> tuple[Block, ...]:
    star = "★ Best by validation. " if best_ones else ""
    rows = []
    for place, (name, record) in enumerate(runs.items()):
        validation = record.validation
        rows.append(
            (
                name if record.report is None else grouped.link(name, record.report, folder),
                f"{'★ ' if place < best_ones else ''}{percent(validation.accuracy if validation else None)}",
                percent(record.training_accuracy),
                signed(_gap(record)),
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
        "training accuracy",
        "gap, points",
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
            strong=frozenset(range(best_ones)),
            caption=f"{star}In brackets, the 95{THIN}% interval of the test accuracy, and the epoch "
            f"whose weights were kept and measured. {grouped.GAP}"
            "Losses compare only between runs with the same loss function.",
        ),
    )


def _gap(record: RunRecord) -> float | None:
    """The training accuracy less the validation accuracy, where it has both."""
    if record.training_accuracy is None or record.validation is None:
        return None
    return record.training_accuracy - record.validation.accuracy


def _notes(groups: Sequence[Group], runs: Runs, chosen: bool) -> tuple[Text, ...]:
    warnings = merged(runs)
    if any(not same_images(best(runs).predictions, record.predictions) for record in runs.values()):
        warnings.insert(0, "The runs were not tested on the same images: their accuracies do not compare.")
    return (
        *(Text(text, tone="warning") for text in warnings),
        Text(seedwise.selection(groups) if chosen else seedwise.NO_SELECTION, tone="note"),
        Text(verdicts.precision(runs), tone="note"),
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


def _learning(groups: Sequence[Group], runs: Runs, chosen: bool) -> tuple[Block, ...]:
    columns = {name: record.history for name, record in runs.items()}
    without = [name for name, history in columns.items() if not len(history["epoch"])]
    left_out = f"Training ended within the first epoch: {', '.join(without)}. There are no curves of it."
    if len(without) == len(runs):
        return (Text(left_out, tone="note"),)
    kind, prefix = ("validation", "val_") if chosen else ("training", "")
    loss = Chart(
        spec=overlays.overlaid(columns, f"{prefix}loss", f"{kind} loss"),
        description=f"The {kind} loss of each run over the epochs.",
        width=440,
    )
    share = Chart(
        spec=overlays.overlaid(columns, f"{prefix}accuracy", f"{kind} accuracy", share=True),
        description=f"The {kind} accuracy of each run over the epochs.",
        width=440,
    )
    wide = spread_wide([history[f"{prefix}loss"] for history in columns.values()])
    uneven = " A loss grew so large that its axis is logarithmic." if wide else ""
    meaning = (
        "Validation loss and accuracy over the epochs. A curve that still rises at its end would gain from more "
        "epochs; a validation loss that rises again is a sign of overfitting."
        if chosen
        else "Training loss and accuracy over the epochs: not every run has validation images to compare by."
    )
    curves = Beside((loss, share), caption=meaning + uneven)
    points = grouped.extremes([group for group in groups if len(group.first.history["epoch"])])
    return (curves, points, Text(left_out, tone="note")) if without else (curves, points)


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
    return (*blocks, *_files(runs))


def _files(runs: Runs) -> list[Block]:
    """The experiment files, by which each run can be done again."""
    files = [
        Code(record.experiment_text.rstrip("\n"), title=f"{name}: experiment.toml", folded=True)
        for name, record in runs.items()
    ]
    return [Code("firstlight run experiment.toml", title="With any of the files below, in a shell:"), *files]


def _tests(runs: Runs) -> dict[str, Evaluation]:
    return {name: record.test for name, record in runs.items()}
