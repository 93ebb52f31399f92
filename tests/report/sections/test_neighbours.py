"""Neighbours of mistakes."""

from __future__ import annotations

from dataclasses import replace

from tests.report.explanations import chapters_of, explained_run, explanation_of, grids, texts
from tests.report.run_folders import MakeRun

from firstlight.records.explanation import Neighbours
from firstlight.report.document import ImageGrid
from firstlight.report.sections import (
    neighbours,
)


def test_mistakes_stand_beside_their_neighbours(make_run: MakeRun) -> None:
    run = explained_run(make_run)
    found = explanation_of(run).mistakes
    grid = grids(chapters_of(run)["nearest"])[0]
    assert (grid.columns, len(grid.pictures)) == (6, 18)
    first, *near = grid.pictures[:6]
    assert (first.text, first.right) == (run.class_names[found[0].predicted], False)
    assert [picture.text for picture in near] == ["cat", "dog", "bird", "cat", "dog"]
    marks = {"as answered": found[0].predicted, "as labelled": found[0].label}
    for picture in near:
        assert marks.get(picture.detail, -1) in (run.class_names.index(picture.text), -1)
    assert "Of 15 neighbours" in grid.caption


def test_a_row_with_fewer_neighbours_is_filled_up(make_run: MakeRun) -> None:
    found = explanation_of(make_run()).mistakes
    near = found[0].nearest
    short = replace(found[1], nearest=Neighbours(near.ids[:2], near.labels[:2], near.distances[:2], near.pixels[:2]))
    mistakes = neighbours.NearestToMistakes([found[0], short], "dense1")
    [grid] = neighbours.blocks(mistakes, ("cat", "dog", "bird"))
    assert isinstance(grid, ImageGrid)
    assert len(grid.pictures) == 12
    assert [picture.text for picture in grid.pictures[9:]] == ["none"] * 3


def test_a_run_without_mistakes_says_so(make_run: MakeRun) -> None:
    section = chapters_of(explained_run(make_run, skill=99.0))["nearest"]
    assert texts(section).splitlines()[1:] == ["No test image was misclassified."]
