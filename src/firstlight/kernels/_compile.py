"""How the kernels are compiled: Numba's options, and a cache on disk that knows of which files a kernel is made."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import config
from numba.core.ccallback import CFunc

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

# What every kernel was compiled from.
SOURCES = blake2b(b"\0".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("_*.py")))).hexdigest()


def alone(function: Callable[..., None]) -> Any:
    """Compile a function that Python calls, at its first call, or take it from the cache."""
    return stamped(_njit(**OPTIONS, cache=True)(function))


def parallel(function: Callable[..., None]) -> Any:
    """The same, for Numba's threads."""
    return stamped(_njit(**OPTIONS, parallel=True, cache=True)(function))


def callback(function: Callable[..., None], signature: Any) -> Any:
    """Compile a function for a signature now, or take it from the cache; it has an `address`."""
    compiled: Any = CFunc(function, (signature.args, signature.return_type), {}, {"error_model": "numpy"})
    compiled.enable_caching()
    stamped(compiled).compile()
    return compiled


def stamped(compiled: Any) -> Any:
    """Let a change in any of the kernels' files outdate what is cached.

    By itself Numba looks at the file of the function alone, and would keep an old kernel where a function that it calls
    was changed in another.
    """
    compiled._cache._cache_file._source_stamp = SOURCES
    return compiled
