"""Plugins: what loads them and what must not, what a run records of them, and what is said where one is missing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner

import firstlight as fl
from firstlight import checks, cli, components, experiments, plugins, report
from firstlight.app import create_app
from firstlight.cli import commands
from firstlight.errors import ExperimentError, ModelError, PluginError, PluginWarning
from firstlight.layers import LAYERS
from firstlight.parallel.pool import pool
from firstlight.records.plugin import SOURCES
from firstlight.records.run_folder import ENVIRONMENT, RunFolder
from firstlight.schedules import SCHEDULES
from firstlight.web.server import in_thread

QUIET = Console(quiet=True)
PLUGIN = '''
"""A layer and a schedule."""
import firstlight as fl
from firstlight.layers import Layer
from firstlight.schedules import Schedule


@fl.layer
class Halved(Layer):
    """y = x / 2"""

    def forward(self, p, x, run):
        return x / 2, lambda dy: (dy / 2, {})

    def twin(self, torch, p, x, run):
        return x / 2


@fl.schedule(name="half-rate")
class HalfRate(Schedule):
    """Half of the rate"""

    def curve(self, epochs, progress):
        return 0.5 + 0 * progress
'''
TABLES: dict[str, Any] = {
    "kernels": "reference",
    "data": {"source": "digits", "limit": 60},
    "model": {"layers": [{"type": "Flatten"}, {"type": "Halved"}, {"type": "Dense", "units": 10}]},
    "schedule": {"name": "half-rate"},
    "training": {"epochs": 1},
}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What a test loads is forgotten after it."""
    held, modules = [registry.restored() for registry in components.registries()], set(sys.modules)
    monkeypatch.setattr(plugins, "_named", {})
    monkeypatch.setattr(plugins, "_installed", {})
    for each in held:
        each.__enter__()
    yield
    for each in held:
        each.__exit__(None, None, None)
    for name in set(sys.modules) - modules:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def forget() -> None:
    """As a new process would be."""
    plugins._named.clear()
    for name in [name for name, module in sys.modules.items() if hasattr(module, "__firstlight_sha256__")]:
        for registry in components.registries():
            for entry in registry.defined_in(name):
                del registry._entries[entry], registry._origins[entry]
        del sys.modules[name]


def written(folder: Path, text: str = PLUGIN, name: str = "my_layers.py") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def trained(folder: Path, name: str = "run") -> RunFolder:
    tables = {**TABLES, "plugins": [str(written(folder))]}
    return fl.run(tables, out=folder / name, console=QUIET).folder


# --- loading ----------------------------------------------------------------------------------------------------------


def test_a_file_brings_its_components_by_the_same_door(tmp_path: Path) -> None:
    [plugin] = plugins.load([str(written(tmp_path))])
    assert (plugin.name, plugin.module) == (str(tmp_path / "my_layers.py"), "my_layers")
    assert LAYERS.theirs().keys() == {"Halved"}
    assert "half-rate" in SCHEDULES
    assert plugins.named() == [str(tmp_path / "my_layers.py")]
    assert plugins.load([tmp_path / "my_layers.py"]) == [plugin]  # again, nothing happens


def test_a_file_that_changed_is_loaded_anew(tmp_path: Path) -> None:
    plugins.load([str(written(tmp_path))])
    plugins.load([str(written(tmp_path, PLUGIN.replace("y = x / 2", "y = x / two")))])
    assert LAYERS.summary("Halved") == "y = x / two"


def test_a_file_hides_no_module_and_files_of_one_name_are_two(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    text = PLUGIN.replace("Halved", "Other").replace("half-rate", "other-rate")
    one, two = written(tmp_path, name="random.py"), written(tmp_path / "b", text, name="random.py")
    names = [plugin.module for plugin in plugins.load([str(one), str(two)])]
    assert len({*names, "random"}) == 3
    assert not hasattr(sys.modules["random"], "Halved")


def test_what_lies_beside_a_file_can_be_imported_by_it(tmp_path: Path) -> None:
    written(tmp_path, "FACTOR = 3\n", name="beside_of_mine.py")
    plugins.load([str(written(tmp_path, f"from beside_of_mine import FACTOR\n{PLUGIN}"))])
    assert str(tmp_path) not in sys.path


BROKEN = {
    "syntax": ("def f(:\n", r"my_layers.py, line 1: invalid syntax: def f\(:"),
    "error": ("x = 1\ny = missing\n", r"my_layers.py, line 2: NameError: name 'missing' is not defined"),
    "deep": ("def f():\n    return 1 / 0\n\nf()\n", r"my_layers.py, line 2: ZeroDivisionError"),
    "taken": (PLUGIN.replace("half-rate", "cosine"), r"line 19: .*the schedule 'cosine' is .*Cosine already"),
    "undocumented": (PLUGIN.replace('    """y = x / 2"""\n', ""), r"line 8: Halved: a layer needs a docstring"),
    "nothing": ("import firstlight\n", r"my_layers.py registers no component. Put a decorator"),
    "exit": ("raise SystemExit(3)\n", r"my_layers.py, line 1: it ends the program"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_told_with_its_line_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    text, said = BROKEN[kind]
    with pytest.raises(PluginError, match=said) as caught:
        plugins.load([str(written(tmp_path, text))])
    assert LAYERS.theirs() == SCHEDULES.theirs() == {}
    assert plugins.named() == []
    told = str(caught.value)
    assert ("line 4, in <module>" in told) == (kind == "deep")
    assert "firstlight/plugins.py" not in told
    assert "importlib" not in told


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.py", "plugins: there is no file .*nowhere.py"),
        ("./", "is a folder; a plugin is a file"),
        ("no_such_module", r"there is no installed module 'no_such_module'.*no_such_module\.py"),
        ("firstlight.layers", "is a part of firstlight"),
        ("json", "json registers no component"),
        ("a b", "neither the path of a file"),
        ("", "a plugin is a file, or the name of a module"),
        (3, "received 3"),
    ],
)
def test_what_is_no_plugin_is_an_error(name: Any, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        plugins.load([name])


# --- installed packages -----------------------------------------------------------------------------------------------


def install(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\nall = {name}\n", encoding="utf-8")


def test_installed_packages_are_loaded_when_a_name_is_unknown_and_a_broken_one_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "installed_halves", PLUGIN)
    install(
        tmp_path, "installed_broken", PLUGIN.replace("Halved", "Lost").replace("x / 2, lambda", "1 +") + "\n1 / 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins, "_looked", False)
    assert LAYERS["Dense"].__name__ == "Dense"
    assert "installed_halves" not in sys.modules
    with pytest.warns(PluginWarning, match="installed_broken 1.2 cannot be loaded"):
        assert "Halved" in LAYERS
    assert LAYERS.theirs().keys() == {"Halved"}
    origin = plugins.origin_of(LAYERS["Halved"], LAYERS.origin("Halved"))
    assert (origin.name, origin.version) == ("installed_halves", "1.2")
    run = fl.run(TABLES, out=tmp_path / "run", console=QUIET)
    [record] = run.folder.environment.plugins
    assert (record.name, record.version, record.copy) == ("installed_halves", "1.2", "plugins/installed_halves.py")


def test_importing_firstlight_looks_for_no_package() -> None:
    code = (
        "import sys, firstlight as fl, firstlight.cli, firstlight.api\nfl.fit, fl.layers, fl.Classifier\n"
        "m = sys.modules.get('firstlight.plugins'); print(m is None or not m._looked)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_records_its_plugin_and_asks_for_it_when_it_is_opened(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    [record] = folder.environment.plugins
    assert record.components == ("layer Halved", "schedule half-rate")
    assert (record.name, record.version) == (str(tmp_path / "my_layers.py"), "")
    assert (folder.path / record.copy).read_text(encoding="utf-8") == PLUGIN
    forget()
    run = fl.open_run(folder.path)
    assert run.accuracy == folder.result.test.accuracy  # records need no plugin
    with pytest.raises(PluginError) as caught:
        _ = run.session
    told = str(caught.value)
    assert "needs layer Halved and schedule half-rate of my_layers.py (SHA-256 " in told
    assert f"--plugin {record.name}; from Python, fl.open_run(…, plugins=['{record.name}'])" in told
    assert str(folder.path / record.copy) in told
    opened = fl.open_run(folder.path, plugins=[record.name])
    assert opened.session.vector().size == 640 + 10


def test_another_source_of_a_plugin_is_warned_of_once(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    forget()
    written(tmp_path, PLUGIN + "# another line\n")
    run = fl.open_run(folder.path, plugins=[str(tmp_path / "my_layers.py")])
    with pytest.warns(PluginWarning, match=r"another version of my_layers.py: its SHA-256 was .{12}, and is .{12}"):
        _ = run.session
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _ = fl.open_run(folder.path).session


def test_a_file_names_plugins_that_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    file = tmp_path / "experiment.toml"
    file.write_text('plugins = ["my_layers.py"]\n[data]\nsource = "digits"\n[schedule]\nname = "half-rate"\n')
    monkeypatch.chdir("/")
    tables = experiments.read_located(file)
    assert tables["plugins"] == [str(tmp_path / "my_layers.py")]
    assert experiments.Experiment.of(tables).build_schedule().rates(0, 1, 1, 1.0).tolist() == [0.5]
    file.write_text('plugins = ["mine.py"]\n[data]\nsource = "digits"\n')
    with pytest.raises(PluginError, match=r"experiment.toml: plugins: there is no file .*mine\.py"):
        experiments.read_located(file)


def test_set_names_plugins_too(tmp_path: Path) -> None:
    tables = commands.asked_for(None, [f'plugins=["{written(tmp_path)}"]', "schedule.name=half-rate"])
    assert [Path(name).name for name in tables["plugins"]] == ["my_layers.py"]
    assert "half-rate" in SCHEDULES
    with pytest.raises(PluginError, match=r"--set: plugins: there is no file .*mine\.py"):
        commands.asked_for(None, ['plugins=["mine.py"]'])


def test_studies_and_searches_load_what_they_name(tmp_path: Path) -> None:
    written(tmp_path)
    file = tmp_path / "study.toml"
    file.write_text('title = "t"\n[defaults]\nplugins = ["my_layers.py"]\n[[run]]\nname = "a"\nmodel.name = "lenet5"\n')
    experiments.load_plugins_of(file)
    assert "Halved" in LAYERS


def test_a_class_of_a_notebook_is_recorded_with_its_source(tmp_path: Path) -> None:
    plugins.load([str(written(tmp_path))])
    kind: Any = LAYERS["Halved"]
    kind.__module__ = "__main__"
    LAYERS._origins["Halved"] = ("__main__", "Halved")
    tables = {**TABLES, "schedule": {"name": "constant"}}
    folder = fl.run(tables, out=tmp_path / "run", console=QUIET).folder
    [record] = folder.environment.plugins
    assert (record.name, record.module) == ("", "__main__")
    del LAYERS._entries["Halved"], LAYERS._origins["Halved"]
    with pytest.raises(PluginError, match=r"layer Halved of a notebook or script.*must be defined again, in Python"):
        _ = fl.open_run(folder.path).session


def _is_known(name: str) -> bool:
    return name in LAYERS


def test_workers_load_the_plugins_that_were_named(tmp_path: Path) -> None:
    plugins.load([str(written(tmp_path))])
    with pool("loky", None, 2, 1) as workers:
        assert dict(workers.map(_is_known, ["Halved", "Dense"])) == {"Halved": True, "Dense": True}


# --- a run folder of another's ----------------------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[RunFolder, Path]:
    """A run whose folder names, and holds, a plugin that leaves a trace where it is run; and the trace."""
    folder, trace = trained(tmp_path), tmp_path / "trace"
    forget()
    evil = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n{PLUGIN}"
    copy = folder.path / SOURCES / "my_layers.py"
    copy.write_text(evil)
    written(tmp_path, evil)
    record = json.loads((folder.path / ENVIRONMENT).read_text())
    record["plugins"][0]["name"] = str(copy)
    (folder.path / ENVIRONMENT).write_text(json.dumps(record))
    text = (folder.path / "experiment.toml").read_text().replace(str(tmp_path / "my_layers.py"), str(copy))
    (folder.path / "experiment.toml").write_text(text)
    return RunFolder.open(folder.path), trace


def test_nothing_that_a_run_folder_names_is_imported(hostile: tuple[RunFolder, Path], tmp_path: Path) -> None:
    folder, trace = hostile
    run = fl.open_run(folder.path)
    report.write(folder)
    image = tmp_path / "image.png"
    from PIL import Image

    Image.new("L", (8, 8)).save(image)
    for ask in (
        lambda: run.predict(image),
        lambda: run.experiment,
        lambda: run.evaluate(),
        lambda: run.export("onnx", tmp_path / "net.onnx"),
        lambda: fl.run(folder.path / "no.toml"),
        lambda: experiments.set_up(experiments.Experiment.of(folder.experiment.tables)),
    ):
        with pytest.raises(ExperimentError):
            ask()
    result = folder.path / "result.json"
    result.write_text(result.read_text().replace('"finished"', '"interrupted"'))
    with pytest.raises(PluginError):
        fl.resume(folder.path, console=QUIET)
    for command in ("predict", "evaluate", "resume", "summary", "explain"):
        arguments = [command, str(folder.path), *([str(image)] if command == "predict" else [])]
        CliRunner().invoke(cli.app, arguments)
    assert not trace.exists()
    plugins.load([str(tmp_path / "my_layers.py")])
    assert trace.exists(), "the trace would have shown"


def test_the_dashboard_shows_such_a_run_and_takes_no_plugin_from_a_page(
    hostile: tuple[RunFolder, Path], tmp_path: Path
) -> None:
    folder, trace = hostile
    app = create_app(folder.path.parent, token="t", hosts=("127.0.0.1",))
    with in_thread(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=120) as asking:
        [entry] = app.state.index.entries(anew=True)
        for page in ("/", f"/runs/{entry.id}", f"/compare?run={entry.id}"):
            assert asking.get(page).status_code < 500, page
        start = asking.get("/start", params={"run": entry.id})
        assert start.status_code != 200
        assert "--plugin" in start.text
        form = {"plugins": str(tmp_path / "my_layers.py"), "data.source": "digits"}
        refused = asking.post("/api/start/check", json=form, headers={"X-Firstlight-Token": "t"})
        assert "plugins: there is no such field in the form" in refused.text
    assert not trace.exists()


# --- the command line -------------------------------------------------------------------------------------------------


def test_check_of_a_file(tmp_path: Path) -> None:
    file = written(tmp_path)
    done = CliRunner().invoke(cli.app, ["check", str(file), "half-rate", "--json"])
    assert done.exit_code == 0, done.output
    [found] = json.loads(done.output)
    assert (found["kind"], found["name"], found["passed"]) == ("schedule", "half-rate", True)
    forget()
    written(tmp_path, PLUGIN.replace("(dy / 2, {})", "(dy, {})"))
    done = CliRunner().invoke(cli.app, ["check", str(file)])
    assert done.exit_code == 1
    assert "✗ Halved fails: gradients" in done.output
    with pytest.raises(ExperimentError, match=r"defines no 'Halve'. Did you mean Halved"):
        CliRunner().invoke(cli.app, ["check", str(file), "Halve"], catch_exceptions=False)


def test_two_kinds_may_have_one_name_and_both_are_checked(tmp_path: Path) -> None:
    metric = """
@fl.metric(name="half-rate")
def half_rate(labels, probabilities):
    \"\"\"Half of the share that is right\"\"\"
    return (probabilities.argmax(axis=1) == labels).mean() / 2
"""
    found = checks.check_plugin(str(written(tmp_path, PLUGIN + metric)), ["half-rate"])
    assert [(one.kind, one.name, one.passed) for one in found] == [
        ("metric", "half_rate", True),
        ("schedule", "half-rate", True),
    ]


def test_what_a_plugin_prints_does_not_mix_with_json(tmp_path: Path) -> None:
    (tmp_path / "installed").mkdir()
    install(
        tmp_path / "installed",
        "installed_loud",
        "print('installed')\n" + PLUGIN.replace("Hal", "Hol").replace("half-", "hole-"),
    )
    written(tmp_path, f"print('loud')\n{PLUGIN}")
    code = "import sys; sys.path += ['installed']; from firstlight.cli import main; main()"
    asked = [sys.executable, "-c", code, "components", "layer", "--json", "--plugin", "my_layers.py"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert {"Halved", "Holved"} <= {row["name"] for row in json.loads(done.stdout)}
    assert done.stderr.split() == ["loud", "installed"]


def test_every_command_that_uses_components_takes_a_plugin(tmp_path: Path) -> None:
    file = written(tmp_path)
    for command in ("run", "resume", "study", "tune", "summary", "parity", "predict", "evaluate", "export", "serve"):
        assert "--plugin" in CliRunner().invoke(cli.app, [command, "--help"]).output, command
    done = CliRunner().invoke(cli.app, ["summary", "lenet5", "--plugin", str(file), "--json"])
    assert done.exit_code == 0, done.output
    assert "Halved" in LAYERS


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_works_as_written(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "guide" / "plugins.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", page, re.DOTALL)
    files = [written(tmp_path, text, name) for name, text in blocks]
    assert [file.name for file in files] == ["my_layers.py", "my_optimizer.py", "my_metric.py", "my_recipe.py"]
    for file in files:
        assert [str(one) for one in checks.check_plugin(str(file)) if not one.passed] == []
    tables = {
        **TABLES,
        "plugins": [str(file) for file in files],
        "model": {"layers": [{"type": "Flatten"}, {"type": "Scale"}, {"type": "Dense", "units": 10}]},
        "optimizer": {"name": "sign-descent"},
        "schedule": {"name": "constant"},
        "training": {"epochs": 1, "metrics": ["brier-score"]},
    }
    run = fl.run(tables, out=tmp_path / "run", console=QUIET)
    used = {component for record in run.folder.environment.plugins for component in record.components}
    assert used == {"layer Scale", "optimizer sign-descent", "metric brier-score"}
    assert 0 < run.result["test"]["metrics"][-1]["value"] < 2


def test_without_a_twin_the_engine_torch_says_what_is_missing_before_anything_starts(tmp_path: Path) -> None:
    plugins.load([str(written(tmp_path, PLUGIN.replace("def twin", "def other")))])
    tables = {**TABLES, "engine": "torch"}
    with pytest.raises(ModelError, match=r"The layer halved1 \(Halved\) has no PyTorch twin"):
        fl.run(tables, out=tmp_path / "run", console=QUIET)
    assert not (tmp_path / "run").exists()
