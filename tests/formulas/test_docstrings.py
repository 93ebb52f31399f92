"""Every component of ours has its formulas in its docstring, and a docstring of any other words has none."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from annotated_types import Ge

import firstlight as fl
from firstlight.formulas import Formulas, formulas_of, mathml
from firstlight.layers import LAYERS, Conv2D, Dense, Layer, Tanh
from firstlight.losses import LOSSES
from firstlight.optimizers import OPTIMIZERS, Lagged, Lookahead, MovingAverage

COMPONENTS: dict[str, Any] = {**LAYERS.ours(), **LOSSES.ours(), **OPTIMIZERS.ours()}
WRAPPERS = (Lagged, Lookahead, MovingAverage)


def all_formulas(component: Any) -> tuple[str, ...]:
    found = formulas_of(component)
    return (*found.forward, *found.backward, *found.where)


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_says_what_it_does_in_formulas_that_are_typeset(name: str) -> None:
    found = formulas_of(COMPONENTS[name])
    assert found.forward
    assert bool(found.backward) == (name not in OPTIMIZERS)
    for text in all_formulas(COMPONENTS[name]):
        assert mathml(text).startswith("<math ")


@pytest.mark.parametrize("component", WRAPPERS)
def test_what_stands_round_an_optimizer_does_too(component: Any) -> None:
    assert formulas_of(component).forward


@pytest.mark.parametrize("component", [*COMPONENTS.values(), *WRAPPERS])
def test_no_formula_of_a_docstring_is_passed_over(component: Any) -> None:
    """Each sign of an equation in the text lies in a formula that was read."""
    text = component.__doc__ or ""
    for sign in ("=", "←"):
        assert text.count(sign) == sum(formula.count(sign) for formula in all_formulas(component)), component


def test_the_formulas_of_a_layer_are_those_of_its_docstring() -> None:
    assert formulas_of(Dense(3)) == Formulas(("y = W x + b",), ("dW = dy xᵀ", "db = Σₙ dy", "dx = Wᵀ dy"))
    assert formulas_of(Tanh) == Formulas(("y = tanh x",), ("dx = dy (1 − y²)",))
    assert formulas_of(Conv2D).backward[2] == "dx[c, i·s+u, j·s+v] += W[o,c,u,v] · dy[o,i,j]"


def test_a_layer_of_ones_own_may_have_some_or_none() -> None:
    with LAYERS.restored():

        @fl.layer
        class Cube(Layer):
            """y = share · x³, that is the third power (as in Cube 2 = 8?): y = x ** 3; dx = 3 share x² dy.

            share  of it
            """

            share: Annotated[float, Ge(0)] = 1.0

            forward = Dense.forward

        @fl.layer
        class Same(Layer):
            """Gives back what it is given, e.g. f(x) == x with mode=1 -- 100 % <unchanged>."""

            forward = Dense.forward

    assert formulas_of(Cube) == Formulas(("y = share · x³",), ("dx = 3 share x² dy",))
    assert formulas_of(Same()) == Formulas()
    assert formulas_of(object) == Formulas()
