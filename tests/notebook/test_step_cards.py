"""What a notebook shows of a step of training, and of its parts."""

from __future__ import annotations

import numpy as np
import pytest
from tests.notebook.test_cards import look
from tests.training_step.nets import course

from firstlight.layers import LayerStep
from firstlight.training_step import Step


@pytest.fixture(scope="module")
def step() -> Step:
    return course("conv").start


def test_a_step_shows_its_images_its_layers_and_its_loss(step: Step) -> None:
    seen = look(step)
    assert f"{step.loss.value:.4f}" in seen.text
    assert all(path in seen.text for path in step.layers)
    assert sum(tag == "svg" for tag, _ in seen.found) >= 1  # the net


def test_a_layer_shows_maps_of_what_it_gave_and_of_the_gradients(step: Step) -> None:
    for path, maps in (("conv1", 4 + 4 + 4 + 4 + 1 + 1), ("relu1", 5 + 5), ("dense1", 1 + 1 + 1 + 1 + 1 + 1)):
        assert sum(tag == "img" for tag, _ in look(step.layer(path)).found) == maps, path
    whole = LayerStep(**{**vars(step.layer("relu1")), "y": np.zeros((5, 99, 99, 1), np.float32)})
    assert sum(tag == "img" for tag, _ in look(whole).found) == 5  # too large a map is told in words


def test_the_loss_and_a_weight_and_a_working(step: Step) -> None:
    assert f"{step.loss.value:.4f}" in look(step.loss).text
    weight = look(step.weight("conv1.W", (0, 0, 1, 1))).text
    assert "They agree" in weight
    assert "√v̂" in weight
    working = step.working("conv1", "y", (0, 1, 1, 0))
    assert "W[o,c,u,v]" in look(working).text
    assert "another number" in look(working.against(working.value + 1)).text
    assert "of which the largest counts" in look(step.working("maxpool1", "y", (0, 1, 1, 0))).text


def test_what_is_printed_holds_no_arrays(step: Step) -> None:
    for thing in (step, step.layer("conv1"), step.loss, step.working("conv1", "y", (0, 1, 1, 0))):
        assert len(repr(thing)) < 900, type(thing)
