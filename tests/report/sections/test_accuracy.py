"""The chart of accuracies: every seed, the mean of several, the interval of a single one."""

from __future__ import annotations

from tests.report.page_parts import charts, rows
from tests.report.run_folders import STRONG, WEAK, MakeStudy, entry

from firstlight.records.group import of_study
from firstlight.report.sections.accuracy import section


def test_several_seeds_have_a_mean_and_a_single_one_its_interval(make_study: MakeStudy) -> None:
    groups = of_study(make_study((entry("weak", 3, beside={"Keras": 0.5}), WEAK), (entry("strong", 1), STRONG)))
    part = section(groups)
    assert part is not None
    (chart,) = charts(part.blocks)
    found = rows(chart.spec)
    assert [(row["run"], row["accuracy"]) for row in found if row.get("what") == "mean"] == [
        ("weak", groups[0].accuracy.mean)
    ]
    assert [(row["run"], (row["low"], row["high"])) for row in found if "low" in row] == [
        ("strong", groups[1].first.test.accuracy_interval)
    ]
    assert [row["what"] for row in found if str(row.get("what")).startswith("seed")] == [
        *("seed 0", "seed 1", "seed 2", "seed 0")
    ]
    assert [row["accuracy"] for row in found if row.get("what") == "Keras"] == [0.5]
    assert "the mean of several seeds" in chart.caption
    assert "interval of a single run" in chart.caption
