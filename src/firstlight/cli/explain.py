"""`firstlight explain`: what a trained net does inside, which pixels its answers rest on, and where it errs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstlight.cli import explanation_tables as tables
from firstlight.cli.commands import Json, Quiet, RunPath
from firstlight.cli.run import Device, Engine, OwnData, opened
from firstlight.errors import ExperimentError
from firstlight.text import listed

if TYPE_CHECKING:
    from firstlight.records.explanation import Attribution, Explanation
    from firstlight.trained_run import Run

POINTS = 1000
PICTURE = 480  # pixels, about, of the longer side of the image of a unit


def explain(
    path: RunPath,
    image: Annotated[
        str | None,
        typer.Option(metavar="ID|FILE", help="Explain a single image: the id of one of the run, or a file."),
    ] = None,
    of_class: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="With --image: explain this class instead of the predicted one."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="The layer whose features are compared; with --image, the layer of Grad-CAM."
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER:K", help="Synthesize an image that maximizes the activation of a unit, such as conv2:0."
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--map", help="The method of the 2-D embedding: pca, t-sne or umap. Default: t-sne.")
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(min=1, help=f"How many training images, and test images, to embed. Default: {POINTS:,}."),
    ] = None,
    true: Annotated[str | None, typer.Option(metavar="NAME", help="List the mistakes on images of this class.")] = None,
    predicted: Annotated[
        str | None, typer.Option(metavar="NAME", help="List the mistakes that were classified as this.")
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write scalars, histograms and embedding vectors to this folder."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="With --image or --unit: the PNG to write. Default: in the run's folder."
        ),
    ] = None,
    engine: Engine = None,
    device: Device = None,
    data: OwnData = None,
    seed: Annotated[int, typer.Option(min=0, help="The random seed.")] = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Look inside a trained net; its report then shows what was found.

    With --image: one image alone, on a sheet of its own. With --unit: one unit alone. With --true or --predicted: only
    a list of mistakes with their nearest training images.
    """
    from firstlight.records.run_folder import REPORT

    if out is not None and out.suffix.lower() != ".png":
        raise ExperimentError(f"--out {out}: the picture is a PNG, so the name must end in .png.")
    whole = {"--map": method, "--points": points, "--tensorboard": tensorboard}
    pair = {"--true": true, "--predicted": predicted}
    trained = opened(path, engine, device, data)
    _ = trained.result  # an unfinished run says so
    if image is not None:
        _must_be_left_out(whole | pair | {"--unit": unit}, "with --image")
        _explain_image(trained, image, of_class, layer, out, as_json)
    elif unit is not None:
        _must_be_left_out(whole | pair | {"--class": of_class, "--layer": layer}, "with --unit")
        _explain_unit(trained, unit, seed, out, as_json)
    elif true is not None or predicted is not None:
        _must_be_left_out(whole | {"--class": of_class, "--out": out}, "with a list of mistakes")
        _list_mistakes(trained, true, predicted, layer, seed, as_json)
    else:
        _must_be_left_out({"--class": of_class}, "without --image")
        _must_be_left_out({"--out": out}, "without --image or --unit")
        found = tables.watched(
            trained.explain,
            as_json or quiet,
            layer=layer,
            method=method or "t-sne",
            points=points or POINTS,
            seed=seed,
            tensorboard=tensorboard,
        )
        if quiet:
            typer.echo(trained.path / REPORT)
        else:
            _tell(trained, found, tensorboard, as_json)


def _must_be_left_out(options: dict[str, Any], when: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ExperimentError(f"{listed(given)} {'is' if len(given) == 1 else 'are'} not used {when}.")


def _explain_image(
    trained: Run, image: str, of_class: str | None, layer: str | None, out: Path | None, as_json: bool
) -> None:
    from firstlight.files import write_bytes
    from firstlight.report.attribution_sheet import attribution_sheet

    found = trained.attribution(image, of_class, layer=layer)
    name = Path(image).stem if found.split == "" else _without_ending(found.id)
    sheet = attribution_sheet(found, trained.feature_maps(image), trained.class_names)
    place = out or _place_for(sheet, trained.path, f"look-{_file_name(name)}")
    write_bytes(place, sheet)
    names = trained.class_names
    if as_json:
        probabilities = dict(zip(names, map(float, found.probabilities), strict=True))
        known = {} if found.label < 0 else {"true": names[found.label]}
        plain = {"image": found.id, "split": found.split, **known, "class": names[found.target]}
        typer.echo(json.dumps({**plain, "probabilities": probabilities, "sheet": str(place)}, ensure_ascii=False))
        return
    from firstlight.report.format import percent

    typer.echo(_answer(found, names))
    for k in found.probabilities.argsort()[::-1][:5]:
        typer.echo(f"  {percent(found.probabilities[k]):>7}  {names[k]}")
    typer.echo(f"Sheet: {place}")


def _without_ending(name: str) -> str:
    from firstlight.data.decoding import SUFFIXES

    path = Path(name)
    return str(path.with_suffix("")) if path.suffix.lower() in SUFFIXES else name


def _place_for(sheet: bytes, folder: Path, name: str) -> Path:
    """Where a sheet goes: one of another image of the same name, or of another class, stays."""
    place, number = folder / f"{name}.png", 1
    while place.is_file() and place.read_bytes() != sheet:
        number += 1
        place = folder / f"{name}-{number}.png"
    return place


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "image"


def _answer(found: Attribution, names: tuple[str, ...]) -> str:
    from firstlight.report.format import percent

    predicted = int(found.probabilities.argmax())
    wrong = f" (true class: {names[found.label]})"
    true = "" if found.label < 0 else " (correct)" if found.label == predicted else wrong
    return f"{found.id}: {names[predicted]} {percent(found.probabilities[predicted])}{true}"


def _explain_unit(trained: Run, unit: str, seed: int, out: Path | None, as_json: bool) -> None:
    from firstlight.files import write_bytes
    from firstlight.image_encoding import enlarged_png

    layer, _, number = unit.rpartition(":")
    if not layer or not re.fullmatch(r"[0-9]{1,9}", number):
        raise ExperimentError(f"--unit takes a layer and the number of a unit, such as conv2:0; received {unit!r}.")
    found = tables.watched(trained.maximizing_image, as_json, layer=layer, unit=int(number), seed=seed)
    place = out or trained.path / f"ideal-{_file_name(layer)}-{found.unit}.png"
    write_bytes(place, enlarged_png(found.pixels, PICTURE))
    if as_json:
        plain = {"layer": layer, "unit": found.unit, "name": found.name, "value": found.value, "typical": found.typical}
        typer.echo(json.dumps({**plain, "picture": str(place)}, ensure_ascii=False))
        return
    name = found.name if found.name.startswith(layer) else f"{layer}, unit {found.unit} ({found.name})"
    typer.echo(f"{name}: {found.value:.3g} for this image, at most {found.typical:.3g} for a test image")
    typer.echo(f"Picture: {place}")


def _list_mistakes(
    trained: Run, true: str | None, predicted: str | None, layer: str | None, seed: int, as_json: bool
) -> None:
    """The mistakes of a class, or of a pair, the most confident first, with the training images nearest to each."""
    from firstlight.report.format import percent

    names = trained.class_names
    found = tables.watched(trained.mistakes, as_json, true=true, predicted=predicted, layer=layer, seed=seed)
    if as_json:
        typer.echo(json.dumps([tables.mistake(one, names) for one in found], ensure_ascii=False))
        return
    of, taken = f"of {true}" if true else "of any class", predicted or "another"
    typer.echo(
        f"{len(found):,} test images {of} classified as {taken}, the most confident first; nearest training images"
    )
    for one in found:
        typer.echo(f"{percent(one.confidence):>7}  {names[one.label]} classified as {names[one.predicted]}  {one.id}")
        near = zip(one.nearest.labels.tolist(), one.nearest.ids.tolist(), strict=True)
        typer.echo(f"        {', '.join(f'{names[k]} {name}' for k, name in near)}")
    if found:
        typer.echo(f"To explain one of them: firstlight explain {trained.path} --image {found[0].id}")


def _tell(trained: Run, found: Explanation, tensorboard: Path | None, as_json: bool) -> None:
    from rich.console import Console

    from firstlight.records.explanation import EXPLANATION
    from firstlight.records.run_folder import REPORT

    written, report = trained.path / EXPLANATION, trained.path / REPORT
    if as_json:
        summary = tables.summary(found, trained.class_names)
        typer.echo(json.dumps({"path": str(written), "report": str(report), **summary}, ensure_ascii=False))
        return
    tables.write(Console(), found, trained)
    typer.echo(f"\n{found.seconds:.1f} s. Written: {written}")
    if tensorboard is not None:
        typer.echo(f"TensorBoard: tensorboard --logdir {tensorboard}")
    typer.echo(f"Report: {report}")
