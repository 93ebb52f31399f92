"""The step of an optimizer: its formula, compiled as one pass over the weights, block by block of a few KiB.

Every element is worked out by itself, in the order of operations of the formula, so that the results are those of
NumPy to the last bit, on however many threads.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numba import NumbaError, get_num_threads, prange

from firstlight.kernels import reference
from firstlight.kernels._jit import alone, inner, parallel
from firstlight.kernels.formula import Formula, loop
from firstlight.types import Array

# The elements of a block: the sum of its gradients stays in a core's first-level cache.
BLOCK = 1024
# The least elements for which a thread is woken. In training it is awake, and gradients and moments of its share lie
# in its own core's cache: Adam's 110 thousand weights take 30 µs instead of 49, and the step after it gains as much.
SHARE = 16384

SHARED = """
def step_shared(bounds, workers, {arguments}):
    for worker in prange(workers):
        for k in range(len(bounds) - 1):
            first, end = share(bounds[k], bounds[k + 1], np.int64(worker), workers)
            step(first, end, {arguments})
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
    if not formula.why_not and formula not in _refused:
        one, shared = _compiled(formula)
        workers = (part.stop - part.start) // SHARE
        if workers > 1:
            workers = min(workers, get_num_threads())
        try:
            if workers > 1:
                bounds = np.array([part.start, *(cut for cut in cuts if part.start < cut < part.stop), part.stop])
                shared(bounds, workers, theta, gradients, *moments, *scalars)
            else:
                one(part.start, part.stop, theta, gradients, *moments, *scalars)
            return
        except NumbaError as error:  # as it is compiled: nothing was done yet
            _refused[formula] = str(error).strip().splitlines()[0]
    reference.step(formula, part, theta, gradients, moments, scalars)


def why_not(formula: Formula) -> str:
    """Why a formula is not compiled, as far as it was tried; empty where it is."""
    return formula.why_not or _refused.get(formula, "")


@cache
def _compiled(formula: Formula) -> tuple[Callable[..., None], Callable[..., None]]:
    """The formula as a function for one thread, and for several; each is compiled when it is first called."""
    source = loop(formula, BLOCK)
    name = f"step_{blake2b(source.encode(), digest_size=8).hexdigest()}"
    scope: dict[str, Any] = {
        "__name__": __name__,
        "math": math,
        "np": np,
        "prange": prange,
        "share": _share,
        "sum_gradients": _sum,
    }
    one = scope["step"] = alone(_defined(source, "step", name, scope))
    arguments = ", ".join(one.py_func.__code__.co_varnames[2 : one.py_func.__code__.co_argcount])
    return one, parallel(_defined(SHARED.format(arguments=arguments), "step_shared", f"{name}_shared", scope))


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
