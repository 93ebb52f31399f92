"""`firstlight parity`, as a user types it: tables, JSON, the page, and exit codes that a script can go by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firstlight.engine_parity import speed
from firstlight.engines.torch import tuning
from firstlight.layers import Dense

Call = Callable[..., Any]
SMALL = ("parity", "mlp-128-64", "--steps", 2, "--set", "model.units=[6]")


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure seconds per step over as few steps as may be: no test asserts a time."""
    monkeypatch.setattr(speed, "BLOCK", 0.0)
    monkeypatch.setattr(speed, "BUDGET", 0.0)
    monkeypatch.setattr(tuning, "TRIAL", 0.0)


def test_tables_a_verdict_and_a_page(firstlight: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = firstlight(*SMALL)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].startswith(
        "mlp-128-64, input 28\u00a0×\u00a028\u00a0×\u00a01, units (6,), activation relu; 64 images of"
    )
    for title in (
        "Layer by layer",
        "through the whole net",
        "Two runs of 2 steps",
        "Milliseconds per step",
        "compiled graph",
    ):
        assert title in answer.out
    for name in ("flatten1", "dense1", "relu1", "head", "cross-entropy", "head.W", "float64", "float32", "torch over"):
        assert name in answer.out
    assert lines[-2].startswith("✓ The engines agree on mlp-128-64.")
    assert lines[-1] == "Report: runs/parity-mlp-128-64.html"
    assert "The engines agree on mlp-128-64" in (tmp_path / "runs" / "parity-mlp-128-64.html").read_text()


def test_json_alone_goes_to_standard_output(firstlight: Call, tmp_path: Path) -> None:
    page = tmp_path / "deep" / "page.html"
    options = ("--data", "digits", "--batch-size", 8, "--optimizer", "sgd", "--lr", 0.02, "--loss", "mse", "--seed", 3)
    answer = firstlight(*SMALL, *options, "--out", page, "--json")
    assert answer.code == 0, answer.err
    record = answer.json()
    assert record["passed"] is True
    assert record["report"] == str(page)
    assert page.exists()
    assert record["images"].endswith("training images of digits")
    assert (record["batch_size"], record["seed"], record["optimizer"]) == (8, 3, "sgd")
    assert record["loss"]["name"] == "mse"
    assert [run["rate"] for run in record["runs"]] == [0.02, pytest.approx(2e-4)]


def test_what_differs_is_named_and_the_exit_code_is_1(
    firstlight: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound: Any = Dense.forward

    def forward(self: Dense, p: Any, x: Any, run: Any) -> Any:
        y, backward = sound(self, p, x, run)
        return y, lambda dy: (backward(dy)[0], {**backward(dy)[1], "b": 2 * backward(dy)[1]["b"]})

    monkeypatch.setattr(Dense, "forward", forward)
    page = tmp_path / "page.html"
    answer = firstlight(*SMALL, "--out", page)
    assert answer.code == 1
    assert answer.err == ""
    assert "✗ dense1 (Dense): db by hand and by autograd differ by" in answer.out
    assert "✗ head (Dense): db" in answer.out
    assert "✓" not in answer.out
    assert "What is wrong" in page.read_text()
    assert firstlight(*SMALL, "--out", page, "--json").json()["failures"][0].startswith("dense1 (Dense): db")


MISTAKES: list[tuple[list[object], list[str]]] = [
    (["parity"], ["MODEL"]),
    (["parity", "lenet"], ["lenet", "lenet5"]),
    (["parity", "lenet5", "--data", "digitz"], ["digitz", "digits"]),
    (["parity", "lenet5", "--steps", "0"], ["--steps"]),
    (["parity", "lenet5", "--lr", "-1"], ["lr", "-1"]),
    (["parity", "lenet5", "--loss", "mae"], ["mae"]),
    (["parity", "lenet5", "--optimizer", "adma"], ["adma", "adam"]),
    (["parity", "lenet5", "--set", "activation=rleu"], ["rleu", "relu"]),
    (["parity", "lenet5", "--set", "nonsense"], ["key=value"]),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda value: " ".join(map(str, value)))
def test_a_mistake_is_one_message_and_nothing_is_written(
    firstlight: Call, arguments: list[object], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = firstlight(*arguments)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert all(word in answer.err for word in words), answer.err
    assert list(tmp_path.iterdir()) == []


def test_without_pytorch_it_says_what_to_install(
    firstlight: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("firstlight.engines.find_spec", lambda name: None)
    answer = firstlight(*SMALL)
    assert answer.code == 2
    assert "pip install 'firstlight[torch]'" in answer.err
    assert list(tmp_path.iterdir()) == []
