"""`firstlight predict` and `evaluate` on files: lines, JSON and tables; what cannot be read is named."""

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import firstlight as fl
from firstlight.cli.predict import NAMED
from firstlight.records.run_folder import RunFolder
from firstlight.types import Dataset


@pytest.fixture(scope="module")
def run(tmp_path_factory, digits):
    few = Dataset("few", {"train": digits.splits["train"].take(np.arange(200))})
    out = tmp_path_factory.mktemp("runs") / "small"
    return fl.fit("mlp-128", few, epochs=2, out=out, console=Console(quiet=True)).path


@pytest.fixture
def new(digits, tmp_path, monkeypatch):
    """new/<class>/<number>.png: forty images that the run has not seen."""
    monkeypatch.chdir(tmp_path)
    images = digits.splits["train"].take(np.arange(300, 340))
    for number, (pixels, label) in enumerate(zip(images.pixels, images.labels.tolist(), strict=True)):
        path = tmp_path / "new" / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:, :, 0]).save(path)
    return Path("new")


def given(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def rows_of(path):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_predict_names_classes(firstlight, run, new):
    image = sorted(new.rglob("*.png"))[0]
    answer = firstlight("predict", run, image, image)
    assert answer.code == 0
    assert answer.out.count(f"{image}: ") == 2
    assert answer.out.count("%") == 6
    [only] = firstlight("predict", run, image, "--json").json()
    assert list(only["probabilities"]) == list("0123456789")
    assert sum(only["probabilities"].values()) == pytest.approx(1)


def test_predict_takes_folders_and_names_what_it_does_not_read(firstlight, run, digits, tmp_path):
    images, record = digits.splits["train"], RunFolder.open(run).data.splits
    for k, split in enumerate(("train", "test")):
        place = images.ids.tolist().index(record[split].ids[0])
        path = tmp_path / "new" / split / ["a.gif", "b.png"][k]
        path.parent.mkdir(parents=True)
        Image.fromarray(images.pixels[place, :, :, 0]).save(path)
    (tmp_path / "new/notes.txt").write_text("no image")
    answer = firstlight("predict", run, tmp_path / "new", "--json", "--top", 2)
    assert answer.code == 0
    assert [Path(one["image"]).name for one in answer.json()] == ["b.png", "a.gif"]
    assert [len(one["probabilities"]) for one in answer.json()] == [2, 2]
    assert "1 file is not an image and was not read: " in answer.err
    assert "notes.txt" in answer.err
    assert "trained on 1 of these 2 images" in answer.err
    (tmp_path / "new/cut.png").write_bytes(b"\x89PNG")
    (tmp_path / "new/gone.png").symlink_to(tmp_path / "nowhere")
    answer = firstlight("predict", run, tmp_path / "new")
    assert answer.code == 1
    assert [name in answer.out for name in ("a.gif: ", "b.png: ")] == [True, True]
    assert [name in answer.err for name in ("cut.png", "gone.png: a broken link")] == [True, True]
    (tmp_path / "none").mkdir()
    answer = firstlight("predict", run, tmp_path / "none", "--out", tmp_path / "none.csv")
    assert answer.code == 2
    assert "holds no image" in answer.err
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_table_has_what_is_printed(firstlight, run, new, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    (new / "0" / "cut.png").write_bytes(b"\x89PNG")
    told = firstlight("predict", run, new, "--json").json()
    answer = firstlight("predict", run, new, "--out", f"t.{ending}", "--top", 2)
    assert answer.code == 1
    assert answer.out == f"Table: t.{ending} (40 images, and why 1 could not be read)\n"
    assert answer.err.startswith("new/0/cut.png: ")
    rows: list[dict[str, Any]]
    if ending == "csv":
        rows = [{name: value or None for name, value in row.items()} for row in rows_of("t.csv")]
    elif ending == "jsonl":
        rows = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    else:
        from pyarrow import parquet

        rows = parquet.read_table("t.parquet").to_pylist()
    assert [row["path"] for row in rows] == sorted(map(str, new.rglob("*.png")))
    read = [row for row in rows if row["reason"] is None]
    assert [row["path"] for row in read] == [one["image"] for one in told]
    for row, one in zip(read, told, strict=True):
        best = max(one["probabilities"], key=one["probabilities"].get)
        assert row["class"] == best
        assert float(row["probability"]) == pytest.approx(one["probabilities"][best], rel=1e-6)


def test_what_is_of_none_of_the_classes_is_told(firstlight, run, new):
    noise = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(new / f"noise{number}.png")
    rate = ("--false-alarm-rate", "0.5")
    told = firstlight("predict", run, new, "--json", *rate).json()
    strange = [one["image"] for one in told if one["none_of_these"]]
    assert all(one["none_of_these"] == (one["strangeness"] > 1) for one in told)
    assert sum("noise" in path for path in strange) > 6

    lines = firstlight("predict", run, new, *rate).out.splitlines()
    assert {line.split(": ")[0] for line in lines if ": none of these (most like " in line} == set(strange)
    firstlight("predict", run, new, "--out", "t.csv", *rate)
    assert {row["path"] for row in rows_of("t.csv") if row["none_of_these"] == "true"} == set(strange)
    assert 0 < firstlight("predict", run, new).out.count(": none of these (") < len(strange)

    measured = firstlight("evaluate", run, *new.glob("[0-9]"), "--json", *rate).json()
    assert measured["none_of_these"]["images"] == sum("noise" not in path for path in strange)
    assert 0 <= measured["none_of_these"]["accuracy_of_others"] <= 1
    assert "None of these: " in firstlight("evaluate", run, *new.glob("[0-9]"), *rate).out


@pytest.mark.parametrize(("rate", "said"), [("0.01", "it takes 99"), ("0", "between 0 and"), ("1", "between 0 and")])
def test_a_rate_at_which_nothing_can_be_told(firstlight, run, new, rate, said):
    for command in (("predict", run, new, "--out", "t.csv"), ("evaluate", run, new)):
        answer = firstlight(*command, "--false-alarm-rate", rate)
        assert answer.code == 2
        assert said in answer.err
        assert not Path("t.csv").exists()


def test_lists_patterns_and_tables_name_the_same_images(firstlight, run, new, monkeypatch):
    paths = sorted(map(str, new.rglob("*.png")))
    firstlight("predict", run, "new", "--out", "folder.csv")
    firstlight("predict", run, "new/*/*.png", "--out", "pattern.csv")
    given(monkeypatch, "\n".join(paths).encode())
    firstlight("predict", run, "-", "--out", "list.csv")
    firstlight("predict", run, "folder.csv", "--out", "table.csv")
    texts = [Path(f"{name}.csv").read_text() for name in ("folder", "pattern", "list", "table")]
    assert len(set(texts)) == 1
    assert [row["path"] for row in rows_of("folder.csv")] == paths


def test_a_list_that_names_no_image(firstlight, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    given(monkeypatch, b"")
    answer = firstlight("predict", run, "-", "--json")
    assert answer.code == 0
    assert answer.json() == []
    assert "no image" in answer.err
    Path("list.csv").write_text("path\n")
    answer = firstlight("predict", run, "list.csv", "--out", "t.csv")
    assert "no image" in answer.err
    assert rows_of("t.csv") == []


def test_names_that_are_no_utf8_and_many_that_are_unreadable(firstlight, run, new):
    for number in range(NAMED + 3):
        Path(os.fsdecode(b"new/\xff%d.png" % number)).write_bytes(b"")
    answer = firstlight("predict", run, "new", "--out", "t.csv", "--json")
    assert answer.json() == {"table": "t.csv", "images": 40, "unreadable": NAMED + 3}
    assert answer.err.count("the file is empty") == NAMED
    assert "3 more could not be read" in answer.err
    assert sum(row["path"].startswith("new/\\xff") for row in rows_of("t.csv")) == NAMED + 3
    assert firstlight("predict", run, "new").err.count("the file is empty") == NAMED + 3


def test_a_name_is_no_second_line_and_no_command_to_the_terminal(firstlight, run, new):
    name = "new/\x1b[2Ja\nb.png"
    sorted(new.rglob("*.png"))[0].rename(name)
    Path(f"{name}.gif").write_bytes(b"")
    answer = firstlight("predict", run, *new.glob("*b.png*"))
    assert answer.out.startswith("new/\\x1b[2Ja\\nb.png: ")
    assert answer.out.count("\n") == answer.err.count("\n") == 1
    firstlight("predict", run, name, "--out", "t.csv")
    assert rows_of("t.csv")[0]["path"] == name


def test_a_table_of_another_ending_is_refused_first(firstlight, run, new):
    answer = firstlight("predict", run, "new", "--out", "t.xlsx")
    assert answer.code == 2
    assert ".csv, .jsonl or .parquet" in answer.err


class TestEvaluate:
    def test_folders_are_the_classes(self, firstlight, run, new):
        (new / "3" / "cut.png").write_bytes(b"\x89PNG")
        as_set = firstlight("evaluate", run, "--data", "new", "--json").json()
        answer = firstlight("evaluate", run, "new", "--out", "t.csv", "--json")
        assert answer.code == 1
        as_files = answer.json()
        assert as_files["accuracy"] == as_set["accuracy"]
        assert as_files["loss"] == pytest.approx(as_set["loss"], rel=1e-6)
        rows = rows_of("t.csv")
        assert [row["label"] for row in rows] == [Path(row["path"]).parent.name for row in rows]
        read = [row for row in rows if not row["reason"]]
        assert np.mean([row["class"] == row["label"] for row in read]) == as_files["accuracy"]
        assert len(rows) == len(read) + 1 == 41

    def test_one_class_alone_and_a_table(self, firstlight, run, new):
        answer = firstlight("evaluate", run, "new/3", "new/4")
        assert answer.code == 0
        count = len([*new.glob("3/*"), *new.glob("4/*")])
        assert "on new/3 and new/4: accuracy" in answer.out
        assert f"{count} images" in answer.out
        firstlight("predict", run, "new/3", "--out", "t.csv")
        answer = firstlight("evaluate", run, "t.csv", "--json")
        assert answer.json()["accuracy"] == 1, "the classes that it has predicted are taken for the true ones"

    def test_its_own_images_as_a_table(self, firstlight, run, digits):
        recorded = RunFolder.open(run).predictions["test"]
        few = Dataset("few", {"train": digits.splits["train"].take(np.arange(200))})
        fl.Run(run, data=few)
        answer = firstlight("evaluate", run, "--data", "digits", "--out", run.parent / "t.csv")
        assert answer.code == 0, answer.err
        rows = rows_of(run.parent / "t.csv")
        assert [row["path"] for row in rows] == recorded.ids.tolist()
        assert [row["label"] for row in rows] == [str(label) for label in recorded.labels]

    def test_a_set_of_images_is_no_path(self, firstlight, run):
        for name in ("digits", "some.npz"):
            answer = firstlight("evaluate", run, name)
            assert answer.code == 2
            assert f"--data {name}" in answer.err

    @pytest.mark.parametrize("option", [("--data", "digits"), ("--split", "test")])
    def test_paths_say_what_is_measured(self, firstlight, run, new, option):
        answer = firstlight("evaluate", run, "new", *option)
        assert answer.code == 2
        assert f"{option[0]} cannot be used with paths" in answer.err


def test_a_list_is_not_replaced_by_the_table(firstlight, run, new):
    image = sorted(new.rglob("*.png"))[0]
    listing = Path("list.csv")
    listing.write_text(f"path,label\n{image},{image.parent.name}\n")
    before = listing.read_text()
    for command in (("predict", run, "list.csv"), ("evaluate", run, "list.csv"), ("evaluate", run, "--data", listing)):
        answer = firstlight(*command, "--out", Path().resolve() / "list.csv")
        assert answer.code == 2
        assert "is also an input" in answer.err
        assert listing.read_text() == before
    assert firstlight("predict", run, image, "--out", listing).code == 0


def test_the_record_of_the_run_is_not_replaced(firstlight, run, new):
    before = (run / "history.csv").read_bytes()
    answer = firstlight("predict", run, new, "--out", run / "history.csv")
    assert (answer.code, answer.out) == (2, "")
    assert firstlight("card", run, "--out", run / "result.json").code == 2
    assert firstlight("report", run, "--out", run / "data.json").code == 2
    assert (run / "history.csv").read_bytes() == before


def test_nobody_needs_to_listen(firstlight, run, new, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert firstlight("predict", run, sorted(new.rglob("*.png"))[0]).code == 0
    sys.stdout.close()
