"""What `fl.step` is given: architectures, runs, images of every kind; and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import firstlight as fl
from firstlight.errors import DataError, ExperimentError, FirstlightError
from firstlight.image_encoding import png
from firstlight.layers import Chain, Dense, Flatten, Layer, Parameter
from firstlight.models import Model
from firstlight.training_step import course_of_model
from firstlight.types import Array, Dataset

ONE = np.arange(64, dtype=np.uint8).reshape(8, 8)


def test_a_run_is_stepped_on_its_own_images_from_its_weights(digits_run: fl.Run) -> None:
    step = fl.step(digits_run)
    test = digits_run.predictions["test"]
    assert step.images.ids.tolist() == [test.ids[0]]
    assert step.images.labels[0] == test.labels[0]
    np.testing.assert_allclose(step.in_evaluation().loss.probabilities[0], test.probabilities[0], atol=1e-5)
    more = fl.step(digits_run.path, test.ids[:3].tolist())
    assert more.images.labels.tolist() == test.labels[:3].tolist()
    assert (more.rate, more.course.optimizer_name) == (pytest.approx(3e-3), "Adam")
    before = digits_run.step(test.ids[0], trained=False)
    initial = digits_run.task.model.layout.initial(digits_run.experiment.seed)
    np.testing.assert_array_equal(before.vector, initial)


def test_a_run_goes_on_over_its_training_images(digits_run: fl.Run) -> None:
    step = fl.step(digits_run, train=True, lr=1e-3)
    assert step.course.steps_per_epoch == 40
    assert step.forward(2).history[-1].loss > 0


def test_an_image_of_ones_own_is_of_the_class_that_is_said_or_taken_for(digits_run: fl.Run, tmp_path: Path) -> None:
    path = tmp_path / "drawn.png"
    path.write_bytes(png(ONE[:, :, None]))
    taken = fl.step(digits_run, path)
    assert taken.images.labels.tolist() == taken.in_evaluation().predicted.tolist()
    assert taken.images.ids.tolist() == [str(path)]
    np.testing.assert_array_equal(taken.images.pixels[0, :, :, 0], ONE)
    for labels in ("3", 3):
        step = fl.step(digits_run, ONE, labels)
        assert step.images.labels.tolist() == [3]
        np.testing.assert_array_equal(step.x, taken.x)


def test_an_architecture_takes_what_has_labels(digits: Dataset, tmp_path: Path) -> None:
    train = digits.splits["train"]
    path = tmp_path / "drawn.png"
    path.write_bytes(png(ONE[:, :, None]))
    model = fl.models.mlp_128((8, 8, 1), 10)
    for given in (
        fl.step("mlp-128", ONE, 3),
        fl.step("mlp-128", ONE[:, :, None], "3"),
        fl.step(model, ONE[None], [3]),
        fl.step(model, path, 3),
        fl.step("mlp-128", ONE, "3", train=digits),
    ):
        assert given.images.labels.tolist() == [3]
        np.testing.assert_allclose(given.x[0, :, :, 0], ONE / 255, rtol=1e-6)
    coloured = np.repeat(ONE[:, :, None], 3, 2)
    assert fl.step(model, coloured, 3).x.shape == (1, 8, 8, 1)
    assert fl.step(fl.models.mlp_128((8, 8, 3), 10), ONE, 3).x.shape == (3, 8, 8, 1)
    assert fl.step("mlp-128", train.take(np.arange(2)), [5, 6]).images.labels.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenet6", ONE, 3), "called 'lenet6'. Did you mean lenet5"),
        (("mlp-128",), r"one or a few.*received none"),
        (("mlp-128", ONE), "against labels"),
        (("mlp-128", ONE, 10), r"labels lie in 0\.\.9"),
        (("mlp-128", ONE, "ten"), "no class 'ten'"),
        (("mlp-128", ONE, [1, 2]), "1 images need 1 labels; received 2"),
        (("mlp-128", ONE.astype(float), 3), r"received float64 \(8, 8\)"),
        (("mlp-128", "nowhere.png", 3), "nowhere.png: the image cannot be read"),
        (("lenet5", ONE, 3), "does not fit images of 8×8×1"),
        (("mlp-128", np.zeros((600, 8, 8), np.uint8), [0] * 600), "1 to 512 images; received 600"),
    ],
)
def test_what_does_not_fit_is_told(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(FirstlightError, match=message):
        fl.step(*arguments)


def test_a_rate_or_a_size_that_is_none(digits: Dataset) -> None:
    with pytest.raises(ExperimentError, match="lr must be a finite number above 0; received 0"):
        fl.step("mlp-128", ONE, 3, lr=0)
    with pytest.raises(ExperimentError, match="batch_size must be a whole number, at least 1"):
        fl.step("mlp-128", ONE, 3, batch_size=0)
    with pytest.raises(DataError, match=r'such as data.splits\["train"\].*received all of digits'):
        fl.step("mlp-128", digits)


class Twice(Layer):
    """y = tanh(V x) + x², a layer of one's own that is made of another: without a twin, a loop or a story."""

    def parameters(self, input_shape: tuple[int, ...]) -> Mapping[str, Any]:
        return {"inner": {"V": Parameter((input_shape[0], input_shape[0]), "he_normal", input_shape[0])}}

    def forward(self, p: Any, x: Array, run: Any) -> Any:
        t = np.tanh(p["inner"]["V"] @ x)

        def backward(dy: Array) -> Any:
            dz = dy * (1 - t * t)
            return p["inner"]["V"].T @ dz + 2 * x * dy, {"inner": {"V": dz @ x.T}}

        return t + x * x, backward


def test_a_layer_of_ones_own_is_worked_out_by_the_rule_for_any() -> None:
    subject = course_of_model(Model("own", Chain((Flatten(), Dense(5), Twice(), Dense(3))), (8, 8, 1), 3), ONE, 2)
    step = subject.start
    assert step.to_json()["layers"][2]["parameters"] == {"inner.V": {"shape": [5, 5], "trained": True}}
    for of, index in (("y", (2, 0)), ("dx", (3, 0)), ("inner.V", (1, 2))):
        made = step.working("twice1", of, index)
        assert made.agrees
        assert "backward" in made.note
        assert not made.against(made.value + 0.01).agrees
    weight = step.weight("twice1.inner.V", (1, 2))
    assert weight.equals(weight.by_nudge)
    assert (weight.by_autograd, "no PyTorch twin" in weight.no_autograd) == (None, True)
    assert step.forward(2).history[1].layers["twice1"].ratio is not None


@pytest.mark.parametrize(
    ("images", "labels", "options", "message"),
    [
        (ONE, 1.5, {}, "labels lie in 0..9, .* received 1.5"),
        (ONE, [float("nan")], {}, "received nan"),
        (ONE, [None], {}, "received None"),
        (ONE, np.zeros((1, 10)), {}, "labels lie in"),
        ([[1, 2], [3]], 0, {}, "images are those of a dataset"),
        (np.zeros((0, 28, 28, 1), np.uint8), [], {}, r"received uint8 \(0, 28, 28, 1\)"),
        (ONE, 0, {"lr": float("inf")}, "lr must be a finite number"),
        (ONE, 0, {"lr": "fast"}, "lr must be a finite number"),
        (ONE, 0, {"batch_size": 2.5}, "batch_size must be a whole number"),
    ],
)
def test_what_is_no_label_no_image_and_no_number(images: Any, labels: Any, options: Any, message: str) -> None:
    with pytest.raises(FirstlightError, match=message):
        fl.step("mlp-128", images, labels, **options)


@pytest.mark.parametrize("run", [3, None])
def test_what_is_no_run(run: Any) -> None:
    with pytest.raises(ExperimentError, match="step: give a run"):
        fl.step(run)


def test_a_run_without_images_is_told(digits_run: fl.Run) -> None:
    with pytest.raises(DataError, match=r"received float64 \(0,\)"):
        digits_run.step([])


def test_images_taken_of_none_are_told(digits: Dataset) -> None:
    with pytest.raises(DataError, match="on 1 to 512 images; received 0"):
        fl.step("mlp-128", digits.splits["train"].take(np.arange(0)))
