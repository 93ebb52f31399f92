"""Run folders for the tests of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.report.run_folders import STRONG, WEAK, MakeRun, MakeStudy, entry, write_run, write_study

from firstlight.records.run_folder import RunFolder
from firstlight.records.study_folder import StudyFolder


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run folder and open it; see `write_run`."""

    def make(name: str = "a-run", **odd: Any) -> RunFolder:
        path = tmp_path / name
        path.mkdir(parents=True)
        write_run(path, **odd)
        return RunFolder.open(path)

    return make


@pytest.fixture
def make_study(tmp_path: Path) -> MakeStudy:
    """Write a study of synthetic runs in a folder of its `name`; see `write_study`."""
    return lambda *entries, name="nets", **odd: write_study(tmp_path / name, *entries, **odd)


@pytest.fixture
def two(make_study: MakeStudy) -> StudyFolder:
    """A study of two entries over five seeds: weak, which does not reach what is published, and strong, which does."""
    weak = entry("weak", published=0.99, note="Too small a net for this.")
    strong = entry("strong", published=0.5, beside={"Keras, the same images": 0.97})
    return make_study((weak, WEAK), (strong, STRONG))
