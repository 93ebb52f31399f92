"""The nearest names."""

from __future__ import annotations

from firstlight.errors import nearest


def test_close_spellings_are_proposed_whatever_their_case() -> None:
    assert nearest("relu", ["ReLU", "Conv2D"]) == "Did you mean ReLU?"
    assert nearest("lenet", ["lenet5", "mlp-128"]) == "Did you mean lenet5?"


def test_without_a_close_one_all_are_listed() -> None:
    assert nearest("zzz", ["b", "a"]) == "Known: a, b."
    assert nearest("x", []) == ""
