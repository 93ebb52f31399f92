"""Runs a graph: every thread takes its images through the whole net, forward and back, in one compiled call.

What a thread works on stays in its own cache from layer to layer, nothing is allocated, and threads wait for each other
only where the mathematics does: batch norm needs the statistics of all images. `graph` writes the operations; each is a
row of numbers, the address of the function that does it and what it works on. Functions are compiled one by one when
a graph first asks for them, and kept on disk, so that a net waits only for the operations that it has.

Values lie one after another in a thread's arena, (features, n) each for the n images of a chunk; a value's place in an
operation counts features, so it starts at that times n.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, prange, types
from numba.extending import intrinsic as _numba_intrinsic

from firstlight.kernels._jit import callback, inner, parallel
from firstlight.kernels.lock import in_turn

_intrinsic: Any = _numba_intrinsic


class Frame(IntEnum):
    """Where a thread finds what it works with: addresses, but for the last four, which are numbers."""

    ARENA = 0  # values of this thread
    WINNERS = 1  # uint8: of pooling
    SCRATCH = 2  # for strips
    GRADIENT = 3  # this thread's sum
    THETA = 4  # the weights
    TABLES = 5  # int32: what convolutions need to know of their shapes
    CONSTANTS = 6  # float64: rates and the like
    STATISTICS = 7  # float64 (chunks, ·): what batch norm tells the others
    INDEX = 8  # int64: the images of the batch
    LABELS = 9  # int64, of each of them
    PIXELS = 10  # uint8 (all images, H W C)
    SCALE = 11  # (C, H W)
    SHIFT = 12
    MASKS = 13  # uint8 (features, images): dropout's masks
    OUTPUTS = 14  # (K, images) of the net
    OUTPUT_GRADIENTS = 15  # the same shape: the gradient by them, where Python works out the loss
    LOSSES = 16  # float64, of each image
    CORRECT = 17  # uint8: whether the most probable class is the label
    IMAGES = 18  # of the batch
    SIZE = 19  # images in a chunk, of which the last may have fewer
    WORKERS = 20
    STATISTICS_STEP = 21  # from chunk to chunk


# Numba takes a global as a constant; members of an enumeration it would look up each time.
(
    ARENA, WINNERS, SCRATCH, GRADIENT, THETA, TABLES, CONSTANTS, STATISTICS, INDEX, LABELS, PIXELS, SCALE, SHIFT, MASKS,
    OUTPUTS, OUTPUT_GRADIENTS, LOSSES, CORRECT, IMAGES, SIZE, WORKERS, STATISTICS_STEP,
) = map(int, Frame)  # fmt: skip

LONG, BYTE, SINGLE, DOUBLE = np.int64(0), np.uint8(0), np.int32(0), np.float64(0)


@parallel
def run(ops, first, end, frames):
    """Run the operations ops[·, first:end], a row for chunks of full size and one for the rest, a thread a frame."""
    for worker in prange(len(frames)):
        _run(np.int64(worker), ops, first, end, frames)


@inner
def _run(worker, ops, first, end, frames):
    frame = frames[worker]
    images, size, workers = frame[IMAGES], frame[SIZE], frame[WORKERS]
    for chunk in range(worker, -(-images // size), workers):
        n0 = chunk * size
        n = min(size, images - n0)
        row = ops[0 if n == size else 1]
        for k in range(first, end):
            _call(row[k, 0], row[k].ctypes.data, n, n0, chunk, frame.ctypes.data)


@_intrinsic
def _call(_, function, op, n, n0, chunk, frame):
    """Call the operation at an address."""

    def emit(context, builder, signature, args):
        long = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [long] * 6)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [*args[1:], long(0)])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), emit


@_intrinsic
def view(_, address, like):
    """The array at `address`, of the type of `like`, a scalar or a pointer; nobody checks its length."""
    kind = types.Array(like.dtype if isinstance(like, types.CPointer) else like, 1, "C")

    def emit(context, builder, signature, args):
        array = context.make_array(kind)(context, builder)
        data = context.get_data_type(kind.dtype)
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(data))
        length = context.get_constant(types.intp, 1 << 40)
        context.populate_array(
            array, data=builder.inttoptr(args[0], data.as_pointer()), shape=[length], strides=[itemsize],
            itemsize=itemsize, meminfo=None,
        )  # fmt: skip
        return array._getvalue()

    return kind(types.int64, like), emit


_operations: dict[str, Callable[..., None]] = {}
_compiled: dict[tuple[str, str], Any] = {}


def operation(function: Callable[..., None]) -> Callable[..., None]:
    """Make `function` one of the operations that graphs are made of: its name in capitals.

    It takes the address of its row, the number n of images in the chunk, the first of them, the chunk, the address of
    the thread's frame, and a pointer that only tells the type of the numbers.
    """
    _operations[function.__name__.upper()] = function
    return function


@in_turn  # of two compiled at once, one would be dropped while its address is in use
def address(name: str, dtype: np.dtype[Any]) -> int:
    """Where the operation called `name` lies, compiled for numbers of `dtype`."""
    key = name, dtype.name
    if key not in _compiled:
        signature = types.void(*[types.int64] * 5, types.CPointer(from_dtype(dtype)))
        _compiled[key] = callback(_operations[name], signature)
    return int(_compiled[key].address)
