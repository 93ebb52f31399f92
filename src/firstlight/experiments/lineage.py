"""Which images a run was trained on already, so that nothing is measured on them as if they were new.

data.json keeps a hash of each image as the net was given it. Images are known again by it wherever they come from: in
another folder, under other names, in another format. Of runs from before that was kept, files are known by their hashes
and the images of named sets by their ids.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstlight.errors import FirstlightError
from firstlight.files import sha256
from firstlight.prepare import Preparation
from firstlight.records.images import ImagesRecord, SplitRecord
from firstlight.records.origin import started_from
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array, Images, SourceFile

ANCESTORS = 20  # runs that a run goes back to, one from the weights of the other


@dataclass(frozen=True, eq=False)
class Seen:
    """What a run, or one that its weights come from, has seen of some images: boolean (N,).

    trained  its weights were fitted to them
    chosen   they were its validation images, by which its weights were chosen
    """

    trained: Array
    chosen: Array

    @property
    def any(self) -> Array:
        return self.trained | self.chosen


def packed(images: Images) -> str:
    """The fingerprints of images as text."""
    return base64.b64encode(images.fingerprints.tobytes()).decode()


def seen_by(folder: RunFolder, images: Images, files: Sequence[SourceFile] = (), source: str = "") -> Seen:
    """What a run has seen of images that were not prepared yet; `files` and `source` are where they come from."""
    return SeenImages(folder).of(images, files, source)


class SeenImages:
    """The images that runs, and those that their weights come from, were trained on; to be asked again and again.

    Of several runs that answer together, an image counts as seen by all where any of them has.
    """

    def __init__(self, *folders: RunFolder) -> None:
        self.runs: list[tuple[Preparation, ImagesRecord]] = []
        for folder in folders:
            for run in lineage(folder):
                try:
                    self.runs.append((Preparation.from_json(run.model.preparation.settings), run.data))
                except FirstlightError:
                    if run is folder:
                        raise
                    break  # an ancestor whose records are damaged tells nothing

    def of(self, images: Images, files: Sequence[SourceFile] = (), source: str = "") -> Seen:
        """See `seen_by`."""
        trained, chosen = np.zeros(len(images), bool), np.zeros(len(images), bool)
        for preparation, record in self.runs:
            prepared, splits = preparation.apply(images), record.splits
            trained |= _known(record, splits.get("train"), images, prepared, files, source)
            chosen |= _known(record, splits.get("validation"), images, prepared, files, source)
        return Seen(trained, chosen & ~trained)

    def among(self, images: Images, paths: Sequence[str]) -> Seen:
        """What was seen of images that lie in files of their own."""
        hashed = all(split.pixels is not None for _, record in self.runs for split in record.splits.values())
        names = images.ids.tolist()
        files = () if hashed else [SourceFile(n, sha256(Path(p)), False) for n, p in zip(names, paths, strict=True)]
        return self.of(images, files)


def lineage(folder: RunFolder) -> Iterator[RunFolder]:
    """A run, the one whose weights it started from, and so on, as far as they are there."""
    for _ in range(ANCESTORS):
        yield folder
        try:
            before = started_from(folder)
        except FirstlightError:
            return
        if before is None or before.path.resolve() == folder.path.resolve():
            return
        folder = before


def _known(
    record: ImagesRecord,
    split: SplitRecord | None,
    images: Images,
    prepared: Images,
    files: Sequence[SourceFile],
    source: str,
) -> Array:
    """Which of the images were in a split, as data.json has it: boolean (N,)."""
    if split is None:
        return np.zeros(len(images), bool)
    if split.pixels is not None:
        return _in_sorted(prepared.fingerprints, split.sorted_fingerprints)
    ids = set(split.ids)
    hashes = {file.sha256 for file in record.files if file.name in ids}
    if hashes:
        known = {file.name for file in files if file.sha256 in hashes}
        return np.array([sample in known for sample in images.ids.tolist()])
    same = {file.sha256 for file in record.files} & {file.sha256 for file in files}
    if same or (source and source == record.source):
        return np.array([sample in ids for sample in images.ids.tolist()])
    return np.zeros(len(images), bool)


def _in_sorted(values: Array, known: Array) -> Array:
    """As np.isin, without sorting a split's hashes for every few images."""
    places = np.searchsorted(known, values)
    return (places < len(known)) & (known[np.minimum(places, len(known) - 1)] == values) if len(known) else places < 0
