"""`fl.Classifier` as scikit-learn's estimator: its own checks, searches, cross-validation, pipelines, pickles."""

from __future__ import annotations

import os
import pickle
import re
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import RandomizedSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import firstlight as fl
from firstlight.layers import Dense, Flatten
from firstlight.types import Array, Dataset

DENSE = "mlp-128"
CHECKED = fl.Classifier(DENSE, epochs=15, batch_size=16, lr=3e-3)
# Each must hold; the two that scikit-learn skips here say what they would need (pandas, SCIPY_ARRAY_API).
CHECKS = list(estimator_checks_generator(CHECKED))


@pytest.fixture(scope="module")
def pixels(digits: Dataset) -> Array:
    """uint8 (400, 8, 8, 1)"""
    return digits.splits["train"].pixels[:400]


@pytest.fixture(scope="module")
def labels(digits: Dataset) -> Array:
    return digits.splits["train"].labels[:400]


@pytest.fixture(scope="module")
def fitted(pixels: Array, labels: Array) -> fl.Classifier:
    return fl.Classifier(DENSE, epochs=5).fit(pixels, labels)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("check", [check for _, check in CHECKS], ids=lambda check: str(check.func.__name__))
def test_scikit_learns_own_check(check: Any) -> None:
    check(clone(CHECKED))


def test_all_of_scikit_learns_checks_of_classifiers_are_made() -> None:
    names = {check.func.__name__ for _, check in CHECKS}
    assert len(CHECKS) > 50
    assert names >= {
        "check_classifiers_train",
        "check_estimators_pickle",
        "check_fit_idempotent",
        "check_n_features_in",
    }


def test_cross_validation(pixels: Array, labels: Array) -> None:
    scores = cross_val_score(fl.Classifier(DENSE, epochs=8, lr=3e-3), pixels, labels, cv=3)
    assert scores.mean() > 0.85
    assert (scores == cross_val_score(fl.Classifier(DENSE, epochs=8, lr=3e-3), pixels, labels, cv=3)).all()
    probabilities = cross_val_predict(fl.Classifier(DENSE), pixels, labels, cv=3, method="predict_proba")
    assert log_loss(labels, probabilities) < 1


def test_a_search_over_rates_batches_models_and_settings(pixels: Array, labels: Array) -> None:
    choices = {
        "lr": np.logspace(-3, -2, 4),  # its numbers are NumPy's
        "batch_size": np.array([16, 32, 64]),
        "model": [DENSE, fl.models.softmax_regression((8, 8, 1), 10), [Flatten(), Dense(10, name="head")]],
        "optimizer": ["adam", fl.optimizers.SGD(momentum=0.9)],
        "settings": [None, {"prepare.standardise": "channel"}, {"penalty.l2": np.float64(1e-4)}],
    }
    search = RandomizedSearchCV(
        fl.Classifier(epochs=4), choices, n_iter=8, cv=2, random_state=0, error_score="raise", n_jobs=1
    ).fit(pixels, labels)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"]) > 0.8
    assert len(set(search.cv_results_["mean_test_score"])) > 4
    again = fl.Classifier(epochs=4).set_params(**search.best_params_).fit(pixels, labels)
    assert (again.predict_proba(pixels) == search.predict_proba(pixels)).all()


@pytest.mark.slow
def test_a_search_in_two_processes(pixels: Array, labels: Array) -> None:
    """The workers have a thread each; sums of two threads differ from those of one in their last bits."""
    choices = {"lr": [1e-4, 1e-3, 1e-2]}
    one, two = (
        RandomizedSearchCV(
            fl.Classifier(DENSE, epochs=2), choices, n_iter=3, cv=2, random_state=0, error_score="raise", n_jobs=jobs
        ).fit(pixels, labels)
        for jobs in (1, 2)
    )
    assert one.best_params_ == two.best_params_
    difference = one.cv_results_["mean_test_score"] - two.cv_results_["mean_test_score"]
    assert np.abs(difference).max() <= 0.01


def test_in_pipelines(pixels: Array, labels: Array) -> None:
    rows = pixels.reshape(len(pixels), 64).astype(float)
    dense = make_pipeline(StandardScaler(), fl.Classifier(DENSE, epochs=15))
    assert cross_val_score(dense, rows, labels, cv=3).mean() > 0.85
    reshaped = Pipeline(
        [
            ("scale", StandardScaler()),
            ("images", FunctionTransformer(np.reshape, kw_args={"shape": (-1, 8, 8)})),
            ("net", fl.Classifier("slim-cnn")),
        ]
    )
    reshaped.set_params(net__epochs=10, net__lr=3e-3, net__batch_size=16)
    assert cross_val_score(reshaped, rows, labels, cv=3, error_score="raise").mean() > 0.65
    shaped = clone(reshaped["net"]).set_params(image_shape=(8, 8))
    scaled = StandardScaler().fit_transform(rows)
    shaped.fit(scaled, labels)
    assert (shaped.predict_proba(scaled) == reshaped.fit(rows, labels).predict_proba(rows)).all()


def test_the_same_as_fit(digits: Dataset, tmp_path: Path) -> None:
    """Weights, history and probabilities are those of `fl.fit` on the same images, bit for bit."""
    images = digits.splits["train"]
    splits = {"train": images.take(np.arange(400)), "test": images.take(np.arange(400, 600))}
    run = fl.fit(
        DENSE, Dataset("some", splits), epochs=4, lr=3e-3, seed=5, out=tmp_path / "run", console=Console(quiet=True)
    )
    classifier = fl.Classifier(DENSE, epochs=4, lr=3e-3, validation=0.1, random_state=5)
    classifier.fit(splits["train"].pixels, splits["train"].labels)
    predictions = run.predictions["test"]
    assert (classifier.predict_proba(splits["test"].pixels) == predictions.probabilities).all()
    assert classifier.score(splits["test"].pixels, splits["test"].labels) == run.accuracy
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert classifier.history_[name] == pytest.approx(run.history[name])


def test_brightness_is_the_same_in_any_numbers(fitted: fl.Classifier, pixels: Array, labels: Array) -> None:
    probabilities = fitted.predict_proba(pixels)
    for images in (pixels[..., 0], pixels / 255, (pixels / 255).astype(np.float32), pixels / 255 * 16, pixels + 0):
        again = clone(fitted).fit(images, labels)
        assert (again.predict_proba(images) == probabilities).all()


def test_signed_numbers_are_seen_as_they_were_given(pixels: Array, labels: Array) -> None:
    """The weights are of the numbers themselves: without the net, they give its probabilities."""
    signed = pixels / 255 * 2 - 1
    classifier = fl.Classifier("softmax-regression", epochs=1).fit(signed, labels)
    weights = classifier.weights_
    scores = signed.reshape(len(signed), -1) @ weights["head.W"].T + weights["head.b"]
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert classifier.predict_proba(signed) == pytest.approx(probabilities, abs=1e-5)


@pytest.mark.parametrize("kind", [np.array(list("jihgfedcba")), np.arange(10) * 3 - 7, np.arange(10) < 5], ids=str)
def test_classes_of_any_kind(kind: Array, pixels: Array, labels: Array) -> None:
    y = kind[labels]
    classifier = fl.Classifier(DENSE, epochs=8).fit(pixels, y)
    assert (classifier.classes_ == np.unique(kind)).all()
    predicted = classifier.predict(pixels)
    assert predicted.dtype == y.dtype
    assert classifier.score(pixels, y) == (predicted == y).mean() > 0.85
    probabilities = classifier.predict_proba(pixels)
    assert probabilities.shape == (400, len(classifier.classes_))
    assert (classifier.classes_[probabilities.argmax(axis=1)] == predicted).all()


def test_one_sigmoid_unit_for_two_classes(pixels: Array, labels: Array) -> None:
    settings = {"model.outputs": 1, "loss.class_weights": "balanced"}
    classifier = fl.Classifier(DENSE, loss="binary-cross-entropy", settings=settings).fit(pixels, labels == 3)
    probabilities = classifier.predict_proba(pixels)
    assert probabilities.shape == (400, 2)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert classifier.score(pixels, labels == 3) > 0.95


def test_class_weights_are_given_by_label(pixels: Array, labels: Array) -> None:
    def probabilities(weights: dict[Any, float]) -> Array:
        classifier = fl.Classifier(DENSE, epochs=1, settings={"loss.class_weights": weights})
        return classifier.fit(pixels, labels).predict_proba(pixels)

    by_name = probabilities({"1": 3.0, "7": 0.5})
    assert (probabilities({1: 3.0, np.int64(7): 0.5}) == by_name).all()
    assert (probabilities({}) != by_name).any()


def test_a_pickle_is_small_and_gives_the_same_bits(fitted: fl.Classifier, pixels: Array) -> None:
    pickled = pickle.dumps(fitted)
    weights = sum(array.nbytes for array in fitted.weights_.values())
    assert len(pickled) < weights + 8_000
    copy = pickle.loads(pickled)
    assert (copy.predict_proba(pixels) == fitted.predict_proba(pixels)).all()
    assert copy.get_params() == fitted.get_params()


def test_a_clone_and_a_second_fit_start_from_scratch(fitted: fl.Classifier, pixels: Array, labels: Array) -> None:
    fresh = clone(fitted)
    with pytest.raises(NotFittedError):
        fresh.predict(pixels)
    probabilities = fitted.predict_proba(pixels)
    assert (fresh.fit(pixels, labels).predict_proba(pixels) == probabilities).all()
    assert (fresh.fit(pixels, labels).predict_proba(pixels) == probabilities).all()
    fresh.fit(pixels[:, :6], labels == 0)
    assert (fresh.image_shape_, fresh.n_features_in_, len(fresh.classes_)) == ((6, 8, 1), 48, 2)


def test_a_fit_that_fails_leaves_nothing_to_predict_with(pixels: Array, labels: Array) -> None:
    classifier = fl.Classifier(DENSE, epochs=1).fit(pixels, labels)
    with pytest.raises(fl.ExperimentError):
        classifier.set_params(optimizer="adm").fit(pixels, labels == 0)
    with pytest.raises(NotFittedError):
        classifier.predict(pixels)


def test_random_states(pixels: Array, labels: Array) -> None:
    def first(state: Any, fits: int = 1) -> list[float]:
        classifier = fl.Classifier(DENSE, epochs=1, random_state=state)
        return [float(classifier.fit(pixels, labels).history_["loss"][0]) for _ in range(fits)]

    assert first(3) == first(np.int64(3)) != first(4)
    drawn = first(np.random.RandomState(0), fits=2)
    assert drawn[0] != drawn[1]
    assert drawn == first(np.random.RandomState(0), fits=2)
    assert first(None) != first(None)


def test_early_stopping_holds_images_back(pixels: Array, labels: Array) -> None:
    classifier = fl.Classifier(DENSE, epochs=60, lr=1e-2, early_stopping=2).fit(pixels, labels)
    assert classifier.n_iter_ == len(classifier.history_["val_loss"]) < 60
    assert "val_loss" not in fl.Classifier(DENSE, epochs=1).fit(pixels, labels).history_


def test_predictions_from_several_threads(fitted: fl.Classifier, pixels: Array) -> None:
    wanted = [fitted.predict_proba(pixels[i:]) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: fitted.predict_proba(pixels[i % 8 :]), range(32)))
    assert all((wanted[i % 8] == probabilities).all() for i, probabilities in enumerate(found))


def test_images_are_resized_for_a_model_that_needs_more(pixels: Array, labels: Array) -> None:
    classifier = fl.Classifier("lenet5", epochs=1, settings={"data.size": 28}).fit(pixels, labels)
    assert classifier.model_.input_shape == (28, 28, 1)
    assert classifier.predict(pixels).shape == (400,)


def test_nothing_is_written_and_nothing_said_unless_asked(
    pixels: Array, labels: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fl.Classifier(DENSE, epochs=2).fit(pixels, labels)
    assert capsys.readouterr() == ("", "")
    fl.Classifier(DENSE, epochs=2, verbose=True).fit(pixels, labels)
    assert re.search(r"^epoch 2/2 +\d\.\d{4} ", capsys.readouterr().out, re.MULTILINE)
    assert not list(tmp_path.iterdir())


def test_the_other_engine_and_double_precision(fitted: fl.Classifier, pixels: Array, labels: Array) -> None:
    probabilities = fitted.predict_proba(pixels)
    torch = clone(fitted).set_params(engine="torch").fit(pixels, labels)
    assert torch.predict_proba(pixels) == pytest.approx(probabilities, abs=1e-3)
    assert (pickle.loads(pickle.dumps(torch)).predict_proba(pixels) == torch.predict_proba(pixels)).all()
    double = clone(fitted).set_params(settings={"precision": "float64"}).fit(pixels, labels)
    assert double.weights_["head.W"].dtype == np.float64
    assert double.predict_proba(pixels) == pytest.approx(probabilities, abs=1e-3)


def test_a_loss_that_runs_away(pixels: Array, labels: Array) -> None:
    with pytest.raises(fl.TrainingError, match="learning rate"):
        fl.Classifier(DENSE, optimizer="sgd", lr=1e30).fit(pixels, labels)
    layers = [Flatten(), Dense(10)]
    late = fl.Classifier(layers, loss="half-mse", optimizer="sgd", lr=10.0, batch_size=400, epochs=100)
    with pytest.warns(ConvergenceWarning, match=r"the weights of epoch \d+ are kept.*learning rate"):
        late.fit(pixels, labels)
    assert late.n_iter_ == len(late.history_["loss"]) < 100
    assert np.isfinite(late.predict_proba(pixels)).all()


def test_ctrl_c_ends_a_search(pixels: Array, labels: Array) -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        cross_val_score(fl.Classifier(DENSE, epochs=100_000), pixels, labels, cv=2)


@pytest.mark.parametrize(
    ("parameters", "shape", "message"),
    [
        ({}, (64,), "Expected 2D array"),
        ({}, (8, 8, 2), r"\(N, H, W, 1 or 3\).*received \(400, 8, 8, 2\)"),
        ({}, (3, 8, 8), "The channels come last"),
        ({}, (1, 8, 8, 1), "or rows"),
        ({"image_shape": (8, 8)}, (65,), "65 columns; images of 8×8 need 64"),
        ({"image_shape": (8, 8)}, (8, 9), "image_shape is 8×8; X holds images of 8×9×1"),
        ({"image_shape": (64,)}, (64,), r"image_shape is \(H, W\) or \(H, W, C\)"),
    ],
)
def test_images_that_do_not_fit(parameters: Any, shape: tuple[int, ...], message: str, labels: Array) -> None:
    X = np.ones(400) if message.startswith("Expected") else np.ones((400, *shape))
    with pytest.raises(ValueError, match=message):
        fl.Classifier(DENSE, **parameters).fit(X, labels)


def test_labels_that_do_not_fit(pixels: Array, labels: Array) -> None:
    with pytest.raises(fl.DataError, match="only one class, 3"):
        fl.Classifier(DENSE).fit(pixels, np.full(400, 3))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fl.Classifier(DENSE).fit(pixels, labels[:-1])
    with pytest.raises(fl.DataError, match="class '77' has 1 training image, too few"):
        fl.Classifier(DENSE, validation=0.1).fit(pixels, np.where(np.arange(400) == 5, 77, labels))


def test_other_images_than_those_of_fit(fitted: fl.Classifier, pixels: Array) -> None:
    with pytest.raises(fl.DataError, match=r"images of 8×8×1, as in fit; received 4×8×1"):
        fitted.predict(pixels[:, :4])
    with pytest.raises(ValueError, match=r"received 1×64×1, from an array of shape \(400, 64\)"):
        fitted.predict(pixels.reshape(400, 64))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": "lenet"}, "Did you mean lenet5"),
        ({"model": 5}, "a Model, or a list of layers; received 5"),
        ({"model": fl.models.mlp_128((28, 28, 1), 10)}, "built for images of 28×28×1"),
        ({"model": "lenet5"}, r"does not fit images of 1×64×1.*image_shape=\(8, 8\)\."),
        ({"model": "lenet5", "image_shape": (8, 8)}, r'settings=\{"data.size": 28\}'),
        ({"epochs": -1}, "training.epochs"),
        ({"batch_size": 2.5}, "training.batch_size"),
        ({"optimizer": "adm"}, "Did you mean adam"),
        ({"engine": "jax"}, "engine: "),
        ({"random_state": -1}, "seed: "),
        ({"validation": 1.5}, "data.validation"),
        ({"settings": {"training.epoch": 3}}, "Did you mean epochs"),
        ({"settings": [1]}, r"settings must be a dictionary.*received \[1\]"),
        ({"settings": {1: 2}}, "settings must be a dictionary"),
        (
            {"settings": {"loss.class_weights": {3: "2"}}},
            r"loss.class_weights: .* number above 0 .*received \{3: \'2\'\}",
        ),
        ({"settings": {"loss.class_weights": {12: 2.0}}}, r"loss.class_weights: there is no class '12'"),
        ({"settings": {"data.regroup": {}}}, "data.regroup does not apply here"),
        ({"settings": {"prepare.standardise": "imagenet"}, "signed": True}, "is of brightness"),
    ],
)
def test_parameters_that_do_not_fit(parameters: dict[str, Any], message: str, pixels: Array, labels: Array) -> None:
    """Each is told by `fit`, which alone looks at them."""
    rows = pixels.reshape(400, 64) - (128.0 if parameters.pop("signed", False) else 0)
    classifier = fl.Classifier(**{"model": DENSE, **parameters})
    with pytest.raises(fl.FirstlightError, match=f"(?s){message}"):
        classifier.fit(rows, labels)


def test_a_bad_choice_costs_a_search_that_choice_alone(pixels: Array, labels: Array) -> None:
    choices = {"optimizer": ["adam", "sgd"], "lr": [1e-3, 1e30]}
    search = RandomizedSearchCV(fl.Classifier(DENSE, epochs=2), choices, n_iter=4, cv=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn tells of each
        search.fit(pixels, labels)
    assert search.best_params_["lr"] == 1e-3
    assert np.isnan(search.cv_results_["mean_test_score"]).any()


def test_no_epochs_leave_the_initial_weights(pixels: Array, labels: Array) -> None:
    classifier = fl.Classifier(DENSE, epochs=0).fit(pixels, labels)
    assert (classifier.n_iter_, classifier.history_) == (0, {})
    initial = classifier.model_.layout.named(classifier.model_.layout.initial(0))
    assert all((initial[name] == array).all() for name, array in classifier.weights_.items())


def test_images_of_colour(pixels: Array, labels: Array) -> None:
    colour = np.concatenate([pixels, 255 - pixels, pixels // 2], axis=3)
    classifier = fl.Classifier("slim-cnn", epochs=1).fit(colour, labels)
    assert classifier.image_shape_ == (8, 8, 3)
    assert classifier.n_features_in_ == 192
    assert classifier.predict(colour).shape == (400,)


def test_images_on_another_scale_are_warned_of(pixels: Array, labels: Array) -> None:
    in_bytes = np.rint(pixels * (255 / pixels.max())).astype(np.uint8)
    net = fl.Classifier(DENSE, epochs=1).fit(in_bytes, labels)
    assert (net.levels_.low, net.levels_.high) == (0, 255)
    net.predict(in_bytes)
    with pytest.warns(
        UserWarning, match=r"another scale than in fit: fit saw numbers from 0 to 255, these go from 0 to 1"
    ):
        net.score(in_bytes / 255, labels)
    net = fl.Classifier(DENSE, epochs=1).fit(in_bytes / 255, labels)
    with pytest.warns(UserWarning, match="another scale"):
        net.predict_proba(in_bytes)
