"""Convolutions by Winograd's way give what the layers give, whatever the border, the tiles and the images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from tests.graphs import Net, assert_equal, cut, index_of, run_compiled, run_eager

from firstlight.engines.executor import CompiledExecutor
from firstlight.kernels import runtime
from firstlight.kernels._vectors import VECTOR_BYTES
from firstlight.kernels.operation import Cut
from firstlight.kernels.ops import winograd, winograd_gradient
from firstlight.kernels.ops.convolution import Correlation
from firstlight.kernels.runtime import Runtime
from firstlight.layers import Conv2D, Dense, Flatten, ReLU

# Tiles that end beyond y, borders of none to two pixels, an odd number of filters; and one with small tiles.
LARGE = Net(
    (Conv2D(16, 1), Conv2D(32, 3, padding=1), ReLU(), Conv2D(17, 3, padding=((2, 0), (1, 2))), Flatten(), Dense(3)),
    (2, 9, 8),
)
SMALL = Net((Conv2D(17, 1), Conv2D(16, 3, padding=1), ReLU(), Conv2D(16, 3), Flatten(), Dense(3)), (2, 6, 6))
NETS = pytest.mark.parametrize("net", [LARGE, SMALL], ids=["large", "small"])


def names(net: Net, images: int) -> list[str]:
    executor = CompiledExecutor(net.task, Runtime, net.weights().astype(np.float32))
    with cut(1):
        runtime_of = executor.training
        return [step.name for step in runtime_of._steps(runtime_of.program(images).cuts[0])]


def test_each_way_is_met() -> None:
    assert names(LARGE, 40).count("winograd_large") == 4
    assert names(LARGE, 40).count("winograd_gradient") == 2
    assert names(SMALL, 40).count("winograd") == 2
    few = VECTOR_BYTES // 4 // 2 + 1
    assert not [name for name in names(LARGE, few) if name.startswith("winograd")], "not for less than a vector"


@pytest.fixture(params=[winograd.TRANSFORMED, 1, 1 << 15], ids=["cache", "a tile at a time", "a few"])
def cache(request: pytest.FixtureRequest) -> Iterator[None]:
    with (
        mock.patch.multiple(winograd, TRANSFORMED=request.param, FILTERS=request.param),
        mock.patch.multiple(winograd_gradient, TRANSFORMED=request.param, LEAST=1),
    ):
        yield


@NETS
def test_a_graph_gives_what_the_layers_give(net: Net, cache: None) -> None:
    """Images that fill blocks, and such that the last one has some of those before."""
    for images in (33, 64):
        with cut(1):
            expected = run_eager(net, index_of(images))
            assert_equal(run_compiled(net, index_of(images)), expected)
            assert_equal(run_compiled(net, index_of(images), np.float32), expected, 1e-5)
    changed = replace(net, seed=1)
    with cut(1), pytest.raises(AssertionError):
        assert_equal(run_compiled(net, index_of(33)), run_eager(changed, index_of(33)))


@NETS
def test_no_step_writes_beyond_its_memory(net: Net, cache: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtime.CHECKED, "1")
    for kind in (np.float32, np.float64):
        with cut(1):
            run_compiled(net, index_of(37), kind)


def test_the_way_is_chosen_by_the_sizes() -> None:
    cut_of = Cut(32, 16, 4, training=True)

    def side(size: int, **changes: Any) -> int | None:
        c = Correlation((64, size, size), (64, size, size), (576, 9), (3, 3), start=(-1, -1))
        way = winograd.tiles_for(replace(c, **changes), cut_of)
        return way and way.m

    assert {size: side(size) for size in (32, 8, 7, 4, 2, 1)} == {32: 4, 8: 4, 7: 4, 4: 4, 2: None, 1: None}
    assert side(8, x=(8, 8, 8)) is None
    assert side(8, stride=(2, 2)) is None
    assert winograd.tiles_for(Correlation((64, 8, 8), (64, 8, 8), (576, 9), (3, 3), start=(-1, -1)), replace(
        cut_of, half=True)) is winograd.SMALL  # fmt: skip


@pytest.mark.parametrize(
    ("n", "lanes", "grid", "budget", "block"),
    [
        (128, 8, (1, 1), 128, 128),
        (128, 16, (2, 2), 128, 32),
        (100, 8, (1, 1), 128, 56),  # twice, which works twelve images out again; 96 would 92
        (36, 8, (1, 1), 128, 8),
        (9, 8, (1, 1), 128, 8),
        (128, 16, (1, 1), 40, 32),
        (128, 16, (8, 8), 600, 32),  # a row of tiles or two fit
    ],
)
def test_a_block_has_as_many_images_as_the_cache_holds(
    n: int, lanes: int, grid: tuple[int, int], budget: int, block: int
) -> None:
    found, R, J = winograd.grouped(*grid, budget, Cut(n, lanes, 4, training=True))
    assert found == block
    assert found * R * J <= max(2 * lanes, budget)
