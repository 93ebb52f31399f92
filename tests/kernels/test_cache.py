"""Compiled kernels are kept on disk, and compiled again only where a file that they are made of has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from firstlight.kernels import _cache, _jit
from firstlight.kernels._cache import Cache

# A kernel of two files: what Numba itself looks at, and another that it calls.
OUTER = """
import inspect
import numpy as np
from numba import types
from {package}._jit import callback, parallel
from {package}._inner import addend

@parallel
def by_call(x):
    x[0] += addend()

def by_address(x):
    return x + addend()

x = np.ones(1, np.int64)
by_call(x, alone=True)
called = inspect.getclosurevars(by_call.__wrapped__).nonlocals["serial"]
operation = callback(by_address, types.int64(types.int64))
found = {{
    "by call": int(x[0]),
    "by address": operation.ctypes(1),
    "compiled": sum(called.stats.cache_misses.values()) + (operation.cache_hits == 0),
}}
"""
INNER = """
from {package}._jit import inner

@inner
def addend():
    return {addend}
"""


class Kernels:
    """A package of kernels with `_jit.py` as it is, run in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.package = folder, folder / "small"
        self.package.mkdir()
        (self.package / "__init__.py").touch()
        source = Path(_jit.__file__).read_text(encoding="utf-8")
        (self.package / "_jit.py").write_text(source, encoding="utf-8")
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


def test_without_its_stamp_what_is_outdated_would_be_kept(kernels: Kernels) -> None:
    """Why a kept kernel is stamped with all files; without it the test above would see this."""
    jit_py = kernels.package / "_jit.py"
    stamped = jit_py.read_text(encoding="utf-8")
    assert "Cache(function, SOURCES" in stamped
    jit_py.write_text(stamped.replace("Cache(function, SOURCES", 'Cache(function, ""'), encoding="utf-8")
    assert kernels.run() == {"by call": 2, "by address": 2, "compiled": 2}
    kernels.add(10)
    assert kernels.run() == {"by call": 2, "by address": 2, "compiled": 0}


def addition(x: Any) -> Any:
    return x + 1


def compiled(home: Path = Path(os.devnull), made_from: str = "these") -> tuple[int, bool]:
    """What `addition` gives for 1 in a new dispatcher, and whether it had to be compiled."""
    kernel: Any = numba.njit(addition)
    kernel._cache = Cache(addition, made_from)
    kernel._cache.home = home  # beside the tests there is none
    return kernel(1), bool(kernel.stats.cache_misses)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for compiled kernels, and whatever `addition` left in it."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(_cache, "_users", lambda: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert compiled() == (2, True)
    assert not [*tmp_path.glob("firstlight-*")], "none is made where none is needed"
    [file] = tmp_path.glob("kernels-*/*.nbc")
    return file


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:30],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: bytes(len(data)),
        lambda data: np.random.default_rng(0).bytes(len(data)),
        lambda data: flipped(data, 0),
        lambda data: flipped(data, 40),
        lambda data: flipped(data, len(data) // 2),
        lambda data: flipped(data, len(data) - 1),
    ],
)
def test_a_damaged_file_is_compiled_anew(kept: Path, damage: Callable[[bytes], bytes]) -> None:
    whole = kept.read_bytes()
    assert compiled() == (2, False)
    kept.write_bytes(damage(whole))
    assert compiled() == (2, True)
    assert compiled() == (2, False)


def test_what_is_no_file_does_no_harm(kept: Path) -> None:
    kept.unlink()
    kept.mkdir()
    assert compiled()[0] == 2
    kept.rmdir()
    os.mkfifo(kept)
    assert compiled()[0] == 2


def test_other_sources_are_compiled_anew(kept: Path) -> None:
    assert compiled(made_from="others") == (2, True)
    assert compiled(made_from="others") == (2, False)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file where all of its folders should be."""
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(file))
    monkeypatch.setattr(_cache, "_users", lambda: file)
    monkeypatch.setattr(_cache, "_told", False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tmp_path.chmod(0o1777)
    return file


def test_without_a_home_kernels_are_kept_among_temporary_files(nowhere: Path, capsys: Any) -> None:
    assert compiled(nowhere) == (2, True)
    folder = nowhere.parent / f"firstlight-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len([*folder.glob("*.nbc")]) == 1
    note = capsys.readouterr()
    assert (note.out, note.err.count("NUMBA_CACHE_DIR"), str(folder) in note.err) == ("", 1, True)
    assert compiled(nowhere) == (2, False)
    assert compiled(nowhere, made_from="others") == (2, True)
    assert capsys.readouterr().err == "", "it is said once"


def _open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _a_link(folder: Path) -> None:
    elsewhere = folder.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)


def _below_what_others_may_change(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    folder.parent.chmod(0o777)


def _of_somebody_else(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    try:
        os.chown(folder, os.getuid() + 1, -1)
    except PermissionError:
        pytest.skip("only root can give a folder away")


@pytest.mark.parametrize("trap", [_open_to_all, _a_link, _below_what_others_may_change, _of_somebody_else])
def test_a_folder_that_others_could_have_made_is_left_alone(
    nowhere: Path, trap: Callable[[Path], None], capsys: Any
) -> None:
    trap(nowhere.parent / f"firstlight-{os.getuid()}")
    assert compiled(nowhere) == (2, True)
    assert compiled(nowhere) == (2, True), "nothing is kept"
    assert not [*nowhere.parent.glob("*/*.nbc")]
    assert capsys.readouterr().err.count("NUMBA_CACHE_DIR") == 1


@pytest.mark.parametrize("cache", ["relative/path", "", "~"])
def test_no_folder_appears_where_one_happens_to_work(
    cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    found = _cache._users()
    assert found is None or found.is_absolute()


def test_a_package_with_numbas_own_cache_finds_a_folder(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere))
    _cache.give_numba_a_folder(nowhere.parent / "package" / "__init__.py")
    config: Any = numba.config
    assert str(nowhere) == config.CACHE_DIR, "beside the package it can be written"
    _cache.give_numba_a_folder(nowhere / "__init__.py")
    assert str(nowhere.parent / f"firstlight-{os.getuid()}") == config.CACHE_DIR
