"""Images and Dataset refuse what does not belong together."""

import pytest
from tests.data.making import images

from firstlight.errors import DataError
from firstlight.types import Dataset


@pytest.mark.parametrize(
    ("class_names", "says"),
    [(("a", "b", "a"), "Classes need names of their own; received 'a' more than once"), ((), "at least one class")],
)
def test_class_names(class_names, says):
    with pytest.raises(DataError, match=says):
        images([0, 0], class_names)


PAIR = images([0, 1])


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        ({}, r"some: the splits are train and, if wanted, validation and test; received none"),
        ({"test": PAIR}, "the splits are train and, .* received test"),
        ({"train": PAIR, "val": PAIR}, "the splits are train and, .* received train, val"),
        ({"train": PAIR, "test": images([])}, "some: the test split has no images"),
        ({"train": images([])}, "some: the train split has no images"),
        (
            {"train": PAIR, "test": images([0, 1], "abd")},
            "the splits differ in their classes: train has a, b, c; test has a, b, d",
        ),
    ],
)
def test_splits(splits, says):
    with pytest.raises(DataError, match=says):
        Dataset("some", splits)
