"""The section on exports: what was verified of each file, and what became of it since."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from tests.report.page_checks import Page
from tests.report.run_folders import MakeRun

from firstlight import report
from firstlight.records import exports as records
from firstlight.records.exports import ExportRecord
from firstlight.records.group import Group, of_runs
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report.document import Table, Text
from firstlight.report.format import DASH, percent
from firstlight.report.sections import exports


def group(run: RunFolder) -> Group:
    return of_runs([read(RunFolder.open(run.path))])[0]


def exported(path: Path, name: str = "net.onnx", **changes: object) -> ExportRecord:
    """The record of a file that is there."""
    path.mkdir(parents=True, exist_ok=True)
    data = b"a net"
    (path / name).write_bytes(data)
    record = ExportRecord(
        format="onnx",
        title="ONNX",
        path=f"{path.name}/{name}",
        sha256={name: sha256(data).hexdigest()},
        bytes=len(data),
        written="2026-01-01T00:00:00+00:00",
        firstlight="0.1.0",
        runtime="ONNX Runtime 1.20",
        images=60,
        largest_difference=3.1e-7,
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def test_a_run_without_exports_says_nothing(make_run: MakeRun) -> None:
    run = make_run()
    assert exports.section([group(run)]) is None
    records.add(run, exported(run.path / "export"))
    assert exports.section([group(run)]) is not None
    assert exports.section([group(run), group(run)]) is None


def test_what_was_verified_is_in_every_view(make_run: MakeRun) -> None:
    run = make_run()
    records.add(run, exported(run.path / "export"))
    unverified: dict[str, object] = {
        "runtime": "",
        "images": 0,
        "largest_difference": None,
        "not_verified": "gcc is not installed.",
    }
    records.add(run, exported(run.path / "export", "net.c", title="C", **unverified))
    quantized = exported(run.path / "export", "int8.c", title="C", options={"int8": True}, accuracy=0.4321)
    records.add(run, replace(quantized, largest_difference=None, facts={"memory": "12,345 bytes"}))
    found = exports.numbers(group(run))
    [table, *remarks] = exports.blocks(found)
    assert isinstance(table, Table)
    assert [(row[0], row[3], row[4], row[5]) for row in table.rows] == [
        ("ONNX", "ONNX Runtime 1.20", "60", "3.1e-07"),
        ("C", "not verified", DASH, DASH),
        ("C, int8", "ONNX Runtime 1.20", "60", DASH),
    ]
    own, none, quantized_accuracy = (row[6] for row in table.rows)
    assert own == percent(found.accuracy, 2)
    assert (none, quantized_accuracy) == (DASH, percent(0.4321, 2))
    told = [(block.tone, block.text) for block in remarks if isinstance(block, Text)]
    assert [tone for tone, _ in told] == ["warning", "note", "note"]
    assert "gcc is not installed" in told[0][1]
    assert own in told[1][1], "the float's accuracy stands beside"
    assert "12,345 bytes" in told[2][1]
    shown = Page(report.render_html(RunFolder.open(run.path))).text
    for _, text in told:
        assert " ".join(text.split()) in shown


@pytest.mark.parametrize("spoil", ["changed", "missing"])
def test_a_file_that_is_not_what_was_verified_is_told(make_run: MakeRun, spoil: str) -> None:
    run = make_run()
    records.add(run, exported(run.path / "export"))
    folder = exported(run.path / "torch", "model.py")
    records.add(run, replace(folder, path="torch"))
    assert [state for _, state in exports.numbers(group(run)).exports] == ["", ""]
    for path in ("export/net.onnx", "torch/model.py"):
        (run.path / path).write_bytes(b"another") if spoil == "changed" else (run.path / path).unlink()
    found = exports.numbers(group(run))
    assert [state for _, state in found.exports] == [spoil, spoil]
    [_, *remarks] = exports.blocks(found)
    assert [block.tone for block in remarks if isinstance(block, Text)] == ["warning", "warning"]


def test_a_path_that_is_no_file_is_only_missing(make_run: MakeRun) -> None:
    """A record may come from anybody: nothing is waited for, and nothing is raised."""
    run = make_run()
    for number, path in enumerate(("/dev/zero", "export/\0", "x" * 300)):
        records.add(run, replace(exported(run.path / "export"), path=path, title=str(number)))
    assert [state for _, state in exports.numbers(group(run)).exports] == ["missing"] * 3
