"""What a command does whose report, or a chart of it, cannot be made: the run is whole, and the screen says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firstlight.errors import ReportError
from firstlight.records.run_folder import REPORT, RESULT, WEIGHTS, RunFolder
from firstlight.report.render import vega_process
from firstlight.report.render.vega_process import ChartError

SMALL = ("--data", "digits", "--model", "softmax-regression", "--epochs", 2, "--set", "data.limit=120")
STUDY = """title = "tiny"
seeds = 1
[defaults]
data = { source = "digits", limit = 120 }
training = { epochs = 1 }
[[run]]
name = "a"
model = { name = "softmax-regression" }
"""


@pytest.fixture
def nothing_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(function: str, **_: object) -> str:
        raise ChartError("there is no ink")

    monkeypatch.setattr(vega_process.Renderer, "__call__", lambda _, function, **more: refuse(function, **more))


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    from firstlight import report

    def fail(*_: object, **__: object) -> None:
        raise ReportError("report.html cannot be made: ZeroDivisionError: division by zero.")

    monkeypatch.setattr(report, "write", fail)


@pytest.mark.usefixtures("nothing_drawn")
def test_charts_that_fail_are_named_in_a_line_and_the_run_is_a_success(firstlight: Any, tmp_path: Path) -> None:
    out = tmp_path / "a"
    for command in (
        ("run", *SMALL, "--out", out),
        ("report", out),
        ("report", out, "--pdf"),
        ("report", out, "--figures", out),
    ):
        answer = firstlight(*command)
        assert answer.code == 0, answer.err
        lines = [line for line in answer.err.splitlines() if "no ink" in line]
        assert len(lines) == 1 + ("--figures" in command), answer.err
        assert lines[0].startswith("firstlight: The report of softmax-regression on digits lacks ")
        assert "“Images per class of the train split”" in lines[0]
    assert "This chart could not be drawn: there is no ink." in (out / REPORT).read_text("utf-8")


@pytest.mark.usefixtures("no_report")
def test_without_a_report_run_and_study_are_complete_and_explain_keeps_what_it_found(
    firstlight: Any, tmp_path: Path
) -> None:
    answer = firstlight("run", *SMALL, "--out", tmp_path / "a")
    assert answer.code == 2
    assert "test accuracy " in answer.out
    [line] = answer.err.splitlines()
    assert line.startswith(f"firstlight: The run is complete in {tmp_path / 'a'}, but its report cannot be written: ")
    assert "ZeroDivisionError: division by zero. Fix that, then: firstlight report" in line
    assert RunFolder.open(tmp_path / "a").finished
    assert (tmp_path / "a" / WEIGHTS).is_file()

    answer = firstlight("explain", tmp_path / "a", "--map", "pca")
    assert answer.code == 0
    assert answer.err.splitlines() == [
        "firstlight: report.html cannot be made: ZeroDivisionError: division by zero. (FL504)"
    ]
    assert (tmp_path / "a" / "explanation.npz").is_file()

    (tmp_path / "s.toml").write_text(STUDY)
    answer = firstlight("study", tmp_path / "s.toml", "--out", tmp_path / "s")
    assert answer.code == 2
    assert f"The study is complete in {tmp_path / 's'}, but its report cannot be written" in answer.err
    assert "a, seed 0: report.html cannot be made" in answer.err
    assert (tmp_path / "s" / "a" / "seed-0" / RESULT).is_file()
    assert not (tmp_path / "s" / "a" / "seed-0.failed").exists()


def test_ctrl_c_during_the_report_says_that_the_run_is_complete(
    firstlight: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(function: str, **_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(vega_process.Renderer, "__call__", lambda _, function, **more: interrupt(function, **more))
    answer = firstlight("run", *SMALL, "--out", tmp_path / "a")
    assert answer.code == 130
    assert f"The run is complete in {tmp_path / 'a'}, without its report. Write it: firstlight report" in answer.err
    assert RunFolder.open(tmp_path / "a").result.status == "finished"
