"""What the settings of a matrix do: means over the others, and curves over those that are numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.report.run_folders import MakeStudy, entry

from firstlight.records import run_folder
from firstlight.records.group import Group, of_study
from firstlight.records.study_folder import StudyFolder
from firstlight.report.document import Chart, Table
from firstlight.report.sections.main_effects import blocks, factors, numbers, section


def matrix(make_study: MakeStudy, values: dict[tuple[int, float], float]) -> tuple[Group, ...]:
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
    return of_study(folder)


def test_main_effects_are_means_over_the_other_settings(make_study: MakeStudy) -> None:
    skills = {(n, lr): 0.3 * k + lr for k, n in enumerate((100, 1000, 5000)) for lr in (0.1, 0.5)}
    found = matrix(make_study, skills)
    assert factors(found) == {"data.limit": [100, 1000, 5000], "optimizer.lr": [0.1, 0.5]}
    means = {group.name: group.accuracy.mean for group in found}
    told = {(effect.key, effect.value): (effect.mean, effect.groups) for effect in numbers(found)}
    assert set(told) == {("data.limit", n) for n in (100, 1000, 5000)} | {("optimizer.lr", r) for r in (0.1, 0.5)}
    for n in (100, 1000, 5000):
        expected = np.mean([means[f"limit={n}+lr={lr}"] for lr in (0.1, 0.5)])
        assert told["data.limit", n] == (pytest.approx(expected), 2)
    assert told["optimizer.lr", 0.5][1] == 3
    tabled, curve = blocks(found)
    assert isinstance(tabled, Table)
    assert isinstance(curve, Chart)
    assert len(tabled.rows) == 5
    (rows,) = curve.spec["datasets"].values()
    assert {(row["run"], row["at"]): row["value"] for row in rows} == {
        (f"lr {lr}", n): means[f"limit={n}+lr={lr}"] for n, lr in skills
    }
    assert blocks(found[:-1]) == []  # a combination is missing
    assert section(found) is not None


def test_runs_that_are_no_matrix_have_no_effects(two: StudyFolder) -> None:
    found = of_study(two)
    assert numbers(found) == []
    assert section(found) is None
