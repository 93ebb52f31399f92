"""A frozen dataclass ↔ JSON, with arrays beside it: the one reader and writer of what the records hold.

The fields of a record are the keys of its file, and say what a value is: by their type, and by `Annotated` with `Must`
which values are allowed. What must fit together is checked in `__post_init__`, which raises ValueError. A key that a
record does not name is let through, so that a later version may add one.
"""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from firstlight.errors import brief
from firstlight.types import Array, Json

T = TypeVar("T")

LONGEST = 80  # characters of a value or of a place that are shown


@dataclass(frozen=True)
class Must:
    """What a value must be beside its kind: in words, and as a test."""

    be: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class NullIs:
    """What null stands for in the place of a number, since JSON has none that is not finite."""

    value: float


@dataclass(frozen=True)
class Axes:
    """The kinds of an array's numbers, as NumPy's letters, and its axes.

    axes  one sign an axis: a digit is a size, a letter the same size in all arrays of the record
    """

    kinds: str
    axes: str


class MismatchError(ValueError):
    """A value is not what the record holds there.

    place     of the value, such as "test.accuracy"; "" for the record itself
    wanted    what it must be, in words; "" where a part is missing
    received  what it is, in words
    """

    def __init__(self, place: str, wanted: str, received: str = "") -> None:
        super().__init__(place, wanted, received)
        self.place, self.wanted, self.received = place, wanted, received

    def __str__(self) -> str:
        where = brief(self.place, LONGEST)
        if not self.wanted:
            return f"it has no {where!r}"
        told = f"{self.wanted}; received {self.received}" if self.received else self.wanted
        return f"{where}: {told}" if where else told


def omitted(default: Any = MISSING, *, make: Callable[[], Any] | None = None, key: str = "") -> Any:
    """A field whose key is left out of the file where it has its default."""
    metadata = {"omitted": True, "key": key}
    return field(default_factory=make, metadata=metadata) if make else field(default=default, metadata=metadata)


def kept_as(key: str, default: Any = MISSING, *, make: Callable[[], Any] | None = None) -> Any:
    """A field whose key in the file is another than its name."""
    metadata = {"key": key}
    return field(default_factory=make, metadata=metadata) if make else field(default=default, metadata=metadata)


def not_kept(default: Any = MISSING, *, make: Callable[[], Any] | None = None) -> Any:
    """A field that no file has."""
    metadata = {"kept": False}
    return field(default_factory=make, metadata=metadata) if make else field(default=default, metadata=metadata)


def others() -> Any:
    """A field that keeps the keys which this version does not know, where a file is written again."""
    return field(default_factory=dict, metadata={"others": True})


def encode(value: Any, arrays: dict[str, Array] | None = None) -> Any:
    """The value as JSON; its arrays are put into `arrays`, each under a key that stands in its place."""
    if is_dataclass(value):
        record: Json = {}
        for one in fields(value):
            inner = getattr(value, one.name)
            if one.metadata.get("others"):
                record |= inner
            elif one.metadata.get("kept", True) and not (one.metadata.get("omitted") and _is_default(one, inner)):
                record[_key(one)] = encode(inner, arrays)
        return record
    if isinstance(value, Mapping):
        return {str(key): encode(inner, arrays) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [encode(inner, arrays) for inner in value]
    if isinstance(value, np.ndarray):
        assert arrays is not None, "this record has arrays"
        name = f"a{len(arrays)}"
        arrays[name] = value
        return name
    return value.value if isinstance(value, Enum) else value


def decode(kind: type[T], value: Any, arrays: Mapping[str, Array] | None = None, *, closed: bool = False) -> T:
    """The record of that kind which `encode` wrote. Raises MismatchError.

    closed  whether keys that the record does not name are refused
    """
    return cast(T, _reader(cast(Any, kind))(value, "", _Given(arrays or {}, closed)))


@dataclass(frozen=True)
class _Given:
    arrays: Mapping[str, Array]
    closed: bool


Reader = Callable[[Any, str, _Given], Any]
NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


@cache
def _reader(kind: Any) -> Reader:
    """What reads a value of that kind at a place."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _limited(_reader(inner[0]), inner[1:])
    if kind is Any:
        return lambda value, place, given: value
    if kind is Array or origin is np.ndarray:
        return _array
    if origin in (Union, types.UnionType):
        return _one_of(inner)
    if origin is Literal:
        return _named({name: name for name in inner})
    if origin is tuple:
        return _list(inner)
    if origin in (Sequence, list):
        return _list((*inner, ...))
    if origin in (Mapping, dict) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return _table(*inner)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _named({one.value: one for one in kind})
    if is_dataclass(kind):
        return lambda value, place, given: _record(kind, value, place, given)
    return _plain(kind)


def _plain(kind: type) -> Reader:
    def read(value: Any, place: str, given: _Given) -> Any:
        if type(value) is kind and (not isinstance(value, float) or math.isfinite(value)):
            return value
        if kind is float and type(value) is int and abs(value) <= sys.float_info.max:
            # An integer stays one, so that what is written again has the same bytes.
            return value if abs(value) < 2**53 else float(value)
        raise _mismatch(place, NAMES[kind], value)

    return read


def _limited(read: Reader, limits: tuple[Any, ...]) -> Reader:
    musts = [limit for limit in limits if isinstance(limit, Must)]
    null = next((limit for limit in limits if isinstance(limit, NullIs)), None)

    def check(value: Any, place: str, given: _Given) -> Any:
        if value is None and null is not None:
            return null.value
        found = read(value, place, given)
        for must in musts:
            if not must.holds(found):
                raise _mismatch(place, must.be, value)
        return found

    return check


def _named(known: Mapping[Any, Any]) -> Reader:
    wanted = f"one of {', '.join(map(repr, known))}"

    def read(value: Any, place: str, given: _Given) -> Any:
        if not isinstance(value, str) or value not in known:
            raise _mismatch(place, wanted, value)
        return known[value]

    return read


def _one_of(kinds: tuple[Any, ...]) -> Reader:
    readers = [_reader(kind) for kind in kinds if kind is not type(None)]
    nothing = type(None) in kinds

    def read(value: Any, place: str, given: _Given) -> Any:
        if value is None and nothing:
            return None
        wanted = []
        for one in readers:
            try:
                return one(value, place, given)
            except MismatchError as error:
                if len(readers) == 1:
                    raise
                wanted.append(error.wanted.removeprefix("must be "))
        raise _mismatch(place, " or ".join(dict.fromkeys(wanted)), value)

    return read


def _list(kinds: tuple[Any, ...]) -> Reader:
    size = None if kinds[-1] is ... else len(kinds)
    readers = [_reader(kind) for kind in kinds if kind is not ...]

    def read(value: Any, place: str, given: _Given) -> Any:
        if not isinstance(value, list | tuple):
            raise _mismatch(place, "a list", value)
        if size is not None and len(value) != size:
            raise MismatchError(place, f"must be a list of {size} values", f"{len(value)}")
        if size is None and kinds[0] is str and set(map(type, value)) <= {str}:
            return tuple(value)  # at once: a split may have a hundred thousand ids
        several = readers * len(value) if size is None else readers
        return tuple(one(item, _at(place, n), given) for n, (one, item) in enumerate(zip(several, value, strict=True)))

    return read


def _table(key_kind: Any, kind: Any) -> Reader:
    read_key, read_value = _reader(key_kind), _reader(kind)

    def read(value: Any, place: str, given: _Given) -> Any:
        if not isinstance(value, Mapping):
            raise _mismatch(place, "a table", value)
        return {
            read_key(key, _at(place, key), given): read_value(item, _at(place, key), given)
            for key, item in value.items()
        }

    return read


def _array(value: Any, place: str, given: _Given) -> Any:
    if not isinstance(value, str) or value not in given.arrays:
        raise MismatchError(place, "must be the name of one of its arrays", _told(value))
    return given.arrays[value]


@cache
def _fields(kind: Any) -> list[tuple[Field[Any], Reader, tuple[Any, ...]]]:
    """The fields of a record, each with what reads it and what is said of it by `Annotated`."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        (one, _reader(hints[one.name]), _said_of(hints[one.name]))
        for one in fields(kind)
        if one.metadata.get("kept", True)
    ]


def said(kind: type, of: type[T]) -> dict[str, T]:
    """What `Annotated` says with an `of` of the fields of a record, and of the records in it, by their places."""
    found: dict[str, T] = {}
    for one, hint in ((one, get_type_hints(kind, include_extras=True)[one.name]) for one in fields(kind)):
        if is_dataclass(hint):
            found |= {f"{one.name}.{place}": each for place, each in said(cast(type, hint), of).items()}
        for each in _said_of(hint):
            if isinstance(each, of):
                found[one.name] = each
    return found


def _said_of(hint: Any) -> tuple[Any, ...]:
    """What `Annotated` says of a field, also where it may be missing."""
    if get_origin(hint) is Annotated:
        return get_args(hint)[1:]
    return tuple(said for inner in get_args(hint) if get_origin(inner) is Annotated for said in get_args(inner)[1:])


def _record(kind: Any, value: Any, place: str, given: _Given) -> Any:
    if not isinstance(value, Mapping):
        raise _mismatch(place, "a table", value)
    found, rest = {}, dict(value)
    for one, read, _ in _fields(kind):
        key = _key(one)
        if one.metadata.get("others"):
            continue
        if key in rest:
            found[one.name] = read(rest.pop(key), _at(place, key), given)
        elif one.default is MISSING and one.default_factory is MISSING:
            raise MismatchError(_at(place, key), "")
    if rest and given.closed:
        raise MismatchError(_at(place, next(iter(rest))), "is a key that is not known here")
    for one, _, _ in _fields(kind):
        if one.metadata.get("others"):
            found[one.name] = rest
    try:
        made = kind(**found)
    except ValueError as error:
        raise MismatchError(place, str(error)) from None
    _check_arrays(kind, made, place)
    return made


def _check_arrays(kind: Any, made: Any, place: str) -> None:
    """Raise MismatchError where arrays are not of the kinds and sizes that the record says."""
    sizes: dict[str, int] = {}
    for one, _, said in _fields(kind):
        axes = next((each for each in said if isinstance(each, Axes)), None)
        array = getattr(made, one.name)
        if axes is None or array is None:
            continue
        fits = array.dtype.kind in axes.kinds and array.ndim == len(axes.axes)
        for axis, size in zip(axes.axes, array.shape, strict=False):
            fits = fits and size == (int(axis) if axis.isdigit() else sizes.setdefault(axis, size))
        if axes.kinds == "u":  # pixels
            fits = fits and array.dtype == np.uint8 and array.shape[-1] in (1, 3)
        where = _at(place, _key(one))
        if not fits:
            raise MismatchError(where, f"must be an array {axes.axes} of {axes.kinds}", f"{array.dtype} {array.shape}")
        if axes.kinds == "f" and not np.isfinite(array).all():
            raise MismatchError(where, "must be finite numbers")


def _key(one: Field[Any]) -> str:
    return one.metadata.get("key") or one.name


def _is_default(one: Field[Any], value: Any) -> bool:
    default = one.default if one.default_factory is MISSING else one.default_factory()
    return type(value) is type(default) and bool(value == default)


def _at(place: str, key: object) -> str:
    return f"{place}.{key}" if place else str(key)


def _mismatch(place: str, wanted: str, value: Any) -> MismatchError:
    return MismatchError(place, f"must be {wanted}", _told(value))


def _told(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return "a table" if isinstance(value, Mapping) else "a list"
    return brief(repr(value), LONGEST)
