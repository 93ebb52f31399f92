"""Class separation: numbers beside the embeddings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.report.explanations import chapters_of, explained_run, explanation_of, texts
from tests.report.run_folders import MakeRun

from firstlight.records.run_folder import RunFolder


def test_where_fewer_neighbours_are_asked_it_is_said(make_run: MakeRun) -> None:
    found = explanation_of(run := make_run("few"))
    first = found.embeddings[0]
    few: dict[str, Any] = {"in_features": replace(first.in_features, k=4), "in_map": replace(first.in_map, k=4)}
    replace(found, embeddings=tuple(replace(plane, **few) for plane in found.embeddings)).write(run)
    said = texts(chapters_of(RunFolder.open(run.path))["neighbourhoods"])
    assert "of 4 neighbours, of the same class" in said
    assert "At most 4 neighbours are used, as the smallest class has no more other images here." in said
    assert "At most" not in texts(chapters_of(explained_run(make_run))["neighbourhoods"])


def test_numbers_stand_beside_the_maps_and_a_poor_map_is_called_so(make_run: MakeRun) -> None:
    said = texts(chapters_of(explained_run(make_run))["neighbourhoods"])
    assert "silhouette 0.25 −0.12 −0.12" in said
    assert "of 10 neighbours, of the same class 50.0\u202f% 25.0\u202f% 25.0\u202f%" in said
    assert "do not judge dense1 by that plot" in said
    assert "mean little" in said
