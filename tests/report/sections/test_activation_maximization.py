"""Activation maximization: images of units with what the units give for them."""

from __future__ import annotations

from tests.report.explanations import chapters_of, explained_run, grids
from tests.report.run_folders import MakeRun


def test_images_stand_with_what_they_give_and_what_images_give(make_run: MakeRun) -> None:
    _, *ideals = grids(chapters_of(explained_run(make_run))["looks"])
    assert [[(p.text, p.detail) for p in grid.pictures] for grid in ideals] == [
        [("dog", "9.5 (3)")],
        [("unit 7", "9.5 (3)")],
    ]
