"""What holds for every layer, on each of its examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from tests import gradients as g

from firstlight.errors import ModelError
from firstlight.kernels import load
from firstlight.layers import LAYERS, Example, Pass, from_json
from firstlight.types import Array

N = 3
EXAMPLES = [
    pytest.param(example, id=f"{name}-{i}")
    for name, layer in LAYERS.items()
    for i, example in enumerate(layer.examples)
]
every_example = pytest.mark.parametrize("example", EXAMPLES)
both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])


def drawn(example: Example, n: int = N, dtype: Any = np.float64) -> tuple[Mapping[str, Any], Array]:
    generator = np.random.default_rng(1)
    p = g.parameters(example.layer, example.input_shape, generator, dtype)
    return p, g.frozen(g.inputs(example.input_shape, n, generator, smooth=example.smooth).astype(dtype))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_examples_of_its_own_type(name: str) -> None:
    examples = LAYERS[name].examples
    assert examples, f"{name} needs examples: every suite runs on them"
    assert all(type(example.layer) is LAYERS[name] for example in examples)


TAMPERS: dict[str, Callable[[Array], Array]] = {"scaled": lambda dx: dx * 1.01, "lost": np.zeros_like}
OF_X = TAMPERS | {"of another sample": lambda dx: dx[..., ::-1]}


@every_example
@both_modes
def test_gradients_are_those_of_central_differences_and_no_others(example: Example, training: bool) -> None:
    p, x = drawn(example)
    for check in g.of_layer(example.layer, p, x, np.random.default_rng(2), training=training):
        check.verify()
        for tamper in (OF_X if check.what == "x" else TAMPERS).values():
            with pytest.raises(AssertionError, match=f"gradient by {check.what}"):
                check.verify(tamper)


@every_example
@both_modes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes_are_as_promised(example: Example, training: bool, dtype: Any) -> None:
    p, x = drawn(example, dtype=dtype)
    y, backward = example.layer.forward(p, x, g.a_pass(training=training))
    dx, grads = backward(g.frozen(np.ones_like(y)))
    assert y.shape == (*example.layer.output_shape(example.input_shape), N)
    assert dx is not None
    assert dx.shape == x.shape
    assert {y.dtype, dx.dtype} == {np.dtype(dtype)}
    promised = dict(g.leaves(g.trained(example.layer, x)))
    received = dict(g.leaves(grads))
    assert {path: value.shape for path, value in promised.items()} == {k: v.shape for k, v in received.items()}
    assert all(value.dtype == dtype for value in received.values())
    assert all(value.dtype == dtype for _, value in g.leaves(p)), "running statistics changed their dtype"


@every_example
@both_modes
def test_without_dx_the_gradients_are_the_same(example: Example, training: bool) -> None:
    p, x = drawn(example)
    results = []
    for needs_dx in (True, False):
        y, backward = example.layer.forward(g.copied(p), x, g.a_pass(training=training, needs_dx=needs_dx))
        results.append((y, dict(g.leaves(backward(np.cos(y))[1]))))
    (y, grads), (y_without, grads_without) = results
    np.testing.assert_array_equal(y, y_without)
    assert grads.keys() == grads_without.keys()
    for path, value in grads.items():
        np.testing.assert_array_equal(value, grads_without[path])


@every_example
def test_evaluation_sees_each_sample_alone_and_changes_nothing(example: Example) -> None:
    p, x = drawn(example)
    before = g.copied(p)
    run = Pass(load("reference"))
    y, _ = example.layer.forward(p, x, run)
    np.testing.assert_array_equal(y, example.layer.forward(p, x, run)[0])
    for i in range(N):
        alone, _ = example.layer.forward(p, x[..., i : i + 1], run)
        np.testing.assert_allclose(alone[..., 0], y[..., i], rtol=1e-12, atol=1e-12)
    for path, value in g.leaves(p):
        np.testing.assert_array_equal(value, g.leaf(before, path))


@every_example
def test_training_on_one_sample_works_or_says_why_not(example: Example) -> None:
    p, x = drawn(example, n=1)
    try:
        y, backward = example.layer.forward(p, x, g.a_pass(training=True))
    except ModelError as error:
        if "single sample" not in str(error) or "BatchNorm" not in repr(example.layer):
            raise
        return
    dx, _ = backward(np.ones_like(y))
    assert dx is not None
    assert dx.shape == x.shape


@every_example
def test_backward_may_be_called_again(example: Example) -> None:
    p, x = drawn(example)
    y, backward = example.layer.forward(p, x, g.a_pass(training=True))
    first, again = backward(np.sin(y)), backward(np.sin(y))
    np.testing.assert_array_equal(first[0], again[0])
    for path, value in g.leaves(first[1]):
        np.testing.assert_array_equal(value, g.leaf(again[1], path))


@every_example
def test_json_round_trip(example: Example) -> None:
    layer = from_json(json.loads(json.dumps(example.layer.to_json())))
    assert layer == example.layer
    assert type(layer) is type(example.layer)


@every_example
def test_multiply_adds_are_counted_where_weights_are(example: Example) -> None:
    has_kernels = any(value.kernel for _, value in g.leaves(example.layer.parameters(example.input_shape)))
    assert (example.layer.multiply_adds(example.input_shape) > 0) == has_kernels
