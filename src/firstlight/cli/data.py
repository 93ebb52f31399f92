"""`firstlight data`: list, info, check and preview."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstlight.cli.commands import Command, with_plugins

if TYPE_CHECKING:
    from rich.table import Table

    from firstlight.data import Findings, NearCopies
    from firstlight.prepare import Augmentation
    from firstlight.types import Dataset, Json

app = typer.Typer(name="data", help="List and check datasets, named ones and your own.", no_args_is_help=True)

SourceArgument = Annotated[str, typer.Argument(metavar="NAME_OR_PATH", help="A named source, or your own images.")]
SizeOption = Annotated[str | None, typer.Option(help="Resize to HEIGHTxWIDTH; one number stands for a square.")]
GroupOption = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN|ARRAY|parent|PATTERN",
        help="What must stay in one split, such as a patient or a video: as data.group in an experiment file.",
    ),
]
LabelOption = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="The column of a table that holds the class: as data.label.")
]
UnverifiedOption = Annotated[
    bool, typer.Option("--unverified", help="Read files even where their checksum is not the published one.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

CHECKED_AT = 64
_SHOWN = 20  # groups of copies and files set aside that are printed; --json has them all


@app.command("list", cls=Command)
@with_plugins
def list_sources(as_json: JsonOption = False) -> None:
    """List the named sources, their licences, and whether their files are on this machine."""
    from firstlight.data import SOURCES
    from firstlight.data.source import NOT_STATED

    if as_json:
        _print_json([_facts(name) for name in SOURCES])
        return
    table = _table("name", "shows", "images", "size", "licence", "files")
    for name, source in SOURCES.items():
        images = f"{sum(source.counts.values()):,}" if source.counts else ""
        licence = "not stated" if source.licence == NOT_STATED else source.licence
        table.add_row(name, source.shows, images, _times(source.shape or ()), licence, source.where)
    table.add_row("openml:NUMBER", "a dataset of openml.org", "", "", "of each", "download")
    _print(table)


@app.command(cls=Command)
@with_plugins
def info(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A named source.")], as_json: JsonOption = False
) -> None:
    """Show the classes, licence, addresses and checksums of a named source."""
    facts = _facts(name)
    if as_json:
        _print_json(facts)
        return
    table = _table("", name)
    for key in ("title", "shows", "licence", "homepage"):
        table.add_row(key, facts[key])
    later = "known when they are loaded"
    table.add_row("images", ", ".join(f"{split} {count:,}" for split, count in facts["counts"].items()) or later)
    table.add_row("size", _times(facts["shape"]) + " (height × width × channels)" if facts["shape"] else later)
    table.add_row("classes", ", ".join(facts["class_names"]) or later)
    table.add_row("on this machine", "yes" if facts["at_hand"] else "no; downloaded when it is first used")
    for file in facts["files"]:
        table.add_row(file["name"], "\n".join([*file["urls"], file["checksum"] or "no checksum is known"]))
    _print(table)


@app.command(cls=Command)
@with_plugins
def check(
    source: SourceArgument,
    size: SizeOption = None,
    group: GroupOption = None,
    label: LabelOption = None,
    unverified: UnverifiedOption = False,
    corrections: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Check the images after these corrections.")
    ] = None,
    copies: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Write the near copies (near-duplicates) as pairs of images."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look for unreadable files, copies, near copies, leaks between splits, conflicting labels and odd class names.

    Near copies are turned, mirrored, resized, compressed, brightened or shifted; --copies FILE.png shows them.
    With --group, also for groups that are in two splits, and how even a split by groups would be. With --corrections,
    first whether each fits its image. Exit code: 0 nothing found, 1 problems found, 2 the images cannot be read at all,
    or corrections do not fit.
    """
    from firstlight import data
    from firstlight.data.corrections import Kind, apply, read_corrections
    from firstlight.errors import SizesDifferError
    from firstlight.text import listed

    rows = () if corrections is None else read_corrections(corrections)
    try:
        dataset = _load(source, size, unverified, group, label)
    except SizesDifferError:
        # To look for files that do not decode and for copies, any common size will do.
        dataset = _load(source, str(CHECKED_AT), unverified, group, label)
        print(f"The images differ in size; compared at {CHECKED_AT}×{CHECKED_AT}.", file=sys.stderr)
    if corrections is not None:
        dataset = apply(dataset, rows, str(corrections))
        kinds = Counter(one.kind for one in rows)
        said = listed(f"{kinds[kind]:,} {kind.value}" for kind in Kind)
        dataset = replace(dataset, notes=(*dataset.notes, f"Corrections that fit: {len(rows):,} ({said})."))
    near = data.NearCopies.of(dataset, lambda text: print(text, file=sys.stderr))
    findings = data.check(dataset, near=near)
    if copies is not None:
        _write_copies(copies, dataset, findings, near)
    if as_json:
        about = {"name": dataset.name, "shape": list(dataset.shape), "notes": list(dataset.notes)}
        found = data.guess(dataset)
        guessed = {} if found is None else {"guessed_group": found.key, "guess_is_sure": found.sure}
        _print_json({**about, **findings.to_json(), **guessed})
    else:
        _print_findings(dataset, findings)
    if findings.warnings():
        raise typer.Exit(1)


@app.command(cls=Command)
@with_plugins
def preview(
    source: SourceArgument,
    out: Annotated[Path | None, typer.Option(help="The PNG to write. Default: NAME.png in the working folder.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The seed that chooses the images and their augmentation. Default: 0, or that of FILE.toml."),
    ] = None,
    size: SizeOption = None,
    group: GroupOption = None,
    label: LabelOption = None,
    unverified: UnverifiedOption = False,
    augment: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Show each image beside its augmentations by [augment] of this file."),
    ] = None,
) -> None:
    """Write a contact sheet of training images, a row for each class, and print its path."""
    from firstlight.data.contact_sheet import contact_sheet
    from firstlight.errors import DataError
    from firstlight.files import write_bytes

    if augment is None:
        dataset = _load(source, size, unverified, group, label)
        path, page = Path(f"{dataset.name}.png"), contact_sheet(dataset, seed or 0)
    else:
        from firstlight.prepare.augmentation_sheet import augmented_sheet

        augmentation, seed_there, size_there = _augmentation(augment)  # its errors come before the images are read
        dataset = _load(source, size, unverified, group, label, usual=size_there)
        path = Path(f"{dataset.name}-augmented.png")
        page = augmented_sheet(dataset, augmentation, seed_there if seed is None else seed)
    path = out or path
    try:
        write_bytes(path, page)
    except OSError as error:
        raise DataError(f"{path}: the contact sheet cannot be written: {error.strerror}.") from error
    print(path)


def _augmentation(path: Path) -> tuple[Augmentation, int, tuple[int, int] | None]:
    """What the `[augment]` table of a file asks for, and its seed and data.size; nothing else in it matters."""
    from firstlight import experiments
    from firstlight.errors import ExperimentError
    from firstlight.prepare import Augmentation

    tables = experiments.read(path)
    table, seed = tables.get("augment"), tables.get("seed", 0)
    if not isinstance(table, dict):
        raise ExperimentError(f"{path} has no [augment] table, such as: [augment] with a line rotate = 15.")
    try:
        augmentation = Augmentation.of(table)
    except ExperimentError as error:
        raise ExperimentError(f"{path}: {error}") from None
    if not augmentation:
        raise ExperimentError(f"{path}: its [augment] table is empty. Add an augmentation, such as rotate = 15.")
    if not isinstance(seed, int) or seed < 0:
        raise ExperimentError(f"{path}: seed must be an integer from 0; received {seed!r}.")
    images = tables.get("data")
    size = images.get("size") if isinstance(images, dict) else None
    return augmentation, seed, experiments.Experiment.of({"data": {"source": "any", "size": size}}, str(path)).data.size


def _load(
    source: str,
    size: str | None,
    unverified: bool,
    group: str | None,
    label: str | None,
    usual: tuple[int, int] | None = None,
) -> Dataset:
    """The images; `usual` is their size where none is asked for."""
    from firstlight import data

    return data.load(source, size=_parse_size(size) or usual, unverified=unverified, group=group, label=label)


def _parse_size(text: str | None) -> tuple[int, int] | None:
    from firstlight.errors import DataError
    from firstlight.options import read_size

    try:
        return read_size(text)
    except ValueError:
        raise DataError(
            f"--size is HEIGHTxWIDTH, such as 28x28, or one number for a square; received {text!r}."
        ) from None


def _facts(name: str) -> Json:
    from firstlight.data import SOURCES
    from firstlight.errors import DataError

    if name not in SOURCES:
        raise DataError(SOURCES.none_such(name, f"There is no named source {name!r}."))
    source = SOURCES[name]
    published = [source.archive] if source.archive else source.files
    return {
        "name": name,
        "title": source.title,
        "shows": source.shows,
        "licence": source.licence,
        "homepage": source.homepage,
        "class_names": list(source.class_names),
        "shape": list(source.shape or ()),
        "counts": dict(source.counts),
        "at_hand": source.at_hand,
        "files": [{"name": file.name, "checksum": file.checksum, "urls": list(file.urls)} for file in published],
    }


def _write_copies(path: Path, dataset: Dataset, findings: Findings, near: NearCopies) -> None:
    """Write the near copies as pairs of pictures, where there are any."""
    from firstlight.data.copies_sheet import copies_sheet
    from firstlight.errors import DataError
    from firstlight.files import write_bytes

    if findings.near is None or not findings.near.pairs:
        print(f"There are no near copies to show: {path} is not written.", file=sys.stderr)
        return
    try:
        write_bytes(path, copies_sheet(dataset.name, findings.near, near))
    except OSError as error:
        raise DataError(f"{path}: the near copies cannot be written: {error.strerror}.") from error
    print(f"Near copies: {path}", file=sys.stderr)


def _print_findings(dataset: Dataset, findings: Findings) -> None:
    from rich.console import Console
    from rich.markup import escape

    table = _table("class", *findings.counts)
    for class_name in dataset.class_names:
        table.add_row(escape(class_name), *(f"{counts[class_name]:,}" for counts in findings.counts.values()))
    table.add_section()
    table.add_row("all", *(f"{sum(counts.values()):,}" for counts in findings.counts.values()))
    console = Console(highlight=False)
    console.print(f"{escape(dataset.name)}: images of {_times(dataset.shape)}, {_pixels(dataset)}")
    console.print(table)
    if not dataset.verified:
        console.print("Not verified: the checksums differ from the published ones, or none is known.")
    lines = [f"set aside: {name}: {reason}" for name, reason in findings.set_aside.items()]
    lines += [
        f"{'conflict' if copies.conflict else 'copies'}: "
        + " = ".join(f"{split}:{sample} ({class_name})" for split, sample, class_name in copies.samples)
        for copies in sorted(findings.copies, key=lambda copies: (not copies.conflict, not copies.leak))
    ]
    lines += [
        f"near copies: {' ~ '.join(f'{split}:{sample} ({name})' for split, sample, name in pair.samples)}: "
        f"{pair.alteration}"
        for pair in (findings.near.pairs if findings.near is not None else ())
    ]
    for line in [*dataset.notes, *_groups(dataset, findings)]:
        console.print(line, markup=False)
    for line in findings.warnings() or ["No unreadable files, duplicates, leaks or conflicting labels."]:
        console.print(line, style="bold", markup=False)
    for line in lines[:_SHOWN]:
        console.print(f"  {line}", markup=False)
    if len(lines) > _SHOWN:
        console.print(f"  … and {len(lines) - _SHOWN:,} more; --json lists all.")


def _groups(dataset: Dataset, findings: Findings) -> list[str]:
    """What tells the groups, how many there are, and how even the usual split by them would be."""
    from firstlight import data
    from firstlight.data.stratification import Balance
    from firstlight.errors import DataError
    from firstlight.experiments.config import Data

    if findings.groups is None:
        found = data.guess(dataset)
        return [] if found is None else [found.said()]
    lines = [f"Images are kept together by {dataset.grouped_by}: {findings.groups.sizes}."]
    usual = Data(source="any")
    asked = {
        name: share for name in ("validation", "test") if (share := getattr(usual, name)) and name not in dataset.splits
    }
    try:
        splits = data.split(dataset, validation=usual.validation, test=usual.test)
    except DataError as error:
        return [*lines, f"They cannot be split as they are: {error}"]
    balance = Balance.of(dataset.splits["train"], {name: part.counts.tolist() for name, part in splits.items()}, asked)
    for name, share in asked.items():
        lines.append(f"{share:.0%} of the images for {name}, in whole groups: it has {balance.said(name)}.")
    return [*lines, *balance.warnings()]


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.overflow = "fold"  # addresses and checksums stay whole
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    Console(highlight=False).print(table)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


def _pixels(dataset: Dataset) -> str:
    """The range of the values, which says at once where images were read as something else than they are."""
    from firstlight.pixels import blocks

    held = [images.pixels for images in dataset.splits.values() if len(images)]
    if not held:
        return "no pixels"
    parts = [(block.min(), block.max(), block.sum(dtype="int64")) for pixels in held for _, block in blocks(pixels)]
    lows, highs, sums = zip(*parts, strict=True)
    low, high = min(map(int, lows)), max(map(int, highs))
    mean = sum(map(int, sums)) / sum(math.prod(pixels.shape) for pixels in held)
    return f"values from {low} to {high}, {mean:.1f} on average"


def _times(shape: tuple[int, ...] | list[int]) -> str:
    return "×".join(map(str, shape))
