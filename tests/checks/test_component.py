"""`check` on components of a user's own: what is sound passes, a mistake is told with its place, a fault is caught.

Firstlight's own pass the same demands: tests/layers/test_examples.py, tests/losses, and below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import firstlight as fl
from firstlight import components
from firstlight.checks import architectures, metrics, optimizers, schedules
from firstlight.checks.demand import examine
from firstlight.errors import ExperimentError, ModelError
from firstlight.layers import Backward, Layer, Parameter, Pass, Tree
from firstlight.optimizers import OPTIMIZERS
from firstlight.schedules import SCHEDULES
from firstlight.types import Array, Shape


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    held = [registry.restored() for registry in components.registries()]
    for each in held:
        each.__enter__()
    yield
    for each in held:
        each.__exit__(None, None, None)


class Twice(Layer):
    """y = 2 x"""

    def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        return 2 * x, lambda dy: (2 * dy, {})


def failures(layer: type[Layer], **asked: Any) -> dict[str, str]:
    return {found.demand: str(found) for found in fl.check(layer, **asked).failures}


def test_a_sound_layer_passes_and_each_fault_that_it_can_have_is_caught() -> None:
    sound = fl.layer(type("Thrice", (Twice,), {"__doc__": "y = 3 x, or 2 x", "__module__": __name__}))
    found = fl.check(sound)
    assert found.passed
    assert {one.demand: one.reason for one in found.findings if one.passed is None}.keys() == {"twin", "compiled graph"}
    assert all(proof.caught is not False for proof in found.proofs)
    assert sum(proof.caught is True for proof in found.proofs) >= 9
    assert "✓ Thrice passes all 11 checks that apply; of 10 deliberately broken versions, they caught 10." in str(found)
    read = json.loads(json.dumps(found.to_json()))
    assert read["passed"] is True
    assert read["findings"][0] == {
        **{"demand": "shapes", "passed": True, "cases": 3, "where": "", "expected": "", "received": "", "reason": ""},
        "about": found.findings[0].about,
    }


def test_a_layer_that_is_not_registered_is_told_how() -> None:
    assert failures(Twice) == {
        "JSON": "JSON: Twice() on (6,), JSON: expected a registered layer: put @fl.layer above its "
        "class; received Twice"
    }


def test_a_wrong_gradient_says_where_and_both_numbers() -> None:
    @fl.layer
    class Wrong(Layer):
        """y = a x, and a gradient with respect to a of twice the size"""

        def parameters(self, input_shape: Shape) -> dict[str, Parameter]:
            return {"a": Parameter((1,), "ones")}

        def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
            return p["a"] * x, lambda dy: (p["a"] * dy, {"a": 2 * (dy * x).sum(keepdims=True).reshape(1)})

    found = fl.check(Wrong)
    [failure] = found.failures
    assert failure.demand == "gradients"
    assert failure.where == "Wrong() on (6,), gradient with respect to a"
    central, hand = (np.fromstring(text.split(" by ")[0], sep=",") for text in (failure.expected, failure.received))
    np.testing.assert_allclose(hand, 2 * central, rtol=1e-5)
    assert "✗ Wrong fails: gradients." in str(found)


def test_an_error_in_the_layer_is_told_with_its_line() -> None:
    @fl.layer
    class Careless(Layer):
        """y = x, until it does not"""

        def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
            return x * np.ones(7), lambda dy: (dy, {})

    found = failures(Careless, input_shape=(2, 5, 5))
    assert "ValueError: operands could not be broadcast" in found["shapes"]
    assert f"({Path(__file__).name}, line " in found["shapes"]


def test_what_a_layer_may_not_do_is_found() -> None:
    @fl.layer
    class Greedy(Layer):
        """y = x, which it changes and keeps"""

        def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
            object.__setattr__(self, "kept", x)
            x += 1
            return x.astype(np.float32), lambda dy: (dy, {})

    assert {"both dtypes", "inputs unwritten", "nothing stored"} <= failures(Greedy, input_shape=(3,)).keys()


def test_a_shape_that_fits_is_found_or_asked_for() -> None:
    @fl.layer
    class Wide(Layer):
        """y = x of 30 features

        units  how many
        """

        units: int

        def output_shape(self, input_shape: Shape) -> Shape:
            if input_shape != (30,):
                raise self.misfit(input_shape, "it takes 30 features")
            return input_shape

        def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
            return 1 * x, lambda dy: (dy, {})

    with pytest.raises(ModelError, match=r"it takes 30 features.*input_shape=\(2, 5, 5\)"):
        fl.check(Wide)
    assert fl.check(Wide, input_shape=(30,)).passed
    assert fl.check(Wide(2), input_shape=(30,)).passed


def test_what_is_no_component_is_an_error() -> None:
    with pytest.raises(ExperimentError, match=r"give a layer, a loss.*received 3"):
        fl.check(3)
    with pytest.raises(ExperimentError, match="an input shape is for a layer"):
        fl.check(SCHEDULES["cosine"], input_shape=(3,))


# --- other kinds: ours pass, and each fault is caught -----------------------------------------------------------------


def accuracy(labels: Array, probabilities: Array) -> float:
    """The share that is right."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def kinds() -> Iterator[Any]:
    for name in OPTIMIZERS.ours():
        yield pytest.param([optimizers.Case(OPTIMIZERS[name]())], optimizers, id=name)
    for name in SCHEDULES.ours():
        yield pytest.param(schedules.Case.all_of(SCHEDULES[name]()), schedules, id=name)
    for name in ("lenet5", "softmax-regression"):
        yield pytest.param(architectures.Case.all_of(name), architectures, id=name)
    yield pytest.param(metrics.Case.all_of(accuracy, "accuracy"), metrics, id="accuracy")


@pytest.mark.parametrize(("cases", "of"), list(kinds()))
def test_ours_pass_and_every_fault_is_caught(cases: list[Any], of: Any) -> None:
    found = examine("component", "ours", cases, of.DEMANDS, of.FAULTS)
    assert [str(one) for one in found.findings if one.passed is not True] == []
    assert [str(proof) for proof in found.proofs if proof.caught is not True] == []


def test_a_metric_of_certainty_alone_is_a_metric() -> None:
    def sure_share(labels: Array, probabilities: Array) -> float:
        """The share of answers given with more than half."""
        return float((probabilities.max(axis=1) > 0.5).mean())

    found = fl.check(sure_share)
    assert found.passed
    assert all(proof.caught for proof in found.proofs)
