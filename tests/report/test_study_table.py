"""The numbers of studies as a table: Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tests.report.run_folders import STRONG, WEAK, MakeStudy, entry

from firstlight import report
from firstlight.errors import RunError
from firstlight.evaluation import spread
from firstlight.experiments import packaged
from firstlight.records import run_folder
from firstlight.records.group import of_study
from firstlight.records.study_folder import StudyFolder, failure
from firstlight.report.study_table import FILES, mean, study_table


def test_the_table_of_all_studies(make_study: MakeStudy, two: StudyFolder, tmp_path: Path) -> None:
    other = make_study((entry("pipe|*d*", 1, published=0.4), STRONG), name="other", title="Of *another* kind")
    empty = make_study((entry("a", 1), {}), name="empty", title="Not begun", missing=frozenset({("a", 0)}))
    path = report.write_study_table([two, other, empty], tmp_path / "docs" / "why" / "studies.md")
    text = path.read_text(encoding="utf-8")
    ours = spread(list(of_study(two)[1].accuracies.values()))
    group = of_study(two)[1]
    kept = " | ".join(mean(found) for found in (group.validation, group.training))
    assert f"| strong ★ | 50.00 ▲ | {mean(ours)} | 5 | {kept} | 83.2 | 97.00 " in text
    assert mean(ours) == f"{100 * ours.mean:.2f} ± {100 * (ours.sd or 0):.2f}"
    assert "2 of 3 published numbers" in text
    assert "- **weak**: Too small a net for this." in text
    assert "## Of \\*another\\* kind" in text
    assert "| pipe\\|\\*d\\* | 40.00 △ |" in text
    assert "empty.toml" in text
    assert "no run has a result yet" in text
    assert "A processor, 2 cores, 8.1 GB, Linux" in text
    assert str(tmp_path) not in text
    widths = {line.count("|") - line.count("\\|") for line in text.split("## ")[1].splitlines() if line.startswith("|")}
    assert len(widths) == 1
    assert "2 of 3 published numbers that were tried are reached within two standard deviations, or beaten." in text
    with pytest.raises(RunError, match="no table"):
        study_table([empty], tmp_path)


def test_the_table_is_markdown_latex_or_csv_by_its_ending(make_study: MakeStudy, tmp_path: Path) -> None:
    odd = entry("a_b & 50%", 3, published=0.5, beside={"Keras": 0.9})
    folder = make_study((odd, STRONG), (entry("never", 1), {}), missing=frozenset({("never", 0)}), title="#1: {x}^2~")
    group = of_study(folder)[0]
    text = report.write_study_table([folder], tmp_path / "t.md").read_text()
    assert text.count("# ") == 1  # the title of the study alone, and no preface of ours
    assert "notebook" not in text
    assert "▲ our accuracy is higher" in text
    assert report.write_study_table([folder], tmp_path / "p.md", "# Mine").read_text().startswith("# Mine\n")

    text = report.write_study_table([folder], tmp_path / "t.tex").read_text()
    assert r"\caption{\#1: \{x\}\textasciicircum{}2\textasciitilde{}. " in text
    assert r"run & published, \% & test, \% & n & validation, \% & training, \% & seconds & Keras \\" in text
    shown = mean(group.accuracy).replace("±", r"$\pm$")
    assert rf"a\_b \& 50\% & 50.00 $\blacktriangle$ & {shown} & 3 & " in text
    assert r"never &  & --- & 0 & --- & --- & --- &  \\" in text
    for environment in ("table", "tabular"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") == 1

    path = report.write_study_table([folder], tmp_path / "t.csv")
    first, together, second = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    assert (first["study"], first["run"], first["n"], first["best"]) == ("nets", "a_b & 50%", "3", "0")
    assert float(first["test_mean"]) == group.accuracy.mean
    assert float(first["test_sd"]) == group.accuracy.sd
    assert group.training is not None
    assert float(first["training_mean"]) == group.training.mean
    assert (float(first["published"]), float(first["Keras"])) == (0.5, 0.9)
    assert (together["run"], together["test_sd"]) == ("a_b & 50%, ensemble of 3", "")
    assert (second["n"], second["test_mean"], second["published"]) == ("0", "", "")

    with pytest.raises(RunError, match=r"\.md, \.tex or \.csv"):
        report.write_study_table([folder], tmp_path / "new" / "t.xlsx")
    assert not (tmp_path / "new").exists()


def test_the_table_counts_what_is_reached_and_what_was_not_tried(make_study: MakeStudy, tmp_path: Path) -> None:
    gone = frozenset({("never", 0)})
    entries = ((entry("strong", 1, published=0.5), STRONG), (entry("never", 1, published=0.5), {}))
    folder = make_study(*entries, missing=gone)
    text = study_table([folder], tmp_path)
    assert "1 of 1 published number that was tried is reached" in text
    assert "or beaten; 1 other has no result yet." in text


def test_the_table_links_the_file_that_was_run(make_study: MakeStudy, tmp_path: Path) -> None:
    """The packaged one only where it is the same and can be reached from the page; else that of the study's folder."""
    one = (entry("a", 1), {})
    same, changed = make_study(one, name="same"), make_study(one, name="changed")
    own, lost = make_study(one, name="own one"), make_study(one, name="lost")
    packaged = tmp_path / "src" / "firstlight" / "experiments" / "files"
    packaged.mkdir(parents=True)
    (packaged / "same.toml").write_bytes(same.file.read_bytes())
    (packaged / "changed.toml").write_text("# other seeds\n" + changed.file.read_text())
    lost.file.unlink()
    text = report.write_study_table([same, changed, own, lost], tmp_path / "docs" / "why" / "studies.md").read_text()
    assert "[same.toml](../../src/firstlight/experiments/files/same.toml)" in text
    assert "[changed.toml](../../changed/changed.toml)" in text
    assert "[own one.toml](../../own%20one/own%20one.toml)" in text
    assert "\nlost.toml\n" in text
    elsewhere = report.write_study_table([same], tmp_path / "table.md").read_text()
    assert "[same.toml](same/same.toml)" in elsewhere


def test_the_packaged_files_lie_where_the_page_links_to() -> None:
    docs = Path(__file__).parents[2] / "docs" / "why"
    assert all((docs / FILES / f"{name}.toml").is_file() for name in packaged())


def test_the_table_names_runs_that_failed_or_cannot_be_read(make_study: MakeStudy, tmp_path: Path) -> None:
    folder = make_study((entry("weak", 4), WEAK), (entry("strong", 4), STRONG), missing=frozenset({("weak", 3)}))
    weak = folder.entries[0]
    failure(folder.place(weak, 3)).write_text("The loss is not finite.\n")
    (folder.place(weak, 2) / run_folder.ENVIRONMENT).write_text("{")
    text = study_table([folder], tmp_path)
    assert "- **weak**: failed: seed 3." in text
    assert "- **weak**: cannot be read: seed 2." in text
    assert "| weak | " in text
    for place in folder.path.glob("*/seed-*/"):
        (place / run_folder.RESULT).write_text("{")
    good = make_study((entry("a", 1), {}), name="good")
    text = study_table([folder, good], tmp_path)
    assert "no run has a result that can be read." in text
    assert "- **strong**: cannot be read: seed 0, seed 1, seed 2 and seed 3." in text
