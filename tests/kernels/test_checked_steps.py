"""With FIRSTLIGHT_CHECK_KERNELS set, no step writes beyond its memory, and one that does is named."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
from numba.core.caching import NullCache
from tests.graphs import RECORDED, Net, around, assert_equal, cut, index_of, run_compiled, run_eager
from tests.kernels.test_spoilt_graphs import BROAD

from firstlight.kernels import _jit, runtime
from firstlight.kernels._interpreter import view
from firstlight.kernels.ops.standardize import Standardize
from firstlight.kernels.ops.winograd import WinogradLarge
from firstlight.layers import Conv2D, Dense, Example, Flatten, MaxPool2D

WIDE = Net((Conv2D(17, 1), Conv2D(33, 3, padding=1), MaxPool2D(2), Flatten(), Dense(3)), (2, 9, 8))


@pytest.fixture(autouse=True)
def checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtime.CHECKED, "1")


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("net", [BROAD, WIDE], ids=["broad", "wide"])
def test_a_net(net: Net, kind: Any) -> None:
    with cut(2):
        for images in (5, 33, 64):
            run_compiled(net, index_of(images), kind)
        assert_equal(run_compiled(net, index_of(33)), run_eager(net, index_of(33)))


@pytest.mark.parametrize("example", RECORDED)
def test_each_layer(example: Example) -> None:
    with cut(1):
        for images in (7, 16):
            run_compiled(around(example), index_of(images))


def too_much(op: Any, n: Any, n0: Any, chunk: Any, frame: Any, like: Any) -> None:
    """As many numbers of scratch memory as there are images."""
    scratch = view(frame.scratch, like)
    for i in range(n):
        scratch[i] = i


def test_more_scratch_memory_than_said_is_told() -> None:
    with (
        mock.patch.object(Standardize, "loops", staticmethod(too_much)),
        mock.patch.object(_jit, "Cache", return_value=NullCache()),
        cut(1),
        pytest.raises(AssertionError, match=r"The step standardize of the net writes beyond its scratch memory\."),
    ):
        run_compiled(BROAD, index_of(9))


def test_a_place_beyond_the_arena_is_told() -> None:
    """Of an arena that is made too small, by less than what lies behind it."""
    placed = runtime._place

    def smaller(steps: Any) -> Any:
        places, features, winners = placed(steps)
        return places, features - 20, winners

    with (
        mock.patch.object(runtime, "_place", smaller),
        cut(1),
        pytest.raises(AssertionError, match=r"writes beyond its arena memory\."),
    ):
        run_compiled(BROAD, index_of(9))


def test_the_scratch_of_winograd_is_what_it_writes() -> None:
    """Eight vectors less are seen, of which some lie beyond what is padding."""
    whole = WinogradLarge.scratch
    with (
        mock.patch.object(WinogradLarge, "scratch", lambda step, cut: whole(step, cut) - 8 * cut.lanes),
        cut(1),
        pytest.raises(AssertionError, match="winograd_large of conv2 writes beyond its scratch memory"),
    ):
        run_compiled(WIDE, index_of(32))
