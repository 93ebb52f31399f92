"""The images of a batch, gathered and prepared: x = pixels · scale + shift, the batch moved last."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types

from firstlight.kernels._interpreter import BYTE, LONG, view
from firstlight.kernels._vectors import INDEX, intrinsic
from firstlight.kernels.graph import Graph
from firstlight.kernels.operation import Step, Value, operation, step


@operation
def gather(graph: Graph) -> Value:
    """The input of a net."""
    x = graph.value(graph.input_shape)
    C, H, W = graph.input_shape
    graph.append(Gather(x, C, H * W))
    return x


# Images and bytes of a block of `turned`.
SIDE = 16


@step
class Gather(Step):
    """x (C, area, n)."""

    x: Value
    C: int
    area: int

    @staticmethod
    def loops(op, n, n0, chunk, frame, like):
        x, scale, shift = view(frame.arena, like), view(frame.scale, like), view(frame.shift, like)
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
                    batch = x[op.x + f * n + i0 : op.x + f * n + i0 + SIDE]
                    a, b = scale[f], shift[f]
                    for i in range(SIDE):
                        batch[i] = scale.dtype.type(block[k * SIDE + i]) * a + b
        for at in range(bytes_, length):
            f = at % C * area + at // C
            for i in range(blocks):
                pixel = pixels[index[n0 + i] * length + at]
                x[op.x + f * n + i] = scale.dtype.type(pixel) * scale[f] + shift[f]
        for i in range(blocks, n):
            image = pixels[index[n0 + i] * length : (index[n0 + i] + 1) * length]
            for c in range(C):
                to, a, b = x[op.x + c * area * n + i :], scale[c * area :], shift[c * area :]
                for k in range(area):
                    to[k * n] = scale.dtype.type(image[k * C + c]) * a[k] + b[k]


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
