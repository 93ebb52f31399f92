"""Curves that grow in a notebook's cell while a run trains. Nothing here needs Jupyter."""

from __future__ import annotations

import io
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.notebook.elements import Elements

import firstlight as fl
from firstlight.notebook import live
from firstlight.types import Dataset

QUIET = Console(quiet=True)


class Handle:
    """Stands for what IPython's `display` returns; keeps what was shown."""

    def __init__(self, record: list[str]) -> None:
        self.record = record

    def update(self, thing: Any) -> None:
        self.record.append(thing._repr_html_())


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a notebook's cell showed, one after the other."""
    record: list[str] = []

    def display(thing: Any, display_id: bool) -> Handle:
        assert display_id
        record.append(thing._repr_html_())
        return Handle(record)

    ipython, module = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    module.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return record


def test_live_curves_grow_in_the_cell(
    displayed: list[str], digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(live, "REFRESH", 0.0)
    monkeypatch.setattr(live, "SHARE", 1e9)  # draw every epoch
    run = fl.fit("mlp-128", digits, epochs=4, lr=3e-3, out=tmp_path / "run", live=True)
    assert capsys.readouterr().out == "", "the console is silent: the cell shows it"
    seen = [Elements(html) for html in displayed]
    assert "preparing" in seen[0].text
    assert not any(tag == "svg" for tag, _ in seen[0].found)
    losses = [f"{value:.4f}" for value in run.history["loss"]]
    turns = [next(n for n, one in enumerate(seen) if loss in one.text) for loss in losses]
    assert turns == sorted(turns)
    assert len(set(turns)) == len(turns), "each epoch was shown when it was done"
    assert sum(tag == "svg" for tag, _ in seen[-1].found) == 2
    assert re.search(r"4 epochs in [\d.]+", seen[-1].text)
    assert ("div", {"style": "width: 100.0%"}) in seen[-1].found
    assert not any(tag == "script" for one in seen for tag, _ in one.found)


def test_live_curves_are_drawn_a_few_times_a_second_at_most(
    displayed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(live, "perf_counter", lambda: now)
    with live.LiveCurves("a net") as watcher:
        watcher.training_started(epochs=100, images=100, done=0)
        for epoch in range(1, 101):
            now += 0.02
            watcher.batch_done(50, 1.0)
            watcher.epoch_done({"epoch": float(epoch), "loss": 1 / epoch, "accuracy": 0.5, "seconds": 0.01}, False)
    assert 5 < len(displayed) <= 2 / live.REFRESH + 5  # in two seconds
    assert "100 epochs" in Elements(displayed[-1]).text
    assert "0.0100" in Elements(displayed[-1]).text  # the last loss, also where the last epochs were not drawn


def test_what_was_worth_knowing_stays_and_an_error_is_told(displayed: list[str]) -> None:
    def interrupted() -> None:
        with live.LiveCurves("a net") as watcher:
            watcher.note("Warming up ...")
            assert "Warming up" in displayed[-1]
            watcher.note("Note: two classes are rare")
            watcher.training_started(epochs=5, images=100, done=0)
            watcher.epoch_done({"epoch": 1.0, "loss": float("nan"), "accuracy": 0.5, "seconds": 0.01}, False)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    text = Elements(displayed[-1]).text
    assert "two classes are rare" in text
    assert "Warming up" not in text
    assert "stopped after 1 of 5 epochs: KeyboardInterrupt" in text


@pytest.mark.parametrize("shell", [None, "terminal"])
def test_outside_a_notebook_the_console_tells_as_ever(
    shell: str | None, monkeypatch: pytest.MonkeyPatch, digits: Dataset, tmp_path: Path
) -> None:
    if shell is None:
        monkeypatch.delitem(sys.modules, "IPython", raising=False)
    else:
        ipython = types.ModuleType("IPython")
        ipython.get_ipython = lambda: types.SimpleNamespace()  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not live.in_notebook()
    said = io.StringIO()
    fl.fit("softmax-regression", digits, epochs=1, out=tmp_path / "run", console=Console(file=said), live=True)
    assert "live=True draws curves in a Jupyter notebook only" in said.getvalue()
    assert "epoch 1/1" in said.getvalue()
