"""The public names: all are found, and those that were renamed are found with a warning for a release."""

from __future__ import annotations

import importlib

import pytest

import firstlight as fl


@pytest.mark.parametrize("name", fl.__all__)
def test_a_public_name_is_found(name: str) -> None:
    assert getattr(fl, name) is not None
    assert name in dir(fl)


@pytest.mark.parametrize(("old", "new"), fl._MOVED.items())
def test_a_module_that_has_moved_is_found_with_a_warning_where_it_was_imported(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"firstlight\.{old} is now firstlight\.{new}") as told:
        exec(f"from firstlight import {old}", found := {"__name__": "somebody.else"})
    assert found[old] is importlib.import_module(f"firstlight.{new}")
    assert {warning.filename for warning in told} == {"<string>"}


def test_a_name_that_never_was_is_not_found() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fl.nothing
