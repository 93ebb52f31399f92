"""The nearest names, and errors that say where."""

from __future__ import annotations

from firstlight.errors import ExperimentError, ModelError, RunError, nearest


def test_close_spellings_are_proposed_whatever_their_case() -> None:
    assert nearest("relu", ["ReLU", "Conv2D"]) == "Did you mean ReLU?"
    assert nearest("lenet", ["lenet5", "mlp-128"]) == "Did you mean lenet5?"


def test_without_a_close_one_all_are_listed() -> None:
    assert nearest("zzz", ["b", "a"]) == "Known: a, b."
    assert nearest("x", []) == ""


def test_a_mistake_names_its_place_once() -> None:
    bare = ModelError("units: one is needed.", key="model.units")
    named = ExperimentError.of(bare, "a.toml, run 'b'")
    assert str(named) == "a.toml, run 'b': units: one is needed."
    assert named.keys == (("model.units", "units: one is needed."),)
    again = ExperimentError.of(named, "a.toml")
    assert (str(again), again.keys, again.origin) == (str(named), named.keys, "a.toml, run 'b'")
    assert str(ExperimentError.of(RunError("it is gone."), "a.toml")) == "a.toml: it is gone."
