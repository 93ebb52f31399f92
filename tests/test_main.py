"""The door of the command line, before anything is imported."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any

import pytest

from firstlight.__main__ import main


def test_ctrl_c_while_python_imports_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pressed(MetaPathFinder):
        def find_spec(self, name: str, *more: Any) -> None:
            if name == "firstlight.cli":
                raise KeyboardInterrupt

    for name in [name for name in sys.modules if name.startswith("firstlight.cli")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Pressed(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
