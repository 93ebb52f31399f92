"""The published files' formats: idx (MNIST and its kin), CIFAR's binary version, SVHN's .mat, scikit-learn's digits.

Each reader takes the paths of one source's files in the order of its declaration and returns Images by split.
"""

from __future__ import annotations

import gzip
import math
import warnings
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from firstlight import memory
from firstlight.data.download import PublishedFile
from firstlight.errors import DataError
from firstlight.files import MB, read_bytes
from firstlight.types import Array, Images, Shape

FILE_LIMIT = 1_000_000 * MB
_UNPACKED = 1_000 * MB  # bytes that a file may unpack to in any case,
_RATIO = 50  # and beyond that, times its own size: images compress to a half, drawings of few strokes to a thirtieth
_CIFAR_SHAPE = (3, 32, 32)
_SVHN_SHAPE = (32, 32, 3)
_IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4"}


def idx_files(
    checksums: Sequence[str],
    mirrors: Sequence[str],
    named: str = "{split}-{role}-idx{ndim}-ubyte.gz",
    test: str = "t10k",
) -> tuple[PublishedFile, ...]:
    """The four files that `read_idx_pairs` reads, in its order.

    named  how each is called, with its split ("train", or what `test` says), role ("images", "labels") and axes
    """
    names = [
        named.format(split=split, role=role, ndim=ndim)
        for split in ("train", test)
        for role, ndim in (("images", 3), ("labels", 1))
    ]
    return tuple(
        PublishedFile(name, checksum, tuple(f"{mirror}{name}" for mirror in mirrors))
        for name, checksum in zip(names, checksums, strict=True)
    )


def read_idx_pairs(
    paths: Sequence[Path], class_names: Sequence[str], *, columns_first: bool = False, first_label: int = 0
) -> dict[str, Images]:
    """Training images, training labels, test images, test labels, each an idx file compressed by gzip.

    columns_first  an image is written column by column, as MATLAB does, and not row by row
    first_label    the label of the first class
    """
    splits = {}
    for split, (images, labels) in {"train": paths[:2], "test": paths[2:]}.items():
        pixels = read_idx(images, ndim=3)
        if columns_first:
            pixels = np.ascontiguousarray(pixels.transpose(0, 2, 1))
        numbers = read_idx(labels, ndim=1).astype(np.int64) - first_label
        splits[split] = labelled_images(split, pixels[..., None], numbers, class_names, labels)
    return splits


def read_idx(path: Path, ndim: int) -> Array:
    """An array of uint8 with `ndim` axes from an idx file, gzipped or not. Raises as `read_any_idx`."""
    return read_any_idx(path, bytes([0, 0, 8, ndim]))


def read_any_idx(path: Path, begins: bytes = bytes(2)) -> Array:
    """An array of integers from an idx file, gzipped or not, that begins as it should.

    The format: two zero bytes, the type (8: uint8), the number of axes, each axis' length as big-endian uint32, data.
    Raises DataError when the file is damaged or holds something else, or promises more than such a file can hold.
    """
    packed = bytes_of(path)
    try:
        zipped = path.suffix == ".gz" or packed.startswith(b"\x1f\x8b")
        with gzip.GzipFile(fileobj=BytesIO(packed)) if zipped else BytesIO(packed) as file:
            start = file.read(4)
            ndim = start[3] if len(start) == 4 and start.startswith(begins) and start[2] in _IDX_TYPES else 0
            head = file.read(4 * ndim)
            if not 1 <= ndim <= 4 or len(head) < 4 * ndim:
                raise DataError(
                    f"{path}: not an idx file of integers; it begins with {start.hex(' ') or 'nothing'}, not with "
                    f"{begins.hex(' ')}{' 08 and the number of axes' if len(begins) < 4 else ''}."
                )
            dtype = np.dtype(_IDX_TYPES[start[2]])
            shape: Shape = tuple(int(n) for n in np.frombuffer(head, ">u4"))
            size = math.prod(shape) * dtype.itemsize
            if size > unpacked_limit(len(packed)):
                raise DataError(f"{path}: its header declares {size:,} bytes {shape}, far more than the file can hold.")
            data = file.read(size + 1000)
            if len(data) != size:
                held = f"{len(data):,}" if len(data) < size + 1000 else "more"
                raise DataError(f"{path}: its header declares {size:,} bytes {shape}; the file holds {held}.")
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path}: the gzip file is truncated or damaged ({error}). Download it again.") from error
    return np.frombuffer(data, dtype).reshape(shape)


def read_cifar(
    paths: Sequence[Path], class_names: Sequence[str], *, label_bytes: int = 1, label: int = 0
) -> dict[str, Images]:
    """The training batches, then the test batch: records of labels, a byte each, and 3 × 32 × 32 bytes plane by plane.

    label_bytes  how many labels an image has, and `label`, which of them tells its class
    """
    record = label_bytes + math.prod(_CIFAR_SHAPE)
    batches = []
    for path in paths:
        data = np.frombuffer(bytes_of(path), np.uint8)
        if not len(data) or len(data) % record:
            raise DataError(f"{path}: {len(data):,} bytes are not a whole number of records of {record:,} bytes.")
        batches.append(data.reshape(-1, record))
        _check_labels(batches[-1][:, label], class_names, path)
    splits = {}
    for split, rows in (("train", np.concatenate(batches[:-1])), ("test", batches[-1])):
        pixels = np.ascontiguousarray(rows[:, label_bytes:].reshape(-1, *_CIFAR_SHAPE).transpose(0, 2, 3, 1))
        splits[split] = labelled_images(split, pixels, rows[:, label], class_names, paths[-1])
    return splits


def read_svhn(paths: Sequence[Path], class_names: Sequence[str]) -> dict[str, Images]:
    """The training file, then the test file: X uint8 (32, 32, 3, N), y (N, 1) with the digit 0 stored as 10."""
    splits = {}
    for split, path in zip(("train", "test"), paths, strict=True):
        pixels, labels = read_mat(path)
        if pixels.shape[1:] != _SVHN_SHAPE:
            raise DataError(f"{path}: X must be uint8 {_SVHN_SHAPE} and N; received images of {pixels.shape[1:]}.")
        splits[split] = labelled_images(split, pixels, np.where(labels == 10, 0, labels), class_names, path)
    return splits


def read_mat(path: Path) -> tuple[Array, Array]:
    """Images (N, H, W, 3) and whole labels (N,) of a MATLAB file as SVHN's: X uint8 (H, W, 3, N), y (N, 1)."""
    arrays = _load_mat(path)
    X, y = arrays.get("X"), arrays.get("y")
    if X is None or y is None:
        raise DataError(f"{path}: it must hold the arrays X and y, as a cropped SVHN file; one of them is missing.")
    if not isinstance(X, np.ndarray) or X.dtype != np.uint8 or X.ndim != 4 or X.shape[2] != 3:
        raise DataError(f"{path}: X must be uint8 (H, W, 3, N); received {_kind(X)}.")
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "iuf" or not (np.isfinite(y) & (y % 1 == 0)).all():
        raise DataError(f"{path}: y must be integers (N, 1); received {_kind(y)}.")
    if y.size and float(np.abs(y).max()) > np.iinfo(np.int32).max:
        raise DataError(f"{path}: y must be labels; it goes up to {float(np.abs(y).max()):g}.")
    labels = y.ravel().astype(np.int64)
    if len(labels) != X.shape[3]:
        raise DataError(f"{path}: {len(labels):,} labels for {X.shape[3]:,} images.")
    return np.ascontiguousarray(X.transpose(3, 0, 1, 2)), labels


def read_digits(paths: Sequence[Path], class_names: Sequence[str]) -> dict[str, Images]:
    """scikit-learn's gzipped CSV: 64 grey values of 0 to 16 and the label a row. There is no published test split."""
    rows = np.loadtxt(paths[0], delimiter=",", dtype=np.int64)
    if rows.ndim != 2 or rows.shape[1] != 65:
        raise DataError(f"{paths[0]}: rows of 65 numbers were expected; received {rows.shape}. Reinstall scikit-learn.")
    pixels = np.rint(rows[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    return {"train": labelled_images("train", pixels, rows[:, 64], class_names, paths[0])}


def numbered(split: str, n: int) -> Array:
    """The ids "train/00000", "train/00001", ... of samples that have only a place in an array."""
    return np.array([f"{split}/{i:05d}" for i in range(n)], dtype=np.str_)


def labelled_images(split: str, pixels: Array, labels: Array, class_names: Sequence[str], path: Path) -> Images:
    """The images of one split with numbers as labels, checked; `path` is what messages name. Raises DataError."""
    if len(pixels) != len(labels) or not len(pixels):
        raise DataError(f"{path}: {len(labels):,} labels for {len(pixels):,} images.")
    _check_labels(labels, class_names, path)
    return Images(pixels, labels.astype(np.int64), numbered(split, len(pixels)), tuple(class_names))


def _check_labels(labels: Array, class_names: Sequence[str], path: Path) -> None:
    if len(labels) and (labels.min() < 0 or labels.max() >= len(class_names)):
        raise DataError(
            f"{path}: labels must lie in 0..{len(class_names) - 1}; received {labels.min()}..{labels.max()}."
        )


def unpacked_limit(size: int) -> int:
    """How many bytes a file of `size` bytes may unpack to: more is not a dataset, or more than there is memory."""
    return min(most_unpacked(size), memory.total())


def most_unpacked(size: int) -> int:
    """The most bytes that a dataset in a file of `size` bytes may have, were there memory for them."""
    return max(_UNPACKED, _RATIO * size)


def must_fit(path: Path, unpacked: int) -> None:
    """Raise DataError where a file has far more bytes when unpacked than a dataset in a file of its size has."""
    if unpacked > most_unpacked(path.stat().st_size):
        raise DataError(f"{path}: {unpacked:,} bytes when unpacked, more than the images in a file of its size have.")


def bytes_of(path: Path) -> bytes:
    """The bytes of a file that fits into memory. Raises DataError where it cannot be read."""
    try:
        return read_bytes(path, limit=memory.total())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__


def _load_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat, whosmat  # slow to import

    data = bytes_of(path)
    if data.startswith(b"MATLAB 7.3") or data.startswith(b"\x89HDF"):
        raise DataError(f"{path}: a MATLAB 7.3 file, which is not supported. Save it with -v7, or as an .npz.")
    try:
        size = sum(math.prod(shape) for name, shape, _ in whosmat(BytesIO(data)) if name in ("X", "y"))
        if size > unpacked_limit(len(data)):
            raise ValueError(f"it declares {size:,} numbers")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dict(loadmat(BytesIO(data), variable_names=("X", "y")))
    except Exception as error:  # SciPy's reader raises nearly anything on damaged bytes
        raise DataError(f"{path}: not a readable MATLAB 5 file ({error}).") from error
