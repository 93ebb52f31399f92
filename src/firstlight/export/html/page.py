"""The page as text: the net as JSON, its weights in base64, the scripts, and a policy that lets nothing else run."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from firstlight import design_tokens
from firstlight.errors import FirstlightError
from firstlight.explain.net import fewer, places_of
from firstlight.export.exportable import Exportable
from firstlight.export.html.net import packed
from firstlight.report.format import count, date, percent
from firstlight.report.render.html import embedded, script
from firstlight.text import capitalized, encodable
from firstlight.types import Json

HERE = Path(__file__).parent
ENGINE = ("engine.js",)
SCRIPTS = (
    "image.js",
    *(f"drawing/{name}.js" for name in ("elements", "probabilities", "feature_maps", "strokes")),
    "page.js",
)
STYLES = ("drawing/drawing.css", "page.css")
LAYERS_SHOWN = 24


def page(model: Exportable, claim: str, *, half: bool) -> str:
    """The whole page. `half`: weights with 16 bits. Raises ExportError where they are beyond what these can hold."""
    operations, weights = packed(model.operations, half)
    net = {**_about(model), "operations": operations}
    engine, code = (Markup(script("\n".join(map(_script, names)))) for names in (ENGINE, SCRIPTS))
    style = Markup(design_tokens.css() + "\n".join(map(_asset, STYLES)))
    made = (
        _templates()
        .get_template("page.html.j2")
        .render(
            name=model.title,
            data=model.facts.get("data", ""),
            facts=_origin(model.facts),
            classes=model.class_names,
            drawn=net["strokes"]["plain"],
            claim=claim,
            policy=_policy([engine, code], style),
            style=style,
            engine=engine,
            script=code,
            net=_by_lines(net),
            weights=weights,
        )
    )
    return encodable(made)


def _origin(facts: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Where the model comes from and what was measured: a label, a text, and a detail beside it."""
    links = {"data": facts.get("homepage of the data", "")}
    found = []
    if accuracy := facts.get("test accuracy"):
        low, _, high = facts.get("95 % interval", "").partition(" to ")
        interval = f"95 % interval {_percent(low)} to {_percent(high)}, " if high else ""
        images = facts.get("test images", "")
        found.append(
            ("Accuracy on test images", _percent(accuracy), f"{interval}{count(int(images))} images" if images else "")
        )
    for name, text in facts.items():
        if name not in ("model", "homepage of the data", "test accuracy", "95 % interval", "test images"):
            shown = date(text) if name == "trained" else text
            found.append((capitalized(name), shown, links.get(name, "")))
    return found


def _percent(share: str) -> str:
    return percent(float(share))


def _about(model: Exportable) -> Json:
    """What the page must know of the model beside its operations."""
    given = {one.output for one in model.operations}
    first = model.prefixes[0]  # of several nets, the layers of one are shown
    places = [place for place in places_of(model.task).values() if place.gives_values and first + place.path in given]
    return {
        "model": model.title,
        "classes": list(model.class_names),
        "columns": model.columns,
        "size": list(model.input_shape),
        "strokes": _strokes(model),
        "layers": [{"path": first + place.path, "type": place.type} for place in fewer(places, LAYERS_SHOWN)],
    }


def _strokes(model: Exportable) -> Json:
    """What the training images are like as drawings. Where they cannot be had, nobody is asked to draw."""
    with suppress(FirstlightError):
        style = model.strokes()
        return {field.name: getattr(style, field.name) for field in fields(style)}
    height, width, channels = model.input_shape
    return {"paper": [0] * channels, "light": True, "plain": False, "box": max(height, width), "brush": 0.1}


def _by_lines(net: Json) -> Markup:
    """JSON that a person can read: an operation a line."""

    def lines() -> Iterator[str]:
        for name, value in net.items():
            if name == "operations":
                yield f"{json.dumps(name)}: [\n" + ",\n".join(embedded(one) for one in value) + "\n]"
            else:
                yield f"{json.dumps(name)}: {embedded(value)}"

    return Markup("{\n" + ",\n".join(lines()) + "\n}")


def _policy(scripts: list[Markup], style: Markup) -> str:
    """The content security policy: these scripts and this style, images of its own, and nothing from anywhere."""

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"

    allowed = " ".join(map(hashed, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {hashed(style)}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _script(name: str) -> str:
    """A script; what it exports or imports from the others is there, since all are one."""
    return re.sub(r'^import .* from "\./.*";\n|^export ', "", _asset(name), flags=re.MULTILINE)


@cache
def _asset(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
