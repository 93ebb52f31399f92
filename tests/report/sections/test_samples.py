"""Samples: as many classes as fit, in their order."""

from __future__ import annotations

from tests.report.run_folders import MakeRun

from firstlight.records.group import of_runs
from firstlight.records.run import read
from firstlight.report.document import ImageGrid
from firstlight.report.sections import samples


def test_samples_spread_over_the_classes(make_run: MakeRun) -> None:
    section = samples.section(of_runs([read(make_run(class_names=tuple("abcdefgh")))]))
    assert section is not None
    assert len(section.blocks) == 3
    for grid in section.blocks:
        assert isinstance(grid, ImageGrid)
        assert {picture.text for picture in grid.pictures} == set("abcdefgh")
        assert [p.text for p in grid.pictures] == sorted(p.text for p in grid.pictures)
