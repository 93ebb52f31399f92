"""`firstlight run`, `resume`, `evaluate`, `predict`, `report`."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstlight import processes
from firstlight.cli import explained
from firstlight.errors import DataError, ExperimentError, RunError, TrainingError

if TYPE_CHECKING:
    from firstlight.api import Run
    from firstlight.evaluation import Evaluation
    from firstlight.runs import RunFolder

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress goes to standard error.")]
Engine = Annotated[str | None, typer.Option(help="numpy or torch; the one it was trained on otherwise.")]
Device = Annotated[str | None, typer.Option(help="Of torch: auto, cpu, cuda, cuda:1 or mps.")]
Pdf = Annotated[
    bool | None,
    typer.Option(
        "--pdf/--html", help="A PDF, or a page of HTML; the page, unless FILE ends in .pdf.", show_default=False
    ),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)]


def run(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE.toml]", help="An experiment file.", show_default=False)
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A named set of images, or the path of a folder, a CSV or an .npz.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A named architecture.")] = None,
    epochs: Annotated[str | None, typer.Option(metavar="INTEGER", help="Passes over the training images.")] = None,
    batch_size: Annotated[str | None, typer.Option(metavar="INTEGER", help="Images a step.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd, adam, adamw or rmsprop.")] = None,
    lr: Annotated[str | None, typer.Option(metavar="NUMBER", help="The learning rate.")] = None,
    seed: Annotated[str | None, typer.Option(metavar="INTEGER", help="Fixes every random draw.")] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|FILE",
            help='Weights to start from: a run, a .safetensors file, or "imagenet" for published ones.',
        ),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="numpy, written by hand, or torch.")] = None,
    kernels: Annotated[str | None, typer.Option(help="Of numpy: compiled, or reference for the readable ones.")] = None,
    device: Device = None,
    precision: Annotated[
        str | None, typer.Option(help="float32, float64; of torch also bfloat16, float16, or auto for the fastest.")
    ] = None,
    exact_noise: Annotated[
        bool, typer.Option("--exact-noise", help="Of torch: the same dropout masks as numpy draws.")
    ] = False,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Read files of a named set whose checksum is not the published one.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Look inside the trained net too: see firstlight explain.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The run folder; a new one below runs/ otherwise.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any key of the file: --set a.b=c")
    ] = None,
    json: Json = False,
) -> None:
    """Do an experiment: read, split, prepare, train, measure, report. Options override the file."""
    from firstlight import api, study

    tables = study.read(file) if file else {}
    options = {
        "data.source": data,
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
    given: dict[str, Any] = {}
    for key, value in options.items():
        if value is not None:
            study.put(given, key, value)
    tables = study.merged(tables, given)
    for text in settings or []:
        study.put(tables, *study.parse_setting(text))
    if "data" not in tables:
        raise ExperimentError("There are no images to learn from: give an experiment file, or --data with --model.")
    experiment = study.Experiment.of(tables, str(file) if file else "options")
    done = api.run(experiment, out=out, console=_console(json))
    _finish(done, json)
    if explain and processes.leads() and done.result["status"] != "interrupted":
        found = explained.watched(done.explain, json, seed=experiment.seed)
        if not json:
            typer.echo(f"Looked inside, {found.seconds:.1f} s: the report shows it.")


def resume(path: RunPath, json: Json = False) -> None:
    """Go on with a run that was interrupted or cut off, as if it had never stopped."""
    from firstlight import api

    _finish(api.resume(path, console=_console(json)), json)


def evaluate(
    path: RunPath,
    data: Annotated[str | None, typer.Option(help="Other images with the same classes; its own otherwise.")] = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation or test; test, or all of images that come in no splits.")
    ] = None,
    unverified: Annotated[bool, typer.Option("--unverified", help="As for run.")] = False,
    engine: Engine = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Measure a trained model anew, on its own images or on others."""
    from firstlight import api

    measured, _ = api.open_run(path, engine=engine, device=device).evaluate(data, split, unverified=unverified)
    if json:
        typer.echo(json_.dumps(measured.to_json()))
    else:
        which = f"its own {split or 'test'} images" if data is None else f"{data}{f', {split}' if split else ''}"
        _print_evaluation(measured, f"{path} on {which}")


def predict(
    path: RunPath,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.", show_default=False)],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 3,
    engine: Engine = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Say what is in images: class names and probabilities."""
    from firstlight import api

    trained = api.open_run(path, engine=engine, device=device)
    answers, failures = [], []
    for image in images:
        try:
            [row] = trained.predict(image)
        except DataError as error:
            failures.append(str(error))
            continue
        best = row.argsort()[::-1][:top]
        answers.append(
            {"image": str(image), "probabilities": dict(zip(trained.class_names, row.tolist(), strict=True))}
        )
        if not json:
            typer.echo(f"{image}: " + ", ".join(f"{trained.class_names[k]} {row[k]:.1%}" for k in best))
    if json:
        typer.echo(json_.dumps(answers, ensure_ascii=False))
    if failures:
        raise DataError("\n".join(failures))


def report(
    path: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a run, of a study or of a search.", show_default=False)
    ],
    pdf: Pdf = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file; report.html or report.pdf in that folder otherwise.")
    ] = None,
) -> None:
    """Write the report of a run, of a study or of a search anew."""
    from firstlight import report, runs, searches

    subject: report.Subject
    if (path / runs.STUDY).is_file():
        subject = runs.StudyFolder.open(path)
    elif (path / searches.TUNE).is_file():
        subject = searches.TuneFolder.open(path)
    else:
        subject = runs.RunFolder.open(path)
    page = report.write(subject, out, pdf=pdf)
    for run, why in report.lost(subject).items() if isinstance(subject, runs.StudyFolder) else ():
        typer.echo(f"{run}: {why}", err=True)
    typer.echo(page)


def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="The folders of runs, or of several with different seeds: one that holds seed-0, seed-1, …",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file; comparison.html beside the first run otherwise.")
    ] = None,
    pdf: Pdf = None,
    title: Annotated[str, typer.Option(help="The page's title.")] = "Runs compared",
) -> None:
    """Compare runs on one page: a table, curves, confusion matrices, and which differences are more than chance.

    Runs that differ in nothing but the seed count as one, with mean and standard deviation.
    """
    from firstlight import report

    compared = report.Comparison([run for path in paths for run in _runs_at(path)], title)
    usual = paths[0].parent / f"comparison.{'pdf' if pdf else 'html'}"
    typer.echo(report.write(compared, out or usual, pdf=pdf))


def _runs_at(path: Path) -> list[RunFolder]:
    """The run at `path`, or those of its seeds where it is the folder of an entry of a study."""
    from firstlight import runs

    seeds = [place for place in path.glob("seed-*") if (place / runs.EXPERIMENT).is_file()]
    if (path / runs.EXPERIMENT).is_file() or not seeds:
        return [runs.RunFolder.open(path)]
    found = [runs.RunFolder.open(place) for place in sorted(seeds, key=lambda place: (len(place.name), place.name))]
    for run in found:
        if not run.finished:
            typer.echo(f"{run.path} has no result yet and is left out.", err=True)
    return [run for run in found if run.finished]


def _console(json: bool) -> Any:
    """Progress goes to standard output, or out of the way of JSON."""
    from rich.console import Console

    return Console(stderr=json)


def _finish(done: Run, json: bool) -> None:
    """Print what came out, then write the report: a report that fails must not hide the numbers."""
    if not processes.leads():
        return
    result = done.result
    if json:
        typer.echo(json_.dumps({"path": str(done.path), "report": str(done.path / "report.html"), **result}))
    else:
        _print_result(result)
    try:
        page = done.report()
    except OSError as error:
        raise RunError(
            f"The run is complete in {done.path}, but its report cannot be written: {error.strerror}. "
            f"Mend that, then: firstlight report {done.path}"
        ) from None
    if not json:
        typer.echo(f"Report: {page}")
    if result["status"] == "diverged":
        raise TrainingError(f"{result['stopped_because']} What was learnt before is in {done.path}.")
    if result["status"] == "interrupted":
        typer.echo(f"Interrupted. Go on with it: firstlight resume {done.path}", err=json)


def _print_result(result: dict[str, Any]) -> None:
    test, epochs, validated = result["test"], result["epochs"], "validation" in result
    low, high = test["accuracy_interval"]
    typer.echo(
        f"test accuracy {test['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}, {test['images']:,} images), "
        f"loss {test['loss']:.4f}"
    )
    weights = f"weights of epoch {epochs['weights']} of {epochs['run']}"
    if validated and epochs["weights"] == epochs["best"]:
        weights += ", the best by validation"
    elif validated and epochs["best"]:
        weights += f" (the best by validation was {epochs['best']})"
    parameters = result["parameters"]
    frozen = f" ({parameters['trainable']:,} trained, {parameters['frozen']:,} frozen)" if parameters["frozen"] else ""
    typer.echo(
        f"{result['model']}, {parameters['total']:,} parameters{frozen}, {weights}, "
        f"{result['seconds']['train']:.1f} s of training"
    )
    if result["status"] == "stopped early":
        typer.echo(f"Stopped early: nothing better since epoch {epochs['best']}.")


def _print_evaluation(measured: Evaluation, title: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    low, high = measured.accuracy_interval
    typer.echo(
        f"{title}: accuracy {measured.accuracy:.4f} (95 % between {low:.4f} and {high:.4f}, "
        f"{measured.images:,} images), loss {measured.loss:.4f}"
    )
    top = ", ".join(f"top-{k} {share:.4f}" for k, share in measured.top_k.items() if k > 1)
    typer.echo(f"{top}{', ' if top else ''}calibration error {measured.calibration_error:.4f}")
    table = Table("class", "precision", "recall", "F1", "images", box=None, header_style="bold")
    for score in measured.classes:
        numbers = (score.precision, score.recall, score.f1)
        table.add_row(escape(score.name), *("–" if n is None else f"{n:.3f}" for n in numbers), f"{score.support:,}")
    Console().print(table)
