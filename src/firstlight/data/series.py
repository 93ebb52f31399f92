"""Images that look as if they belonged together, by their names: a guess at `data.group`, which is only ever told.

A series is several images whose names are the same but for a number that runs on, as frames of a video have, or that
lie in one folder. Files of a class that are numbered through are none: there must be several series in a class. Names
alone can err, as where a class has breeds; so the pixels are asked too: images that follow each other in a series of
frames differ less than images of different series do.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from firstlight.data.groups import PARENT, paths_of
from firstlight.data.names import natural_order, of_a_group
from firstlight.errors import brief
from firstlight.randomness import generator
from firstlight.types import Array, Dataset, Images, joined

ALIKE = 0.7  # of the usual difference between images of two series: less, and they belong together by their pixels
_SERIES = 3  # in a class at least, at the median
_DENSE = 2  # a series runs on where its numbers have at most so many places an image
_MOST = 0.9  # of all images, for which what is said must hold
_PAIRS = 500  # of images that are compared
_PAIRS_EACH = 50  # of one series
_SIDE = 16  # pixels of a side that are looked at
_LEVELS = 4  # numbers at the end of a name: of a frame, a clip, a scene, a person

_NUMBERED = re.compile(r"(.+?)([_\-. ]+)([A-Za-z]{0,8})([0-9]+)")
_EXPORTED = re.compile(r"(.+)\.rf\.[0-9a-f]{8,}")  # as Roboflow names the augmented copies of an image


@dataclass(frozen=True)
class Guess:
    """A `data.group` by which images may belong together.

    key      the pattern, or "parent"
    series   how many there are; `first` and `last` are images of one, `images` how many it has
    words    whether the names say so, as "patient" does
    alike    the difference of images next to each other in a series, relative to images of different ones
    groups   the series of each image by its id
    """

    key: str
    series: int
    first: str
    last: str
    images: int
    words: bool
    alike: float
    groups: dict[str, str]

    @property
    def sure(self) -> bool:
        """Whether more than numbers speak for it."""
        return self.words or self.alike < ALIKE

    @property
    def quoted(self) -> str:
        """The key as a TOML file has it; a pattern stands in single quotes, where a backslash is one."""
        return f'"{self.key}"' if self.key == PARENT else f"'{self.key}'"

    def said(self) -> str:
        """What looks like a series, and what would keep it together, in sentences."""
        line = (
            f"{brief(self.first, 80)} … {brief(self.last, 80)} look like one series of {self.images:,} images, among "
            f"{self.series:,}: data.group = {self.quoted} would keep each in one split."
        )
        if self.alike < ALIKE:
            line += f" Images next to each other differ by {self.alike:.0%} of what images of different series do."
        elif not self.words:
            line += " They are no more alike than images of different series, so the names may mislead."
        return line

    def divided(self, first: Images, second: Images) -> int:
        """Images of the second split that are of a series which the first has as well."""
        held = {self.groups.get(sample) for sample in first.ids.tolist()} - {None}
        return sum(self.groups.get(sample) in held for sample in second.ids.tolist())


def guess(dataset: Dataset) -> Guess | None:
    """What `data.group` may be, by the names of images that have no groups; None where nothing speaks for one."""
    if any(images.groups is not None for images in dataset.splits.values()):
        return None
    paths = [path for name, images in dataset.splits.items() for path in paths_of(name, images)]
    parts = list(dataset.splits.values())
    images = joined(parts) if len(parts) > 1 else parts[0]
    names = [path.rpartition("/")[2] for path in paths]
    folders = _by_folder(paths)
    found = None if folders is None else _guess(PARENT, folders, names, images)
    if found is not None and found.sure:  # folders alone say little: there are many reasons to make one
        return found
    named = (_guess(key, groups, names, images) for key, groups in _by_name(names, images.labels))
    return next((found for found in named if found is not None), None)


def _by_folder(paths: Sequence[str]) -> list[str] | None:
    """The name of the folder that each image lies in."""
    folders = [path.split("/")[-2] if "/" in path else "" for path in paths]
    return folders if all(folders) else None


def _by_name(names: Sequence[str], labels: Array) -> list[tuple[str, list[str]]]:
    """Patterns that all names match, with the group of each; the one that puts most together first."""
    stems = [name.rpartition(".")[0] or name for name in names]
    if exported := _heads(_EXPORTED, stems):
        return [(r"(.+)\.rf\.", exported)]
    found = []
    heads, ending = stems, ""
    for level in range(_LEVELS):
        matches = [_NUMBERED.fullmatch(head) for head in heads]
        if not all(matches):
            break
        parts = [match.groups() for match in matches if match]
        if level == 0 and not _run_on(parts, labels):
            break
        separators, letters = ({part[place] for part in parts} for place in (1, 2))
        of_letters = re.escape(letters.pop()) if len(letters) == 1 else "[A-Za-z]*"
        ending = (re.escape(separators.pop()) if len(separators) == 1 else r"[_\-. ]+") + of_letters + r"\d+" + ending
        heads = [part[0] for part in parts]
        key = f"(.+){ending}" + (r"\." if all("." in name for name in names) else "$")
        if all((match := re.search(key, name)) and match[1] == head for name, head in zip(names, heads, strict=True)):
            found.append((key, heads))
    return found[::-1]


def _heads(pattern: re.Pattern[str], stems: Sequence[str]) -> list[str] | None:
    """What the first parentheses hold; None where a name does not match."""
    matches = [pattern.fullmatch(stem) for stem in stems]
    return [match[1] for match in matches if match] if all(matches) else None


def _run_on(parts: Sequence[tuple[str, ...]], labels: Array) -> bool:
    """Whether the numbers behind one beginning, in one class, are mostly without gaps."""
    numbers: dict[tuple[str, int], list[int]] = defaultdict(list)
    for (head, _, _, number), label in zip(parts, labels.tolist(), strict=True):
        numbers[head, label].append(int(number[:15]))
    dense = [len(n) for n in numbers.values() if len(n) > 1 and max(n) - min(n) < _DENSE * len(n)]
    return sum(dense) >= _MOST * len(parts)


def _guess(key: str, groups: Sequence[str], names: Sequence[str], images: Images) -> Guess | None:
    """The guess that these groups are, where there are several of several images in each class, none of most images."""
    sizes = Counter(groups)
    per_class: dict[int, set[str]] = defaultdict(set)
    for label, group in zip(images.labels.tolist(), groups, strict=True):
        per_class[label].add(group)
    several = np.median([len(held) for held in per_class.values()]) >= _SERIES
    if not several or np.median(list(sizes.values())) < 2 or 2 * max(sizes.values()) > len(groups):
        return None
    [(largest, n)] = sizes.most_common(1)
    ordered = natural_order(name for name, group in zip(names, groups, strict=True) if group == largest)
    return Guess(
        key=key,
        series=len(sizes),
        first=f"{largest}/{ordered[0]}" if key == PARENT else ordered[0],
        last=ordered[-1],
        images=n,
        words=sum(of_a_group(group) for group in sizes) >= _MOST * len(sizes),
        alike=_alike(groups, names, images),
        groups=dict(zip(images.ids.tolist(), groups, strict=True)),
    )


def _alike(groups: Sequence[str], names: Sequence[str], images: Images) -> float:
    """The difference of images next to each other in a group over that of images of two groups, within classes.

    The median over about 500 pairs of the mean absolute difference of their pixels; 1 where nothing can be compared.
    """
    labels: list[int] = images.labels.tolist()
    members: dict[tuple[int, str], dict[str, int]] = defaultdict(dict)
    for i, (label, group, name) in enumerate(zip(labels, groups, names, strict=True)):
        members[label, group][name] = i
    draw = generator(0, "series")
    series = list(members.values())
    within: list[tuple[int, int]] = []
    for chosen in draw.permutation(len(series)).tolist():
        if len(within) >= _PAIRS:
            break
        ordered = [series[chosen][name] for name in natural_order(series[chosen])]
        pairs = list(pairwise(ordered))
        within += [pairs[i] for i in draw.permutation(len(pairs))[:_PAIRS_EACH]]
    shuffled = sorted(draw.permutation(len(labels)).tolist(), key=lambda i: labels[i])
    between = [(i, j) for i, j in pairwise(shuffled) if labels[i] == labels[j] and groups[i] != groups[j]]
    apart = [between[i] for i in draw.permutation(len(between))[:_PAIRS]]
    usual = _difference(images, apart) if apart and within else 0.0
    return _difference(images, within) / usual if usual else 1.0


def _difference(images: Images, pairs: Sequence[tuple[int, int]]) -> float:
    """The median of the mean absolute difference of the pixels of pairs."""
    rows, columns = (max(1, side // _SIDE) for side in images.shape[:2])
    first, second = (
        images.pixels[list(places), ::rows, ::columns].astype(np.float32) for places in zip(*pairs, strict=True)
    )
    return float(np.median(np.abs(first - second).mean(axis=(1, 2, 3))))
