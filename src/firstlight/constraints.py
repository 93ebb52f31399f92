"""What a value may be, said once at its type: `Annotated[float, Ge(0), Lt(1)]` is checked, told and written as schema.

The constraints are those of annotated_types, and `Fits` for any other.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen, Unit

from firstlight.errors import brief, nearest
from firstlight.options import is_number
from firstlight.text import listed

FEW = 5  # names that a message lists, instead of the nearest alone


@dataclass(frozen=True)
class Fits:
    """A constraint of one's own on a field, beside those of annotated_types: whether a value fits, and what does.

    words  as they follow "must be": "a string without a full stop"
    """

    test: Callable[[Any], bool]
    words: str


@dataclass(frozen=True)
class Words:
    """Other words for what fits, where those that follow from the type read badly."""

    words: str


@dataclass(frozen=True, eq=False)
class OneOf:
    """A name out of those that are there when a value is checked, such as the keys of a registry."""

    names: Collection[str]


def fits(annotation: Any, value: Any) -> bool:
    """Whether a value is of the annotated type and within its constraints.

    An integer is a number too; numbers are finite. What the types here do not tell apart, fits.
    """
    kind, constraints = _parts(annotation)
    of, inner = get_origin(kind), get_args(kind)
    if kind is bool or kind is str:
        right = isinstance(value, kind)
    elif kind is int:
        right = isinstance(value, int) and not isinstance(value, bool)
    elif kind is float:
        right = is_number(value)
    elif of is Literal:
        right = any(type(value) is type(choice) and value == choice for choice in inner)
    elif of in (Union, types.UnionType):
        right = any(fits(each, value) for each in inner)
    elif of is Sequence:
        right = isinstance(value, tuple | list) and all(fits(inner[0], each) for each in value)
    elif of is tuple:
        each_of = [inner[0]] * len(value) if inner[1:] == (...,) and isinstance(value, tuple) else inner
        right = isinstance(value, tuple) and len(value) == len(each_of) and all(map(fits, each_of, value))
    else:
        right = not _is_class(of or kind) or isinstance(value, of or kind)
    return right and all(_holds(constraint, value) for constraint in constraints)


def in_words(annotation: Any) -> str:
    """What `fits`, as it follows "must be": "a number from 0 to below 1"."""
    kind, constraints = _parts(annotation)
    if own := [each.words for each in constraints if isinstance(each, Fits | Words)]:
        return own[-1]
    if names := choices(annotation):
        return listed(map(str, names), "or")
    of, inner = get_origin(kind), get_args(kind)
    if kind is bool:
        return "true or false"
    if kind is str:
        return "a non-empty string" if MinLen(1) in constraints else "a string"
    if kind in (int, float):
        units = "".join(f" of {each.unit}" for each in constraints if isinstance(each, Unit))
        whole = "a whole number" if units else "an integer"  # a whole number of epochs
        return f"{whole if kind is int else 'a number'}{units}{_range(constraints)}"
    if of in (Union, types.UnionType):
        return listed((in_words(each) for each in inner if each is not type(None)), "or")
    if of in (tuple, Sequence):
        return _list_in_words(inner if of is tuple else (*inner, ...), constraints)
    named = of or kind
    return with_article(named.__name__.lower()) if _is_class(named) and named is not object else "anything"


def refusal(annotation: Any, received: object) -> str:
    """Why a value is none that fits, as it follows the name: "must be a number from 0 to 1; received 2."

    Of one of many names, the nearest is told.
    """
    names = [name for name in choices(annotation) if isinstance(name, str)]
    close = nearest(received, names) if isinstance(received, str) and names else ""
    if len(names) > FEW and close:
        return f"must be one of those known; received {brief(repr(received))}. {close}"
    told = f" {close}" if close.startswith("Did") and " or " not in close else ""
    return f"must be {in_words(annotation)}; received {brief(repr(received))}.{told}"


def choices(annotation: Any) -> tuple[Any, ...]:
    """The few values that an annotation allows; () where they are not counted."""
    kind, constraints = _parts(annotation)
    if names := [each.names for each in constraints if isinstance(each, OneOf)]:
        return tuple(names[-1])
    if get_origin(kind) in (Union, types.UnionType):
        each = [choices(way) for way in get_args(kind)]
        return tuple(name for names in each for name in names) if all(each) else ()
    return get_args(kind) if get_origin(kind) is Literal else ()


def value_schema(annotation: Any, classes: Mapping[type, Mapping[str, Any]] = MappingProxyType({})) -> dict[str, Any]:
    """The JSON Schema of what `fits`; {} where JSON cannot say it.

    classes  the schemas of values of other classes
    """
    kind, constraints = _parts(annotation)
    of, inner = get_origin(kind), get_args(kind)
    schema: dict[str, Any] = dict(classes.get(kind, {}))
    if kind in _JSON_TYPES:
        schema["type"] = _JSON_TYPES[kind]
    if names := choices(annotation):
        schema["enum"] = list(names)
    elif of in (Union, types.UnionType):
        each = [value_schema(each, classes) for each in inner if each is not type(None)]
        schema |= each[0] if len(each) == 1 else {"anyOf": each}
    elif of is Sequence or inner[1:] == (...,):
        schema |= {"type": "array", "items": value_schema(inner[0], classes)}
    elif of is tuple:
        schema |= {"type": "array", "prefixItems": [value_schema(each, classes) for each in inner]}
    for constraint in constraints:
        for type_, attribute, array_key, key in _JSON_BOUNDS:
            if isinstance(constraint, type_):
                schema[array_key if of in (tuple, Sequence) else key] = getattr(constraint, attribute)
    return schema


def as_tuple(value: Any) -> Any:
    """Lists, and lists in lists, as tuples: what a frozen value holds."""
    return tuple(map(as_tuple, value)) if isinstance(value, list | tuple) else value


def with_article(noun: str) -> str:
    """ "an optimizer", "a loss"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


_JSON_TYPES: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
_JSON_BOUNDS: tuple[tuple[type, str, str, str], ...] = (
    (Ge, "ge", "minimum", "minimum"),
    (Gt, "gt", "exclusiveMinimum", "exclusiveMinimum"),
    (Le, "le", "maximum", "maximum"),
    (Lt, "lt", "exclusiveMaximum", "exclusiveMaximum"),
    (MinLen, "min_length", "minItems", "minLength"),
    (MaxLen, "max_length", "maxItems", "maxLength"),
)


def _is_class(kind: Any) -> bool:
    return isinstance(kind, type) and kind is not Any


def _parts(annotation: Any) -> tuple[Any, list[Any]]:
    """The bare type of an annotation, and its constraints. Raises TypeError for one that is not known here."""
    if get_origin(annotation) is not Annotated:
        return annotation, []
    kind, *metadata = get_args(annotation)
    constraints = [part for each in metadata for part in (each if isinstance(each, GroupedMetadata) else (each,))]
    for each in constraints:
        if type(each).__module__ == Ge.__module__ and not isinstance(each, Ge | Gt | Le | Lt | MinLen | MaxLen | Unit):
            raise TypeError(f"the constraint {each!r} is not known here; say it as Fits(test, words)")
    return kind, constraints


def _holds(constraint: Any, value: Any) -> bool:
    if value is None:
        return True
    match constraint:
        case Ge(least):
            return bool(value >= least)
        case Gt(bound):
            return bool(value > bound)
        case Le(most):
            return bool(value <= most)
        case Lt(bound):
            return bool(value < bound)
        case MinLen(least):
            return len(value) >= least
        case MaxLen(most):
            return len(value) <= most
        case Fits(test, _):
            return test(value)
        case OneOf(names):
            return value in names
    return True


def _list_in_words(inner: tuple[Any, ...], constraints: Iterable[Any]) -> str:
    """Of a tuple, which is a list in a file: "a list of integers from 1", "a tuple of at least one layer"."""
    if inner[1:] != (...,):
        same = len(inner) == 2 and inner[0] == inner[1]
        return f"a pair of {plural(in_words(inner[0]))}" if same else f"a list of {listed(map(in_words, inner))}"
    least = next((each.min_length for each in constraints if isinstance(each, MinLen)), 0)
    words = in_words(inner[0]).removeprefix("a ").removeprefix("an ") if least == 1 else plural(in_words(inner[0]))
    several = {0: "", 1: "at least one "}.get(least, f"at least {least} ")
    return f"a {'tuple' if _is_class(inner[0]) and inner[0] not in _JSON_TYPES else 'list'} of {several}{words}"


def plural(words: str) -> str:
    """Of the words of a constraint: "integers from 1" for "an integer from 1"."""
    bare = re.sub(r"^an? ", "", words)
    if bare == words:
        return words
    return re.sub(r"^((?:whole |non-empty )?\w+)", r"\1s", bare)


def _range(constraints: Iterable[Any]) -> str:
    """The bounds of a number, in words."""
    low = high = ""
    open_low = False
    for constraint in constraints:
        match constraint:
            case Ge(least):
                low = f" from {least:g}"
            case Gt(bound):
                low, open_low = f" above {bound:g}", True
            case Le(most):
                high = f"to {most:g}"
            case Lt(bound):
                high = f"below {bound:g}"
    if not low or not high:
        return low or (f" up {high}" if high.startswith("to") else f" {high}" if high else "")
    if high.startswith("to"):
        return f"{low}, {high}" if open_low else f"{low} {high}"
    return f"{low} and {high}" if open_low else f"{low} to {high}"
