import numpy as np
import pytest
from making import pixels

from firstlight.data import load
from firstlight.errors import DataError


def saved(folder, **arrays):
    np.savez_compressed(folder / "set.npz", **arrays)
    return folder / "set.npz"


@pytest.mark.parametrize(("images", "labels"), [("images", "labels"), ("x", "y"), ("train_images", "train_labels")])
def test_one_split(tmp_path, images, labels):
    dataset = load(saved(tmp_path, **{images: pixels(3)[..., 0], labels: np.array([[5], [3], [5]])}))
    train = dataset.splits["train"]
    assert dataset.name == "set"
    np.testing.assert_array_equal(train.pixels, pixels(3))
    assert train.class_names == ("3", "5")
    assert train.labels.tolist() == [1, 0, 1]
    assert train.ids.tolist() == ["train/00000", "train/00001", "train/00002"]
    assert [file.name for file in dataset.files] == ["set.npz"]


@pytest.mark.parametrize("pattern", [("{}_images", "{}_labels"), ("x_{}", "y_{}")])
def test_splits(tmp_path, pattern):
    arrays = {}
    for i, split in enumerate(("train", "val", "test")):
        arrays[pattern[0].format(split)] = pixels(2, channels=3, seed=i)
        arrays[pattern[1].format(split)] = np.array(["c2", "c10"])
    dataset = load(saved(tmp_path, **arrays), size=(8, 8))
    assert set(dataset.splits) == {"train", "validation", "test"}
    assert dataset.class_names == ("c2", "c10")
    assert dataset.shape == (8, 8, 3)
    assert dataset.splits["validation"].ids[0] == "validation/00000"


def test_class_names(tmp_path):
    names = np.array(["zero", "one", "two"])
    dataset = load(saved(tmp_path, images=pixels(2), labels=np.array([2, 0]), class_names=names))
    assert dataset.class_names == ("zero", "one", "two")
    assert dataset.splits["train"].labels.tolist() == [2, 0]


ZERO = np.zeros(2, np.int64)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"a": ZERO, "labels": ZERO}, "it must hold images and labels, .* it holds a, labels"),
        ({}, "it holds nothing"),
        ({"images": pixels(2) / 255, "labels": ZERO}, r"must be uint8 .* received float64 \(2, 4, 5, 1\)"),
        ({"images": pixels(2, channels=2), "labels": ZERO}, r"received uint8 \(2, 4, 5, 2\)"),
        ({"images": pixels(2)[:0], "labels": ZERO}, r"received uint8 \(0, 4, 5, 1\)"),
        ({"images": pixels(3), "labels": ZERO}, "3 train images need as many labels; received 2"),
        ({"images": pixels(2), "labels": np.eye(2)}, r"labels must be integers or strings \(N,\); received float64"),
        ({"images": pixels(2), "labels": ZERO, "class_names": ZERO}, "class_names must be strings"),
        (
            {"images": pixels(2), "labels": ZERO, "class_names": np.array(["a", "b", "a"])},
            r"class_names must be distinct names, at least one; received \['a', 'b', 'a'\]",
        ),
        ({"images": pixels(2), "labels": ZERO, "class_names": np.array([], np.str_)}, r"at least one; received \[\]"),
        (
            {"images": pixels(2), "labels": np.array([0, 7]), "class_names": np.array(["a"])},
            "train has labels that are no class: 7",
        ),
        (
            {"x_train": pixels(2), "y_train": ZERO, "x_test": pixels(2), "y_test": ZERO + 1},
            "test has labels that are no class: 1",
        ),
        (
            {"x_train": pixels(2), "y_train": ZERO, "x_test": pixels(2, channels=3), "y_test": ZERO},
            r"differ in the shape of an image: train \(4, 5, 1\), test \(4, 5, 3\)",
        ),
    ],
)
def test_malformed(tmp_path, arrays, says):
    with pytest.raises(DataError, match=rf"set(\.npz)?: .*{says}"):
        load(saved(tmp_path, **arrays))


def test_nothing_is_unpickled(tmp_path):
    path = saved(tmp_path, images=pixels(2), labels=np.array([{"a": 1}, None], object))
    with pytest.raises(DataError, match=r"not a readable \.npz file of plain arrays"):
        load(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and no more", b"no archive"])
def test_damaged(tmp_path, data):
    (tmp_path / "set.npz").write_bytes(data)
    with pytest.raises(DataError, match=r"not a readable \.npz file of plain arrays"):
        load(tmp_path / "set.npz")


def test_a_single_array_is_not_a_set(tmp_path):
    with (tmp_path / "set.npz").open("wb") as file:
        np.save(file, pixels(2))
    with pytest.raises(DataError, match=r"not a readable \.npz file of plain arrays"):
        load(tmp_path / "set.npz")
