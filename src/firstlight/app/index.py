"""The runs below a folder, each under an id, and what of them is kept ready: opened models, recalled images."""

from __future__ import annotations

import hashlib
import math
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from firstlight import data, experiments, report
from firstlight.app.server.errors import EXHAUSTED, UnknownError
from firstlight.app.summary import Entry, Kind, RunSummary, fingerprint, read_summary
from firstlight.errors import FirstlightError, RunError
from firstlight.prepare import Preparation
from firstlight.records import run_folder
from firstlight.records.explanation import EXPLANATION, Explanation, read
from firstlight.records.out_of_fold import OUT_OF_FOLD
from firstlight.records.run_folder import RunFolder
from firstlight.records.search_folder import TUNE, TuneFolder
from firstlight.records.study_folder import StudyFolder
from firstlight.report.document import Document
from firstlight.trained_run import Run
from firstlight.types import Dataset, Images

DEPTH = 5  # how far below the root a run can lie
RESCAN = 1.0  # seconds after which the tree is looked at again
SHARE = 10  # looking takes at most one part in so many of the time
SOON = 0.7  # seconds for reading runs before a page that lists them is shown without the others
RETRY = 60.0  # seconds after which images that could not be had, perhaps for want of a network, are asked for again
MOST_VALUES = 100_000_000  # of an image, by its shape in the record of a model
RUNS_READY, DATA_READY = 4, 2  # how many opened runs and how many runs' images are kept


class Index:
    """What lies below `root`. All is asked for by id, so that no path ever comes from a client."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._entries: dict[str, Entry] = {}
        self._scanned, self._pause = -RESCAN, 0.0
        self._scanning = threading.Lock()
        self._summaries: dict[str, tuple[Hashable, RunSummary]] = {}
        self._runs: Kept[RunFolder] = Kept(RUNS_READY)
        self._explanations: Kept[Explanation | None] = Kept(DATA_READY)
        self._documents: Kept[Document] = Kept(RUNS_READY)
        self._opened: Kept[Run] = Kept(RUNS_READY)
        self._images: Kept[dict[str, Images]] = Kept(DATA_READY)
        self._datasets: Kept[Dataset] = Kept(1)
        self._failed: dict[str, tuple[float, FirstlightError]] = {}
        self._recalling = threading.Lock()

    def entries(self, *, anew: bool = False) -> list[Entry]:
        """What was found below the root; looked for again at most once a second, unless `anew`.

        Where looking takes long, as over a network, it is done less often.
        """
        with self._scanning:
            began = time.monotonic()
            if anew or began - self._scanned > self._pause:
                real = os.path.realpath(self.root)
                self._entries = {entry.id: entry for entry in _below(self.root, real, self.root, "", DEPTH, {real})}
                self._scanned = time.monotonic()
                self._pause = max(RESCAN, SHARE * (self._scanned - began))
            return list(self._entries.values())

    def entry(self, key: str, kind: Kind = "run") -> Entry:
        """The folder of a kind with an id. Raises UnknownError where there is none."""
        found = self.any_entry(key)
        if found.kind != kind:
            raise UnknownError(f"{found.name} is no {kind}.")
        return found

    def any_entry(self, key: str) -> Entry:
        """The folder with an id, of whatever kind. Raises UnknownError where there is none."""
        found = self._entries.get(key)
        if found is None or not found.path.is_dir():
            found = next((entry for entry in self.entries(anew=True) if entry.id == key), None)
        if found is None:
            raise UnknownError(f"There is nothing with the id {key!r} below {self.root}. It may have been removed.")
        return found

    def run(self, key: str) -> RunFolder:
        """The run with an id, as its files are now. Raises UnknownError where there is none."""
        path = self.entry(key).path
        return self._runs.get(key, fingerprint(path, all_files=True), lambda: RunFolder.open(path))

    def explanation(self, key: str) -> Explanation | None:
        """What `firstlight explain` found in a run; None where none was made. Raises RunError where it is damaged."""
        folder = self.run(key)
        path = folder.path / EXPLANATION
        if not path.is_file():
            return None
        return self._explanations.get(key, path.stat().st_mtime_ns, lambda: read(folder))

    def document(self, key: str) -> Document:
        """The report of a run as content. Raises RunError where it cannot be made."""
        folder = self.run(key)
        explained = folder.path / EXPLANATION
        mark = (fingerprint(folder.path, all_files=True), explained.stat().st_mtime_ns if explained.is_file() else 0)
        return self._documents.get(key, mark, lambda: report.build_document(folder))

    def summaries(self) -> list[RunSummary]:
        """The runs as the table shows them, those that changed last first."""
        return self.summaries_within(math.inf)[0]

    def summaries_within(self, seconds: float = SOON) -> tuple[list[RunSummary], int]:
        """As `summaries`, without those that there was no time to read; and how many these are."""
        entries = [entry for entry in self.entries() if entry.kind == "run"]
        if seconds < math.inf:  # the newest are looked for first
            entries.sort(key=lambda entry: -_changed(entry.path))
        until = time.monotonic() + seconds
        found = [self.summary_by(entry, until) for entry in entries]
        read = [summary for summary in found if summary is not None]
        return sorted(read, key=lambda summary: -summary.changed), len(found) - len(read)

    def summary(self, entry: Entry) -> RunSummary:
        """The row of a run, read again only where one of its files changed."""
        summary = self.summary_by(entry, math.inf)
        assert summary is not None
        return summary

    def summary_by(self, entry: Entry, until: float) -> RunSummary | None:
        """As `summary`; None where it has to be read and the time `until` is past."""
        mark = fingerprint(entry.path)
        kept = self._summaries.get(entry.id)
        if kept is None or kept[0] != mark:
            if time.monotonic() > until:
                return None
            kept = (mark, read_summary(entry))
            self._summaries[entry.id] = kept
        return kept[1]

    def opened(self, key: str) -> Run:
        """The run with its model ready, for the thread of inference. Raises RunError where it has none."""
        path = self.entry(key).path
        weights = path / run_folder.WEIGHTS
        mark = weights.stat().st_mtime_ns if weights.is_file() else 0
        return self._opened.get(key, mark, lambda: _ready(path))

    def images(self, key: str, split: str) -> Images:
        """The run's own images of a split, as the model sees them, in the order of its predictions.

        Raises RunError where they cannot be had any more, UnknownError where there is no such split.
        """
        folder = self.run(key)
        if split not in folder.data.splits:
            raise UnknownError(f"{folder.name} has no split called {split!r}.")
        with self._recalled(key):
            return self._images.get(key, _content(folder), lambda: _recalled(folder)[1])[split]

    def dataset(self, key: str) -> Dataset:
        """The images of a run as they were loaded, with the labels that their owner gave them: nothing is corrected.

        Raises as `images` does, also where the images are no longer those of the run.
        """
        folder = self.run(key)

        def recalled() -> Dataset:
            dataset, prepared = _recalled(folder)
            self._images.get(key, _content(folder), lambda: prepared)
            return dataset

        with self._recalled(key):
            return self._datasets.get(key, _content(folder), recalled)

    @contextmanager
    def _recalled(self, key: str) -> Iterator[None]:
        """One at a time; what failed a moment ago fails at once."""
        with self._recalling:
            failed = self._failed.get(key)
            if failed and time.monotonic() - failed[0] < RETRY:
                raise RunError(str(failed[1]))
            try:
                yield
            except FirstlightError as error:
                self._failed[key] = (time.monotonic(), error)
                raise

    def studies(self) -> list[StudyFolder]:
        """The studies below the root that can be read."""
        return _readable(StudyFolder.open, (entry for entry in self.entries() if entry.kind == "study"))

    def searches(self) -> list[TuneFolder]:
        """The searches below the root that can be read."""
        return _readable(TuneFolder.open, (entry for entry in self.entries() if entry.kind == "search"))


def _below(folder: Path, real: str, root: Path, group: str, depth: int, seen: set[str]) -> Iterator[Entry]:
    """The runs, studies and searches in a folder, and what lies directly in the root and is none of these.

    real  the folder itself, without links
    seen  the folders that were come by, without links: each is shown once, under its own name rather than a link's
    """
    for found in _folders(folder):
        path = folder / found.name
        inside = f"{real}/{found.name}"
        if found.is_symlink():
            inside = os.path.realpath(inside)
            if not Path(inside).is_relative_to(os.path.realpath(root)):
                continue
        if inside in seen:
            continue
        seen.add(inside)
        relative = path.relative_to(root).as_posix()
        name = os.fsencode(relative).decode("utf-8", "backslashreplace")  # a name may be in another encoding
        kind: Kind = "other"
        inner: list[Entry] = []
        if _is_file(path, run_folder.EXPERIMENT):
            kind = "run"
        elif _is_file(path, TUNE):
            kind = "search"
        else:
            is_study = _is_file(path, run_folder.STUDY)
            kind = "study" if is_study else "folds" if _is_file(path, OUT_OF_FOLD) else "other"
            deeper = _below(path, inside, root, name if is_study else group, depth - 1, seen) if depth > 1 else ()
            inner = list(deeper)
        if kind != "other" or (folder == root and not inner):
            yield Entry(hashlib.sha256(os.fsencode(relative)).hexdigest()[:12], path, name, kind, group)
        yield from inner


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    """The folders in a folder by name, links to folders last."""
    try:
        with os.scandir(folder) as found:
            folders = [each for each in found if not each.name.startswith((".", "__")) and each.is_dir()]
    except OSError as error:  # removed meanwhile, or not ours to read
        if error.errno in EXHAUSTED:
            raise
        return []
    return sorted(folders, key=lambda each: (each.is_symlink(), each.name))


def _is_file(folder: Path, name: str) -> bool:
    """Whether a folder has a file; no where it is not ours to look at."""
    try:
        return stat.S_ISREG((folder / name).stat().st_mode)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in EXHAUSTED:
            raise
        return False


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _ready(path: Path) -> Run:
    shape = RunFolder(path).model.input_shape
    if math.prod(shape) > MOST_VALUES:
        raise RunError(f"{path / run_folder.MODEL} is damaged: its input_shape is {shape!s:.80}.")
    run = Run(path)
    _ = run.session
    return run


def _content(folder: RunFolder) -> list[str]:
    """What changes when a run's images do."""
    return [record.sha256 for record in folder.data.splits.values()]


def _recalled(folder: RunFolder) -> tuple[Dataset, dict[str, Images]]:
    """The images of a run as they were loaded, and its splits as the model sees them."""
    source = data.SOURCES.get(folder.data.source)
    if source and not source.at_hand and not folder.data.location:  # to look at a page is not a wish to download
        raise RunError(
            f"{source.title}, on which {folder.name} was trained, is not on this machine. To download it: firstlight "
            f"data check {source.name}"
        )
    dataset, splits = experiments.reload_splits(folder)
    preparation = Preparation.from_json(folder.model.preparation.settings)
    prepared = {name: preparation.apply(images) for name, images in splits.items()}
    experiments.must_be_the_same(folder, prepared)
    return dataset, prepared


T = TypeVar("T")


class Kept(Generic[T]):
    """The last few values, each good while its mark is the same."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: OrderedDict[str, tuple[Any, T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, mark: Any, make: Callable[[], T]) -> T:
        with self._lock:
            kept = self._values.get(key)
        if kept is None or kept[0] != mark:
            kept = (mark, make())
        with self._lock:
            self._values[key] = kept
            self._values.move_to_end(key)
            while len(self._values) > self.size:
                self._values.popitem(last=False)
        return kept[1]


def _readable(open_: Callable[[Path], T], entries: Iterator[Entry]) -> list[T]:
    found = []
    for entry in entries:
        try:
            found.append(open_(entry.path))
        except FirstlightError:  # its own page says what is wrong
            continue
    return found
