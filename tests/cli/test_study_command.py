"""`firstlight study`, as a user calls it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from firstlight.experiments import packaged
from firstlight.records.run_folder import RunFolder

NEXT = "Next: add --table table.tex (or .csv, .md) for the numbers, or firstlight view runs/hidden"
FILE = """\
title = "Does a hidden layer help?"
about = "A little."
seeds = 2

[defaults]
data = { source = "digits", limit = 200 }
training = { epochs = 2 }

[[run]]
name = "softmax"
published = 0.9
model = { name = "softmax-regression" }

[[run]]
name = "mlp"
model = { name = "mlp-128" }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hidden.toml"
    path.write_text(FILE)
    return path


def test_a_study_is_done_and_reported_and_not_done_again(firstlight, file, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = firstlight("study", file)
    assert answer.code == 0, answer.err
    lines = [line for line in answer.out.splitlines() if not line.startswith("About ")]  # where it takes half a second
    assert lines[0].startswith("softmax, seed 0: test accuracy ")
    assert lines[3].endswith("[4 of 4]")
    page = Path("runs") / "hidden" / "report.html"
    assert lines[-2:] == [f"Report: {page}", NEXT]
    shown = answer.out.replace("\u00a0", " ")
    assert re.search(r" mlp +2 +\d\d\.\d\d\s% +\d\d\.\d\d ± \d", shown)  # the table, and the tests
    assert "n = 2 seeds are too few" in " ".join(shown.split())
    assert "Does a hidden layer help?" in page.read_text()

    again = firstlight("study", file)
    assert again.out.splitlines()[0] == "4 complete before."
    assert again.out.splitlines()[-2:] == [f"Report: {page}", NEXT]
    quiet = firstlight("study", file, "-q")
    assert (quiet.out.splitlines(), quiet.err) == ([str(page)], "")
    assert firstlight("report", "runs/hidden").out.splitlines() == [str(page)]

    more = firstlight("study", file, "--seeds", 3, "--only", "mlp")
    assert [line for line in more.out.splitlines() if ", seed " in line] == [
        line for line in more.out.splitlines() if line.startswith("mlp, seed 2: ")
    ]

    table = firstlight("study", "--table", "table.md")
    assert table.out.splitlines() == ["table.md"]
    assert "Does a hidden layer help?" in Path("table.md").read_text()
    assert "90.00" in Path("table.md").read_text()
    own = firstlight("study", file, "--quiet", "--table", "own.csv")
    assert own.out.splitlines() == [str(page), "own.csv"]
    assert Path("own.csv").read_text().startswith("study,run,best,n,test_mean,test_sd,")
    assert table.err == ""

    damaged = Path("runs") / "hidden" / "mlp" / "seed-1" / "predictions.npz"
    damaged.write_bytes(b"nothing")
    table = firstlight("study", "--table", "table.md")
    assert (table.code, table.out.strip()) == (0, "table.md")
    assert table.err.startswith(f"hidden, mlp, seed 1: {damaged} is damaged: ")
    assert "- **mlp**: cannot be read: seed 1." in Path("table.md").read_text()
    told = firstlight("report", "runs/hidden")
    assert (told.code, told.out.strip()) == (0, str(page))
    assert told.err.startswith(f"mlp, seed 1: {damaged} is damaged: ")
    refused = firstlight("study", file)
    assert refused.code == 2
    assert f"To train it again, remove {damaged.parent}." in refused.err


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_the_same_command_goes_on(firstlight, interrupted, file, tmp_path) -> None:
    file.write_text(FILE.replace("epochs = 2", "epochs = 100"))
    out = tmp_path / "out"
    asked = ["study", file, "--out", out, "--workers", 2, "--seeds", 3]  # more runs than two workers take at once
    answer = interrupted(*asked, at=out / "softmax" / "seed-1" / "history.csv")
    assert answer.code == 130
    assert answer.err == "Stopped. What is complete is kept; the same command continues.\n"
    assert not (out / "report.html").exists()

    answer = firstlight(*asked)
    assert answer.code == 0, answer.err
    runs = [RunFolder.open(place) for place in sorted(out.glob("*/seed-*"))]
    assert [run.result.status for run in runs] == ["finished"] * 6
    assert (out / "report.html").exists()


def test_the_studies_that_come_with_it_are_listed(firstlight) -> None:
    answer = firstlight("study", "--list")
    assert answer.code == 0
    assert all(name in answer.out for name in packaged())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--list"]),
        (["fashion-lenett"], ["fashion-lenett", "fashion-lenet"]),
        (["none.toml"], ["none.toml", "no such"]),
        (["FILE", "--seeds", "0"], ["--seeds"]),
        (["FILE", "--workers", "0"], ["--workers"]),
        (["FILE", "--threads", "0"], ["--threads"]),
        (["FILE", "--only", "mlq"], ["mlq", "mlp"]),
        (["FILE", "--backend", "slurm"], ["backend", "slurm"]),
        (["FILE", "--backend", "dask"], ["--backend dask needs"]),
        (["--table", "t.md", "--out", "nowhere"], ["nowhere"]),
        (["FILE", "--table", "t.xls"], [".md, .tex or .csv", ".xls"]),
    ],
)
def test_mistakes_are_one_message_and_nothing_is_written(firstlight, file, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    answer = firstlight("study", *(str(file) if argument == "FILE" else argument for argument in arguments))
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert all(word in answer.err for word in words), answer.err
    assert not list(tmp_path.rglob("result.json"))
