import numpy as np
import pytest
from tests.data.making import pixels

from firstlight.data import formats, load
from firstlight.data.arrays import from_arrays
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
    given = {}
    for i, split in enumerate(("train", "val", "test")):
        given[pattern[0].format(split)] = pixels(2, channels=3, seed=i)
        given[pattern[1].format(split)] = np.array(["c2", "c10"])
    dataset = load(saved(tmp_path, **given), size=(8, 8))
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
    ("given", "says"),
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
            "train has unknown labels: 7",
        ),
        (
            {"x_train": pixels(2), "y_train": ZERO, "x_test": pixels(2), "y_test": ZERO + 1},
            "test has unknown labels: 1",
        ),
        (
            {"x_train": pixels(2), "y_train": ZERO, "x_test": pixels(2, channels=3), "y_test": ZERO},
            r"differ in the shape of an image: train \(4, 5, 1\), test \(4, 5, 3\)",
        ),
    ],
)
def test_malformed(tmp_path, given, says):
    with pytest.raises(DataError, match=rf"set(\.npz)?: .*{says}"):
        load(saved(tmp_path, **given))


@pytest.mark.parametrize(
    ("images", "labels"),
    [("X", "y"), ("data", "target"), ("X_train", "y_train"), ("trainX", "trainY"), ("x_training", "labels_train")],
)
def test_usual_names(tmp_path, images, labels):
    dataset = load(
        saved(tmp_path, **{images: pixels(3), labels: np.array([1, 0, 1]), "X_Test": pixels(1), "y_test": [0]})
    )
    assert {split: im.labels.tolist() for split, im in dataset.splits.items()} == {"train": [1, 0, 1], "test": [0]}
    assert dataset.notes == ()


def test_arrays_that_are_not_used_are_named(tmp_path):
    given = {"x": pixels(2), "y": ZERO, "x_test": pixels(2), "weights": ZERO}
    assert load(saved(tmp_path, **given)).notes == ("Arrays that are not used: weights, x_test.",)


def test_an_empty_split_is_named(tmp_path):
    given = {"x_train": pixels(2), "y_train": ZERO, "x_test": pixels(2)[:0, ..., 0], "y_test": ZERO[:0]}
    with pytest.raises(DataError, match="the test split is empty: x_test holds no images"):
        load(saved(tmp_path, **given))


def test_two_arrays_for_one_purpose(tmp_path):
    with pytest.raises(DataError, match="images and x may both be the images of train"):
        load(saved(tmp_path, images=pixels(2), labels=ZERO, x=pixels(2), y=ZERO))


def test_labels_by_name_with_class_names(tmp_path):
    given = {"images": pixels(2), "labels": np.array(["b", "a"]), "class_names": np.array(["c", "b", "a"])}
    dataset = load(saved(tmp_path, **given))
    assert dataset.class_names == ("c", "b", "a")
    assert dataset.splits["train"].labels.tolist() == [1, 2]


def test_one_class_in_two_forms_of_unicode(tmp_path):
    dataset = load(saved(tmp_path, images=pixels(3), labels=np.array(["caf\u00e9", "cafe\u0301", "tea"])))
    assert dataset.splits["train"].counts.tolist() == [2, 1]
    assert len(dataset.notes) == 1


@pytest.mark.parametrize("names", [["\ud83d", "b"], ["b", "a\udcff"]])
def test_half_of_a_surrogate_pair(tmp_path, names):
    with pytest.raises(DataError):
        load(saved(tmp_path, images=pixels(2), labels=np.array([0, 1]), class_names=np.array(names)))
    with pytest.raises(DataError, match="is not valid Unicode"):
        from_arrays((pixels(2), names))


@pytest.mark.parametrize("at", [0.3, 0.5, 0.7])
def test_a_flipped_byte(tmp_path, at):
    path = saved(tmp_path, images=pixels(40), labels=np.arange(40) % 4)
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 255
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"set\.npz: not a readable \.npz file"):
        load(path)


def test_what_unpacks_to_far_more_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_UNPACKED", 1_000_000)
    path = saved(tmp_path, images=np.zeros((2, 1000, 1000), np.uint8), labels=ZERO)
    with pytest.raises(DataError, match=r"it unpacks to 2\.0 MB; at most 1\.0 MB are read"):
        load(path)
    stored = tmp_path / "stored.npz"  # as large as what it holds: no bomb
    np.savez(stored, images=np.zeros((2, 1000, 1000), np.uint8), labels=[0, 1])
    assert load(stored).shape == (1000, 1000, 1)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (pixels(2) / 255, r"np\.rint\(255 \* images\)\.astype\(np\.uint8\)"),
        (pixels(2) > 9, r"np\.rint\(255 \* images\)\.astype\(np\.uint8\)"),
        (pixels(2).astype(np.int64), r"Give images\.astype\(np\.uint8\)"),
        (pixels(2) / 1.0 - 9, "before they were standardized"),
        (np.moveaxis(pixels(2, channels=3), 3, 1), r"images\.transpose\(0, 2, 3, 1\)"),
        (pixels(2).reshape(2, -1), r"images\.reshape\(-1, H, W\)"),
        (np.repeat(pixels(2), 4, 3), r"images\[\.\.\., :3\]"),
        ([[1], [1, 2]], "no array can be made of it"),
        ("photos", "must be uint8"),
    ],
)
def test_in_memory_what_cannot_be_taken_is_told_how_to_be(images, says):
    with pytest.raises(DataError, match=says):
        from_arrays((images, [0, 1]))


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.eye(2), r"labels\.argmax\(axis=1\)"),
        ([0.0, 1.0], r"labels\.astype\(int\)"),
        ([b"a", b"b"], r"labels\.astype\(str\)"),
        ([0.5, 1.0], "must be integers or strings"),
        (["a", None], "must be integers or strings"),
        ([0], "2 train images need as many labels; received 1"),
    ],
)
def test_in_memory_labels(labels, says):
    with pytest.raises(DataError, match=says):
        from_arrays((pixels(2), labels))


def test_in_memory():
    pair = from_arrays((pixels(3)[..., 0], np.array(["b", "a", "b"], object)))
    assert pair.class_names == ("a", "b")
    assert pair.splits["train"].shape == (4, 5, 1)
    named = load({"x_train": pixels(3), "y_train": [0, 1, 0], "x_test": pixels(1), "y_test": [1]}, size=8)
    assert named.shape == (8, 8, 1)
    assert (named.origin, list(named.splits)) == ("", ["train", "test"])
    for wrong in (3, None, (pixels(2),), (n for n in range(3))):
        with pytest.raises(DataError, match=r"a pair of arrays \(images, labels\)"):
            load(wrong)


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
