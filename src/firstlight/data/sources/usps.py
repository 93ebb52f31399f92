"""USPS (Hull, 1994): digits of envelopes, as the LIBSVM project publishes them.

A line is an image: its label, 1 to 10 for the digits 0 to 9, and its values from −1 to 1 with their places from 1 on,
of which those that are 0 may be left out.
"""

from __future__ import annotations

import bz2
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from firstlight.data import formats
from firstlight.data.download import PublishedFile
from firstlight.data.source import DIGITS, NOT_STATED, SOURCES, Source
from firstlight.errors import DataError
from firstlight.types import Array, Images

SIDE = 16
ADDRESS = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"


def read(paths: Sequence[Path], class_names: Sequence[str]) -> dict[str, Images]:
    """The training file, then the test file, each compressed by bzip2."""
    splits = {}
    for split, path in zip(("train", "test"), paths, strict=True):
        labels, values = _lines(path)
        pixels = np.rint((values + 1) * 127.5).astype(np.uint8).reshape(-1, SIDE, SIDE, 1)
        splits[split] = formats.labelled_images(split, pixels, labels - 1, class_names, path)
    return splits


def _lines(path: Path) -> tuple[Array, Array]:
    """Labels (N,) and values (N, 256) of a file. Raises DataError, with the line."""
    packed = formats.bytes_of(path)
    limit = formats.unpacked_limit(len(packed))
    try:
        with bz2.BZ2File(BytesIO(packed)) as file:
            text = file.read(limit + 1)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: the bzip2 file is truncated or damaged ({error}). Download it again.") from error
    if len(text) > limit:
        raise DataError(f"{path}: it unpacks to more than {limit:,} bytes, far more than such a set has.")
    lines = text.splitlines()
    labels, values = np.zeros(len(lines), np.int64), np.zeros((len(lines), SIDE * SIDE))
    for i, line in enumerate(lines):
        try:
            numbers = np.array(line.replace(b":", b" ").split(), np.float64)
            places = numbers[1::2].astype(np.int64) - 1
            if places.size and places.min() < 0:
                raise IndexError
            labels[i], values[i, places] = numbers[0], numbers[2::2]
            if not (np.abs(values[i]) <= 1).all():
                raise ValueError
        except (ValueError, IndexError):
            raise DataError(
                f"{path}, line {i + 1}: an image is a label and up to {SIDE * SIDE} values from -1 to 1, each after "
                f"its place, such as 7 1:-1 2:0.5; received {line[:60].decode('utf-8', 'replace')!r}."
            ) from None
    return labels, values


SOURCES.register(
    Source(
        name="usps",
        title="USPS",
        shows="handwritten digits of envelopes",
        licence=NOT_STATED,
        homepage="https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps",
        class_names=DIGITS,
        shape=(SIDE, SIDE, 1),
        counts={"train": 7_291, "test": 2_007},
        read=read,
        files=tuple(
            PublishedFile(name, f"md5:{digest}", (f"{ADDRESS}{name}",))
            for name, digest in (
                ("usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197"),
                ("usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118"),
            )
        ),
    )
)
