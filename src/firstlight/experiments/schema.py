"""The JSON Schema of the tables that choose a component by its name: an alternative for each, with its options.

A table without a name means the usual one. What no alternative has is not a key of the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firstlight.components import Registry, option_schema
from firstlight.layers import LAYERS, Layer
from firstlight.models import OUTPUTS

LAYER = {"$ref": "#/$defs/Layer"}  # layers are made of layers


def with_choices(schema: dict[str, Any], named: Mapping[str, Registry[Any]]) -> dict[str, Any]:
    """The schema of the experiment file, with what the tables may name; `named` has the registry for each table."""
    tables = schema["$defs"]
    for table, registry in named.items():
        _add_choices(tables[table.capitalize()], registry)
    _add_layers(tables["Model"], named["model"])
    tables["Layer"] = {"oneOf": [_layer(kind) for kind in LAYERS]}
    return schema


def _add_choices(table: dict[str, Any], registry: Registry[Any]) -> None:
    usual = table["properties"]["name"]["default"]
    table["oneOf"] = [_named(registry, name, usual) for name in registry]
    table.pop("additionalProperties", None)
    table["unevaluatedProperties"] = False


def _add_layers(table: dict[str, Any], architectures: Registry[Any]) -> None:
    """The table of the model may have layers instead of an architecture, and each architecture may have `outputs`."""
    outputs = {key: value for key, value in option_schema(OUTPUTS).items() if key != "default"}
    for named in table["oneOf"]:
        named["properties"] |= {OUTPUTS.name: outputs, "layers": {"type": "null"}}
    layers = {"type": "array", "items": LAYER}
    table["properties"]["layers"] |= {"anyOf": [layers, {"type": "null"}]}
    own = {"name": {"type": "string", "not": {"enum": [*architectures]}}, "layers": layers}
    table["oneOf"].append({"title": "layers of your own", "properties": own, "required": ["layers"]})


def _named(registry: Registry[Any], name: str, usual: str) -> dict[str, Any]:
    options: Mapping[str, Any] = registry.json_schema(name)
    return {
        "title": name,
        "description": options["description"],
        "properties": {"name": {"const": name}, **options["properties"]},
        "required": [*([] if name == usual else ["name"]), *options["required"]],
    }


def _layer(kind: str) -> dict[str, Any]:
    options = LAYERS.json_schema(kind, {Layer: LAYER})
    properties = {"type": {"const": kind}, **options["properties"]}
    return {"title": kind, **options, "properties": properties, "required": ["type", *options["required"]]}
