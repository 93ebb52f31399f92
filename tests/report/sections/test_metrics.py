"""The section of further metrics: of a run, over seeds, and what it says of odd ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.report.run_folders import MakeRun

from firstlight.evaluation import MetricScore
from firstlight.records.group import of_runs
from firstlight.records.run import RunRecord, read
from firstlight.report.document import Table, Text
from firstlight.report.format import DASH
from firstlight.report.sections import metrics

AUC = MetricScore("macro-auc", "macro AUC", "An area.", 0.9, (0.85, 0.95))


def measured(record: RunRecord, *scores: MetricScore) -> RunRecord:
    curve = {f"val_{score.name}": np.linspace(0.5, 0.9, len(record.history["epoch"])) for score in scores}
    validation = record.validation and replace(record.validation, scores=scores)
    test = replace(record.test, scores=scores)
    return replace(record, test=test, validation=validation, history={**record.history, **curve})


def test_without_metrics_there_is_no_section(make_run: MakeRun) -> None:
    assert metrics.section(of_runs([read(make_run())])) is None


def test_of_a_run_each_has_a_row_with_its_interval(make_run: MakeRun) -> None:
    error = MetricScore("my-error", "my error", "", 0.25, higher_is_better=False, percent=True)
    section = metrics.section(of_runs([measured(read(make_run()), AUC, error)]))
    assert section is not None
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert table.titles == ("metric", "validation", "test")
    assert table.rows[0] == ("Macro AUC", "0.9000", f"0.9000 (0.8500{DASH}0.9500)")
    assert table.rows[1][0] == "My error"
    assert str(table.rows[1][2]).replace("\u202f", " ") == "25.00 %"
    assert "Lower is better for my error" in table.caption


def test_over_seeds_there_is_a_spread(make_run: MakeRun) -> None:
    records = [
        measured(read(make_run(f"seed{seed}", seed=seed)), replace(AUC, value=value))
        for seed, value in ((1, 0.8), (2, 0.9))
    ]
    found = metrics.numbers(of_runs(records))
    (of,) = found.found.values()
    assert of["macro-auc"].test is not None
    assert (round(of["macro-auc"].test.mean, 3), of["macro-auc"].interval) == (0.85, None)
    assert metrics.table(found).rows[0][1] == "0.8500\u00a0±\u00a00.0707"


def test_one_without_a_number_says_why(make_run: MakeRun) -> None:
    broken = replace(AUC, value=None, interval=None, trouble="it raised ValueError: no")
    section = metrics.section(of_runs([measured(read(make_run()), broken)]))
    assert section is not None
    texts = [block.text for block in section.blocks if isinstance(block, Text) and block.tone == "warning"]
    assert len(texts) == 1
    assert "has no number: it raised ValueError: no." in texts[0]
