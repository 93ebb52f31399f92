"""Near copies in a run: looked for before the images are split, then told, kept together, or left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from firstlight.cautions import Caution
from firstlight.data import NearCopies
from firstlight.data.copy_groups import grouped, without_copies
from firstlight.experiments.config import Data
from firstlight.text import listed
from firstlight.types import Dataset, Images

MOST = 150_000  # images that a run looks through unasked: all pairs are compared, which takes half a minute by then
TOLD = "near copies and exact ones (data.near_copies)"


def look(dataset: Dataset, section: Data, tell: Callable[[str], None] | None = None) -> NearCopies | None:
    """The near copies of a set; None where it is so large that they are looked for only where they are to be mended."""
    images = sum(map(len, dataset.splits.values()))
    return NearCopies.of(dataset, tell) if images <= MOST or section.near_copies != "warn" else None


def kept_together(dataset: Dataset, section: Data, near: NearCopies | None) -> Dataset:
    """The dataset with copies as groups, where that is asked for."""
    return grouped(dataset, near) if section.near_copies == "group" and near is not None else dataset


def left_out(
    splits: Mapping[str, Images], section: Data, near: NearCopies | None
) -> tuple[dict[str, Images], dict[str, list[str]]]:
    """The splits, where that is asked for without images that a later split has copies of, and the ids of these."""
    if section.near_copies != "drop" or near is None:
        return dict(splits), {}
    return without_copies(splits, near)


def summary(dropped: Mapping[str, Sequence[str]], splits: Mapping[str, Images]) -> str:
    """What was left out, in a sentence; "" where nothing was."""
    parts = [
        f"{len(ids):,} of {len(ids) + len(splits[name]):,} {name} images"
        for name, ids in dropped.items()
        if name in splits
    ]
    if not parts:
        return ""
    return f'Left out, as a later split has a copy of them (data.near_copies = "drop"): {listed(parts)}.'


def not_looked_for(dataset: Dataset) -> str:
    """Why near copies were not looked for."""
    images = sum(map(len, dataset.splits.values()))
    return Caution.NEAR_COPIES_NOT_SOUGHT.text(
        f"Near copies were not searched for: that would take too long for {images:,} images, more than {MOST:,}. "
        "firstlight data check looks for them."
    )
