"""What the project is for: nets that learn from real images. The long runs are in benchmarks/accuracy.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import firstlight as fl
from firstlight.cli import demo

QUIET = Console(quiet=True)


@pytest.mark.slow
def test_the_demo_reaches_its_accuracy_and_writes_its_report(
    firstlight: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = firstlight("demo", "--out", tmp_path / "demo")
    assert answer.code == 0
    assert answer.out.splitlines()[-2] == f"Report: {tmp_path / 'demo' / 'report.html'}"
    accuracy = {
        path.parent.name: json.loads(path.read_text())["test"]["accuracy"]
        for path in tmp_path.glob("demo/*/result.json")
    }
    assert accuracy["lenet5-batchnorm"] >= 0.98
    assert accuracy["mlp-128-64"] >= 0.95
    assert accuracy["softmax-regression"] >= 0.92
    page = (tmp_path / "demo" / "report.html").read_text()
    for name in accuracy:
        assert f'href="{name}/report.html"' in page

    monkeypatch.setattr(demo, "EXPERIMENTS", {"softmax-regression": demo.EXPERIMENTS["softmax-regression"]})
    again = firstlight("demo", "--out", tmp_path / "demo")
    assert again.code == 0
    left = {path.parent.name for path in tmp_path.glob("demo/*/result.json")}
    assert left == {"softmax-regression"}, "an earlier demo is replaced"
    (tmp_path / "mine").mkdir()
    refused = firstlight("demo", "--out", tmp_path / "mine")
    assert refused.code == 2
    assert "not an earlier demo" in refused.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "model", "settings", "least"),
    [
        ("fashion-mnist", "lenet5", {}, 0.80),
        ("fashion-mnist", "mlp-128-64", {"training.batch_size": 128}, 0.82),
        ("mnist", "mnist-cnn", {"data.limit": 10_000}, 0.92),
        ("svhn", "lenet5-batchnorm", {"data.unverified": True, "prepare.greyscale": True, "training.epochs": 4}, 0.60),
    ],
)
def test_a_short_run_on_a_published_set(
    source: str, model: str, settings: dict[str, Any], least: float, real_data: Path, tmp_path: Path
) -> None:
    run = fl.fit(model, source, epochs=1, out=tmp_path / "run", settings=settings, console=QUIET)
    assert run.accuracy >= least
    assert run.folder.data.verified is not settings.get("data.unverified", False)
