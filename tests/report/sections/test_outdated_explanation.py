"""The warning that an explanation is of other weights than the predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.report.explanations import explained_run, explanation_of
from tests.report.page_checks import Page
from tests.report.run_folders import MakeRun

from firstlight import report
from firstlight.records.group import Group, of_runs
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report.document import Text
from firstlight.report.sections import outdated_explanation


def group(run: RunFolder) -> Group:
    return of_runs([read(RunFolder.open(run.path))])[0]


def test_an_explanation_of_older_weights_is_told(make_run: MakeRun) -> None:
    run = explained_run(make_run)
    assert outdated_explanation.numbers(group(run)) is None
    found = explanation_of(run)
    turned = tuple(
        replace(plane, predicted=(plane.predicted + 1) % 3, confidence=plane.confidence / 2)
        for plane in found.embeddings
    )
    replace(found, embeddings=turned, attributions=(), mistakes=()).write(run)
    numbers = outdated_explanation.numbers(group(run))
    assert numbers is not None
    assert (numbers.both, numbers.changed) == (30, 30)
    [warning] = outdated_explanation.blocks(numbers)
    assert isinstance(warning, Text)
    assert warning.tone == "warning"
    assert "30 test images in both, 30 now have another prediction" in warning.text
    assert warning.text in Page(report.render_html(RunFolder.open(run.path))).text


def test_an_explanation_of_other_images_is_told(make_run: MakeRun) -> None:
    run = explained_run(make_run)
    found = explanation_of(run)
    strange = tuple(replace(plane, ids=np.char.add("other/", plane.ids)) for plane in found.embeddings)
    replace(found, embeddings=strange, attributions=(), mistakes=()).write(run)
    numbers = outdated_explanation.numbers(group(run))
    assert numbers is not None
    assert numbers.both == 0
    assert "of other test images" in Page(report.render_html(RunFolder.open(run.path))).text
