"""What the docstrings of optimizers say of a step is what a step does, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.formulas.following import lines
from tests.formulas.values import Located, key, value

from firstlight.formulas import derivation_of, parse
from firstlight.formulas.notation import Name, Relation, Script
from firstlight.kernels import reference
from firstlight.optimizers import SGD, Adam, AdamW, Lagged, Lion, Lookahead, MovingAverage, Muon, NAdam, RMSprop
from firstlight.optimizers.muon import COEFFICIENTS, orthogonalized

GRADIENTS = np.random.default_rng(5).standard_normal((5, 3))  # g₀ is before the first step, and counts nothing
ADAM = {"β₁": 0.9, "β₂": 0.999, "ε": 1e-8}
PLAIN, HEAVY, AHEAD = "θ ← θ − lr g", "θ ← θ − lr v", "θ ← θ − lr (g + μ v)"
FIRST = [text for text in lines(derivation_of(Adam)) if not text.startswith("θ")]
STEPS: dict[str, tuple[Any, dict[str, float], list[str]]] = {
    "sgd": (SGD(0.1), {}, [PLAIN]),
    "momentum": (SGD(0.1, momentum=0.8), {"μ": 0.8}, [*lines(derivation_of(SGD))][2:-1]),
    "nesterov": (SGD(0.1, momentum=0.8, nesterov=True), {"μ": 0.8}, [*[*lines(derivation_of(SGD))][2:4], AHEAD]),
    "adam": (Adam(0.1), ADAM, [*lines(derivation_of(Adam))]),
    "adamw": (AdamW(0.1, weight_decay=0.3), {**ADAM, "λ": 0.3}, [*FIRST, *lines(derivation_of(AdamW))]),
    "nadam": (NAdam(0.1), ADAM, [*FIRST[4:6], *lines(derivation_of(NAdam))]),
    "rmsprop": (RMSprop(0.1), {"ρ": 0.99, "ε": 1e-8}, [*lines(derivation_of(RMSprop))]),
    "lion": (Lion(0.1, weight_decay=0.3), {"β₁": 0.9, "β₂": 0.99, "λ": 0.3}, [*lines(derivation_of(Lion))]),
}


def equal(text: str, a: Any, b: Any) -> None:
    assert np.allclose(a, b, rtol=1e-7, atol=1e-12), (text, a, b)


def take(texts: list[str], names: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Take the lines; of each ← the name and its value. The weights get theirs later: two lines may say the same."""
    for text in texts:
        node = parse(text)
        assert isinstance(node, Relation)
        left, *others = node.sides
        if "≈" in node.signs:
            continue
        found = [value(other, names) for other in others]
        base = left.base if isinstance(left, Script) else left
        name = key(base) if isinstance(base, Name) else ""
        if node.signs[0] == "←":
            yield name, found[0]
        if (name and name not in names) or (node.signs[0] == "←" and name != "θ"):
            names |= {name: found[0], f"{name}ₜ": found[0]}
        elif node.signs[0] == "=":
            equal(text, value(left, names), found[0])


@pytest.mark.parametrize("name", STEPS)
def test_the_lines_are_what_a_step_does(name: str) -> None:
    optimizer, options, texts = STEPS[name]
    theta = np.array([0.4, -1.2, 2.0])
    state = optimizer.state(3, np.float64)
    μ = 0.9 * (1 - 0.5 * 0.96 ** (4e-3 * np.arange(8)))
    for t in range(1, len(GRADIENTS)):
        history = Located(GRADIENTS[: t + 1], ("i",))
        names = {"θ": theta.copy(), "g": GRADIENTS[t], "gᵢ": history, "t": t, "lr": 0.1, "μ": μ, **options}
        names |= {moment: state[moment].copy() for moment in optimizer.moments}
        optimizer.step(theta, GRADIENTS[t], state, 0.1)
        found = [*take(texts, names)]
        assert {"θ", *optimizer.moments} == {moved for moved, _ in found}
        for moved, new in found:
            equal(f"{moved} in step {t}", theta if moved == "θ" else state[moved], new)


def test_a_spoilt_line_is_found() -> None:
    optimizer = SGD(0.1, momentum=0.8)
    theta, state = np.ones(3), optimizer.state(3, np.float64)
    names = {"θ": theta.copy(), "g": GRADIENTS[1], "v": np.zeros(3), "lr": 0.1, "μ": 0.8}
    optimizer.step(theta, GRADIENTS[1], state, 0.1)
    (_, v), (_, moved) = take(["v ← μ v − g", HEAVY], names)
    with pytest.raises(AssertionError):
        equal("θ", theta, moved)
    with pytest.raises(AssertionError):
        equal("v", state["v"], v)


def test_newton_and_schulz_are_the_lines_of_muon() -> None:
    first, iteration, _ = lines(derivation_of(Muon))
    G = np.random.default_rng(6).standard_normal((3, 5))
    U, S, Vt = np.linalg.svd(G, full_matrices=False)
    names: dict[str, Any] = {"G": G, "U": U, "S": np.diag(S), "V": Vt.T, **dict(zip("abc", COEFFICIENTS, strict=True))}
    names["x"] = value(_right(first), names)
    for _ in range(5):
        names["x"] = value(_right(iteration), names)
    assert np.allclose(names["x"], orthogonalized(G, 5), atol=1e-5)


def test_what_stands_round_an_optimizer_does_what_its_lines_say() -> None:
    before, after = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    average, d = before.copy(), 2 / 11
    MovingAverage(0.9).update(reference, average, after, 1)
    for text in lines(derivation_of(MovingAverage)):
        equal(text, average, value(_right(text), {"θ̄": before.copy(), "θ": after, "d": d}))
    theta = before.copy()
    Lagged(SGD(0.1), 0.3).step(theta, (before - after) / 0.1, SGD(0.1).state(2, np.float64), 0.1)
    for text in lines(derivation_of(Lagged)):
        equal(text, theta, value(_right(text), {"θ": np.array([before, after]), "t": 1, "α": 0.3}))
    theta, ahead = before.copy(), Lookahead(SGD(0.1), 1, 0.4)
    ahead.step(theta, (before - after) / 0.1, ahead.state(2, np.float64), 0.1)
    for text in [*lines(derivation_of(Lookahead))][:2]:
        equal(text, theta, value(_right(text), {"φ": before, "θ": after, "α": 0.4}))


def _right(text: str) -> Any:
    node = parse(text)
    assert isinstance(node, Relation)
    assert isinstance(node.sides[0], Name | Script)
    return node.sides[-1]
