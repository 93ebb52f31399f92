"""One flat vector and its named views."""

from __future__ import annotations

import numpy as np
import pytest

from firstlight import models
from firstlight.errors import ModelError
from firstlight.weights import Layout, from_bytes, to_bytes


@pytest.fixture(scope="module")
def layout() -> Layout:
    return models.lenet5_batchnorm().layout


def test_trained_numbers_come_first_and_every_number_once(layout: Layout) -> None:
    covered = np.zeros(layout.size, int)
    for entry in layout.entries:
        covered[entry.start : entry.stop] += 1
        assert entry.parameter.trainable == (entry.stop <= layout.trainable)
    assert (covered == 1).all()


def test_views_share_the_vector(layout: Layout) -> None:
    vector = layout.initial(0)
    tree = layout.tree(vector)
    tree["conv2"]["W"][3, 2, 1, 0] = 42
    assert 42 in vector
    assert (layout.named(vector)["conv2.W"] == tree["conv2"]["W"]).all()


def test_initial_weights_depend_on_seed_and_name_alone(layout: Layout) -> None:
    one, again, other = (layout.named(layout.initial(seed)) for seed in (1, 1, 2))
    for name, array in one.items():
        assert (array == again[name]).all()
    assert not (one["conv1.W"] == other["conv1.W"]).all()
    small = models.softmax_regression().layout
    assert (small.named(small.initial(1))["head.W"] == small.named(small.initial(1))["head.W"]).all()


def test_a_file_gives_the_vector_back(layout: Layout) -> None:
    vector = layout.initial(5)
    arrays = from_bytes(to_bytes(layout.named(vector)), "here")
    assert (layout.vector(arrays) == vector).all()


def test_weights_of_another_model_are_refused(layout: Layout) -> None:
    arrays = layout.named(layout.initial(0))
    with pytest.raises(ModelError, match=r"no conv1\.b"):
        layout.vector({name: array for name, array in arrays.items() if name != "conv1.b"})
    with pytest.raises(ModelError, match=r"conv1\.W have shape \(1,\); the model needs \(6, 1, 5, 5\)"):
        layout.vector(arrays | {"conv1.W": np.zeros(1)})
    with pytest.raises(ModelError, match="hold extra"):
        layout.vector(arrays | {"extra": np.zeros(1)})


@pytest.mark.parametrize("data", [b"", b"no safetensors at all", to_bytes({"a": np.zeros(9)})[:-3]])
def test_a_damaged_file_is_named(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"w\.safetensors"):
        from_bytes(data, "w.safetensors")


def test_collect_puts_each_gradient_in_its_place(layout: Layout) -> None:
    vector = layout.initial(3)
    gradient = np.zeros(layout.trainable, vector.dtype)
    layout.collect(layout.tree(vector), gradient)
    assert (gradient == vector[: layout.trainable]).all()
