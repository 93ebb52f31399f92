"""What holds for every layer, on each of its examples: the demands that `fl.check` makes of a user's layer."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from firstlight.checks import layers as checks
from firstlight.checks.demand import Demand, DemandError, Fault, NotApplicableError, verify
from firstlight.checks.layers import Case
from firstlight.layers import LAYERS

EXAMPLES = [
    pytest.param(Case.of(example), id=f"{name}-{i}")
    for name, layer in LAYERS.items()
    for i, example in enumerate(layer.examples)
]
every_example = pytest.mark.parametrize("case", EXAMPLES)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_examples_of_its_own_type(name: str) -> None:
    examples = LAYERS[name].examples
    assert examples, f"{name} needs examples: every suite runs on them"
    assert all(type(example.layer) is LAYERS[name] for example in examples)


@every_example
@pytest.mark.parametrize("demand", checks.DEMANDS, ids=lambda demand: demand.name)
def test_every_demand_holds(case: Case, demand: Demand[Case]) -> None:
    try:
        verify(demand, case)
    except NotApplicableError as reason:
        if "PyTorch is not installed" in str(reason):
            pytest.skip(str(reason))
        if demand.name != "one sample" or "BatchNorm" not in repr(case.layer):
            raise


@every_example
def test_no_gradient_but_its_own_is_accepted(case: Case) -> None:
    for check in checks.gradient_checks(case):
        tampers = [lambda dx: dx * 1.01, lambda dx: 0 * dx]
        if check.what == "x":
            tampers.append(lambda dx: dx[..., ::-1])
        for tamper in tampers:
            with pytest.raises(DemandError, match=f"gradient with respect to {check.what}"):
                check.verify(tamper)


CATCHES = {
    "record of another formula": "twin",
    "gradient with respect to x × 1.01": "gradients",
    "gradient with respect to x lost": "gradients",
    "gradient with respect to x of another sample": "gradients",
    "gradients with respect to weights × 1.01": "gradients",
    "gradients with respect to weights missing": "shapes",
    "output of another shape": "shapes",
    "output always float32": "both dtypes",
    "forward writes to x": "inputs unwritten",
    "backward writes to dy": "inputs unwritten",
    "x stored on the layer": "nothing stored",
    "evaluation looks at the whole batch": "evaluation",
    "JSON names another type": "JSON",
    "twin × 1.01": "twin",
}


@pytest.mark.parametrize("fault", checks.FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("kind", ["Dense", "BatchNorm", "Tanh", "Residual"])
def test_a_spoilt_layer_fails_the_demand_that_is_about_it(kind: str, fault: Fault[Case]) -> None:
    (demand,) = (demand for demand in checks.DEMANDS if demand.name == CATCHES[fault.name])
    case = Case.of(LAYERS[kind].examples[0])
    try:
        broken = fault.spoil(case)
    except NotApplicableError as reason:
        if find_spec("torch") is None and "PyTorch" in str(reason):
            pytest.skip(str(reason))
        if kind != "Tanh" or "weights" not in fault.name:
            raise
        return
    if demand.name == "twin" and find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    with pytest.raises(DemandError):
        verify(demand, broken)
