"""Compiled kernels are kept on disk, and compiled anew only where a file that they are made of has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firstlight.kernels import _compile

# A kernel of two files: what Numba itself looks at, and another that it calls.
OUTER = """
from numba import types
from {package}._compile import alone, callback
from {package}._inner import addend

@alone
def by_call(x):
    return x + addend()

def by_address(x):
    return x + addend()

operation = callback(by_address, types.int64(types.int64))
found = {{
    "by call": by_call(1),
    "by address": operation.ctypes(1),
    "compiled": sum(by_call.stats.cache_misses.values()) + (operation.cache_hits == 0),
}}
"""
INNER = """
from {package}._compile import inner

@inner
def addend():
    return {addend}
"""


class Kernels:
    """A package of kernels with `_compile.py` as it is, run in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.package = folder, folder / "small"
        self.package.mkdir()
        (self.package / "__init__.py").touch()
        source = Path(_compile.__file__).read_text(encoding="utf-8")
        (self.package / "_compile.py").write_text(source, encoding="utf-8")
        (self.package / "_outer.py").write_text(OUTER.format(package="small"), encoding="utf-8")
        self.add(1)

    def add(self, addend: int) -> None:
        """Let the inner function give another number. The outer file stays as it is."""
        (self.package / "_inner.py").write_text(INNER.format(package="small", addend=addend), encoding="utf-8")

    def run(self) -> dict[str, Any]:
        """What the kernels give, and how many were compiled."""
        code = "import json; from small._outer import found; print(json.dumps(found))"
        kept = {"NUMBA_CACHE_DIR": str(self.folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self.folder, env=os.environ | kept, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def kernels(tmp_path: Path) -> Kernels:
    return Kernels(tmp_path)


def test_kernels_are_compiled_anew_only_where_a_file_changed(kernels: Kernels) -> None:
    assert kernels.run() == {"by call": 2, "by address": 2, "compiled": 2}
    assert kernels.run() == {"by call": 2, "by address": 2, "compiled": 0}
    kernels.add(10)
    assert kernels.run() == {"by call": 11, "by address": 11, "compiled": 2}


def test_numba_alone_would_keep_what_is_outdated(kernels: Kernels) -> None:
    """Why the stamp is there; without it the test above would see this."""
    compile_py = kernels.package / "_compile.py"
    stamped = compile_py.read_text(encoding="utf-8")
    assert "_source_stamp = SOURCES" in stamped
    compile_py.write_text(stamped.replace("_source_stamp = SOURCES", "_unread = SOURCES"), encoding="utf-8")
    assert kernels.run() == {"by call": 2, "by address": 2, "compiled": 2}
    kernels.add(10)
    assert kernels.run() == {"by call": 2, "by address": 2, "compiled": 0}
