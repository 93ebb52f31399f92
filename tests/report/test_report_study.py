"""The report of a study: what a reader must find, whatever is missing, and nothing that the numbers do not say."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats
from tests.report.page_checks import assert_sound
from tests.report.run_folders import HOSTILE, STRONG, WEAK, Odd, entry, write_study
from typer.testing import CliRunner

from firstlight import report
from firstlight.cli import app
from firstlight.errors import RunError
from firstlight.evaluation import Spread, spread
from firstlight.records import group as groups
from firstlight.records import run_folder
from firstlight.records.run_folder import StudyFolder
from firstlight.report.document import Beside, Block, Chart, Code, Document, Link, Section, Table, Text
from firstlight.report.format import DASH, percent, plus_minus, signed
from firstlight.report.pages import study
from firstlight.report.sections import engines, main_effects
from firstlight.report.sections.significance import probability
from firstlight.report.study_table import mean, study_table

MakeStudy = Callable[..., StudyFolder]


@pytest.fixture
def make_study(tmp_path: Path) -> MakeStudy:
    """Write a study of synthetic runs in a folder of its `name`; see `write_study`."""
    return lambda *entries, name="nets", **odd: write_study(tmp_path / name, *entries, **odd)


@pytest.fixture
def two(make_study: MakeStudy) -> StudyFolder:
    weak = entry("weak", published=0.99, note="Too small a net for this.")
    strong = entry("strong", published=0.5, beside={"Keras, the same images": 0.97})
    return make_study((weak, WEAK), (strong, STRONG))


def section(document: Document, anchor: str) -> Section:
    return next(s for s in document.sections if s.anchor == anchor)


def table(document: Document, anchor: str, n: int = 0) -> Table:
    return [b for b in section(document, anchor).blocks if isinstance(b, Table)][n]


def paired(document: Document) -> list[tuple[str, ...]]:
    """The rows of the table of tests, with plain spaces."""
    return [tuple(str(cell).replace("\u00a0", " ") for cell in row) for row in table(document, "significance").rows]


def said(document: Document, anchor: str) -> str:
    return " ".join(b.text for b in section(document, anchor).blocks if isinstance(b, Text))


def charts(blocks: tuple[Block, ...]) -> list[Chart]:
    inner = [b for block in blocks for b in (block.blocks if isinstance(block, Beside) else (block,))]
    return [b for b in inner if isinstance(b, Chart)]


def accuracies(folder: StudyFolder, name: str) -> list[float]:
    found = next(group for group in groups.of_study(folder) if group.name == name)
    return [record.run.result["test"]["accuracy"] for record in found.runs.values()]


# --- the page


def test_the_page_is_sound_and_says_what_came_out(two: StudyFolder) -> None:
    report.write(run_folder.RunFolder(two.place(two.entries[1], 0)))
    path = report.write(two)
    assert path == two.path / "report.html"
    page = assert_sound(path.read_text(encoding="utf-8"))
    assert [a["id"] for a in page.all("section")] == [
        "tried",
        "notes",
        "accuracy",
        "parameters",
        "significance",
        "learning",
        "classes",
        "confusion",
        "images",
        "differences",
        "every",
        "reproduce",
    ]
    assert "What it shows." in page.text
    assert "Too small a net for this." in page.text
    for name in ("weak", "strong"):
        assert " ".join(plus_minus(spread(accuracies(two, name))).split()) in page.text
    links = [a["href"] for a in page.all("a") if not a["href"].startswith("#")]
    assert links == ["strong/seed-0/report.html"]
    assert 'title = "nets"' in page.text
    assert f"firstlight study {two.file.name}" in page.text


def test_the_verdict_names_the_best_by_validation_and_what_is_published(two: StudyFolder) -> None:
    document = study.document(two)
    assert document.verdict.startswith("Of 2 experiments, strong is the best by validation: ")
    assert "strong is better (paired t-test, p " in document.verdict  # five seeds: too few for the sign-flip test
    weak = plus_minus(spread(accuracies(two, "weak")))
    assert f"1 of 2 published numbers reached within two standard deviations, or beaten; not by weak ({weak}" in (
        document.verdict
    )


def test_the_table_puts_every_number_under_its_title(two: StudyFolder) -> None:
    tried = table(study.document(two), "tried")
    weak, strong = (dict(zip(tried.titles, row, strict=True)) for row in tried.rows)
    assert (weak["run"], strong["run"]) == ("weak", "★ strong")
    assert strong["test accuracy"] == plus_minus(spread(accuracies(two, "strong")))
    assert weak["published"] == f"{percent(0.99, 2)} ▼"
    assert strong["published"] == f"{percent(0.5, 2)} ▲"
    assert str(strong["Keras, the same images"]).startswith(percent(0.97, 2))
    assert weak["Keras, the same images"].startswith("–")  # type: ignore[union-attr]
    group = groups.of_study(two)[1]
    assert group.validation is not None
    assert strong["validation accuracy"] == percent(group.validation.mean, 2)
    trained = group.first.history["accuracy"][group.first.weights_epoch - 1]
    assert strong["training accuracy"] == percent(trained, 2)
    assert strong["gap, points"] == signed(trained - group.validation.mean)
    assert strong["test loss"] == "0.4321"
    assert strong["parameters"] == "61,706"
    assert strong["training time"] == "1\u202fmin 23\u202fs"
    assert strong["seeds"] == "5"


def test_selection_ignores_the_test(make_study: MakeStudy) -> None:
    folder = make_study((entry("lucky"), STRONG), (entry("good"), WEAK))
    for seed in range(5):  # the validation results change places: now the better one on the test images is "lucky"
        places = [folder.place(e, seed) / run_folder.RESULT for e in folder.entries]
        first, second = (run_folder.RunFolder(place.parent).result for place in places)
        for place, own, other in ((places[0], first, second), (places[1], second, first)):
            run_folder.write_record(place.parent, run_folder.RESULT, {**own, "validation": other["validation"]})
    lucky, good = groups.of_study(folder)
    assert lucky.accuracy.mean > good.accuracy.mean
    assert groups.leader([lucky, good]) is good
    assert "Selection is by validation" in said(study.document(folder), "notes")


# --- what the numbers mean


@pytest.mark.parametrize(
    ("ours", "number", "expected"),
    [
        (Spread(5, 0.90, 0.01), 0.915, "within"),
        (Spread(5, 0.90, 0.01), 0.925, "below"),
        (Spread(5, 0.90, 0.01), 0.875, "above"),
        (Spread(1, 0.90, None), 0.89, "higher"),
        (Spread(1, 0.90, None), 0.91, "lower"),
        (Spread(1, 0.90, None), 0.90, "equal"),
    ],
)
def test_a_published_number_is_judged_by_two_standard_deviations(ours: Spread, number: float, expected: str) -> None:
    assert groups.standing(ours, number) == expected
    assert groups.reached(ours, number) is (expected not in ("below", "lower"))


def t_test(folder: StudyFolder, name: str, other: str) -> float:
    return float(stats.ttest_rel(accuracies(folder, name), accuracies(folder, other)).pvalue)


def test_with_five_seeds_the_t_test_decides_and_with_six_the_sign_flip_test(make_study: MakeStudy) -> None:
    folder = make_study((entry("weak"), WEAK), (entry("strong"), STRONG), name="five")
    five = study.document(folder)
    (row,) = paired(five)
    p = probability(t_test(folder, "strong", "weak"))
    assert row[4:] == ("0.0625", p, p, "strong is better")
    assert "with 5 seeds the sign-flip test cannot" in said(five, "significance")
    folder = make_study((entry("weak", 6), WEAK), (entry("strong", 6), STRONG), name="six")
    six = study.document(folder)
    (row,) = paired(six)
    assert row[4:] == ("0.0312", probability(t_test(folder, "strong", "weak")), "0.0312", "strong is better")
    assert "the sign-flip test decides" in said(six, "significance")


def test_six_seeds_are_too_few_for_two_sign_flip_tests(make_study: MakeStudy) -> None:
    others = [(entry(name, 6), {**WEAK, "model": name}) for name in ("one", "two")]
    folder = make_study((entry("strong", 6), STRONG), *others)
    document = study.document(folder)
    for row in paired(document):
        p = t_test(folder, "strong", row[0])
        assert row[4:] == ("0.0312", probability(p), probability(2 * p), "strong is better")
    assert "cannot give p < 0.05 in 2 tests" in said(document, "significance")
    assert "Holm" in said(document, "significance")


def test_two_seeds_are_too_few_to_test(make_study: MakeStudy) -> None:
    document = study.document(make_study((entry("weak", 2), WEAK), (entry("strong", 2), STRONG)))
    (row,) = paired(document)
    assert row[-2:] == ("–\u2060", "n = 2 seeds are too few to test")


def test_runs_that_are_equal_are_all_the_best(make_study: MakeStudy) -> None:
    twins = [(entry(name), {**STRONG, "model": name}) for name in ("one", "two")]
    folder = make_study((entry("weak"), WEAK), *twins)
    document = study.document(folder)
    assert "one and two are equally good by validation" in document.verdict
    assert [row[0] for row in table(document, "tried").rows] == ["weak", "★ one", "★ two"]
    assert study_table([folder], Path()).count(" ★ |") == 2


def test_equal_recipes_may_be_chance(make_study: MakeStudy) -> None:
    document = study.document(make_study((entry("a", 7), STRONG), (entry("b", 7), {**STRONG, "model": "twin"})))
    (row,) = paired(document)
    assert row[2:] == ("+0.00", "+0.00 to +0.00", "1.00", "1.00", "1.00", "may be chance")


def test_single_seeds_are_tested_on_the_test_images(make_study: MakeStudy) -> None:
    document = study.document(make_study((entry("weak", 1), WEAK), (entry("strong", 1), STRONG)))
    (row,) = paired(document)
    assert row[1].startswith("60 images, ")
    assert row[6] == "strong is better"
    assert "McNemar" in said(document, "significance")
    tried = table(document, "tried")
    assert "±" not in str(tried.rows[0][2])


def test_other_test_images_are_not_paired(make_study: MakeStudy) -> None:
    document = study.document(make_study((entry("a", 1), STRONG), (entry("b", 1), {**WEAK, "test": 30})))
    (row,) = paired(document)
    assert row[-1] == "not paired: other test images"


def test_summed_matrices_and_means_are_those_of_all_seeds(two: StudyFolder) -> None:
    strong = groups.of_study(two)[1]
    tests = [record.test for record in strong.runs.values()]
    assert strong.confusion.sum() == 5 * 60
    assert (strong.confusion == sum(test.confusion for test in tests)).all()
    first = strong.class_accuracies()[0]
    assert first is not None
    assert first.mean == pytest.approx(np.mean([test.classes[0].accuracy for test in tests]))


# --- what is missing or odd


def test_what_is_missing_is_said_and_the_rest_is_shown(make_study: MakeStudy) -> None:
    gone = frozenset({("strong", 3), *(("never", seed) for seed in range(5))})
    folder = make_study((entry("weak"), WEAK), (entry("strong"), STRONG), (entry("never"), {}), missing=gone)
    cut_off = folder.path / "never" / "seed-0"
    cut_off.mkdir(parents=True)
    (cut_off / run_folder.EXPERIMENT).write_text("seed = 0\n")
    document = study.document(folder)
    assert "6 of 15 runs have no result yet." in document.verdict
    assert "No result yet: strong, seed 3." in said(document, "notes")
    assert "No result yet: never, seed 0, seed 1, seed 2, seed 3 and seed 4." in said(document, "notes")
    tried = table(document, "tried")
    assert [row[1] for row in tried.rows] == ["5", "4 of 5", "0 of 5"]
    assert table(document, "every").rows[2][1] == "no result"
    (row,) = paired(document)
    assert row[1] == "4 seeds"
    assert_sound(report.render_html(folder))


def test_a_study_without_any_result_is_an_error(make_study: MakeStudy) -> None:
    folder = make_study((entry("a", 1), {}), missing=frozenset({("a", 0)}))
    with pytest.raises(RunError, match="no run of the study has a result yet"):
        report.write(folder)
    assert not (folder.path / "report.html").exists()


def test_a_damaged_run_is_told_and_left_out(two: StudyFolder) -> None:
    place = two.place(two.entries[0], 2)
    (place / run_folder.PREDICTIONS).write_bytes(b"nothing")
    document = study.document(two)
    assert "weak, seed 2: " in said(document, "notes")
    assert "is damaged" in said(document, "notes")
    assert table(document, "every").rows[0][3] == "unreadable"
    assert len(groups.of_study(two)[0].averaged) == 4
    shutil.rmtree(two.path / "strong")
    for seed in (0, 1, 3, 4):
        (two.place(two.entries[0], seed) / run_folder.PREDICTIONS).write_bytes(b"nothing")
    with pytest.raises(RunError, match="is damaged"):
        report.render_html(two)


@pytest.mark.parametrize(
    "name",
    [
        run_folder.EXPERIMENT,
        run_folder.ENVIRONMENT,
        run_folder.DATA,
        run_folder.MODEL,
        run_folder.HISTORY,
        run_folder.PREDICTIONS,
        run_folder.SAMPLES,
        run_folder.RESULT,
    ],
)
@pytest.mark.parametrize("how", ["lost", "half", "nonsense", "a folder"])
def test_whatever_file_is_damaged_the_others_are_reported(two: StudyFolder, name: str, how: str) -> None:
    file = two.place(two.entries[0], 2) / name
    whole = file.read_bytes()
    file.unlink()
    if how == "a folder":
        file.mkdir()
    elif how != "lost":
        file.write_bytes(whole[: len(whole) // 2] if how == "half" else b"\xff\x00[{")
    weak, strong = groups.of_study(two)
    assert (len(strong.runs), len(weak.runs)) == (5, 4)
    lost = report.lost(two)
    if name != run_folder.RESULT or how in ("half", "nonsense"):  # without a result it is not done yet
        assert list(lost) == ["weak, seed 2"]
        assert all(part in lost["weak, seed 2"] for part in (str(file.parent), name))
    assert "1 of 10 runs has no result yet." in study.document(two).verdict


def test_a_run_that_failed_is_named_until_it_has_a_result(make_study: MakeStudy) -> None:
    gone = frozenset({("wild", 0), ("wild", 1)})
    folder = make_study((entry("wild", 3), {}), (entry("tame", 3), STRONG), missing=gone)
    wild = folder.entries[0]
    for seed in (0, 2):
        run_folder.failure(folder.place(wild, seed)).write_text("The loss is not finite.\n")
    document = study.document(folder)
    assert "No result yet: wild, seed 1." in said(document, "notes")
    assert "wild, seed 0 came to no result: The loss is not finite." in said(document, "notes")
    assert "wild, seed 2" not in said(document, "notes")  # it was tried again since
    assert table(document, "every").rows[0][1:3] == ("failed", "no result")
    assert report.lost(folder) == {"wild, seed 0": "The loss is not finite."}
    answer = CliRunner().invoke(app, ["report", str(folder.path)])
    assert "wild, seed 0: The loss is not finite." in answer.stderr


def test_a_study_whose_runs_all_failed_says_why(make_study: MakeStudy) -> None:
    folder = make_study((entry("wild", 1), {}), missing=frozenset({("wild", 0)}))
    place = folder.place(folder.entries[0], 0)
    place.parent.mkdir()
    run_folder.failure(place).write_text("The loss is not finite.\n")
    with pytest.raises(RunError, match=r"no run of the study has a result yet.*\nwild, seed 0: The loss"):
        report.write(folder)


def test_a_single_seed_has_no_mean(make_study: MakeStudy) -> None:
    alone = study.document(make_study((entry("weak", 1), WEAK), (entry("strong", 1), STRONG), name="alone"))
    text = " ".join(
        [said(alone, "notes"), *(c.caption + c.description for c in charts(section(alone, "accuracy").blocks))]
    )
    assert "mean" not in text + table(alone, "tried").caption
    assert "highest validation accuracy" in text
    assert "Of each of them there is one seed" in text
    assert not any(row["what"] == "mean" for row in values(alone))

    mixed = study.document(make_study((entry("weak", 3), WEAK), (entry("strong", 1), STRONG), name="mixed"))
    caption = table(mixed, "tried").caption
    assert caption.startswith(
        "Means over the seeds, of the test accuracy ± its standard deviation. Of a single seed, its own numbers"
    )
    assert "highest mean validation accuracy over its seeds, or the one of its seed" in said(mixed, "notes")
    assert "Of strong there is one seed" in said(mixed, "notes")
    assert {row["run"] for row in values(mixed) if row["what"] == "mean"} == {"weak"}


def values(document: Document) -> list[dict[str, Any]]:
    """What the chart of accuracies draws."""
    (dots,) = charts(section(document, "accuracy").blocks)
    return [row for rows in dots.spec["datasets"].values() for row in rows if "what" in row]


def test_interrupted_runs_are_not_averaged_and_diverged_ones_are(two: StudyFolder) -> None:
    for seed, status in ((0, "interrupted"), (1, "diverged")):
        place = two.place(two.entries[1], seed)
        run_folder.write_record(place, run_folder.RESULT, {**run_folder.RunFolder(place).result, "status": status})
    strong = groups.of_study(two)[1]
    assert tuple(strong.averaged) == (1, 2, 3, 4)
    document = study.document(two)
    notes = said(document, "notes")
    assert "strong, seed 0: The run was interrupted" in notes
    assert "Of strong, interrupted runs are left out of the means." in notes
    assert "strong, seed 1: Training diverged" in notes
    cells = [cell for cell in table(document, "every").rows[1] if not isinstance(cell, Link)]
    assert cells[1].endswith("†")
    assert cells[2].endswith("‡")
    assert table(document, "tried").rows[1][1] == "4 of 5"


def test_runs_that_read_the_test_images_twice_are_named(two: StudyFolder) -> None:
    assert "once in each of the 10 runs" in said(study.document(two), "notes")
    place = two.place(two.entries[0], 4)
    run_folder.write_record(place, run_folder.RESULT, {**run_folder.RunFolder(place).result, "measured_before": True})
    assert "once in 9 of 10 runs" in said(study.document(two), "notes")
    assert "again at its end: weak, seed 4." in said(study.document(two), "notes")


def test_without_validation_none_is_called_the_best(make_study: MakeStudy) -> None:
    blind: Odd = {"validation": False}
    folder = make_study((entry("weak"), {**WEAK, **blind}), (entry("strong"), {**STRONG, **blind}))
    document = study.document(folder)
    assert "none is chosen as the best" in document.verdict
    assert "none is called the best" in said(document, "notes")
    assert "validation accuracy" not in table(document, "tried").titles
    assert not table(document, "tried").strong
    assert [chart.description for chart in charts(section(document, "learning").blocks)] == [
        "The training loss of each run over the epochs.",
        "The training accuracy of each run over the epochs.",
    ]
    assert "weak (the first)" in table(document, "significance").caption
    assert "best by validation" not in assert_sound(report.render_html(folder)).text


def test_other_classes_are_another_question(make_study: MakeStudy) -> None:
    binary: Odd = {"class_names": ("even", "odd")}
    folder = make_study(
        (entry("ten", 2), STRONG), (entry("frozen", 2), {**WEAK, **binary}), (entry("tuned", 2), {**STRONG, **binary})
    )
    document = study.document(folder)
    assert [[group.name for group in task] for task in groups.tasks(groups.of_study(folder))] == [
        ["ten"],
        ["frozen", "tuned"],
    ]
    assert "On animals, cat, dog and bird, ten is right on" in document.verdict
    assert "On animals, even and odd, of 2 experiments, tuned is the best" in document.verdict
    assert "accuracies compare only where images and classes are the same" in said(document, "notes")
    assert table(document, "classes", 0).titles == ("class", "ten")
    assert table(document, "classes", 1).titles == ("class", "frozen", "tuned")
    assert_sound(report.render_html(folder))


def test_hostile_names_stay_text(make_study: MakeStudy) -> None:
    bad = entry("a&b", 2, note=HOSTILE[1], beside={HOSTILE[0]: 0.5})
    folder = make_study((bad, {"class_names": HOSTILE}), (entry("c", 2), {"class_names": HOSTILE}), title=HOSTILE[0])
    text = report.render_html(folder)
    page = assert_sound(text)
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "{{ 7*7 }}" in page.text


def test_runs_without_a_complete_epoch_have_no_curves(make_study: MakeStudy) -> None:
    folder = make_study((entry("a", 2), {"epochs": 0, "status": "interrupted"}))
    assert "there are no curves" in said(study.document(folder), "learning")
    assert_sound(report.render_html(folder))


def test_losses_that_are_no_numbers_leave_gaps(make_study: MakeStudy) -> None:
    folder = make_study((entry("a", 2), {"losses": (1.0, float("nan"), float("inf"))}), (entry("b", 2), STRONG))
    assert_sound(report.render_html(folder))


def test_many_classes_show_those_that_differ(make_study: MakeStudy) -> None:
    names = [f"sign {k}" for k in range(43)]
    many = {"class_names": names, "test": 86}
    folder = make_study((entry("a", 2), {**STRONG, **many}), (entry("b", 2), {**WEAK, **many}))
    document = study.document(folder)
    shown = [row[0] for row in table(document, "classes").rows]
    assert len(shown) == 20
    a, b = (
        [value.mean for value in group.class_accuracies() if value is not None] for group in groups.of_study(folder)
    )
    gaps = {name: abs(x - y) for name, x, y in zip(names, a, b, strict=True)}
    assert min(gaps[str(name)] for name in shown) >= max(gap for name, gap in gaps.items() if name not in shown)
    assert shown == [name for name in names if name in shown]
    assert "20 classes that differ most" in charts(section(document, "classes").blocks)[0].caption


# --- what belongs together


def test_a_study_of_one_number_is_drawn_in_its_order(make_study: MakeStudy) -> None:
    folder = make_study(*((entry(f"alpha-{k / 10}", 1), {}) for k in range(5)))
    for k, path in enumerate(sorted(folder.path.glob("*/seed-0/experiment.toml"))):
        path.write_text(path.read_text().replace("lr = 0.001", f"lr = 0.001\nlag = {k / 10}"))
    found = groups.of_study(folder)
    assert groups.varied(found) == "optimizer.lag"
    assert groups.varied(found[:3]) is None
    (chart, *_) = charts(section(study.document(folder), "learning").blocks)
    for path in folder.path.glob("alpha-0.1/seed-0/experiment.toml"):
        path.write_text(path.read_text().replace("batch_size = 32", "batch_size = 64"))
    assert groups.varied(groups.of_study(folder)) is None
    colours = chart.spec["layer"][0]["encoding"]["color"]["scale"]["range"]
    assert len(set(colours)) == 5
    assert all(colour.startswith("color-mix(") for colour in colours)


def test_two_engines_are_put_side_by_side(make_study: MakeStudy) -> None:
    folder = make_study((entry("by-hand", 2), {}), (entry("by-autograd", 2), {}), (entry("other", 2), {"model": "x"}))
    for path in (folder.path / "by-autograd").glob("*/experiment.toml"):
        path.write_text(path.read_text().replace('engine = "numpy"', 'engine = "torch"\ndevice = "cpu"'))
    for path in (folder.path / "by-autograd").glob("*/history.csv"):
        columns = {name: values.tolist() for name, values in run_folder.RunFolder(path.parent).history.items()}
        columns["loss"][2] *= 1 + 1e-6
        columns["seconds"] = [1.5] * 4
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        run_folder.write_history(path.parent, list(columns), rows)
    found = groups.of_study(folder)
    (pair,) = engines.numbers(found)
    assert [side.name for side in pair.sides] == ["by-hand", "by-autograd"]
    assert max(pair.apart[1]) == pytest.approx(1e-6, rel=1e-3)
    told = table(study.document(folder), "engines")
    assert [row[3] for row in told.rows] == ["500\u202fms", "1.5\u202fs"]
    assert "1.0e-06" in told.caption
    assert "0.33 times as long" in told.caption


def test_searches_and_parity_are_linked_where_they_are(two: StudyFolder) -> None:
    assert "beyond" not in [part.anchor for part in study.document(two).sections]
    done, running = two.path / "search-tpe", two.path / "search-random"
    for place in (done, running):
        place.mkdir()
    for name in ("result.json", "report.html", "best.toml"):
        (done / name).write_text("{}")
    (two.path / "parity.html").write_text("")
    rows = table(study.document(two), "beyond").rows
    assert rows[0][:2] == ("search random", "no result yet")
    assert [cell.target for cell in rows[1][1:] if isinstance(cell, Link)] == [
        "search-tpe/report.html",
        "search-tpe/best.toml",
    ]
    assert isinstance(rows[2][1], Link)
    assert rows[2][1].target == "parity.html"


def test_a_lost_study_file_is_a_warning(two: StudyFolder) -> None:
    two.file.unlink()
    document = study.document(two)
    assert "was not kept" in said(document, "reproduce")
    assert not [b for b in section(document, "reproduce").blocks if isinstance(b, Code)]


def test_the_report_command_knows_a_study(two: StudyFolder) -> None:
    done = CliRunner().invoke(app, ["report", str(two.path)])
    assert done.exit_code == 0
    assert Path(done.output.strip()).samefile(two.path / "report.html")
    assert "Nets compared" in (two.path / "report.html").read_text(encoding="utf-8")


# --- the table of all studies


def test_the_table_of_all_studies(make_study: MakeStudy, two: StudyFolder, tmp_path: Path) -> None:
    other = make_study((entry("pipe|*d*", 1, published=0.4), STRONG), name="other", title="Of *another* kind")
    empty = make_study((entry("a", 1), {}), name="empty", title="Not begun", missing=frozenset({("a", 0)}))
    path = report.write_study_table([two, other, empty], tmp_path / "docs" / "studies.md")
    text = path.read_text(encoding="utf-8")
    ours = spread(accuracies(two, "strong"))
    group = groups.of_study(two)[1]
    kept = " | ".join(mean(found) for found in (group.validation, group.training))
    assert f"| strong ★ | 50.00 ▲ | {mean(ours)} | 5 | {kept} | 83.2 | 97.00 " in text
    assert mean(ours) == f"{100 * ours.mean:.2f} ± {100 * (ours.sd or 0):.2f}"
    assert "2 of 3 published numbers" in text
    assert "- **weak**: Too small a net for this." in text
    assert "## Of \\*another\\* kind" in text
    assert "| pipe\\|\\*d\\* | 40.00 △ |" in text
    assert "empty.toml" in text
    assert "no run has a result yet" in text
    assert "A processor, 2 cores, 8.1 GB, Linux" in text
    assert str(tmp_path) not in text
    widths = {line.count("|") - line.count("\\|") for line in text.split("## ")[1].splitlines() if line.startswith("|")}
    assert len(widths) == 1
    assert "2 of 3 published numbers that were tried are reached within two standard deviations, or beaten." in text
    with pytest.raises(RunError, match="no table"):
        study_table([empty], tmp_path)


def test_a_published_validation_accuracy_stands_beside_that_of_ours(make_study: MakeStudy, tmp_path: Path) -> None:
    """It is the greatest over the epochs, and counts as a published number of its own."""
    entries = ((entry("strong", published=0.5, published_validation=0.99), STRONG), (entry("weak"), WEAK))
    folder = make_study(*entries)
    strong, weak = groups.of_study(folder)
    greatest = [max(record.history["val_accuracy"]) for record in strong.runs.values()]
    assert strong.best_validation == spread(greatest)
    assert [(claim.measure, claim.reached) for claim in strong.claims] == [("test", True), ("validation", False)]
    assert weak.claims == ()
    document = study.document(folder)
    assert "1 of 2 published numbers reached" in document.verdict
    assert f"strong (validation {plus_minus(spread(greatest))}, published {percent(0.99, 2)})" in document.verdict
    tried = table(document, "tried")
    for row, beside in zip(tried.rows, (f"{percent(0.99, 2)} ▼", DASH), strict=True):
        assert len(row) == len(tried.titles)
        assert row[tried.titles.index("published, validation")] == beside
    assert tried.rows[0][tried.titles.index("greatest validation accuracy")] == plus_minus(spread(greatest))
    text = study_table([folder], tmp_path)
    ours = spread(greatest)
    assert f" | 5 | 99.00 ▼ | {mean(ours)} | " in text
    assert "1 of 2 published numbers that were tried" in text
    lines = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len(set(lines)) == 1


def test_the_table_is_markdown_latex_or_csv_by_its_ending(make_study: MakeStudy, tmp_path: Path) -> None:
    odd = entry("a_b & 50%", 3, published=0.5, beside={"Keras": 0.9})
    folder = make_study((odd, STRONG), (entry("never", 1), {}), missing=frozenset({("never", 0)}), title="#1: {x}^2~")
    group = groups.of_study(folder)[0]
    text = report.write_study_table([folder], tmp_path / "t.md").read_text()
    assert text.count("# ") == 1  # the title of the study alone, and no preface of ours
    assert "notebook" not in text
    assert "▲ ours is higher" in text
    assert report.write_study_table([folder], tmp_path / "p.md", "# Mine").read_text().startswith("# Mine\n")

    text = report.write_study_table([folder], tmp_path / "t.tex").read_text()
    assert r"\caption{\#1: \{x\}\textasciicircum{}2\textasciitilde{}. " in text
    assert r"run & published, \% & test, \% & n & validation, \% & training, \% & seconds & Keras \\" in text
    shown = mean(group.accuracy).replace("±", r"$\pm$")
    assert rf"a\_b \& 50\% & 50.00 $\blacktriangle$ & {shown} & 3 & " in text
    assert r"never &  & --- & 0 & --- & --- & --- &  \\" in text
    for environment in ("table", "tabular"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") == 1

    path = report.write_study_table([folder], tmp_path / "t.csv")
    first, second = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    assert (first["study"], first["run"], first["n"], first["best"]) == ("nets", "a_b & 50%", "3", "0")
    assert float(first["test_mean"]) == group.accuracy.mean
    assert float(first["test_sd"]) == group.accuracy.sd
    assert group.training is not None
    assert float(first["training_mean"]) == group.training.mean
    assert (float(first["published"]), float(first["Keras"])) == (0.5, 0.9)
    assert (second["n"], second["test_mean"], second["published"]) == ("0", "", "")

    with pytest.raises(RunError, match=r"\.md, \.tex or \.csv"):
        report.write_study_table([folder], tmp_path / "new" / "t.xlsx")
    assert not (tmp_path / "new").exists()


def test_the_table_counts_what_is_reached_and_what_was_not_tried(make_study: MakeStudy, tmp_path: Path) -> None:
    gone = frozenset({("never", 0)})
    entries = ((entry("strong", 1, published=0.5), STRONG), (entry("never", 1, published=0.5), {}))
    folder = make_study(*entries, missing=gone)
    text = study_table([folder], tmp_path)
    assert "1 of 1 published number that was tried is reached" in text
    assert "or beaten; 1 other has no result yet." in text
    document = study.document(folder)
    assert "The published number that was tried is reached" in document.verdict
    assert report.outcome(folder).verdict == document.verdict  # one seed each, and a run that is not there
    numbers = {number.label: number for number in document.numbers.items}
    found = numbers["published numbers reached"]
    assert (found.value, found.detail) == ("1 of 1", "within two s.d., or better; 1 not tried")


def test_the_table_links_the_file_that_was_run(make_study: MakeStudy, tmp_path: Path) -> None:
    """The packaged one only where it is the same and can be reached from the page; else that of the study's folder."""
    one = (entry("a", 1), {})
    same, changed = make_study(one, name="same"), make_study(one, name="changed")
    own, lost = make_study(one, name="own one"), make_study(one, name="lost")
    packaged = tmp_path / "src" / "firstlight" / "study" / "files"
    packaged.mkdir(parents=True)
    (packaged / "same.toml").write_bytes(same.file.read_bytes())
    (packaged / "changed.toml").write_text("# other seeds\n" + changed.file.read_text())
    lost.file.unlink()
    text = report.write_study_table([same, changed, own, lost], tmp_path / "docs" / "studies.md").read_text()
    assert "[same.toml](../src/firstlight/study/files/same.toml)" in text
    assert "[changed.toml](../changed/changed.toml)" in text
    assert "[own one.toml](../own%20one/own%20one.toml)" in text
    assert "\nlost.toml\n" in text
    elsewhere = report.write_study_table([same], tmp_path / "table.md").read_text()
    assert "[same.toml](same/same.toml)" in elsewhere


def test_the_table_names_runs_that_failed_or_cannot_be_read(make_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_study((entry("weak", 4), WEAK), (entry("strong", 4), STRONG), missing=frozenset({("weak", 3)}))
    weak = folder.entries[0]
    run_folder.failure(folder.place(weak, 3)).write_text("The loss is not finite.\n")
    (folder.place(weak, 2) / run_folder.ENVIRONMENT).write_text("{")
    text = study_table([folder], tmp_path)
    assert "- **weak**: failed: seed 3." in text
    assert "- **weak**: cannot be read: seed 2." in text
    assert "| weak | " in text
    for place in folder.path.glob("*/seed-*/"):
        (place / run_folder.RESULT).write_text("{")
    good = make_study((entry("a", 1), {}), name="good")
    text = study_table([folder, good], tmp_path)
    assert "no run has a result that can be read." in text
    assert "- **strong**: cannot be read: seed 0, seed 1, seed 2 and seed 3." in text


# --- what the settings of a matrix do


def matrix(make_study: MakeStudy, values: dict[tuple[int, float], float]) -> tuple[groups.Group, ...]:
    """The groups of a study over epochs and learning rates, of some skill each."""
    entries = []
    for (limit, lr), skill in values.items():
        entries.append((entry(f"limit={limit}+lr={lr}", 2), {"skill": skill, "model": f"net-{limit}-{lr}"}))
    folder = make_study(*entries, name=f"matrix-{len(values)}")
    for (limit, lr), made in zip(values, folder.entries, strict=True):
        for seed in made.seeds:
            path = folder.place(made, seed) / run_folder.EXPERIMENT
            text = re.sub(r'name = "net-[^"]*"', 'name = "net"', path.read_text()).replace("lr = 0.001", f"lr = {lr}")
            path.write_text(text.replace('source = "animals"', f'source = "animals"\nlimit = {limit}'))
    return groups.of_study(folder)


def test_main_effects_are_means_over_the_other_settings(make_study: MakeStudy) -> None:
    skills = {(n, lr): 0.3 * k + lr for k, n in enumerate((100, 1000, 5000)) for lr in (0.1, 0.5)}
    found = matrix(make_study, skills)
    assert main_effects.factors(found) == {"data.limit": [100, 1000, 5000], "optimizer.lr": [0.1, 0.5]}
    means = {group.name: group.accuracy.mean for group in found}
    told = {(effect.key, effect.value): (effect.mean, effect.groups) for effect in main_effects.numbers(found)}
    assert set(told) == {("data.limit", n) for n in (100, 1000, 5000)} | {("optimizer.lr", r) for r in (0.1, 0.5)}
    for n in (100, 1000, 5000):
        expected = np.mean([means[f"limit={n}+lr={lr}"] for lr in (0.1, 0.5)])
        assert told["data.limit", n] == (pytest.approx(expected), 2)
    assert told["optimizer.lr", 0.5][1] == 3
    tabled, curve = main_effects.blocks(found)
    assert isinstance(tabled, Table)
    assert isinstance(curve, Chart)
    assert len(tabled.rows) == 5
    (rows,) = curve.spec["datasets"].values()
    assert {(row["run"], row["at"]): row["value"] for row in rows} == {
        (f"lr {lr}", n): means[f"limit={n}+lr={lr}"] for n, lr in skills
    }
    assert main_effects.blocks(found[:-1]) == []  # a combination is missing
    assert "effects" in [
        section.anchor for section in study.document(StudyFolder.open(found[0].first.run.path.parents[1])).sections
    ]


def test_runs_that_are_no_matrix_have_no_effects(two: StudyFolder) -> None:
    found = groups.of_study(two)
    assert main_effects.numbers(found) == []
    assert main_effects.blocks(found) == []
    assert "effects" not in [section.anchor for section in study.document(two).sections]


def test_charts_are_written_as_drawings_of_their_own(two: StudyFolder, tmp_path: Path) -> None:
    paths = report.write_figures(two, tmp_path / "figures")
    names = [path.name for path in paths]
    assert names == sorted(set(names), key=names.index)
    assert {"accuracy-1.svg", "learning-1.svg", "learning-4.svg", "classes-1.svg"} <= set(names)
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("<svg ")
        assert "var(--series" not in text
        ElementTree.fromstring(text)
