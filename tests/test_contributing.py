"""CONTRIBUTING.md is true: the files that it names are there, and its rows, followed in a copy of the package, work."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import firstlight

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAP = dict(re.findall(r"^\| (an? [^|]+?) \| ([^\n]+) \|$", TEXT.partition("## Words")[0], re.MULTILINE))


class Package:
    """A copy of the package that the rows are followed in."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "firstlight"
        shutil.copytree(Path(firstlight.__file__).parent, self.root, ignore=shutil.ignore_patterns("__pycache__"))

    def copy(self, file: str, to: str, **words: str) -> None:
        """Copy a file, with other words for some of its own."""
        text = (self.root / file).read_text(encoding="utf-8")
        for word, other in words.items():
            assert word in text
            text = text.replace(word, other)
        (self.root / to).write_text(text, encoding="utf-8")

    def put(self, file: str, before: str, text: str) -> None:
        """Write a line before the only one that starts with `before`."""
        lines = (self.root / file).read_text(encoding="utf-8").split("\n")
        [place] = [n for n, line in enumerate(lines) if line.startswith(before)]
        (self.root / file).write_text("\n".join([*lines[:place], text, *lines[place:]]), encoding="utf-8")

    def replace(self, file: str, old: str, new: str) -> None:
        """Write something else in the only place where `old` stands."""
        text = (self.root / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, (file, old)
        (self.root / file).write_text(text.replace(old, new), encoding="utf-8")

    def twice(self, file: str, name: str, other: str, **words: str) -> None:
        """Copy a class or function of a file below itself, under another name."""
        source = (self.root / file).read_text(encoding="utf-8")
        lines = source.split("\n")
        [node] = [n for n in ast.parse(source).body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name]
        start = min(each.lineno for each in [node, *node.decorator_list]) - 1
        text = "\n".join(lines[start : node.end_lineno])
        for word, replacement in ({name: other} | words).items():
            text = text.replace(word, replacement)
        (self.root / file).write_text("\n".join([*lines[: node.end_lineno], "", "", text, *lines[node.end_lineno :]]))


def activation(package: Package) -> str:
    package.copy("layers/gelu.py", "layers/swish.py", GELU="Swish")
    return """
assert model(name="mlp-128", activation="swish").layers.layers[2] == layers.Swish() == layers.LAYERS["Swish"]()
assert ("swish", "swish") in form.all_fields()["model.activation@lenet5"].choices
"""


def window(package: Package) -> str:
    package.copy("layers/avgpool2d.py", "layers/meanpool.py", AvgPool2D="MeanPool")
    return """
assert layers.from_json({"type": "MeanPool", "size": 3}).output_shape((2, 9, 9)) == (2, 3, 3)
assert layers.LAYERS["MeanPool"].examples
"""


def operation(package: Package) -> str:
    package.copy("kernels/ops/avg_pool.py", "kernels/ops/mean_pool.py", avg_pool="mean_pool", AveragePool="MeanWindow")
    words = {"AvgPool2D": "OwnPool", "graph.avg_pool(x": 'graph.apply("mean_pool", x'}
    package.copy("layers/avgpool2d.py", "layers/ownpool.py", **words)
    return """
from firstlight.kernels.graph import Graph
graph = Graph((1, 4, 4), training=False)
assert layers.LAYERS["OwnPool"]().record(graph, {}, graph.input(), "").shape == (1, 2, 2)
assert graph.steps[-1].name == "mean_window"
"""


def optimizer(package: Package) -> str:
    package.copy("optimizers/rmsprop.py", "optimizers/other.py", RMSprop="Other")
    return named("optimizer")


def loss(package: Package) -> str:
    package.copy("losses/mean_squared_error.py", "losses/other.py", MeanSquaredError="Other", mse="other")
    return named("loss")


def schedule(package: Package) -> str:
    package.copy("schedules/exponential.py", "schedules/other.py", Exponential="Other")
    return named("schedule")


def named(table: str) -> str:
    return f"""
assert Experiment.of({{"data": {{"source": "digits"}}, "{table}": {{"name": "other"}}}}).{table}.name == "other"
assert "other" in form.CHOICES["{table}.name"]
"""


def metric(package: Package) -> str:
    words = {"def matthews(": "def concord(", '"Matthews correlation"': '"Concord"'}
    package.copy("evaluation/metrics/matthews.py", "evaluation/metrics/concord.py", **words)
    return """
made = Experiment.of({"data": {"source": "digits"}, "training": {"monitor": "val_concord"}})
assert made.training.monitor == "val_concord"
"""


def augmentation(package: Package) -> str:
    package.copy("prepare/augmentations/contrast.py", "prepare/augmentations/gloom.py", Contrast="Gloom")
    return """
made = Experiment.of({"data": {"source": "digits"}, "augment": {"gloom": 0.5}})
assert made.model_dump()["augment"]["gloom"] == {"range": [-0.5, 0.5], "p": 1.0}
assert "augment.gloom" in form.all_fields()
"""


def architecture(package: Package) -> str:
    package.twice("models/convolutional.py", "lenet5_dropout", "lenet6", **{"lenet5-dropout": "lenet6"})
    return """
assert model(name="lenet6", dropout=0.1).name == fl.models.lenet6().name == "lenet6"
assert "lenet6" in form.CHOICES["model.name"]
"""


def source(package: Package) -> str:
    package.copy("data/sources/digits.py", "data/sources/numerals.py", **{'name="digits"': 'name="numerals"'})
    return """
assert len(fl.load("numerals").splits["train"]) == 1797
assert Experiment.of({"data": {"source": "numerals"}})
"""


def chart(package: Package) -> str:
    words = {'"Confusion matrix", "confusion"': '"Confounded", "confounded"'}
    package.copy("report/sections/confusion.py", "report/sections/confounded.py", **words)
    package.replace(
        "report/pages/contents.py", '("confusion", "per_class")', '("confusion", "confounded", "per_class")'
    )
    package.replace("report/pages/contents.py", '    "confusion",\n', '    "confusion",\n    "confounded",\n')
    return """
run = RunFolder.open(KEPT / "run")
shown = {
    "run": report.build_document(run),
    "comparison": report.build_document(report.Comparison([run, run])),
    "study": report.build_document(StudyFolder.open(KEPT / "study")),
    "card": card(run),
}
for where, document in shown.items():
    assert report.render.html.page(document).count("Confounded") > 0, where
index = Index(KEPT)
[entry] = [entry for entry in index.entries() if entry.path == run.path]
assert "Confounded" in str(run_page._arranged(run_page._document(index, index.summary(entry))[0])), "the dashboard"
"""


def number(package: Package) -> str:
    package.replace(
        "records/result.py",
        "    hashed: bool = omitted(False)\n",
        """    hashed: bool = omitted(False)
    energy: Annotated[Positive | None, Shown("Energy", "decimal", " kWh", "energy")] = omitted(None)
""",
    )
    return """
yesterday = RunFolder.open(KEPT / "run")
assert yesterday.result.energy is None, "those of yesterday have none"
assert "energy" not in encode(yesterday.result)
runs.mkdir()
shutil.copytree(KEPT / "run", runs / "today")
record = json.loads((runs / "today" / "result.json").read_text())
(runs / "today" / "result.json").write_text(json.dumps(record | {"energy": 0.25}))
today = RunFolder.open(runs / "today")
compared = report.Comparison([yesterday, today])
[tables, *_] = report.outcome(compared).tables
page = report.render.html.page
for where, title, value, text in (
    ("summary", "Energy", "0.2500 kWh", page(report.build_document(today))),
    ("comparison", "energy", "0.2500 kWh", page(report.build_document(compared))),
    ("terminal", "energy", "0.2500 kWh", str(tables)),
    ("--json", "energy", "0.25", json.dumps(encode(today.result))),
    ("dashboard", "energy", "0.25", json.dumps(runs_page._rows(Index(runs)))),
):
    assert title in text and value in text, where
"""


def command(package: Package) -> str:
    package.copy("cli/model.py", "cli/again.py", **{"def summary(": "def again("})
    package.put("cli/__init__.py", "    card,", "    again,")
    package.replace("cli/__init__.py", "    parity.parity,\n", "    parity.parity,\n    again.again,\n")
    return """
from firstlight.cli import main
sys.argv = ["firstlight", "again", "--help"]
try:
    main()
except SystemExit as done:
    assert not done.code
"""


def export_format(package: Package) -> str:
    package.copy("export/onnx.py", "export/other.py", **{"class Onnx(": "class Other(", '"onnx"': '"other"'})
    return """
from firstlight.export import open_format
assert open_format("other").name == "other"
"""


def page(package: Package) -> str:
    (package.root / "app" / "pages" / "again").mkdir()
    package.copy(
        "app/pages/compare/__init__.py",
        "app/pages/again/__init__.py",
        **{
            '"Compare"': '"Again"',
            '"/compare': '"/again',
            '"/api/compare': '"/api/again',
            '"compare/page': '"again/page',
        },
    )
    package.copy(
        "app/pages/compare/page.html.j2", "app/pages/again/page.html.j2", **{'action="/compare"': 'action="/again"'}
    )
    return """
async def ask(address):
    served = httpx.ASGITransport(app.create_app(KEPT, token="t", hosts=["here"]))
    async with httpx.AsyncClient(transport=served, base_url="http://here") as client:
        return (await client.get(address)).text
assert '<form action="/again" method="get">' in asyncio.run(ask("/again"))
assert '<a href="/again"' in asyncio.run(ask("/")), "the navigation"
"""


ROWS: dict[str, Callable[[Package], str]] = {
    "an activation": activation,
    "a layer with a window": window,
    "an operation of the compiled engine": operation,
    "an optimizer": optimizer,
    "a loss": loss,
    "a schedule": schedule,
    "a metric": metric,
    "an augmentation": augmentation,
    "an architecture": architecture,
    "a data source": source,
    "a chart": chart,
    "a recorded number": number,
    "a command": command,
    "an export format": export_format,
    "a page of the dashboard": page,
}
PROGRAM = f"""
import asyncio
import json
import shutil
import sys
from pathlib import Path
import httpx
import firstlight as fl
from firstlight import app, layers, models, report
from firstlight.app.index import Index
from firstlight.app.pages import run as run_page, runs as runs_page
from firstlight.app.pages.start import form
from firstlight.experiments import Experiment
from firstlight.notebook.cards import card
from firstlight.records.codec import encode
from firstlight.records.run_folder import RunFolder
from firstlight.records.study_folder import StudyFolder
from firstlight.report.render import html
KEPT = Path({str(ROOT / "tests" / "records" / "kept")!r})
runs = Path("runs")
def model(name, **options):
    return models.build(name, (28, 28, 1), 10, options)
"""


def test_each_row_of_the_map_is_followed_here() -> None:
    assert set(MAP) == set(ROWS)


def test_the_files_that_it_names_are_there() -> None:
    named = re.findall(r"`([\w./*-]+(?:\.(?:py|md|toml|txt)|/))`", TEXT.partition("## Map")[2])
    assert len(named) > 20
    missing = [name for name in named if not any([*ROOT.glob(name), *(ROOT / "src" / "firstlight").glob(name)])]
    assert missing == []


@pytest.mark.slow
def test_whoever_follows_it_gets_what_it_says(tmp_path: Path) -> None:
    package = Package(tmp_path)
    checks = {what: follow(package) for what, follow in ROWS.items()}
    code = PROGRAM + "\n".join(f"# {what}\n{check}" for what, check in checks.items())
    (tmp_path / "program.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "again" in done.stdout


def test_a_row_that_is_not_followed_to_its_end_is_noticed(tmp_path: Path) -> None:
    """What the test above would see without the last line of a row."""
    package = Package(tmp_path)
    package.copy("cli/model.py", "cli/again.py", **{"def summary(": "def again("})
    code = PROGRAM + 'from firstlight.cli import main\nsys.argv = ["firstlight", "again", "--help"]\nmain()'
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "again" in done.stderr
