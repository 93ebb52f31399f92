"""Cases side by side: what was measured before an interruption is not measured again."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.cases import Case
from benchmarks.sections import Options

import firstlight
from benchmarks import contest

CASES = [Case("first", "lenet5", 32), Case("second", "lenet5", 64), Case("third", "lenet5", 96)]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of cases in the order in which they are measured; the third one is interrupted the first time."""
    names: list[str] = []

    def measure(case: Case, contestants: Any, rounds: int, found: Any) -> Any:
        names.append(case.name)
        if names.count("third") == 1 and case.name == "third":
            raise KeyboardInterrupt
        return {"name": case.name, "turns": {"firstlight": [len(names) / 8]}}

    @contextmanager
    def workers() -> Any:
        yield None

    monkeypatch.setattr(contest, "measure", measure)
    monkeypatch.setattr(contest, "workers", workers)
    return names


def test_an_interrupted_section_goes_on(measured: list[str], tmp_path: Path) -> None:
    options = Options(begun=tmp_path / "new" / "steps.json")
    with pytest.raises(KeyboardInterrupt):
        contest.together(CASES, ("firstlight",), options)
    kept = json.loads((tmp_path / "new" / "steps.json").read_text())["seconds"]
    section = contest.together(CASES, ("firstlight",), options)
    found = section["cases"]
    assert section["seconds"] > kept > 0
    assert measured == ["first", "second", "third", "third"]
    assert [(case["name"], case["turns"]["firstlight"]) for case in found] == [
        ("first", [0.125]), ("second", [0.25]), ("third", [0.5])
    ]  # fmt: skip


@pytest.mark.parametrize("change", [{"rounds": 9}, {"quick": True}, "versions", "code", "contestants"])
def test_what_was_measured_in_another_way_is_measured_again(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    options, names = Options(begun=tmp_path / "steps.json"), ["firstlight"]
    with pytest.raises(KeyboardInterrupt):
        contest.together(CASES, names, options)
    if change == "versions":
        monkeypatch.setattr(contest, "versions", lambda: {"firstlight": "0.0.1"})
    elif change == "code":
        monkeypatch.setattr(contest, "code", lambda: "of another day")
    elif change == "contestants":
        names = ["firstlight", "torch"]
    else:
        options = replace(options, **change)
    contest.together(CASES, names, options)
    assert measured == ["first", "second", "third"] * 2


def test_the_code_is_that_of_the_python_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "layers").mkdir()
    file = tmp_path / "layers" / "dense.py"
    file.write_text("x = 1\n")
    monkeypatch.setattr(firstlight, "__file__", str(tmp_path / "__init__.py"))
    before = contest.code()
    (tmp_path / "study.toml").write_text("seeds = 5\n")
    assert contest.code() == before
    file.write_text("x = 2\n")
    assert contest.code() != before
    file.write_text("x = 1\n")
    assert contest.code() == before
    file.rename(tmp_path / "dense.py")
    assert contest.code() != before
