"""Numba's private names that the kernels use, and the sources that a kept kernel depends on.

pyproject.toml bounds Numba from above, since a private name may change in any release. Whoever raises the bound runs
these: each says which name is gone or behaves otherwise.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numba
import pytest
from numba.core.caching import NullCache
from numba.core.ccallback import CFunc
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher

import firstlight
from firstlight.kernels import _jit

HERE = Path(firstlight.__file__).parent
PROJECT = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# What is documented, and so is kept or first deprecated: everything else that is imported from Numba is private.
PUBLIC = {"numba", "numba.extending", "numba.types"}
PRIVATE = {
    "numba.core.caching": {"NullCache"},
    "numba.core.ccallback": {"CFunc"},
    "numba.core.cgutils": set(),
    "numba.core.compiler": {"CompileResult"},
    "numba.core.config": set(),
    "numba.core.runtime": {"rtsys"},
    "numba.core.serialize": {"dumps"},
    "numba.misc.appdirs": {"AppDirs"},
    "numba.np.ufunc.parallel": set(),
}


def imported() -> dict[str, set[str]]:
    """Every module of Numba that the package imports, with the names taken from it."""
    found: dict[str, set[str]] = {}
    for path in HERE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                for name in node.names:
                    found.setdefault(name.name, set())
            elif isinstance(node, ast.ImportFrom) and node.module:
                for name in node.names:
                    module = f"{node.module}.{name.name}"
                    if node.module == "numba.core" and inspect.ismodule(_at(module)):
                        found.setdefault(module, set())
                    else:
                        found.setdefault(node.module, set()).add(name.name)
    return {module: names for module, names in found.items() if module.split(".")[0] == "numba"}


def _at(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def test_private_names_are_those_that_are_looked_after_here() -> None:
    assert {module: names for module, names in imported().items() if module not in PUBLIC} == PRIVATE


@pytest.mark.parametrize("package", ["numba", "llvmlite"])
def test_the_newest_version_allowed_is_the_one_tested(package: str) -> None:
    """The bound is the next minor version after the one that this suite runs with (or less, on the least versions)."""
    [requirement] = [text for text in PROJECT["dependencies"] if re.match(rf"{package}\b", text)]
    bound = re.search(r"<(\d+)\.(\d+)$", requirement)
    assert bound, f"{requirement}: no upper bound"
    major, minor = map(int, version(package).split(".")[:2])
    assert (major, minor + 1) <= (int(bound[1]), int(bound[2]))


def test_a_dispatcher_asks_its_cache_and_gives_to_it() -> None:
    """`_cache` of a compiled function is what Numba asks before it compiles, with these arguments."""
    asked: list[str] = []

    class Watched(NullCache):
        def load_overload(self, signature: Any, target: Any) -> None:
            target.refresh()
            assert target.codegen().magic_tuple()
            asked.append(f"load {signature}")

        def save_overload(self, signature: Any, result: Any) -> None:
            assert type(result) is CompileResult
            result = cast("Any", result)
            assert (bool(result.lifted), result.library.has_dynamic_globals) == (False, False)
            again = CompileResult._rebuild(result.target_context, *result._reduce())
            assert again.signature == result.signature
            assert result.codegen.magic_tuple() == result.target_context.codegen().magic_tuple()
            asked.append(f"save {signature}")

    function: Any = numba.njit(lambda x: x + 1)
    function._cache = Watched()
    assert function(1) == 2
    assert asked == ["load (int64,)", "save (int64,)"]
    asked.clear()
    made: Any = CFunc(lambda x: x + 1, ((numba.types.int64,), numba.types.int64), {}, {})
    made._cache = Watched()
    made.compile()
    assert (made.address != 0, made.ctypes(1), len(asked)) == (True, 2, 2)


def test_settings_of_numba_do_not_come_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config: Any = importlib.import_module("numba.core.config")
    assert config._config_fname == "", "as firstlight.kernels._jit leaves it"
    (tmp_path / ".numba_config.yaml").write_text(f"cache_dir: {tmp_path}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config.reload_config()
    assert str(tmp_path) != config.CACHE_DIR


def test_the_threads_that_were_started_have_a_name() -> None:
    threads: Any = importlib.import_module("numba.np.ufunc.parallel")
    assert threads.threading_layer is vars(numba)["threading_layer"]


def compiled() -> list[Any]:
    """The functions that any module of the package compiles."""
    found = []
    for module in pkgutil.walk_packages([str(HERE)], "firstlight."):
        if module.name.startswith("firstlight.kernels"):
            here = vars(importlib.import_module(module.name)).values()
            found += [thing for thing in here if isinstance(thing, Dispatcher | CFunc)]
        else:
            source = (HERE / Path(*module.name.split(".")[1:])).with_suffix(".py")
            text = source.read_text(encoding="utf-8") if source.exists() else ""
            assert not re.search(r"\bnjit\b|@(?:alone|parallel|inner|operation)\b", text), "compiled outside kernels/"
    return found


def test_whatever_is_compiled_is_a_source_that_the_cache_notices() -> None:
    files = {Path(function.__wrapped__.__code__.co_filename) for function in compiled()}
    assert len(files) > 5
    assert files <= set(_jit.FILES)
