"""Pages of the report as they are known to be: their text, and the specifications of their charts.

Written again by `python -m tests.report.golden_pages`: look at the difference before you keep it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.report.explanations import explanation_of
from tests.report.parity_checks import parity
from tests.report.run_folders import STRONG, WEAK, entry, write_run, write_study
from tests.report.search_folders import put

import firstlight
from firstlight import report
from firstlight.records.run_folder import RunFolder

GOLDEN = Path(__file__).parent / "golden"
BLOCKS = {"p", "h1", "h2", "h3", "dt", "dd", "tr", "li", "figcaption", "pre", "summary", "footer", "img", "svg"}
ROWS = 4  # of a chart that are kept whole; a digest stands for more


def _run(path: Path, name: str = "a-run", **odd: Any) -> RunFolder:
    (path / name).mkdir()
    write_run(path / name, **odd)
    return RunFolder.open(path / name)


def _explained(path: Path) -> RunFolder:
    run = _run(path, channels=3)
    explanation_of(run).write(run)
    return RunFolder.open(run.path)


def _many_notes(path: Path) -> RunFolder:
    """A run with all that a page can warn of, and with an augmentation."""
    checks = {"duplicates_across": {"train-test": 12}, "conflicting_labels": 2, "missing_classes": {"test": ["dog"]}}
    data = {"checks": checks, "set_aside": {"0.png": "truncated"}, "class_weights": [1.0, 2.0, 0.5]}
    augment = "rotate = { range = [-10, 10], p = 1 }\nflip_horizontal = 0.5"
    return _run(path, status="interrupted", epochs=3, restore_best=False, data=data, augment=augment)


def _compared(path: Path, seeds: int) -> report.Comparison:
    recipes = {"weak": WEAK, "strong": STRONG}
    runs = [_run(path, f"{name}-{s}", seed=s, **odd) for name, odd in recipes.items() for s in range(seeds)]
    return report.Comparison(runs)


SUBJECTS: dict[str, Callable[[Path], report.Subject]] = {
    "run": _run,
    "run-explained": _explained,
    "run-notes": _many_notes,
    "run-no-validation": lambda path: _run(path, validation=False),
    "comparison": lambda path: _compared(path, 1),
    "comparison-seeds": lambda path: _compared(path, 3),
    "study": lambda path: write_study(
        path / "nets",
        (entry("weak", published=0.99, note="Too small a net for this."), WEAK),
        (entry("strong", published=0.5, beside={"Keras, the same images": 0.97}), STRONG),
        missing=frozenset({("weak", 3)}),
    ),
    "search": lambda path: put(path / "search"),
    "parity": lambda path: parity(),
}


class _Text(HTMLParser):
    """The lines that a reader sees, charts apart."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[list[str]] = [[]]
        self.hidden = ""
        self.specs = ""
        self.of_specs = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BLOCKS:
            self.lines.append(["## "] if tag == "h2" else [])
        found = dict(attrs)
        self.of_specs = tag == "script" and found.get("id") == "specs"
        if tag in ("script", "style", "svg") and not self.hidden:
            self.hidden = tag
        for shown in ("aria-label", "alt"):
            if found.get(shown) and tag in ("div", "img") and "scroll" not in (found.get("class") or "").split():
                self.lines.append([f"[{found[shown]}]"])

    def handle_endtag(self, tag: str) -> None:
        if tag == self.hidden:
            self.hidden = ""
        if tag in BLOCKS:
            self.lines.append([])
        elif tag in ("th", "td"):
            self.lines[-1].append(" | ")

    def handle_data(self, data: str) -> None:
        if self.of_specs:
            self.specs += data
        elif not self.hidden:
            self.lines[-1].append(data)

    @property
    def text(self) -> str:
        lines = [" ".join("".join(parts).split()).removesuffix(" |") for parts in self.lines]
        return "\n".join(line for line in lines if line) + "\n"


def _rounded(value: Any) -> Any:
    """The same with numbers of six digits: the last ones differ between machines."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _rows(rows: list[Any]) -> Any:
    if len(rows) <= ROWS:
        return rows
    return {"rows": len(rows), "first": rows[0], "digest": hashlib.md5(json.dumps(rows).encode()).hexdigest()[:12]}


def _chart(spec: Any) -> str:
    """A specification on few lines, without what is the same in all of them; names of data do not count."""
    spec = _rounded(spec)
    spec.pop("config")
    names = {name: f"data-{n}" for n, name in enumerate(spec.get("datasets", {}))}
    spec["datasets"] = {names[name]: _rows(rows) for name, rows in spec.get("datasets", {}).items()}
    text = json.dumps(spec, ensure_ascii=False, sort_keys=True)
    for name, short in names.items():
        text = text.replace(json.dumps(name), json.dumps(short))
    return re.sub(r', (?="(?:encoding|datasets|layer|mark)":)', ",\n  ", text)


def golden(name: str, path: Path) -> str:
    """The page of one of the subjects, made in an empty folder."""
    made = report.render_html(SUBJECTS[name](path))
    page = _Text()
    page.feed(made.replace(str(path), "PATH").replace(firstlight.__version__, "VERSION"))
    page.close()
    charts = [f"chart {n}\n  {_chart(spec)}\n" for n, spec in enumerate(json.loads(page.specs))]
    return page.text + "\n" + "".join(charts)


if __name__ == "__main__":
    for each in SUBJECTS:
        with tempfile.TemporaryDirectory() as folder:
            (GOLDEN / f"{each}.txt").write_text(golden(each, Path(folder)), "utf-8")
