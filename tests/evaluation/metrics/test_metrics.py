"""The metrics against scikit-learn's, and those of one's own: what they may be, and what becomes of bad ones."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

import firstlight as fl
from firstlight.evaluation import METRICS, measure
from firstlight.evaluation.metrics import base, in_words, is_percent, scores
from firstlight.types import Array, Predictions


@st.composite
def answers(draw: st.DrawFn) -> tuple[Array, Array]:
    """Labels and probabilities of images; classes may be absent, and probabilities equal."""
    n, classes = draw(st.integers(2, 40)), draw(st.integers(2, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = random.integers(0, draw(st.integers(1, classes)), n)
    parts = random.integers(1, 4, (n, classes)) if draw(st.booleans()) else random.random((n, classes)) + 1e-3
    return labels, (parts / parts.sum(axis=1, keepdims=True)).astype(np.float32)


def one_against_rest(labels: Array, probabilities: Array) -> float:
    there = [k for k in range(probabilities.shape[1]) if 0 < (labels == k).sum() < len(labels)]
    return float(np.mean([theirs.roc_auc_score(labels == k, probabilities[:, k]) for k in there]))


THEIRS: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": lambda y, p: theirs.accuracy_score(y, p.argmax(1)),
    "balanced-accuracy": lambda y, p: theirs.recall_score(
        y, p.argmax(1), average="macro", labels=np.unique(y), zero_division=0
    ),
    "cohen-kappa": lambda y, p: theirs.cohen_kappa_score(y, p.argmax(1)),
    "matthews": lambda y, p: theirs.matthews_corrcoef(y, p.argmax(1)),
    "macro-f1": lambda y, p: theirs.f1_score(y, p.argmax(1), average="macro", labels=np.unique(y), zero_division=0),
    "macro-auc": one_against_rest,
}


@pytest.mark.parametrize("name", THEIRS)
@settings(max_examples=25, deadline=None)
@given(answers())
def test_they_are_those_of_scikit_learn(name: str, drawn: tuple[Array, Array]) -> None:
    labels, probabilities = drawn
    if len(np.unique(labels)) < 2:
        return
    assert METRICS[name].value(labels, probabilities) == pytest.approx(THEIRS[name](labels, probabilities), abs=1e-6)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.of_counts is not None])
@settings(max_examples=15, deadline=None)
@given(answers())
def test_of_many_confusion_matrices_at_once_they_are_those_of_each(name: str, drawn: tuple[Array, Array]) -> None:
    of_counts = METRICS[name].of_counts
    assert of_counts is not None
    counts = base.confusion(*drawn)
    with np.errstate(all="ignore"):
        several = of_counts(np.stack([counts, counts.T + 1]))
        np.testing.assert_allclose(several, [of_counts(counts), of_counts(counts.T + 1)], equal_nan=True)


def test_all_of_ours_are_compared_or_measured_elsewhere() -> None:
    assert set(METRICS) == {*THEIRS, "calibration-error"}
    assert all(METRICS.is_ours(name) and METRICS.summary(name).endswith((".", ":")) for name in METRICS)


def test_the_calibration_error_is_that_of_the_evaluation() -> None:
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(3), 50).astype(np.float32)
    found = measure(Predictions(np.arange(50).astype(str), random.integers(0, 3, 50), p), ("a", "b", "c"), 1.0, METRICS)
    assert found.metrics["calibration-error"] == found.calibration_error
    assert found.metrics["accuracy"] == found.accuracy
    assert found.metrics["macro-f1"] == pytest.approx(found.macro.f1)
    again = fl.Evaluation.from_json(found.to_json())
    assert again.scores == found.scores


def test_where_all_are_of_one_class_some_have_no_number() -> None:
    labels, p = np.zeros(5, np.int64), np.tile(np.array([0.75, 0.25], np.float32), (5, 1))
    found = {score.name: score for score in scores(METRICS, labels, p, interval=True)}
    assert found["macro-auc"].value is None
    assert "all images are of one class" in found["macro-auc"].trouble
    assert found["cohen-kappa"].value is None
    assert found["balanced-accuracy"].value == 1
    assert found["balanced-accuracy"].interval is None, "no resample is another"
    assert found["matthews"].value == 0


def test_an_interval_holds_the_number_of_all_images_about_as_often_as_it_says() -> None:
    """Of draws of 150 images from a known confusion matrix."""
    shares = np.array([[0.5, 0.1, 0.05], [0.05, 0.15, 0.0], [0.02, 0.03, 0.1]])
    of_counts = METRICS["balanced-accuracy"].of_counts
    assert of_counts is not None
    true = float(of_counts(shares * 1000))
    drawn = np.random.default_rng(1).multinomial(150, shares.ravel(), 60).reshape(-1, 3, 3)
    held = [base.bootstrap_of_counts(counts, of_counts) for counts in drawn]
    assert np.mean([low <= true <= high for low, high in filter(None, held)]) == pytest.approx(0.95, abs=0.05)


# --- one's own ----------------------------------------------------------------------------------------------------


def test_a_function_with_a_docstring_is_a_metric() -> None:
    with METRICS.restored():

        @fl.metric
        def sure_share(labels: Array, probabilities: Array) -> float:
            """The share of answers given with more than half."""
            return float((probabilities.max(axis=1) > 0.5).mean())

        @fl.metric(name="worst", title="worst recall", percent=True, higher_is_better=False)
        def another(labels: Array, probabilities: Array) -> Any:
            """One number."""
            return np.array(0.25)

        assert sure_share(np.array([0]), np.array([[0.9, 0.1]], np.float32)) == 1
        assert METRICS["sure-share"].about == "The share of answers given with more than half."
        assert (in_words("val_sure-share"), is_percent("val_worst")) == ("validation sure share", True)
        assert in_words("val_worst") == "validation worst recall"
        assert not METRICS.is_ours("worst")
        assert METRICS["worst"].value(np.array([0]), np.array([[0.9, 0.1]], np.float32)) == 0.25
    assert "worst" not in METRICS


def undocumented(labels: Array, probabilities: Array) -> float:
    return 0.0


def three(labels: Array, probabilities: Array, third: int) -> float:
    """Too many."""
    return 0.0


def accuracy(labels: Array, probabilities: Array) -> float:
    """Ours already."""
    return 0.0


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (undocumented, "a metric needs a docstring"),
        (three, r"three: a metric is a function \(labels, probabilities\) -> number; received .*third"),
        (accuracy, "accuracy is measured anyway"),
        (3, "3: a metric is a function"),
    ],
)
def test_what_is_no_metric_is_refused(function: Any, told: str) -> None:
    with METRICS.restored(), pytest.raises(fl.ExperimentError, match=told):
        METRICS.register(function)


@pytest.mark.parametrize(
    ("gives", "told"),
    [
        (lambda y, p: 1 / 0, "it raised ZeroDivisionError: division by zero"),
        (lambda y, p: math.nan, "it returned nan, which is not a finite number"),
        (lambda y, p: -math.inf, "it returned -inf, which is not a finite number"),
        (lambda y, p: p[0], "it must return a number; it returned array"),
        (lambda y, p: "0.5", "it must return a number; it returned 0.5"),
        (lambda y, p: None, "it must return a number; it returned None"),
        (lambda y, p: True, "it must return a number; it returned True"),
        (lambda y, p: p.sort(), "it raised ValueError: .*read-only"),
    ],
)
def test_what_gives_no_number_says_why(gives: Any, told: str) -> None:
    gives.__doc__ = "A metric of a test."
    with METRICS.restored():
        METRICS.register(name="odd")(gives)
        (score,) = scores(["odd"], np.array([0, 1]), np.array([[0.9, 0.1], [0.1, 0.9]], np.float32))
    assert score.value is None
    assert re.match(told, score.trouble)


def test_of_one_that_is_not_loaded_nothing_is_said() -> None:
    (score,) = scores(["of-a-plugin"], np.array([0]), np.array([[1, 0]], np.float32))
    assert (score.value, score.trouble) == (None, "its definition was not loaded")


@pytest.mark.parametrize("returned", [10**400, SystemExit(3)], ids=["huge", "exit"])
def test_what_is_no_number_of_float64_is_told(returned: Any) -> None:
    def odd(labels: Array, probabilities: Array) -> Any:
        """A metric."""
        if isinstance(returned, BaseException):
            raise returned
        return returned

    score = base.Metric("odd", odd, "odd", "").score(np.array([0, 1]), np.eye(2, dtype=np.float32))
    assert score.value is None
    assert score.trouble


@pytest.mark.parametrize(
    "of_counts",
    [lambda c: 1 / 0, lambda c: 0.5, lambda c: c.sum(axis=-1)],
    ids=["raises", "one number", "many numbers"],
)
def test_without_counts_that_work_the_number_stands_alone(of_counts: base.OfCounts) -> None:
    def half(labels: Array, probabilities: Array) -> float:
        """A metric."""
        return 0.5

    metric = base.Metric("half", half, "half", "", of_counts=of_counts)
    labels, probabilities = np.array([0, 1, 1]), np.eye(2, dtype=np.float32)[[0, 1, 0]]
    with pytest.raises(fl.FirstlightError, match="of_counts"):
        metric.interval(labels, probabilities)
    score = metric.score(labels, probabilities, interval=True)
    assert (score.value, score.interval, score.trouble) == (0.5, None, "")
