"""The page of a search: what it says follows from the record, and nothing else is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report.page_checks import assert_sound
from tests.report.search_folders import TUNED, put, trial

from firstlight import report
from firstlight.errors import RunError
from firstlight.report.document import Beside, Block, Chart, Code, Document, Table, Text
from firstlight.report.pages.search import document


def blocks(found: Document) -> Iterator[Block]:
    for section in found.sections:
        for block in section.blocks:
            yield from block.blocks if isinstance(block, Beside) else (block,)


def rows(spec: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The rows of each layer of a chart."""
    named = [layer.get("data", spec.get("data")) for layer in spec.get("layer", [spec])]
    return [one["values"] if "values" in one else spec["datasets"][one["name"]] for one in named]


def texts(found: Document, tone: str) -> str:
    return "\n".join(block.text for block in blocks(found) if isinstance(block, Text) and block.tone == tone)


def test_the_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    assert put(tmp_path / "a").result == TUNED
    table = (tmp_path / "a" / "trials.csv").read_text().splitlines()
    assert table[0] == "trial,state,val_accuracy,optimizer.lr,model.units,epochs,best epoch,seconds,reason"
    assert len(table) == 9


def test_the_verdict_and_the_numbers(tmp_path: Path) -> None:
    found = document(put(tmp_path / "a"))
    assert found.verdict.startswith("Trial 5 of 8 was the best: validation accuracy 90.0\u202f%, with optimizer.lr 1")
    shown = {item.label: (item.value, item.detail) for item in found.numbers.items}
    assert shown["best validation accuracy"] == ("90.0\u202f%", "trial 5, epoch 7")
    assert shown["trials"] == ("8", "2 stopped early, 2 failed")
    assert shown["most important"] == ("optimizer.lr", "75.0\u202f%")


def test_what_flatters_the_winner_is_told(tmp_path: Path) -> None:
    found = document(put(tmp_path / "a"))
    warnings = texts(found, "warning")
    assert "the best of 8 trials" in warnings
    assert "on several seeds" in warnings
    assert "Trial 4 failed. The loss became nan <at once>." in warnings
    notes = texts(found, "note")
    assert "never read" in notes
    assert "trial 7, is 1.0 percentage points behind" in notes
    assert "optimizer.lr lies at an end of its range" in notes


def test_the_table_has_complete_trials_only_and_the_best_first(tmp_path: Path) -> None:
    [table] = [b for b in blocks(document(put(tmp_path / "a"))) if isinstance(b, Table) and "trial" in b.titles]
    assert [row[0] for row in table.rows] == ["5", "7", "2", "1"]
    assert table.rows[0][1] == "★ 90.0\u202f%"
    assert table.titles[2:4] == ("optimizer.lr", "model.units")
    assert [row[3] for row in table.rows] == ["[5, 8]", "[7, 8]", "16", "[1, 8]"]


def test_the_charts_show_what_was_recorded(tmp_path: Path) -> None:
    charts = [block for block in blocks(document(put(tmp_path / "a"))) if isinstance(block, Chart)]
    history, importance, *each = [chart.spec for chart in charts]
    stairs, dots = rows(history)
    assert [(row["trial"], row["value"]) for row in stairs] == [
        *((1, 0.5), (2, 0.875), (3, 0.875), (4, 0.875), (5, 0.9), (6, 0.9), (7, 0.9), (8, 0.9))
    ]
    assert [(row["trial"], row["state"]) for row in dots] == [
        *((1, "to its end"), (2, "to its end"), (3, "stopped early")),
        *((5, "to its end"), (7, "to its end"), (8, "stopped early")),
    ]
    assert [row["share"] for row in rows(importance)[0]] == [0.75, 0.25]
    rate, units = each
    assert rate["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"
    [labels] = [one["value"] for one in units["params"] if one["name"].startswith("place")]
    assert labels == ["[1, 8]", "[3, 8]", "[5, 8]", "[7, 8]", "16"]
    assert [row["value"] for row in rows(rate)[1]] == [0.9]


def test_a_loss_goes_down_and_a_part_of_a_search_says_so(tmp_path: Path) -> None:
    losses = [replace(one, value=None if one.value is None else 2 * one.value) for one in TUNED.trials]
    found = document(
        put(
            tmp_path / "a",
            replace(
                TUNED,
                monitor="val_loss",
                maximise=False,
                trials=tuple(losses),
                asked=20,
                importance={},
                status="unfinished",
            ),
        )
    )
    assert "Trial 1 of 8 was the best: validation loss 1.0000" in found.verdict
    assert "12 trials of 20 missing" in texts(found, "warning")
    assert "cannot be estimated" in texts(found, "note")
    history = next(block for block in blocks(found) if isinstance(block, Chart)).spec
    assert [row["value"] for row in rows(history)[0]] == [1.0] * 8


def test_the_page_is_written_whole_escaped_and_with_the_best_file(tmp_path: Path) -> None:
    folder = put(tmp_path / "a")
    page = report.write(folder).read_text()
    assert "nan &lt;at once&gt;" in page
    assert "<at once>" not in page
    assert "# the best" in page
    assert_sound(page)
    codes = [block.text for block in blocks(document(folder)) if isinstance(block, Code)]
    assert codes[:2] == ["firstlight run best.toml", "# the best\nseed = 0"]


def test_a_search_without_a_complete_trial_has_no_report(tmp_path: Path) -> None:
    folder = put(tmp_path / "a", replace(TUNED, trials=(trial(1, 0.3, "pruned"),)))
    with pytest.raises(RunError, match="No trial of this search is complete"):
        report.render_html(folder)
