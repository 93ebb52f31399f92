"""`firstlight rate` and `fl.rate`: a suggestion on both engines, and nothing that it touches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import firstlight as fl
from firstlight import experiments
from firstlight.cli import app
from firstlight.progress import Watcher

EXPERIMENT = """
[data]
source = "digits"
limit = 300
[model]
name = "mlp-128"
units = [16]
[training]
average = "ema"
steps_per_epoch = 2
epochs = 2
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "e.toml"
    path.write_text(EXPERIMENT)
    return path


def asked(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["rate", *arguments])


def test_both_engines_suggest_the_same_and_write_nothing_else(file: Path) -> None:
    found = {}
    for engine in ("numpy", "torch"):
        page = ["-o", "page.html"] if engine == "torch" else []
        said = asked(str(file), "--engine", engine, "--json", *page)
        assert said.exit_code == 0, said.output
        found[engine] = json.loads(said.stdout)
    np.testing.assert_allclose(found["numpy"]["losses"][:80], found["torch"]["losses"][:80], rtol=1e-3)
    assert found["numpy"]["suggestion"] == pytest.approx(found["torch"]["suggestion"], rel=0.2)
    assert 1e-4 < found["numpy"]["suggestion"] < 0.1
    assert [each["report"] for each in found.values()] == [None, "page.html"]
    assert sorted(path.name for path in file.parent.iterdir()) == ["e.toml", "page.html"]


def test_a_training_after_a_test_is_as_one_without(file: Path) -> None:
    def losses() -> list[float]:
        setup = experiments.set_up(experiments.Experiment.of(experiments.read(file)))
        return [row["loss"] for row in experiments.learn(setup, Watcher()).history]

    before, test, after = losses(), fl.rate(file, steps=40), losses()
    assert before == after
    assert len(test.rates) == 40
    assert test.passes == pytest.approx(40 * 32 / test.training_images)


def test_it_prints_a_curve_and_what_it_speaks_for(file: Path) -> None:
    said = asked(str(file), "--optimizer", "sgd", "--limit", "100", "--set", "seed=3")
    assert said.exit_code == 0, said.output
    assert "Suggested: --lr" in said.stdout
    assert "The experiment has 0.01." in said.stdout
    assert said.stdout.count("█") > 100
    short = asked(str(file), "--optimizer", "sgd", "-q")
    assert float(short.stdout) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "1", "--to", "0.1"], "from a rate above 0 to a higher one; received 1 and 0.1"),
        (["--from", "-1"], "from a rate above 0"),
        (["--steps", "3"], "at least 20 steps to distinguish a curve from noise; received 3"),
        (["--open"], "give --out FILE.html"),
        (["--optimizer", "adm"], "'adm' is unknown. Did you mean adam"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(file: Path, arguments: list[str], message: str) -> None:
    said = asked(str(file), *arguments)
    assert said.exit_code != 0
    assert message in str(said.exception)
    assert [path.name for path in file.parent.iterdir()] == ["e.toml"]


def test_a_curve_that_shows_nothing_is_told_by_the_exit_code(file: Path) -> None:
    said = asked(str(file), "--to", "1e-5")
    assert said.exit_code == 1
    assert "No learning rate is suggested. The loss never fell clearly" in said.stdout
    assert asked(str(file), "--to", "1e-5", "-q").stdout == "none\n"
