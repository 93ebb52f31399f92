"""weights.safetensors of a finished run, altered: heads that lie, other types, arrays swapped, turned bits, NaN; read
as a file, and through the run. Survived: the same answers as before, or refused."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.folders import finished_run
from benchmarks.reliability.mutations import spoil_bytes, spoil_value
from firstlight.api import Run
from firstlight.records.run_folder import WEIGHTS
from firstlight.types import Array
from firstlight.weights import from_file

KINDS = ["I32", "U8", "I8", "F64", "F16", "BF16", "F8_E4M3", "BOOL", "I64", "U32", "X", "", "f32", None, 3]
LENGTHS = [0, 1, 7, 8, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


def attack(a: Attack) -> None:
    """Lengths and depths first, then drawn files."""
    finished, place = finished_run(a), a.work / "altered"
    whole = (finished / WEIGHTS).read_bytes()
    shutil.copytree(finished, place)
    image = np.zeros((1, 24, 24, 1), np.uint8)
    image[0, 4:20, 10:14] = 200
    right = Run(finished).predict(image)
    for label, data in _altered(whole, a):
        if a.over:
            return
        (a.work / "x.safetensors").write_bytes(data)
        (place / WEIGHTS).write_bytes(data)
        a.read(f"file: {label}", partial(from_file, a.work / "x.safetensors"))
        a.read(f"run: {label}", lambda: Run(place).predict(image), partial(_answers, right))


def _answers(right: Array, found: Array) -> str | None:
    if not np.isfinite(found).all():
        return "NaN is given as an answer"
    return None if np.array_equal(found, right) else "altered weights answer otherwise, without a word"


def _altered(whole: bytes, a: Attack) -> Iterator[tuple[str, bytes]]:
    size = struct.unpack("<Q", whole[:8])[0]
    head, body = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    yield "as it was", whole
    for length in [*LENGTHS, size - 1, size + 1]:
        yield f"a head of {length} bytes", struct.pack("<Q", length) + whole[8:]
    yield "a head 100,000 deep", _packed(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", body)
    yield (
        "100,000 arrays",
        _packed({f"a{k}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for k in range(100_000)}, b""),
    )
    number = 0
    while True:
        yield from _drawn(head, body, whole, a.random(number), number)
        number += 1


def _drawn(
    head: dict[str, Any], body: bytes, whole: bytes, draw: random.Random, number: int
) -> Iterator[tuple[str, bytes]]:
    names = [name for name in head if name != "__metadata__"]
    name, other = draw.choice(names), draw.choice(names)
    start, end = head[name]["data_offsets"]

    def with_entry(**changed: Any) -> bytes:
        return _packed({**head, name: {**head[name], **changed}}, body)

    offsets = [[end, start], [0, len(body)], [start, end + 4], [start - 4, end], [start, 2**63], [start + 1, end + 1]]
    shapes = [[-1], [0], [], [2**63], [2**32, 2**32], [1] * 70, head[name]["shape"][::-1], "x", [1.5], [None]]
    yield f"offsets {number}", with_entry(data_offsets=draw.choice(offsets))
    yield f"type {number}", with_entry(dtype=draw.choice(KINDS))
    yield f"shape {number}", with_entry(shape=draw.choice(shapes))
    yield f"an array less {number}", _packed({key: entry for key, entry in head.items() if key != name}, body)
    yield f"arrays swapped {number}", _packed({**head, name: head[other], other: head[name]}, body)
    yield f"a spoilt head {number}", _packed(spoil_value(head, draw), body)
    spoilt = bytearray(body)
    spoilt[start : start + 4] = struct.pack("<f", draw.choice([float("nan"), float("inf"), 3e38]))
    yield f"not finite {number}", _packed(head, bytes(spoilt))
    spoilt = bytearray(body)
    spoilt[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
    yield f"a turned bit {number}", _packed(head, bytes(spoilt))
    yield f"bytes {number}", spoil_bytes(whole, draw)


def _packed(head: Any, body: bytes) -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + body
