"""Step after step, forward and back: the same numbers each time, and what each was like."""

from __future__ import annotations

import numpy as np
import pytest
from tests.training_step.nets import course, images

from firstlight.engines.numpy import NumpyEngine
from firstlight.errors import TrainingError
from firstlight.models import Model
from firstlight.training_step import course as courses
from firstlight.training_step import course_of_model
from firstlight.types import Dataset


def test_back_and_forward_are_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the weights between were not kept."""
    for kept in (256e6, 0):
        monkeypatch.setattr(courses, "KEPT", kept)
        subject = course(optimizer="adam")
        vectors = {number: subject.at(number).vector for number in (0, 3, 7, 12)}
        for number in (7, 12, 0, 3):
            np.testing.assert_array_equal(subject.at(number).vector, vectors[number])
        assert len(subject._kept) == (13 if kept else 2)
        step = subject.at(7)
        np.testing.assert_array_equal(step.back(4).forward(9).vector, vectors[12])
        np.testing.assert_array_equal(step.back(100).vector, vectors[0])
        assert [row.number for row in step.history] == list(range(7))
    fresh = course(optimizer="adam").at(12)
    np.testing.assert_array_equal(fresh.vector, vectors[12])


def test_on_the_images_of_a_training_the_steps_are_the_engines() -> None:
    """The engine's own epochs, with its own batches; an epoch back, and again."""
    many = images(50)
    subject = course_of_model(
        Model("net", course().task.model.layers, (8, 8, 1), 3),
        images(2),
        train=Dataset("many", {"train": many}),
        batch_size=8,
        seed=3,
    )
    assert subject.steps_per_epoch == 7
    session = NumpyEngine().session(subject.task, many)
    for epoch in range(2):
        session.train_epoch(epoch, 8, np.full(7, subject.rate), lambda done, mean: None)
    step = subject.start.epochs(2)
    np.testing.assert_array_equal(step.vector, session.vector())
    assert (step.number, step.epoch, step.epochs(-1).number, len(step.history)) == (14, 2, 7, 14)
    assert step.history[0].looked == pytest.approx(subject.start.loss.value)


def test_what_a_step_was_like() -> None:
    subject = course()
    row = subject.at(2).history[1]
    step = subject.at(1)
    assert (row.number, row.epoch, row.loss) == (1, 1, pytest.approx(step.loss.value))
    moved = step.forward().vector - step.vector
    [W] = [entry for entry in subject.task.model.layout.entries if entry.name == "conv1.W"]
    both = slice(W.start, W.stop + 4)
    ratio = np.sqrt(np.square(moved[both]).sum() / np.square(step.vector[both]).sum())
    assert row.layers["conv1"].ratio == pytest.approx(ratio, rel=1e-5)
    relu = step.layer("relu1").y
    assert row.layers["relu1"].silent == pytest.approx(1 - (relu != 0).any(axis=(1, 2, 3)).mean())
    assert step.statistics["relu1"].zeros == pytest.approx((relu == 0).mean())
    assert set(row.to_json()) == {"number", "epoch", "loss", "accuracy", "looked", "layers"}


def test_a_loss_that_is_no_longer_a_number_ends_the_way() -> None:
    subject = course("dense", lr=1e30, optimizer="sgd", loss="mse")
    for _ in range(2):
        with pytest.raises(TrainingError, match="learning rate of 1e\\+30"):
            subject.at(20)
        assert subject.start.loss.value < 10
