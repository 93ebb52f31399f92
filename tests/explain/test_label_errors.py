"""Suspected label errors: labels that were made wrong on purpose are found again."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from firstlight.errors import DataError
from firstlight.explain.label_errors import find_label_issues
from firstlight.explain.neighbours import nearest_others
from firstlight.randomness import generator
from firstlight.types import Array, Predictions


def predictions(labels: list[int], rows: list[list[float]]) -> Predictions:
    ids = np.array([f"test/{i}" for i in range(len(labels))])
    return Predictions(ids, np.array(labels, np.int64), np.array(rows, np.float32))


def test_thresholds_are_those_of_the_paper() -> None:
    # Mean self-confidence: class 0: (0.9 + 0.8 + 0.1) / 3 = 0.6; class 1: (0.6 + 0.5 + 0.4 + 0.45) / 4 = 0.4875.
    p = [0.9, 0.8, 0.1, 0.4, 0.5, 0.6, 0.55]
    found = find_label_issues(predictions([0, 0, 0, 1, 1, 1, 1], [[q, 1 - q] for q in p]))
    # 2 reaches the threshold of class 1 by far. 5 has 0.6 for class 0, just its threshold. 6 stays below it.
    assert [(d.index, d.given, d.suggested) for d in found] == [(2, 0, 1), (5, 1, 0)]
    assert [d.margin for d in found] == pytest.approx([0.8, 0.2], abs=1e-6)
    assert found[0].neighbours_agree is None


def test_a_class_without_images_is_never_suggested() -> None:
    found = find_label_issues(predictions([0, 0, 1, 1], [[0.9, 0.1, 0], [0.1, 0, 0.9], [0, 0.9, 0.1], [0, 0.8, 0.2]]))
    assert not found


def test_the_second_witness_goes_first() -> None:
    rows = [[0.9, 0.1], [0.9, 0.1], [0.05, 0.95], [0.1, 0.9], [0.1, 0.9]]
    asked = predictions([0, 0, 0, 0, 1], rows)
    neighbours = np.array([[0, 0], [0, 0], [0, 0], [1, 1], [1, 1]])
    found = find_label_issues(asked, neighbours)
    assert [d.index for d in find_label_issues(asked)] == [2, 3]
    assert [(d.index, d.neighbours_agree, d.seconded) for d in found] == [(3, 1.0, True), (2, 0.0, False)]
    with pytest.raises(DataError, match="5 predictions need a row of neighbours' labels each"):
        find_label_issues(asked, neighbours[:3])


def test_what_both_are_sure_of_goes_before_what_looks_like_no_class() -> None:
    rows = [[0.06, 0.94, 0], [0.0005, 0.34, 0.6595], [0.5, 0.45, 0.05], [0.9, 0.1, 0]]
    neighbours = np.array([[1] * 10, [1] * 5 + [2] * 5, [0] * 2 + [1] * 8, [0] * 10])
    found = find_label_issues(predictions([0, 0, 0, 0], rows), neighbours)
    # 1 has the greater odds; 0 is the one that both know. Of 2, the neighbours say more than the net.
    assert [(d.index, d.suggested) for d in found] == [(0, 1), (1, 2), (2, 1)]
    assert found[1].score > found[0].score > found[2].score > 0
    odds = np.log((0.94 + 1e-3) / (0.06 + 1e-3)) + np.log((10 + 0.5) / 0.5)
    assert found[0].score == pytest.approx(odds, abs=1e-5)


def test_rows_without_neighbours_are_left_out() -> None:
    asked = predictions([0, 0], [[0.1, 0.9], [0.1, 0.9]])
    assert [d.index for d in find_label_issues(asked, np.array([[-1, -1], [1, 1]]))] == [1]


@pytest.fixture(scope="module")
def spoilt() -> tuple[Predictions, Array, Array]:
    """Digits with one label of twenty wrong, answered out of sample; which are wrong; and their neighbours' labels."""
    digits = load_digits()
    x, labels = digits.data / 16, digits.target.astype(np.int64)
    draw = generator(0)
    wrong = np.sort(draw.permutation(len(x))[: len(x) // 20])
    labels[wrong] = (labels[wrong] + draw.integers(1, 10, len(wrong))) % 10
    p = cross_val_predict(LogisticRegression(max_iter=300), x, labels, cv=3, method="predict_proba")
    neighbours = labels[nearest_others(x, np.arange(len(x)), 10).indices]
    return Predictions(np.arange(len(x)).astype(str), labels, p.astype(np.float32)), wrong, neighbours


def found_again(asked: Predictions, wrong: Array, neighbours: Array | None, top: int = 60) -> float:
    """The share of the `top` first doubts that are of spoilt labels."""
    return float(np.isin([d.index for d in find_label_issues(asked, neighbours)][:top], wrong).mean())


def test_spoilt_labels_are_found_again(spoilt: tuple[Predictions, Array, Array]) -> None:
    asked, wrong, neighbours = spoilt
    assert found_again(asked, wrong, None) > 0.85  # by chance 0.05
    assert found_again(asked, wrong, neighbours) > 0.95
    doubts = find_label_issues(asked, neighbours)
    recall = np.isin(wrong, [d.index for d in doubts]).mean()
    assert recall > 0.9
    truth = load_digits().target
    assert np.mean([truth[d.index] == d.suggested for d in doubts[:60]]) > 0.95


def test_answers_of_other_images_find_nothing(spoilt: tuple[Predictions, Array, Array]) -> None:
    asked, wrong, neighbours = spoilt
    order = generator(1).permutation(len(asked))
    shuffled = Predictions(asked.ids, asked.labels, asked.probabilities[order])
    assert found_again(shuffled, wrong, None) < 0.2
    assert found_again(shuffled, wrong, neighbours[order]) < 0.2
