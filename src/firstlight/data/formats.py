"""The published files' formats: idx (MNIST and its kin), CIFAR's binary version, SVHN's .mat, scikit-learn's digits.

Each reader takes the paths of one source's files in the order of its declaration and returns Images by split.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from firstlight.errors import DataError
from firstlight.types import Array, Images, Shape

_CIFAR_SHAPE = (3, 32, 32)


def read_idx_pairs(paths: Sequence[Path], class_names: Sequence[str]) -> dict[str, Images]:
    """Training images, training labels, test images, test labels, each an idx file compressed by gzip."""
    splits = {}
    for split, (images, labels) in {"train": paths[:2], "test": paths[2:]}.items():
        pixels = read_idx(images, ndim=3)
        splits[split] = _images(split, pixels[..., None], read_idx(labels, ndim=1), class_names, labels)
    return splits


def read_idx(path: Path, ndim: int) -> Array:
    """An array of uint8 with `ndim` axes from a gzipped idx file.

    The format: two zero bytes, the type (8: uint8), the number of axes, each axis' length as big-endian uint32, data.
    Raises DataError when the file is damaged or holds something else.
    """
    data = _unzip(path)
    head = 4 + 4 * ndim
    if data[:4] != bytes([0, 0, 8, ndim]) or len(data) < head:
        raise DataError(
            f"{path}: not an idx file of uint8 with {ndim} axes; "
            f"it begins with {data[:4].hex(' ') or 'nothing'}, not with 00 00 08 {ndim:02x}."
        )
    shape: Shape = tuple(int(n) for n in np.frombuffer(data, ">u4", ndim, offset=4))
    if len(data) - head != math.prod(shape):
        raise DataError(f"{path}: its head promises {math.prod(shape):,} bytes {shape}; it holds {len(data) - head:,}.")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def read_cifar(paths: Sequence[Path], class_names: Sequence[str]) -> dict[str, Images]:
    """The training batches, then the test batch: records of one label byte and 3 × 32 × 32 bytes, plane by plane."""
    record = 1 + math.prod(_CIFAR_SHAPE)
    batches = []
    for path in paths:
        data = np.fromfile(path, np.uint8)
        if not len(data) or len(data) % record:
            raise DataError(f"{path}: {len(data):,} bytes are no whole number of records of {record:,} bytes.")
        batches.append(data.reshape(-1, record))
        _check_labels(batches[-1][:, 0], class_names, path)
    splits = {}
    for split, rows in (("train", np.concatenate(batches[:-1])), ("test", batches[-1])):
        pixels = np.ascontiguousarray(rows[:, 1:].reshape(-1, *_CIFAR_SHAPE).transpose(0, 2, 3, 1))
        splits[split] = _images(split, pixels, rows[:, 0], class_names, paths[-1])
    return splits


def read_svhn(paths: Sequence[Path], class_names: Sequence[str]) -> dict[str, Images]:
    """The training file, then the test file: X uint8 (32, 32, 3, N), y (N, 1) with the digit 0 stored as 10."""
    splits = {}
    for split, path in zip(("train", "test"), paths, strict=True):
        arrays = _load_mat(path)
        if "X" not in arrays or "y" not in arrays:
            raise DataError(f"{path}: a cropped SVHN file holds X and y; one of them is missing.")
        X, y = arrays["X"], arrays["y"].ravel().astype(np.int64)
        if X.dtype != np.uint8 or X.ndim != 4 or X.shape[2] != 3:
            raise DataError(f"{path}: X must be uint8 (H, W, 3, N); received {X.dtype} {X.shape}.")
        pixels = np.ascontiguousarray(X.transpose(3, 0, 1, 2))
        splits[split] = _images(split, pixels, np.where(y == 10, 0, y), class_names, path)
    return splits


def read_digits(paths: Sequence[Path], class_names: Sequence[str]) -> dict[str, Images]:
    """scikit-learn's gzipped CSV: 64 grey values of 0 to 16 and the label a row. There is no published test split."""
    rows = np.loadtxt(paths[0], delimiter=",", dtype=np.int64)
    if rows.ndim != 2 or rows.shape[1] != 65:
        raise DataError(f"{paths[0]}: rows of 65 numbers were expected; received {rows.shape}. Reinstall scikit-learn.")
    pixels = np.rint(rows[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    return {"train": _images("train", pixels, rows[:, 64], class_names, paths[0])}


def numbered(split: str, n: int) -> Array:
    """The ids "train/00000", "train/00001", ... of samples that have only a place in an array."""
    return np.array([f"{split}/{i:05d}" for i in range(n)], dtype=np.str_)


def _images(split: str, pixels: Array, labels: Array, class_names: Sequence[str], path: Path) -> Images:
    if len(pixels) != len(labels) or not len(pixels):
        raise DataError(f"{path}: {len(labels):,} labels for {len(pixels):,} images.")
    _check_labels(labels, class_names, path)
    return Images(pixels, labels.astype(np.int64), numbered(split, len(pixels)), tuple(class_names))


def _check_labels(labels: Array, class_names: Sequence[str], path: Path) -> None:
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise DataError(
            f"{path}: labels must lie in 0..{len(class_names) - 1}; received {labels.min()}..{labels.max()}."
        )


def _unzip(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip file is truncated or damaged ({error}). Fetch it again.") from error


def _load_mat(path: Path) -> dict[str, Array]:
    from scipy.io import loadmat  # slow to import

    try:
        return loadmat(path, variable_names=("X", "y"))
    except Exception as error:  # SciPy's reader raises nearly anything on damaged bytes
        raise DataError(f"{path}: not a readable MATLAB 5 file ({error}).") from error
