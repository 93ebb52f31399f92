"""Numbers and texts as C99 has them, whatever a name holds: comments that nothing ends, strings that nothing leaves."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

import numpy as np

from firstlight.errors import ExportError
from firstlight.types import Array

WIDTH = 110
LONGEST_STRING = 4095  # bytes, which each compiler of C99 takes (5.2.4.1)

TYPES = {"float32": "float", "int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "int32": "int32_t"}
PER_LINE = {"float32": 8, "int8": 22, "uint8": 22, "int16": 16, "int32": 10}


def comment(text: str, indent: str = "   ") -> str:
    """Lines of a block comment, in ASCII and without what ends or begins one, or stands for another character."""
    plain = text.encode("ascii", "backslashreplace").decode()
    plain = re.sub(r"[\x00-\x1f\x7f]", " ", plain)
    plain = re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", plain)
    return textwrap.fill(plain, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def string(text: str, what: str = "text") -> str:
    """A string literal in UTF-8: what is not plain ASCII in octal, which ends after three digits.

    Raises ExportError where it is too long.
    """
    data = text.encode("utf-8", "backslashreplace")
    if len(data) > LONGEST_STRING:
        raise ExportError(
            f"The {what} {text[:40]!r}… has {len(data):,} bytes; a string of C99 has {LONGEST_STRING:,} at most. "
            "Shorten it."
        )
    return '"' + "".join(map(_letter, data)) + '"'


def _letter(byte: int) -> str:
    if byte in b'"\\?':  # two question marks may be a trigraph
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def array(name: str, values: Array) -> str:
    """The definition of a constant array of one axis, or of two where `values` has two.

    Raises ExportError where a number is not finite.
    """
    if not np.isfinite(values).all():
        raise ExportError(f"{name} has numbers that are not finite, which C99 cannot hold as constants.")
    sizes = "".join(f"[{size}]" for size in values.shape)
    kind = str(values.dtype)
    if values.ndim == 1:
        body = _lines(values)
    else:
        body = ",\n".join(f"    {{\n{_lines(row, '        ')}\n    }}" for row in values)
    return f"static const {TYPES[kind]} {name}{sizes} = {{\n{body}\n}};\n"


def declaration(name: str, values: Array) -> str:
    """That of a constant array which is elsewhere."""
    return f"extern const {TYPES[str(values.dtype)]} {name}[{values.size}];\n"


def _lines(values: Array, indent: str = "    ") -> str:
    texts = [f"{text}f" for text in values.astype(str)] if values.dtype == np.float32 else [*map(str, values.tolist())]
    each = PER_LINE[str(values.dtype)]
    rows = (", ".join(texts[at : at + each]) for at in range(0, len(texts), each))
    return ",\n".join(indent + row for row in rows)


class Identifiers:
    """Names of C for paths of layers: letters, digits and underscores, no two the same."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def of(self, path: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9]+", "_", path).strip("_")[:40]
        base = plain if plain[:1].isalpha() else f"layer_{plain}".rstrip("_")
        name, number = base, 1
        while name in self.taken:
            number += 1
            name = f"{base}_{number}"
        self.taken.add(name)
        return name
