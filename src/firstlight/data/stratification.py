"""Groups: images that belong together, such as frames of one video, and are shared out whole, as evenly as they allow.

The parts (the splits, or folds) are filled group by group, the large ones first, each where it does the least harm;
then groups are moved while that helps. What is made small is the sum over parts and classes of (images − share)² /
share, the statistic of a chi-squared test against a stratified split; the images of all classes count as a class more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from firstlight.cautions import Caution
from firstlight.randomness import generator
from firstlight.types import Array, Images

ATTEMPTS = 8  # draws of the order, of which the best counts,
_FEW = 2_000  # where there are no more groups than that; with many, one is as good
_MOVES = 200


@dataclass(frozen=True)
class Balance:
    """How near the drawn splits come to what was asked for, of all images and of each class.

    asked    the share of the images that each split was to have
    images   the share that it has
    classes  the share that it has of the images of each class that has some
    """

    asked: Mapping[str, float]
    images: Mapping[str, float]
    classes: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, whole: Images, counts: Mapping[str, Sequence[int]], asked: Mapping[str, float]) -> Balance:
        """That of splits with so many images of each class, drawn from `whole`, where such shares were asked for."""
        drawn = {name: np.asarray(counts[name]) for name in asked}
        there = np.flatnonzero(whole.counts)
        classes = {
            name: {whole.class_names[k]: float(held[k] / whole.counts[k]) for k in there}
            for name, held in drawn.items()
        }
        images = {name: float(held.sum() / len(whole)) for name, held in drawn.items()}
        return cls(dict(asked), images, classes)

    def said(self, split: str) -> str:
        """How much a split has, and which class is furthest from what was asked for, in words."""
        asked, classes = self.asked[split], self.classes[split]
        worst = max(classes, key=lambda name: abs(classes[name] - asked))
        return (
            f"{self.images[split]:.1%} of them, and {classes[worst]:.1%} of {worst}, the class furthest from that share"
        )

    def warnings(self) -> list[str]:
        """A sentence for each split that has less than half, or more than one and a half times, what was asked for."""
        return [
            Caution.UNEVEN_GROUPS.text(
                f"The groups allow no even split: {asked:.0%} of the images were to be in {split}; it "
                f"has {self.said(split)}."
            )
            for split, asked in self.asked.items()
            if any(abs(share - asked) > asked / 2 for share in (self.images[split], *self.classes[split].values()))
        ]


def parts_by_group(
    groups: Array, labels: Array, shares: Sequence[float], needed: Sequence[int], seed: int, *key: str | int
) -> Array:
    """Which part each image comes into, int (N,): no group is divided, and each class is in proportion if it can be.

    groups  of the images, str (N,), and their labels, int (N,)
    shares  of the images, that each part is to have; their sum is 1
    needed  groups of each class that each part is to have at least, as far as there are as many

    The same seed and key give the same parts. 70,000 groups of one image each take about 0.3 s.
    """
    _, place = np.unique(groups, return_inverse=True)
    counts = np.zeros((place.max() + 1, labels.max() + 1), np.int64)
    np.add.at(counts, (place, labels), 1)
    sharing = _Sharing(counts, np.array(shares), np.array(needed))
    attempts = ATTEMPTS if len(counts) <= _FEW else 1
    found = [sharing.parts(generator(seed, *key, attempt)) for attempt in range(attempts)]
    return min(found, key=sharing.harm)[place]


class _Sharing:
    """How evenly groups can be shared out.

    counts  images of each group and class, int (G, K)
    shares  of the parts, (P,)
    needed  groups of each class that each part is to have, (P,)
    """

    def __init__(self, counts: Array, shares: Array, needed: Array) -> None:
        counts = counts[:, counts.any(axis=0)]
        self.counts = np.column_stack([counts, counts.sum(axis=1)]).astype(np.float64)
        self.present = (counts > 0).astype(np.float64)
        self.targets = shares[:, None] * self.counts.sum(axis=0)
        self.needed = np.broadcast_to(needed[:, None], (len(shares), counts.shape[1]))
        self.missing = 100.0 * counts.sum()  # worse than whatever a part can have too many of

    def parts(self, draw: np.random.Generator) -> Array:
        """The part of each group, int (G,)."""
        sizes = self.counts[:, -1]
        order = np.lexsort((draw.random(len(sizes)), -np.floor(np.log2(sizes))))  # those of about one size are drawn
        parts = np.empty(len(sizes), np.int64)
        held, groups = np.zeros_like(self.targets), np.zeros_like(self.targets[:, :-1])
        for i in order[sizes[order] > 1]:
            parts[i] = into = (self._more(held, groups, slice(i, i + 1))[0]).argmin()
            held[into] += self.counts[i]
            groups[into] += self.present[i]
        for k in range(self.present.shape[1]):
            single = draw.permutation(np.flatnonzero((sizes == 1) & (self.counts[:, k] == 1)))
            number = self._filling(k, len(single), held)
            parts[single] = np.repeat(np.arange(len(number)), number)
            for total in (held[:, k], held[:, -1], groups[:, k]):
                total += number
        return self._moved(parts, held, groups)

    def _filling(self, k: int, n: int, held: Array) -> Array:
        """How many of n groups of one image of a class each part takes, so that all have their share, int (P,)."""
        short = np.maximum(self.targets - held, 0)[:, k]
        if not short.any():
            short = self.targets[:, k]
        number = np.floor(n * short / short.sum()).astype(np.int64)
        while number.sum() < n:
            number[(self.targets[:, -1] - held[:, -1] - number).argmax()] += 1
        return number

    def _moved(self, parts: Array, held: Array, groups: Array) -> Array:
        """The parts after groups were moved one by one, each time the one that helps most, while any does."""
        every = np.arange(len(parts))
        for _ in range(_MOVES):
            change = self._more(held, groups, slice(None)) + self._less(held, groups)[every, parts][:, None]
            change[every, parts] = 0
            i, into = np.unravel_index(change.argmin(), change.shape)
            if change[i, into] > -1e-9:
                break
            for total, own in ((held, self.counts[i]), (groups, self.present[i])):
                total[parts[i]] -= own
                total[into] += own
            parts[i] = into
        return parts

    def _more(self, held: Array, groups: Array, which: slice) -> Array:
        """How much worse it gets with each group in each part, (G, P): (h + c − t)² − (h − t)², divided by t."""
        counts = self.counts[which]
        change: Array = counts @ (2 * (held - self.targets) / self.targets).T + counts**2 @ (1 / self.targets).T
        change -= self.missing * (self.present[which] @ (groups < self.needed).T)
        return change

    def _less(self, held: Array, groups: Array) -> Array:
        """How much worse it gets without each group in each part, (G, P)."""
        change: Array = (
            self.counts**2 @ (1 / self.targets).T - self.counts @ (2 * (held - self.targets) / self.targets).T
        )
        change += self.missing * (self.present @ (groups <= self.needed).T)
        return change

    def harm(self, parts: Array) -> float:
        """What is made small, of the part of each group."""
        each = parts == np.arange(len(self.targets))[:, None]
        missing = np.maximum(self.needed - each @ self.present, 0).sum()
        return float(((each @ self.counts - self.targets) ** 2 / self.targets).sum() + self.missing * missing)
