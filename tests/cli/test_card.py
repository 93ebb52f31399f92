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


def test_a_card_replaces_a_card_alone(tmp_path: Path, firstlight) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write_run(run)
    for precious in (tmp_path / "README.md", run / "experiment.toml"):
        if not precious.exists():
            precious.write_text("# A project")
        before = precious.read_text()
        answer = firstlight("card", run, "--out", precious)
        assert (answer.code, precious.read_text()) == (2, before)
        assert str(precious) in answer.err
    card = tmp_path / "card.md"
    for licence in ("mit", "unlicense"):
        assert firstlight("card", run, "--licence", licence, "--out", card).code == 0
        assert f"license: {licence}\n" in card.read_text()
