import pytest
from tests.data.making import class_folders

from firstlight.data import check, load
from firstlight.errors import DataError

SPLITS = {"train": 4, "validation": 2, "test": 2}


def written(folder, head, rows, separator=",", encoding="utf-8"):
    class_folders(folder, ["a", "b"], images_each=4)
    lines = [head, *(separator.join(row) for row in rows)]
    (folder / "list.csv").write_text("\n".join(lines) + "\n", encoding=encoding)
    return folder / "list.csv"


def listed(*values):
    """Eight rows of path and label, and the values of further columns by turns."""
    return [(f"{name}/{i}.png", name, *(value[i % len(value)] for value in values)) for name in "ab" for i in range(4)]


PARTS = ("train", "train", "val", "test")


@pytest.mark.parametrize(
    "head",
    [
        "path,label,Split",
        "path, label, split",
        "PATH,Label,SPLIT",
        "path,label,set",
        "path,label,Subset",
        "path,label,partition",
        "path,label,spilt",
        "path,label,data_split",
        "\ufefffilename,class,split",
        "image_id,label,split",
        "Image Path,Category,Set",
    ],
)
def test_columns_by_other_names(tmp_path, head):
    dataset = load(written(tmp_path, head, listed(PARTS)))
    assert {split: len(images) for split, images in dataset.splits.items()} == SPLITS
    assert dataset.class_names == ("a", "b")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [";", "\t"])
def test_separators_and_encodings(tmp_path, separator, encoding):
    head = separator.join(["path", "label", "split"])
    dataset = load(written(tmp_path, head, listed(PARTS), separator, encoding))
    assert {split: len(images) for split, images in dataset.splits.items()} == SPLITS


def test_utf_16_that_does_not_say_so(tmp_path):
    with pytest.raises(DataError, match="line 1: it contains a NUL character"):
        load(written(tmp_path, "path,label", listed(), encoding="utf-16-le"))


def test_a_line_that_names_the_separator(tmp_path):
    dataset = load(written(tmp_path, "sep=;\npath;label", listed(), ";"))
    assert len(dataset.splits["train"]) == 8
    with pytest.raises(DataError, match="line 3: there is no file"):
        load(written(tmp_path, "sep=;\npath;label", [("gone.png", "a")], ";"))


@pytest.mark.parametrize("value", [("Train", "Training", "VALID", "Testing"), ("train ", "train", " val", "test")])
def test_values_of_a_split_in_any_case(tmp_path, value):
    dataset = load(written(tmp_path, "path,label,set", listed(value)))
    assert {split: len(images) for split, images in dataset.splits.items()} == SPLITS


@pytest.mark.parametrize(
    ("head", "values", "says"),
    [
        ("path,label,splits", ("0", "1"), r"splits looks like a split.*line 2 has '0'.*Did you mean split\?"),
        ("path,label,set", ("train", "holdout"), "set looks like a split.*line 3 has 'holdout'"),
        ("path,label,partition", ("0", "1", "2"), "partition looks like a split.*line 2 has '0'"),
        ("path,label,is_valid", ("True", "False"), "is_valid looks like a split"),
        ("path,label,where", PARTS, "where looks like a split"),
        ("path,label,", PARTS, "number 3, without a name, looks like a split"),
    ],
)
def test_what_looks_like_a_split_is_never_ignored(tmp_path, head, values, says):
    with pytest.raises(DataError, match=says):
        load(written(tmp_path, head, listed(values)))


def test_two_columns_that_may_be_the_split(tmp_path):
    with pytest.raises(DataError, match="set and phase may both be the split"):
        load(written(tmp_path, "path,label,set,phase", listed(PARTS, PARTS[::-1])))
    dataset = load(written(tmp_path, "path,label,set,split", listed(PARTS[::-1], PARTS)))
    assert dataset.splits["validation"].ids.tolist() == ["a/2.png", "b/2.png"]
    assert dataset.notes == ("Columns that are not used: set.",)


def test_columns_that_are_not_used_are_named(tmp_path):
    rows = [("0", *row) for row in listed(("1", "2"))]
    assert load(written(tmp_path, ",path,label,width", rows)).notes == ("Columns that are not used: width.",)
    [note] = load(written(tmp_path, ",path,label,fold", rows)).notes
    assert "fold is not used" in note
    rows = [("0", *row) for row in listed("abcdefgh")]
    assert load(written(tmp_path, ",path,label,dataset", rows)).notes == ("Columns that are not used: dataset.",)


def test_rows_without_a_split_are_counted(tmp_path):
    dataset = load(written(tmp_path, "path,label,split", listed(("train", "", "test", "val"))))
    assert dataset.notes == ("2 of 8 rows have no split: their images are training images.",)


@pytest.mark.parametrize(
    ("head", "rows", "says"),
    [
        ("path,label", [("a/0.png", "cat", " black")], "line 2: 3 cells for 2 columns"),
        ("path,label,label", [("a/0.png", "x", "y")], "two columns have the same name, label"),
        ("path,label,Label ", [("a/0.png", "x", "y")], "two columns have the same name, label"),
        ("file,image,label", [("a/0.png", "a/0.png", "x")], "file and image may both be the path"),
        ("path,class,category", [("a/0.png", "x", "y")], "class and category may both be the label"),
        ("path,label", [("a/1.png", "x"), ('"a/0.png', "x"), ("a/2.png", "x")], "line 3: not a CSV file in UTF-8"),
        ("path,label", [("a\\9.png", "x")], "not by a backslash"),
        ("path,label", [("a/0", "x")], r"There is a/0\.png: a path needs its extension"),
        ("path,label", [("x" * 5000, "x")], "line 2: there is no file"),
        ("path,label", [("a\0.png", "x")], "line 2: it contains a NUL"),
        ("path,label", [("a/0.png", "x" * 200_000)], "line 2: not a CSV file in UTF-8"),
    ],
)
def test_refused_with_the_line(tmp_path, head, rows, says):
    with pytest.raises(DataError, match=says):
        load(written(tmp_path, head, rows))


def test_backslashes_of_a_file_that_is_there(tmp_path):
    dataset = load(written(tmp_path, "path,label", [("a\\0.png", "a"), ("b\\0.png", "b")]))
    assert dataset.splits["train"].ids.tolist() == ["a/0.png", "b/0.png"]


def test_labels_that_are_nearly_the_same_are_warned_of(tmp_path):
    labels = ("0", "0.0", "1", "nan")
    rows = [(row[0], labels[i % 4]) for i, row in enumerate(listed())]
    first, second = check(load(written(tmp_path, "path,label", rows))).warnings()
    assert "'0' and '0.0'" in first
    assert second.startswith("2 images are of class 'nan'")


def test_a_label_of_thousands_of_digits(tmp_path):
    dataset = load(written(tmp_path, "path,label", [("a/0.png", "9" * 5000), ("a/1.png", "1")]))
    assert dataset.class_names == ("1", "9" * 5000)
