"""Evaluations against scikit-learn, and the properties that every evaluation has."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from firstlight.errors import DataError
from firstlight.evaluation import (
    Evaluation,
    confusion_matrix,
    measure,
    most_confident_mistakes,
    most_missed_class,
    top_k_accuracy,
)
from firstlight.types import Array, Predictions


def guess(n: int, classes: int, seed: int = 0, skill: float = 2.0) -> Predictions:
    """Predictions of a model that is right more often than not."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, n)
    logits = draw.normal(size=(n, classes))
    logits[np.arange(n), labels] += skill
    p = np.exp(logits)
    return Predictions(
        np.array([f"test/{i:05d}" for i in range(n)]), labels, (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    )


def names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {k}" for k in range(classes))


predictions = st.builds(
    guess, st.integers(1, 60), st.integers(2, 7), st.integers(0, 999), st.sampled_from([0.0, 2.0, 9.0])
)


def assert_rows_are_true(labels: Array, predicted: Array, confusion: Array) -> None:
    """The checker of a confusion matrix's orientation."""
    classes = len(confusion)
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(labels, minlength=classes))
    np.testing.assert_array_equal(confusion.sum(axis=0), np.bincount(predicted, minlength=classes))


@pytest.mark.parametrize("classes", [2, 3, 10, 30])
def test_equals_scikit_learn(classes: int) -> None:
    p = guess(400, classes, seed=classes)
    evaluation = measure(p, names(classes), loss=0.5)
    np.testing.assert_array_equal(evaluation.confusion, metrics.confusion_matrix(p.labels, p.predicted))
    report = metrics.classification_report(p.labels, p.predicted, output_dict=True, zero_division=0)
    assert evaluation.accuracy == pytest.approx(report["accuracy"])
    for k, score in enumerate(evaluation.classes):
        row = report[str(k)]
        assert (score.precision or 0) == pytest.approx(row["precision"])
        assert score.recall == score.accuracy == pytest.approx(row["recall"])
        assert (score.f1 or 0) == pytest.approx(row["f1-score"])
        assert score.support == row["support"]
    for ours, theirs in ((evaluation.macro, "macro avg"), (evaluation.weighted, "weighted avg")):
        row = report[theirs]
        assert (ours.precision, ours.recall, ours.f1) == pytest.approx(
            (row["precision"], row["recall"], row["f1-score"])
        )
        assert ours.support == row["support"]
    for k, share in evaluation.top_k.items():
        if classes > 2:
            assert share == pytest.approx(metrics.top_k_accuracy_score(p.labels, p.probabilities, k=k))
    assert list(evaluation.top_k) == [k for k in (1, 2, 3, 5) if k < classes]


def test_averages_leave_out_classes_without_images() -> None:
    p = guess(200, 5, skill=0.5)
    p = Predictions(p.ids, p.labels % 4, p.probabilities)
    assert (p.predicted == 4).any()
    evaluation = measure(p, names(5), loss=0.5)
    report = metrics.classification_report(p.labels, p.predicted, labels=range(4), output_dict=True, zero_division=0)
    assert evaluation.macro.precision == pytest.approx(report["macro avg"]["precision"])
    assert evaluation.weighted.f1 == pytest.approx(report["weighted avg"]["f1-score"])
    assert evaluation.classes[4].accuracy is None
    assert evaluation.classes[4].accuracy_interval is None
    assert evaluation.classes[4].precision == 0


@given(predictions)
def test_counts_agree(p: Predictions) -> None:
    classes = p.probabilities.shape[1]
    evaluation = measure(p, names(classes), loss=1.0)
    assert_rows_are_true(p.labels, p.predicted, evaluation.confusion)
    assert [s.support for s in evaluation.classes] == evaluation.confusion.sum(axis=1).tolist()
    assert evaluation.accuracy == np.trace(evaluation.confusion) / len(p) == evaluation.top_k[1]
    assert evaluation.accuracy == pytest.approx(float(p.correct.mean()))
    low, high = evaluation.accuracy_interval
    assert 0 <= low <= evaluation.accuracy <= high <= 1
    assert list(evaluation.top_k.values()) == sorted(evaluation.top_k.values())
    assert 0 <= evaluation.calibration_error <= 1
    assert sum(b.images for b in evaluation.bins) == len(p)


@given(predictions)
def test_order_of_samples_does_not_matter(p: Predictions) -> None:
    order = np.random.default_rng(len(p)).permutation(len(p))
    shuffled = Predictions(p.ids[order], p.labels[order], p.probabilities[order])
    classes = names(p.probabilities.shape[1])
    before, after = measure(p, classes, 1.0).to_json(), measure(shuffled, classes, 1.0).to_json()
    assert before["confusion"] == after["confusion"]
    assert before["classes"] == after["classes"]
    assert before["top_k"] == pytest.approx(after["top_k"])
    assert before["calibration"]["error"] == pytest.approx(after["calibration"]["error"])


@given(predictions)
def test_json_is_finite_and_comes_back(p: Predictions) -> None:
    evaluation = measure(p, names(p.probabilities.shape[1]), loss=0.25)
    written = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert (written["confusion"]["rows"], written["confusion"]["columns"]) == ("true", "predicted")
    assert Evaluation.from_json(written).to_json() == written


def test_a_class_never_predicted_has_no_precision() -> None:
    p = Predictions(np.array(["a", "b"]), np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]], dtype=np.float32))
    score = measure(p, names(2), loss=1.0).to_json()["classes"][1]
    assert score["precision"] is None
    assert score["f1"] == 0
    assert score["recall"] == 0


def test_swapped_matrix_is_rejected_by_the_checker() -> None:
    labels, predicted = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1])
    confusion = confusion_matrix(labels, predicted, classes=2)
    assert_rows_are_true(labels, predicted, confusion)
    with pytest.raises(AssertionError):
        assert_rows_are_true(labels, predicted, confusion.T)


def test_swapped_record_is_refused() -> None:
    record = measure(guess(20, 3), names(3), loss=1.0).to_json()
    record["confusion"] |= {"rows": "predicted", "columns": "true"}
    with pytest.raises(DataError, match="rows"):
        Evaluation.from_json(record)


@pytest.mark.parametrize("record", [{}, {"confusion": None}, {"confusion": {"rows": "true", "columns": "predicted"}}])
def test_a_damaged_record_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(DataError, match="not an evaluation"):
        Evaluation.from_json(record)


def test_equal_probabilities_rank_as_argmax_does() -> None:
    p = Predictions(np.array(["a", "b"]), np.array([0, 2]), np.full((2, 3), 1 / 3, dtype=np.float32))
    assert [top_k_accuracy(p, k) for k in (1, 2, 3)] == [0.5, 0.5, 1.0]


def test_the_class_that_is_missed_most() -> None:
    labels = np.array([0, 0, 0, 0, 2, 2, 3])  # there is none of class 1
    answers = np.array([0, 0, 0, 1, 2, 0, 3])
    probabilities = np.full((7, 4), 0.1, np.float32)
    probabilities[np.arange(7), answers] = 0.7
    p = Predictions(np.arange(7).astype(str), labels, probabilities)
    assert most_missed_class(p) == 2
    assert most_confident_mistakes(p, 9, of=2).tolist() == [5]
    assert most_confident_mistakes(p, 9, of=0).tolist() == [3]
    right = Predictions(p.ids, answers, probabilities)
    assert most_missed_class(right) is None


def test_most_confident_mistakes_come_surest_first() -> None:
    p = guess(300, 4, skill=1.0)
    found = most_confident_mistakes(p, 10)
    assert len(found) == 10
    assert not p.correct[found].any()
    sure = p.confidence[found]
    assert (np.diff(sure) <= 0).all()
    rest = np.setdiff1d(np.flatnonzero(~p.correct), found)
    assert p.confidence[rest].max() <= sure[-1]
    assert len(most_confident_mistakes(guess(50, 3, skill=99), 5)) == 0


def broken(labels: list[int], probabilities: list[list[float]]) -> Predictions:
    ids = np.array([f"image {i}" for i in range(len(labels))])
    return Predictions(ids, np.array(labels, dtype=np.int64), np.array(probabilities, dtype=np.float32).reshape(-1, 2))


@pytest.mark.parametrize(
    ("labels", "probabilities", "loss", "message"),
    [
        ([], [], 1.0, "empty"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], 1.0, r"0\.\.1; received 0\.\.2"),
        ([0, -1], [[0.5, 0.5], [0.5, 0.5]], 1.0, r"received -1\.\.0"),
        ([0, 1], [[0.5, 0.5], [math.nan, 0.5]], 1.0, "image 1 are not finite"),
        ([0, 1], [[0.5, 0.5], [2.0, 0.5]], 1.0, "image 1 are not probabilities.*sum to 2.5"),
        ([0, 1], [[1.5, -0.5], [0.5, 0.5]], 1.0, "smallest is -0.5"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], math.inf, "loss is not finite"),
    ],
)
def test_bad_input_is_named(labels: list[int], probabilities: list[list[float]], loss: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        measure(broken(labels, probabilities), names(2), loss)


def test_columns_must_be_the_classes() -> None:
    with pytest.raises(DataError, match="3 classes need 3 probabilities per image; received 2"):
        measure(broken([0], [[0.5, 0.5]]), names(3), 1.0)
    with pytest.raises(DataError, match="Every label"):
        confusion_matrix(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(DataError, match="Predicted"):
        confusion_matrix(np.array([0, 1]), np.array([0, 2]), 2)
