"""Predictions as tables: what is written can be read back, opens safely in a spreadsheet, and is whole."""

import csv
import json
import math
import os
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight import prediction_table as tables
from firstlight.errors import ExperimentError
from firstlight.inference import Prediction
from firstlight.prediction_table import FORMATS, FORMULAS, prediction_table
from firstlight.text import printable_name

READ = Prediction("a/b.png", "cat", 0.75, (("cat", 0.75), ("dog", 0.2), ("owl", 0.05)), true_class="dog")
UNREAD = Prediction("c.png", reason="the file is empty")


def written(path, predictions, **options):
    with prediction_table(path, **{"top": 2, **options}) as write:
        for prediction in predictions:
            write(prediction)
    return path


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_csv(tmp_path):
    assert read_csv(written(tmp_path / "t.csv", [READ, UNREAD])) == [
        {
            **{"path": "a/b.png", "class": "cat", "probability": "0.75", "class_2": "dog", "probability_2": "0.2"},
            "reason": "",
        },
        {
            **dict.fromkeys(("class", "probability", "class_2", "probability_2"), ""),
            **{"path": "c.png", "reason": "the file is empty"},
        },
    ]


def test_json_lines(tmp_path):
    lines = written(tmp_path / "t.JSONL", [READ, UNREAD], labelled=True).read_text().splitlines()
    top = [{"class": "cat", "probability": 0.75}, {"class": "dog", "probability": 0.2}]
    assert [*map(json.loads, lines)] == [
        {"path": "a/b.png", "label": "dog", "class": "cat", "probability": 0.75, "top": top, "reason": None},
        {"path": "c.png", "label": None, "class": None, "probability": None, "top": [], "reason": UNREAD.reason},
    ]


def test_what_is_of_none_of_the_classes_has_columns_where_it_is_known(tmp_path):
    strange = replace(READ, strangeness=1.25)
    rows = read_csv(written(tmp_path / "t.csv", [strange, replace(READ, strangeness=0.5), UNREAD], novelty=True))
    assert [(row["none_of_these"], row["strangeness"]) for row in rows] == [
        ("true", "1.25"),
        ("false", "0.5"),
        ("", ""),
    ]
    [line] = written(tmp_path / "t.jsonl", [strange], novelty=True).read_text().splitlines()
    assert (json.loads(line)["none_of_these"], json.loads(line)["strangeness"]) == (True, 1.25)
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = parquet.read_table(written(tmp_path / "t.parquet", [strange, UNREAD], novelty=True)).to_pydict()
    assert (columns["none_of_these"], columns["strangeness"]) == ([True, None], [1.25, None])


def test_parquet_is_written_group_by_group(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(tables, "ROWS", 4)
    path = written(tmp_path / "t.parquet", [READ, UNREAD] * 5, labelled=True)
    assert [parquet.ParquetFile(path).metadata.row_group(k).num_rows for k in range(3)] == [4, 4, 2]
    columns = parquet.read_table(path).to_pydict()
    assert [*columns] == ["path", "label", "class", "probability", "class_2", "probability_2", "reason"]
    assert columns["probability"] == [0.75, None] * 5
    assert columns["reason"] == [None, UNREAD.reason] * 5
    assert parquet.read_table(written(tmp_path / "none.parquet", [])).num_rows == 0


@pytest.mark.parametrize("ending", FORMATS)
def test_a_table_that_is_not_finished_is_not_there(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    path.write_text("the one before")
    with pytest.raises(AttributeError):
        written(path, [READ, None])
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_text() == "the one before"
    with pytest.raises(FileNotFoundError) as error, prediction_table(tmp_path / f"no/t{ending}", top=1):
        raise AssertionError("there is no such folder")
    assert error.value.filename == str(tmp_path / f"no/t{ending}")


def test_what_cannot_be_written_is_told_before_there_is_a_file(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name, told in (("t.xlsx", "a table ends in .csv, .jsonl or .parquet"), ("t.parquet", r"firstlight\[parquet\]")):
        with pytest.raises(ExperimentError, match=told), prediction_table(tmp_path / name, top=1):
            raise AssertionError("there must be no table")
    assert not [*tmp_path.iterdir()]


file_names = st.binary(min_size=1, max_size=12).filter(lambda name: 0 not in name).map(os.fsdecode)
class_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
predictions = st.builds(
    lambda path, names, p, reason: (
        Prediction(path, reason=reason)
        if reason
        else Prediction(path, names[0], p, tuple((name, p / (k + 1)) for k, name in enumerate(names)))
    ),
    file_names | st.sampled_from(['=1+1".png', "a\nb,c.png", "-x", "@x", "\tx", "ä\udcff.png"]),
    st.lists(class_names | st.sampled_from(["=HYPERLINK(1)", "-5", "+x", "'"]), min_size=3, max_size=3),
    st.floats(0, 1, width=32),
    st.sampled_from(["", "truncated, or damaged"]),
)


@settings(max_examples=40)
@given(st.lists(predictions, max_size=5))
def test_any_names_and_numbers_come_back(tmp_path_factory, given_):
    folder = tmp_path_factory.mktemp("tables")
    rows = read_csv(written(folder / "t.csv", given_))
    lines = [json.loads(line) for line in written(folder / "t.jsonl", given_).read_bytes().splitlines()]
    assert len(rows) == len(lines) == len(given_)
    for row, line, expected in zip(rows, lines, given_, strict=True):
        assert os.path.normpath(row["path"]) == os.path.normpath(printable_name(expected.path))
        assert line["path"] == printable_name(expected.path)
        assert row["class"].removeprefix("'") == expected.class_name.removeprefix("'")
        assert (line["class"] or "") == expected.class_name
        assert (line["reason"] or "") == row["reason"] == expected.reason
        if not expected.reason:
            assert math.isclose(line["probability"], expected.probability, rel_tol=1e-6)
            assert float(row["probability"]) == line["probability"]
            assert [one["class"] for one in line["top"]] == [name for name, _ in expected.top[:2]]
        for cell in row.values():
            assert not cell.startswith(FORMULAS) or float(cell) <= 0


def test_a_formula_is_told_by_this_test():
    assert "=1+1".startswith(FORMULAS)
    assert tables._cell("=1+1") == "'=1+1"
    assert tables._cell("-5") == "-5"
    assert tables._no_formula_path("=1.png") == "./=1.png"
