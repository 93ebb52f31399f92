"""The layers of a net by their paths."""

from __future__ import annotations

import pytest
from tests.explain.nets import NETS, images, made, net

from firstlight.errors import ModelError
from firstlight.layers import Chain, Dense, Flatten


def test_the_last_hidden_layer_and_a_layer_that_is_not_there() -> None:
    assert {name: net(name).hidden for name in NETS} == {
        "conv": "relu1", "residual": "avgpool1", "concat": "sigmoid1", "dense": "tanh1",
    }  # fmt: skip
    assert made(Chain((Flatten(), Dense(3))), images()).hidden == "dense1"
    with pytest.raises(ModelError, match=r"conv9.*Did you mean conv"):
        net("conv").place("conv9")


def test_a_layer_that_hands_on_stands_for_the_one_before_it() -> None:
    """As Flatten does for what it flattens: asked for by name, its values are those."""
    subject = net("conv")
    assert "flatten1" in subject.places
    assert "flatten1" not in subject.shown
    assert subject.place("flatten1") == subject.place("relu1")
    with pytest.raises(ModelError, match="flatten1"):
        made(Chain((Flatten(), Dense(3))), images()).place("flatten1")  # it hands on the image itself
