"""Names that people gave, such as those of classes, made fit to be shown: printable, of bounded length, still distinct.

Texts are measured here, not by what draws them: a name that is too wide is cut between two characters as people see
them, and the same in the page, in its static drawings and in the PDF.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from os import PathLike

LONGEST = 120  # characters of a name that is shown
TAIL = 30  # of them, those at its end
JOINER = "\u200d"  # joins two emoji to one

NO_UTF8 = re.compile("[\ud800-\udfff]")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# The widths of Helvetica, in hundredths of its size; other letters by their kind.
NARROW = {**dict.fromkeys(" !,./:;I[\\]ft", 28), **dict.fromkeys("'ijl|", 22), **dict.fromkeys("()-`r{}", 33)}
WIDE = {**dict.fromkeys("m%MWw@", 86), **dict.fromkeys("&ABEKPSVXYCDHNRUGOQ", 70), **dict.fromkeys("+<=>~", 58)}
LETTER, UPPER, FULL, EMOJI = 56, 70, 100, 130


def listed(words: Iterable[str], last: str = "and", *, most: int | None = None, separator: str = ", ") -> str:
    """Words joined as in a sentence: "a, b and c"; of more than `most`, how many are left out: "a, b and 7 more"."""
    *first, end = [*words] or [""]
    if most is not None and len(first) + 1 > most:
        first, end = [*first, end][:most], f"{len(first) + 1 - most:,} more"
    return f" {last} ".join(filter(None, [separator.join(first), end]))


def capitalized(text: str) -> str:
    """The text with a capital letter at its start; the others stay as they are."""
    return text[:1].upper() + text[1:]


def encodable(text: str) -> str:
    """The text as UTF-8 can hold it: a byte that is none as \\xNN, half a surrogate pair as �."""
    return NO_UTF8.sub(lambda found: _shown(found[0]), text)


def printable_name(path: str | PathLike[str]) -> str:
    """The name of a file as text that can be printed: bytes that are no UTF-8 are shown as \\xNN."""
    return os.fsencode(path).decode(errors="backslashreplace")


def one_line(text: str) -> str:
    """The text without control characters, which would break a line or command the terminal: they stand as codes."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable(text: str) -> str:
    """The text as XML can hold it, without control characters: of them, the libraries that draw abort."""
    return NO_XML.sub(lambda found: _shown(found[0]), text)


def _shown(letter: str) -> str:
    return f"\\x{ord(letter) - 0xDC00:02x}" if "\udc80" <= letter <= "\udcff" else "\ufffd"


def display_names(names: Iterable[object]) -> tuple[str, ...]:
    """The names as they are shown, each another; a long one loses its middle."""
    shown: list[str] = []
    taken: set[str] = set()
    for name in names:
        once = _without_middle(printable(str(name)))
        made, number = once, 1
        while made in taken:
            number += 1
            made = f"{once} ({number})"
        taken.add(made)
        shown.append(made)
    return tuple(shown)


def _without_middle(name: str) -> str:
    if len(name) <= LONGEST:
        return name
    end = len(name) - TAIL
    return f"{_head(name, LONGEST - TAIL - 1)}…{name[_boundary(name, end) :]}"


def cut(text: str, pixels: float, size: float) -> str:
    """The text, or as much of its beginning as so many CSS pixels hold in letters of that size, and an ellipsis."""
    room = 100 * pixels / size
    if sum(map(_width, text)) <= room:
        return text
    room -= FULL  # of the ellipsis
    end = 0
    for letter in text:
        room -= _width(letter)
        if room < 0:
            break
        end += 1
    return f"{_head(text, end)}…"


def text_width(text: str, size: float) -> float:
    """About how many CSS pixels a text takes in letters of that size."""
    return sum(map(_width, text)) * size / 100


def _head(text: str, end: int) -> str:
    return text[: _boundary(text, end, -1)]


def _boundary(text: str, place: int, step: int = 1) -> int:
    """The nearest place from there on, or back, where a character as people see it does not continue."""
    while 0 < place < len(text) and (_clings(text[place]) or text[place - 1] == JOINER):
        place += step
    return place


def _clings(letter: str) -> bool:
    """Whether it belongs to the letter before it: accents, joiners, variants and skin tones."""
    return unicodedata.category(letter) in ("Mn", "Me", "Cf") or "\U0001f3fb" <= letter <= "\U0001f3ff"


def _width(letter: str) -> int:
    known = NARROW.get(letter) or WIDE.get(letter)
    if known:
        return known
    if _clings(letter):
        return 0
    if letter >= "\U0001f000":
        return EMOJI
    if unicodedata.east_asian_width(letter) in "WF":
        return FULL
    return UPPER if letter.isupper() else LETTER


def duration(seconds: float) -> str:
    """Some seconds for a person, to two digits: "40 s", "12 min", "3.5 h"."""
    units = (("s", 1, 100), ("min", 60, 6000), ("h", 3600, 172_800), ("days", 86_400, 1e99))
    unit, length, _ = next(each for each in units if seconds < each[2])
    value = seconds / length
    return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.1f} {unit}" if value >= 0.95 else "1 s"


def bytes_said(number: float) -> str:
    """Some bytes for a person, to two digits: "410 MB", "3.2 GB"."""
    megabytes = number / 1e6
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{max(10, round(megabytes, -1)):.0f} MB"


def megabytes(size: int) -> str:
    """A number of bytes for a person: "5.3 MB", "1,500 MB"."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e6:,.1f} MB"


def size_said(size: int) -> str:
    """As `megabytes`, and in kB where that would be next to nothing: "2.0 kB"."""
    return f"{size / 1e3:.1f} kB" if size < 1e5 else megabytes(size)
