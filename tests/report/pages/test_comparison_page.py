"""The comparison of runs: chosen by validation, honest about small differences."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.report.page_checks import Page, assert_sound
from tests.report.page_parts import section, table
from tests.report.run_folders import HOSTILE, MakeRun

from firstlight import report
from firstlight.errors import RunError
from firstlight.evaluation import spread
from firstlight.records import group as groups
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report.document import Code, ImageGrid
from firstlight.report.format import count, interval, plus_minus
from firstlight.report.pages import comparison


@pytest.fixture
def three(make_run: MakeRun) -> list[RunFolder]:
    return [
        make_run("weak", skill=0.2, model="softmax-regression", parameters=650),
        make_run("strong", skill=4.0, seed=1, parameters=61_706),
        make_run("middle", skill=1.5, seed=2, model="mlp-128", parameters=17_000),
    ]


def test_the_page_is_sound_and_true(three: list[RunFolder], tmp_path: Path) -> None:
    for run in three[:2]:
        report.write(run)
    path = report.write(report.Comparison(three, "Three & more <models>"), tmp_path / "out page.html")
    text = path.read_text(encoding="utf-8")
    page = assert_sound(text)
    assert len(text.encode()) < 5_000_000
    assert "Three & more <models>" in page.text
    assert [a["id"] for a in page.all("section")] == [
        "runs",
        "notes",
        "accuracy",
        "parameters",
        "significance",
        "learning",
        "classes",
        "confusion",
        "images",
        "differences",
        "reproduce",
    ]
    for run in three:
        test = read(run).test
        shown = f"{plus_minus(spread([test.accuracy]))} ({interval(test.accuracy_interval)})"
        assert " ".join(shown.split()) in page.text
        assert " ".join(count(read(run).parameters()).split()) in page.text
    links = [a["href"] for a in page.all("a") if not a["href"].startswith("#")]
    assert links == ["strong/report.html", "weak/report.html"]


def test_mistakes_of_the_best_say_what_the_others_answered(three: list[RunFolder]) -> None:
    document = comparison.document([read(run) for run in three[::2]], "Two", Path())
    grid = section(document, "images").blocks[-1]
    assert isinstance(grid, ImageGrid)
    assert all(picture.right is False and "of 1 other right" in picture.detail for picture in grid.pictures)


def test_one_run_and_equal_names_and_odd_ones(make_run: MakeRun, tmp_path: Path) -> None:
    alone = make_run("x/run", class_names=HOSTILE, epochs=1)
    assert_sound(report.render_html(report.Comparison([alone], "Alone"), tmp_path))
    twins = [alone, make_run("y/run", class_names=HOSTILE)]
    names = [group.name for group in groups.of_runs([read(run) for run in twins])]
    assert names == [str(run.path) for run in twins]
    page = Page(report.render_html(report.Comparison(twins, "Twins")))
    assert "{{ 7*7 }}" in page.text


def test_nothing_to_compare_is_an_error(make_run: MakeRun) -> None:
    with pytest.raises(RunError, match="no run to compare"):
        report.render_html(report.Comparison([], "None"))


def test_the_best_by_validation_comes_first(three: list[RunFolder]) -> None:
    document = comparison.document([read(run) for run in three], "Three", Path())
    assert [row[0] for row in table(section(document, "runs")).rows] == ["★ strong", "middle", "weak"]
    found = report.outcome(report.Comparison(three))
    assert found.verdict == document.verdict
    assert found.tables[0].rows == table(section(document, "runs")).rows


def test_without_validation_they_come_as_given(make_run: MakeRun) -> None:
    runs = [make_run("a", skill=0.5), make_run("b", validation=False, skill=4.0, model="mlp")]
    document = comparison.document([read(run) for run in runs], "Two", Path())
    shown = table(section(document, "runs"))
    assert [row[0] for row in shown.rows] == ["a", "b"]  # though b is far better on the test images
    assert not shown.strong
    assert "best by validation" not in assert_sound(report.render_html(report.Comparison(runs, "Two"))).text


def test_runs_that_differ_in_the_seed_alone_are_one(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(f"{name}-{seed}", seed=seed, model=name) for name in ("plain", "better") for seed in (0, 1)]
    document = comparison.document([read(run) for run in runs], "Four", tmp_path)
    assert {str(row[0]).removeprefix("★ ") for row in table(section(document, "runs")).rows} == {
        *("plain-0 … plain-1", "better-0 … better-1"),
        "better-0 … better-1, ensemble of 2",
        "plain-0 … plain-1, ensemble of 2",
    }
    codes = [block for block in section(document, "reproduce").blocks if isinstance(block, Code)]
    assert len(codes) == 1 + len(runs)  # the command, and the file of each
