"""The compiled kernels equal the reference, and the reference equals sums written out by hand."""

# ruff: noqa: E741  (O is the number of filters)

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from firstlight.kernels import Kernels, Padding, Pair, compiled, load, output_size, pad, reference
from firstlight.types import Array

TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}
quick = settings(max_examples=25, deadline=None, derandomize=True)


class Case(NamedTuple):
    """One geometry of a convolution or pooling; O is not used by pooling."""

    C: int
    size: Pair
    N: int
    O: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))

    @property
    def out(self) -> Pair:
        return output_size(self.size, self.kernel, self.stride, self.padding)

    def draw(self, dtype: type, seed: int = 0) -> tuple[Array, Array, Array, Array]:
        """x, W, b and dy."""
        rng = np.random.default_rng(seed)
        shapes = ((self.C, *self.size, self.N), (self.O, self.C, *self.kernel), (self.O,), (self.O, *self.out, self.N))
        x, W, b, dy = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
        return x, W, b, dy


@st.composite
def cases(draw: st.DrawFn, largest_kernel: int = 7) -> Case:
    kernel = draw(st.tuples(*[st.integers(1, largest_kernel)] * 2))
    padding: Any = tuple(draw(st.tuples(*[st.integers(0, k - 1)] * 2)) for k in kernel)
    size: Any = tuple(draw(st.integers(max(1, k - sum(p)), 12)) for k, p in zip(kernel, padding, strict=True))
    stride = draw(st.tuples(*[st.integers(1, 3)] * 2))
    C, N, O = draw(st.integers(1, 9)), draw(st.sampled_from([1, 2, 7, 16, 32, 33])), draw(st.integers(1, 17))
    return Case(C, size, N, O, kernel, stride, padding)


# A shape for each way through the tiles: tall and short, few and many channels, several strips, images by blocks.
SAME3, SAME5 = ((1, 1), (1, 1)), ((2, 2), (2, 2))
LAYERS = {
    "lenet5 conv1": Case(1, (28, 28), 32, 6, (5, 5), padding=SAME5),
    "lenet5 conv2": Case(6, (14, 14), 32, 16, (5, 5)),
    "lenet5 conv3, a product": Case(16, (5, 5), 32, 120, (5, 5)),
    "one image": Case(6, (14, 14), 1, 16, (5, 5)),
    "seven images": Case(3, (9, 8), 7, 5, (3, 3), padding=SAME3),
    "an odd batch": Case(3, (9, 8), 33, 7, (3, 3), padding=SAME3),
    "wide": Case(64, (8, 8), 64, 40, (3, 3), padding=SAME3),
    "wide, blocks of images and a rest": Case(96, (16, 16), 70, 9, (3, 3), padding=SAME3),
    "wide, strided": Case(48, (15, 16), 64, 11, (3, 3), (2, 2), SAME3),
    "more taps than pixels": Case(2, (3, 2), 5, 3, (7, 6), padding=((3, 3), (2, 3))),
    "a stride beyond the kernel": Case(2, (11, 10), 9, 3, (2, 1), (3, 3)),
    "1x1": Case(5, (6, 7), 16, 8, (1, 1)),
    "a row left over": Case(2, (8, 9), 4, 3, (3, 3), (2, 2)),
}


def convolutions(kernels: Any, case: Case, dtype: type) -> dict[str, Array]:
    x, W, b, dy = case.draw(dtype)
    return {
        "y": kernels.conv2d(x, W, b, case.stride, case.padding),
        "y without b": kernels.conv2d(x, W, None, case.stride, case.padding),
        "dx": kernels.conv2d_dx(dy, W, case.stride, case.padding, case.size),
        "dW": kernels.conv2d_dW(x, dy, case.stride, case.padding, case.kernel),
    }


def pools(kernels: Any, case: Case, dtype: type) -> dict[str, Array]:
    rng = np.random.default_rng(1)
    x = rng.integers(-3, 4, (case.C, *case.size, case.N)).astype(dtype)  # with many ties
    dy = rng.standard_normal((case.C, *case.out, case.N)).astype(dtype)
    window = (case.kernel, case.stride, case.padding)
    y, where = kernels.max_pool(x, *window)
    return {
        "max": y,
        "where": where,
        "max dx": kernels.max_pool_dx(dy, where, *window, case.size),
        "mean": kernels.avg_pool(x, *window),
        "mean dx": kernels.avg_pool_dx(dy, *window, case.size),
    }


def assert_equal(found: dict[str, Array], expected: dict[str, Array], dtype: Any) -> None:
    """Equal in dtype and shape, and within the tolerance of the largest value."""
    for name, truth in expected.items():
        assert found[name].dtype == truth.dtype, name
        assert found[name].shape == truth.shape, name
        error = np.abs(found[name] - truth).max() / max(1e-30, np.abs(truth).max())
        assert error <= TOLERANCE[dtype], f"{name}: {error:.1e}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@quick
@given(case=cases())
def test_compiled_convolutions_equal_the_reference(dtype: type, case: Case) -> None:
    assert_equal(convolutions(compiled, case, dtype), convolutions(reference, case, dtype), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS.keys())
def test_compiled_convolutions_equal_the_reference_on_layers(dtype: type, case: Case) -> None:
    assert_equal(convolutions(compiled, case, dtype), convolutions(reference, case, dtype), dtype)


@pytest.mark.parametrize("N", [1, 7, 32, 33, 64])
@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 10, 32])
def test_batches_and_channels_of_every_remainder(N: int, k: int, channels: int) -> None:
    case = Case(channels, (7, 6), N, channels, (k, k), padding=((k // 2, k // 2), (k // 2, k // 2)))
    assert_equal(convolutions(compiled, case, np.float32), convolutions(reference, case, np.float32), np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@quick
@given(case=cases(largest_kernel=3))
def test_compiled_pools_equal_the_reference(dtype: type, case: Case) -> None:
    assert_equal(pools(compiled, case, dtype), pools(reference, case, dtype), dtype)


@quick
@given(case=cases(largest_kernel=4))
def test_the_reference_convolves_as_scipy_does(case: Case) -> None:
    x, W, b, _ = case.draw(np.float64)
    y = reference.conv2d(x, W, b, case.stride, case.padding)
    padded, (sh, sw) = pad(x, case.padding), case.stride
    for o, n in itertools.product(range(min(case.O, 2)), range(min(case.N, 2))):
        expected = correlate(padded[..., n], W[o], "valid")[0, ::sh, ::sw] + b[o]
        np.testing.assert_allclose(y[o, ..., n], expected, rtol=1e-10, atol=1e-10)


@quick
@given(case=cases())
def test_the_gradients_are_adjoint_to_the_convolution(case: Case) -> None:
    """⟨dy, conv(x, W)⟩ = ⟨dx, x⟩ = ⟨dW, W⟩, for a map that is linear in x and in W."""
    x, W, _, dy = case.draw(np.float64)
    product = np.vdot(dy, reference.conv2d(x, W, None, case.stride, case.padding))
    dx = reference.conv2d_dx(dy, W, case.stride, case.padding, case.size)
    dW = reference.conv2d_dW(x, dy, case.stride, case.padding, case.kernel)
    np.testing.assert_allclose([np.vdot(dx, x), np.vdot(dW, W)], product, rtol=1e-9, atol=1e-9)


@quick
@given(case=cases(largest_kernel=3))
def test_the_reference_pools_as_loops_do(case: Case) -> None:
    x = np.random.default_rng(1).integers(-3, 4, (case.C, *case.size, case.N)).astype(float)
    found = pools(reference, case, np.float64)
    (top, _), (left, _) = case.padding
    for c, i, j, n in np.ndindex(case.C, *case.out, min(case.N, 2)):
        inside = {
            r * case.kernel[1] + s: x[c, u, v, n]
            for r, s in np.ndindex(*case.kernel)
            if 0 <= (u := i * case.stride[0] + r - top) < case.size[0]
            and 0 <= (v := j * case.stride[1] + s - left) < case.size[1]
        }
        first = max(inside, key=lambda position: inside[position])
        assert found["max"][c, i, j, n] == inside[first]
        assert found["where"][c, i, j, n] == first
        assert found["mean"][c, i, j, n] == pytest.approx(np.mean(list(inside.values())), abs=1e-12)


@quick
@given(case=cases(largest_kernel=3))
def test_pooling_gradients_are_adjoint_to_the_pools(case: Case) -> None:
    rng = np.random.default_rng(2)
    x, dy = rng.standard_normal((case.C, *case.size, case.N)), rng.standard_normal((case.C, *case.out, case.N))
    window = (case.kernel, case.stride, case.padding)
    y, where = reference.max_pool(x, *window)
    largest = reference.max_pool_dx(dy, where, *window, case.size)
    mean = reference.avg_pool_dx(dy, *window, case.size)
    np.testing.assert_allclose(np.vdot(largest, x), np.vdot(dy, y), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.vdot(mean, x), np.vdot(dy, reference.avg_pool(x, *window)), rtol=1e-9, atol=1e-9)


def _swapped(padding: Padding) -> Padding:
    (top, bottom), (left, right) = padding
    return (bottom, top), (right, left)


class _Broken:
    """The reference with one convolution spoilt."""

    conv2d = staticmethod(reference.conv2d)
    conv2d_dx = staticmethod(reference.conv2d_dx)
    conv2d_dW = staticmethod(reference.conv2d_dW)  # noqa: N815

    def __init__(self, name: str, spoilt: Callable[..., Array]) -> None:
        setattr(self, name, spoilt)


BROKEN = {
    "padding on the wrong sides": _Broken("conv2d", lambda x, W, b, s, p: reference.conv2d(x, W, b, s, _swapped(p))),
    "convolved, not correlated": _Broken(
        "conv2d", lambda x, W, b, s, p: reference.conv2d(x, W[:, :, ::-1, ::-1], b, s, p)
    ),
    "the bias forgotten": _Broken("conv2d", lambda x, W, b, s, p: reference.conv2d(x, W, None, s, p)),
    "dx by the unflipped kernel": _Broken(
        "conv2d_dx", lambda dy, W, s, p, size: reference.conv2d_dx(dy, W[:, :, ::-1, ::-1], s, p, size)
    ),
    "dW without the last image": _Broken(
        "conv2d_dW", lambda x, dy, s, p, size: reference.conv2d_dW(x[..., :-1], dy[..., :-1], s, p, size)
    ),
    "float64 throughout": _Broken(
        "conv2d_dW", lambda x, dy, s, p, size: reference.conv2d_dW(x.astype(float), dy, s, p, size)
    ),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_the_comparison_rejects_a_broken_kernel(broken: _Broken) -> None:
    case = Case(2, (6, 7), 5, 3, (3, 2), (1, 2), ((0, 2), (1, 0)))
    with pytest.raises(AssertionError):
        assert_equal(convolutions(broken, case, np.float32), convolutions(reference, case, np.float32), np.float32)


@pytest.mark.parametrize("kernels", [reference, compiled], ids=["reference", "compiled"])
def test_long_sums_in_float32_stay_near_float64(kernels: Kernels) -> None:
    """Sums of 50,000 terms of one sign, where an error that grows with each term shows."""
    case = Case(2, (28, 28), 64, 2, (3, 3), padding=SAME3)
    x, _, _, dy = (np.abs(v) for v in case.draw(np.float64))
    single = kernels.conv2d_dW(x.astype(np.float32), dy.astype(np.float32), case.stride, case.padding, case.kernel)
    exact = reference.conv2d_dW(x, dy, case.stride, case.padding, case.kernel)
    np.testing.assert_allclose(single, exact, rtol=1e-5)


@pytest.mark.parametrize("kernels", [reference, compiled], ids=["reference", "compiled"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_so(kernels: Kernels, bad: float) -> None:
    case = Case(3, (8, 9), 33, 4, (3, 3), padding=SAME3)
    x, W, b, dy = case.draw(np.float32)
    x[1, 4, 4, 32] = dy[2, 4, 4, 32] = bad
    with np.errstate(invalid="ignore"):
        y = kernels.conv2d(x, W, b, case.stride, case.padding)
        dx = kernels.conv2d_dx(dy, W, case.stride, case.padding, case.size)
        dW = kernels.conv2d_dW(x, dy, case.stride, case.padding, case.kernel)
        means = kernels.avg_pool(x, (2, 2), (2, 2), ((0, 0), (0, 0)))
        largest, _ = kernels.max_pool(x, (2, 2), (2, 2), ((0, 0), (0, 0)))
    window = np.zeros(x.shape[1:], bool)
    window[3:6, 3:6, 32] = True
    assert not np.isfinite(y[:, window]).any()
    assert np.isfinite(y[:, ~window]).all()
    assert not np.isfinite(dx[:, window]).any()
    assert np.isfinite(dx[:, ~window]).all()
    assert not np.isfinite(dW[:, 1]).any()
    assert not np.isfinite(dW[2]).any()
    assert not np.isfinite([means[1, 2, 2, 32], largest[1, 2, 2, 32]]).any()
    assert np.isfinite(largest).sum() == largest.size - 1


@pytest.mark.parametrize("name", ["lenet5 conv1", "lenet5 conv3, a product", "wide, blocks of images and a rest"])
def test_the_same_inputs_give_the_same_bits(name: str) -> None:
    """Whatever was computed between, here something full of NaN, whose memory the kernels use again."""
    case = LAYERS[name]
    first = convolutions(compiled, case, np.float32)
    x, W, _, dy = (np.full_like(v, np.nan) for v in case.draw(np.float32))
    compiled.conv2d_dW(x, dy, case.stride, case.padding, case.kernel)
    compiled.conv2d_dx(dy, W, case.stride, case.padding, case.size)
    second = convolutions(compiled, case, np.float32)
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key], strict=True)


def test_one_thread_computes_what_two_do() -> None:
    case, threads = LAYERS["wide, strided"], numba.get_num_threads()
    expected = convolutions(reference, case, np.float64)
    try:
        numba.set_num_threads(1)
        assert_equal(convolutions(compiled, case, np.float64), expected, np.float64)
    finally:
        numba.set_num_threads(threads)


@pytest.mark.parametrize("kernels", [reference, compiled], ids=["reference", "compiled"])
def test_views_are_read_as_what_they_show(kernels: Kernels) -> None:
    """Arrays that are not contiguous, or may not be written."""
    case = Case(4, (6, 5), 8, 3, (3, 3))
    x, W, b, dy = case.draw(np.float64)
    x, W = x[::2, :, ::-1], W[:, ::2]
    x.flags.writeable = False
    y = kernels.conv2d(x, W, b, case.stride, case.padding)
    np.testing.assert_allclose(y, reference.conv2d(x.copy(), W.copy(), b, case.stride, case.padding))
    dW = kernels.conv2d_dW(x, dy, case.stride, case.padding, case.kernel)
    np.testing.assert_allclose(dW, reference.conv2d_dW(x.copy(), dy, case.stride, case.padding, case.kernel))


def test_the_first_of_equals_wins_and_padding_never_does() -> None:
    x = np.full((1, 3, 3, 2), -np.inf)
    x[0, 1, 1, 1] = np.nan
    for kernels in (reference, compiled):
        y, where = kernels.max_pool(x, (2, 2), (2, 2), ((1, 0), (1, 0)))
        assert where.dtype == np.uint8
        assert (y[..., 0] == -np.inf).all()
        np.testing.assert_array_equal(where[0, ..., 0], [[3, 2], [1, 0]])
        assert np.isnan(y[0, 1, 1, 1])
        assert where[0, 1, 1, 1] == 0


def test_no_images_give_no_outputs_and_no_gradient() -> None:
    for case in (Case(2, (6, 5), 0, 3, (3, 3)), Case(2, (3, 3), 0, 3, (3, 3))):
        found = convolutions(compiled, case, np.float32) | pools(compiled, case, np.float32)
        assert not found.pop("dW").any()
        assert all(value.size == 0 for value in found.values())


def test_a_window_of_more_than_256_pixels_is_left_to_the_reference() -> None:
    case = Case(2, (19, 18), 3, 1, (17, 16))
    found = pools(compiled, case, np.float32)
    assert found["where"].dtype == np.int32
    assert_equal(found, pools(reference, case, np.float32), np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("C", [1, 3])
@pytest.mark.parametrize("count", [1, 7, 33])
def test_gather(dtype: type, C: int, count: int) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (50, 9, 8, C), np.uint8)
    pixels.flags.writeable = False
    index = rng.integers(0, 50, count)
    scale, shift = (rng.standard_normal((C, 9, 8)).astype(dtype) for _ in range(2))
    found, expected = (kernels.gather(pixels, index, scale, shift) for kernels in (compiled, reference))
    assert found.dtype == expected.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    c, row, column, n = C - 1, 4, 3, count - 1
    by_hand = pixels[index[n], row, column, c] * scale[c, row, column] + shift[c, row, column]
    assert expected[c, row, column, n] == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("axes", [(0, 2, 3, 1), (3, 1, 2, 0), (1, 0, 2, 3)])
def test_gather_reads_views(axes: tuple[int, ...]) -> None:
    """Taken from a view, images may lie in an order that is the view's: `pixels[index]` is not contiguous either."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 6, 6), np.uint8).transpose(axes)
    one = np.ones((pixels.shape[3], *pixels.shape[1:3]), np.float32)
    for index in (np.array([2]), np.array([0, 2, 1])):
        found, expected = (kernels.gather(pixels, index, one, 0 * one) for kernels in (compiled, reference))
        np.testing.assert_array_equal(found, expected)


def test_gather_refuses_an_image_that_is_not_there() -> None:
    pixels, one = np.zeros((2, 3, 3, 1), np.uint8), np.ones((1, 3, 3))
    for index in ([2], [-1]):
        with pytest.raises(IndexError, match="gather"):
            compiled.gather(pixels, np.array(index), one, one)


def test_both_modules_answer_to_their_names() -> None:
    assert load() is compiled
    assert load("reference") is reference
