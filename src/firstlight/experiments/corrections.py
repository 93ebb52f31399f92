"""The corrections of an experiment: read before anything starts, applied once the images are split, kept in the record.

A run that is found again applies those of its record, whatever became of their table since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from firstlight.data.corrections import Correction, applied, read_corrections
from firstlight.experiments.config import Experiment
from firstlight.files import is_file, sha256
from firstlight.records.images import CorrectionRecord, CorrectionsRecord
from firstlight.records.run_folder import DATA, RunFolder
from firstlight.text import listed
from firstlight.types import Images


@dataclass(frozen=True)
class Corrections:
    """The table that data.corrections names."""

    path: Path
    sha256: str
    rows: tuple[Correction, ...]

    @classmethod
    def read(cls, path: str | Path) -> Corrections:
        """Raises DataError where it is not a table of corrections."""
        rows = read_corrections(Path(path))
        return cls(Path(path), sha256(Path(path)), rows)

    def applied(self, splits: Mapping[str, Images]) -> tuple[dict[str, Images], CorrectionsRecord]:
        """The splits as they make them, and what the record of the run says of it."""
        found = applied(splits, self.rows, str(self.path))
        rows = (CorrectionRecord(**vars(one), kind=one.kind.value, split=found.split_of(one)) for one in self.rows)
        record = CorrectionsRecord(
            location=str(self.path.resolve()),
            sha256=self.sha256,
            counts={
                split: {kind.value: n for kind, n in counts.items()}
                for split, counts in found.counts(self.rows).items()
            },
            rows=tuple(rows),
        )
        return dict(found.splits), record


def recorded(folder: RunFolder, splits: Mapping[str, Images]) -> dict[str, Images]:
    """Images of a run by split, before classes were left out or regrouped, with the corrections of its record."""
    record = folder.data.corrections
    if record is None:
        return dict(splits)
    rows = [Correction(one.id, one.pixels, one.old, one.new) for one in record.rows]
    return dict(applied(splits, rows, str(folder.path)).splits)


def have_changed(folder: RunFolder, experiment: Experiment) -> bool:
    """Whether the table that the experiment names now holds other corrections than the run was given.

    A table that is gone has not changed: the run has its corrections in its record. Nor has that of a run which had not
    come to keep any.
    """
    if not is_file(folder.path / DATA):
        return False
    named, record = experiment.data.corrections, folder.data.corrections
    if named is None or record is None:
        return (named is None) != (record is None)
    place = next((place for place in (named, record.location) if is_file(place)), None)
    return place is not None and sha256(Path(place)) != record.sha256


def summary(record: CorrectionsRecord) -> str:
    """What was corrected, in a sentence; "" where nothing is changed by it."""
    parts = []
    for split, counts in record.counts.items():
        said = [f"{counts[kind]:,} {kind}" for kind in ("relabelled", "dropped") if counts.get(kind)]
        parts += [f"of {split} {listed(said)}"] if said else []
    return f"Labels were corrected after the split (data.corrections): {'; '.join(parts)}." if parts else ""
