"""The folder of a study: what belongs to it, and where its runs are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

from firstlight.errors import RunError, brief
from firstlight.files import MB, is_file, is_folder, read_bytes
from firstlight.notebook_display import Shown
from firstlight.records.codec import Must, omitted
from firstlight.records.record_files import read_record
from firstlight.records.run_folder import STUDY, RunFolder
from firstlight.records.values import Count, FileName, Share

PARITY = "parity.html"
FAILURE_LIMIT = MB  # of the file that says why a run came to nothing


class FoldKey(NamedTuple):
    """Which of the runs of a recipe it is, where these are over folds; the first fold is 1."""

    seed: int
    fold: int


RunKey = int | FoldKey  # which of the runs of a recipe it is: its seed, where these are not over folds


def run_title(key: RunKey) -> str:
    """What a run of a recipe is called: "seed 3", or "seed 3, fold 2"."""
    return f"seed {key.seed}, fold {key.fold}" if isinstance(key, FoldKey) else f"seed {key}"


@dataclass(frozen=True)
class StudyEntry:
    """One of the runs that a study compares, over its seeds.

    published  the test accuracy that is published for it, if any
    published_validation  the greatest validation accuracy over its epochs that is published, if any
    beside     other numbers to stand beside ours: {"Keras, the same images": 0.880}
    note       why it differs from what is published, or what to look at
    """

    name: FileName
    seeds: Annotated[tuple[Count, ...], Must("a list of seeds", bool)]
    published: Share | None = None
    published_validation: Share | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class StudyRecord:
    """study.json: title, what the study shows in a few sentences, and its runs.

    folds  how many folds each seed of a run has; None where it is one run
    """

    name: FileName
    title: str
    about: str
    runs: Annotated[
        tuple[StudyEntry, ...],
        Must("a list of runs, each of another name", lambda runs: 0 < len(runs) == len({run.name for run in runs})),
    ]
    folds: Annotated[int, Must("an integer of at least 2", lambda number: number >= 2)] | None = omitted(None)


@dataclass(frozen=True, eq=False)
class StudyFolder(Shown):
    """A study on disk: study.json says what belongs to it, and <name>/seed-<n> below it are its runs.

    Over folds, <name>/seed-<n> is the folder of the folds, and <name>/seed-<n>/fold-<k> below it are the runs.

    <name>.toml            the study file as it was given
    study.json             title, what it shows, and its runs with their seeds and published numbers
    <name>/seed-<n>.failed why that run came to no result, until it does
    <name>/seed-<n>/out_of_fold.npz  over folds: what the nets said of all images, each by the one that has not seen it
    <name>/seed-<n>/label_issues.npz  over folds: which labels may be wrong, where that was asked
    parity.html            how far the gradients agree, where the study asked for that
    report.html            and report.pdf where it was asked for
    """

    path: Path
    record: StudyRecord

    @classmethod
    def open(cls, path: str | Path) -> StudyFolder:
        """The study at `path`. Raises RunError where there is none or its format is newer than this program."""
        place = Path(path)
        if not is_folder(place):
            raise RunError(f"{brief(path)}: there is no such study folder.")
        if not is_file(place / STUDY):
            raise RunError(f"{brief(path)} is not a study folder: it has no {STUDY}.")
        return cls(place, read_record(place, STUDY, StudyRecord))

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def file(self) -> Path:
        """The study file, which has the study's name, so that it continues from here too."""
        return self.path / f"{self.name}.toml"

    @property
    def title(self) -> str:
        return self.record.title

    @property
    def about(self) -> str:
        """What the study shows, in a few sentences."""
        return self.record.about

    @property
    def entries(self) -> tuple[StudyEntry, ...]:
        """What it compares, in the order of its file."""
        return self.record.runs

    @property
    def folds(self) -> int | None:
        """How many folds each seed of an entry has; None where it is one run."""
        return self.record.folds

    def keys(self, entry: StudyEntry) -> tuple[RunKey, ...]:
        """The runs of `entry` that were asked for."""
        if self.folds is None:
            return entry.seeds
        return tuple(FoldKey(seed, fold) for seed in entry.seeds for fold in range(1, self.folds + 1))

    def place(self, entry: StudyEntry, key: RunKey) -> Path:
        """Where a run of `entry` is, or will be."""
        if isinstance(key, FoldKey):
            return self.folds_folder(entry, key.seed) / fold_folder(key.fold)
        return self.path / entry.name / seed_folder(key)

    def folds_folder(self, entry: StudyEntry, seed: int) -> Path:
        """Where the runs of `entry` over the folds of a seed are, and what they came to together."""
        return self.path / entry.name / seed_folder(seed)

    def finished(self, entry: StudyEntry) -> dict[RunKey, RunFolder]:
        """Its runs that have a result."""
        places = {key: self.place(entry, key) for key in self.keys(entry)}
        return {key: RunFolder(place) for key, place in places.items() if RunFolder(place).finished}

    def failed(self, entry: StudyEntry) -> dict[RunKey, str]:
        """Why its runs that have no result came to none when they were last tried."""
        places = {key: self.place(entry, key) for key in self.keys(entry)}
        left = {key: failure(place) for key, place in places.items() if not RunFolder(place).finished}
        return {key: why for key, file in left.items() if (why := _why(file, self.path))}


def seed_folder(seed: int) -> str:
    """The name of the folder that a study gives to a run of that seed."""
    return f"seed-{seed}"


def fold_folder(fold: int) -> str:
    """The name of the folder that a study gives to the run of that fold, below that of the seed."""
    return f"fold-{fold}"


def failure(place: Path) -> Path:
    """The file that says why the run of a study at `place` came to no result."""
    return place.with_name(f"{place.name}.failed")


def _why(file: Path, study: Path) -> str:
    try:
        return read_bytes(file, limit=FAILURE_LIMIT, inside=study).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}."
