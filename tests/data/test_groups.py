"""Which images belong together, told by a column, an array, a folder or a pattern; and splits that divide no group."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.making import images, pixels, random_image, write_image

from firstlight.data import check, group_by_name, groups, load, pooled, split
from firstlight.data.groups import GroupCounts
from firstlight.data.stratification import Balance
from firstlight.errors import DataError
from firstlight.types import Dataset

PATIENTS = 8


def named(ids, labels=None, **others):
    return Dataset("some", {"train": images(labels or [0, 1] * (len(ids) // 2), "ab", ids=ids), **others})


def held_groups(images):
    return set(images.groups)


def groups_of(dataset, name="train"):
    return dataset.splits[name].groups.tolist()


# --- by name


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (r"(.+)_\d+\.png", ["p1", "p1", "p2", "p2"]),
        (r"^(p\d)", ["p1", "p1", "p2", "p2"]),
        (r"_(\d)", ["1", "2", "1", "2"]),
        ("^([^/]+)/", ["a", "b", "a", "b"]),
        (r"/(?:p)(\d)", ["1", "1", "2", "2"]),
        ("parent", ["a", "b", "a", "b"]),
    ],
)
def test_a_pattern_without_a_slash_is_of_the_file_name_and_one_with_it_of_the_path(key, expected):
    ids = ["a/p1_1.png", "b/p1_2.png", "a/p2_1.png", "b/p2_2.png"]
    found = group_by_name(named(ids, [0, 1, 1, 0]), key)
    assert groups_of(found) == expected
    assert found.group == key
    assert found.grouped_by


def test_the_folder_of_a_split_is_no_part_of_the_path():
    test = images([0, 1], "ab", ids=["Test/a/v1_3.png", "Test/b/v2_3.png"])
    some = Dataset(
        "some",
        {
            "train": images(
                [0, 1, 0, 1], "ab", ids=[f"train/{name}_1.png" for name in ("a/v1", "b/v2", "a/v3", "b/v4")]
            ),
            "test": test,
        },
    )
    found = group_by_name(some, r"(.+/.+)_\d+\.png")
    assert groups_of(found) == ["a/v1", "b/v2", "a/v3", "b/v4"]
    assert groups_of(found, "test") == ["a/v1", "b/v2"]
    with pytest.raises(DataError, match=r"2 of 4 groups are both in train and in test.*a/v1.*data\.pool = true"):
        split(found)
    divided = check(found).groups
    assert divided is not None
    assert divided.divided[("train", "test")] == 2
    assert any("2 groups are both in train and in test" in line for line in check(found).warnings())
    counts = GroupCounts.of(split(pooled(found), validation=0, test=0.4))
    assert counts is not None
    assert counts.divided == {("train", "test"): 0}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("patient", "neither columns nor arrays"),
        ("(x", "not a regular expression: missing"),
        ("(?:x)", "no part in parentheses"),
        (r"(x)\.png", r"4 of 4 images do not match the pattern, such as a/p1_1.png.*no /"),
        (r"(p1)_", r"2 of 4 images do not match the pattern, such as a/p2_1.png and b/p2_2.png"),
        ("z?()", "4 of 4 images do not match"),
        ("^([ab])/", "the groups are the classes"),
        ("(p)", "all 4 images are one group, 'p'"),
    ],
)
def test_a_key_that_tells_no_groups_is_refused_with_what_to_do(key, words):
    with pytest.raises(DataError, match=words):
        group_by_name(named(["a/p1_1.png", "b/p1_2.png", "a/p2_1.png", "b/p2_2.png"]), key)


def test_images_in_no_folder_have_no_parent():
    with pytest.raises(DataError, match=r"2 of 2 images lie in no folder, such as x\.png"):
        group_by_name(named(["x.png", "y.png"]), "parent")


def test_a_pattern_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(groups, "SECONDS", 0.3)
    with pytest.raises(DataError, match=r"stopped after 0\.3 s.*\(a\+\)\+"):
        group_by_name(named(["a" * 40 + ".png", "b.png"]), r"^((a+)+)$")


# --- read with the images


def folder(root, frames=3):
    for name, videos in {"run": 4, "walk": 4}.items():
        for video in range(videos):
            for frame in range(frames):
                path = root / name / f"video{video}" / f"{frame}.png"
                write_image(path, random_image(hash((name, video, frame)) % 1000))
    return root


def test_folders_below_those_of_the_classes_are_groups_where_that_is_asked_for(tmp_path):
    root = folder(tmp_path)
    with pytest.raises(DataError, match=r'directly in their class folder.*data\.group = "parent"'):
        load(root)
    found = load(root, group="parent")
    assert found.class_names == ("run", "walk")
    assert len(found.splits["train"]) == 24
    assert set(groups_of(found)) == {"video0", "video1", "video2", "video3"}
    assert len(set(groups_of(load(root, group="^([^/]+/[^/]+)/")))) == 8


def test_parent_wants_every_image_one_folder_below_its_class(tmp_path):
    root = folder(tmp_path)
    write_image(root / "run" / "stray.png", random_image(1))
    with pytest.raises(DataError, match=r"1 images lie directly in .*run, such as stray\.png"):
        load(root, group="parent")
    (root / "run" / "stray.png").unlink()
    write_image(root / "run" / "video0" / "deep" / "1.png", random_image(1))
    with pytest.raises(DataError, match=r"deeper than data\.group"):
        load(root, group="parent")
    assert len(load(root, group="^[^/]+/([^/]+)/").splits["train"]) == 25


def table(root, header, rows):
    for i in range(len(rows)):
        write_image(root / "images" / f"{i}.png", random_image(i))
    lines = [",".join(map(str, row)) for row in ([header, *rows])]
    (root / "list.csv").write_text("\n".join(lines))
    return root / "list.csv"


def test_a_column_of_a_csv(tmp_path):
    rows = [(f"images/{i}.png", "ab"[i % 2], f"P{i // 2}") for i in range(8)]
    path = table(tmp_path, ("path", "label", "Patient ID"), rows)
    for key in ("Patient ID", "patient_id"):
        found = load(path, group=key)
        assert groups_of(found) == ["P0", "P0", "P1", "P1", "P2", "P2", "P3", "P3"]
        assert not found.notes
    assert "Patient ID" in load(path).notes[0]
    assert load(path).splits["train"].groups is None
    assert set(groups_of(load(path, group=r"(\d)\.png"))) == set("01234567")
    with pytest.raises(DataError, match=r"no column of that name\. Did you mean Patient ID"):
        load(path, group="patientid2")
    with pytest.raises(DataError, match="'label' is the column that holds the classes"):
        load(path, group="label")


def test_a_column_called_parent_is_the_column(tmp_path):
    path = table(tmp_path, ("path", "label", "parent"), [(f"images/{i}.png", "ab"[i % 2], i // 2) for i in range(4)])
    assert groups_of(load(path, group="parent")) == ["0", "0", "1", "1"]


@pytest.mark.parametrize("cell", ["", "nan"])
def test_an_image_without_a_group_is_told_by_its_line(tmp_path, cell):
    path = table(tmp_path, ("path", "label", "who"), [("images/0.png", "a", "x"), ("images/1.png", "b", cell)])
    with pytest.raises(DataError, match=r"line 3: the group .*the column who.*of its own"):
        load(path, group="who")


def arrays(**others):
    return {"images": pixels(6), "labels": np.array([0, 1] * 3), "patient": np.array([1, 1, 2, 2, 3, 3]), **others}


def test_an_array_of_an_npz_of_a_mapping_or_beside_a_pair(tmp_path):
    np.savez(tmp_path / "x.npz", **arrays())
    for found in (
        load(tmp_path / "x.npz", group="patient"),
        load(arrays(), group="patient"),
        load((pixels(6), [0, 1] * 3), group=[1, 1, 2, 2, 3, 3]),
        load(arrays(patient=np.array([["1"], ["1"], ["2"], ["2"], ["3"], ["3"]])), group="patient"),
    ):
        assert groups_of(found) == ["1", "1", "2", "2", "3", "3"]
    assert not load(arrays(), group="patient").notes


def test_splits_in_arrays_have_groups_of_their_own():
    given = {
        **{"x_train": pixels(6), "y_train": [0, 1] * 3, "x_test": pixels(2), "y_test": [0, 1]},
        **{"patient_train": [1, 1, 2, 2, 3, 3], "testPatient": [4, 4]},
    }
    found = load(given, group="patient")
    assert (groups_of(found)[-1], groups_of(found, "test")) == ("3", ["4", "4"])
    del given["testPatient"]
    with pytest.raises(DataError, match="no array patient_test tells their groups"):
        load(given, group="patient")


@pytest.mark.parametrize(
    ("given", "group", "words"),
    [
        (arrays(), "patients", "no array of that name.*Did you mean patient"),
        (arrays(), "(a)", "no array of that name, and arrays have no paths"),
        (arrays(), "labels", "an array of images or labels"),
        (arrays(patient=np.array([1.0, 2, 3, 4, 5, 6])), "patient", "integers or strings.*float64.*They are whole"),
        (arrays(patient=np.array([1, 2])), "patient", "6 train images need as many groups; patient has 2"),
        (arrays(patient=np.array(["a", "", "a", "b", "c", ""])), "patient", "2 images have no group, the first at 1"),
        (arrays(patient=np.array(["\ud800", *"abcde"])), "patient", "not valid Unicode"),
        (arrays(), [1, 2, 3, 4, 5, 6], "name of one of them"),
        ("digits", "patient", "it is not known which images of digits"),
        ("digits", "", "data.group is empty"),
    ],
)
def test_arrays_that_are_no_groups_are_refused(given, group, words):
    with pytest.raises(DataError, match=words):
        load(given, group=group)


# --- splits


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 20), min_size=18, max_size=40),
    seed=st.integers(0, 1000),
    limit=st.one_of(st.none(), st.integers(3, 60)),
    mixed=st.booleans(),
)
def test_no_group_is_in_two_splits_and_every_split_has_every_class(sizes, seed, limit, mixed):
    group = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.random.default_rng(seed).integers(0, 3, len(group)) if mixed else group % 3
    labels[[0, -1]] = [0, 2] if mixed else labels[[0, -1]]
    if len(set(labels)) < 3 or min(len(set(group[labels == k])) for k in range(3)) < 5:
        return
    some = replace(images(labels), groups=group.astype(np.str_))
    data = Dataset("some", {"train": some})
    parts = split(data, validation=0.2, test=0.2, seed=seed, limit=limit)
    held = [held_groups(part) for part in parts.values()]
    assert len(set.union(*held)) == sum(map(len, held))
    assert all((part.counts > 0).all() for part in parts.values())
    if limit is None:
        assert sum(map(len, parts.values())) == len(some)
    else:
        assert len(parts["train"]) <= limit
    again = split(data, validation=0.2, test=0.2, seed=seed, limit=limit)
    assert all(again[name].ids.tolist() == part.ids.tolist() for name, part in parts.items())
    other = split(data, validation=0.1, test=0.2, seed=seed)
    assert other["test"].ids.tolist() == parts["test"].ids.tolist()


def test_a_group_of_a_class_that_is_not_used_may_be_on_both_sides():
    labels = np.array([0, 1, 2] * 10)
    some = replace(images(labels), groups=(np.arange(30) // 3 % 5).astype(np.str_))
    other = replace(images([2, 0, 1], ids=["x", "y", "z"]), groups=np.array(["1", "new", "newer"]))
    data = Dataset("some", {"train": some, "test": other})
    with pytest.raises(DataError, match="1 of 7 groups are both"):
        split(data)
    assert split(data, classes=["a", "b"])["test"] is other


def test_groups_of_one_image_each_give_the_fractions_exactly():
    some = replace(images([0, 1] * 50, "ab"), groups=np.arange(100).astype(np.str_))
    parts = split(Dataset("some", {"train": some}), validation=0.1, test=0.2)
    assert {name: part.counts.tolist() for name, part in parts.items()} == {
        "train": [35, 35],
        "validation": [5, 5],
        "test": [10, 10],
    }


def test_a_class_in_too_few_groups_is_refused():
    some = replace(images([0, 0, 0, 1, 1, 1, 0, 0], "ab"), groups=np.array([*"aabbccdd"]))
    with pytest.raises(DataError, match=r"class 'b' in \w+: it is in 2 groups .*needs 3.*data\.validation = 0"):
        split(Dataset("some", {"train": some}))
    assert len(split(Dataset("some", {"train": some}), validation=0)["test"])


def test_balance_says_what_each_split_has():
    some = replace(images([0] * 30 + [1] * 10, "ab"), groups=np.repeat([*"abcdefgh"], 5))
    parts = split(Dataset("some", {"train": some}), validation=0, test=0.25)
    balance = Balance.of(some, {name: part.counts.tolist() for name, part in parts.items()}, {"test": 0.25})
    assert balance.images["test"] == len(parts["test"]) / 40
    assert balance.classes["test"]["b"] == 0.5
    assert balance.warnings()
    assert "50.0% of b" in balance.said("test")


@pytest.mark.parametrize(
    ("names", "words"),
    [([*"aaaabc"], "'a' has 4 of 6 images"), ([*"abcdef"], "has a single image, so nothing is kept together")],
)
def test_groups_that_keep_nothing_or_everything_together_are_warned_of(names, words):
    some = replace(images([0, 1] * 3, "ab"), groups=np.array(names))
    assert any(words in line for line in check({"train": some}).warnings())
    even = replace(images([0, 1] * 3, "ab"), groups=np.array([*"aabbcc"]))
    assert not check({"train": even}).warnings() or check({"train": images([0, 1] * 3, "ab")}).warnings()
