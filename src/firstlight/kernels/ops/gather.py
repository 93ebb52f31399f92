"""The images of a batch, gathered and prepared: x = pixels · scale + shift, the batch moved last."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types

from firstlight.kernels._interpreter import BYTE, LONG, view
from firstlight.kernels._jit import inner
from firstlight.kernels._vectors import INDEX, Emitter, intrinsic
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Cut, Memory, Step, Value, operation, step


@operation
def gather(graph: Graph) -> Value:
    """The input of a net."""
    x = graph.value(graph.input_shape)
    C, H, W = graph.input_shape
    graph.append(Gather(x, C, H * W))
    return x


GATHERED = 1  # so many steps have been done when the images are there
# Images and bytes of a block of `turned`.
SIDE = 16


def images_of(graph: Graph) -> Memory | None:
    """Where the images of a net lie."""
    first = graph.steps[0]
    return first.x.memory if isinstance(first, Gather) else None


def each_gathers(graph: Graph) -> bool:
    """Whether nobody needs a thread's images by themselves, so that where they are shared out each may gather all."""
    memory = images_of(graph)
    readers = [step for step in graph.steps[GATHERED:] if any(value.memory is memory for value in step.values())]
    return bool(readers) and all(step.reads_batch for step in readers)


@step
class Gather(Step):
    """x (C, area, n)."""

    x: Value
    C: int
    area: int

    def ready(self, cut: Cut) -> Step:
        return GatherBatch(self.C, self.area) if cut.batch else self

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        _gather(op, view(frame.arena, like), op.x, n, n0, frame, like)


@step
class GatherBatch(Step):
    """The same of all images, in each thread."""

    C: int
    area: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        _gather(op, view(frame.batch, like), 0, frame.images, 0, frame, like)


@inner
def _gather(op, x, start, n, n0, frame, like):
    """x[start + f · n + i] = the f-th number of the i-th of n images from the n0-th on."""
    scale, shift = view(frame.scale, like), view(frame.shift, like)
    index, pixels = view(frame.index, LONG), view(frame.pixels, BYTE)
    C, area = op.C, op.area
    length = C * area
    blocks, bytes_ = n // SIDE * SIDE, length // SIDE * SIDE
    block = np.empty(SIDE * SIDE, np.uint8)
    for at in range(0, bytes_, SIDE):
        for i0 in range(0, blocks, SIDE):
            turned(pixels, index, n0 + i0, length, at, block)
            for k in range(SIDE):
                f = (at + k) % C * area + (at + k) // C if C > 1 else at + k
                _prepare(block, k * SIDE, x, start + f * n + i0, scale, shift, f)
    for at in range(bytes_, length):
        f = at % C * area + at // C
        for i in range(blocks):
            pixel = pixels[index[n0 + i] * length + at]
            x[start + f * n + i] = scale.dtype.type(pixel) * scale[f] + shift[f]
    for i in range(blocks, n):
        image = pixels[index[n0 + i] * length : (index[n0 + i] + 1) * length]
        for c in range(C):
            to, a, b = x[start + c * area * n + i :], scale[c * area :], shift[c * area :]
            for k in range(area):
                to[k * n] = scale.dtype.type(image[k * C + c]) * a[k] + b[k]


@intrinsic
def _prepare(_, block, at, x, to, scale, shift, f):
    """x[to + i] = block[at + i] · scale[f] + shift[f] for SIDE bytes."""

    def emit(context, builder, signature, args):
        block_, at_, x_, to_, scale_, shift_, f_ = args
        e = Emitter(context, builder, x.dtype)
        seen = builder.bitcast(e.at(block, block_, at_), ir.VectorType(ir.IntType(8), SIDE).as_pointer())
        number = ir.VectorType(e.scalar, SIDE)
        factor, offset = (
            builder.shuffle_vector(
                builder.insert_element(
                    ir.Constant(number, None), builder.load(e.at(kind, array, f_)), ir.IntType(32)(0)
                ),
                ir.Constant(number, None),
                ir.Constant(ir.VectorType(ir.IntType(32), SIDE), None),
            )
            for kind, array in ((scale, scale_), (shift, shift_))
        )
        value = builder.uitofp(builder.load(seen, align=1), number)
        value = builder.fadd(builder.fmul(value, factor), offset)
        target = builder.bitcast(e.at(x, x_, to_), number.as_pointer())
        builder.store(value, target, align=e.itemsize)
        return context.get_dummy_value()

    i = types.intp
    return types.void(block, i, x, i, scale, shift, i), emit


@intrinsic
def turned(_, pixels, index, first, length, at, block):
    """block[k · SIDE + i] = pixels[index[first + i] · length + at + k]: SIDE bytes of as many images, transposed."""

    def emit(context, builder, signature, args):
        pixels_, index_, first_, length_, at_, block_ = args
        kind = ir.VectorType(ir.IntType(8), SIDE)
        bytes_ = context.make_array(pixels)(context, builder, pixels_).data
        indices = context.make_array(index)(context, builder, index_).data
        rows = []
        for i in range(SIDE):
            image = builder.load(builder.gep(indices, [builder.add(first_, INDEX(i))]))
            address = builder.gep(bytes_, [builder.add(builder.mul(image, length_), at_)])
            rows.append(builder.load(builder.bitcast(address, kind.as_pointer()), align=1))
        # Four perfect shuffles of sixteen rows make columns of them.
        halves = [
            ir.Constant(ir.VectorType(ir.IntType(32), SIDE), [n // 2 + half + n % 2 * SIDE for n in range(SIDE)])
            for half in (0, SIDE // 2)
        ]
        for _ in range(4):
            pairs = zip(rows[: SIDE // 2], rows[SIDE // 2 :], strict=True)
            rows = [builder.shuffle_vector(a, b, half) for a, b in pairs for half in halves]
        to = context.make_array(block)(context, builder, block_).data
        for k, row in enumerate(rows):
            address = builder.gep(to, [INDEX(k * SIDE)])
            builder.store(row, builder.bitcast(address, kind.as_pointer()), align=1)
        return context.get_dummy_value()

    i = types.int64
    return types.void(pixels, index, i, i, i, block), emit
