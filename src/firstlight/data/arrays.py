"""A user's own images in NumPy arrays: of an .npz file, or in memory."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from firstlight import memory
from firstlight.data.decoding import Size, resize
from firstlight.data.formats import FILE_LIMIT, must_fit, numbered, read_any_idx, read_mat, unpacked_limit
from firstlight.data.groups import (
    A_GROUP_IS,
    PARENT,
    is_pattern,
    may_be_groups,
    may_be_said,
    names_of,
    said_how,
    with_groups,
)
from firstlight.data.names import SPLIT_NAMES, merged, natural_order, of_a_group, one_form
from firstlight.data.store import Collector, Place, collected
from firstlight.errors import DataError, brief
from firstlight.files import ArrayHead, array_heads, array_rows, arrays_of, open_file, sha256
from firstlight.pixels import BLOCK, divided
from firstlight.text import listed
from firstlight.types import Array, Dataset, Images, SourceFile

# The words that names of arrays are made of, beside those of splits: x_train, train_images, X, data and target, …
_ROLES = {
    **dict.fromkeys(("images", "image", "x", "data", "pixels"), "images"),
    **dict.fromkeys(("labels", "label", "y", "target", "targets"), "labels"),
}
_CLASS_NAMES = "class_names"
GROUPS = "groups"  # the name of an array of groups that was given without one

_Named = tuple[str, Array]


def load_arrays(path: Path, size: Size | None, group: str | None = None) -> Dataset:
    """Read an .npz file: `images` and `labels` (or `x`, `y`), or `train_images`, `train_labels`, `test_images`, ...

    See `from_arrays`. Nothing is ever unpickled, and what unpacks to more than the machine's memory is not begun.
    """
    try:
        with open_file(path, limit=FILE_LIMIT) as file:
            large = _large(array_heads(file), size)
            must_fit(path, sum(head.nbytes for head in large.values()))
            arrays = arrays_of(file, limit=unpacked_limit(path.stat().st_size), without=large)
            if large:
                pixels, sha = _mapped(path, file, large, size)
                arrays |= pixels
            else:
                sha = sha256(path, limit=FILE_LIMIT)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise DataError(f"{path}: not a readable .npz file of plain arrays ({error}).") from None
    dataset = _dataset(str(path), path.stem, arrays, size, group)
    return replace(dataset, files=(SourceFile(path.name, sha, verified=True),))


def _large(heads: Mapping[str, ArrayHead], size: Size | None) -> dict[str, ArrayHead]:
    """The arrays of images, where they are too many for the memory: those of all splits, or none."""
    images = {name: head for name, head in heads.items() if (_meaning(name) or ("", ""))[1] == "images"}

    def held(head: ArrayHead) -> int:
        """Bytes, as it is in the file or resized, whatever is more."""
        channels = head.shape[3] if len(head.shape) == 4 else 1
        return max(head.nbytes, 0 if size is None or not head.shape else head.shape[0] * math.prod(size) * channels)

    return images if sum(map(held, images.values())) > memory.limit() else {}


def _mapped(
    path: Path, file: BinaryIO, large: Mapping[str, ArrayHead], size: Size | None
) -> tuple[dict[str, Any], str]:
    """The images of these arrays by name, from a store or in it from now on; and the SHA-256 of the file.

    Raises DataError where they are not images, or lie in another order than one after the other.
    """
    for name, head in large.items():
        if (
            head.dtype != np.uint8
            or len(head.shape) not in (3, 4)
            or (len(head.shape) == 4 and head.shape[3] not in (1, 3))
        ):
            raise DataError(
                f"{path}: {name} must be uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3) with values 0..255; received "
                f"{head.dtype} {head.shape}."
            )
        if head.fortran:
            raise DataError(
                f"{path}: {name} is larger than the memory for it, and its images do not lie one after the other. "
                f"Save it as numpy.ascontiguousarray({name})."
            )

    def build(collector: Collector) -> dict[str, Array]:
        for name in large:
            for rows in array_rows(file, name, BLOCK):
                pixels = rows[..., None] if rows.ndim == 3 else rows
                collector.extend(pixels if size is None else resize(pixels, size))
        if len(collector.sizes) > 1:
            sizes = listed(f"{height}×{width}" for height, width in collector.sizes)
            raise DataError(f"{path}: the images of its arrays differ in size (height × width): {sizes}.")
        return {"sha256": np.array(sha256(path, limit=FILE_LIMIT))}

    place = Place.of(str(path), [(name, path) for name in large], f"arrays {size}")
    counts = [head.shape[0] for head in large.values()]
    whole, beside = collected(place, sum(counts), build)
    return dict(zip(large, divided(whole, counts), strict=True)), str(beside["sha256"])


def published_files(place: Path) -> list[Path]:
    """The idx or SVHN files of a folder, of `raw` in it, or of such a folder in it, as torchvision lays them out.

    Of a file, those that belong with it. Empty where there are none.
    """
    if place.is_file():
        alike = published_files(place.parent) if _part(place) else []
        return [path for path in alike if _set_of(path) == _set_of(place)] if place in alike else []
    for folder in (place, place / "raw", *sorted(place.glob("*/raw"))[:1]):
        found = [path for path in sorted(folder.glob("*")) if _part(path) and path.is_file()]
        # of a file and the gzipped one that it was unpacked from, the first
        found = [path for path in found if not (path.suffix == ".gz" and path.with_suffix("") in found)]
        if found:
            return found
    return []


def load_published(place: Path, files: Sequence[Path], size: Size | None, group: str | None = None) -> Dataset:
    """Read idx files of images and of labels, or MATLAB files as SVHN's, that are named as their publishers do.

    group  None: they tell no groups

    Raises DataError for files of several sets, or what `from_arrays` raises.
    """
    sets = sorted({_set_of(path) for path in files})
    if len(sets) > 1:
        raise DataError(
            f"{place}: it holds several sets of images: {', '.join(name or 'one without a name' for name in sets)}. "
            f"Give the path of the training images of one, such as {files[0]}."
        )
    arrays: dict[str, Array] = {}
    for path in files:
        split, role = _part(path) or ("", "")
        if role == "both":
            arrays[f"{split}_images"], labels = read_mat(path)
            arrays[f"{split}_labels"] = np.where(labels == 10, 0, labels)
        elif f"{split}_{role}" in arrays:
            raise DataError(f"{place}: two files hold the {role} of {split}, one of them {path.name}.")
        else:
            values = read_any_idx(path)
            # QMNIST's labels have eight columns, the class first
            arrays[f"{split}_{role}"] = values[:, 0] if role == "labels" and values.ndim == 2 else values
    dataset = _dataset(str(place), sets[0] or place.stem, arrays, size, group)
    records = tuple(SourceFile(path.name, sha256(path, limit=FILE_LIMIT), verified=True) for path in files)
    notes = dataset.notes
    if sets[0].startswith("emnist"):
        notes = (
            *notes,
            "EMNIST's files have each image column by column, and from a folder they are read so: mirrored and turned. "
            f'The named set is upright: data.source = "{sets[0]}".',
        )
    return replace(dataset, files=records, notes=notes)


def _part(path: Path) -> tuple[str, str] | None:
    """The split and the role ("images", "labels", or "both" of a MATLAB file) that a file's name tells; or None."""
    name = path.name.casefold()
    words = re.split(r"[^a-z0-9]+", name)
    split = next((SPLIT_NAMES.get(word, "test") for word in words if word in SPLIT_NAMES or word == "t10k"), "train")
    if re.fullmatch(r".*_32x32\.mat", name):
        return split, "both"
    if re.search(r"idx[1-4][-.]?(ubyte|byte|int|short)?(\.gz)?$", name):
        return next(((split, role) for role in ("images", "labels") if role in words), None)
    return None


def _set_of(path: Path) -> str:
    """What a published file is named before its split: "emnist-letters" of emnist-letters-train-images-idx3-ubyte."""
    return re.split(r"[-_.]?(?:train|test|t10k|valid|val|extra)[-_.]", path.name.casefold(), maxsplit=1)[0]


def from_arrays(
    given: Any, size: Size | None = None, name: str = "arrays", group: str | Sequence[Any] | Array | None = None
) -> Dataset:
    """The images of a pair (images, labels), or of arrays by name, as an .npz file names them.

    Images are uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3). Labels are integers or strings, (N,) or (N, 1). With
    `class_names`, labels are places in it; without, the distinct training labels are the classes. Ids are the places
    in the arrays. `group` is the name of an array of integers or strings (N,) among them ("patient" of the training
    images where there are several splits, or "patient_train" and "patient_test"), or beside a pair such an array.

    Raises DataError for missing arrays, other types or shapes, labels that train lacks, or class names that occur
    twice.
    """
    if isinstance(given, Mapping):
        if group is not None and not isinstance(group, str):
            raise DataError("Beside arrays with names, group is the name of one of them: put it among them.")
        return _dataset(name, name, {str(key): _array(str(key), value) for key, value in given.items()}, size, group)
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise DataError(
            "Images are the name of a set, the path of a folder, a CSV or an .npz, a Dataset, or a pair of arrays "
            f"(images, labels); received {type(given).__name__}."
        )
    arrays = {"images": _array("images", given[0]), "labels": _array("labels", given[1])}
    if group is not None and not isinstance(group, str):
        arrays, group = {**arrays, GROUPS: _array("group", group)}, GROUPS
    return _dataset(name, name, arrays, size, group)


def _array(name: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever a tensor, a frame or a ragged list raises
        raise DataError(f"{name}: no array can be made of it ({error}).") from None
    if array.dtype == object and array.size and all(isinstance(item, str) for item in array.ravel()):
        array = array.astype(str)
    return array


def _dataset(
    where: str, name: str, arrays: Mapping[str, Array], size: Size | None, group: str | None = None
) -> Dataset:
    """`where` is what messages call the arrays, `name` what the dataset is called."""
    groups = {} if group is None else _groups(where, arrays, group)
    pairs, notes = _pairs(where, {name: array for name, array in arrays.items() if name not in groups.values()})
    classes = _classes(where, arrays, pairs["train"][1])
    class_names = tuple(natural_order(classes.values()) if _CLASS_NAMES not in arrays else classes.values())
    place = {class_name: i for i, class_name in enumerate(dict.fromkeys(class_names))}
    splits = {}
    for split, (images, (labels_name, values)) in pairs.items():
        pixels = _pixels(where, split, images, len(values))
        extra = natural_order(map(str, set(values.tolist()) - set(classes)))
        if extra:
            raise DataError(
                f"{where}: {split} has unknown labels: {', '.join(extra[:10])}. The classes are "
                f"{', '.join(map(str, list(classes)[:10]))}, by {labels_name if split == 'train' else 'train'}."
            )
        labels = np.array([place[classes[value]] for value in values.tolist()], np.int64)
        of_group = None if group is None else _group_of(where, arrays, groups, group, split, len(pixels))
        splits[split] = Images(pixels, labels, numbered(split, len(pixels)), tuple(place), of_group)
    if size is not None:  # what is mapped was resized before
        splits = {split: replace(images, pixels=resize(images.pixels, size)) for split, images in splits.items()}
    dataset = Dataset(name, splits, notes=(*notes, *merged(map(str, classes))))
    return dataset if group is None else with_groups(dataset, splits, group, f"the array {group}")


def _groups(where: str, arrays: Mapping[str, Array], group: str) -> dict[str, str]:
    """The names of the arrays that hold groups, by split: "patient", or beside others "patient_test"."""
    found: dict[str, str] = {}
    for name in arrays:
        words = _words(name)
        splits = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
        if name == group or (len(splits) == 1 and [w for w in words if w not in SPLIT_NAMES] == _words(group)):
            split = splits[0] if name != group and splits else "train"
            if split in found:
                raise DataError(f"{where}: {found[split]} and {name} may both be the groups of {split}. Keep one.")
            found[split] = name
    for name in found.values():
        if name == _CLASS_NAMES or _meaning(name) is not None:
            raise DataError(f"{where}: data.group = '{brief(group)}' is an array of images or labels. {A_GROUP_IS}")
    if not found:
        paths = ", and arrays have no paths" if group == PARENT or is_pattern(group) else ""
        raise DataError(said_how(group, f"{where} has no array of that name{paths}", list(arrays)))
    return found


def _group_of(
    where: str, arrays: Mapping[str, Array], groups: Mapping[str, str], group: str, split: str, n: int
) -> Array:
    """The groups of the images of a split, str (n,)."""
    if split not in groups:
        raise DataError(
            f"{where}: data.group = '{brief(group)}': there are {split} images, and no array {group}_{split} tells "
            f"their groups. Arrays of groups are {listed(groups.values())}."
        )
    values = names_of(f"{where}: {groups[split]} (data.group)", arrays[groups[split]])
    if len(values) != n:
        raise DataError(f"{where}: {n} {split} images need as many groups; {groups[split]} has {len(values)}.")
    return values


def _pairs(where: str, arrays: Mapping[str, Array]) -> tuple[dict[str, tuple[_Named, _Named]], list[str]]:
    """Images and labels by split, and what is to be said of the arrays that are not used."""
    found: dict[tuple[str, str], str] = {}
    unused = []
    for name in arrays:
        meaning = _meaning(name)
        if meaning is None:
            unused += [name] if name != _CLASS_NAMES else []
        elif meaning in found:
            raise DataError(
                f"{where}: {found[meaning]} and {name} may both be the {meaning[1]} of {meaning[0]}. Keep one of them."
            )
        else:
            found[meaning] = name
    pairs = {}
    for split in dict.fromkeys(split for split, _ in found):
        images, labels = found.get((split, "images")), found.get((split, "labels"))
        if images is None or labels is None:
            unused.append(images or labels or "")
        else:
            pairs[split] = ((images, arrays[images]), (labels, _flat(where, labels, arrays[labels])))
    if "train" not in pairs:
        raise DataError(
            f"{where}: it must hold images and labels, or train_images and train_labels; "
            f"it holds {', '.join(arrays) or 'nothing'}."
        )
    n = len(pairs["train"][1][1])
    notes = [f"Arrays that are not used: {', '.join(unused)}."] if unused else []
    for name in unused:
        if of_a_group(name) and arrays[name].shape in ((n,), (n, 1)) and may_be_groups(arrays[name].ravel().tolist()):
            notes.append(may_be_said(name, f"The array {name}"))
    return pairs, notes


def _meaning(name: str) -> tuple[str, str] | None:
    """The split and the role that the name of an array tells; None where it tells no role, or another word."""
    words = _words(name)
    roles = [_ROLES[word] for word in words if word in _ROLES]
    splits = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
    if len(roles) != 1 or len(splits) > 1 or len(roles) + len(splits) < len(words):
        return None
    return (splits[0] if splits else "train"), roles[0]


def _words(name: str) -> list[str]:
    """The words that a name is made of, in small letters: "xTrain" is x and train."""
    return [word for word in re.split(r"[\W_]+", re.sub("([a-z])([A-Z])", r"\1_\2", name).casefold()) if word]


def _flat(where: str, name: str, labels: Array) -> Array:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 1 and labels.dtype.kind in "iuU":
        return labels
    advice = ""
    if labels.ndim == 2 and labels.dtype.kind in "iufb" and labels.size and (labels.sum(axis=1) == 1).all():
        advice = f" Where one of each row is 1: {name}.argmax(axis=1)."
    elif labels.ndim == 1 and labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels % 1 == 0).all():
        advice = f" They are whole: {name}.astype(int)."
    elif labels.dtype.kind == "S":
        advice = f" As text: {name}.astype(str)."
    raise DataError(
        f"{where}: {name} must be integers or strings (N,); received {labels.dtype} {labels.shape}.{advice}"
    )


def _classes(where: str, arrays: Mapping[str, Array], labels: _Named) -> dict[int | str, str]:
    """The name of the class that each value of a label stands for; in the order of classes where that was given."""
    values = set(labels[1].tolist())
    if _CLASS_NAMES not in arrays:
        return {value: one_form(str(value)) for value in sorted(values, key=str)}
    names = arrays[_CLASS_NAMES]
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(f"{where}: class_names must be strings (K,); received {names.dtype} {names.shape}.")
    known = [one_form(name) for name in names.tolist()]
    if not known or len(set(known)) < len(known):
        raise DataError(f"{where}: class_names must be distinct names, at least one; received {names.tolist()}.")
    if labels[1].dtype.kind == "U":
        named = {value: one_form(value) for value in values if one_form(value) in known}
        return {name: name for name in known} | named
    return dict(enumerate(known))


def _pixels(where: str, split: str, images: _Named, n: int) -> Array:
    name, given = images
    pixels = given[..., None] if given.ndim == 3 else given
    if pixels.ndim == 4 and not len(pixels):
        raise DataError(
            f"{where}: the {split} split is empty: {name} holds no images; received {given.dtype} {pixels.shape}. "
            "Leave the split out."
        )
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] not in (1, 3) or 0 in pixels.shape:
        raise DataError(
            f"{where}: the {split} images must be uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3) with values 0..255; "
            f"received {given.dtype} {pixels.shape}.{_advice(name, given)}"
        )
    if len(pixels) != n:
        raise DataError(f"{where}: {len(pixels)} {split} images need as many labels; received {n}.")
    return pixels


def _advice(name: str, images: Array) -> str:
    """How to make such images of what was given; nothing where that cannot be told."""
    steps = []
    if images.ndim == 2 and images.size:
        steps.append(f"{name}.reshape(-1, H, W)")
    elif images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        steps.append(f"{name}.transpose(0, 2, 3, 1), as the channels come last")
    elif images.ndim == 4 and images.shape[3] == 4:
        steps.append(f"{name}[..., :3], without the transparency")
    if images.size and images.dtype.kind in "iufb" and images.dtype != np.uint8:
        low, high = float(images.min()), float(images.max())
        if images.dtype.kind == "b" or (images.dtype.kind == "f" and low >= 0 and high <= 1):
            steps.append(f"np.rint(255 * {name}).astype(np.uint8), as they lie in 0..1")
        elif low >= 0 and high <= 255:
            steps.append(f"{name}.astype(np.uint8)")
        elif low < 0:
            steps.append("the images as they were before they were standardized")
    return f" Give {'; '.join(steps)}." if steps else ""
