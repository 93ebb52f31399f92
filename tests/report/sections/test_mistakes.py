"""Mistakes: they are wrong, those that were not kept are left out, and where there are none this is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.report.run_folders import MakeRun

from firstlight.records.group import of_runs
from firstlight.records.run import RunRecord, read
from firstlight.report.document import Block, Text
from firstlight.report.sections import answers, mistakes
from firstlight.types import Predictions


def shown(record: RunRecord) -> tuple[Block, ...]:
    section = mistakes.section(of_runs([record]))
    assert section is not None
    return section.blocks


def test_mistakes_are_wrong_and_unknown_samples_are_left_out(make_run: MakeRun) -> None:
    record = read(make_run(skill=0.5))
    found = mistakes.numbers(of_runs([record])[0])
    assert len(found.pictures) == mistakes.MISTAKES
    assert not any(picture.right for picture in found.pictures)
    p = record.predictions
    others = replace(record, predictions=Predictions(np.char.add(p.ids, "?"), p.labels, p.probabilities))
    assert [type(block) for block in shown(others)] == [Text]
    assert answers.numbers(of_runs([others])[0]).sample == []


def test_no_mistakes_are_said_in_words(make_run: MakeRun) -> None:
    (said,) = shown(read(make_run(skill=99.0)))
    assert isinstance(said, Text)
    assert "no mistakes" in said.text
