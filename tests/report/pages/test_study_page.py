"""The report of a study: what a reader must find, whatever is missing."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.report.page_checks import assert_sound
from tests.report.page_parts import said, section, table
from tests.report.run_folders import HOSTILE, MakeStudy, entry
from typer.testing import CliRunner

from firstlight import report
from firstlight.cli import app
from firstlight.errors import RunError
from firstlight.records import exports, run_folder
from firstlight.records import group as groups
from firstlight.records.group_folder import GroupFolder
from firstlight.records.study_folder import StudyFolder, failure
from firstlight.report.document import Code, Link
from firstlight.report.format import plus_minus
from firstlight.report.pages import study


def test_the_page_is_sound_and_says_what_came_out(two: StudyFolder) -> None:
    report.write(run_folder.RunFolder(two.place(two.entries[1], 0)))
    path = report.write(two)
    assert path == two.path / "report.html"
    page = assert_sound(path.read_text(encoding="utf-8"))
    assert [a["id"] for a in page.all("section")] == [
        "tried",
        "notes",
        "accuracy",
        "parameters",
        "significance",
        "ensembles",
        "learning",
        "classes",
        "confusion",
        "images",
        "differences",
        "every",
        "reproduce",
    ]
    assert "What it shows." in page.text
    assert "Too small a net for this." in page.text
    for name in ("weak", "strong"):
        group = next(group for group in groups.of_study(two) if group.name == name)
        assert " ".join(plus_minus(group.accuracy).split()) in page.text
    links = [a["href"] for a in page.all("a") if not a["href"].startswith("#")]
    assert links == ["strong/seed-0/report.html"]
    assert 'title = "nets"' in page.text
    assert f"firstlight study {two.file.name}" in page.text


def test_a_study_without_any_result_is_an_error(make_study: MakeStudy) -> None:
    folder = make_study((entry("a", 1), {}), missing=frozenset({("a", 0)}))
    with pytest.raises(RunError, match="no run of the study has a result yet"):
        report.write(folder)
    assert not (folder.path / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        run_folder.EXPERIMENT,
        run_folder.ENVIRONMENT,
        run_folder.DATA,
        run_folder.MODEL,
        run_folder.HISTORY,
        run_folder.PREDICTIONS,
        run_folder.SAMPLES,
        run_folder.RESULT,
    ],
)
@pytest.mark.parametrize("how", ["lost", "half", "nonsense", "a folder"])
def test_whatever_file_is_damaged_the_others_are_reported(two: StudyFolder, name: str, how: str) -> None:
    file = two.place(two.entries[0], 2) / name
    whole = file.read_bytes()
    file.unlink()
    if how == "a folder":
        file.mkdir()
    elif how != "lost":
        file.write_bytes(whole[: len(whole) // 2] if how == "half" else b"\xff\x00[{")
    weak, strong = groups.of_study(two)
    assert (len(strong.runs), len(weak.runs)) == (5, 4)
    lost = report.lost(two)
    if name != run_folder.RESULT or how in ("half", "nonsense"):  # without a result it is not done yet
        assert list(lost) == ["weak, seed 2"]
        assert all(part in lost["weak, seed 2"] for part in (str(file.parent), name))


def test_a_study_whose_runs_all_failed_says_why(make_study: MakeStudy) -> None:
    folder = make_study((entry("wild", 1), {}), missing=frozenset({("wild", 0)}))
    place = folder.place(folder.entries[0], 0)
    place.parent.mkdir()
    failure(place).write_text("The loss is not finite.\n")
    with pytest.raises(RunError, match=r"no run of the study has a result yet.*\nwild, seed 0: The loss"):
        report.write(folder)


def test_a_run_that_failed_is_told_on_the_screen(make_study: MakeStudy) -> None:
    folder = make_study((entry("wild", 2), {}), missing=frozenset({("wild", 0)}))
    failure(folder.place(folder.entries[0], 0)).write_text("The loss is not finite.\n")
    assert report.lost(folder) == {"wild, seed 0": "The loss is not finite."}
    answer = CliRunner().invoke(app, ["report", str(folder.path)])
    assert "wild, seed 0: The loss is not finite." in answer.stderr


def test_searches_and_parity_are_linked_where_they_are(two: StudyFolder) -> None:
    assert "beyond" not in [part.anchor for part in study.document(two).sections]
    done, running = two.path / "search-tpe", two.path / "search-random"
    for place in (done, running):
        place.mkdir()
    for name in ("result.json", "report.html", "best.toml"):
        (done / name).write_text("{}")
    (two.path / "parity.html").write_text("")
    rows = table(section(study.document(two), "beyond")).rows
    assert rows[0][:2] == ("search random", "no result yet")
    assert [cell.target for cell in rows[1][1:] if isinstance(cell, Link)] == [
        "search-tpe/report.html",
        "search-tpe/best.toml",
    ]
    assert isinstance(rows[2][1], Link)
    assert rows[2][1].target == "parity.html"


def test_a_lost_study_file_is_a_warning(two: StudyFolder) -> None:
    two.file.unlink()
    document = study.document(two)
    assert "was not kept" in said(section(document, "reproduce"))
    assert not [b for b in section(document, "reproduce").blocks if isinstance(b, Code)]


def test_the_outcome_is_that_of_the_report(two: StudyFolder) -> None:
    found = report.outcome(two)
    assert found.verdict == study.document(two).verdict
    assert [table.titles[0] for table in found.tables] == ["run", "compared with"]


def test_the_report_command_knows_a_study(two: StudyFolder) -> None:
    done = CliRunner().invoke(app, ["report", str(two.path)])
    assert done.exit_code == 0
    assert Path(done.output.strip()).samefile(two.path / "report.html")
    assert "Nets compared" in (two.path / "report.html").read_text(encoding="utf-8")


def test_hostile_names_stay_text(make_study: MakeStudy) -> None:
    bad = entry("a&b", 2, note=HOSTILE[1], beside={HOSTILE[0]: 0.5})
    folder = make_study((bad, {"class_names": HOSTILE}), (entry("c", 2), {"class_names": HOSTILE}), title=HOSTILE[0])
    text = report.render_html(folder)
    page = assert_sound(text)
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "{{ 7*7 }}" in page.text


def test_charts_are_written_as_drawings_of_their_own(two: StudyFolder, tmp_path: Path) -> None:
    paths = report.write_figures(two, tmp_path / "figures")
    names = [path.name for path in paths]
    assert names == sorted(set(names), key=names.index)
    assert {"accuracy-1.svg", "learning-1.svg", "learning-4.svg", "classes-1.svg"} <= set(names)
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("<svg ")
        assert "var(--series" not in text
        ElementTree.fromstring(text)


def test_what_the_nets_of_an_entry_were_exported_to_is_linked(two: StudyFolder) -> None:
    group = GroupFolder.open(two.path / "strong")
    record = exports.ExportRecord(
        format="onnx",
        title="ONNX",
        path="export/strong.onnx",
        sha256={"strong.onnx": "0"},
        bytes=1,
        weights=group.weights,
        written="2026-01-01T00:00:00+00:00",
        firstlight="0.1.0",
    )
    exports.add(group, record)
    [(what, link, state)] = table(section(study.document(two), "beyond")).rows
    assert what == "strong, all nets as one"
    assert isinstance(link, Link)
    assert (link.text, link.target) == ("ONNX", "strong/export/strong.onnx")
    assert state == "missing since"


@pytest.mark.parametrize(("groups", "done"), [(2, 1), (4, 1), (6, 2), (6, 4)])
def test_a_study_of_which_some_runs_have_no_result_has_a_report(make_study: MakeStudy, groups: int, done: int) -> None:
    """As after --only, or where a study was stopped; whichever they are."""
    names = [f"net-{number}" for number in range(groups)]
    gone = frozenset((name, seed) for name in names[:-done] for seed in range(2))
    folder = make_study(*((entry(name, 2), {}) for name in names), missing=gone)
    page = assert_sound(report.render_html(folder))
    assert all(name in page.text for name in names)
