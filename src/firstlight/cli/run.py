"""`firstlight run`, `resume` and `report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstlight import processes
from firstlight.cautions import Caution
from firstlight.cli import explanation_tables
from firstlight.cli.commands import OPTIMIZERS, Json, Open, Quiet, asked_for, console, show
from firstlight.cli.study import carried_out, print_study
from firstlight.cli.tables import plain, tell_metrics
from firstlight.errors import ExperimentError, RunError, TrainingError
from firstlight.text import listed

if TYPE_CHECKING:
    from firstlight.records.result import Result
    from firstlight.trained_ensemble import Ensemble
    from firstlight.trained_run import Run

Engine = Annotated[str | None, typer.Option(help="numpy or torch. Default: the one it was trained with.")]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        "--false-alarm-rate",
        metavar="X",
        help="The share of images of the known classes that may be rejected as none of these. Default: that of the "
        "experiment.",
        show_default=False,
    ),
]
Device = Annotated[str | None, typer.Option(help="torch only: auto, cpu, cuda, cuda:1 or mps.")]
Pdf = Annotated[
    bool | None,
    typer.Option(
        "--pdf/--html", help="A PDF or an HTML page. Default: HTML, unless FILE ends in .pdf.", show_default=False
    ),
]
OwnData = Annotated[
    str | None, typer.Option("--data", metavar="PATH", help="Where the run's images are now, if they were moved.")
]


def run(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.toml", help="An experiment file.", show_default=False)
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A named dataset, or the path of a folder, a CSV or an .npz.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The name of an architecture.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HEIGHTxWIDTH", help="Resize the images. One number stands for a square.")
    ] = None,
    epochs: Annotated[str | None, typer.Option(metavar="N", help="Epochs: passes over the training images.")] = None,
    batch_size: Annotated[str | None, typer.Option(metavar="N", help="Images per step of training.")] = None,
    optimizer: Annotated[str | None, typer.Option(help=f"{OPTIMIZERS}.")] = None,
    lr: Annotated[str | None, typer.Option(metavar="X", help="The learning rate.")] = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="The random seed.")] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|FILE",
            help='Initial weights: those of a run, of a .safetensors file, or "imagenet" for published ones.',
        ),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="numpy (written by hand) or torch.")] = None,
    kernels: Annotated[str | None, typer.Option(help="numpy only: compiled, or reference (readable, slow).")] = None,
    device: Device = None,
    precision: Annotated[
        str | None, typer.Option(help="float32, float64 or bfloat16; with torch also float16, or auto for the fastest.")
    ] = None,
    exact_noise: Annotated[
        bool, typer.Option("--exact-noise", help="torch only: draw the same dropout masks as numpy.")
    ] = False,
    unverified: Annotated[
        bool,
        typer.Option(
            "--unverified", help="Read files of a named dataset even where their checksum is not the published one."
        ),
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="N-fold cross-validation: train N runs, each tested on another fold of all images. A search in the "
            "file is repeated in each fold. The same command, or resume, continues it.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="With --folds: how many runs train at the same time, each in a process."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Explain the trained net as well: see firstlight explain.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="The run folder. Default: a new one in runs/.")
    ] = None,
    reuse: Annotated[bool, typer.Option("--reuse", help="Train nothing if --out already holds this very run.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the experiment: --set a.b=c")
    ] = None,
    open_: Open = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run an experiment: read images, train, measure, report. Options override the file."""
    from firstlight import api, experiments
    from firstlight.records.result import Status
    from firstlight.records.run_folder import REPORT

    if file is not None and not file.is_file():
        _must_be_no_name(str(file))
    if folds is None and workers is not None:
        raise ExperimentError("--workers needs --folds: a single run is one process.")
    if folds is not None and (explain or reuse):
        raise ExperimentError(
            f"{'--explain' if explain else '--reuse'} is for a single run, and --folds trains one for each fold. Omit "
            + ("it, and afterwards run firstlight explain on a fold." if explain else "it: folds always continue.")
        )
    if (
        folds is None
        and file is not None
        and (ignored := [f"[{key}]" for key in experiments.read(file) if key in experiments.OF_A_SEARCH])
    ):
        console(as_json, quiet).print(
            Caution.TABLES_OF_A_SEARCH.note(
                f"{listed(ignored)} in {file} are ignored here; firstlight tune {file} uses them."
            ),
            style="dim",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    options = {
        "data.source": data,
        "data.size": size,
        "model.name": model,
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "optimizer.name": optimizer,
        "optimizer.lr": lr,
        "seed": seed,
        "weights.init_from": init_from,
        "engine": engine,
        "kernels": kernels,
        "device": device,
        "precision": precision,
        "exact_noise": exact_noise or None,
        "data.unverified": unverified or None,
    }
    tables = asked_for(file, settings, options, search=folds is not None)
    if "data" not in tables:
        raise ExperimentError("There are no images to train on: give an experiment file, or --data with --model.")
    if folds is not None:
        name = f"{file.stem}-{folds}-folds" if file else ""
        origin, progress = str(file) if file else "options", console(as_json, quiet)
        done = carried_out(
            lambda: api.run_folds(tables, folds, name=name, origin=origin, out=out, workers=workers, console=progress)
        )
        page = print_study(done, quiet=quiet, as_json=as_json)
        if open_ and page.exists():
            show(page)
        return
    experiment = experiments.Experiment.of(tables, str(file) if file else "options")
    trained = api.run(experiment, out=out, console=console(as_json, quiet), reuse=reuse)
    _finish(trained, as_json, quiet)
    if explain and processes.is_main() and trained.folder.result.status != Status.INTERRUPTED:
        found = explanation_tables.watched(trained.explain, as_json or quiet, seed=experiment.seed)
        if not as_json and not quiet:
            typer.echo(f"Explained in {found.seconds:.1f} s: the report shows it.")
    if open_ and processes.is_main():
        show(trained.path / REPORT)


def _must_be_no_name(name: str) -> None:
    """Raise ExperimentError, with the command, where this is a model, a set of images or a study and not a file."""
    from firstlight import data, experiments, models

    if name in models.ARCHITECTURES:
        raise ExperimentError(f"{name} is a model, not an experiment file: firstlight run --data mnist --model {name}")
    if name in data.SOURCES:
        raise ExperimentError(
            f"{name} is a dataset, not an experiment file: firstlight run --data {name} --model mlp-128"
        )
    if name in experiments.packaged():
        raise ExperimentError(f"{name} is a study, not an experiment file: firstlight study {name}")


def resume(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="The folder of a run, of a study or of a cross-validation.", show_default=False
        ),
    ],
    data: OwnData = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Of a study or a cross-validation: how many runs train at the same time."
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Resume an interrupted run, to the same result; or a study, or a cross-validation."""
    from firstlight import api
    from firstlight.records import run_folder

    if (path / run_folder.STUDY).is_file():
        if data is not None:
            raise ExperimentError(f"--data is for a single run, and {path} holds several: resume each with --data.")
        progress = console(as_json, quiet)
        done = carried_out(lambda: api.resume_study(path, workers=workers, console=progress))
        print_study(done, quiet=quiet, as_json=as_json)
        return
    _finish(api.resume(path, data=data, console=console(as_json, quiet)), as_json, quiet)


def opened(path: Path, engine: str | None, device: str | None, data: str | Path | None = None) -> Run:
    """The run at `path`, to be used; a note tells where nothing can tell whether its files are as they were written."""
    from firstlight import api

    trained = api.Run(path, engine=engine, device=device, data=data)
    _note_unhashed(trained)
    return trained


def opened_classifier(
    path: Path,
    engine: str | None,
    device: str | None,
    data: str | Path | None = None,
    false_alarm_rate: float | None = None,
) -> Run | Ensemble:
    """The run at `path`, or the runs there that answer together; notes as for `opened`, and of runs that do not."""
    from firstlight import api

    trained: Run | Ensemble = api.open_run(
        path, engine=engine, device=device, data=data, false_alarm_rate=false_alarm_rate
    )
    if false_alarm_rate is not None and (why := trained.why_no_novelty):
        raise RunError(f"--false-alarm-rate {false_alarm_rate:g}: {path}: {why}")
    if isinstance(trained, api.Ensemble):
        for place, why in trained.folder.left_out.items():
            typer.echo(Caution.MEMBER_LEFT_OUT.note(f"{place} is left out: {why}."), err=True)
    _note_unhashed(trained)
    return trained


def _note_unhashed(trained: Run | Ensemble) -> None:
    for folder in trained.folders:
        if folder.finished and not folder.hashes:
            typer.echo(
                Caution.NO_HASHES.note(
                    f"{folder.path} has no hashes of its files, as it was made by an earlier version: whether they are "
                    "unchanged cannot be checked."
                ),
                err=True,
            )


def report(
    path: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a run, of a study or of a search.", show_default=False)
    ],
    pdf: Pdf = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="The file to write. Default: report.html or report.pdf in that folder."
        ),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write the charts to this folder, as SVG files.")
    ] = None,
    open_: Open = False,
) -> None:
    """Write the report of a run, of a study or of a search again."""
    from firstlight import report
    from firstlight.records import run_folder, search_folder
    from firstlight.records.study_folder import StudyFolder

    subject: report.Subject
    if (path / run_folder.STUDY).is_file():
        subject = StudyFolder.open(path)
    elif (path / search_folder.TUNE).is_file():
        subject = search_folder.TuneFolder.open(path)
    else:
        subject = run_folder.RunFolder.open(path)
    page = report.write(subject, out, pdf=pdf)
    for run, why in report.lost(subject).items() if isinstance(subject, StudyFolder) else ():
        typer.echo(f"{run}: {why}", err=True)
    typer.echo(page)
    for drawn in report.write_figures(subject, figures) if figures is not None else ():
        typer.echo(drawn)
    if open_:
        show(page)


def _finish(done: Run, as_json: bool, quiet: bool = False) -> None:
    """Print what came out, then write the report: a report that fails must not hide the numbers."""
    from firstlight import report
    from firstlight.records.result import Status

    if not processes.is_main():
        return
    result = done.folder.result
    if as_json:
        typer.echo(json.dumps({"path": str(done.path), "report": str(done.path / "report.html"), **done.result}))
    elif not quiet:
        _print_result(result)
    with report.of_complete("run", done.path):
        page = done.report()
    if not as_json:
        typer.echo(page if quiet else f"Report: {page}")
    if result.status == Status.DIVERGED:
        raise TrainingError(f"{result.stopped_because} The weights from before that are in {done.path}.")
    if result.status == Status.INTERRUPTED:
        typer.echo(f"Interrupted. To continue: firstlight resume {done.path}", err=as_json)
    elif not as_json and not quiet:
        typer.echo(
            f"Next: firstlight explain {done.path}, firstlight predict {done.path} IMAGE, firstlight export "
            f"{done.path} --to html to pass it on, or firstlight view {done.path.parent} to see it in the browser."
        )


def _print_result(result: Result) -> None:
    from firstlight.records.result import Status
    from firstlight.report.format import THIN, interval, percent

    test, epochs, parameters = result.test.evaluation, result.epochs, result.parameters
    between = plain(interval(test.accuracy_interval))
    typer.echo(
        f"test accuracy {percent(test.accuracy, 2)} (95{THIN}% interval {between}, "
        f"{test.images:,} images), loss {test.loss:.4f}"
    )
    tell_metrics(result.test.evaluation)
    weights = f"weights of epoch {epochs.weights} of {epochs.run}"
    if result.validation and epochs.weights == epochs.best:
        weights += ", the best by validation"
    elif result.validation and epochs.best:
        weights += f" (the best by validation was {epochs.best})"
    frozen = f" ({parameters.trainable:,} trained, {parameters.frozen:,} frozen)" if parameters.frozen else ""
    typer.echo(
        f"{result.model}, {parameters.total:,} parameters{frozen}, {weights}, {result.seconds.train:.1f} s of training"
    )
    if result.estimate is not None:
        stopped = "" if result.estimate.whole else "; training ended before the epochs of the estimate"
        typer.echo(f"Training and evaluation {result.estimate.said()}{stopped}")
    if result.status == Status.STOPPED_EARLY:
        typer.echo(f"Stopped early: no improvement since epoch {epochs.best}.")
