"""Over folds: all images are told of as one test, what an interval can mean is said, and what lacks is told."""

from __future__ import annotations

import pytest
from tests.report.page_parts import said, table
from tests.report.run_folders import STRONG, WEAK, MakeStudy, entry

from firstlight.evaluation import corrected_t, mcnemar
from firstlight.records.group import Group, of_runs, of_study
from firstlight.records.study_folder import FoldKey, StudyFolder
from firstlight.report.document import Chart, Text
from firstlight.report.pages import comparison, study
from firstlight.report.sections import calibration, confusion, every_run, per_class, significance
from firstlight.report.sections.folds import numbers, section


@pytest.fixture
def both(make_study: MakeStudy) -> StudyFolder:
    return make_study((entry("weak", 1), WEAK), (entry("strong", 1), STRONG), folds=5)


def test_the_images_of_all_folds_are_one_test(both: StudyFolder) -> None:
    for group in of_study(both):
        found = numbers(group)
        assert (found.images, found.asked, found.seeds, found.lacking) == (300, 5, 1, ())
        assert group.predictions is not None
        assert found.correct == int(group.predictions.correct.sum())
        assert found.pooled == pytest.approx(found.accuracy.mean)  # of folds of one size
        assert found.ratio == pytest.approx(60 / 150)
        test = corrected_t(list(group.accuracies.values()), [0.0] * 5, 60 / 150)
        assert test.interval is not None
        assert found.corrected == pytest.approx((test.interval[0], min(1, test.interval[1])))
    shown = section(of_study(both))
    assert shown is not None
    assert [row[:3] for row in table(shown).rows] == [
        ("weak", "300", f"{100 * numbers(of_study(both)[0]).pooled:.2f}\u202f%"),
        ("strong", "300", f"{100 * numbers(of_study(both)[1]).pooled:.2f}\u202f%"),
    ]
    assert "not independent" in said(shown)


def test_a_single_recipe_has_the_sections_of_a_run_over_all_images(make_study: MakeStudy) -> None:
    (group,) = of_study(make_study((entry("net", 1), STRONG), folds=3))
    for one in (calibration, per_class, confusion):
        assert one.section([group]) is not None
    assert group.pooled is not None
    assert group.pooled.images == 180
    (chart,) = confusion.blocks([confusion.numbers(group)])
    assert isinstance(chart, Chart)
    assert "Added up over 3 folds" in chart.caption


def test_over_several_seeds_of_folds_no_image_counts_twice(make_study: MakeStudy) -> None:
    folder = make_study((entry("net", 2), STRONG), folds=3)
    (group,) = of_study(folder)
    found = numbers(group)
    assert (group.pooled, found.over_images) == (None, None)
    assert (found.images, found.seeds, found.accuracy.n) == (180, 2, 6)
    assert group.title(FoldKey(1, 2)) == "seed 1, fold 2"


def test_a_fold_that_lacks_is_told(make_study: MakeStudy) -> None:
    lacking = frozenset({("net", FoldKey(0, 2))})
    groups = of_study(make_study((entry("net", 1), STRONG), folds=3, missing=lacking))
    shown = section(groups)
    assert shown is not None
    warnings = [block.text for block in shown.blocks if isinstance(block, Text) and block.tone == "warning"]
    assert len(warnings) == 1
    assert "fold 2 of 3 folds has no complete result" in warnings[0]
    assert "no out-of-fold predictions" in warnings[0]
    assert table(every_run.section(groups)).titles == ("run", "fold 1", "fold 2", "fold 3")


def test_over_folds_the_corrected_t_test_decides_and_mcnemars_stands_beside_it(both: StudyFolder) -> None:
    weak, strong = of_study(both)
    (found,) = significance.numbers([weak, strong])
    assert found.leader == "strong"
    test = corrected_t(list(strong.accuracies.values()), list(weak.accuracies.values()), 60 / 150)
    assert (found.decides, found.p, found.flip, found.t) == (test, test.p, None, None)
    assert weak.predictions is not None
    assert strong.predictions is not None
    assert found.images == mcnemar(strong.predictions, weak.predictions)
    shown = significance.section([weak, strong])
    assert "Nadeau and Bengio 2003" in said(shown)
    assert "strong is better (corrected t-test, p" in significance.verdict([weak, strong])
    assert {"p, corrected t-test", "p, McNemar"} < set(table(shown).titles)


def test_two_folds_are_too_few_to_test(make_study: MakeStudy) -> None:
    groups = of_study(make_study((entry("weak", 1), WEAK), (entry("strong", 1), STRONG), folds=2))
    (found,) = significance.numbers(groups)
    assert found.decides is None
    assert found.verdict.replace("\u00a0", " ") == "n = 2 folds are too few for a test"
    assert numbers(groups[0]).corrected is None


def test_runs_of_folds_that_are_compared_are_one_group(both: StudyFolder) -> None:
    runs = [record for group in of_study(both) for record in group.runs.values()]
    groups: tuple[Group, ...] = of_runs(runs)
    assert {group.name: list(group.runs) for group in groups} == {
        name: [FoldKey(0, fold) for fold in range(1, 6)] for name in ("weak", "strong")
    }
    document = comparison.document(runs, "Compared", both.path)
    assert "folds" in [one.anchor for one in document.sections]


def test_a_fold_alone_is_a_run_like_any_other(both: StudyFolder) -> None:
    first = of_study(both)[0].runs[FoldKey(0, 1)]
    (group,) = of_runs([first])
    assert section([group]) is None
    assert group.pooled is first.test


def test_seeds_are_told_of_as_before(make_study: MakeStudy) -> None:
    groups = of_study(make_study((entry("weak", 3), WEAK), (entry("strong", 3), STRONG)))
    assert section(groups) is None
    assert {group.noun for group in groups} == {"seed"}
    assert all(group.predictions is None and group.pooled is None for group in groups)
    assert all(contrast.folds is None for contrast in significance.numbers(groups))


def test_the_page_of_the_study_says_over_how_many_folds(both: StudyFolder) -> None:
    document = study.document(both)
    assert document.kind_of == "Study of 2 experiments over 5 folds"
    assert {number.label: number.value for number in document.numbers.items}["test images"] == "300"
