"""The step of an optimizer: its formula, compiled as one pass over the weights, block by block of a few KiB.

Every element is worked out by itself, in the order of operations of the formula, so that the results are those of
NumPy to the last bit, on however many threads.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numba import NumbaError, from_dtype, get_num_threads, prange, types

from firstlight.kernels import reference
from firstlight.kernels._interpreter import DOUBLE, LONG, call, view
from firstlight.kernels._jit import callback, inner, parallel
from firstlight.kernels.formula import Formula, loop
from firstlight.kernels.lock import in_turn
from firstlight.types import Array

# The elements of a block: the sum of its gradients stays in a core's first-level cache.
BLOCK = 1024
# The least elements for which a thread is woken. In training it is awake, and gradients and moments of its share lie
# in its own core's cache: Adam's 110 thousand weights take 30 µs instead of 49, and the step after it gains as much.
SHARE = 16384

# The formula for `_shared`: all that it works on is found behind an address, see `_arguments`.
STEP_AT = """
def step_at(first, end, arguments, like):
    at, numbers = view(arguments, LONG), view(arguments, DOUBLE)
    gradients = view(at[1], like)[: at[2] * at[3]].reshape((at[2], at[3]))
    step(first, end, view(at[0], like), gradients, {arguments})
"""


# Formulas that Numba does not compile, and why.
_refused: dict[Formula, str] = {}


def step(
    formula: Formula,
    part: slice,
    theta: Array,
    gradients: Array,
    moments: Sequence[Array],
    scalars: Sequence[float],
    cuts: Sequence[int] = (),
) -> None:
    """See `Kernels.step`. Only what is called is compiled; what cannot be compiled is left to NumPy."""
    arrays = (theta, gradients, *moments)
    fits = all(array.dtype == theta.dtype and array.flags.c_contiguous for array in arrays)
    if fits and not formula.why_not and formula not in _refused:
        try:
            address = _address(formula, theta.dtype)
        except NumbaError as error:
            _refused[formula] = str(error).strip().splitlines()[0]
        else:
            bounds = np.array([part.start, *(cut for cut in cuts if part.start < cut < part.stop), part.stop])
            workers = max(1, min((part.stop - part.start) // SHARE, get_num_threads()))
            _shared(address, bounds, workers, _arguments(arrays, scalars), alone=workers == 1)
            return
    reference.step(formula, part, theta, gradients, moments, scalars)


def why_not(formula: Formula) -> str:
    """Why a formula is not compiled, as far as it was tried; empty where it is."""
    return formula.why_not or _refused.get(formula, "")


def _arguments(arrays: Sequence[Array], scalars: Sequence[float]) -> Array:
    """Addresses of the weights and the gradients, the shape of these, addresses of the moments, and the numbers."""
    theta, gradients, *moments = arrays
    head = [theta.ctypes.data, gradients.ctypes.data, *gradients.shape, *(moment.ctypes.data for moment in moments)]
    arguments = np.array([*head, *([0] * len(scalars))], np.int64)
    arguments[len(head) :].view(np.float64)[:] = scalars
    return arguments


@in_turn  # of two compiled at once, one would be dropped while its address is in use
def _address(formula: Formula, dtype: np.dtype[Any]) -> int:
    """Where the formula lies, compiled for arrays of that dtype."""
    return int(_compiled(formula, dtype).address)


@cache
def _compiled(formula: Formula, dtype: np.dtype[Any]) -> Any:
    source = loop(formula, BLOCK)
    name = f"step_{blake2b(source.encode(), digest_size=8).hexdigest()}"
    scope: dict[str, Any] = {"__name__": __name__, "math": math, "np": np, "sum_gradients": _sum}
    scope |= {"view": view, "LONG": LONG, "DOUBLE": DOUBLE}
    scope["step"] = inner(_defined(source, "step", name, scope))
    first = 4 + len(formula.moments)
    arguments = [
        *(f"view(at[{k}], like)" for k in range(4, first)),
        *(f"numbers[{first + k}]" for k in range(len(formula.scalars))),
    ]
    function = _defined(STEP_AT.format(arguments=", ".join(arguments)), "step_at", f"{name}_at", scope)
    long: Any = types.int64
    return callback(function, types.void(long, long, long, types.CPointer(from_dtype(dtype))))


@parallel
def _shared(address, bounds, workers, arguments):
    """Call a formula for what lies between two of the bounds, in shares of each for every worker."""
    for worker in prange(workers):
        for k in range(len(bounds) - 1):
            first, end = _share(bounds[k], bounds[k + 1], np.int64(worker), workers)
            call(address, (first, end, arguments.ctypes.data))


def _defined(source: str, name: str, known_as: str, scope: dict[str, Any]) -> Any:
    """The function of a source, as if it stood in this file: what is compiled of it is kept where all kernels are."""
    exec(compile(source, __file__, "exec"), scope)
    function = scope[name]
    function.__name__ = function.__qualname__ = known_as
    return function


@inner
def _share(start, stop, worker, workers):
    """The first and the end of a worker's contiguous share."""
    n = stop - start
    return start + n * worker // workers, start + n * (worker + 1) // workers


@inner
def _sum(gradients, first, end, g):
    """g[: end - first] = the sum of the rows of gradients[:, first:end], in order."""
    row = gradients[0, first:end]
    for i in range(len(row)):
        g[i] = row[i]
    for k in range(1, len(gradients)):
        row = gradients[k, first:end]
        for i in range(len(row)):
            g[i] += row[i]
