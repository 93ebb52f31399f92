"""How the kernels are compiled: Numba's options, a cache on disk, and one caller at a time.

Whatever Python calls or finds an address of comes from here, so that no kernel can forget the lock.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from hashlib import blake2b
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import config
from numba.core.ccallback import CFunc

from firstlight.kernels._cache import Cache
from firstlight.kernels.lock import in_turn, lost

# Numba takes settings from a file in the working folder, which may be anybody's: it can name a cache, and what lies in
# one is run. The variables of the environment stay.
config._config_fname = ""
config.reload_config()  # type: ignore[no-untyped-call]

# Loosely typed, for options that Numba's annotations leave out: no wrappers for callers that there are none of, which
# would only cost compile time.
_njit: Any = njit
OPTIONS: Any = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}

# A function that other compiled functions call.
inner: Any = _njit(**OPTIONS, no_cpython_wrapper=True)

# What every kernel was compiled from: one may call a function of another file.
HERE = Path(__file__).parent
FILES = sorted([*HERE.glob("_*.py"), *HERE.glob("ops/*.py")])
SOURCES = blake2b(b"\0".join(path.read_bytes() for path in FILES)).hexdigest()


def parallel(function: Callable[..., None]) -> Callable[..., None]:
    """Compile a function for Numba's threads at its first call, or take it from the cache; one caller at a time.

    Where they are lost, in a forked process, or where the caller asks to be left `alone`, the same loops run one after
    another, which gives the same bits: the work is cut as before, and each share writes a place of its own.
    """
    shared, serial = _njit(**OPTIONS, parallel=True)(function), _njit(**OPTIONS)(function)
    shared._cache, serial._cache = Cache(function, SOURCES, "-shared"), Cache(function, SOURCES, "-serial")

    @in_turn
    @wraps(function)
    def called(*arguments: Any, alone: bool = False) -> None:
        (serial if alone or lost("numba") else shared)(*arguments)

    return called


def callback(function: Callable[..., None], signature: Any) -> Any:
    """Compile a function for a signature now, or take it from the cache; it has an `address`."""
    compiled: Any = CFunc(function, (signature.args, signature.return_type), {}, {"error_model": "numpy"})
    compiled._cache = Cache(function, SOURCES, "-callback")
    compiled.compile()
    return compiled
