"""The public names: all are found, and those that were renamed are found with a warning for a release."""

from __future__ import annotations

import importlib
import sys

import pytest

import firstlight as fl
from firstlight.moved_modules import MOVED


@pytest.mark.parametrize("name", fl.__all__)
def test_a_public_name_is_found(name: str) -> None:
    assert getattr(fl, name) is not None
    assert name in dir(fl)


@pytest.mark.parametrize("old", [old for old in MOVED if "." not in old])
def test_a_module_that_has_moved_is_found_with_a_warning_where_it_was_imported(old: str) -> None:
    for statement in (f"from firstlight import {old}", f"import firstlight.{old} as {old}"):
        sys.modules.pop(f"firstlight.{old}", None)
        vars(fl).pop(old, None)
        with pytest.warns(DeprecationWarning, match=rf"firstlight\.{old} is now firstlight\.{MOVED[old]}") as told:
            exec(statement, found := {"__name__": "somebody.else"})
        assert found[old] is importlib.import_module(f"firstlight.{MOVED[old]}")
        assert "<string>" in {str(warning.filename) for warning in told}


@pytest.mark.filterwarnings("ignore:firstlight:DeprecationWarning")
@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_module_that_has_moved_is_the_one_that_it_is_now(old: str, new: str) -> None:
    assert importlib.import_module(f"firstlight.{old}") is importlib.import_module(f"firstlight.{new}")


def test_a_name_that_never_was_is_not_found() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fl.nothing
