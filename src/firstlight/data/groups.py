"""Which images belong together (frames of a video, images of a patient), by their names: `data.group`.

A column of a CSV and an array are read with the images. What is here tells a group by the path of each image: by a
regular expression, or by the folder that the image lies in.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from firstlight.cautions import Caution
from firstlight.data.names import split_of
from firstlight.errors import DataError, brief, nearest
from firstlight.text import listed
from firstlight.types import SPLITS, Array, Dataset, Images, Json, is_text

PARENT = "parent"
PATTERN = r"'(.+)_\d+\.'"  # an example for messages, as a TOML file has it: a backslash stands for itself
A_GROUP_IS = "A group is what several images have in common beside their class, such as a patient or a video."
SECONDS = 10.0  # for all names; a good pattern takes a microsecond for each

# Python cannot stop a regular expression that tries every way to divide a name: another process can be stopped.
_SEARCH = """\
import json, re, sys
pattern, names = json.load(sys.stdin)
search = re.compile(pattern).search
json.dump([found[1] if (found := search(name)) else None for name in names], sys.stdout)
"""


@dataclass(frozen=True)
class GroupCounts:
    """How many groups there are, and how large.

    splits        groups in each split
    divided       groups that are in both of two splits, by the pair
    groups        all together, and `images` in them
    least, most   images of a group, and at the `median`; `largest` is the name of the one with most
    """

    splits: Mapping[str, int]
    divided: Mapping[tuple[str, str], int]
    groups: int
    images: int
    largest: str
    most: int
    least: int
    median: float

    @classmethod
    def of(cls, splits: Mapping[str, Images]) -> GroupCounts | None:
        """Those of images by split; None where they have no groups."""
        held = {name: set(images.groups.tolist()) for name, images in splits.items() if images.groups is not None}
        sizes = Counter(group for images in splits.values() if images.groups is not None for group in images.groups)
        if not sizes:
            return None
        pairs = combinations((split for split in SPLITS if split in held), 2)
        [(largest, most)] = sizes.most_common(1)
        return cls(
            splits={name: len(groups) for name, groups in held.items()},
            divided={pair: len(held[pair[0]] & held[pair[1]]) for pair in pairs},
            groups=len(sizes),
            images=sizes.total(),
            largest=str(largest),
            most=most,
            least=min(sizes.values()),
            median=float(np.median(list(sizes.values()))),
        )

    def to_json(self) -> Json:
        """Plain values."""
        return {
            "groups": self.groups,
            "smallest": self.least,
            "median": self.median,
            "largest": self.most,
            "splits": dict(self.splits),
            "divided": {f"{one}-{other}": n for (one, other), n in self.divided.items()},
        }

    @property
    def sizes(self) -> str:
        """How many there are, and their sizes, in words."""
        if self.least == self.most:
            return f"{self.groups:,} groups of {self.most:,} image{'' if self.most == 1 else 's'} each"
        return f"{self.groups:,} groups of {self.least:,} to {self.most:,} images, {self.median:g} at the median"

    def warnings(self) -> list[str]:
        """What is wrong with the groups: divided, one that is nearly everything, or none that has two images."""
        lines = [
            Caution.DIVIDED_GROUPS.text(
                f"{n:,} {'group is' if n == 1 else 'groups are'} both in {one} and in {other}: the leak inflates the "
                "accuracy."
            )
            for (one, other), n in self.divided.items()
            if n
        ]
        if self.most == 1:
            lines.append(
                Caution.GROUPS_OF_ONE.text(
                    "Each group (data.group) has a single image, so nothing is kept together: does it name the image "
                    "itself, such as its number? Name what images have in common, or leave data.group out."
                )
            )
        elif 2 * self.most >= self.images and self.groups > 1:
            lines.append(
                Caution.LARGE_GROUP.text(
                    f"The group {brief(self.largest, 60)!r} has {self.most:,} of {self.images:,} images: it can only "
                    "be in one split, and the others have the rest. Are the groups (data.group) too coarse?"
                )
            )
        return lines


def is_pattern(key: str) -> bool:
    """Whether a `data.group` that names no column and no array is meant as a regular expression."""
    return "(" in key


def must_tell_groups(key: str, lack: str, known: Sequence[str] = ()) -> None:
    """Raise DataError where a key is neither "parent" nor a pattern that holds a group.

    lack   why it is not the name of a column or an array, and `known` those there are
    """
    if is_pattern(key):
        _compiled(key)
    elif key != PARENT:
        raise DataError(said_how(key, lack, known))


def needs_folders(key: str | None) -> bool:
    """Whether images may lie in folders below those of their classes, since they tell the group."""
    return key is not None and (key == PARENT or (is_pattern(key) and "/" in key))


def group_by_name(dataset: Dataset, key: str) -> Dataset:
    """The images with groups by their ids, which are paths with / between folders.

    key  "parent": a group is the name of the folder that an image lies in. A pattern, with parentheses: what its first
         ones hold where it is found in the file's name; or, where it has a /, in the path without the folder of a split

    Raises DataError for another key, a pattern that is not a regular expression, does not match every image or takes
    too long, and for groups that are the classes.
    """
    must_tell_groups(key, f"{dataset.name} has neither columns nor arrays with names")
    paths = {name: paths_of(name, images) for name, images in dataset.splits.items()}
    every = [path for split in paths.values() for path in split]
    if key == PARENT:
        words = "the folder that each image lies in"
        found: list[str | None] = [path.rpartition("/")[0].rpartition("/")[2] for path in every]
        problem = "lie in no folder"
    else:
        words = f"the pattern {key}"
        found = _search(key, every if "/" in key else [path.rpartition("/")[2] for path in every])
        problem = "do not match the pattern"
    ids = [sample for images in dataset.splits.values() for sample in images.ids.tolist()]
    without = [sample for sample, group in zip(ids, found, strict=True) if not group]
    if without:
        where = "paths" if "/" in key else "file names, as it has no /"
        raise DataError(
            f"data.group = '{brief(key)}': {len(without):,} of {len(ids):,} images {problem}, such as "
            f"{listed(map(brief, without[:3]))}. Each image needs a group."
            + (f" A pattern is looked for in the {where}; its first parentheses hold the group." * (key != PARENT))
        )
    groups = np.array(found, dtype=np.str_)
    ends = np.cumsum([len(split) for split in paths.values()])[:-1]
    parts = zip(dataset.splits.items(), np.split(groups, ends), strict=True)
    return with_groups(dataset, {name: replace(images, groups=part) for (name, images), part in parts}, key, words)


def with_groups(dataset: Dataset, splits: Mapping[str, Images], key: str, words: str) -> Dataset:
    """The dataset with images that have groups, told by what `words` say.

    Raises DataError where each class is one group.
    """
    labels, groups = (
        np.concatenate([getattr(part, name) for part in splits.values()]) for name in ("labels", "groups")
    )
    if len(groups) > 1 and (groups == groups[0]).all():
        raise DataError(
            f"data.group = '{brief(key)}': all {len(groups):,} images are one group, {brief(str(groups[0]), 60)!r}, "
            f"which no split can divide. {A_GROUP_IS}"
        )
    pairs = {(int(label), str(group)) for label, group in zip(labels, groups, strict=True)}
    if len(pairs) == len({label for label, _ in pairs}) == len({group for _, group in pairs}) > 1:
        raise DataError(
            f"data.group = '{brief(key)}': the groups are the classes, as each class is one group, and no class could "
            f"be both trained on and tested. {A_GROUP_IS} Leave data.group out if there are no such groups."
        )
    return replace(dataset, splits=splits, group=key, grouped_by=words)


def names_of(where: str, values: Array) -> Array:
    """Groups as text, str (N,), of integers or text (N,) or (N, 1). Raises DataError for other values."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "iuU":
        advice = " They are whole: give them as integers." if _whole(values) else ""
        raise DataError(f"{where} must be integers or strings (N,); received {values.dtype} {values.shape}.{advice}")
    names = np.char.strip(values.astype(np.str_))
    if (empty := np.flatnonzero(names == "")).size:
        raise DataError(
            f"{where}: {len(empty):,} images have no group, the first at {empty[0]}. Give an image that belongs to no "
            "other a group of its own."
        )
    if not is_text("".join(names.tolist())):
        odd = next(name for name in names.tolist() if not is_text(name))
        raise DataError(f"{where}: the group {odd!r} is not valid Unicode.")
    return names


def must_not_be_divided(dataset: Dataset, wanted: Array) -> None:
    """Raise DataError where a group is in two of the splits that came with the images.

    wanted  of which classes images will be used, boolean (K,); those of the others do not count
    """
    held = {
        name: set(images.groups[wanted[images.labels]].tolist())
        for name, images in dataset.splits.items()
        if images.groups is not None
    }
    for one, other in combinations((split for split in SPLITS if split in held), 2):
        if both := sorted(held[one] & held[other]):
            such = listed(brief(name, 60) for name in both[:3])
            otherwise = (
                "leave data.group out, if these are not groups"
                if dataset.group
                else 'where they are near copies, have those left out of training: data.near_copies = "drop"'
            )
            raise DataError(
                f"{dataset.name}: {len(both):,} of {len(held[one] | held[other]):,} groups are both in {one} and in "
                f"{other} as they came with the images, such as {such}: the model would be tested on groups that "
                f"it was trained on. Split the images again, by groups, with data.pool = true; or {otherwise}."
            )


def said_how(key: str, lack: str, known: Sequence[str] = ()) -> str:
    """The message about a `data.group` that is nothing such."""
    near = f" {nearest(key, known)}" if known else ""
    return (
        f"data.group = '{brief(key)}': {lack}.{near} A group is told by the name of a column of a CSV or of an array, "
        f'by "{PARENT}" for the folder that an image lies in, or by a pattern with the group in parentheses, such as '
        f"{PATTERN}."
    )


def may_be_groups(values: Sequence[object]) -> bool:
    """Whether the values of a column with such a name may be groups: several of them, most with several images."""
    return 2 < len(set(values)) <= len(values) / 2


def may_be_said(name: str, what: str) -> str:
    """That a column or an array which is not used may tell groups."""
    return f'{what} may tell which images belong together: data.group = "{name}" would keep them in one split.'


def paths_of(split: str, images: Images) -> list[str]:
    """The ids as paths, without the folder of the split where all have it: it tells nothing of groups."""
    ids: list[str] = images.ids.tolist()
    if all("/" in sample and split_of(sample.partition("/")[0]) == split for sample in ids):
        return [sample.partition("/")[2] for sample in ids]
    return ids


def _compiled(pattern: str) -> re.Pattern[str]:
    """The pattern. Raises DataError where it is not a regular expression, or has no parentheses that hold a group."""
    said = f"data.group = '{brief(pattern)}'"
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise DataError(
            f"{said} is not a regular expression: {error}. Such as {PATTERN}; put a backslash before a character that "
            "is meant literally."
        ) from None
    if not compiled.groups:
        raise DataError(f"{said}: the pattern has no part in parentheses that holds the group, as {PATTERN} has.")
    return compiled


def _search(pattern: str, names: Sequence[str]) -> list[str | None]:
    """What the first parentheses of a pattern hold in each name; None where it is not found."""
    said = f"data.group = '{brief(pattern)}'"
    if not sys.executable:
        compiled = _compiled(pattern)
        return [match[1] if (match := compiled.search(name)) else None for name in names]
    command = [sys.executable, "-I", "-S", "-c", _SEARCH]
    given = json.dumps([pattern, names])
    try:
        done = subprocess.run(command, input=given, capture_output=True, encoding="ascii", timeout=SECONDS, check=True)
    except subprocess.TimeoutExpired:
        raise DataError(
            f"{said}: the pattern was stopped after {SECONDS:g} s, with {len(names):,} names. A repetition inside "
            f"another one, as in (a+)+, tries every way to divide a name: simplify it, as in {PATTERN}."
        ) from None
    except (OSError, subprocess.CalledProcessError) as error:
        raise DataError(f"{said}: the pattern could not be looked for ({brief(str(error))}).") from None
    groups: list[str | None] = json.loads(done.stdout)
    return groups


def _whole(values: Array) -> bool:
    return bool(values.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all())
