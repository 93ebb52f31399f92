"""What holds for every section: whatever the runs are, each renderer draws it, and no number in it is none.

A section is found here by its file alone: its `section(groups)` is tried on odd runs, its `examples()` as they are.
One of a search has `section(tuned)` instead; its examples are tried here, and its record by the page of a search.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import altair as alt
import pytest
from tests.report.explanations import explained_run
from tests.report.page_checks import assert_sound
from tests.report.run_folders import HOSTILE, MakeRun

from firstlight.app.server import blocks as dashboard
from firstlight.notebook import html as notebook_html
from firstlight.records.group import Group, of_runs
from firstlight.records.run import read
from firstlight.report import sections
from firstlight.report.document import Beside, Block, Chart, Document, Number, Numbers, Section
from firstlight.report.render import vega
from firstlight.report.render.html import page
from firstlight.report.render.pdf import pdf

NONE = re.compile(r"\b(nan|NaN|None|inf|Infinity|undefined)\b")
NARROW = 300  # CSS pixels, as on a phone


class OneThing(Protocol):
    """The names that a file in report/sections/ has."""

    __doc__: str

    def section(self, groups: Sequence[Group]) -> Section | None: ...

    def examples(self) -> dict[str, tuple[Block, ...]]: ...


def thing(name: str) -> OneThing:
    return cast(OneThing, importlib.import_module(f"{sections.__name__}.{name}"))


NAMES = [module.name for module in pkgutil.iter_modules(sections.__path__)]
OF_GROUPS = [name for name in NAMES if "groups" in inspect.signature(thing(name).section).parameters]
RUNS: dict[str, tuple[dict[str, Any], ...]] = {
    "one": ({},),
    "explained by nothing": ({"validation": False, "epochs": 1},),
    "without an epoch": ({"status": "interrupted", "epochs": 0},),
    "diverged": ({"status": "diverged", "losses": (0.9, 0.5, 2.0**101, float("nan"))},),
    "no mistakes": ({"skill": 99.0},),
    "hostile names": ({"class_names": HOSTILE},),
    "thirty classes": ({"class_names": tuple(f"species {k}" for k in range(30)), "test": 90},),
    "two": ({}, {"model": "mlp-128", "skill": 0.5, "epochs": 2, "parameters": 650}),
    "two with seeds": tuple({"model": model, "seed": s, "skill": 0.5 + s} for model in ("a", "b") for s in (0, 1)),
    "two, one of them without validation": ({}, {"model": "b", "validation": False}),
}


def document(parts: Sequence[Section]) -> Document:
    return Document("a test", "Every section", "", "", Numbers((Number("sections", "1"),)), tuple(parts))


def charts(blocks: Sequence[Block]) -> Iterator[Chart]:
    for block in blocks:
        if isinstance(block, Beside):
            yield from charts(block.blocks)
        elif isinstance(block, Chart):
            yield block


def assert_drawn(parts: Sequence[Section]) -> None:
    """Page, PDF, notebook, dashboard, dark and narrow; nothing in words that is not a number."""
    made = document(parts)
    shown = assert_sound(page(made))
    assert not NONE.search(shown.text), NONE.search(shown.text)
    assert 'class="undrawn"' not in (card := notebook_html.drawn([b for part in parts for b in part.blocks]))
    assert not NONE.search(re.sub(r'="[^"]*"', "", card))
    assert pdf(made).startswith(b"%PDF")
    _, drawn, specs = dashboard.drawn(made.numbers, parts)
    found = [chart for part in parts for chart in charts(part.blocks)]
    assert (len(drawn), len(specs)) == (len(parts), len(found))
    for chart in found:
        alt.Chart.from_dict({**chart.spec, "width": "container"}, validate=True)
        text = json.dumps(chart.spec, allow_nan=False)
        assert '"url"' not in text
        assert "#" not in text.replace("url(#", "")  # light and dark: colours are the names of the page's
        assert chart.description
        svg = vega.svg(chart.spec, min(NARROW, chart.width))
        assert not NONE.search(svg)


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_section_are_drawn(name: str) -> None:
    examples = thing(name).examples()
    assert examples
    assert_drawn([Section(what, f"example-{n}", blocks) for n, (what, blocks) in enumerate(examples.items())])


@pytest.mark.slow
@pytest.mark.parametrize("odd", RUNS.values(), ids=RUNS.keys())
def test_every_section_of_odd_runs_is_drawn(make_run: MakeRun, odd: tuple[dict[str, Any], ...]) -> None:
    groups = of_runs([read(make_run(f"run-{n}", **changes)) for n, changes in enumerate(odd)])
    found = {name: thing(name).section(groups) for name in OF_GROUPS}
    assert_drawn([part for part in found.values() if part is not None])
    assert [name for name, part in found.items() if part is not None and not part.blocks] == []


@pytest.mark.slow
@pytest.mark.parametrize("odd", [{"channels": 3}, {"dense": True, "class_names": HOSTILE}, {"skill": 99.0}])
def test_every_section_of_an_explained_run_is_drawn(make_run: MakeRun, odd: dict[str, Any]) -> None:
    groups = of_runs([read(explained_run(make_run, **odd))])
    found = {name: thing(name).section(groups) for name in OF_GROUPS}
    assert_drawn([part for part in found.values() if part is not None])
    assert {"feature_maps", "attribution", "embedding", "separation", "neighbours"} <= {n for n in found if found[n]}


@pytest.mark.parametrize("name", OF_GROUPS)
def test_a_section_of_nothing_is_none_and_its_file_says_what_it_is(name: str) -> None:
    assert thing(name).section([]) is None
    assert thing(name).__doc__


def test_a_section_that_says_nan_is_rejected() -> None:
    from firstlight.report.document import Text

    with pytest.raises(AssertionError):
        assert_drawn([Section("Broken", "broken", (Text(f"The loss is {float('nan')}."),))])


def test_sections_are_found() -> None:
    assert "learning" in NAMES
    assert [p.stem for p in sorted(Path(sections.__path__[0]).glob("[a-z]*.py"))] == sorted(NAMES)
