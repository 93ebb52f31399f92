"""novelty.npz: what tells images that are of none of a run's classes, and how far its own images lie from them.

The archive holds the arrays, and as `record` the JSON of the rest. A run of an earlier version has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from firstlight.errors import DamagedFileError
from firstlight.evaluation.novelty import ClassDistances, fewest, threshold
from firstlight.files import ARRAYS_LIMIT, is_there
from firstlight.records.codec import Axes, Must, decode
from firstlight.records.record_files import unarchived, write_archive
from firstlight.records.run_folder import NOVELTY, RunFolder
from firstlight.types import Array

EARLIER = (
    "The run has no distances of its images from the classes, as it was made by an earlier version. Train it again to "
    "detect images of none of them."
)
Rate = Annotated[float, Must("a number between 0 and 1", lambda number: 0 < number < 1)]


@dataclass(frozen=True, eq=False, kw_only=True)
class Distances:
    """Distances from the classes, and of the run's own images.

    whitening, centres  see `ClassDistances`
    validation  distances of the validation images, float32 (V,), in their order
    test        of the test images, float32 (T,), in their order
    strangest   which test images lie farthest, int (S,), the farthest first, and their pixels uint8 (S, H, W, C)
    """

    whitening: Annotated[Array, Axes("f", "rf")]
    centres: Annotated[Array, Axes("f", "mr")]
    validation: Annotated[Array, Axes("f", "v")]
    test: Annotated[Array, Axes("f", "t")]
    strangest: Annotated[Array, Axes("iu", "s")]
    pixels: Annotated[Array, Axes("u", "shwc")]

    def __post_init__(self) -> None:
        if len(self.strangest) and not 0 <= int(self.strangest.min()) <= int(self.strangest.max()) < len(self.test):
            raise ValueError("its strangest images are none of the test images")

    @property
    def classes(self) -> ClassDistances:
        return ClassDistances(self.whitening, self.centres)


@dataclass(frozen=True, eq=False, kw_only=True)
class NoveltyRecord:
    """What a run knows of images that are of none of its classes.

    rate       the rate of false alarms that was asked for
    reason     why there are no distances, a sentence; "" where there are
    """

    rate: Rate
    reason: str = ""
    distances: Distances | None = None

    @cached_property
    def threshold(self) -> float | None:
        """The distance from which on an image is of none of the classes; None where it cannot be told."""
        return self.threshold_at(self.rate)

    def threshold_at(self, rate: float) -> float | None:
        """The same for another rate of false alarms."""
        return None if self.distances is None else threshold(self.distances.validation, rate)

    def why_none(self, rate: float) -> str:
        """Why there is no threshold at that rate, a sentence; "" where there is one."""
        if self.distances is None:
            return self.reason
        if self.threshold_at(rate) is not None:
            return ""
        n = len(self.distances.validation)
        return (
            f"{n:,} validation images are too few to detect images of none of the classes at a false-alarm rate of "
            f"{rate:g}: it takes {fewest(rate):,}."
        )

    def write(self, folder: RunFolder) -> None:
        """Put it into a run's folder."""
        write_archive(folder.path / NOVELTY, self)


def read(run: RunFolder) -> NoveltyRecord | None:
    """That of a run; None where an earlier version trained it. Raises RunError where it is damaged or too new."""
    path = run.path / NOVELTY
    if not is_there(path):
        return None
    try:
        record, arrays = unarchived(run.read(NOVELTY, ARRAYS_LIMIT), path)
        found = decode(NoveltyRecord, record, arrays)
        tested = len(run.predictions["test"]) if "test" in run.predictions else 0
        if found.distances is not None and len(found.distances.test) != tested:
            raise ValueError(f"it has distances of {len(found.distances.test)} test images, of {tested}")
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {error}.", path=path) from None
    return found
