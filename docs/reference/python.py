"""Every public name with its arguments and members: python.md."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from docs.reference.commands import explained
from docs.reference.markdown import escaped, paragraphs, table

import firstlight as fl
from firstlight.options import split_docstring

INTRODUCTION = """\
# The names in Python

Made by `python -m docs.reference` from the program itself: what `import firstlight as fl` gives. Whatever is not here \
is firstlight's own, and may change without notice. Everything is loaded when it is first asked for. The \
modules have a class or a function for each [component](components.md)."""


def is_decorator(thing: Any) -> bool:
    """Whether it takes components in: `fl.layer` and its kin."""
    return (inspect.ismethod(thing) and thing.__name__ == "register") or thing is fl.architecture


def is_error(thing: Any) -> bool:
    return inspect.isclass(thing) and issubclass(thing, Exception)


KINDS: dict[str, Callable[[Any], bool]] = {
    "Functions": lambda thing: inspect.isfunction(thing) and not is_decorator(thing),
    "Classes": lambda thing: inspect.isclass(thing) and not is_error(thing),
    "Decorators of components of your own": is_decorator,
    "Errors": is_error,
    "Modules": inspect.ismodule,
    "Values": lambda thing: not callable(thing) and not inspect.ismodule(thing),
}


def page() -> str:
    """The text of python.md. Raises ValueError where something is not explained."""
    parts = [INTRODUCTION]
    things = {name: getattr(fl, name) for name in fl.__all__}
    for kind, belongs in KINDS.items():
        parts.append(f"## {kind}")
        for name, thing in sorted(things.items()):
            if belongs(thing):
                parts += [f"### `fl.{name}`", *about(f"fl.{name}", thing)]
                things.pop(name)
    if things:
        raise ValueError(f"Of no kind that this page knows: {', '.join(things)}.")
    return "\n\n".join(parts) + "\n"


def about(name: str, thing: Any) -> Iterator[str]:
    """What is said of a name, part by part. Raises ValueError where something is not explained."""
    if inspect.isclass(thing) and not is_error(thing):
        yield from _class(name, thing)
    elif callable(thing) and not is_error(thing):
        yield from _function(name, thing)
    else:
        yield from paragraphs(explained(inspect.getdoc(thing), name))


def _function(name: str, function: Any) -> Iterator[str]:
    yield f"```text\n{name}{call(function)}\n```"
    text, listed = split_docstring(explained(inspect.getdoc(function), name))
    yield from paragraphs(text)
    keyed = inspect.Parameter.VAR_KEYWORD
    names = [each.name for each in inspect.signature(function).parameters.values() if each.kind is not keyed]
    must_explain(name, names, text, listed)
    if listed:
        order = [each for each in names if each in listed] + [each for each in listed if each not in names]
        yield table(("argument", "meaning"), ((f"`{each}`", escaped(listed[each])) for each in order))


def must_explain(whose: str, names: list[str], text: str, listed: Mapping[str, str]) -> None:
    """Raise ValueError where a docstring neither lists one of the names nor has it between backticks."""
    told = " ".join([text, *listed.values()])
    if missing := [name for name in names if name not in listed and f"`{name}`" not in told]:
        raise ValueError(f"{whose}: {', '.join(missing)} not explained.")


def _class(name: str, kind: type) -> Iterator[str]:
    text, listed = split_docstring(explained(inspect.getdoc(kind), name))
    yield from paragraphs(text)
    fields = [each.name for each in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    fields = [each for each in fields if not each.startswith("_")]
    must_explain(name, fields, text, listed)
    if listed:
        order = [each for each in fields if each in listed] + [each for each in listed if each not in fields]
        yield table(("field", "meaning"), ((f"`{each}`", escaped(listed[each])) for each in order))
    rows = [
        (_spelling(each, member), _first(explained(inspect.getdoc(_plain(member)), f"{name}.{each}")))
        for each, member in _members(kind)
        if each not in listed and each not in fields
    ]
    if rows:
        yield table(("member", "meaning"), rows)


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that firstlight's own classes give it."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("firstlight") and not base.__name__.startswith("_"):
            found |= {name: member for name, member in vars(base).items() if not name.startswith("_")}
    for name, member in sorted(found.items()):
        if callable(member) or isinstance(member, property | cached_property | classmethod | staticmethod):
            yield name, member


def _plain(member: Any) -> Any:
    return member.__func__ if isinstance(member, classmethod | staticmethod) else member


def _spelling(name: str, member: Any) -> str:
    return f"`{name}`" if isinstance(member, property | cached_property) else f"`{name}{call(_plain(member))}`"


def _first(text: str) -> str:
    """The first paragraph."""
    return " ".join(paragraphs(split_docstring(text)[0].partition("\n\n")[0]))


def call(function: Any) -> str:
    """The arguments with their defaults, without types: "(model, data, *, epochs=10)"."""
    parameters = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in inspect.signature(function).parameters.values()
        if each.name not in ("self", "cls")
    ]
    return re.sub(r"<[^<>]*(?:<[^<>]*>)?[^<>]*>", "…", str(inspect.Signature(parameters)))  # a function as default
