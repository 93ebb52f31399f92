"""`firstlight labels`: which labels may be wrong, among all images of a k-fold split."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstlight.cli import explanation_tables
from firstlight.cli.commands import Json
from firstlight.cli.run import Device, Engine, OwnData

if TYPE_CHECKING:
    from rich.console import Console

    from firstlight.records.label_issues import DoubtedLabel, LabelIssues

TOP = 20
COLUMNS = ("id", "pixels", "label", "suggested", "probability_label", "probability_suggested", "score", "fold")


def labels(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDS", help="The complete folder of firstlight run FILE --folds N.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.csv", help="Also write all of them to a table.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="How many to print.")] = TOP,
    engine: Engine = None,
    device: Device = None,
    data: OwnData = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only the path of what was written, and errors.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List suspected label errors among all images of a cross-validation, each by the net that was not trained on it.

    Each comes with a reason: what that net predicts, and how the nearest images are labelled. They are only suspected:
    look at each image before you change its label, on the page Review of firstlight view.
    """
    from firstlight import api
    from firstlight.errors import ExperimentError
    from firstlight.records.label_issues import LABEL_ISSUES, folder_of_folds

    if out is not None and out.suffix.lower() != ".csv":
        raise ExperimentError(f"--out {out}: the table is a CSV, so the name must end in .csv.")
    place = folder_of_folds(path)
    found = explanation_tables.watched(
        api.label_issues, as_json or quiet, path=place, engine=engine, device=device, data=data
    )
    if out is not None:
        _write(out, found)
    page = _report(place)
    written = place / LABEL_ISSUES
    if as_json:
        about = {"path": str(written), "images": found.images, "in_doubt": len(found), "layer": found.layer}
        typer.echo(json.dumps({**about, "labels": [_plain(one) for one in found]}, ensure_ascii=False))
    elif quiet:
        typer.echo(out or written)
    else:
        from rich.console import Console

        _print(Console(highlight=False), found, top)
        typer.echo(f"Written: {written}{f', {out}' if out else ''}")
        if page is not None:
            typer.echo(f"Report: {page}")
        typer.echo(f"Look at the images, and keep or change each label: firstlight view {_root(place)}, page Review")


def _report(folds: Path) -> Path | None:
    """The report of the study that the folds are of, made again: it shows the first of them with their images."""
    from firstlight import report
    from firstlight.records.run_folder import STUDY
    from firstlight.records.study_folder import StudyFolder

    root = _root(folds)
    return report.write(StudyFolder.open(root)) if (root / STUDY).is_file() else None


def _root(folds: Path) -> Path:
    """The folder of the study that the folds are of; the one round them where there is none."""
    from firstlight.records.run_folder import STUDY

    return folds.parent.parent if (folds.parent.parent / STUDY).is_file() else folds.parent


def _print(console: Console, found: LabelIssues, top: int) -> None:
    from rich.markup import escape
    from rich.table import Table

    from firstlight.text import display_names

    shown = [found[place] for place in range(min(top, len(found)))]
    names = display_names(found.class_names)
    console.print(
        f"{len(found):,} of {found.images:,} labels are suspected to be wrong"
        + (f"; the {len(shown)} most suspect:" if shown else "."),
        style="bold",
        soft_wrap=True,
    )
    table = Table(box=None, header_style="bold")
    table.add_column("image", overflow="fold")
    for heading in ("labelled", "suggested"):
        table.add_column(heading)
    table.add_column("net gives", justify="right", no_wrap=True)
    table.add_column("nearest images")
    for one in shown:
        by_label, by_suggested = one.probabilities
        row = (one.id, names[one.given], names[one.suggested], f"{by_label:.2f} → {by_suggested:.2f}", _nearest(one))
        table.add_row(*map(escape, row))
    if shown:
        console.print(table)


def _nearest(one: DoubtedLabel) -> str:
    """How the nearest images are labelled, the most frequent first."""
    counts = sorted(((one.labels.count(k), one.class_names[k]) for k in set(one.labels)), reverse=True)
    return ", ".join(f"{count} × {name}" for count, name in counts)


def _plain(one: DoubtedLabel) -> dict[str, Any]:
    by_label, by_suggested = one.probabilities
    nearest = zip(one.nearest, one.labels, strict=True)
    return {
        "image": one.id,
        "pixels": one.pixels,
        "label": one.class_names[one.given],
        "suggested": one.class_names[one.suggested],
        "probability_label": by_label,
        "probability_suggested": by_suggested,
        "score": one.score,
        "fold": one.fold,
        "reason": one.reason,
        "nearest": [{"image": name, "label": one.class_names[k]} for name, k in nearest],
    }


def _write(out: Path, found: LabelIssues) -> None:
    """All of them as a CSV: a row each, with the reason and the ids of the nearest images."""
    from firstlight.errors import DataError
    from firstlight.files import write_text

    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow((*COLUMNS, "reason", *(f"nearest_{k}" for k in range(1, found.nearest_ids.shape[1] + 1))))
    for one in found:
        plain = {**_plain(one), "id": one.id}
        table.writerow((*(plain[name] for name in COLUMNS), one.reason, *one.nearest))
    try:
        write_text(out, text.getvalue())
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}.") from None
