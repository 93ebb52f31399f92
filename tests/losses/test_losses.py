"""Losses: gradients, stability, what the outputs mean as probabilities, and whether head, labels and loss fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from firstlight.checks import gradients as g
from firstlight.checks import losses as checks
from firstlight.checks.demand import examine
from firstlight.checks.losses import LABELS, ONE_HOT, Case, K, N
from firstlight.errors import ExperimentError, ModelError
from firstlight.layers import (
    GELU,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    Tanh,
)
from firstlight.losses import (
    LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    HalfSquaredError,
    Loss,
    MeanSquaredError,
    SoftmaxBinaryCrossEntropy,
    loss,
)
from firstlight.types import Array

SOFT = checks.TARGETS["soft targets"]
YES_NO = np.array([0, 1, 1, 0, 1, 0])

SMOOTHED = CrossEntropy(label_smoothing=0.1)
BOTH_TERMS = SoftmaxBinaryCrossEntropy()
FOCAL = Focal(1.5)
EVERY = [CrossEntropy(), SMOOTHED, BinaryCrossEntropy(), BOTH_TERMS, MeanSquaredError(), HalfSquaredError(), FOCAL]
CASES = [
    *(Case(each, kind, targets) for each in EVERY for kind, targets in (("labels", LABELS), ("soft targets", SOFT))),
    Case(BinaryCrossEntropy(), "one unit", YES_NO, 1),
    Case(BinaryCrossEntropy(), "one unit, a column each", YES_NO[None], 1),
    Case(BinaryCrossEntropy(), "one unit of two classes", 0.8 * np.eye(2)[:, YES_NO] + 0.1, 1),
]
every_loss = pytest.mark.parametrize("each", EVERY, ids=repr)


def outputs(units: int) -> Array:
    return Case(CrossEntropy(), "", LABELS, units).outputs()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_demand_holds_and_every_fault_is_caught(case: Case) -> None:
    """Those that `fl.check` makes of a user's loss."""
    found = examine("loss", case.loss.name, [case], checks.DEMANDS, checks.FAULTS)
    assert found.failures == ()
    assert {one.demand for one in found.findings if one.passed is None} <= {"one-hot"}
    assert [str(proof) for proof in found.proofs if proof.caught is not True] == []


def test_values_equal_their_formula() -> None:
    y, t = outputs(K), SOFT
    p, s = np.exp(y) / np.exp(y).sum(axis=0), 1 / (1 + np.exp(-y))
    smooth = 0.9 * t + 0.1 / K
    for each, expected in (
        (CrossEntropy(), -(t * np.log(p)).sum(axis=0)),
        (SMOOTHED, -(smooth * np.log(p)).sum(axis=0)),
        (BinaryCrossEntropy(), -(t * np.log(s) + (1 - t) * np.log(1 - s)).mean(axis=0)),
        (BOTH_TERMS, -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(axis=0)),
        (MeanSquaredError(), ((y - t) ** 2).mean(axis=0)),
        (HalfSquaredError(), ((y - t) ** 2).sum(axis=0) / 2),
        (FOCAL, -(t * (1 - p) ** 1.5 * np.log(p)).sum(axis=0)),
    ):
        np.testing.assert_allclose(each.values(y, t), expected, rtol=1e-12)


def test_fused_cross_entropy_equals_softmax_then_logarithm() -> None:
    y = outputs(K)
    p, backward = Softmax().forward({}, y, g.a_pass(training=True))
    unfused, _ = backward(-ONE_HOT / p / N)
    value, fused = CrossEntropy().value_and_gradient(y, LABELS)
    assert unfused is not None
    np.testing.assert_allclose(fused, unfused, rtol=1e-12, atol=1e-15)
    assert value == pytest.approx(-np.log(p[LABELS, np.arange(N)]).mean())


def test_fused_binary_cross_entropy_equals_sigmoid_then_logarithm() -> None:
    y = outputs(1)
    s, backward = Sigmoid().forward({}, y, g.a_pass(training=True))
    unfused, _ = backward((-YES_NO / s + (1 - YES_NO) / (1 - s)) / N)
    assert unfused is not None
    np.testing.assert_allclose(BinaryCrossEntropy().value_and_gradient(y, YES_NO)[1], unfused, rtol=1e-12)


def test_the_second_term_of_an_untrained_net() -> None:
    """Ten classes, all at 0.1: 2.3026 by cross-entropy, and nine times −log 0.9 more."""
    y, labels = np.zeros((10, 3)), np.array([0, 4, 9])
    np.testing.assert_allclose(BOTH_TERMS.values(y, labels), np.log(10) + 9 * np.log(10 / 9), rtol=1e-12)
    assert BOTH_TERMS.values(y, labels)[0] == pytest.approx(3.2508, abs=1e-4)


def test_both_terms_by_the_gradient_of_the_softmax() -> None:
    y = outputs(K)
    p, backward = Softmax().forward({}, y, g.a_pass(training=True))
    unfused, _ = backward((-ONE_HOT / p + (1 - ONE_HOT) / (1 - p)) / N)
    assert unfused is not None
    np.testing.assert_allclose(BOTH_TERMS.value_and_gradient(y, LABELS)[1], unfused, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "each", [CrossEntropy(), SMOOTHED, BinaryCrossEntropy(), BOTH_TERMS, FOCAL, Focal(0.5)], ids=repr
)
def test_huge_logits_stay_finite_and_right_in_float32(each: Loss) -> None:
    y = np.array([[1e4, -1e4, 1e4], [-1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]], np.float32)
    labels = np.array([0, 0, 1])
    value, dy = each.value_and_gradient(y, labels)
    assert math.isfinite(value)
    assert np.isfinite(dy).all()
    np.testing.assert_allclose(each.probabilities(y), np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]]), atol=1e-6)
    if each == CrossEntropy():
        np.testing.assert_allclose(each.values(y, labels), np.array([0, 2e4, math.log(2)]), rtol=1e-6)
    if each == BOTH_TERMS:  # where one class has all, and where it is another's
        np.testing.assert_allclose(each.values(y, labels), [0, 4e4 - math.log(2), 2 * math.log(2)], rtol=1e-6)
        np.testing.assert_allclose(dy[:, 1], np.array([-1.5, 2, -0.5]) / 3, atol=1e-6)
    if each == BinaryCrossEntropy():
        np.testing.assert_allclose(each.values(y, labels), [0, 2e4 / 3, 1e4 / 3], rtol=1e-6)
        no = np.full((3, 1), -1e4, np.float32)
        np.testing.assert_allclose(each.probabilities(no), np.full((1, 3), 1 / 3), rtol=1e-6)


# --- probabilities ----------------------------------------------------------------------------------------------------

some_outputs = arrays(
    np.float32, st.tuples(st.integers(2, 6), st.integers(1, 5)), elements=st.floats(-1e4, 1e4, width=32)
)


@every_loss
@settings(deadline=None)
@given(y=some_outputs)
def test_probabilities_sum_to_one_and_keep_the_largest(each: Loss, y: Array) -> None:
    rows = each.probabilities(y)
    assert rows.dtype == np.float32
    assert rows.shape == y.T.shape
    assert rows.min() >= 0
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(each.predicted(y), y.argmax(axis=0))
    np.testing.assert_array_equal(rows[np.arange(len(rows)), y.argmax(axis=0)], rows.max(axis=1))


def test_one_unit_means_two_classes() -> None:
    y = np.array([[-2.0, 0, 3]])
    s = 1 / (1 + np.exp(-y[0]))
    np.testing.assert_allclose(BinaryCrossEntropy().probabilities(y), np.stack((1 - s, s), axis=1), rtol=1e-6)
    np.testing.assert_array_equal(BinaryCrossEntropy().predicted(y), [0, 0, 1])
    np.testing.assert_array_equal(BinaryCrossEntropy().probabilities(y).argmax(axis=1), [0, 0, 1])


@pytest.mark.parametrize("each", [MeanSquaredError(), HalfSquaredError()], ids=repr)
def test_squared_errors_read_the_outputs_as_class_probabilities(each: Loss) -> None:
    y = np.array([[0.2, -1.0, 0.0, 3e38], [0.6, -0.5, 0.0, 1e38], [-0.3, -2.0, 0.0, 3e38]], np.float32)
    expected = np.array([[0.25, 0.75, 0], [0, 1, 0], [1, 0, 0], [3 / 7, 1 / 7, 3 / 7]])
    np.testing.assert_allclose(each.probabilities(y), expected, rtol=1e-6)


# --- head, labels and loss --------------------------------------------------------------------------------------------

HEAD = Dense(3, name="head")


@pytest.mark.parametrize(
    ("each", "layers", "trained"),
    [
        (CrossEntropy(), (Flatten(), HEAD), (Flatten(), HEAD)),
        (CrossEntropy(), (Flatten(), HEAD, Softmax()), (Flatten(), HEAD)),
        (CrossEntropy(), (Flatten(), Chain((HEAD, Softmax()))), (Flatten(), Chain((HEAD,)))),
        (CrossEntropy(), (Conv2D(3), ReLU(), GlobalAvgPool2D()), (Conv2D(3), ReLU(), GlobalAvgPool2D())),
        (BOTH_TERMS, (Flatten(), HEAD, Softmax()), (Flatten(), HEAD)),
        (BinaryCrossEntropy(), (Flatten(), HEAD, Sigmoid()), (Flatten(), HEAD)),
        (MeanSquaredError(), (Flatten(), HEAD, Sigmoid()), (Flatten(), HEAD, Sigmoid())),
        (HalfSquaredError(), (Flatten(), HEAD, Softmax()), (Flatten(), HEAD, Softmax())),
    ],
)
def test_the_final_activation_that_the_loss_contains_is_left_to_it(
    each: Loss, layers: tuple[Layer, ...], trained: tuple[Layer, ...]
) -> None:
    assert each.check_head(Chain(layers), (1, 4, 4), 3) == Chain(trained)


def test_a_fused_softmax_leaves_the_names_of_all_weights_as_they_were() -> None:
    model = Chain((Flatten(), Dense(5), Chain((ReLU(), Dense(3), Softmax()))))
    trained = CrossEntropy().check_head(model, (1, 2, 2), 3)
    assert dict(g.leaves(trained.parameters((1, 2, 2)))) == dict(g.leaves(model.parameters((1, 2, 2))))


@pytest.mark.parametrize("labels", ["integer", "one-hot"])
def test_two_classes_may_have_two_units_or_one_for_integer_labels(labels: str) -> None:
    one, two = Chain((Flatten(), Dense(1), Sigmoid())), Chain((Flatten(), Dense(2)))
    assert BinaryCrossEntropy().check_head(two, (1, 2, 2), 2, labels) == two
    if labels == "integer":
        assert BinaryCrossEntropy().check_head(one, (1, 2, 2), 2) == Chain((Flatten(), Dense(1)))
    else:
        with pytest.raises(ModelError, match=r"one-hot labels needs \(2,\)"):
            BinaryCrossEntropy().check_head(one, (1, 2, 2), 2, labels)


@pytest.mark.parametrize(
    ("each", "layers", "message"),
    [
        (CrossEntropy(), (Flatten(), Dense(10)), r"layer dense1 \(Dense\).*\(10,\).*3 classes.*\(3,\).*3 units"),
        (CrossEntropy(), (Flatten(), Chain((Dense(10, name="head"),))), r"layer chain1\.head \(Dense\)"),
        (CrossEntropy(), (Conv2D(3),), r"layer conv1 \(Conv2D\).*\(3, 2, 2\).*\(3,\).*Flatten"),
        (CrossEntropy(), (), r"model without layers gives images of shape \(1, 4, 4\)"),
        (CrossEntropy(), (Flatten(), HEAD, ReLU()), r"layer relu1 \(ReLU\) is an activation.*Remove"),
        (CrossEntropy(), (Flatten(), HEAD, GELU()), r"layer gelu1 \(GELU\) is an activation"),
        (CrossEntropy(), (Flatten(), HEAD, Sigmoid()), r"layer sigmoid1 \(Sigmoid\) is an activation"),
        (CrossEntropy(), (Flatten(), HEAD, Softmax(), Softmax()), r"layer softmax1 \(Softmax\) is an activation"),
        (CrossEntropy(), (Flatten(), HEAD, Softmax(), Flatten()), r"layer softmax1 \(Softmax\) is an activation"),
        (CrossEntropy(), (Flatten(), HEAD, Tanh(), Reshape((3,))), r"layer tanh1 \(Tanh\) is an activation"),
        (BinaryCrossEntropy(), (Flatten(), HEAD, Softmax()), r"layer softmax1 .* one Sigmoid may follow"),
        (BinaryCrossEntropy(), (Flatten(), Dense(1), Sigmoid()), r"layer sigmoid1 .*\(1,\).*\(3,\)"),
        (MeanSquaredError(), (Flatten(), Dense(1)), r"\(1,\); mse for 3 classes with integer labels needs \(3,\)"),
        (HalfSquaredError(), (Dropout(0.5),), r"layer dropout1 .*\(1, 4, 4\)"),
    ],
)
def test_a_mismatch_names_the_layer_both_shapes_and_the_remedy(
    each: Loss, layers: tuple[Layer, ...], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        each.check_head(Chain(layers), (1, 4, 4), 3)


def test_unknown_labels_and_targets_of_another_shape_are_errors() -> None:
    with pytest.raises(ModelError, match="labels must be integer or one-hot; received 'soft'"):
        CrossEntropy().check_head(Chain((HEAD,)), (4,), 3, "soft")
    with pytest.raises(ModelError, match=r"Outputs of shape \(4, 6\).*targets of shape \(6, 4\)"):
        MeanSquaredError().values(outputs(K), ONE_HOT.T)


# --- by name ----------------------------------------------------------------------------------------------------------


def test_losses_are_made_by_name() -> None:
    assert {name: type(loss(name)) for name in LOSSES} == LOSSES
    names = ["cross-entropy", "binary-cross-entropy", "softmax-binary-cross-entropy", "mse", "half-mse", "focal"]
    assert sorted(LOSSES) == sorted(names)
    assert [loss(name).name for name in names] == names
    assert loss("cross-entropy", label_smoothing=0.1) == SMOOTHED


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("crossentropy", {}, "'crossentropy' is unknown. Did you mean cross-entropy"),
        ("cross-entropy", {"smoothing": 0.1}, "loss.smoothing: cross-entropy has no such option. .*label_smoothing"),
        ("mse", {"label_smoothing": 0.1}, "loss.label_smoothing: mse has no such option"),
        ("cross-entropy", {"label_smoothing": 1.0}, "label_smoothing must be a number from 0 to below 1; received 1.0"),
        ("cross-entropy", {"label_smoothing": "much"}, "received 'much'"),
        ("focal", {"gamma": -1}, "loss.gamma must be a number from 0 to 10; received -1"),
    ],
)
def test_an_unknown_name_option_or_value_is_an_error(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        loss(name, **options)
