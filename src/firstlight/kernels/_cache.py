"""Compiled kernels on disk: a file for each, with a hash of its own and of everything that it was made from.

Numba's own cache is not used, for four reasons. It looks for changes in the file of a function alone, not in those
that the function calls. It believes what it reads: an empty file ends in a traceback, and a damaged one, handed to
LLVM, ends the process. Its index can mix up the files of processes that fill it together. And where no folder can be
written, it refuses to compile at all.

Here a file is used only where its hash is right; otherwise the kernel is compiled again, and the file written again.
What it holds is unpickled, and is machine code besides: whoever can write it can have anything done. The hash finds
damage, not intent. So kernels are kept where the program itself lies, in folders of the user's own, or, where none of
these can be written, in one below the system's for temporary files that nobody else can have made or can enter.
"""

# Numba and llvmlite have no types.
# mypy: disable-error-code="no-untyped-call, import-untyped, attr-defined"

from __future__ import annotations

import os
import pickle
import platform
import stat
import sys
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

from firstlight.cautions import Caution
from firstlight.files import user_cache, write_bytes

HASH = 32  # bytes
_told = False


class Cache(NullCache):
    """What Numba asks for a compiled function before it compiles, and gives it to after.

    made_from  text that is another wherever a file that the function is compiled from is
    kind       tells apart what is compiled from one function in several ways
    """

    def __init__(self, function: Any, made_from: str, kind: str = "") -> None:
        source = Path(function.__code__.co_filename)
        name = function.__qualname__.replace("<locals>.", "")
        self.name = f"{source.stem}.{name}{kind}"
        self.home = source.parent
        made_by = (made_from, numba.__version__, llvmlite.__version__, llvmlite.binding.get_host_cpu_features())
        self.stamp = _hash(repr(made_by).encode())

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The function compiled for a signature; None where it is not at hand, or not whole."""
        rtsys.initialize(target)  # the memory that arrays are made in; all of Numba's types only a compilation needs
        name = self._file(signature, target.codegen())
        for folder in _folders(self.home):
            kept = _read(folder / name, self.stamp)
            if kept is not None:
                try:
                    return CompileResult._rebuild(target, *pickle.loads(kept))
                except Exception:  # a cache is no reason to fail
                    continue
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep a compiled function where that can be done."""
        if result.lifted or result.library.has_dynamic_globals:  # addresses of this process
            return
        kept = self.stamp + dumps(result._reduce())
        name = self._file(signature, result.codegen)
        for folder in _folders(self.home, make=True):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_bytes(folder / name, _hash(kept) + kept)
            except OSError:
                continue
            if folder == _temporary(make=False):
                _tell(f"are kept in {folder} for now")
            return
        _tell("are compiled again by each command")

    def _file(self, signature: Any, codegen: Any) -> str:
        target = (signature, codegen.magic_tuple(), sys.implementation.cache_tag, platform.machine())
        return f"{self.name}-{_hash(repr(target).encode()).hex()[:16]}.nbc"


def give_numba_a_folder(module: Path) -> None:
    """Before a package is imported that uses Numba's own cache: without a folder for it that would end in an error."""
    usual = (numba.config.CACHE_DIR, module.parent / "__pycache__", AppDirs("numba", False).user_cache_dir)
    if not any(place and _can_be_written(Path(place)) for place in usual):
        folder = _temporary(make=True)
        if folder is not None:
            numba.config.CACHE_DIR = str(folder)


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=HASH).digest()


def _read(path: Path, stamp: bytes) -> bytes | None:
    """What is kept at `path`, where it is whole and has the stamp."""
    try:
        data = path.read_bytes() if path.is_file() else b""
    except OSError:
        return None
    kept = data[HASH:]
    return kept[HASH:] if data[:HASH] == _hash(kept) and kept[:HASH] == stamp else None


def _folders(home: Path, make: bool = False) -> Iterator[Path]:
    """Where kernels may be kept, the first choice first; `make` the folder for want of a better."""
    own = f"kernels-{_hash(str(home).encode()).hex()[:16]}"  # several installations do not overwrite each other's
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR) / own
    yield home / "__pycache__"
    user = _users()
    if user is not None:
        yield user / own
    temporary = _temporary(make)
    if temporary is not None:
        yield temporary


def _users() -> Path | None:
    """The user's folder for caches; None where the user has no home."""
    folder = user_cache()
    return folder if folder.is_absolute() else None


def _temporary(make: bool) -> Path | None:
    """A folder of this user for temporary files; None where there is none, or where it could be somebody else's."""
    if not hasattr(os, "getuid"):
        return None
    try:
        parent = Path(tempfile.gettempdir())
        folder = parent / f"firstlight-{os.getuid()}"
        if make:
            folder.mkdir(mode=0o700, exist_ok=True)
        about, above = folder.lstat(), parent.stat()
    except OSError:
        return None
    ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o077
    # Others must not be able to put another in its place.
    safe = above.st_uid in (0, os.getuid()) and (above.st_mode & stat.S_ISVTX or not above.st_mode & 0o022)
    return folder if ours and safe else None


def _tell(where: str) -> None:
    """Say once that there is no good place; on the standard error, as what a command gives is on the other."""
    global _told
    if not _told:
        _told = True
        print(
            Caution.KERNELS_NOT_KEPT.note(
                f"compiled kernels {where}: neither the program's folder nor a cache folder of the user's can be "
                "written. Set NUMBA_CACHE_DIR to a folder that can, and the next command need not wait for them."
            ),
            file=sys.stderr,
        )
