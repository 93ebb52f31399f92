"""A CSV that lists images: which of its columns is what, and what each row says."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from firstlight.data.groups import A_GROUP_IS, is_pattern, may_be_groups, may_be_said, must_tell_groups
from firstlight.data.names import NO_LABEL, SPLITS_SAID, of_a_group, split_of
from firstlight.errors import DataError, brief, nearest
from firstlight.files import MB, open_file, read_bytes, text_of
from firstlight.text import listed

LIMIT = 1_000 * MB
HEAD = 1 * MB  # of characters, in which the first line of a long table is looked for

# Names of columns without what is neither letter nor digit, in small letters.
_PATHS = (
    *("file", "filename", "filepath", "fname", "image", "imagepath", "imagename", "imagefile", "imagefilename"),
    *("imageid", "img", "imgpath", "imgname"),
)
_LABELS = ("labels", "class", "classname", "classlabel", "category", "target")
_OFTEN_SPLITS = ("set", "subset", "partition", "phase", "usage", "traintest", "trainvaltest")
_SPLITS = (*_OFTEN_SPLITS, "dataset", "datatype")
_FEW = 5  # different values of a column with such a name, up to which it is a split in words of its own
_FOLDS = ("fold", "folds", "kfold", "cvfold")
_FLAGS = tuple(f"{prefix}{name}" for prefix in ("is", "") for name in ("train", "training", "valid", "val", "test"))


@dataclass(frozen=True)
class Row:
    """One image that a table lists; `line` is where, and `split` is empty where the row names none."""

    line: int
    path: str
    label: str
    split: str = ""
    group: str = ""


def read(path: Path, group: str | None = None, label: str | None = None) -> tuple[list[Row], list[str]]:
    """The rows of a CSV, and what the user should know of how it was read.

    The first line names the columns: path, label and, if wanted, split; in any case, and other usual names are taken
    where there is no doubt. With `group`, the name of a column, each row has a group; a name that no column has gives
    none. `label` is the column of labels, where it has another name. Cells are separated by commas, semicolons or tabs.
    Text is UTF-8, or UTF-16 that says so.

    Raises DataError, with the line, for a missing or ambiguous column, more cells than columns, an empty path or label,
    an unknown split, or a column that looks like a split and cannot be used as one.
    """
    text = csv_text(path)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}, line {line}: it contains a NUL character. Save the table as UTF-8.")
    first, _, rest = text.partition("\n")
    skipped = 0
    if separators := said_separator(first):
        text, skipped = rest, 1
    names, separator = _head(path, text, separators or ",;\t", label)
    cells = list(csv_cells(path, text, separator, skipped))[1:]
    for line, row in cells:
        if any(cell.strip() for cell in row[len(names) :]):
            raise DataError(
                f"{path}, line {line}: {len(row)} cells for {len(names)} columns. A cell that holds "
                f"{'a comma' if separator == ',' else 'a separator'} must stand in quotation marks; received "
                f"{separator.join(row)[:200]!r}."
            )
    path_column = _column(path, names, "path", _PATHS)
    label_column = _column(path, names, "label", _LABELS) if label is None else names.index(label)
    group_column = None if group is None else _group_column(path, names, group, path_column, label_column)
    used = [path_column, label_column, *([] if group_column is None else [group_column])]
    split_column, notes = _split_column(path, names, used, cells)
    rows = []
    for line, row in cells:
        image, label, *of_group = (row[column].strip() if column < len(row) else "" for column in used)
        if not (image and label):
            raise DataError(f"{path}, line {line}: the {'label' if image else 'path'} is empty.")
        split = row[split_column].strip() if split_column is not None and split_column < len(row) else ""
        if split and not split_of(split):
            raise DataError(f"{path}, line {line}: the split is one of {SPLITS_SAID}; received {split.casefold()!r}.")
        if of_group and of_group[0].casefold() in ("", *NO_LABEL):
            raise DataError(
                f"{path}, line {line}: the group (data.group, the column {names[used[2]]}) is "
                f"{of_group[0] or 'empty'!r}. Give an image that belongs with no other a group of its own."
            )
        rows.append(Row(line, image, label, split_of(split), *of_group))
    without = sum(not row.split for row in rows)
    if split_column is not None and without:
        notes.append(f"{without:,} of {len(rows):,} rows have no split: their images are training images.")
    return rows, notes


def rows(path: Path, *, labelled: bool) -> Iterator[Row]:
    """The rows of a CSV one by one, so that it may be longer than memory; in other respects as `read` takes it.

    labelled  whether there must be a column of labels; otherwise labels are empty where there is none

    An empty cell is an empty path or label here. Splits do not matter. Raises DataError for a missing or ambiguous
    column before the first row, and where the text ends to be a CSV.
    """
    try:
        with open_file(path, limit=LIMIT) as file:
            mark = file.peek(2)[:2]
            utf16 = mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            text = io.TextIOWrapper(file, encoding="utf-16" if utf16 else "utf-8-sig", newline="")
            head = text.read(HEAD)
            first, _, rest = head.partition("\n")
            says = said_separator(first)
            names, separator = _head(path, rest if says else head, says or ",;\t", labelled=labelled)
            path_column = _column(path, names, "path", _PATHS)
            keys = {_key(name) for name in names}
            label_column = _column(path, names, "label", _LABELS) if keys & {"label", *_LABELS} else None
            text.seek(0)
            table = csv.reader(text, delimiter=separator, strict=True)
            for row in islice(table, 2 if says else 1, None):
                cells = [
                    "" if column is None or column >= len(row) else row[column].strip()
                    for column in (path_column, label_column)
                ]
                if any(cell.strip() for cell in row):
                    yield Row(table.line_num, *cells)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8 ({error}). Save it as UTF-8.") from None


def said_separator(first_line: str) -> str:
    """What separates cells where the first line says so, as Excel writes it."""
    said = first_line.strip(" \r")
    return said[4] if said.casefold().startswith("sep=") and len(said) == 5 else ""


def csv_text(path: Path) -> str:
    """The text of a table in UTF-8, or in UTF-16 that says so. Raises DataError."""
    try:
        data = read_bytes(path, limit=LIMIT)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        return data.decode("utf-16") if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else text_of(data)
    except ValueError as error:
        raise DataError(f"{path}: not a CSV file in UTF-8 ({error}). Save it as UTF-8.") from None


def csv_cells(path: Path, text: str, separator: str, skipped: int = 0) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with its line. Raises DataError where the text ends to be a CSV."""
    table = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 0
    try:
        for row in table:
            line = table.line_num
            if any(cell.strip() for cell in row):
                yield line + skipped, row
    except csv.Error as error:
        begins = line + 1 + skipped
        why = str(error)
        if "unexpected end of data" in why:
            why = f"a quotation mark that opens in line {begins}, or soon after, is never closed"
        raise DataError(f"{path}, line {begins}: not a CSV file in UTF-8 ({why}).") from None


def _head(
    path: Path, text: str, separators: str, label: str | None = None, *, labelled: bool = True
) -> tuple[list[str], str]:
    """The names of the columns, and what separates them.

    label     the column of labels, where it is said
    labelled  whether a label must be among them
    """
    found: list[str] = []
    for separator in separators:
        try:
            _, names = next(csv_cells(path, text, separator), (0, []))
        except DataError:
            if separator == separators[-1] and not found:
                raise
            continue
        names = [name.strip() for name in names]
        keys = {_key(name) for name in names}
        has_label = keys & {"label", *_LABELS} if label is None else label in names
        if keys & {"path", *_PATHS} and (not labelled or has_label):
            return names, separator
        found = found or names
    received = ",".join(found)[:200]
    if label is not None:
        raise DataError(
            f"{path}: data.label = '{brief(label)}': the first line must name the columns path and {brief(label)}; "
            f"received {received or 'nothing'}. {nearest(label, found)}".rstrip()
        )
    wanted = "columns path and label (and split, if wanted)" if labelled else "column path"
    raise DataError(f"{path}: the first line must name the {wanted}; received {received or 'nothing'}.")


def _key(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _column(path: Path, names: Sequence[str], wanted: str, others: Collection[str]) -> int:
    """The place of the column `wanted`, or of the only one with a name that means the same."""
    keys = [_key(name) for name in names]
    twice = [name for name, key in zip(names, keys, strict=True) if key and keys.count(key) > 1]
    if twice:
        raise DataError(f"{path}: two columns have the same name, {twice[0]}. Rename or remove one.")
    if wanted in keys:
        return keys.index(wanted)
    found = [i for i, key in enumerate(keys) if key in others]
    if len(found) > 1:
        raise DataError(
            f"{path}: {listed(names[i] for i in found)} may both be the {wanted}. Call the right one {wanted}."
        )
    return found[0]


def _group_column(path: Path, names: Sequence[str], group: str, path_column: int, label_column: int) -> int | None:
    """The place of the column that holds the groups; None where none has that name, but a pattern or "parent" may."""
    keys = [_key(name) for name in names]
    if group in names:
        place = names.index(group)
    elif _key(group) in keys and _key(group) and not is_pattern(group):
        place = keys.index(_key(group))
    else:
        must_tell_groups(group, f"{path} has no column of that name", [name for name in names if name])
        return None
    if place in (path_column, label_column):
        held = "path of each image" if place == path_column else "classes"
        raise DataError(f"{path}: data.group = '{brief(group)}' is the column that holds the {held}. {A_GROUP_IS}")
    return place


def _split_column(
    path: Path, names: Sequence[str], used: Sequence[int], cells: Sequence[tuple[int, list[str]]]
) -> tuple[int | None, list[str]]:
    """The place of the column of splits, or None; and what is to be said of the columns that are not used.

    A split that somebody made and that is then ignored is the worst that can happen to a test set: what looks like one
    and cannot be used is refused.
    """
    left = [i for i in range(len(names)) if i not in used]
    chosen = next((i for i in left if _key(names[i]) == "split"), None)
    notes = []
    if chosen is None:
        meant = [i for i in left if _means_split(names[i])]
        known = {i: [(n, split_of(value)) for n, value in _values(cells, i)] for i in left}
        usable = [i for i in meant if known[i] and all(split for _, split in known[i])]
        if len(usable) > 1:
            raise DataError(
                f"{path}: {listed(names[i] for i in usable)} may both be the split. Call the right one split."
            )
        if usable:
            [chosen] = usable
            notes.append(f"The column {names[chosen]} is taken as the split.")
        for i in () if usable else left:
            splits = {split for _, split in known[i]}
            values = {row[i].strip() for _, row in cells if i < len(row)} - {""}
            own_words = _key(names[i]) in _OFTEN_SPLITS and 0 < len(values) <= _FEW
            partly = i in meant and (any(splits) or own_words)
            by_values = len(splits) > 1 and "train" in splits and "" not in splits
            if partly or by_values or _key(names[i]) in _FLAGS or _nearly_split(names[i]):
                why, name = _why(known[i], cells, i), names[i] or f"number {i + 1}, without a name,"
                raise DataError(
                    f"{path}: the column {name} looks like a split{why}. Did you mean split? A column of that name "
                    f"holds {SPLITS_SAID}. Name it so, or remove it."
                )
    notes += [
        f"The column {names[i]} is not used: folds are not splits. For a split of your own, name a column split."
        for i in left
        if chosen is None and _key(names[i]) in _FOLDS
    ]
    unused = [names[i] for i in left if i != chosen and (chosen is not None or _key(names[i]) not in _FOLDS)]
    unused = [name for name in unused if name]
    for i in left:
        if names[i] in unused and of_a_group(names[i]) and may_be_groups([value for _, value in _values(cells, i)]):
            notes.append(may_be_said(names[i], f"The column {names[i]}"))
    if unused:
        notes.append(f"Columns that are not used: {listed(unused, most=5)}.")
    return chosen, notes


def _means_split(name: str) -> bool:
    return _key(name) in _SPLITS or _nearly_split(name)


def _nearly_split(name: str) -> bool:
    """Whether a name holds the word split or is a slip of the pen away from it."""
    key = _key(name)
    return "split" in key or bool(difflib.get_close_matches(key, ["split"], cutoff=0.79))


def _values(cells: Sequence[tuple[int, list[str]]], column: int) -> list[tuple[int, str]]:
    """The values of a column that are not empty, each with its line."""
    return [(line, row[column].strip()) for line, row in cells if column < len(row) and row[column].strip()]


def _why(known: Sequence[tuple[int, str]], cells: Sequence[tuple[int, list[str]]], column: int) -> str:
    """The first value that is not a split, and its line."""
    line = next((line for line, split in known if not split), None)
    if line is None:
        return ""
    value = next(row[column].strip() for at, row in cells if at == line)
    return f" (line {line} has {value[:40]!r})"
