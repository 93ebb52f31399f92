"""The page of one run: sound, complete, true to its records, and safe whatever the names in it."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.page_checks import Page, assert_sound
from tests.report.run_folders import HOSTILE, MakeRun

from firstlight import report
from firstlight.records.codec import encode
from firstlight.records.run import read
from firstlight.report.document import Chart
from firstlight.report.format import count, decimal, interval, percent
from firstlight.report.pages.run import document, verdict
from firstlight.report.sections import summary

SECTIONS = {
    "asked": "Summary",
    "notes": "Before you trust it",
    "images": "The images",
    "model": "The model",
    "learning": "Learning",
    "results": "Right and wrong",
    "confidence": "Confidence",
    "answers": "Test images",
    "reproduce": "How to reproduce it",
    "questions": "Questions and terms",
}

ODD: dict[str, dict[str, Any]] = {
    "plain": {},
    "two classes": {"class_names": ("no", "yes")},
    "thirty classes": {"class_names": tuple(f"species {k}" for k in range(30)), "test": 90},
    "colour": {"channels": 3, "side": 32},
    "large images": {"channels": 3, "side": 200},
    "long names": {"class_names": ("a very long name of a class " * 4, "x" * 90, "ü")},
    "one epoch": {"epochs": 1},
    "interrupted": {"status": "interrupted", "epochs": 2},
    "interrupted in the first epoch": {"status": "interrupted", "epochs": 0},
    "diverged": {"status": "diverged", "losses": (0.9, 0.5, 2.0**101, 3.6e30)},
    "last weights": {"restore_best": False},
    "no mistakes": {"skill": 99.0},
    "no validation": {"validation": False},
    "few images": {"test": 12},
    "hostile names": {"class_names": HOSTILE},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_every_page_is_sound_and_complete(make_run: MakeRun, odd: dict[str, Any]) -> None:
    run = make_run(**odd)
    text = report.render_html(run)
    page = assert_sound(text)
    assert len(text.encode()) < 5_000_000
    anchors = [attributes["id"] for attributes in page.all("section")]
    assert anchors == list(SECTIONS)
    for title in SECTIONS.values():
        assert title in page.text
    for name in run.class_names:
        assert " ".join(name.split()) in page.text


def test_numbers_are_those_of_the_result(make_run: MakeRun) -> None:
    run = make_run()
    page = Page(report.render_html(run))
    test = run.result.test
    record = read(run)
    assert record.validation is not None
    shown = page.text
    assert record.test.to_json() == encode(test)
    assert f"right on {round(test.accuracy * 60)} of 60 test images" in shown
    for number in (
        percent(test.accuracy),
        interval(record.test.accuracy_interval),
        decimal(test.loss),
        percent(record.validation.accuracy),
        count(61_706),
        count(61_700),
        count(416_520),
        percent(test.calibration.error),
        *(decimal(score["precision"], 3) for score in test.classes),
        *(decimal(test.macro[key], 3) for key in ("precision", "recall", "f1")),
    ):
        assert " ".join(number.split()) in shown
    assert "1 min 23 s" in shown


def test_hostile_names_stay_text(make_run: MakeRun) -> None:
    text = report.render_html(make_run(class_names=HOSTILE))
    for name in HOSTILE[:2]:
        assert name not in text
        assert html.escape(name) in text
    page = Page(text)
    assert "alert(1)" not in "".join(code for attributes, code in page.scripts if "type" not in attributes)
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert "{{ 7*7 }}" in page.text
    assert page.json("specs")


def test_the_experiment_and_the_machine_are_there(make_run: MakeRun) -> None:
    run = make_run()
    shown = Page(report.render_html(run)).text
    assert "firstlight run experiment.toml" in shown
    assert " ".join((run.path / "experiment.toml").read_text().split()) in shown
    for fact in ("A processor", "numpy 2.4.6", "2 cores, 8 GB", "adam, lr 0.001", "scaled to [0, 1], standardized per"):
        assert fact in shown


def test_write_puts_the_page_into_the_folder(make_run: MakeRun) -> None:
    run = make_run()
    path = report.write(run)
    assert path == run.path / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert read(run).report == path


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the browser chromium")
def test_a_browser_draws_every_chart(make_run: MakeRun, tmp_path: Path) -> None:
    path = report.write(make_run(class_names=HOSTILE))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    command += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'user'}"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=10000", "--dump-dom", path.as_uri()], capture_output=True, timeout=60
    )
    drawn = Page(done.stdout.decode())
    drawings = [a for a in drawn.all("div") if "drawing" in a.get("class", "").split()]
    assert len(drawings) == len(drawn.json("specs"))
    assert all("vega-embed" in a["class"].split() for a in drawings)
    assert not any(a.get("src") == "x" for a in drawn.all("img"))


def test_verdict_names_the_trivial_answer(make_run: MakeRun) -> None:
    record = read(make_run(skill=99.0))
    assert verdict(record) == (
        "lenet5 is right on all 60 test images. It was not trained on any of them; always predicting “cat”, the most "
        "frequent class, would be right on 33.3\u202f%."
    )


def test_verdict_does_not_call_leaked_images_unseen(make_run: MakeRun) -> None:
    record = read(make_run(data={"checks": {"duplicates_across": {"train-test": 12}}}))
    assert "not trained on any" not in verdict(record)
    assert "12 of them are also among its training images" in verdict(record)


@pytest.mark.parametrize("losses", [(np.nan,) * 4, (1.0, 0.5, np.inf, np.nan), (0.9, 0.5, 2.0**101, 3.6e30)])
@pytest.mark.parametrize("validation", [True, False])
def test_odd_losses_are_drawn(make_run: MakeRun, losses: tuple[float, ...], validation: bool) -> None:
    run = make_run(losses=losses, validation=validation)
    shown = assert_sound(report.render_html(run))
    wide = bool(np.nanmax([0, *losses]) == 3.6e30)
    assert ("its axis is logarithmic" in shown.text) == wide


def test_every_chart_has_a_description(make_run: MakeRun) -> None:
    made = document(read(make_run()))
    charts = [b for s in made.sections for b in s.blocks if isinstance(b, Chart)]
    assert charts
    assert all(chart.description and chart.caption for chart in charts)


def test_without_validation_the_last_epoch_is_measured_and_none_is_best(make_run: MakeRun) -> None:
    run = make_run(validation=False)
    shown = Page(report.render_html(run)).text
    shown = shown[: shown.rindex("How to reproduce it")]  # there the experiment file says what it says
    assert "Weights kept last epoch" in shown
    assert "weights of the last" in shown
    for absent in ("best by", "best: ", "Early stopping", "validation loss", "Selection was"):
        assert absent not in shown


def test_the_last_weights_are_not_called_the_best(make_run: MakeRun) -> None:
    run = make_run(restore_best=False)
    record = read(run)
    assert record.validation is not None
    assert verdict(record).endswith(
        "Evaluated were the weights of the last epoch (4); the best by validation loss was epoch 3."
    )
    assert summary.epochs(record) == "4 of 10, best 3, weights of 4"
    text = report.render_html(run)
    assert "best: epoch 3 (not kept)" in text
    assert "best: 3, kept: 4" in Page(text).text


def test_a_diverged_run_says_so(make_run: MakeRun) -> None:
    because = "The validation loss became nan after epoch 5. Try a tenth of the learning rate."
    record = read(make_run(status="diverged", result={"stopped_because": because}))
    assert verdict(record).startswith("Training diverged: its loss was no longer finite. ")
    assert verdict(record).endswith("Evaluated were the weights of epoch 3, the best by validation loss.")
    assert summary.epochs(record) == "4 of 10, best 3, diverged"


def test_a_verdict_on_a_part_of_the_first_epoch(make_run: MakeRun) -> None:
    record = read(make_run(status="interrupted", epochs=0))
    assert verdict(record).endswith("Evaluated were the weights that a part of the first epoch had made.")


def test_a_report_of_odd_names_is_whole_and_small(make_run: MakeRun) -> None:
    run, plain = (
        make_run(class_names=("happy customer 😀with a smile", "constructor", "__proto__", "long" * 2500)),
        make_run("plain"),
    )
    page = report.render_html(run)
    assert "could not be drawn" not in page
    assert "long" * 30 not in page
    assert len(page) < 1.1 * len(report.render_html(plain))
    assert report.render_pdf(run).startswith(b"%PDF")


def test_the_title_of_a_report_tells_bytes_that_are_no_text(make_run: MakeRun) -> None:
    page = report.render_html(make_run("caf\udce9"))
    page.encode()
    assert re.search(r"run caf\\(xe9|udce9)", page)
    assert report.build_document(make_run("b")).title == "lenet5 on animals"
