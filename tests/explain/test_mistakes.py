"""The most confident mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from firstlight.errors import DataError
from firstlight.explain import confident_mistakes
from firstlight.types import Predictions

NAMES = ("cat", "dog", "fox")


@pytest.fixture
def answered() -> Predictions:
    ids = np.array([f"test/{i}" for i in range(7)])
    p = [
        [0.9, 0.1, 0.0],
        [0.2, 0.8, 0.0],  # a cat for a dog
        [0.0, 0.9, 0.1],  # a cat for a dog, surer
        [0.4, 0.0, 0.6],  # a dog for a fox
        [0.0, 1.0, 0.0],
        [0.7, 0.0, 0.3],  # a fox for a cat
        [0.1, 0.1, 0.8],
    ]
    return Predictions(ids, np.array([0, 0, 0, 1, 1, 2, 2]), np.array(p, np.float32))


def test_mistakes_by_confidence_and_class(answered: Predictions) -> None:
    assert confident_mistakes(answered, NAMES).tolist() == [2, 1, 5, 3]
    assert confident_mistakes(answered, NAMES, count=2).tolist() == [2, 1]
    assert confident_mistakes(answered, NAMES, true="dog").tolist() == [3]
    assert confident_mistakes(answered, NAMES, predicted="dog").tolist() == [2, 1]
    assert confident_mistakes(answered, NAMES, true="fox", predicted="cat").tolist() == [5]
    assert confident_mistakes(answered, NAMES, true="fox", predicted="dog").tolist() == []


def test_names_are_checked(answered: Predictions) -> None:
    with pytest.raises(DataError, match=r"no class called 'Dog'\. Did you mean dog"):
        confident_mistakes(answered, NAMES, true="Dog")
    with pytest.raises(DataError, match=r"no class called 'zebra'\. Known: cat, dog, fox"):
        confident_mistakes(answered, NAMES, predicted="zebra")
    with pytest.raises(DataError, match="cat that is predicted as cat is not a mistake"):
        confident_mistakes(answered, NAMES, true="cat", predicted="cat")
