"""`firstlight card`."""

from __future__ import annotations

from pathlib import Path

from tests.report.run_folders import write_run

import firstlight as fl


def test_the_card_is_printed_or_written(tmp_path: Path, firstlight) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write_run(run)
    printed = firstlight("card", run, "--licence", "mit").out
    assert printed.startswith("---\nlicense: mit\n")
    told = firstlight("card", run, "--licence", "mit", "--out", tmp_path / "README.md").out
    assert told.strip() == str(tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text() == printed == fl.Run(run).card(licence="mit")
    assert fl.Run(run).card(tmp_path / "again.md") == (tmp_path / "again.md").read_text()
    assert "no such run folder" in firstlight("card", tmp_path / "none").err
