"""Inputs spoilt at random: bytes, texts, and the values of JSON or TOML."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

EDGES = [0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]

# Values that no reader expects, of every kind.
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 0.5, 1e308, -1e308, 1e-320, float("inf"), float("nan"), 10**30, -(10**30), 2**63,
    "", "x", "x" * 5000, "\x00", "\u202e\U0001f4a9", "../../etc/passwd", "/etc", "~nobody_such/x", "1e5",
    "<script>alert(1)</script>", "{{7*7}}", "%s%n", [], [1], [[]], [None], [[[[]]]], ["x"] * 300, {}, {"a": 1},
    {"": {}},
]  # fmt: skip


def spoil_bytes(data: bytes, draw: random.Random) -> bytes:
    """Some bytes turned, cut, doubled, inserted, or made a number that is an edge; heads are hit more often."""
    spoilt = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 4, 8])):
        if not spoilt:
            break
        at = draw.randrange(len(spoilt))
        match draw.randrange(8):
            case 0:
                spoilt[at] ^= 1 << draw.randrange(8)
            case 1:
                spoilt[at] = draw.randrange(256)
            case 2:
                del spoilt[at:]
            case 3:
                del spoilt[at : at + draw.choice([1, 2, 4, 16, 256])]
            case 4:
                spoilt[at:at] = draw.randbytes(draw.choice([1, 4, 32]))
            case 5:
                size = draw.choice([1, 2, 4, 8])
                number = draw.choice(EDGES) % (1 << 8 * size)
                spoilt[at : at + size] = number.to_bytes(size, draw.choice(["little", "big"]))
            case 6:
                other, size = draw.randrange(len(spoilt)), draw.choice([4, 16, 64])
                spoilt[at : at + size] = spoilt[other : other + size]
            case _:
                spoilt[draw.randrange(min(len(spoilt), 64))] = draw.randrange(256)
    return bytes(spoilt)


def spoil_value(value: Any, draw: random.Random) -> Any:
    """A value as JSON or TOML gives it, some of its parts replaced, removed, renamed or doubled."""
    value = copy.deepcopy(value)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        path = draw.choice(list(_paths(value)))
        odd = copy.deepcopy(draw.choice(ODD))
        if not path:
            if draw.random() < 0.1:
                value = odd
            continue
        parent, key = value, path[-1]
        for step in path[:-1]:
            parent = parent[step]
        kind = draw.randrange(6)
        if kind == 0:
            parent.pop(key)
        elif kind == 1 and isinstance(parent, dict):
            parent[draw.choice(["", "x", "__class__", "name", "ü"])] = parent.pop(key)
        elif kind == 2 and isinstance(parent[key], list):
            parent[key] = parent[key] * 3 if len(parent[key]) < 5000 else parent[key][: len(parent[key]) // 2]
        elif kind == 3 and isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
            number = parent[key]
            parent[key] = draw.choice([-number, number * 1000, number + 1, 0, str(number), float(number) + 0.5])
        else:
            parent[key] = odd
    return value


def spoil_lines(text: str, draw: random.Random, lines: list[str], values: list[str]) -> str:
    """Lines of a `key = value` file doubled, removed, moved, given other values, or others between them."""
    all_lines = text.split("\n")
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        at = draw.randrange(len(all_lines))
        kind = draw.randrange(7)
        assignments = [k for k, line in enumerate(all_lines) if "=" in line and not line.lstrip().startswith("#")]
        if kind == 0:
            all_lines.insert(at, draw.choice(lines))
        elif kind == 1:
            all_lines.insert(at, draw.choice(all_lines))
        elif kind == 2 and len(all_lines) > 1:
            del all_lines[at]
        elif kind == 3:
            other = draw.randrange(len(all_lines))
            all_lines[at], all_lines[other] = all_lines[other], all_lines[at]
        elif assignments:
            at = draw.choice(assignments)
            all_lines[at] = f"{all_lines[at].partition('=')[0]}= {draw.choice(values)}"
    return "\n".join(all_lines)


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each part of a value lies; of long lists, the first dozen."""
    yield at
    if isinstance(value, dict):
        for key in value:
            yield from _paths(value[key], (*at, key))
    elif isinstance(value, list):
        for k in range(min(len(value), 12)):
            yield from _paths(value[k], (*at, k))
