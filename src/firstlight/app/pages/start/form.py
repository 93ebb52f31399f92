"""The form of an experiment, made from its JSON Schema; and the tables that a filled one means.

A key of the schema is a field. What a table's choice by name brings with it (an architecture's options, an optimizer's)
are fields that are shown for that name alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, get_args

from firstlight.components import Option
from firstlight.constraints import value_schema
from firstlight.errors import ExperimentError, KeyedError
from firstlight.experiments import Experiment, parse_setting, put
from firstlight.experiments.config import NAMED
from firstlight.kernels import Fill
from firstlight.optimizers import OPTIMIZERS
from firstlight.options import documented
from firstlight.prepare import Augmentation
from firstlight.prepare.augmentation import FLIPS, kinds
from firstlight.prepare.augmentations import AUGMENTATIONS

Kind = Literal["string", "value", "flag", "choice", "strings", "table"]
Choices = tuple[tuple[str, str], ...]

OWN_LAYERS = "custom"  # stands among the architectures for a list of layers
CHOICES = {f"{table}.name": registry for table, registry in NAMED.items()}
# What most people set, in this order; all else is folded away by table.
USUAL = (
    "data.source",
    "data.size",
    "data.limit",
    "model.name",
    "training.epochs",
    "training.batch_size",
    "optimizer.name",
    "optimizer.lr",
    "seed",
)
LABELS = {
    "data.source": "images",
    "data.limit": "maximum number of training images",
    "data.group": "groups (kept in one split)",
    "model.name": "architecture",
    "optimizer.name": "optimizer",
    "optimizer.lr": "learning rate",
    "weights.init_from": "start from",
}
UNSET = {
    "data.size": "as they are",
    "data.limit": "all of them",
    "data.group": "nothing: each image by itself",
    "optimizer.lr": "the optimizer's own",
    "training.steps_per_epoch": "all images once",
}
TITLES = {
    "": "The machine",
    "data": "Images",
    "prepare": "Preprocessing",
    "augment": "Augmentation",
    "model": "Model",
    "weights": "Weights to start from",
    "loss": "Loss",
    "optimizer": "Optimizer",
    "schedule": "Learning-rate schedule",
    "penalty": "Penalties",
    "training": "Training",
}


@dataclass(frozen=True)
class Field:
    """One key of the experiment file, as a control.

    key      such as "training.epochs"
    kind     how its text is read: as it is, as a value of TOML, true or false, one of `choices`, strings separated by
             commas, or a table or list of TOML over several lines
    default  as text; "" where there is none
    limits   what is allowed, in words
    only_for  the name in the same table, such as an architecture's, that it is an option of; "" for all
    """

    key: str
    kind: Kind
    default: str = ""
    help: str = ""
    limits: str = ""
    choices: Choices = ()
    only_for: str = ""

    @property
    def label(self) -> str:
        section, _, name = self.key.rpartition(".")
        return LABELS.get(self.key, (section if name == "name" else name).replace("_", " "))

    @property
    def unset(self) -> str:
        """What stands in an empty field."""
        return "" if self.default else UNSET.get(self.key, "none")

    @property
    def id(self) -> str:
        """Its own in the page: architectures share the names of options."""
        return f"{self.key}@{self.only_for}" if self.only_for else self.key

    def read(self, text: str) -> Any:
        """The value that a text means; whether it is allowed, the experiment says."""
        text = text.strip()
        if self.kind in ("string", "choice"):
            return text
        if self.kind == "strings" and not text.startswith("["):
            return [part.strip() for part in text.split(",") if part.strip()]
        return parse_setting(f"{self.key}={text}")[1]


@dataclass(frozen=True)
class Section:
    """The fields of a table; `about` says what it is for."""

    name: str
    title: str
    about: str
    fields: tuple[Field, ...]


# What is not in the form. A plugin is code: none is loaded that a page names, or a run that a page is filled from.
OF_FILES = ("plugins",)


@cache
def sections() -> tuple[Section, ...]:
    """All fields of an experiment, by table, in the order of the schema; what stands in no table comes last."""
    schema = Experiment.model_json_schema()
    plain, sections = [], []
    for key, about in schema["properties"].items():
        reference = about.get("$ref") or next((each["$ref"] for each in about.get("allOf", ())), None)
        if reference is None:
            plain.append(_field(key, about))
            continue
        table = schema["$defs"][reference.rpartition("/")[2]]
        keys = {} if key == "augment" else table["properties"]  # of whose values a schema says less than their kinds do
        listed = [_field(f"{key}.{name}", inner) for name, inner in keys.items()]
        text = table.get("description", "").partition("\n\n")[0].replace("\n", " ")
        sections.append(Section(key, TITLES.get(key, key), text, (*listed, *_options(key))))
    about = "What the experiment runs on, and what its random draws come from."
    return (*sections, Section("", TITLES[""], about, tuple(plain)))


@cache
def all_fields() -> dict[str, Field]:
    """Every field of the form by its id."""
    return {field.id: field for section in sections() for field in section.fields if field.key not in OF_FILES}


def tables_of(texts: Mapping[str, str]) -> dict[str, Any]:
    """The experiment's tables that texts by the ids of fields mean; an empty text is the default.

    Raises ExperimentError for what is not a field.
    """
    tables: dict[str, Any] = {}
    for name, text in texts.items():
        field = all_fields().get(name)
        if field is None or not isinstance(text, str):
            raise ExperimentError(f"{name}: there is no such field in the form.")
        if text.strip() and not (field.key == "model.name" and text == OWN_LAYERS):
            put(tables, field.key, field.read(text))
    return {"data": {}, **tables}


def texts_of(tables: Mapping[str, Any]) -> dict[str, str]:
    """The texts by the ids of fields that mean `tables`, as far as there are fields for them."""
    texts: dict[str, str] = {}
    named = {section: table.get("name", "") for section, table in tables.items() if isinstance(table, Mapping)}
    if "layers" in tables.get("model", {}):
        named["model"] = texts["model.name"] = OWN_LAYERS
    for place, field in all_fields().items():
        section, _, name = field.key.rpartition(".")
        table = tables.get(section, {}) if section else tables
        usual = all_fields()[f"{section}.name"].default if field.only_for else ""
        if name in table and field.only_for in ("", named.get(section) or usual):
            texts.setdefault(place, as_text(table[name], field.kind))
    return texts


def as_text(value: Any, kind: Kind = "value") -> str:
    """A value as a person types it into a field."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if kind in ("string", "choice") else _toml(value) if kind == "table" else value
    if kind == "strings" and not any("," in text for text in value):
        return ", ".join(value)
    return _toml(value)


def errors_of(error: KeyedError) -> dict[str, list[str]]:
    """The sentences of an error by the keys of the fields that they are about; "" for what is about none."""
    found: dict[str, list[str]] = {}
    for key, said in error.keys:
        found.setdefault(_nearest_field(key), []).append(said)
    return found


def _nearest_field(key: str) -> str:
    """The key of the field that holds a key: data.size for data.size.0, optimizer.name for optimizer; "" for none."""
    known = {field.key for field in all_fields().values()}
    section, *rest = key.split(".", 2)
    named = f"{section}.name" if f"{section}.name" in CHOICES else section
    return next((place for place in (".".join((section, *rest[:1])), named) if place in known), "")


def _field(key: str, schema: Mapping[str, Any]) -> Field:
    """The field of a key of the schema."""
    ways = [way for way in schema.get("anyOf", [schema]) if way.get("type") != "null"]
    given = schema.get("default")
    default = "" if given in (None, [], {}) else as_text(given)
    field = Field(key, "value", default, schema.get("description", "").replace("`", ""), _limits(ways[0]))
    types = {way.get("type") for way in ways}
    if key in CHOICES:
        return replace(field, kind="choice", choices=_choices(key))
    if key == "model.layers":
        return replace(field, kind="table", only_for=OWN_LAYERS)
    if "enum" in ways[0]:
        return replace(field, kind="choice", choices=tuple((name, name) for name in ways[0]["enum"]), limits="")
    if types == {"boolean"}:
        return replace(field, kind="flag")
    if types == {"string"}:
        return replace(field, kind="string")
    if types == {"array"} and ways[0].get("items", {}).get("type") == "string":
        return replace(field, kind="strings", limits="separated by commas")
    if types & {"object", "array"} and "prefixItems" not in ways[0]:
        return replace(field, kind="table")
    if "prefixItems" in ways[0]:
        return replace(field, limits=f"such as 28 or 28x32, {_limits(ways[0]['prefixItems'][0])}")
    if key == "optimizer.lr":
        usual = {name: OPTIMIZERS.defaults(name).get("lr") for name in OPTIMIZERS}  # one of a user's own may have none
        each = ", ".join(f"{name} {lr:g}" for name, lr in usual.items() if lr is not None)
        return replace(field, limits=f"{field.limits}; {each}")
    return field


def _choices(key: str) -> Choices:
    """What can be chosen by name, each with the first line of what is written about it."""
    own = {OWN_LAYERS: "your own layers, one by one"} if key == "model.name" else {}
    known = {name: CHOICES[key].summary(name).replace("`", "") for name in CHOICES[key]}
    return tuple({**known, **own}.items())


def _options(section: str) -> Iterator[Field]:
    """The options of what a table names, and the kinds of augmentation."""
    if section == "augment":
        yield from _augmentations()
    if registry := CHOICES.get(f"{section}.name"):
        for name in registry:
            for option in registry.options(name):
                if (key := f"{section}.{option.name}") != "optimizer.lr":  # the table's own, whichever the optimizer
                    yield _option(key, name, option)


def _option(key: str, name: str, option: Option) -> Field:
    of_type = value_schema(option.annotation).get("type")
    kinds: dict[Any, Kind] = {"boolean": "flag", "string": "string"}
    kind: Kind = "choice" if option.choices else kinds.get(of_type, "value")
    limits = "" if kind != "value" or option.allowed in ("a number", "an integer") else option.allowed
    default = "" if option.required else as_text(option.default)
    return Field(key, kind, default, option.explanation, limits, tuple((each, each) for each in option.choices), name)


def _augmentations() -> Iterator[Field]:
    for name in kinds():
        default = as_text(0.0) if name in FLIPS else ""
        yield Field(
            f"augment.{name}",
            "value",
            default,
            AUGMENTATIONS.summary(name).replace("`", ""),
            AUGMENTATIONS[name].allowed(),
        )
    known, usual = documented(Augmentation.__doc__), Augmentation()
    fills = tuple((each, each) for each in get_args(Fill))
    yield Field("augment.fill", "choice", usual.fill, known["fill"], "", fills)
    yield Field("augment.fill_value", "value", as_text(usual.fill_value), known["fill_value"].replace("`", ""))


def _limits(schema: Mapping[str, Any]) -> str:
    """The bounds of a number in words."""
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    parts = [f"above {above:g}"] if above is not None else [f"{low:g} or more"] if low is not None else []
    parts += [f"below {below:g}"] if below is not None else [f"at most {high:g}"] if high is not None else []
    whole = "an integer, " if parts and schema.get("type") == "integer" else ""
    return whole + ", ".join(parts)


def _toml(value: Any) -> str:
    """A value of TOML on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
