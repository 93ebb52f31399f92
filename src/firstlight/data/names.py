"""Names as people write them: of splits in any case, of classes in one form of Unicode, and those nearly the same."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "validate": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
SPLITS_SAID = "train, val, valid, validation, test"  # those that messages name

# How tables write that there is no label, whatever the case.
NO_LABEL = frozenset({"nan", "na", "n/a", "<na>", "#n/a", "nat", "none", "null", "nil"})


# What images have in common beside their class: words in names of columns, of arrays, of folders and of files.
_GROUPS = frozenset(
    (
        *("group", "groups", "patient", "patients", "subject", "subj", "person", "people", "participant", "volunteer"),
        *("donor", "individual", "identity", "author", "writer", "video", "vid", "clip", "movie", "film", "sequence"),
        *("seq", "scene", "shot", "recording", "session", "burst", "series", "case", "slide", "specimen", "site"),
        *("location", "camera"),
    )
)


def of_a_group(name: str) -> bool:
    """Whether a name has a word for what images may have in common, such as the "patient" of "Patient_07"."""
    return any(word.casefold() in _GROUPS for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name))


def split_of(name: str) -> str:
    """ "train", "validation" or "test", in whatever case it is written; nothing where it is none of them."""
    return SPLIT_NAMES.get(name.strip().casefold(), "")


def one_form(name: str) -> str:
    """The name in Unicode's composed form (NFC): "é" is one letter, whichever system wrote the name."""
    return unicodedata.normalize("NFC", name)


def natural_order(names: Iterable[str]) -> list[str]:
    """The distinct names as a person counts: "class2" before "class10", capitals beside small letters."""

    def key(name: str) -> tuple[list[str | tuple[int, str]], str]:
        parts = re.split("([0-9]+)", name)
        return [_number(part) if i % 2 else part.casefold() for i, part in enumerate(parts)], name

    return sorted(set(names), key=key)


def merged(names: Iterable[str]) -> list[str]:
    """A sentence for each class whose name was met in several forms of Unicode; they are one class."""
    spellings: dict[str, set[str]] = defaultdict(set)
    for name in names:
        spellings[one_form(name)].add(name)
    return [
        f"{name!r} is written in {len(forms)} forms of Unicode that look the same: they are one class."
        for name, forms in spellings.items()
        if len(forms) > 1
    ]


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """The names that are the same but for case, spaces, characters that cannot be seen, or how a number is written."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_key(name)].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def without_label(names: Iterable[str]) -> list[str]:
    """The names that are how tables write a missing label, such as nan."""
    return [name for name in names if _key(name) in NO_LABEL]


def nearly(name: str, names: Iterable[str]) -> str:
    """The first of `names` that is nearly the same as `name`, or nothing."""
    return next((other for other in names if other != name and _key(other) == _key(name)), "")


def _key(name: str) -> str:
    """What names have in common that a person takes for one."""
    seen = "".join(letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
    key = " ".join(seen.split()).casefold()
    number = re.fullmatch(r"([+-]?)0*([0-9]+)(\.0*)?", key)
    return f"{number[1].replace('+', '')}{number[2]}" if number else key


def _number(digits: str) -> tuple[int, str]:
    """Digits in the order of the numbers that they write, however many there are."""
    plain = digits.lstrip("0")
    return len(plain), plain
