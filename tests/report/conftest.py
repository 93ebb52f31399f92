"""Run folders for the tests of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.report.run_folders import MakeRun, write_run

from firstlight.records.run_folder import RunFolder


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run folder and open it; see `write_run`."""

    def make(name: str = "a-run", **odd: Any) -> RunFolder:
        path = tmp_path / name
        path.mkdir(parents=True)
        write_run(path, **odd)
        return RunFolder.open(path)

    return make
