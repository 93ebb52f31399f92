"""MixUp and CutMix in training: soft targets, the same on every engine, and each class counting what it is to count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from firstlight import data, models
from firstlight.engines import Session, Task
from firstlight.engines.numpy import NumpyEngine
from firstlight.engines.torch import TorchEngine
from firstlight.losses import BinaryCrossEntropy, CrossEntropy, Focal, Loss, MeanSquaredError
from firstlight.optimizers import SGD
from firstlight.prepare import Augmentation, Preparation
from firstlight.types import Array, Dataset, Images, MixedImages

BOTH = {"mixup": {"alpha": 1.0, "p": 0.6}, "cutmix": {"p": 0.6}, "rotate": 10}
BATCH = 32
ENGINES: dict[str, Any] = {
    "compiled": NumpyEngine(dtype=np.float64),
    "reference": NumpyEngine("reference", np.float64),
    "torch": TorchEngine("cpu", "float64"),
}
WEIGHTS = np.linspace(0.3, 3, 10)


@pytest.fixture(scope="module")
def images(digits: Dataset) -> Images:
    return data.split(digits)["train"].take(np.arange(90))


def task(images: Images, **changes: Any) -> Task:
    model = models.mlp_128((8, 8, 1), classes=len(images.class_names), units=(12,), activation="tanh")
    usual = Task(model, CrossEntropy(), Preparation.fit(images), SGD(lr=0.1), augmentation=Augmentation.of(BOTH))
    return replace(usual, **changes)


def trained(session: Session, images: Images) -> Array:
    """The loss and the accuracy of an epoch, then the weights."""
    metrics = session.train_epoch(0, BATCH, np.full(3, 0.1), lambda n, loss: None)
    return np.array([metrics.loss, metrics.accuracy, *session.vector()])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": CrossEntropy(0.1), "class_weights": WEIGHTS},
        {"loss": Focal(1.5), "class_weights": WEIGHTS},
        {"loss": MeanSquaredError(), "sampling": "balanced"},
        {"loss": BinaryCrossEntropy(), "l2": 0.01},
    ],
    ids=lambda changes: " ".join(map(str, changes.values()))[:40] or "plain",
)
def test_the_engines_and_both_kernels_learn_the_same(images: Images, changes: dict[str, Any]) -> None:
    found = {name: trained(engine.session(task(images, **changes), images), images) for name, engine in ENGINES.items()}
    for name, values in found.items():
        assert np.abs(values - found["compiled"]).max() < 1e-9, name
    unmixed = task(images, augmentation=Augmentation.of({"rotate": 10}), **changes)
    plain = trained(ENGINES["compiled"].session(unmixed, images), images)
    assert np.abs(plain - found["compiled"]).max() > 1e-3, "mixing makes a difference"


def mixed(images: Images, **changes: Any) -> tuple[Task, MixedImages]:
    asked = task(images, **changes)
    augmented = asked.augmented(images, ENGINES["compiled"].session(asked).kernels)
    assert augmented is not None
    made = augmented.batch(np.arange(len(images)), 0)
    assert isinstance(made, MixedImages)
    return asked, made


@pytest.mark.parametrize("loss", [CrossEntropy(), Focal(), MeanSquaredError(), CrossEntropy(0.1)], ids=repr)
def test_each_part_of_a_mixed_image_counts_as_its_class_does(images: Images, loss: Loss) -> None:
    """The gradient is Σₖ tₖ wₖ of that by class k, for any loss; so classes balanced by weights stay balanced."""
    asked, made = mixed(images, class_weights=WEIGHTS, loss=loss)
    y = np.random.default_rng(0).normal(size=(10, len(made)))
    targets, weights = asked.targets(made, np.arange(len(made)))
    _, dy = loss.value_and_gradient(y, targets, weights)
    parts = np.zeros_like(y)
    for k in range(10):
        parts += made.targets[:, k] * WEIGHTS[k] * loss.gradient(y, np.full(len(made), k))
    np.testing.assert_allclose(dy, parts, atol=1e-12)
    wrong = loss.value_and_gradient(y, made.targets.T, (made.targets * WEIGHTS).sum(axis=1))[1]
    assert np.abs(dy - wrong).max() > 1e-4, "the check tells a weight of the whole image"


def test_a_weighted_mixed_loss_is_that_of_pytorch(images: Images) -> None:
    """PyTorch's own `weight` with probabilities for targets, summed and divided by the images."""
    asked, made = mixed(images, class_weights=WEIGHTS)
    session = ENGINES["torch"].session(asked, images)
    y = torch.tensor(session.outputs(made))
    theirs = torch.nn.functional.cross_entropy(
        y, torch.tensor(made.targets), weight=torch.tensor(WEIGHTS), reduction="sum"
    ) / len(made)
    assert session.train_step(np.arange(len(made)), 0, 0, 0.1)[0] == pytest.approx(theirs.item())


def test_balanced_sampling_mixes_with_all_classes_equally_often(images: Images) -> None:
    few = images.take(np.flatnonzero((images.labels != 3) | (np.cumsum(images.labels == 3) <= 2)))
    asked = task(few, sampling="balanced", augmentation=Augmentation.of({"mixup": 1.0}))
    augmented = asked.augmented(few, ENGINES["compiled"].session(asked).kernels)
    assert augmented is not None
    shares = np.zeros(10)
    for epoch in range(30):
        order = asked.order(few, epoch, BATCH)
        for made, _ in augmented.runs(order, epoch, [np.arange(len(order))]):
            assert isinstance(made, MixedImages)
            shares += made.targets.sum(axis=0)
    np.testing.assert_allclose(shares / shares.sum(), 0.1, atol=0.008)


def test_a_mixed_image_counts_as_correct_where_the_class_of_its_larger_part_is_predicted(images: Images) -> None:
    asked, made = mixed(images)
    session = ENGINES["compiled"].session(asked, images)
    predicted = session.outputs(made).argmax(axis=1)
    _, correct = session.train_step(np.arange(len(made)), 0, 0, 0.0)
    assert correct == int((predicted == made.targets.argmax(axis=1)).sum())
    assert (made.labels != images.labels).any()


def test_one_output_for_two_classes_takes_the_share_of_the_second(images: Images) -> None:
    two = Images(images.pixels, images.labels % 2, images.ids, ("even", "odd"))
    asked, made = mixed(two)
    y = np.random.default_rng(0).normal(size=(1, len(made)))
    targets, _ = asked.targets(made, np.arange(len(made)))
    found = BinaryCrossEntropy().gradient(y, targets)
    np.testing.assert_allclose(found, (1 / (1 + np.exp(-y)) - made.targets[:, 1]) / len(made), atol=1e-12)
