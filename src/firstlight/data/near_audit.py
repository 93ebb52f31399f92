"""The near copies among the splits of a run or a set: counted, and listed with what was altered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from firstlight.cautions import Caution
from firstlight.data.alteration import alteration
from firstlight.data.copy_groups import NearCopies
from firstlight.data.near_copies import NearCopy
from firstlight.types import SPLITS, Images, Json

LISTED = 1_000  # pairs that are listed; all are counted
_HOW = "turned, mirrored, resized, compressed, brighter or shifted"


@dataclass(frozen=True)
class NearPair:
    """Two samples that show the same picture: (split, id, class name) of each, how alike they are, what was altered."""

    samples: tuple[tuple[str, str, str], tuple[str, str, str]]
    similarity: float
    alteration: str

    @property
    def leak(self) -> bool:
        """They lie in different splits."""
        return self.samples[0][0] != self.samples[1][0]

    @property
    def conflict(self) -> bool:
        """They have different labels."""
        return self.samples[0][2] != self.samples[1][2]


@dataclass(frozen=True)
class NearFindings:
    """The near copies among some splits.

    pairs        those with different labels first, then those in different splits, then the most alike; at most LISTED
    count        of all pairs
    across       by pair of splits, such as ("train", "test"), images of the second that have a near copy in the first
    within       by split, images that are a near copy of one before them in it
    conflicting  images that have a near copy with another label
    leaked       validation and test images that have a near copy in an earlier split
    """

    pairs: tuple[NearPair, ...]
    count: int
    across: Mapping[tuple[str, str], int]
    within: Mapping[str, int]
    conflicting: int
    leaked: int

    def sentences(self) -> list[tuple[Caution, int, str, str]]:
        """What is warned of, of how many images, and how the sentence continues for one and for more."""
        return [
            (
                Caution.NEAR_COPIES_ACROSS_SPLITS,
                self.leaked,
                f"validation or test image has a near copy in an earlier split ({_HOW}): the leak inflates the "
                "accuracy.",
                f"validation or test images have a near copy in an earlier split ({_HOW}): the leak inflates the "
                "accuracy.",
            ),
            (
                Caution.NEAR_COPIES_WITHIN_SPLIT,
                sum(self.within.values()),
                "image is a near copy of another image of its split.",
                "images are near copies of other images of their split.",
            ),
            (
                Caution.NEAR_COPIES_WITH_OTHER_LABELS,
                self.conflicting,
                "image has a near copy with another label.",
                "images have a near copy with another label.",
            ),
        ]

    def to_json(self) -> Json:
        """Plain values."""
        return {
            "pairs": self.count,
            "within": dict(self.within),
            "across": {f"{first}-{second}": count for (first, second), count in self.across.items()},
            "conflicting_labels": self.conflicting,
            "leaked": self.leaked,
            "listed": [
                {
                    "images": [{"split": split, "id": sample, "class": name} for split, sample, name in pair.samples],
                    "similarity": round(pair.similarity, 4),
                    "alteration": pair.alteration,
                }
                for pair in self.pairs
            ],
        }


def check_near(splits: Mapping[str, Images], near: NearCopies) -> NearFindings:
    """Tell of those near copies of which both images are in the splits; the image of the earlier split is the first."""
    samples = {
        near.places[sample]: (split, sample, images.class_names[label])
        for split, images in splits.items()
        for sample, label in zip(images.ids.tolist(), images.labels.tolist(), strict=True)
        if sample in near.places
    }
    across: dict[tuple[str, str], set[int]] = {
        pair: set() for pair in combinations([name for name in SPLITS if name in splits], 2)
    }
    within: dict[str, set[int]] = {name: set() for name in splits}
    conflicting: set[int] = set()
    found: list[tuple[bool, bool, float, NearCopy]] = []
    for copy in near.found:
        if copy.first not in samples or copy.second not in samples:
            continue
        if SPLITS.index(samples[copy.first][0]) > SPLITS.index(samples[copy.second][0]):
            copy = copy.reversed()
        (split, _, label), (other_split, _, other_label) = samples[copy.first], samples[copy.second]
        (within[split] if split == other_split else across[split, other_split]).add(copy.second)
        if label != other_label:
            conflicting |= {copy.first, copy.second}
        found.append((label == other_label, split == other_split, -copy.similarity, copy))
    found.sort(key=lambda one: one[:3])
    return NearFindings(
        pairs=tuple(
            NearPair(
                (samples[copy.first], samples[copy.second]),
                copy.similarity,
                alteration(near.pixels(copy.first), near.pixels(copy.second), copy),
            )
            for *_, copy in found[:LISTED]
        ),
        count=len(found),
        across={pair: len(images) for pair, images in across.items()},
        within={split: len(images) for split, images in within.items()},
        conflicting=len(conflicting),
        leaked=len(set().union(*across.values())),
    )
