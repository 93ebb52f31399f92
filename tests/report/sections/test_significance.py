"""Which differences are more than chance: which test decides, and what the outcome says of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from scipy import stats
from tests.report.page_parts import said, table
from tests.report.run_folders import STRONG, WEAK, MakeRun, MakeStudy, entry

from firstlight.evaluation import mcnemar
from firstlight.records.group import Group, of_runs, of_study
from firstlight.records.run import read
from firstlight.records.study_folder import StudyFolder
from firstlight.report.format import signed
from firstlight.report.sections.significance import probability, section, verdict


def paired(groups: Sequence[Group]) -> list[tuple[str, ...]]:
    """The rows of the table of tests, with plain spaces."""
    return [tuple(str(cell).replace("\u00a0", " ") for cell in row) for row in table(section(groups)).rows]


def t_test(folder: StudyFolder, name: str, other: str) -> float:
    found = {group.name: list(group.accuracies.values()) for group in of_study(folder)}
    return float(stats.ttest_rel(found[name], found[other]).pvalue)


def test_with_five_seeds_the_t_test_decides_and_with_six_the_sign_flip_test(make_study: MakeStudy) -> None:
    folder = make_study((entry("weak"), WEAK), (entry("strong"), STRONG), name="five")
    five = of_study(folder)
    p = probability(t_test(folder, "strong", "weak"))
    assert [row[4:] for row in paired(five)] == [("0.0625", p, p, "strong is better")]
    assert "with 5 seeds the sign-flip test cannot" in said(section(five))
    assert "strong is better (paired t-test, p " in verdict(five)
    folder = make_study((entry("weak", 6), WEAK), (entry("strong", 6), STRONG), name="six")
    six = of_study(folder)
    p = probability(t_test(folder, "strong", "weak"))
    assert [row[4:] for row in paired(six)] == [("0.0312", p, "0.0312", "strong is better")]
    assert "the sign-flip test decides" in said(section(six))


def test_six_seeds_are_too_few_for_two_sign_flip_tests(make_study: MakeStudy) -> None:
    others = [(entry(name, 6), {**WEAK, "model": name}) for name in ("one", "two")]
    folder = make_study((entry("strong", 6), STRONG), *others)
    groups = of_study(folder)
    for row in paired(groups):
        p = t_test(folder, "strong", row[0])
        assert row[4:] == ("0.0312", probability(p), probability(2 * p), "strong is better")
    assert "cannot give p < 0.05 in 2 tests" in said(section(groups))
    assert "Holm" in said(section(groups))


def test_two_seeds_are_too_few_to_test(make_study: MakeStudy) -> None:
    (row,) = paired(of_study(make_study((entry("weak", 2), WEAK), (entry("strong", 2), STRONG))))
    assert row[-2:] == ("–\u2060", "n = 2 seeds are too few for a test")


def test_equal_recipes_may_be_chance(make_study: MakeStudy) -> None:
    groups = of_study(make_study((entry("a", 7), STRONG), (entry("b", 7), {**STRONG, "model": "twin"})))
    assert [row[2:] for row in paired(groups)] == [
        ("+0.00", "+0.00 to +0.00", "1.00", "1.00", "1.00", "not significant")
    ]
    assert "a and b are equally good by validation" in verdict(groups)


def test_single_runs_are_tested_image_by_image(make_run: MakeRun) -> None:
    odd = {"weak": WEAK, "strong": STRONG, "middle": {"skill": 1.5, "seed": 2, "model": "mlp-128"}}
    records = {name: read(make_run(name, **changes)) for name, changes in odd.items()}
    groups = of_runs(list(records.values()))
    test = mcnemar(records["strong"].predictions, records["weak"].predictions)
    row = next(row for row in paired(groups) if row[0] == "weak")
    assert row[1] == f"{test.images} images, {test.only_first + test.only_second} discordant"
    assert row[2] == signed(records["strong"].test.accuracy - records["weak"].test.accuracy)
    assert row[4] == probability(test.p)
    assert row[6] == "strong is better"
    assert "McNemar" in said(section(groups))
    assert "Holm" in said(section(groups))
    assert verdict(groups).startswith("Of 3 runs, strong is the best by validation")


def test_other_test_images_are_not_paired(make_study: MakeStudy) -> None:
    groups = of_study(make_study((entry("weak", 6), WEAK), (entry("strong", 6), {**STRONG, "test": 80})))
    assert [row[-1] for row in paired(groups)] == ["not paired: other test images"]
    assert "better" not in verdict(groups).partition(":")[2]
    assert "which gives both the same split" not in said(section(groups))


def test_the_verdict_is_that_of_the_table_after_holm(make_run: MakeRun) -> None:
    twins = [make_run(name, skill=1.2, seed=1, model=name) for name in ("one", "two")]
    groups = of_runs([read(run) for run in (make_run("best", skill=2.2), *twins)])
    first = paired(groups)[0]
    assert float(first[5]) == pytest.approx(2 * float(first[4]), abs=0.01)
    assert first[4] != first[5]
    assert f"p = {first[5]} after Holm" in verdict(groups)


def test_where_nothing_is_chosen_the_verdict_gives_the_range(make_run: MakeRun) -> None:
    groups = of_runs([read(make_run("a", skill=0.5)), read(make_run("b", validation=False, skill=4.0, model="mlp"))])
    assert "none is chosen as the best" in verdict(groups)
    assert "a (the first)" in table(section(groups)).caption


def test_each_question_has_its_best(make_study: MakeStudy) -> None:
    binary = {"class_names": ("even", "odd")}
    entries = (
        (entry("ten", 2), STRONG),
        (entry("frozen", 2), {**WEAK, **binary}),
        (entry("tuned", 2), STRONG | binary),
    )
    said = verdict(of_study(make_study(*entries)))
    assert "On animals, cat, dog and bird, ten is right on" in said
    assert "On animals, even and odd, of 2 experiments, tuned is the best" in said
