"""The suspected label errors among all images of a k-fold split: label_issues.npz, beside the out-of-fold record.

`firstlight labels` writes it. Each image was looked at by the net that was not trained on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from firstlight.errors import RunError, brief
from firstlight.files import is_file, is_folder
from firstlight.notebook_display import Brief
from firstlight.records.codec import Axes
from firstlight.records.out_of_fold import OUT_OF_FOLD, FoldRun, read_of_folds
from firstlight.records.record_files import write_archive
from firstlight.records.run_folder import EXPERIMENT
from firstlight.records.values import AtLeastOne, Names
from firstlight.text import listed
from firstlight.types import Array

LABEL_ISSUES = "label_issues.npz"


@dataclass(frozen=True)
class DoubtedLabel:
    """One of the suspected label errors, with its reason.

    given, suggested  the label, and the class that the image seems to be: places in `class_names`
    probabilities     that the net gives to both, in this order
    score             the log of the odds of `suggested` against `given`, by net and neighbours together
    pixels            the hash of its image as it was loaded, by which a correction knows it
    nearest           the ids of the images that are nearest to it for this net, the nearest first; `labels` of theirs
    """

    id: str
    fold: int
    given: int
    suggested: int
    probabilities: tuple[float, float]
    score: float
    pixels: str
    nearest: tuple[str, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Why it is in doubt, from the numbers."""
        given, suggested = self.class_names[self.given], self.class_names[self.suggested]
        by_given, by_suggested = self.probabilities
        said = f"the net that was not trained on it predicts {suggested} {by_suggested:.2f}, {given} {by_given:.2f}"
        if not self.labels:
            return said
        with_given, with_suggested = self.labels.count(self.given), self.labels.count(self.suggested)
        return (
            f"{said}; of its {len(self.labels)} nearest images {with_suggested} are labelled {suggested}, "
            f"{with_given} {given}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class LabelIssues(Brief):
    """Suspected label errors, those that most deserve a look first.

    images          how many were looked at: all of the split
    layer           in whose values images are near
    ids             str (n,); folds int64 (n,), the fold whose net answered, from 1 on
    given, suggested  int64 (n,), places in `class_names`
    probabilities   float32 (n, 2), of given and suggested
    scores          float32 (n,), see `DoubtedLabel`
    nearest_ids     str (n, k), the nearest first; nearest_labels int64 (n, k)
    hashes          str (n,), `firstlight.data.corrections.pixels_sha256` of each image, by which a correction knows it
    pixels          uint8 (m, H, W, C), the prepared images of the first m; nearest_pixels uint8 (m, j, H, W, C)
    runs            the runs of the folds that it was made from
    """

    images: AtLeastOne
    layer: str
    ids: Annotated[Array, Axes("U", "n")]
    folds: Annotated[Array, Axes("iu", "n")]
    given: Annotated[Array, Axes("iu", "n")]
    suggested: Annotated[Array, Axes("iu", "n")]
    probabilities: Annotated[Array, Axes("f", "n2")]
    scores: Annotated[Array, Axes("f", "n")]
    nearest_ids: Annotated[Array, Axes("U", "nk")]
    nearest_labels: Annotated[Array, Axes("iu", "nk")]
    hashes: Annotated[Array, Axes("U", "n")]
    pixels: Annotated[Array, Axes("u", "mhwc")]
    nearest_pixels: Annotated[Array, Axes("u", "mjhwc")]
    class_names: Names
    runs: tuple[FoldRun, ...]
    seconds: float = 0.0

    def __post_init__(self) -> None:
        classes = len(self.class_names)
        for name in ("given", "suggested", "nearest_labels"):
            values = getattr(self, name)
            if values.size and not 0 <= int(values.min()) <= int(values.max()) < classes:
                raise ValueError(f"{name} from {values.min()} to {values.max()} for {classes} classes")
        if len(self.ids) and not 1 <= int(self.folds.min()) <= int(self.folds.max()) <= len(self.runs):
            raise ValueError(f"folds from {self.folds.min()} to {self.folds.max()} of {len(self.runs)} runs")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, place: int) -> DoubtedLabel:
        by_given, by_suggested = map(float, self.probabilities[place])
        return DoubtedLabel(
            id=str(self.ids[place]),
            fold=int(self.folds[place]),
            given=int(self.given[place]),
            suggested=int(self.suggested[place]),
            probabilities=(by_given, by_suggested),
            score=float(self.scores[place]),
            pixels=str(self.hashes[place]),
            nearest=tuple(self.nearest_ids[place].tolist()),
            labels=tuple(self.nearest_labels[place].tolist()),
            class_names=self.class_names,
        )

    def __iter__(self) -> Iterator[DoubtedLabel]:
        return map(self.__getitem__, range(len(self)))

    def write(self, folder: Path) -> None:
        """Put it into the folder of the folds, in the place of an older one."""
        write_archive(folder / LABEL_ISSUES, self)


def folder_of_folds(path: Path) -> Path:
    """The folder with the out-of-fold record at `path`, or the only one below it. Raises RunError, with what to do."""
    if not is_folder(path):
        raise RunError(f"{brief(path)}: there is no such folder.")
    places = [path, *sorted(path.glob("*")), *sorted(path.glob("*/*"))]
    found = [place for place in places if is_file(place / OUT_OF_FOLD)]
    if is_file(path / EXPERIMENT):
        if is_file(path.parent / OUT_OF_FOLD):
            raise RunError(f"{path} is the run of one fold. Give the folder of all: firstlight labels {path.parent}")
        raise RunError(
            f"{path} is one run. For suspected label errors among its validation and test images, on which its net was "
            f"not trained: firstlight explain {path}. For all images, train on folds: firstlight run "
            f"{path / EXPERIMENT} --folds 5"
        )
    if not found:
        raise RunError(
            f"{path} has no out-of-fold predictions: it holds no folds, or they are not all complete. Train them with "
            f"firstlight run FILE.toml --folds 5, or resume them: firstlight resume {path}"
        )
    if len(found) > 1:
        raise RunError(f"{path} holds several k-fold splits. Give one of them: {listed(map(str, found), 'or', most=5)}")
    return found[0]


def read(folder: Path) -> LabelIssues | None:
    """The record in the folder of the folds; None where none was made.

    Raises RunError where it is damaged, too new, or of other predictions than the runs now have.
    """
    return read_of_folds(folder, LABEL_ISSUES, LabelIssues, f"Make it again: firstlight labels {folder}")
