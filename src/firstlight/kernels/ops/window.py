"""What pooling and depthwise convolution have in common: windows that slide over each channel by itself."""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

from firstlight.kernels import Padding, Pair, output_size
from firstlight.kernels._jit import inner
from firstlight.kernels.operation import Step, step
from firstlight.types import Shape

# The fields of `Window`, in their order.
Fields = tuple[int, int, int, int, int, int, int, int, int, int, int]


def window_of(shape: Shape, size: Pair, stride: Pair, padding: Padding) -> Fields:
    """The fields for images (C, H, W)."""
    C, H, W = shape
    return (C, H, W, *output_size((H, W), size, stride, padding), *size, *stride, padding[0][0], padding[1][0])


@step
class Window(Step):
    """The fields of a step from (C, H, width) to images of Hy × Wy, by windows of kh × kw that move by sh and sw.

    The first of them begins `top` rows above the image and `left` columns before it.
    """

    C: int
    H: int
    width: int
    Hy: int
    Wy: int
    kh: int
    kw: int
    sh: int
    sw: int
    top: int
    left: int


@inner
def windows_of_tap(tap, stride, before, size, out):
    """The first and the end of the windows, of `out`, whose tap hits a pixel of `size`."""
    return max(0, -((tap - before) // stride)), min(out, (size - 1 - tap + before) // stride + 1)
