"""A chart that cannot be drawn: a sentence in its place, and a word to who asked; the rest of the report is there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from tests.report.run_folders import MakeRun

from firstlight import report
from firstlight.errors import ReportError, ReportWarning, told
from firstlight.notebook import cards
from firstlight.report import render_html, render_pdf
from firstlight.report.render import vega, vega_process
from firstlight.report.render.vega_process import ChartError, Renderer
from firstlight.report.sections import class_counts

SPEC = class_counts.chart(("a", "b"), [3, 4], "images")
BROKEN = {**SPEC, "mark": "no such mark"}


def ask(render: Renderer, spec: dict[str, Any]) -> str:
    return render("vegalite_to_svg", vl_spec={**spec, "width": 200}, vl_version="v6.4")


def test_one_process_draws_chart_after_chart_and_survives_a_broken_one() -> None:
    ours = Renderer()
    assert ask(ours, SPEC).startswith("<svg")
    process = ours._process
    with pytest.raises(ChartError, match="TypeError"):
        ask(ours, BROKEN)
    assert ask(ours, SPEC).startswith("<svg")
    assert ours._process is process
    ours.close()


def test_a_process_that_dies_is_one_chart_without_a_drawing() -> None:
    ours = Renderer()
    ask(ours, SPEC)
    assert ours._process is not None
    os.kill(ours._process.pid, signal.SIGSTOP)  # so that it cannot answer before
    kill = ours._process.kill
    ours._process.stdin.write, before = (lambda data: kill() or before(data)), ours._process.stdin.write  # type: ignore
    with pytest.raises(ChartError, match="ended by SIGKILL"):
        ask(ours, SPEC)
    assert ask(ours, SPEC).startswith("<svg")
    ours.close()


def test_a_chart_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vega_process, "SECONDS", 0.0)
    ours = Renderer()
    with pytest.raises(ChartError, match="SIGKILL"):
        ask(ours, SPEC)
    ours.close()


def test_what_the_library_reports_as_an_error_is_no_drawing() -> None:
    """Of a name that is a key of every object, it said so on the screen, and drew a chart without marks."""
    rows = [{"class": name, "n": n} for n, name in enumerate(("constructor", "b"))]
    encoding = {"x": {"field": "n", "type": "quantitative"}, "y": {"field": "class", "type": "nominal"}}
    spec = {"data": {"values": rows}, "mark": "bar", "encoding": encoding | {"color": encoding["y"]}}
    with pytest.raises(ChartError, match="TypeError"):
        ask(vega_process.render, spec)
    assert ask(vega_process.render, SPEC).startswith("<svg")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no ulimit")
def test_with_little_address_space_a_report_lacks_its_charts_and_says_why(make_run: MakeRun) -> None:
    run = make_run()
    code = (
        "import resource, sys; from firstlight.cli import main;"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30));"
        f"sys.argv = ['firstlight', 'report', {str(run.path)!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(run.path / "report.html")
    [line] = done.stderr.splitlines()
    assert "Loss over the epochs" in line or "Images per class" in line
    assert "4 GiB that this process may have (ulimit -v)" in line
    page = (run.path / "report.html").read_text("utf-8")
    assert page.count("This chart could not be drawn") == page.count('<p class="undrawn">') >= 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_that_was_forked_draws_by_its_own() -> None:
    vega.svg(SPEC, 200)
    ours = vega_process.render._process
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            fine = vega_process.render._process is None and vega.svg(SPEC, 200).startswith("<svg")
            vega_process.render.close()
        finally:
            os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert vega_process.render._process is ours
    assert vega.svg(SPEC, 200).startswith("<svg")


@pytest.fixture
def one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chart of the loss cannot be drawn."""
    draw = vega.svg

    def svg(spec: dict[str, Any], width: int) -> str:
        if '"loss"' in repr(spec).replace("'", '"') and "val_loss" not in repr(spec) and "epoch" in repr(spec):
            raise ChartError("it is <too> bad")
        return draw(spec, width)

    monkeypatch.setattr(vega, "svg", svg)


@pytest.mark.usefixtures("one_fails")
def test_a_sentence_stands_in_its_place_and_a_warning_names_it(make_run: MakeRun) -> None:
    run = make_run()
    for draw in (render_html, render_pdf):
        with pytest.warns(ReportWarning) as told_of:
            made = draw(run)
        [warning] = told_of
        assert str(warning.message) == (
            "The report of lenet5 on animals lacks a chart, “Loss over the epochs, train and validation”: "
            "it is <too> bad. (FL503)"
        )
        if isinstance(made, str):
            found = re.findall(r'<div class="drawing"[^>]*><p class="undrawn">([^<]*)</p></div>', made)
            assert found == ["This chart could not be drawn: it is &lt;too&gt; bad."]
            assert len(re.findall(r'class="drawing"[^>]* role="img"', made)) == made.count('class="drawing"') - 1
    assert "This chart could not be drawn: it is &lt;too&gt; bad." in cards.html(run)


def test_a_report_that_fails_as_a_whole_says_why(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    monkeypatch.setattr(class_counts, "chart", lambda *_: 1 / 0)
    with pytest.raises(ReportError, match=r"report\.html cannot be made: ZeroDivisionError: division by zero\."):
        report.write(run)
    assert not (run.path / "report.html").exists()
    assert "cannot be shown: ZeroDivisionError" in cards.html(fl_images())


def fl_images() -> Any:
    import firstlight as fl

    return fl.load("digits")


def test_of_what_is_complete_the_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = f"The run is complete in {tmp_path}, .*: no. Fix that, then: firstlight"
    with pytest.raises(ReportError, match=said), report.of_complete("run", tmp_path):
        raise ReportError("no.")
    with pytest.raises(KeyboardInterrupt), report.of_complete("run", tmp_path):
        raise KeyboardInterrupt
    assert f"The run is complete in {tmp_path}, without its report. Write it: " in capsys.readouterr().err


def test_warnings_of_reports_are_told_whatever_the_filters_say() -> None:
    heard: list[str] = []
    with told(heard.append):
        warnings.warn("twice", ReportWarning, stacklevel=1)
        warnings.warn("twice", ReportWarning, stacklevel=1)
        with pytest.raises(UserWarning):
            warnings.warn("another kind", UserWarning, stacklevel=1)
    assert heard == ["twice", "twice"]
