"""Images in tables of Arrow: Parquet files, and datasets that Hugging Face's library saved.

A row is an image: the bytes of its file, alone or beside its path as `{bytes, path}`, and its class in another column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firstlight.data.arrow_tables import Part, open_table, parts_of, pyarrow_for, shown
from firstlight.data.decoding import Size
from firstlight.data.formats import FILE_LIMIT, numbered
from firstlight.data.groups import A_GROUP_IS, group_by_name, must_tell_groups, with_groups
from firstlight.data.image_files import Contents, Sample, read_listing
from firstlight.data.names import SPLITS_SAID, one_form, split_of
from firstlight.errors import DataError, brief, nearest
from firstlight.files import sha256
from firstlight.text import listed, printable_name
from firstlight.types import SPLITS, Dataset, SourceFile

_IMAGES = ("image", "img", "images", "picture", "photo", "png", "jpg", "jpeg", "webp", "bytes")
_LABELS = ("label", "labels", "class", "classname", "classlabel", "category", "target")

Places = dict[str, list[tuple[Part, list[int] | None]]]  # by split: rows of a file; None: all of them


@dataclass(frozen=True)
class Columns:
    """What is read of a table: the image and the class; the group and the split where they are columns.

    names   of the classes by number, where the table has them
    """

    image: str
    label: str
    names: tuple[str, ...] = ()
    group: str | None = None
    split: str | None = None


def load_parquet(
    path: Path, size: Size | None, progress: bool, group: str | None = None, label: str | None = None
) -> Dataset:
    """Read Parquet files or saved Hugging Face datasets.

    group  the name of a column that holds groups; else what `group_by_name` takes
    label  the column that tells the class, where its name does not

    An image that does not decode, or that is missing, is set aside; a split without labels is left out, and said.
    Raises DataError for files that cannot be read, columns that cannot be told apart, missing labels or groups, and
    what `read_listing` raises.
    """
    parts, notes = parts_of(path)
    columns, more = _columns(path, parts, label, group)
    notes += more
    listing, places, more = _listing(parts, columns)
    notes += more

    def read() -> Iterator[bytes | DataError]:
        for split in listing:
            for part, rows in places[split]:
                yield from _images(part, columns.image, rows)

    contents = Contents(read, [(shown(part.path, path), part.path) for part in parts], f"a table, {columns}")
    name = path.stem if path.is_file() else path.resolve().name
    dataset = read_listing(name, listing, {}, size, progress, contents, tuple(map(one_form, columns.names)))
    files = {part.path: SourceFile(shown(part.path, path), sha256(part.path, limit=FILE_LIMIT), True) for part in parts}
    dataset = replace(dataset, files=tuple(files.values()), notes=(*notes, *dataset.notes))
    if group is None:
        return dataset
    if columns.group is None:
        return group_by_name(dataset, group)
    return with_groups(dataset, dataset.splits, group, f"the column {group}")


def _columns(path: Path, parts: Sequence[Part], label: str | None, group: str | None) -> tuple[Columns, list[str]]:
    """Which column is what, and what is to be said of the others."""
    first = parts[0]
    names = list(first.schema.names)
    for part in parts[1:]:
        if list(part.schema.names) != names or part.features != first.features:
            raise DataError(
                f"{path}: its files differ in their columns: {first.path.name} has {listed(names, most=8)}; "
                f"{part.path.name} has {listed(part.schema.names, most=8)}"
                f"{'' if list(part.schema.names) != names else ', of other types or classes'}."
            )
    image = _image_column(path, first)
    chosen = _label_column(path, first, label, image)
    given = first.features[chosen].get("names") if chosen in _of_type(first, "ClassLabel") else None
    classes = tuple(map(str, given)) if isinstance(given, list) else ()
    if len(set(map(one_form, classes))) < len(classes):
        raise DataError(f"{path}: two classes of the column {chosen} have one name.")
    grouped = None
    if group is not None:
        if group in names:
            grouped = group
            if group in (image, chosen):
                what = "images" if group == image else "classes"
                raise DataError(
                    f"{path}: data.group = '{brief(group)}' is the column that holds the {what}. {A_GROUP_IS}"
                )
        else:
            must_tell_groups(group, f"{path} has no column of that name", names)
    split = next((name for name in names if name.casefold() == "split" and name not in (chosen, grouped)), None)
    if any(part.split for part in parts):
        split = None
    unused = [name for name in names if name not in (image, chosen, grouped, split)]
    notes = [f"The column {split} is taken as the split."] if split else []
    return Columns(image, chosen, classes, grouped, split), [
        *notes,
        *([f"Columns that are not used: {listed(unused, most=5)}."] if unused else []),
    ]


def _image_column(path: Path, part: Part) -> str:
    named = _of_type(part, "Image")
    candidates = [name for name in part.schema.names if _holds_bytes(part.schema.field(name).type)]
    found = [name for name in named if name in candidates] or candidates
    if len(found) > 1:
        found = [name for name in found if name.casefold() in _IMAGES] or found
    if len(found) != 1:
        types = [f"{name} ({brief(str(part.schema.field(name).type), 40)})" for name in part.schema.names]
        problem = f"{listed(found)} may all be the images; call one of them image" if found else "none holds bytes"
        raise DataError(
            f"{path}: an image is the bytes of its file, alone or as {{bytes, path}}. Of its columns, {problem}. It "
            f"has {listed(types, most=8)}."
        )
    return found[0]


def _of_type(part: Part, kind: str) -> list[str]:
    """The columns that are of a kind, as Hugging Face's datasets say."""
    return [name for name, said in part.features.items() if isinstance(said, dict) and said.get("_type") == kind]


def _holds_bytes(kind: Any) -> bool:
    """Whether a column's type is bytes, or a struct with bytes."""
    pyarrow, _ = pyarrow_for(Path())
    types = pyarrow.types
    if types.is_struct(kind):
        return any(field.name == "bytes" and _holds_bytes(field.type) for field in kind)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _label_column(path: Path, part: Part, label: str | None, image: str) -> str:
    names = [name for name in part.schema.names if name != image]
    if label is not None:
        if label not in names:
            raise DataError(f"{path}: data.label = '{brief(label)}': there is no such column. {nearest(label, names)}")
        return label
    classes = [name for name in _of_type(part, "ClassLabel") if name in names]
    usual = [name for name in names if "".join(filter(str.isalnum, name.casefold())) in _LABELS]
    for found in ([name for name in names if name.casefold() == "label"], classes, usual):
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(
                f"{path}: {listed(found)} may all be the class. Say which: data.label (--label), such as "
                f'label = "{found[0]}".'
            )
    raise DataError(
        f"{path}: no column is called label. Say which tells the class: data.label (--label). It has "
        f"{listed(names, most=10) or 'no other column than the images'}."
    )


def _listing(parts: Sequence[Part], columns: Columns) -> tuple[dict[str, list[Sample]], Places, list[str]]:
    """The images of each split as samples, where they lie, and what is to be said of them."""
    pyarrow, _ = pyarrow_for(parts[0].path)
    found: dict[str, list[tuple[str, str, str]]] = {}  # path, class, group
    places: Places = {}
    unlabelled: dict[str, int] = {}
    wanted = [name for name in (columns.label, columns.group, columns.split) if name is not None]
    is_struct = pyarrow.types.is_struct(parts[0].schema.field(columns.image).type)
    for part in parts:
        rows: dict[str, list[int]] = {}
        at = 0
        with open_table(part.path) as (_, _, batches):
            paths = _paths(part, columns.image) if is_struct else iter(lambda: "", None)
            for batch in batches(wanted):
                values = [batch.column(name).to_pylist() for name in wanted]
                for cells in zip(*values, strict=True):
                    place = next(paths, "")
                    row = dict(zip(wanted, cells, strict=True))
                    split = part.split or "train"
                    if columns.split is not None:
                        split = _split_in(part, at, row[columns.split])
                    name = _class(part, at, columns, row[columns.label])
                    group = "" if columns.group is None else _group(part, at, columns.group, row[columns.group])
                    if not name:
                        unlabelled[split] = unlabelled.get(split, 0) + 1
                    rows.setdefault(split, []).append(at)
                    found.setdefault(split, []).append((place, name, group))
                    at += 1
        _must_have_all(part, columns.label, at)
        for split, held in rows.items():
            places.setdefault(split, []).append((part, None if len(held) == at else held))
    notes = []
    for split, n in unlabelled.items():
        if n < len(found[split]) or split == "train":
            raise DataError(
                f"{parts[0].path.parent}: {n:,} of {len(found[split]):,} images of {split} have no label in the column "
                f"{columns.label}. Give each a class, or leave the images out."
            )
        notes.append(f"The {split} split is left out: none of its {n:,} images has a label.")
        del found[split], places[split]
    if "train" not in found:
        raise DataError(
            f"{parts[0].path.parent}: there are no training images; its splits are {listed(found) or 'none'}."
        )
    order = [split for split in SPLITS if split in found]
    ids = _ids({split: [place for place, _, _ in found[split]] for split in order})
    listing = {
        split: [
            Sample(parts[0].path, sample, name, group)
            for sample, (_, name, group) in zip(ids[split], found[split], strict=True)
        ]
        for split in order
    }
    return listing, places, notes


def _ids(paths: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The images' paths where each has one of its own, below the split where two splits share one; else numbers."""
    if not all(all(those) and len(set(those)) == len(those) for those in paths.values()):
        return {split: numbered(split, len(those)).tolist() for split, those in paths.items()}
    ids = {split: [printable_name(path.replace("\\", "/")) for path in those] for split, those in paths.items()}
    if len(set().union(*ids.values())) == sum(map(len, ids.values())):
        return ids
    return {split: [f"{split}/{path}" for path in those] for split, those in ids.items()}


def _split_in(part: Part, row: int, value: object) -> str:
    split = split_of(value) if isinstance(value, str) else ""
    if not split:
        raise DataError(
            f"{part.path}, row {row + 1}: the split is one of {SPLITS_SAID}; received {brief(repr(value), 40)}."
        )
    return split


def _class(part: Part, row: int, columns: Columns, value: object) -> str:
    """The name of a class; "" where the label is missing."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""
    if columns.names:
        if isinstance(value, int) and value == -1:  # as datasets have it where labels are kept back
            return ""
        if not isinstance(value, int) or not 0 <= value < len(columns.names):
            raise DataError(
                f"{part.path}, row {row + 1}: {columns.label} must be a number from 0 to {len(columns.names) - 1}, one "
                f"of its classes; received {brief(repr(value), 40)}."
            )
        return columns.names[value]
    if not isinstance(value, int | str):
        raise DataError(
            f"{part.path}, row {row + 1}: {columns.label} must be one integer or one string per image; received "
            f"{brief(repr(value), 40)}."
        )
    return str(value).strip()


def _group(part: Part, row: int, column: str, value: object) -> str:
    if isinstance(value, int | str) and str(value).strip():
        return one_form(str(value).strip())
    raise DataError(
        f"{part.path}, row {row + 1}: the group (data.group, the column {column}) must be an integer or a string; "
        f"received {brief(repr(value), 40)}. Give an image that belongs with no other a group of its own."
    )


def _paths(part: Part, image: str) -> Iterator[str]:
    """The path beside each image's bytes; "" where there is none."""
    fields = [field.name for field in part.schema.field(image).type]
    if "path" not in fields:
        return
    # Parquet reads the one field of the struct alone, by its path
    columns = [f"{image}.path"] if part.path.suffix.lower() != ".arrow" else [image]
    with open_table(part.path) as (_, _, batches):
        for batch in batches(columns):
            for value in batch.column(0).field("path").to_pylist():
                yield value if isinstance(value, str) else ""


def _images(part: Part, image: str, rows: list[int] | None) -> Iterator[bytes | DataError]:
    """The bytes of the images of some rows, or of all, in their order; or why there are none."""
    at, chosen = 0, None if rows is None else set(rows)
    with open_table(part.path) as (_, _, batches):
        for batch in batches([image]):
            for value in batch.column(0):
                if chosen is None or at in chosen:
                    yield _bytes(value.as_py())
                at += 1
    _must_have_all(part, image, at)


def _must_have_all(part: Part, column: str, read: int) -> None:
    """Refuse a column that ends early, as a damaged one may, so that rows of others would go to other images."""
    if read != part.rows:
        raise DataError(
            f"{part.path}: the file is damaged: of {part.rows:,} rows, {column} has {read:,}. Write it again."
        )


def _bytes(value: object) -> bytes | DataError:
    held = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(held, bytes):
        return held
    path = value.get("path") if isinstance(value, dict) else None
    if isinstance(path, str):
        return DataError(f"the table has its path, {brief(path, 80)}, and not its bytes")
    return DataError("the row has no image")
