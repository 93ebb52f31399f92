"""`firstlight predict` and `evaluate`: what a trained net says of images, and how often it is right."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstlight.cautions import NOTE, Caution
from firstlight.cli.commands import ClassifierPath, Json
from firstlight.cli.run import Device, Engine, FalseAlarms, opened_classifier
from firstlight.cli.tables import plain, tell_metrics
from firstlight.errors import ExperimentError
from firstlight.text import listed, one_line, printable_name

if TYPE_CHECKING:
    from firstlight.inference import Measured, Prediction
    from firstlight.prediction_table import Write
    from firstlight.trained_classifier import TrainedClassifier as Trained

TOP = 3  # classes that are named of an image
NAMED = 20  # files that could not be read and are told one by one where a table tells all
REFRESH = 50  # images between two looks at the progress bar

PATHS = 'Image files, folders, patterns ("new/*.png"), a .csv with a column path, or - for a list.'
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="Write a table: a .csv, .jsonl or .parquet.", show_default=False),
]


def predict(
    path: ClassifierPath,
    images: Annotated[list[str], typer.Argument(metavar="PATH", help=PATHS, show_default=False)],
    out: Out = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many of the most probable classes to print. Default: 3, or all with --json.",
            show_default=False,
        ),
    ] = None,
    false_alarm_rate: FalseAlarms = None,
    engine: Engine = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Classify images: names and probabilities, or none of these. Exit code 1 where an image could not be read."""
    _must_not_be_read(out, images)
    trained = opened_classifier(path, engine, device, false_alarm_rate=false_alarm_rate)
    total = _survey(images)
    named = TOP if top is None and not (as_json and out is None) else top
    with (
        _Progress(total, bar=out is not None or not sys.stdout.isatty(), most=NAMED if out else None) as progress,
        _table(out, trained, named) if out else _printed(trained, as_json, in_order=top is None) as write,
    ):
        for prediction in trained.predict_files(images, top=named, standard_input=getattr(sys.stdin, "buffer", None)):
            progress.add(prediction)
            write(prediction)
    if out is not None:
        _tell_table(out, progress, as_json)
    if not progress.read + progress.failed:
        typer.echo(f"{NOTE}no image is named in {listed(map(_shown, images), most=3)}.", err=True)
    if progress.trained_on:
        who = "the run was" if len(trained.folders) == 1 else "some of the nets were"
        typer.echo(
            Caution.SEEN_IMAGES.note(
                f"{who} trained on {progress.trained_on:,} of these {progress.read:,} images: predictions on them say "
                "nothing about new images."
            ),
            err=True,
        )
    if progress.failed:
        raise typer.Exit(1)


def evaluate(
    path: ClassifierPath,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help=f"Other images instead of its own, labelled by their folders. {PATHS}"),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Other images with the same classes, or its own if they were moved.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="train, validation or test. Default: test, or all images if they come without splits."),
    ] = None,
    include_seen: Annotated[
        bool,
        typer.Option(
            "--include-seen", help="Also evaluate on images that it was trained on. Default: they are left out."
        ),
    ] = False,
    unverified: Annotated[
        bool,
        typer.Option(
            "--unverified", help="Read files of a named dataset even where their checksum is not the published one."
        ),
    ] = False,
    out: Out = None,
    false_alarm_rate: FalseAlarms = None,
    engine: Engine = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Measure a trained model again, on its own images or on others. A table has their true classes too."""
    for option, given in (("--data", data), ("--split", split)):
        if images and given:
            raise ExperimentError(f"{option} cannot be used with paths, which say what is evaluated.")
    _must_not_be_read(out, [*(images or []), *([data] if data else [])])
    trained = opened_classifier(path, engine, device, false_alarm_rate=false_alarm_rate)
    unread = 0
    if images:
        measured, unread = _measured_files(trained, images, out, include_seen)
        which = listed(map(_shown, images), most=3)
    else:
        measured = _measured_set(trained, data, split, out, unverified=unverified, include_seen=include_seen)
        which = f"its own {split or 'test'} images" if data is None else f"{data}{f', {split}' if split else ''}"
    if as_json:
        typer.echo(json.dumps(measured.to_json() | ({} if out is None else {"table": str(out)})))
    else:
        _print_evaluation(measured, f"{path} on {which}")
        if out is not None:
            typer.echo(f"Table: {out}")
    if unread:
        raise typer.Exit(1)


class _Progress:
    """Counts predictions, tells which images could not be read, and shows a bar on a terminal.

    total  how many there will be, where that is known
    bar    whether a bar may be shown
    most   so many unreadable images are told one by one; all with None
    """

    def __init__(self, total: int | None, *, bar: bool, most: int | None) -> None:
        from rich.console import Console

        from firstlight.console import ConsoleProgress

        self.lines, self.total, self.bar, self.most = ConsoleProgress(Console(stderr=True)), total, bar, most
        self.read = self.failed = self.trained_on = 0

    def __enter__(self) -> _Progress:
        self.lines.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.lines.__exit__(*error)
        if self.most is not None and self.failed > self.most:
            typer.echo(f"{self.failed - self.most:,} more could not be read; the table says why.", err=True)

    def add(self, prediction: Prediction) -> None:
        """One more is done."""
        if prediction.class_name:
            self.read += 1
            self.trained_on += prediction.trained_on
        else:
            self.failed += 1
            if self.most is None or self.failed <= self.most:
                self.lines.line(f"{_shown(prediction.path)}: {prediction.reason}.")
        done = self.read + self.failed
        if self.bar and done % REFRESH == 0:
            self.lines.step(f"{done:,} images", done, self.total)


def _survey(paths: Sequence[str], *, labelled: bool = False) -> int | None:
    """How many images there are, where that can be told beforehand; which files are none is told here."""
    from firstlight.data.file_listing import survey

    found = survey(paths, labelled=labelled)
    if found.others:
        what = "file is not an image and was" if found.others == 1 else "files are not images and were"
        names = [*map(_shown, found.such_as), *[""] * (found.others - len(found.such_as))]
        typer.echo(
            Caution.NOT_IMAGES.note(f"{found.others:,} {what} not read: {listed(names, most=len(found.such_as))}."),
            err=True,
        )
    return found.files


def _shown(path: str) -> str:
    return one_line(printable_name(path))


def _must_not_be_read(out: Path | None, paths: Sequence[str]) -> None:
    """Refuse to replace a list of images by the table of what was found."""
    from firstlight.files import is_file

    if out is not None and is_file(out):
        for path in paths:
            if is_file(path) and out.samefile(path):
                raise ExperimentError(f"--out {out} is also an input and would be overwritten. Name another file.")


def _must_be_files(paths: Sequence[str]) -> None:
    """Refuse sets of images where files of images are asked for."""
    from firstlight.data import SOURCES
    from firstlight.files import is_there

    for path in paths:
        if path.endswith(".npz") or (path in SOURCES and not is_there(Path(path))):
            raise ExperimentError(f"{path} is a dataset: evaluate on it with --data {path}.")


@contextmanager
def _table(out: Path, trained: Trained, top: int | None, labelled: bool = False) -> Iterator[Write]:
    """What writes predictions into a table with columns for `top` classes; all with None."""
    from firstlight.prediction_table import prediction_table

    classes = len(trained.class_names)
    told = not trained.why_no_novelty
    with prediction_table(out, top=min(top or classes, classes), labelled=labelled, novelty=told) as write:
        yield write


@contextmanager
def _printed(trained: Trained, as_json: bool, in_order: bool) -> Iterator[Write]:
    """What prints predictions: a line each or, as they come, one JSON list of all.

    in_order  whether JSON has the classes in their order, not the most probable first
    """
    from firstlight.report.format import percent

    written = 0

    def line(prediction: Prediction) -> None:
        if prediction.class_name:
            answers = ", ".join(f"{name} {percent(p)}" for name, p in prediction.top)
            if prediction.none_of_these:
                answers = f"none of these (most like {answers})"
            typer.echo(f"{_shown(prediction.path)}: {answers}")

    def item(prediction: Prediction) -> None:
        nonlocal written
        if prediction.class_name:
            best = dict(prediction.top)
            answers = {name: best[name] for name in trained.class_names} if in_order else best
            value: dict[str, Any] = {"image": printable_name(prediction.path), "probabilities": answers}
            if prediction.none_of_these is not None:
                value |= {"none_of_these": prediction.none_of_these, "strangeness": prediction.strangeness}
            typer.echo(f"{', ' if written else '['}{json.dumps(value, ensure_ascii=False)}", nl=False)
            written += 1

    yield item if as_json else line
    if as_json:
        typer.echo("]" if written else "[]")


def _tell_table(out: Path, progress: _Progress, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"table": str(out), "images": progress.read, "unreadable": progress.failed}))
        return
    unread = f", and why {progress.failed:,} could not be read" if progress.failed else ""
    typer.echo(f"Table: {out} ({progress.read:,} images{unread})")


def _measured_files(
    trained: Trained, paths: Sequence[str], out: Path | None, include_seen: bool
) -> tuple[Measured, int]:
    """What was measured on files, and how many could not be read."""
    _must_be_files(paths)
    total = _survey(paths, labelled=True)
    with (
        _Progress(total, bar=True, most=NAMED) as progress,
        nullcontext() if out is None else _table(out, trained, TOP, labelled=True) as write,
    ):

        def each(prediction: Prediction) -> None:
            progress.add(prediction)
            if write is not None:
                write(prediction)

        measured = trained.measure_files(
            paths, include_seen=include_seen, top=TOP, standard_input=getattr(sys.stdin, "buffer", None), each=each
        )
    return measured, progress.failed


def _measured_set(trained: Trained, data: str | None, split: str | None, out: Path | None, **how: bool) -> Measured:
    """What was measured on the run's own images or on another set; in the table, they are named by their ids."""
    from firstlight.inference import prediction_of

    with nullcontext() if out is None else _table(out, trained, TOP, labelled=True) as write:
        measured = trained.measure(data, split, **how)
        found, names = measured.predictions, trained.class_names
        if write is not None:
            strange = [math.nan] * len(found) if found.strangeness is None else found.strangeness.tolist()
            rows = zip(found.ids.tolist(), found.labels.tolist(), found.probabilities, strange, strict=True)
            for name, label, row, strangeness in rows:
                write(prediction_of(name, row, names, TOP, true_class=names[label], strangeness=strangeness))
    return measured


def _print_evaluation(found: Measured, title: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from firstlight.report.format import THIN, interval, percent

    measured = found.evaluation
    typer.echo(
        f"{title}: accuracy {percent(measured.accuracy, 2)} (95{THIN}% interval "
        f"{plain(interval(measured.accuracy_interval))}, {measured.images:,} images), loss {measured.loss:.4f}"
    )
    for note in found.notes:
        typer.echo(f"{NOTE}{note}")
    if (strange := found.none_of_these) is not None:
        others = strange.accuracy_of_others
        of_others = "" if others is None else f"; accuracy among the others {percent(others, 2)}"
        share = percent(strange.images / measured.images, 2)
        typer.echo(f"None of these: {strange.images:,} of {measured.images:,} images ({share}){of_others}")
    top = ", ".join(f"top-{k} {percent(share, 2)}" for k, share in measured.top_k.items() if k > 1)
    typer.echo(f"{top}{', ' if top else ''}calibration error {measured.calibration_error:.4f}")
    tell_metrics(measured)
    table = Table("class", "precision", "recall", "F1", "images", box=None, header_style="bold")
    for score in measured.classes:
        numbers = (score.precision, score.recall, score.f1)
        table.add_row(escape(score.name), *("–" if n is None else f"{n:.3f}" for n in numbers), f"{score.support:,}")
    Console().print(table)
