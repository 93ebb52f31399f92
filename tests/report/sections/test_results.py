"""The table of results: every number under its title, and of each group what there is."""

from __future__ import annotations

from tests.report.run_folders import STRONG, WEAK, MakeRun, MakeStudy, entry

from firstlight.records.group import of_runs, of_study
from firstlight.records.run import read
from firstlight.records.study_folder import StudyFolder
from firstlight.report.format import DASH, interval, percent, plus_minus, signed
from firstlight.report.sections.results import MIXED, numbers, table


def test_every_number_stands_under_its_title(two: StudyFolder) -> None:
    group = of_study(two)[1]
    shown = table(numbers(of_study(two)))
    weak, _, strong, _ = (dict(zip(shown.titles, row, strict=True)) for row in shown.rows)
    assert (weak["run"], strong["run"]) == ("weak", "★ strong")
    assert strong["test accuracy"] == plus_minus(group.accuracy)
    assert weak["published"] == f"{percent(0.99, 2)} ▼"
    assert strong["published"] == f"{percent(0.5, 2)} ▲"
    assert str(strong["Keras, the same images"]).startswith(percent(0.97, 2))
    assert weak["Keras, the same images"] == DASH
    assert group.validation is not None
    assert strong["validation accuracy"] == percent(group.validation.mean, 2)
    trained = group.first.history["accuracy"][group.first.weights_epoch - 1]
    assert strong["training accuracy"] == percent(trained, 2)
    assert strong["gap, points"] == signed(trained - group.validation.mean)
    assert strong["test loss"] == "0.4321"
    assert strong["parameters"] == "61,706"
    assert strong["multiply-adds"] == "416,520"
    assert strong["training time"] == "1\u202fmin 23\u202fs"
    assert strong["seeds"] == "5"


def test_a_published_validation_accuracy_stands_beside_the_greatest_of_ours(make_study: MakeStudy) -> None:
    folder = make_study((entry("strong", 2, published_validation=0.99), STRONG), (entry("weak", 2), WEAK))
    strong, _ = of_study(folder)
    shown = table(numbers(of_study(folder)))
    beside = [row[shown.titles.index("published, validation")] for row in shown.rows]
    assert beside == [f"{percent(0.99, 2)} ▼", DASH, DASH, DASH]
    assert strong.best_validation is not None
    assert shown.rows[0][shown.titles.index("highest validation accuracy")] == plus_minus(strong.best_validation)


def test_a_single_run_has_an_interval_and_the_epoch_that_was_measured(make_run: MakeRun) -> None:
    records = [read(make_run("a", restore_best=False)), read(make_run("b", seed=1))]
    shown = table(numbers(of_runs(records)))
    assert "seeds" not in shown.titles
    assert "training accuracy is" in shown.caption
    assert MIXED not in shown.caption
    rows = [dict(zip(shown.titles, row, strict=True)) for row in shown.rows]
    assert [row["epochs (kept)"] for row in rows] == ["4 (4)", "4 (3)"]
    for row, record in zip(rows, records, strict=True):
        assert str(row["test accuracy"]).endswith(f"({interval(record.test.accuracy_interval)})")


def test_what_has_no_result_has_a_row_and_equals_are_all_the_best(make_study: MakeStudy) -> None:
    twins = [(entry(name, 2), {**STRONG, "model": name}) for name in ("one", "two")]
    gone = frozenset({("weak", 1), ("never", 0)})
    folder = make_study((entry("weak", 2), WEAK), *twins, (entry("never", 1), {}), missing=gone)
    shown = table(numbers(of_study(folder)))
    rows = [row[:2] for row in shown.rows if "ensemble" not in str(row[0])]
    assert rows == [("weak", "1 of 2"), ("★ one", "2"), ("★ two", "2"), ("never", "0 of 1")]
    assert shown.strong == {1, 3}
