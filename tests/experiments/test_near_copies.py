"""Near copies in a run: told, kept together or left out, and in its record, its pictures and its report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.test_copy_groups import dataset
from tests.experiments import small_runs
from tests.experiments.small_runs import QUIET

from firstlight import experiments, report
from firstlight.errors import ExperimentError
from firstlight.experiments import near_copies
from firstlight.records.group import of_runs
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report.document import ImageGrid, Table, Text
from firstlight.report.sections import near_copies as section

TABLES: dict[str, Any] = {
    "data": {"source": "memory:any"},
    "model": {"name": "mlp-128", "units": [8]},
    "training": {"epochs": 1},
}
experiment = partial(small_runs.experiment, TABLES)


def set_up(**settings: Any) -> experiments.Setup:
    return experiments.set_up(experiment(**settings), dataset())


def across(setup: experiments.Setup) -> int:
    near = setup.findings.near
    assert near is not None
    return sum(near.across.values())


def test_copies_are_told_and_nothing_is_changed() -> None:
    setup = set_up()
    assert across(setup) > 0
    assert any("near copy in an earlier split" in line for line in setup.warnings())
    assert sum(map(len, setup.splits.values())) == 80
    assert setup.dropped == {}
    asked = set_up(data__near_copies="warn")
    assert {name: images.digest for name, images in asked.splits.items()} == {
        name: images.digest for name, images in setup.splits.items()
    }


def test_copies_are_kept_together() -> None:
    setup = set_up(data__near_copies="group")
    assert across(setup) == 0
    assert sum(map(len, setup.splits.values())) == 80
    assert "data.near_copies" in setup.data_record().how_split
    assert setup.findings.groups is not None
    assert setup.findings.groups.groups == 60


def test_copies_are_kept_together_in_folds() -> None:
    for fold in (1, 2):
        assert across(set_up(data__near_copies="group", data__folds=3, data__fold=fold)) == 0


def test_copies_are_left_out() -> None:
    before, setup = set_up(), set_up(data__near_copies="drop")
    assert across(setup) == 0
    assert np.array_equal(setup.splits["test"].ids, before.splits["test"].ids)
    record = setup.data_record()
    for name in ("train", "validation"):
        gone = set(before.splits[name].ids.tolist()) - set(setup.splits[name].ids.tolist())
        assert set(record.copies_dropped.get(name, ())) == gone
    n = len(record.copies_dropped["train"])
    assert f"{n:,} of {len(before.splits['train']):,} train images" in record.how_split
    assert any(record.how_split.endswith(line) for line in setup.warnings())


def test_a_trial_that_never_sees_the_test_trains_on_the_same_images() -> None:
    """What the test has a copy of is left out there too."""
    asked = experiment(data__near_copies="drop")
    whole, trial = experiments.set_up(asked, dataset()), experiments.set_up(asked, dataset(), without=("test",))
    assert trial.splits["train"].digest == whole.splits["train"].digest


def test_a_large_set_is_looked_through_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_copies, "MOST", 70)
    setup = set_up()
    assert setup.findings.near is None
    assert any("Near copies were not searched for" in line for line in setup.warnings())
    assert across(set_up(data__near_copies="group")) == 0


def test_other_values_are_told() -> None:
    with pytest.raises(ExperimentError, match=r"data\.near_copies: must be 'warn', 'group' or 'drop'; received 'no'"):
        experiment(data__near_copies="no")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return experiments.start(set_up(), tmp_path_factory.mktemp("runs") / "any", QUIET)


def test_the_record_of_a_run(run: RunFolder) -> None:
    near = run.data.checks.near
    assert near is not None
    assert near.pairs == len(near.listed) == 20
    assert all(pair.alteration == "mirrored" for pair in near.listed)
    assert near.leaked == sum(near.across.values())


def test_the_pictures_of_a_run(run: RunFolder) -> None:
    """Side by side, in the order of the record, and mirrored as they are."""
    [group] = of_runs([read(run)])
    found = section.numbers(group)
    assert found is not None
    assert len(found.shown) == 20
    assert all(np.array_equal(first, second[:, ::-1]) for first, second in found.pixels)
    made = section.section([group])
    assert made is not None
    _, grid, table = made.blocks
    assert isinstance(grid, ImageGrid)
    assert isinstance(table, Table)
    assert len(grid.pictures) == len(table.rows) == 20
    assert grid.pictures[0].pixels.shape[1] > 2 * 32


def test_the_report_tells(run: RunFolder) -> None:
    document = report.build_document(run)
    near = run.data.checks.near
    assert near is not None
    assert f"{near.across['train', 'test']} are near copies of training images" in document.verdict
    texts = [block.text for part in document.sections for block in part.blocks if isinstance(block, Text)]
    assert sum("near cop" in text for text in texts) >= 2


def test_a_run_that_goes_on_finds_the_same(tmp_path: Path) -> None:
    setup = set_up(data__near_copies="drop")
    folder = experiments.start(setup, tmp_path / "run", QUIET)
    (folder.path / "result.json").unlink()
    again = experiments.resume(folder.path, QUIET, dataset=dataset())
    assert again.data.copies_dropped == folder.data.copies_dropped
    assert again.data.how_split == folder.data.how_split
