"""What a reader must know of several runs: what is missing, how the best was chosen, and what seeds can tell."""

from __future__ import annotations

from dataclasses import replace

from tests.report.page_parts import said, table
from tests.report.run_folders import STRONG, WEAK, MakeRun, MakeStudy, Odd, entry

from firstlight.records import run_folder
from firstlight.records.group import of_runs, of_study
from firstlight.records.record_files import write_record
from firstlight.records.result import Status
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.records.study_folder import StudyFolder, failure
from firstlight.report.sections.cautions import section
from firstlight.report.sections.every_run import section as every_run
from firstlight.report.sections.every_run import verdict


def test_what_is_missing_and_what_failed_is_named(make_study: MakeStudy) -> None:
    gone = frozenset({("strong", 3), *(("wild", seed) for seed in range(3))})
    folder = make_study((entry("weak"), WEAK), (entry("strong"), STRONG), (entry("wild", 3), {}), missing=gone)
    cut_off = folder.place(folder.entries[2], 2)
    cut_off.mkdir(parents=True)
    (cut_off / run_folder.EXPERIMENT).write_text("seed = 2\n")
    for name, seed in (("weak", 0), ("wild", 0)):  # weak was tried again since
        failure(folder.path / name / f"seed-{seed}").write_text("The loss is not finite.\n")
    groups = of_study(folder)
    notes = said(section(groups))
    assert "No result yet: strong, seed 3." in notes
    assert "No result yet: wild, seed 1 and seed 2." in notes
    assert "wild, seed 0 has no result: The loss is not finite." in notes
    assert "weak, seed 0" not in notes
    assert verdict(groups) == "4 of 13 runs have no result yet."
    assert table(every_run(groups)).rows[2][1:4] == ("failed", "no result", "no result")


def test_splits_that_keep_groups_together_are_told_of_all_runs_or_of_some(make_run: MakeRun) -> None:
    told = {"by": "the column patient", "groups": 9, "smallest": 1, "median": 2, "largest": 4, "splits": {"test": 3}}
    kept, divided = (
        read(make_run(f"kept{n}", data={"groups": {**told, "divided": {"train-test": n}}}, seed=n)) for n in (0, 1)
    )
    plain = read(make_run("plain"))
    assert "checked after each; images were kept together by the column patient." in said(
        section(of_runs([kept, kept]))
    )
    assert "Images were kept together in groups by the splits of kept0 alone" in said(section(of_runs([kept, plain])))
    assert "1 group is both in train and test" in said(section(of_runs([divided, plain])))
    assert "group" not in said(section(of_runs([plain, plain])))


def test_a_damaged_run_is_told_and_left_out(two: StudyFolder) -> None:
    (two.place(two.entries[0], 2) / run_folder.PREDICTIONS).write_bytes(b"nothing")
    groups = of_study(two)
    assert "weak, seed 2: " in said(section(groups))
    assert "is damaged" in said(section(groups))
    assert table(every_run(groups)).rows[0][3] == "unreadable"
    assert len(groups[0].averaged) == 4


def test_interrupted_runs_are_not_averaged_and_diverged_ones_are(two: StudyFolder) -> None:
    for seed, status in ((0, "interrupted"), (1, "diverged")):
        place = two.place(two.entries[1], seed)
        write_record(place, run_folder.RESULT, replace(RunFolder(place).result, status=Status(status)))
    groups = of_study(two)
    assert tuple(groups[1].averaged) == (1, 2, 3, 4)
    notes = said(section(groups))
    assert "strong, seed 0: The run was interrupted" in notes
    assert "Of strong, interrupted runs are left out of the means." in notes
    assert "strong, seed 1: Training diverged" in notes
    assert [str(cell)[-1] for cell in table(every_run(groups)).rows[1][1:3]] == ["†", "‡"]


def test_runs_that_read_the_test_images_twice_are_named(two: StudyFolder) -> None:
    assert "once in each of the 10 runs" in said(section(of_study(two)))
    place = two.place(two.entries[0], 4)
    write_record(place, run_folder.RESULT, replace(RunFolder(place).result, measured_before=True))
    assert "once in 9 of 10 runs" in said(section(of_study(two)))
    assert "again at its end: weak, seed 4." in said(section(of_study(two)))


def test_how_the_best_was_chosen_is_told_of_seeds_and_of_single_runs(make_study: MakeStudy) -> None:
    alone = said(section(of_study(make_study((entry("weak", 1), WEAK), (entry("strong", 1), STRONG), name="alone"))))
    assert "the one with the highest validation accuracy." in alone
    assert "Of each of them there is one seed" in alone
    assert "a smaller difference may be due to chance" in alone
    assert "mean" not in alone
    mixed = said(section(of_study(make_study((entry("weak", 3), WEAK), (entry("strong", 1), STRONG), name="mixed"))))
    assert "highest mean validation accuracy over its seeds, or the one of its seed" in mixed
    assert "Of strong there is one seed" in mixed


def test_without_validation_none_is_called_the_best(make_run: MakeRun) -> None:
    records = [read(make_run("a")), read(make_run("b", validation=False, model="mlp"))]
    assert "none is called the best" in said(section(of_runs(records)))


def test_other_images_are_a_warning_and_other_classes_another_question(make_run: MakeRun) -> None:
    odd: dict[str, Odd] = {"b": {"test": 30}, "c": {"class_names": ("no", "yes")}}
    first, *others = (read(make_run(name, **changes)) for name, changes in {"a": {}, **odd}.items())
    warned, apart = (said(section(of_runs([first, other]))) for other in others)
    assert "not tested on the same images" in warned
    assert "Not all of them solve the same task" in apart
