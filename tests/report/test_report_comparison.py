"""The comparison of runs: chosen by validation, honest about small differences."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.report.page_checks import Page, assert_sound
from tests.report.run_folders import HOSTILE, MakeRun

from firstlight import report
from firstlight.errors import RunError
from firstlight.evaluation import mcnemar, spread
from firstlight.records import group as groups
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report.document import Document, ImageGrid, Table, Text
from firstlight.report.format import DASH, count, interval, plus_minus, signed
from firstlight.report.pages import comparison
from firstlight.report.sections import significance


@pytest.fixture
def three(make_run: MakeRun) -> list[RunFolder]:
    return [
        make_run("weak", skill=0.2, model="softmax-regression", parameters=650),
        make_run("strong", skill=4.0, seed=1, parameters=61_706),
        make_run("middle", skill=1.5, seed=2, model="mlp-128", parameters=17_000),
    ]


def texts(document: Document) -> str:
    return " ".join(b.text for s in document.sections for b in s.blocks if isinstance(b, Text))


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


def test_the_best_by_validation_comes_first(three: list[RunFolder]) -> None:
    document = comparison.document([read(run) for run in three], "Three", Path())
    (table,) = [b for b in document.sections[0].blocks if isinstance(b, Table)]
    assert [row[0] for row in table.rows] == ["★ strong", "middle", "weak"]
    assert table.strong == {0}
    assert document.verdict.startswith("Of 3 runs, strong is the best by validation")
    said = texts(document)
    assert "Selection is by validation" in said
    assert "a difference smaller than that may be chance" in said


def test_selection_ignores_the_test(make_run: MakeRun) -> None:
    lucky, good = make_run("lucky", skill=1.0), make_run("good", skill=4.0)
    swapped = make_run("swapped", result={"validation": lucky.result["validation"]}, skill=4.0)
    other = make_run("other", result={"validation": good.result["validation"]}, skill=1.0)
    assert read(swapped).test.accuracy > read(other).test.accuracy
    document = comparison.document([read(swapped), read(other)], "Two", Path())
    (table,) = [b for b in document.sections[0].blocks if isinstance(b, Table)]
    assert [row[0] for row in table.rows] == ["★ other", "swapped"]


def test_single_runs_are_tested_image_by_image(three: list[RunFolder]) -> None:
    document = comparison.document([read(run) for run in three], "Three", Path())
    section = next(s for s in document.sections if s.anchor == "significance")
    (table,) = [b for b in section.blocks if isinstance(b, Table)]
    strong, weak = read(three[1]), read(three[0])
    test = mcnemar(strong.predictions, weak.predictions)
    row = next(tuple(str(cell).replace("\u00a0", " ") for cell in row) for row in table.rows if row[0] == "weak")
    assert row[1] == f"{test.images} images, {test.only_first + test.only_second} discordant"
    assert row[2] == signed(strong.test.accuracy - weak.test.accuracy)
    assert row[4] == significance.probability(test.p)
    assert row[6] == "strong is better"
    said = " ".join(b.text for b in section.blocks if isinstance(b, Text))
    assert "McNemar" in said
    assert "Holm" in said


def test_seeds_with_other_test_images_are_not_paired(make_run: MakeRun) -> None:
    plain = [make_run(f"plain-{seed}", seed=seed, skill=1.0) for seed in range(6)]
    better = [make_run(f"better-{seed}", seed=seed, skill=4.0, model="mlp", test=80) for seed in range(6)]
    document = comparison.document([read(run) for run in (*plain, *better)], "Twelve", Path())
    section = next(s for s in document.sections if s.anchor == "significance")
    (row,) = next(b for b in section.blocks if isinstance(b, Table)).rows
    assert str(row[-1]).replace("\u00a0", " ") == "not paired: other test images"
    assert "better" not in document.verdict.partition(":")[2]
    assert "which gives both the same split" not in " ".join(b.text for b in section.blocks if isinstance(b, Text))


def test_the_verdict_is_that_of_the_table_after_holm(make_run: MakeRun) -> None:
    twins = [make_run(name, skill=1.2, seed=1, model=name) for name in ("one", "two")]
    runs = [make_run("best", skill=2.2), *twins]
    document = comparison.document([read(run) for run in runs], "Three", Path())
    section = next(s for s in document.sections if s.anchor == "significance")
    first = next(b for b in section.blocks if isinstance(b, Table)).rows[0]
    assert float(str(first[5])) == pytest.approx(2 * float(str(first[4])), abs=0.01)
    assert first[4] != first[5]
    assert f"p = {first[5]} after Holm" in document.verdict


def test_different_test_images_are_a_warning(make_run: MakeRun) -> None:
    records = [read(make_run("a")), read(make_run("b", test=30))]
    document = comparison.document(records, "Two", Path())
    assert "not tested on the same images" in texts(document)


def test_runs_of_other_classes_are_shown_apart(make_run: MakeRun) -> None:
    records = [read(make_run("a")), read(make_run("b", class_names=("no", "yes")))]
    document = comparison.document(records, "Two", Path())
    section = next(section for section in document.sections if section.anchor == "classes")
    assert [block.titles for block in section.blocks if isinstance(block, Table)] == [("class", "a"), ("class", "b")]
    assert "accuracies compare only where images and classes are the same" in texts(document)


def test_mistakes_of_the_best_say_what_the_others_answered(three: list[RunFolder]) -> None:
    document = comparison.document([read(run) for run in three[::2]], "Two", Path())
    section = next(s for s in document.sections if s.anchor == "images")
    grid = section.blocks[-1]
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


def test_settings_that_differ_are_listed(three: list[RunFolder]) -> None:
    document = comparison.document([read(run) for run in three], "Three", Path())
    (table,) = next(section.blocks for section in document.sections if section.anchor == "differences")
    assert isinstance(table, Table)
    assert table.titles == ("run", "model.name", "seed")
    assert [row[1] for row in table.rows] == ["lenet5", "mlp-128", "softmax-regression"]


def test_a_setting_that_a_run_lacks_is_a_dash(make_run: MakeRun) -> None:
    runs = [make_run("a"), make_run("b")]
    with (runs[0].path / "experiment.toml").open("a") as file:
        file.write("[schedule]\nwarm = false\n")
    document = comparison.document([read(run) for run in runs], "Two", Path())
    (table,) = next(section.blocks for section in document.sections if section.anchor == "differences")
    assert isinstance(table, Table)
    assert (table.titles, table.rows) == (("run", "schedule.warm"), (("a", "no"), ("b", DASH)))


def test_runs_without_a_complete_epoch_are_left_out_of_the_curves(make_run: MakeRun) -> None:
    short = [make_run(name, epochs=0, status="interrupted") for name in ("a", "b")]
    assert_sound(report.render_html(report.Comparison([short[0], make_run("c", losses=(1, 2.0**101))], "Two")))
    document = comparison.document([read(run) for run in short], "Two", Path())
    (said,) = next(section.blocks for section in document.sections if section.anchor == "learning")
    assert isinstance(said, Text)
    assert said.text == "Training ended within the first epoch, so there are no curves."


def test_the_table_tells_the_weights_that_were_measured(make_run: MakeRun) -> None:
    records = [read(make_run("a", restore_best=False)), read(make_run("b", seed=1))]
    document = comparison.document(records, "Two", Path())
    (table,) = [b for b in document.sections[0].blocks if isinstance(b, Table)]
    kept = table.titles.index("epochs (kept)")
    assert [(row[0], row[kept]) for row in table.rows] == [("★ b", "4 (3)"), ("a", "4 (4)")]


def test_nothing_to_compare_is_an_error(make_run: MakeRun) -> None:
    with pytest.raises(RunError, match="no run to compare"):
        report.render_html(report.Comparison([], "None"))


def test_without_validation_nothing_is_chosen(make_run: MakeRun) -> None:
    runs = [make_run("a", skill=0.5), make_run("b", validation=False, skill=4.0, model="mlp")]
    document = comparison.document([read(run) for run in runs], "Two", Path())
    assert "none is chosen as the best" in document.verdict
    assert "none is called the best" in texts(document)
    (table,) = [b for b in document.sections[0].blocks if isinstance(b, Table)]
    assert [row[0] for row in table.rows] == ["a", "b"]  # as given, though b is far better on the test images
    assert not table.strong
    assert "best by validation" not in assert_sound(report.render_html(report.Comparison(runs, "Two"))).text


def test_runs_that_differ_in_the_seed_alone_are_one(make_run: MakeRun, tmp_path: Path) -> None:
    plain = [make_run(f"plain-{seed}", seed=seed, skill=1.0) for seed in range(6)]
    better = [make_run(f"better-{seed}", seed=seed, skill=4.0, model="mlp") for seed in range(6)]
    document = comparison.document([read(run) for run in (*plain, *better)], "Twelve", tmp_path)
    table = next(b for b in document.sections[0].blocks if isinstance(b, Table))
    assert [row[0] for row in table.rows] == ["★ better-0 … better-5", "plain-0 … plain-5"]
    ours = spread([read(run).test.accuracy for run in better])
    assert plus_minus(ours) in table.rows[0]
    section = next(s for s in document.sections if s.anchor == "significance")
    (row,) = next(b for b in section.blocks if isinstance(b, Table)).rows
    assert [str(row[k]).replace("\u00a0", " ") for k in (0, 1, 4, -1)] == [
        "plain-0 … plain-5",
        "6 seeds",
        "0.0312",
        "better-0 … better-5 is better",
    ]
    assert "experiment.toml" in assert_sound(report.render_html(report.Comparison([*plain, *better], "Twelve"))).text
