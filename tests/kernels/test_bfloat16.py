"""Products of factors in bfloat16: the tiles and dots are those of rounded factors, and a net learns by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit

from firstlight.engines import Task, open_engine
from firstlight.engines.numpy import NumpyEngine, NumpySession
from firstlight.errors import ExperimentError
from firstlight.kernels import _vectors
from firstlight.kernels._tiles import FROM_BIAS, _register_tile
from firstlight.layers import BatchNorm, Chain, Conv2D, Dense, Flatten, MaxPool2D, ReLU
from firstlight.losses import CrossEntropy
from firstlight.models import Model
from firstlight.optimizers import SGD
from firstlight.prepare import Preparation
from firstlight.types import Array, Images

# A wide 3×3 convolution, by Winograd's way, between one with an odd number of channels and one with a stride.
NET = Chain((
    Conv2D(17, 3, padding="same"), ReLU(), Conv2D(16, 3, padding="same"), BatchNorm(), ReLU(), MaxPool2D(2),
    Conv2D(18, 3, stride=2), ReLU(), Flatten(), Dense(10),
))  # fmt: skip


def rounded(x: Array) -> Array:
    """float32 to the nearest bfloat16, of two the even one; written down as float32."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    nearest = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return nearest.view(np.float32)


def pairs(x: Array) -> Array:
    """Rows two by two, as int32: the first of each in the lower half."""
    bits = rounded(x).view(np.uint32)
    return (bits[::2] >> 16 | bits[1::2]).view(np.int32)


def tile() -> Callable[..., None]:
    """A register tile of 4 × 2 vectors, compiled again."""

    @njit
    def product(x: Any, W: Any, bias: Any, taps: Any, y: Any) -> None:
        row = y.shape[1]
        _register_tile(
            4, 2, x.reshape(-1), 0, W.reshape(-1), 0, W.shape[1], taps.reshape(-1), 0, len(taps), bias, 0,
            y.ctypes.data, row, FROM_BIAS, False,
        )  # fmt: skip

    return product


@pytest.mark.parametrize("imitated", [False, True], ids=["as the processor has it", "imitated"])
def test_a_tile_is_the_product_of_rounded_factors(monkeypatch: pytest.MonkeyPatch, imitated: bool) -> None:
    if imitated:
        monkeypatch.setattr(_vectors, "HAS_BFLOAT16", False)
    random = np.random.default_rng(0)
    lanes, K = _vectors.VECTOR_BYTES // 4, 38
    x, W = random.standard_normal((K, 2 * lanes)).astype("f4"), random.standard_normal((4, K)).astype("f4")
    bias, y = random.standard_normal(4).astype("f4"), np.zeros((4, 2 * lanes), np.float32)
    k = np.arange(K // 2, dtype=np.int32)
    packed = np.ascontiguousarray(pairs(W.T).T)
    tile()(pairs(x), packed, bias, np.stack([k * 2 * lanes, k], 1).astype(np.int32), y)
    exact = rounded(W).astype(float) @ rounded(x).astype(float) + bias[:, None]
    assert np.abs(y - exact).max() < 1e-5
    assert np.abs(y - (W.astype(float) @ x + bias[:, None])).max() > 1e-3, "the factors were not rounded"


@pytest.mark.parametrize("imitated", [False, True], ids=["as the processor has it", "imitated"])
def test_numbers_are_rounded_to_the_nearest(monkeypatch: pytest.MonkeyPatch, imitated: bool) -> None:
    if imitated:
        monkeypatch.setattr(_vectors, "HAS_BFLOAT16", False)

    @njit
    def bits(x: Any, to: Any, vectors: Any) -> None:
        _vectors.narrow(x, to, vectors)

    random, lanes = np.random.default_rng(2), _vectors.VECTOR_BYTES // 4
    x = (random.standard_normal(64 * lanes) * 10.0 ** random.integers(-20, 20, 64 * lanes)).astype(np.float32)
    x.view(np.uint32)[:lanes] &= 0xFFFF8000  # as near to the number below as to that above
    x[lanes : lanes + 5] = 0, -0.0, np.inf, -np.inf, np.finfo(np.float32).max
    to = np.zeros(x.size, np.int16)
    bits(x, to, 64)
    assert np.array_equal(to.view(np.uint16), (rounded(x).view(np.uint32) >> 16).astype(np.uint16))
    x.view(np.uint32)[:] = np.linspace(0x7F800001, 0x7FFFFFFF, x.size).astype(np.uint32)
    x.view(np.uint32)[::2] |= 1 << 31
    bits(x, to, 64)
    assert np.isnan((to.view(np.uint16).astype(np.uint32) << 16).view(np.float32)).all()


@pytest.fixture(scope="module")
def images() -> Images:
    """48 images of 9×10 whose class can be seen."""
    random = np.random.default_rng(1)
    labels = np.arange(48) % 10
    pixels = random.integers(0, 90, (48, 9, 10, 3))
    pixels[np.arange(48), labels % 3 * 3, labels] += 160
    return Images(pixels.astype(np.uint8), labels, np.arange(48).astype(str), tuple("abcdefghij"))


@pytest.fixture(scope="module")
def sessions(images: Images) -> dict[bool, NumpySession]:
    """Of the same weights, in half precision and in float32."""
    task = Task(Model("net", NET, (9, 10, 3), 10), CrossEntropy(), Preparation.fit(images), SGD(momentum=0.9))
    return {half: NumpyEngine(half=half).session(task, images) for half in (True, False)}


def test_the_gradient_by_a_kernel_is_that_of_rounded_factors(
    sessions: dict[bool, NumpySession], images: Images
) -> None:
    """Of the last convolution, whose dy comes by float32 alone."""
    half, full = (sessions[kind].gradients(np.arange(48), 0, 0)[2].sum(0) for kind in (True, False))
    layout = sessions[True].layout
    dW = [np.asarray(layout.tree(np.append(g, sessions[True].vector()[len(g) :]))["conv3"]["W"]) for g in (half, full)]
    off = np.linalg.norm(dW[0] - dW[1]) / np.linalg.norm(dW[1])
    assert 1e-5 < off < 0.03, off
    every = np.linalg.norm(half - full) / np.linalg.norm(full)
    assert 1e-4 < every < 0.05, every


def test_a_gradient_by_large_tiles_stays_in_float32(images: Images) -> None:
    """Of the only wide convolution, whose x comes by float32 alone; by dots of bfloat16 it is half again as far off."""
    net = Chain((Conv2D(32, 3, padding="same"), Conv2D(32, 3, padding="same"), Flatten(), Dense(10)))
    preparation = Preparation.fit(images)
    task = Task(Model("net", net, (9, 10, 3), 10), CrossEntropy(), preparation, SGD())
    dW = []
    for half in (True, False):
        session = NumpyEngine(half=half).session(task, images)
        gradients = session.gradients(np.arange(48), 0, 0)[2].sum(0)
        dW.append(np.asarray(session.layout.tree(gradients)["conv2"]["W"]))
    off = np.linalg.norm(dW[0] - dW[1]) / np.linalg.norm(dW[1])
    assert 1e-5 < off < 2e-3, off


def test_evaluation_stays_in_float32(sessions: dict[bool, NumpySession], images: Images) -> None:
    sessions[False].restore(sessions[True].vector(), sessions[True].state())  # the same running statistics
    assert np.array_equal(sessions[True].outputs(images), sessions[False].outputs(images))
    assert sessions[True].describe()["precision"] == "bfloat16"


def test_a_net_learns_as_well(sessions: dict[bool, NumpySession], images: Images) -> None:
    losses = {}
    for half, session in sessions.items():
        before, state = session.vector(), session.state()
        losses[half] = [session.train_epoch(e, 16, np.full(3, 0.02), lambda done, loss: None).loss for e in range(12)]
        session.restore(before, state)
    assert losses[True][-1] < losses[True][0] / 2
    assert 0 < abs(losses[True][-1] - losses[False][-1]) < 0.1 * losses[False][0]


def test_where_it_cannot_be_had_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExperimentError, match="only the compiled kernels"):
        open_engine("numpy", kernels="reference", precision="bfloat16")
    monkeypatch.setattr(_vectors, "HAS_BFLOAT16", False)
    with pytest.raises(ExperimentError, match="AVX-512 BF16"):
        open_engine("numpy", precision="bfloat16")
    monkeypatch.setattr(_vectors, "HAS_BFLOAT16", True)
    assert open_engine("numpy", precision="bfloat16") == NumpyEngine(dtype="float32", half=True)
