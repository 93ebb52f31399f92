"""Two engines side by side: how far their losses are apart, and what an epoch takes."""

from __future__ import annotations

import pytest
from tests.report.page_parts import table
from tests.report.run_folders import MakeStudy, entry

from firstlight.records import run_folder
from firstlight.records.group import of_study
from firstlight.report.sections.engines import numbers, section


def test_two_engines_are_put_side_by_side(make_study: MakeStudy) -> None:
    folder = make_study((entry("by-hand", 2), {}), (entry("by-autograd", 2), {}), (entry("other", 2), {"model": "x"}))
    for path in (folder.path / "by-autograd").glob("*/experiment.toml"):
        path.write_text(path.read_text().replace('engine = "numpy"', 'engine = "torch"\ndevice = "cpu"'))
    for path in (folder.path / "by-autograd").glob("*/history.csv"):
        columns = {name: values.tolist() for name, values in run_folder.RunFolder(path.parent).history.items()}
        columns["loss"][2] *= 1 + 1e-6
        columns["seconds"] = [1.5] * 4
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        run_folder.write_history(path.parent, list(columns), rows)
    groups = of_study(folder)
    (pair,) = numbers(groups)
    assert [side.name for side in pair.sides] == ["by-hand", "by-autograd"]
    assert max(pair.apart["seed 1"]) == pytest.approx(1e-6, rel=1e-3)
    told = table(section(groups))
    assert [row[3] for row in told.rows] == ["500\u202fms", "1.5\u202fs"]
    assert "1.0e-06" in told.caption
    assert "0.33 times as long" in told.caption
