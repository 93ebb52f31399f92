import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.data.making import images, pixels

from firstlight.data import check
from firstlight.types import Dataset, Images


def flat(split, values, labels, class_names=("a", "b")):
    """Images of 2×2 pixels of one grey each: two of them are equal where their values are."""
    grey = np.repeat(np.array(values, np.uint8), 4).reshape(-1, 2, 2, 1)
    ids = np.array([f"{split}/{i}" for i in range(len(values))], dtype=np.str_)
    return Images(grey, np.array(labels, np.int64), ids, class_names)


def test_clean():
    findings = check({"train": flat("train", [1, 2], [0, 1]), "test": flat("test", [3, 4], [0, 1])})
    assert findings.warnings() == []
    assert findings.copies == ()
    assert findings.counts == {"train": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1}}


def test_duplicates_leaks_and_conflicts():
    findings = check(
        {
            "train": flat("train", [1, 1, 2, 3], [0, 0, 0, 1]),
            "validation": flat("validation", [2, 4], [0, 1]),
            "test": flat("test", [1, 3, 3, 4], [0, 0, 1, 1]),
        },
        set_aside={"x.png": "the file is empty"},
    )
    assert {copies.samples for copies in findings.copies} == {
        (("train", "train/0", "a"), ("train", "train/1", "a"), ("test", "test/0", "a")),
        (("train", "train/2", "a"), ("validation", "validation/0", "a")),
        (("train", "train/3", "b"), ("test", "test/1", "a"), ("test", "test/2", "b")),
        (("validation", "validation/1", "b"), ("test", "test/3", "b")),
    }
    assert [copies.conflict for copies in findings.copies] == [False, False, True, False]
    assert findings.within == {"train": 1, "validation": 0, "test": 1}
    assert findings.across == {("train", "validation"): 1, ("train", "test"): 3, ("validation", "test"): 1}
    assert findings.leaked == 5
    assert findings.warnings() == [
        "1 file could not be read and is set aside. (FL102)",
        "5 validation or test images also occur in an earlier split: the leak inflates the accuracy. (FL103)",
        "2 images repeat another image of their split exactly. (FL104)",
        "3 images have an exact copy with another label. (FL105)",
    ]


def test_warnings_in_the_other_number():
    findings = check(
        {"train": flat("train", [1, 1, 2], [0, 0, 1]), "test": flat("test", [2, 3], [1, 0])},
        set_aside={"x.png": "the file is empty", "y.png": "the file is empty"},
    )
    assert findings.warnings() == [
        "2 files could not be read and are set aside. (FL102)",
        "1 validation or test image also occurs in an earlier split: the leak inflates the accuracy. (FL103)",
        "1 image repeats another image of its split exactly. (FL104)",
    ]


def test_classes_without_images():
    names = tuple("abcdefghi")
    splits = {
        "train": flat("train", range(8), range(8), names),
        "validation": flat("validation", range(10, 17), range(1, 8), names),
        "test": flat("test", [20], [8], names),
    }
    findings = check(splits)
    assert findings.missing == {"train": ("i",), "validation": ("a",), "test": tuple("abcdefgh")}
    assert findings.warnings() == [
        "1 class has no images in train and cannot be learned: i. (FL113)",
        "1 class has no images in validation and cannot be measured there: a. (FL113)",
        "8 classes have no images in test and cannot be measured there: a, b, c, d, e and 3 more. (FL113)",
    ]
    assert findings.to_json()["missing_classes"]["validation"] == ["a"]


def test_a_single_class():
    assert check({"train": flat("train", [1, 2], [0, 0], ("only",))}).warnings() == [
        "All images are of a single class, only: a classifier needs two. (FL114)"
    ]


def test_json():
    value = check({"train": flat("train", [1, 1], [0, 1]), "test": flat("test", [1], [0])}).to_json()
    assert value["duplicates_within"] == {"train": 1, "test": 0}
    assert value["duplicates_across"] == {"train-test": 1}
    assert value["conflicting_labels"] == 3
    assert value["missing_classes"] == {"test": ["b"]}
    assert value["copies"] == [
        [
            {"split": "train", "id": "train/0", "class": "a"},
            {"split": "train", "id": "train/1", "class": "b"},
            {"split": "test", "id": "test/0", "class": "a"},
        ]
    ]
    assert value["counts"] == {"train": {"a": 1, "b": 1}, "test": {"a": 1, "b": 0}}
    assert len(value["warnings"]) == 4


def test_a_dataset_brings_the_files_set_aside():
    dataset = Dataset("some", {"train": images([0, 1])}, set_aside={"x.png": "the file is empty"})
    assert check(dataset).set_aside == {"x.png": "the file is empty"}


def test_one_pixel_makes_a_difference():
    array = pixels(1).repeat(2, axis=0)
    array[1, -1, -1, -1] ^= 1
    ids = np.array(["a", "b"])
    assert check({"train": Images(array, np.zeros(2, np.int64), ids, ("a",))}).copies == ()


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_counts_of_copies(train, test):
    findings = check({"train": flat("train", train, [0] * len(train)), "test": flat("test", test, [0] * len(test))})
    assert findings.within == {"train": len(train) - len(set(train)), "test": len(test) - len(set(test))}
    assert findings.leaked == sum(value in train for value in test)


def test_of_seventy_thousand_images_none_is_compared_with_all_others():
    array = np.random.default_rng(0).integers(0, 256, (70_000, 28, 28, 1), dtype=np.uint8)
    big = Images(array, np.zeros(70_000, np.int64), np.arange(70_000).astype(np.str_), ("a",))
    assert not check({"train": big}).copies  # 0.2 s; by pairs it would not end
