"""Names in charts as numbers: what people wrote is shown, and never a key of the library that draws.

The library keeps groups in JavaScript objects by their names, and every object has a `constructor` already. So a name
that sets marks apart, by place, colour or shape, stands in the specification as its number, and what an axis or a
legend says is told apart from it: cut to its room here, since the library cuts letters beyond U+FFFF in two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from firstlight.text import cut
from firstlight.types import Json

SHOWN_WHOLE = frozenset({"tooltip", "text"})  # channels that show a name and tell nothing apart by it
GUIDES = {"x": "axis", "y": "axis", "color": "legend", "fill": "legend", "shape": "legend", "strokeDash": "legend"}
KEY = "_key"


def keyed(spec: Json, theme: Mapping[str, Any]) -> Json:
    """The specification with numbers for the names that its marks are told apart by; `theme` says how much is shown."""
    return _Keys(spec, theme).replaced()


class _Keys:
    """The numbers of the names in one specification, by field, and the labels that axes and legends show for them."""

    def __init__(self, spec: Json, theme: Mapping[str, Any]) -> None:
        self.spec = spec
        self.theme = theme
        self.datasets: dict[str, list[dict[str, Any]]] = spec.get("datasets", {})
        self.labels: dict[str, list[str]] = {}
        fields = dict.fromkeys(channel["field"] for channel in _channels(spec))
        found = {field: self._names(field) for field in fields}
        self.numbers = {field: {name: n for n, name in enumerate(names)} for field, names in found.items() if names}

    def _names(self, field: str) -> list[str]:
        """The names of a field, first those of its scales in their order; none where the field is not of names."""
        domains = [one.get("scale", {}).get("domain", []) for one in _channels(self.spec) if one["field"] == field]
        values = [row[field] for rows in self.datasets.values() for row in rows if field in row]
        found = dict.fromkeys(value for part in (*domains, values) for value in part)
        return list(found) if values and all(isinstance(name, str) for name in found) else []

    def replaced(self) -> Json:
        made = self._part(self.spec)
        made["datasets"] = {name: [self._row(row) for row in rows] for name, rows in self.datasets.items()}
        parameters = [{"name": name, "value": labels} for name, labels in self.labels.items()]
        if parameters:
            made["params"] = [*made.get("params", []), *parameters]
        return made

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, **{f"{field}{KEY}": found[row[field]] for field, found in self.numbers.items() if field in row}}

    def _part(self, part: Json) -> Json:
        """The whole, or a layer."""
        made = dict(part)
        if "encoding" in part:
            made["encoding"] = {
                name: [self._channel(name, one) for one in channel]
                if isinstance(channel, list)
                else self._channel(name, channel)
                for name, channel in part["encoding"].items()
            }
        if "layer" in part:
            made["layer"] = [self._part(layer) for layer in part["layer"]]
        if "params" in part:
            made["params"] = [self._selection(one) for one in part["params"]]
        return made

    def _channel(self, name: str, channel: Json) -> Json:
        field = channel.get("field")
        if name in SHOWN_WHOLE or field not in self.numbers:
            return channel
        names = self.numbers[field]
        made = {"title": field, **channel, "field": f"{field}{KEY}"}
        scale = channel.get("scale") or {}
        if "domain" in scale:
            made["scale"] = {**scale, "domain": [names[one] for one in scale["domain"]]}
        guide = GUIDES.get(name)
        asked = channel.get(guide, {}) if guide else None
        if guide and asked is not None:
            made[guide] = {**asked, "labelLimit": 0}
            if asked.get("labels", True):
                limit = asked.get("labelLimit", self.theme[guide]["labelLimit"])
                label = f"{field}_{guide}_{limit}"  # as a value: in an expression, the library looks names up
                self.labels[label] = [cut(one, limit, self.theme[guide]["labelFontSize"]) for one in names]
                made[guide]["labelExpr"] = f"{label}[datum.value]"
        return made

    def _selection(self, parameter: Json) -> Json:
        """A selection by names is one by their numbers."""
        select = parameter.get("select")
        if not isinstance(select, dict) or "fields" not in select:
            return parameter
        fields: Sequence[str] = select["fields"]
        keys = [f"{field}{KEY}" if field in self.numbers else field for field in fields]
        return {**parameter, "select": {**select, "fields": keys}}


def _channels(part: Json) -> Iterator[Json]:
    """Every channel, of every layer, that tells marks apart by a nominal field."""
    for name, channel in part.get("encoding", {}).items():
        for one in channel if isinstance(channel, list) else [channel]:
            if name not in SHOWN_WHOLE and one.get("type") == "nominal":
                yield one
    for layer in part.get("layer", []):
        yield from _channels(layer)
