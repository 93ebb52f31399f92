"""Gradients with respect to kernels by products of turned images give what the layers give."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from tests.graphs import Net, assert_equal, cut, index_of, run_compiled, run_eager

from firstlight.engines.executor import CompiledExecutor
from firstlight.kernels import runtime
from firstlight.kernels.ops import turned_gradient
from firstlight.kernels.runtime import Runtime
from firstlight.layers import Conv2D, Dense, Flatten, ReLU

# Most taps hit nothing; a stride, borders of two, filters that fill no tile, in two parts.
TINY = Net(
    (Conv2D(16, 1), Conv2D(16, 3, padding=1), ReLU(), Conv2D(18, 3, padding=1, stride=2), Flatten(), Dense(3)),
    (2, 2, 2),
)
ODD = Net((Conv2D(32, 1), Conv2D(17, (3, 2), stride=(2, 1), padding=2), Flatten(), Dense(3)), (3, 3, 4))
NETS = pytest.mark.parametrize("net", [TINY, ODD], ids=["tiny", "odd"])


def test_it_is_met() -> None:
    executor = CompiledExecutor(TINY.task, Runtime, TINY.weights().astype(np.float32))
    with cut(1):
        steps = executor.training._steps(executor.training.program(40).cuts[0])
    assert [step.name for step in steps].count("turned_gradient") == 2


@NETS
def test_a_graph_gives_what_the_layers_give(net: Net) -> None:
    """Images that fill vectors, such that some are turned twice, and chunks that are added up."""
    with cut(1), mock.patch.object(turned_gradient, "SUMS", 1):
        for images, cache in ((32, None), (37, None), (90, 1)):
            with cut(1, cache=cache):
                expected = run_eager(net, index_of(images))
                assert_equal(run_compiled(net, index_of(images)), expected)
                assert_equal(run_compiled(net, index_of(images), np.float32), expected, 1e-5)
        with pytest.raises(AssertionError):
            assert_equal(run_compiled(net, index_of(32)), run_eager(replace(net, seed=1), index_of(32)))


@NETS
def test_no_step_writes_beyond_its_memory(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtime.CHECKED, "1")
    for kind in (np.float32, np.float64):
        with cut(1):
            run_compiled(net, index_of(37), kind)
