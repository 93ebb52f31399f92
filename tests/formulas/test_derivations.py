"""Every layer and loss has a derivation: each line comes out in numbers, and it ends in what the docstring says.

The numbers are those of `forward` and `backward`, of central differences, and of sums over indices one by one.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.formulas.following import WrongStepError, lines
from tests.formulas.scopes import IN_EVALUATION, SCOPES

import firstlight as fl
from firstlight.formulas import Step, derivation_of, formulas_of, mathml, parse
from firstlight.formulas.notation import Qualified, Relation
from firstlight.layers import LAYERS, Layer
from firstlight.losses import LOSSES
from firstlight.optimizers import OPTIMIZERS, Lagged, Lookahead, MovingAverage

WRAPPERS = {"lagged": Lagged, "lookahead": Lookahead, "moving-average": MovingAverage}
DERIVED: dict[str, Any] = {**LAYERS.ours(), **LOSSES.ours()}
COMPONENTS: dict[str, Any] = {**DERIVED, **OPTIMIZERS.ours(), **WRAPPERS}


def follow(name: str, texts: list[str]) -> int:
    """Take the lines, those "in evaluation" with numbers of evaluation; how many there were."""
    training, evaluation = SCOPES[name](), IN_EVALUATION.get(name, lambda: None)()
    for text in texts:
        in_evaluation = text.endswith(" in evaluation")
        scope = evaluation if in_evaluation else training
        assert scope is not None, text
        scope.follow(text)
    return len(texts)


@pytest.mark.parametrize("name", DERIVED)
def test_each_line_of_a_derivation_comes_out_in_numbers(name: str) -> None:
    found = formulas_of(DERIVED[name])
    assert follow(name, [*lines(derivation_of(DERIVED[name])), *found.where, *found.forward]) >= 4


def ends(text: str) -> tuple[Any, ...]:
    """What a formula is of, what it comes to at its end, and when."""
    node = parse(text)
    relation = node.body if isinstance(node, Qualified) else node
    assert isinstance(relation, Relation)
    when = node.when if isinstance(node, Qualified) else ""
    return relation.sides[0], relation.signs[0], relation.sides[-1], when


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_derivation_ends_in_what_the_docstring_says(name: str) -> None:
    found = formulas_of(COMPONENTS[name])
    derived = {ends(text): text for text in lines(derivation_of(COMPONENTS[name]))}
    wanted = found.forward if name in {*OPTIMIZERS.ours(), *WRAPPERS} else found.backward
    assert [text for text in wanted if ends(text) not in derived] == []


@pytest.mark.parametrize("name", COMPONENTS)
def test_each_line_is_typeset_and_none_is_without_end(name: str) -> None:
    for step in derivation_of(COMPONENTS[name]):
        if isinstance(step, Step):
            assert mathml(step.formula)
            assert not step.reason.endswith((".", ";", ","))


SPOILT = {
    "Tanh": ("1 − y²", "1 + y²"),
    "ELU": ("else y + α", "else y − α"),
    "Softmax": ("(δₖⱼ − yⱼ)", "(δₖⱼ + yⱼ)"),
    "Dense": ("dW = dy xᵀ", "dW = x dyᵀ"),
    "Conv2D": ("x[c, i·s+u, j·s+v] += W", "x[c, i+u, j·s+v] += W"),
    "BatchNorm": ("δᵢⱼ − 1 / m − x̂ᵢ", "δᵢⱼ − 1 / m + x̂ᵢ"),
    "cross-entropy": ("(pⱼ − tⱼ) / N", "(pⱼ − tⱼ) / K"),
    "softmax-binary-cross-entropy": ("− Σₖ≠ⱼ", "− Σₖ"),
    "Residual": ("= dx₁ + dx₂", "= dx₁ − dx₂"),
    "MaxPool2D": ("(u, v) = (p, q)", "(u, v) = (q, p)"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_line_is_found(name: str) -> None:
    right, wrong = SPOILT[name]
    texts = [*lines(derivation_of(DERIVED[name]))]
    spoilt = [text.replace(right, wrong) for text in texts]
    assert spoilt != texts
    with pytest.raises(WrongStepError):
        follow(name, spoilt)


def test_a_layer_of_ones_own_needs_no_derivation() -> None:
    with LAYERS.restored():

        @fl.layer
        class Double(Layer):
            """y = 2 x;  dx = 2 dy"""

            forward = DERIVED["Tanh"].forward

    assert derivation_of(Double) == ()
    assert derivation_of(object) == ()
