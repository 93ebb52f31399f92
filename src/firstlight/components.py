"""The door: a component is one definition, registered where it is written, and everything else is derived from it.

A component of most kinds is a frozen dataclass: its fields are its options, with the constraints on the fields
themselves, and its docstring explains each. Of some kinds it is a function, whose options are its further arguments.

    SCHEDULES = Components("schedule", base=Schedule, error=ExperimentError)

    @SCHEDULES.register
    class Exponential(Schedule):
        \"""lr · factorᵗ after t epochs, falling with every step.

        factor  the factor per epoch
        \"""

        factor: Annotated[float, Gt(0), Le(1)] = 0.95
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import math
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, cast, dataclass_transform, get_type_hints, overload
from weakref import WeakKeyDictionary

from firstlight.constraints import as_tuple, choices, fits, in_words, refusal, value_schema, with_article
from firstlight.errors import ExperimentError, KeyedError, nearest
from firstlight.options import documented, split_docstring
from firstlight.text import listed

Entry = TypeVar("Entry")
Built = TypeVar("Built")
Definition = TypeVar("Definition", bound=Callable[..., Any])
Method = TypeVar("Method", bound=Callable[..., Any])

REQUIRED = MISSING  # the default of an option that has to be given


@dataclass(frozen=True)
class Option:
    """One option of a component.

    annotation   its type, with the constraints
    default      `REQUIRED` where it has to be given
    explanation  what the docstring says of it; "" where it says nothing
    """

    name: str
    annotation: Any
    default: Any
    explanation: str = ""

    @property
    def default_text(self) -> str:
        """The default as a file writes it, without quotes; "needed" where it has to be given, "" where it is None."""
        if self.required or self.default is None:
            return "needed" if self.required else ""
        return self.default if isinstance(self.default, str) else json.dumps(self.default, default=str)

    @property
    def allowed(self) -> str:
        """The constraint in words, as they follow "must be": "a number from 0 to below 1"."""
        return in_words(self.annotation)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The few values that it may have; () where they are not counted."""
        return choices(self.annotation)

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Component:
    """The root of the bases of all kinds: type checkers know each that derives from it as a frozen dataclass."""

    def __post_init__(self) -> None:
        check_fields(self)


def needed(*, unless: str = "") -> Callable[[Method], Method]:
    """The decorator of a base's method that each component has to write: one without it is refused, in words.

    unless  another method, beside which it need not be written
    """

    def decorator(method: Method) -> Method:
        @functools.wraps(method)
        def refused(self: Any, *args: Any, **options: Any) -> Any:
            raise _kind_of(type(self)).lacking(type(self), (method.__name__,))

        refused.__dict__["needed_unless"] = unless
        return cast(Method, refused)

    return decorator


_REGISTRIES: list[Registry[Any]] = []  # of all kinds


def registries() -> list[Registry[Any]]:
    """The registries of all kinds that are loaded."""
    return sorted(_REGISTRIES, key=lambda registry: registry.kind)


@contextmanager
def whole_or_not() -> Iterator[None]:
    """What is registered meanwhile, of any kind, is forgotten where it ends in an error."""
    before = [(registry, dict(registry._entries), dict(registry._origins)) for registry in _REGISTRIES]
    try:
        yield
    except BaseException:
        for registry, entries, origins in before:
            registry._entries, registry._origins = entries, origins
        raise


def _discover() -> None:
    """Load the installed packages that bring components, once; `plugins`, which does, lies above."""
    importlib.import_module("firstlight.plugins").load_installed()


class Registry(Mapping[str, Entry]):
    """The components of one kind by name, each with the module that it came from.

    kind   the word for one: "optimizer"
    error  what is raised where something about one is wrong
    place  what a message calls an option's owner: "{kind}" as in optimizer.momentum, "{type}" as in Dense.units, or
           with the component's "{name}"
    """

    def __init__(self, kind: str, *, error: type[KeyedError] = ExperimentError, place: str = "{kind}") -> None:
        self.kind, self.error, self.place = kind, error, place
        self._entries: dict[str, Entry] = {}
        self._origins: dict[str, tuple[str, str]] = {}
        _REGISTRIES.append(self)

    # What installed packages bring is looked for when a name is unknown, or all of them are asked for: not before.

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            _discover()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        _discover()
        return iter(self._entries)

    def __len__(self) -> int:
        _discover()
        return len(self._entries)

    def add(self, name: str, entry: Entry, definition: Any = None) -> None:
        """Register `entry`; `definition` is what was written, where the entry was made of it.

        Raises the kind's error where the name is another's; the same definition may be made again, as a cell of a
        notebook that is run again.
        """
        definition = entry if definition is None else definition
        origin = (definition.__module__, definition.__qualname__)
        if not isinstance(name, str) or not name.strip():
            raise self.error(
                f"{origin[1]}: the name of {with_article(self.kind)} must be a non-empty string; received {name!r}."
            )
        if self._origins.get(name, origin) != origin:
            other = ".".join(self._origins[name])
            raise self.error(
                f"{'.'.join(origin)}: the {self.kind} {name!r} is {other} already. "
                'Choose another name, as in register(name="…").'
            )
        self._entries[name] = entry
        self._origins[name] = origin

    def known(self, name: object, key: str = "name") -> str:
        """The name, where there is such a component. Raises the kind's error, with the nearest that exist."""
        if not isinstance(name, str) or name not in self:
            text = f"{self.kind}: {name!r} is unknown. {nearest(str(name), self)}".rstrip()
            raise self.error(text, key=f"{self.kind}.{key}")
        return name

    def origin(self, name: str) -> str:
        """The module that a component was defined in."""
        return self._origins[name][0]

    def is_ours(self, name: str) -> bool:
        """Whether a component is one of firstlight's own."""
        return self.origin(name).partition(".")[0] == __name__.partition(".")[0]

    def name_of(self, entry: object) -> str | None:
        """The name under which something is registered, also an older definition of it; None where it is not."""
        origin = (getattr(entry, "__module__", ""), getattr(entry, "__qualname__", ""))
        return next((name for name, known in self._origins.items() if known == origin), None)

    def summary(self, name: str) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self[name]) or "").partition("\n")[0].strip()

    def about(self, name: str) -> str:
        """The docstring without the lines that explain options."""
        return split_docstring(self[name].__doc__)[0]

    def options(self, name: str) -> tuple[Option, ...]:
        """The options of a component."""
        raise NotImplementedError

    def defaults(self, name: str) -> dict[str, Any]:
        """The options that need not be given, with what they are then."""
        return {option.name: option.default for option in self.options(name) if not option.required}

    def json_schema(self, name: str, classes: Mapping[type, Mapping[str, Any]] | None = None) -> dict[str, Any]:
        """The JSON Schema of a table with the component's options.

        classes  the schemas of values of other classes, such as of layers in layers
        """
        options = self.options(name)
        schema: dict[str, Any] = {"type": "object", "description": inspect.getdoc(self[name]) or ""}
        schema["properties"] = {option.name: option_schema(option, classes) for option in options}
        schema["required"] = [option.name for option in options if option.required]
        schema["additionalProperties"] = False
        return schema

    def ours(self) -> dict[str, Entry]:
        """Firstlight's own, by name; no package is looked for."""
        return {name: entry for name, entry in self._entries.items() if self.is_ours(name)}

    def theirs(self) -> dict[str, Entry]:
        """A user's own that are loaded, by name; no package is looked for."""
        return {name: entry for name, entry in self._entries.items() if not self.is_ours(name)}

    def defined_in(self, module: str) -> list[str]:
        """The names of what a module, or one below it, has defined."""
        return [name for name, (origin, _) in self._origins.items() if f"{origin}.".startswith(f"{module}.")]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """What is registered meanwhile is forgotten afterwards: for tests, and to try a component."""
        before = dict(self._entries), dict(self._origins)
        try:
            yield
        finally:
            self._entries, self._origins = before

    def _must_be_documented(self, definition: Any) -> None:
        doc = (definition.__doc__ if inspect.isfunction(definition) else vars(definition).get("__doc__")) or ""
        if not doc.strip() or doc.startswith(f"{definition.__name__}("):  # as dataclass writes one
            raise self.error(
                f"{definition.__qualname__}: {with_article(self.kind)} needs a docstring. Its first line is shown "
                "in lists; below, it explains each option, as in: momentum  the share of the previous step to keep"
            )


class Definitions(Registry[Entry]):
    """The components of a kind that are what was written: classes, or functions."""

    @overload
    def register(self, definition: Definition, /) -> Definition: ...
    @overload
    def register(self, /, *, name: str) -> Callable[[Definition], Definition]: ...
    def register(self, definition: Any = None, /, *, name: str = "") -> Any:
        """The decorator that makes a `definition` a component, known by its name.

        A class becomes a frozen dataclass, if it is not one yet.

        name  where it is not to be the definition's own, in the kind's style: Dense, or one-cycle for OneCycle
        Raises the kind's error where it is not a definition of the kind, has no docstring, or where the name is taken.
        """
        if definition is None:
            return lambda definition: self._registered(definition, name)
        return self._registered(definition, name)

    def _registered(self, definition: Any, name: str) -> Any:
        """Register a definition, under its own name where none is given, and return it as it is then."""
        raise NotImplementedError


class Components(Definitions[type[Built]]):
    """The components of a kind that are frozen dataclasses.

    base  the class that each derives from; those that do are checked by `check_fields`, also before they are registered
    """

    def __init__(
        self, kind: str, *, base: type[Built], error: type[KeyedError] = ExperimentError, place: str = "{kind}"
    ) -> None:
        super().__init__(kind, error=error, place=place)
        self.base = base
        _KINDS[base] = self

    def build(self, name: str, /, **options: Any) -> Built:
        """The component called `name`, with its options; lists become tuples.

        Raises the kind's error for an unknown name or option, with the nearest that exists, for a value that an option
        cannot have, and where one that is needed is missing.
        """
        component = self[self.known(name)]
        known = {option.name: option for option in self.options(name)}
        for given in options:
            if given not in known:
                key = f"{self._owner(component)}.{given}"
                raise self.error(f"{key}: {name} has no such option. {nearest(given, known)}".rstrip(), key=key)
        for option in known.values():
            if option.required and option.name not in options:
                key = f"{self._owner(component)}.{option.name}"
                raise self.error(f"{key} is required: {option.allowed}.", key=key)
        return component(**{given: as_tuple(value) for given, value in options.items()})

    def options(self, name: str) -> tuple[Option, ...]:
        return options_of(self[name])

    def bad_field(self, component: type, option: Option, received: object) -> KeyedError:
        """The error for an option whose value is not what it must be."""
        key = f"{self._owner(component)}.{option.name}"
        return self.error(f"{key} {refusal(option.annotation, received)}", key=key)

    def lacking(self, component: type, methods: Sequence[str]) -> KeyedError:
        """The error for a class without methods that it needs, with what each gives."""
        said = [f"`{name}` ({_first_sentence(getattr(component, name))})" for name in methods]
        word = "a method" if len(said) == 1 else "methods"
        return self.error(f"{component.__qualname__}: {with_article(self.kind)} needs {word} {listed(said)}.")

    def default_name(self, component: type) -> str:
        """The name that a class has where none is given: its own where messages use that, else in kebab-case."""
        return component.__name__ if self.place == "{type}" else kebab(component.__name__)

    def _owner(self, component: type) -> str:
        name = self.name_of(component) or self.default_name(component)
        return self.place.format(kind=self.kind, type=component.__name__, name=name)

    def _registered(self, definition: Any, name: str) -> Any:
        if not isinstance(definition, type) or not issubclass(definition, self.base) or definition is self.base:
            named = getattr(definition, "__qualname__", repr(definition))
            raise self.error(
                f"{named}: {with_article(self.kind)} is a class that derives from {self.base.__name__} "
                f"({self.base.__module__}.{self.base.__name__})."
            )
        self._must_be_documented(definition)
        if missing := _missing(definition):
            raise self.lacking(definition, missing)
        try:
            component = definition if "__dataclass_fields__" in vars(definition) else dataclass(frozen=True)(definition)
            for option in options_of(component):
                in_words(option.annotation)
        except (TypeError, NameError) as error:
            raise self.error(f"{definition.__qualname__}: {error}.") from error
        self.add(name or self.default_name(component), component)
        return component


class Functions(Definitions[Callable[..., Built]]):
    """The components of a kind that are functions.

    takes  the names of the first arguments, which whoever calls it gives; all others are options
    """

    def __init__(
        self, kind: str, *, takes: Iterable[str], error: type[KeyedError] = ExperimentError, place: str = "{kind}"
    ) -> None:
        super().__init__(kind, error=error, place=place)
        self.takes = tuple(takes)

    def check(self, function: Any) -> None:
        """Raise the kind's error unless this is a function with a docstring and the arguments of its kind."""
        if not inspect.isfunction(function):
            raise self.error(f"{function!r}: {with_article(self.kind)} is a function ({', '.join(self.takes)}, …).")
        first = tuple(inspect.signature(function).parameters)[: len(self.takes)]
        if first != self.takes:
            raise self.error(
                f"{function.__qualname__}: {with_article(self.kind)} is a function ({', '.join(self.takes)}, …); "
                f"received ({', '.join(first)})."
            )
        self._must_be_documented(function)

    def _registered(self, function: Any, name: str) -> Any:
        self.check(function)
        self.add(name or kebab(function.__name__), function)
        return function

    def options(self, name: str) -> tuple[Option, ...]:
        function = inspect.unwrap(self[name])
        hints, said = get_type_hints(function, include_extras=True), documented(inspect.getdoc(function))
        found = []
        for parameter in list(inspect.signature(function).parameters.values())[len(self.takes) :]:
            annotation = hints.get(parameter.name, Any)
            default = REQUIRED if parameter.default is parameter.empty else parameter.default
            found.append(Option(parameter.name, annotation, default, said.get(parameter.name, "")))
        return tuple(found)


_KINDS: dict[type, Components[Any]] = {}  # by the base of each
_OPTIONS: WeakKeyDictionary[type, tuple[Option, ...]] = WeakKeyDictionary()  # that were read once


def check_fields(component: Any) -> None:
    """Raise the error of its kind, in words, unless each field has a value that its annotation allows."""
    kind = _kind_of(type(component))
    for option in options_of(type(component)):
        value = getattr(component, option.name)
        if not fits(option.annotation, value):
            raise kind.bad_field(type(component), option, value)


def _kind_of(component: type) -> Components[Any]:
    return next(_KINDS[base] for base in component.__mro__ if base in _KINDS)


def _missing(component: type) -> list[str]:
    """The methods that `needed` marks and that a class has not written, in the order of the bases."""
    owners = {name: owner for owner in reversed(component.__mro__) for name in vars(owner)}
    found = []
    for name, owner in owners.items():
        unless = getattr(getattr(component, name, None), "needed_unless", None)
        if unless is not None and not (unless and getattr(component, unless) is not getattr(owner, unless)):
            found.append(name)
    return found


def _first_sentence(method: Any) -> str:
    """What a method's docstring says first, without the point."""
    return " ".join((inspect.getdoc(method) or "").partition("\n")[0].split()).rstrip(".")


def values_of(component: Any) -> dict[str, Any]:
    """The options that a component has been given, or has by default."""
    return {option.name: getattr(component, option.name) for option in options_of(type(component))}


def options_of(component: type) -> tuple[Option, ...]:
    """The options of a class: its fields, those of its bases too. A base's docstring explains what it declares."""
    if component not in _OPTIONS:
        _OPTIONS[component] = _read_options(component)
    return _OPTIONS[component]


def _read_options(component: Any) -> tuple[Option, ...]:
    hints = get_type_hints(component, include_extras=True)
    said: dict[str, str] = {}
    for base in reversed(component.__mro__):
        said |= documented(vars(base).get("__doc__"))
    return tuple(
        Option(entry.name, hints[entry.name], _default(entry), said.get(entry.name, ""))
        for entry in fields(component)
        if entry.init
    )


def option_schema(option: Option, classes: Mapping[type, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """The JSON Schema of one option, with its explanation and its default."""
    schema = value_schema(option.annotation, classes or {})
    schema["description"] = f"{option.explanation} ({option.allowed})".lstrip()
    if not option.required and (default := _as_json(option.default)) is not None:
        schema["default"] = default
    return schema


def kebab(name: str) -> str:
    """A name of Python as files write it: OneCycle and one_cycle are one-cycle, LeakyReLU is leaky-relu."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "-", name).replace("_", "-").lower()


def import_modules(package: str, path: Iterable[str]) -> None:
    """Import each module of a package, which registers what it defines: `import_modules(__name__, __path__)`.

    Those whose names begin with an underscore are left to whoever uses them.
    """
    for module in sorted(pkgutil.iter_modules(path), key=lambda module: module.name):
        if not module.name.startswith("_"):
            importlib.import_module(f"{package}.{module.name}")


def _default(entry: Any) -> Any:
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def _as_json(value: Any) -> Any:
    """A default as JSON has it; None where it has none."""
    if isinstance(value, tuple | list):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str) else None
