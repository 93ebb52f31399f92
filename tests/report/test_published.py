"""Published numbers beside ours: how many are reached, and which are not."""

from __future__ import annotations

import pytest
from tests.report.run_folders import STRONG, MakeStudy, entry

from firstlight.evaluation import Spread, spread
from firstlight.records.group import of_study, reached, standing
from firstlight.records.study_folder import StudyFolder
from firstlight.report.format import percent, plus_minus
from firstlight.report.published import headline, verdict


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
    assert standing(ours, number) == expected
    assert reached(ours, number) is (expected not in ("below", "lower"))


def test_those_that_are_not_reached_are_named(two: StudyFolder) -> None:
    weak = plus_minus(of_study(two)[0].accuracy)
    assert verdict(of_study(two)) == (
        f"1 of 2 published numbers reached within two standard deviations, or beaten; not by weak ({weak}, published "
        f"{percent(0.99, 2)})."
    )


def test_a_validation_accuracy_is_judged_by_the_greatest_over_the_epochs(make_study: MakeStudy) -> None:
    (group,) = of_study(make_study((entry("strong", 2, published=0.5, published_validation=0.99), STRONG)))
    greatest = spread([max(record.history["val_accuracy"]) for record in group.runs.values()])
    assert group.best_validation == greatest
    assert [(claim.measure, claim.reached) for claim in group.claims] == [("test", True), ("validation", False)]
    assert f"strong (validation {plus_minus(greatest)}, published {percent(0.99, 2)})" in verdict([group])


def test_those_that_were_not_tried_are_counted_apart(make_study: MakeStudy) -> None:
    entries = ((entry("strong", 1, published=0.5), STRONG), (entry("never", 1, published=0.5), {}))
    groups = of_study(make_study(*entries, missing=frozenset({("never", 0)})))
    assert verdict(groups).startswith("The published number that was tried is reached")
    found = headline(groups)
    assert found is not None
    assert (found.value, found.detail) == ("1 of 1", "within two s.d., or better; 1 not tried")
