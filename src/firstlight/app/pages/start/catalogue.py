"""What a run can be started with that lies on this machine: images, weights and corrections, each under an id.

The form sends ids. A path is looked up here, and none is ever taken from a client.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from firstlight.app.index import Index
from firstlight.data import SOURCES, Source
from firstlight.data.arrow_tables import is_parquet
from firstlight.data.decoding import SUFFIXES
from firstlight.errors import ExperimentError
from firstlight.experiments.config import IMAGENET
from firstlight.records import run_folder
from firstlight.types import Shape

TABLES = (".csv", ".npz", ".parquet")
LOOKED_INTO = 200  # entries of a folder, when it is asked whether it holds images
DEEPEST = 3  # train/<class>/<image>


@dataclass(frozen=True)
class Item:
    """A set of images, a set of weights, or a table of corrections.

    source   what stands in the experiment file
    group    what it is shown among
    shape    (H, W, C) of an image, and the number of classes, where they are known before anything is read
    """

    id: str
    text: str
    source: str
    group: str
    shape: Shape | None = None
    classes: int | None = None


def images(data: Path | None) -> list[Item]:
    """The named sets, and the images that lie in the folder `data`."""
    named = [
        Item(
            source.name,
            _told(source),
            source.name,
            "At hand" if source.at_hand else "Downloaded when the run begins",
            source.shape,
            len(source.class_names) or None,
        )
        for source in SOURCES.values()
    ]
    own = [] if data is None else [_own(path, data) for path in _sets_in(data)]
    return [*own, *sorted(named, key=lambda item: item.group)]


def _told(source: Source) -> str:
    """What is known of a named set in a line."""
    if source.shape is None:
        return f"{source.title} · {source.shows}"
    return f"{source.title} · {sum(source.counts.values()):,} images of {'×'.join(map(str, source.shape))}"


def weights(index: Index) -> list[Item]:
    """What weights can be taken over from: those published for the architecture, and runs that have theirs."""
    published = Item(IMAGENET, "published, trained on ImageNet", IMAGENET, "Published")
    kept = [
        Item(entry.id, entry.name, str(entry.path.resolve()), "Runs")
        for entry in index.entries()
        if entry.kind == "run" and (entry.path / run_folder.WEIGHTS).is_file()
    ]
    return [published, *kept]


def corrections(index: Index, data: Path | None) -> list[Item]:
    """The tables of corrected labels that lie directly among the runs, or in the folder `data`."""
    return [
        Item(hashlib.sha256(str(path).encode()).hexdigest()[:12], path.name, str(path.resolve()), f"In {folder.name}")
        for folder in dict.fromkeys(place.resolve() for place in (index.root, data) if place is not None)
        for path in sorted(folder.glob("*.csv"))
        if path.is_file() and "corrections" in path.stem.lower()
    ]


def chosen(catalogue: list[Item], wanted: str, key: str) -> Item:
    """The item with an id. Raises ExperimentError for a bad value of `key`."""
    found = next((item for item in catalogue if item.id == wanted), None)
    if found is None:
        raise ExperimentError(f"{key}: choose one of those that are listed; received {wanted!r}.", key=key)
    return found


def _own(path: Path, data: Path) -> Item:
    name = path.relative_to(data).as_posix()
    shown = f"{data.name} itself" if name == "." else name
    return Item(hashlib.sha256(name.encode()).hexdigest()[:12], shown, str(path.resolve()), f"In {data.name}")


def _sets_in(data: Path) -> Iterator[Path]:
    """The folder itself where its folders are classes or splits, else the sets that lie directly in it."""
    children = sorted(path for path in data.iterdir() if not path.name.startswith(".")) if data.is_dir() else []
    folders = [path for path in children if path.is_dir()]
    if any(_shows(folder) for folder in folders):
        yield data
    for path in children:
        is_table = path.suffix.lower() in TABLES and path.is_file()
        if is_table or (path.is_dir() and (_holds_classes(path) or is_parquet(path))):
            yield path


def _holds_classes(folder: Path) -> bool:
    return any(_holds(inner, DEEPEST - 1) for inner in _folders(folder))


def _holds(folder: Path, depth: int) -> bool:
    """Whether images lie in a folder, or in those in it, down to a depth; only the first of its entries are asked."""
    return _shows(folder) or (depth > 1 and any(_holds(inner, depth - 1) for inner in _folders(folder)))


def _shows(folder: Path) -> bool:
    """Whether images lie directly in a folder."""
    return any(path.suffix.lower() in SUFFIXES for path in _entries(folder))


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if not path.name.startswith(".") and path.is_dir()]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(islice(folder.iterdir(), LOOKED_INTO))
    except OSError:  # not ours to read
        return []
