"""The nets of several seeds as one: made of the predictions on the disk, where all are of the same images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.report.page_parts import said, table
from tests.report.run_folders import STRONG, WEAK, MakeStudy, entry

from firstlight.evaluation import mcnemar, measure, wilson_interval
from firstlight.records.group import of_study
from firstlight.records.run_folder import write_predictions
from firstlight.report.sections import results
from firstlight.report.sections.ensemble import caption, numbers, section
from firstlight.types import Predictions


def test_it_is_the_mean_of_what_the_nets_have_said(make_study: MakeStudy) -> None:
    groups = of_study(make_study((entry("weak", 3), WEAK), (entry("alone", 1), STRONG)))
    [found] = numbers(groups).found
    records = list(groups[0].runs.values())
    truth = records[0].predictions
    mean = np.mean([record.predictions.probabilities.astype(np.float64) for record in records], axis=0)
    correct = int((mean.argmax(axis=1) == truth.labels).sum())
    likelihood = -np.log(mean[np.arange(len(truth)), truth.labels]).mean()
    assert (found.nets, found.together.correct) == (3, correct)
    assert found.together.accuracy_interval == wilson_interval(correct, len(truth))
    assert found.together.loss == pytest.approx(likelihood, rel=1e-6)
    together = Predictions(truth.ids, truth.labels, mean.astype(np.float32))
    assert found.together.calibration_error == pytest.approx(measure(together, "abc", 0.0).calibration_error, abs=1e-6)
    usual = max(records, key=lambda record: record.validation.accuracy if record.validation else 0.0)
    assert (found.usual, found.against) == (usual.name, mcnemar(together, usual.predictions))
    row = table(section(groups)).rows[0]
    assert row[0] == "weak"
    shown = [result for result in results.numbers(groups) if result.together]
    assert [(each.name, each.interval) for each in shown] == [("weak, ensemble of 3", found.together.accuracy_interval)]
    assert shown[0].test is not None
    assert (shown[0].test.mean, shown[0].test.sd) == (found.together.accuracy, None)
    assert shown[0].recorded["parameters.total"] == sum(record.parameters() for record in records)


def test_where_test_images_differ_there_is_none(make_study: MakeStudy) -> None:
    folder = make_study((entry("weak", 2), WEAK))
    run = folder.finished(folder.entries[0])[1]
    parts = run.predictions
    parts["test"] = Predictions(
        np.char.add("other/", parts["test"].ids), parts["test"].labels, parts["test"].probabilities
    )
    write_predictions(run.path, parts)
    groups = of_study(folder)
    assert groups[0].together is None
    assert (len(numbers(groups).found), numbers(groups).drawn) == (0, ["weak"])
    assert "data.split_seed" in said(section(groups))
    assert not any(result.together for result in results.numbers(groups))


def test_of_single_runs_nothing_is_said(make_study: MakeStudy) -> None:
    assert section(of_study(make_study((entry("alone", 1), STRONG)))) is None


def test_the_caption_names_what_is_better_by_more_than_chance(make_study: MakeStudy) -> None:
    [found] = numbers(of_study(make_study((entry("weak", 3), WEAK)))).found
    for p, better in ((0.01, True), (0.2, None)):
        one = replace(found, p=p)
        assert one.better is better
        assert ("better than that net for weak" in caption([one])) == bool(better)
        assert ("may be due to chance" in caption([one])) == (better is None)
