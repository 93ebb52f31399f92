"""What convolution and pooling share: a window that slides over an image, with zeros round it or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge

from firstlight.constraints import Words
from firstlight.kernels import Padding, Pair, output_size
from firstlight.layers.base import Layer
from firstlight.types import Array, Shape

Positive = Annotated[int, Ge(1)]
Natural = Annotated[int, Ge(0)]
# One number for both directions, or (rows, columns).
Size = Annotated[Positive | tuple[Positive, Positive], Words("an integer from 1 or a pair of them")]
# "valid" (none), "same" (output ⌈size / stride⌉), one number, (rows, columns) or ((top, bottom), (left, right)).
Border = Annotated[
    Literal["valid", "same"]
    | Natural
    | tuple[Natural, Natural]
    | tuple[tuple[Natural, Natural], tuple[Natural, Natural]],
    Words('"valid", "same", an integer from 0, a pair of them or ((top, bottom), (left, right))'),
]


def pair(size: Size) -> Pair:
    return size if isinstance(size, tuple) else (size, size)


def padding_of(border: Border, size: Pair, window: Pair, stride: Pair) -> Padding:
    """The zeros round an image of `size`. "same" puts an odd one at the bottom or right, as TensorFlow does."""
    if border == "valid":
        return (0, 0), (0, 0)
    if border == "same":
        rows, columns = (max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, window, stride, strict=True))
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    assert not isinstance(border, str)
    vertical, horizontal = (border, border) if isinstance(border, int) else border
    return _sides(vertical), _sides(horizontal)


def slide(layer: Layer, input_shape: Shape, window: Pair, stride: Pair, border: Border) -> Pair:
    """The (H', W') of the layer's output. Raises ModelError where the window does not fit."""
    if len(input_shape) != 3:
        raise layer.misfit(
            input_shape, "it takes images (C, H, W)", "Put it before Flatten, or Reshape to an image first."
        )
    size = (input_shape[1], input_shape[2])
    padding = padding_of(border, size, window, stride)
    height, width = output_size(size, window, stride, padding)
    if height < 1 or width < 1:
        raise layer.misfit(
            input_shape,
            f"its window {window} is larger than the image with its padding {padding}",
            'Choose a smaller window, padding "same", less pooling before it, or larger images.',
        )
    return height, width


@dataclass(frozen=True)
class Window:
    """A window that slides over an image: which pixels meet which outputs at which tap.

    Each method gives three arrays of equal length: of taps (row, column), pixels (row, column) or outputs, int64. What
    lies in the padding is left out, as it is no pixel.
    """

    kernel: Pair
    stride: Pair
    padding: Padding
    size: Pair
    out: Pair

    @classmethod
    def over(cls, size: Pair, kernel: Pair, stride: Pair, border: Border) -> Window:
        """The window over an image of `size` (H, W)."""
        padding = padding_of(border, size, kernel, stride)
        return cls(kernel, stride, padding, size, output_size(size, kernel, stride, padding))

    def seen_by(self, i: int, j: int) -> tuple[Array, Array, Array, Array]:
        """Of the output (i, j): the taps u, v and the pixels h, w that it sees, tap by tap."""
        u, v = _grid(*self.kernel)
        u, v, h, w, _, _ = self._inside(u, v, np.full_like(u, i), np.full_like(v, j))
        return u, v, h, w

    def sent_to(self, h: int, w: int) -> tuple[Array, Array, Array, Array]:
        """Of the pixel (h, w): the taps u, v and the outputs i, j that see it."""
        u, v = _grid(*self.kernel)
        (top, _), (left, _) = self.padding
        (i, off_i), (j, off_j) = np.divmod(h + top - u, self.stride[0]), np.divmod(w + left - v, self.stride[1])
        held = (off_i == 0) & (off_j == 0) & (i >= 0) & (j >= 0) & (i < self.out[0]) & (j < self.out[1])
        return u[held], v[held], i[held], j[held]

    def met_at(self, u: int, v: int) -> tuple[Array, Array, Array, Array]:
        """At the tap (u, v): the pixels h, w and the outputs i, j that meet there."""
        i, j = _grid(*self.out)
        _, _, h, w, i, j = self._inside(np.full_like(i, u), np.full_like(j, v), i, j)
        return h, w, i, j

    def _inside(self, u: Array, v: Array, i: Array, j: Array) -> tuple[Array, ...]:
        """(u, v, h, w, i, j) of those that meet a pixel."""
        (top, _), (left, _) = self.padding
        h, w = i * self.stride[0] + u - top, j * self.stride[1] + v - left
        inside = (h >= 0) & (w >= 0) & (h < self.size[0]) & (w < self.size[1])
        return tuple(each[inside] for each in (u, v, h, w, i, j))


def _grid(rows: int, columns: int) -> tuple[Array, Array]:
    """All (row, column), row by row."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    return row, column


def twin_padding(torch: Any, x: Any, padding: Padding, value: float, most: Pair | None = None) -> tuple[Any, Pair]:
    """What PyTorch's windows need for `padding`: x, and the even padding (rows, columns) that they add themselves.

    Where it is uneven, or more than the half window (of `most`) that PyTorch's poolings take, x comes back padded.
    """
    (top, bottom), (left, right) = padding
    even = top == bottom and left == right
    if even and (most is None or (2 * top <= most[0] and 2 * left <= most[1])):
        return x, (top, left)
    return torch.nn.functional.pad(x, (left, right, top, bottom), value=value), (0, 0)


@dataclass(frozen=True)
class Pool2D(Layer):
    """The base of the poolings: a window that slides over each channel.

    size     the size of the window (rows, columns); one number for a square
    stride   the stride (down, to the right); the size of the window by default
    padding  padding around the image: none ("valid"), as much as gives y the size of x divided by the stride ("same"),
             or its width at each side
    """

    size: Size = 2
    stride: Size | None = None
    padding: Border = "valid"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.padding, str):
            fits = all(max(side) < k for side, k in zip(self._padding((1, 1)), self._window[0], strict=True))
            self.require("padding", fits, f"less than the size {self.size}, so that each window holds a pixel")

    @property
    def _window(self) -> tuple[Pair, Pair]:
        """The window and its stride."""
        size = pair(self.size)
        return size, size if self.stride is None else pair(self.stride)

    def _padding(self, size: Pair) -> Padding:
        return padding_of(self.padding, size, *self._window)

    def output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *slide(self, input_shape, *self._window, self.padding))


def _sides(side: Size) -> Pair:
    return side if isinstance(side, tuple) else (side, side)
