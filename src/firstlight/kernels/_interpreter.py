"""Runs a program: every thread takes its images through the whole net, forward and back, in one compiled call.

What a thread works on stays in its own cache from layer to layer, nothing is allocated, and threads wait for each other
only where the mathematics does: batch norm needs the statistics of all images. Each step of a program is a row: the
address of its loops, and the record that they read. Loops are compiled one by one when a program first asks for them,
and kept on disk, so that a net waits only for the steps that it has.

Values lie one after another in a thread's arena, (features, n) each for the n images of a chunk.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, prange, types

from firstlight.kernels._jit import callback, inner, parallel
from firstlight.kernels._vectors import intrinsic
from firstlight.kernels.lock import in_turn
from firstlight.kernels.operation import Step, Subroutine

# Where a thread finds what it works with, by the dtype of what lies there; None is that of the net's numbers.
ADDRESSES: dict[str, Any] = {
    "arena": None,  # values of this thread
    "winners": np.uint8,  # of pooling
    "scratch": None,  # for strips
    "exchange": None,  # what other threads read
    "batch": None,  # (features, images): all images, where a thread gathers them for itself
    "gradient": None,  # this thread's sum: see `gradient_sums`
    "theta": None,  # the weights
    "tables": np.int32,  # what convolutions need to know of their shapes
    "class_weights": np.float64,
    "statistics": np.float64,  # (chunks, ·): what batch norm tells the others
    "index": np.int64,  # the images of the batch
    "labels": np.int64,  # of each of them
    "pixels": np.uint8,  # (all images, H W C)
    "scale": None,  # (C, H W)
    "shift": None,
    "masks": np.uint8,  # (features, images): dropout's masks
    "outputs": None,  # (K, images) of the net
    "output_gradients": None,  # the same shape: the gradient with respect to them, where Python works out the loss
    "losses": np.float64,  # of each image
    "correct": np.uint8,  # whether the most probable class is the label
}
# Of a thread alone; the others are of all.
OWN = ("arena", "winners", "scratch", "exchange", "batch", "gradient")
# Images of the batch and of a chunk, of which the last may have fewer; threads; what lies between the statistics of
# chunks; and whether this is the thread's first chunk. Bytes between the memories of threads.
NUMBERS = ("images", "size", "workers", "statistics_step", "fresh", "arena_step", "exchange_step", "gradient_step")
FRAME = np.dtype([(name, np.int64) for name in (*ADDRESSES, *NUMBERS)])

LONG, BYTE, HALF, SINGLE, DOUBLE = np.int64(0), np.uint8(0), np.int16(0), np.int32(0), np.float64(0)


@parallel
def run(ops, bounds, frames):
    """Run the steps ops[·, bounds[0] : bounds[-1]], a row for chunks of full size and one for the rest.

    A thread takes a frame. All threads have done what is before a bound before one goes on behind it.
    """
    for k in range(len(bounds) - 1):
        for worker in prange(len(frames)):
            _run(np.int64(worker), ops, bounds[k], bounds[k + 1], frames)


@inner
def _run(worker, ops, first, end, frames):
    frame, at = frames[worker], frames[worker : worker + 1].ctypes.data
    images, size, workers = frame.images, frame.size, frame.workers
    for chunk in range(worker, -(-images // size), workers):
        n0 = chunk * size
        n = min(size, images - n0)
        row = ops[0 if n == size else 1]
        frame.fresh = chunk < workers
        for k in range(first, end):
            _call(row[k, 0], row[k].ctypes.data + 8, n, n0, chunk, at)


@parallel
def run_apart(ops, frames):
    """Run a step in each thread, each its own, for all images: a row and a frame for each."""
    for worker in prange(len(ops)):
        w = np.int64(worker)
        images, frame = frames[w].images, frames[w : w + 1].ctypes.data
        _call(ops[w, 0], ops[w].ctypes.data + 8, images, np.int64(0), np.int64(0), frame)


@intrinsic
def _call(_, function, op, n, n0, chunk, frame):
    """Call the loops at an address."""

    def emit(context, builder, signature, args):
        long = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [long] * 6)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [*args[1:], long(0)])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), emit


@intrinsic
def call(_, address, arguments):
    """Call the subroutine at an address with a tuple of integers."""

    def emit(context, builder, signature, args):
        long = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [long] * (len(arguments) + 1))
        numbers = [builder.extract_value(args[1], i) for i in range(len(arguments))]
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [*numbers, long(0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, len(arguments))), emit


@intrinsic
def view(_, address, like):
    """The array at `address`, of the type of `like`, a scalar or a pointer; nobody checks its length."""
    kind = types.Array(like.dtype if isinstance(like, types.CPointer) else like, 1, "C")

    def emit(context, builder, signature, args):
        array = context.make_array(kind)(context, builder)
        data = context.get_data_type(kind.dtype)
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(data))
        length = context.get_constant(types.intp, 1 << 60)
        context.populate_array(
            array, data=builder.inttoptr(args[0], data.as_pointer()), shape=[length], strides=[itemsize],
            itemsize=itemsize, meminfo=None,
        )  # fmt: skip
        return array._getvalue()

    return kind(types.int64, like), emit


@inner
def gradient_sums(frame, at, count, like):
    """The gradient of `count` weights from the one `at`, to add to: a thread's sum begins with its first chunk.

    This is the rule for all gradients with respect to weights; `product` alone, whose are large, asks `frame.fresh`
    itself and then begins with what it writes.
    """
    sums = view(frame.gradient, like)[at : at + count]
    if frame.fresh:
        sums[:] = 0
    return sums


_compiled: dict[tuple[str, str], Any] = {}


@in_turn  # of two compiled at once, one would be dropped while its address is in use
def address(what: type[Step] | Subroutine, dtype: np.dtype[Any]) -> int:
    """Where the loops of a step or a subroutine lie, compiled for numbers of `dtype`."""
    long: Any = types.int64
    like = types.CPointer(from_dtype(dtype))
    if isinstance(what, Subroutine):
        arguments = [long] * what.arguments
    else:
        arguments = [from_dtype(what.record), *[long] * 3, from_dtype(FRAME)]
    key = f"{what.loops.__module__}.{what.loops.__qualname__}", dtype.name
    if key not in _compiled:
        _compiled[key] = callback(what.loops, types.void(*arguments, like))
    return int(_compiled[key].address)
