"""Suspected label errors."""

from __future__ import annotations

from tests.report.explanations import chapters_of, explained_run, explanation_of, grids
from tests.report.run_folders import MakeRun


def test_both_classes_are_told(make_run: MakeRun) -> None:
    run = explained_run(make_run)
    issue = explanation_of(run).label_issues[0]
    shown = grids(chapters_of(run)["nearest"])[1].pictures[0]
    assert shown.text == f"{run.class_names[issue.given]} → {run.class_names[issue.suggested]}"
    assert shown.detail == f"lead 0.75, neighbours 50\u202f%, image {issue.id}"
