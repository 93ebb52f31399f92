"""`firstlight explain`: what a trained net does inside, where it looks, what it takes for alike, and where it errs."""

from __future__ import annotations

import json as json_
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstlight.cli.run import Device, Engine, Json, RunPath
from firstlight.errors import ExperimentError

if TYPE_CHECKING:
    from rich.console import Console

    from firstlight.api import Run
    from firstlight.explanations import Explanation, Look, Separation

POINTS = 1000
SHOWN = 8  # rows of the tables of images


def explain(
    path: RunPath,
    image: Annotated[
        str | None, typer.Option(metavar="ID|FILE", help="Look into one image of the run, or into a file, alone.")
    ] = None,
    of_class: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="With --image: where it looked for this class.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Whose values are put on maps; with --image: what Grad-CAM is taken from."),
    ] = None,
    map: Annotated[str | None, typer.Option(help="pca, t-sne (otherwise) or umap.")] = None,  # noqa: A002
    points: Annotated[
        int | None, typer.Option(min=1, help=f"Training images, and test images, on a map; {POINTS:,} otherwise.")
    ] = None,
    true: Annotated[str | None, typer.Option(metavar="NAME", help="List the mistakes on images of this class.")] = None,
    predicted: Annotated[
        str | None, typer.Option(metavar="NAME", help="List the mistakes that were taken for this class.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write scalars, histograms and the map's vectors there too.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="With --image: the sheet; in the run's folder otherwise.")
    ] = None,
    engine: Engine = None,
    device: Device = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the images of a map, and its start.")] = 0,
    json: Json = False,
) -> None:
    """Look inside a trained net, and write what is found into its folder and its report.

    With --image: into one image, on a sheet of its own. With --true or --predicted: a list of mistakes, nothing else.
    """
    from firstlight import api

    whole = {"--map": map, "--points": points, "--tensorboard": tensorboard}
    alone = {"--class": of_class, "--out": out}
    trained = api.open_run(path, engine=engine, device=device)
    _ = trained.result  # an unfinished run says so
    if image is not None:
        _must_be_left_out(whole | {"--true": true, "--predicted": predicted}, "with --image")
        _explain_image(trained, image, of_class, layer, out, json)
    elif true is not None or predicted is not None:
        _must_be_left_out(whole | alone | {"--layer": layer}, "with a list of mistakes")
        _list_mistakes(trained, true, predicted, json)
    else:
        _must_be_left_out(alone, "without --image")
        found = watched(
            trained,
            json,
            layer=layer,
            method=map or "t-sne",
            points=points or POINTS,
            seed=seed,
            tensorboard=tensorboard,
        )
        _tell(trained, found, tensorboard, json)


def _must_be_left_out(options: dict[str, Any], when: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ExperimentError(f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} of no use {when}.")


def _explain_image(
    trained: Run, image: str, of_class: str | None, layer: str | None, out: Path | None, json: bool
) -> None:
    from firstlight.files import write_bytes
    from firstlight.report.look_sheet import look_sheet

    look = trained.look(image, of_class, layer=layer)
    name = re.sub(r"[^\w.-]+", "-", Path(image).stem if look.split == "" else look.id).strip("-.") or "image"
    place = out or trained.path / f"look-{name}.png"
    write_bytes(place, look_sheet(look, trained.feature_maps(image), trained.class_names))
    names = trained.class_names
    if json:
        probabilities = dict(zip(names, map(float, look.probabilities), strict=True))
        known = {} if look.label < 0 else {"true": names[look.label]}
        plain = {"image": look.id, "split": look.split, **known, "class": names[look.target]}
        typer.echo(json_.dumps({**plain, "probabilities": probabilities, "sheet": str(place)}, ensure_ascii=False))
        return
    typer.echo(_answer(look, names))
    for k in look.probabilities.argsort()[::-1][:5]:
        typer.echo(f"  {look.probabilities[k]:6.1%}  {names[k]}")
    typer.echo(f"Sheet: {place}")


def _answer(look: Look, names: tuple[str, ...]) -> str:
    predicted = int(look.probabilities.argmax())
    true = "" if look.label < 0 else " (right)" if look.label == predicted else f" (it is {names[look.label]})"
    return f"{look.id}: {names[predicted]} {look.probabilities[predicted]:.0%}{true}"


def _list_mistakes(trained: Run, true: str | None, predicted: str | None, json: bool) -> None:
    """The mistakes of a class, or of a pair, the surest first."""
    from firstlight.explain import confident_mistakes

    found, names = trained.predictions["test"], trained.class_names
    rows = confident_mistakes(found, names, true=true, predicted=predicted)
    if json:
        mistakes = [
            {
                "image": str(found.ids[row]),
                "true": names[found.labels[row]],
                "predicted": names[found.predicted[row]],
                "confidence": float(found.confidence[row]),
            }
            for row in rows
        ]
        typer.echo(json_.dumps(mistakes, ensure_ascii=False))
        return
    of, taken = f"of {true}" if true else "of any class", f"taken for {predicted}" if predicted else "taken for another"
    typer.echo(f"{len(rows):,} test images {of} {taken}, the surest mistake first")
    for row in rows:
        pair = f"{names[found.labels[row]]} taken for {names[found.predicted[row]]}"
        typer.echo(f"{found.confidence[row]:6.1%}  {pair}  {found.ids[row]}")
    if len(rows):
        typer.echo(f"Look into one: firstlight explain {trained.path} --image {found.ids[rows[0]]}")


def watched(trained: Run, json: bool, **options: Any) -> Explanation:
    """Explain the run, with a bar on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TimeElapsedColumn())
    console = Console(stderr=json)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading the images", total=None)

        def watch(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        return trained.explain(**options, watch=watch)


def _tell(trained: Run, found: Explanation, tensorboard: Path | None, json: bool) -> None:
    from rich.console import Console

    from firstlight.explanations import EXPLANATION
    from firstlight.runs import REPORT

    written, report = trained.path / EXPLANATION, trained.path / REPORT
    if json:
        summary = _summary(found, trained.class_names)
        typer.echo(json_.dumps({"path": str(written), "report": str(report), **summary}, ensure_ascii=False))
        return
    console = Console()
    _print_layers(console, found)
    _print_maps(console, found)
    _print_mistakes(console, found, trained)
    _print_suspects(console, found, trained.class_names)
    typer.echo(f"\n{found.seconds:.1f} s. Written: {written}")
    if tensorboard is not None:
        typer.echo(f"TensorBoard: tensorboard --logdir {tensorboard}")
    typer.echo(f"Report: {report}")


def _print_layers(console: Console, found: Explanation) -> None:
    from rich.table import Table

    table = Table("layer", "type", "output", box=None, header_style="bold", title_justify="left")
    for heading in ("mean", "sd", "zero", "dead", "saturated"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found.activity:
        dead = f"{len(one.dead):,} of {one.units:,}" if one.dead else "–"
        flat = "–" if one.saturated is None else f"{one.saturated:.0%}"
        shape = " × ".join(map(str, one.shape))
        table.add_row(one.layer, one.type, shape, f"{one.mean:.3g}", f"{one.std:.3g}", f"{one.zero:.0%}", dead, flat)
    _heading(console, f"What the layers give for {found.looked:,} test images")
    console.print(table)
    _note(
        console,
        "dead: gives the same for every image. saturated: values where the activation passes on less than a hundredth "
        "of its steepest slope (of a ReLU, all below zero).",
    )


def _print_maps(console: Console, found: Explanation) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("", no_wrap=True)
    for heading in ("silhouette", "agreement", "accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("made by", no_wrap=True)
    first = found.maps[0]
    table.add_row(f"{first.layer}, {first.features:,} features", *_numbers(first.in_features), "")
    for plane in found.maps:
        table.add_row(plane.method, *_numbers(plane.in_map), plane.made_by)
    _heading(console, f"How far the classes lie apart, {len(first.points):,} training and test images")
    console.print(table)
    _note(
        console,
        f"agreement: the share of the {first.in_features.k} nearest neighbours that are of a point's own class. "
        "accuracy: of the points whose class most of them have.",
    )


def _numbers(separation: Separation) -> tuple[str, str, str]:
    return f"{separation.silhouette:.3f}", f"{separation.agreement:.1%}", f"{separation.accuracy:.1%}"


def _print_mistakes(console: Console, found: Explanation, trained: Run) -> None:
    from rich.markup import escape
    from rich.table import Table

    names, predictions = trained.class_names, trained.predictions["test"]
    wrong = int((~predictions.correct).sum())
    _heading(console, f"The surest of {wrong:,} mistakes on {len(predictions):,} test images")
    table = Table("image", "true", "taken for", box=None, header_style="bold")
    table.add_column("sure", justify="right")
    table.add_column("its nearest training images are")
    for one in found.mistakes[:SHOWN]:
        nearest = ", ".join(f"{count} {names[k]}" for k, count in _counts(one.nearest.labels.tolist()))
        row = (one.id, names[one.label], names[one.predicted], f"{one.confidence:.1%}", nearest)
        table.add_row(*map(escape, row))
    console.print(table if found.mistakes else "None: every test image was recognised.")


def _counts(labels: list[int]) -> list[tuple[int, int]]:
    return sorted(((k, labels.count(k)) for k in set(labels)), key=lambda pair: -pair[1])


def _print_suspects(console: Console, found: Explanation, names: tuple[str, ...]) -> None:
    from rich.markup import escape
    from rich.table import Table

    _heading(console, "Labels that may be wrong: look at them before you trust this")
    table = Table("image", "split", "labelled", "seems to be", box=None, header_style="bold")
    for heading in ("margin", "neighbours agree"):
        table.add_column(heading, justify="right")
    for one in found.suspects[:SHOWN]:
        row = (one.id, one.split, names[one.given], names[one.suggested])
        table.add_row(*map(escape, row), f"{one.margin:.2f}", f"{one.neighbours_agree:.0%}")
    console.print(table if found.suspects else "None stands out.")


def _heading(console: Console, text: str) -> None:
    console.print(f"\n{text}", style="bold", highlight=False, markup=False, soft_wrap=True)


def _note(console: Console, text: str) -> None:
    console.print(text, style="dim", highlight=False, markup=False)


def _summary(found: Explanation, names: tuple[str, ...]) -> dict[str, Any]:
    """What was found as plain values, without the pictures."""
    return {
        "layer": found.layer,
        "looked": found.looked,
        "image": found.image,
        "seconds": found.seconds,
        "layers": [{**vars(one), "dead": list(one.dead)} for one in found.activity],
        "maps": [
            {
                "method": plane.method,
                "made_by": plane.made_by,
                "points": len(plane.points),
                "features": plane.features,
                "seconds": plane.seconds,
                "in_features": vars(plane.in_features),
                "in_map": vars(plane.in_map),
            }
            for plane in found.maps
        ],
        "mistakes": [
            {
                "image": one.id,
                "true": names[one.label],
                "predicted": names[one.predicted],
                "confidence": one.confidence,
                "nearest": [names[k] for k in one.nearest.labels.tolist()],
            }
            for one in found.mistakes
        ],
        "suspects": [
            {
                "image": one.id,
                "split": one.split,
                "labelled": names[one.given],
                "suggested": names[one.suggested],
                "margin": one.margin,
                "neighbours_agree": one.neighbours_agree,
            }
            for one in found.suspects
        ],
    }
