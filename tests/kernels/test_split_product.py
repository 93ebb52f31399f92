"""Products whose rows of weights threads share out give what the layers give, at any number of threads and images."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from tests.graphs import Net, assert_equal, cut, index_of, run_compiled, run_eager, step

import firstlight.engines.executor as executor_module
from firstlight.engines import Task
from firstlight.engines.executor import CompiledExecutor
from firstlight.kernels import runtime
from firstlight.kernels.graph import Graph
from firstlight.kernels.ops.split_product import rows_of
from firstlight.kernels.runtime import Runtime
from firstlight.layers import BatchNorm, Concat, Conv2D, Dense, Dropout, Flatten, ReLU, Tanh

# Rows and columns that fill no tile and no panel, and such that do; a norm, which all threads wait for as well.
ODD = Net((Flatten(), Dense(37), ReLU(), Dense(85), Tanh(), Dense(3)), (3, 7, 5))
EVEN = Net((Flatten(), Dense(64), ReLU(), Dropout(0.3), Dense(4, bias=False), ReLU(), Dense(3)), (1, 8, 8))
NORM = Net((Conv2D(4, 3), BatchNorm(), ReLU(), Conv2D(20, 6), Flatten(), Dense(9)), (1, 8, 8))
# Rows for each thread; images that are standardized lie with the thread that did it.
ROWS = Net((Flatten(), Dense(16), ReLU(), Dropout(0.3), Dense(8), Tanh(), Dense(8)), (1, 4, 4), standardized=True)
LONG = Net((Flatten(), Dense(6), Tanh(), Dense(3)), (3, 24, 24))
NETS = pytest.mark.parametrize("net", [ODD, EVEN, NORM, LONG], ids=["odd", "even", "norm", "long"])


@NETS
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_graph_gives_what_the_layers_give(net: Net, workers: int) -> None:
    for images in (1, 5, 33, 64, 300):
        with cut(workers, split=1):
            assert_equal(run_compiled(net, index_of(images)), run_eager(net, index_of(images)))


@NETS
def test_no_step_writes_beyond_its_memory(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtime.CHECKED, "1")
    for kind in (np.float32, np.float64):
        with cut(2, split=1):
            run_compiled(net, index_of(33), kind)


def test_batches_too_large_for_it_go_the_usual_way_and_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    with cut(2, split=1):
        vector = ODD.weights()
        executor = CompiledExecutor(ODD.task, Runtime, vector)
        most = 80 * executor.training.features * 8
        monkeypatch.setattr(runtime, "SPLIT", most)
        assert [executor.training.program(n).cuts[0].split for n in (40, 90)] == [True, False]
        for images in (40, 90, 40):
            assert_equal(step(executor, vector, ODD, index_of(images)), run_eager(ODD, index_of(images)))


def test_of_few_rows_only_few_images_are_shared_out_so() -> None:
    with cut(2, split=1):
        net = executor_of(ODD).training  # the 85 rows of the second product wait for a gradient, and the head's 3
    assert net.graph.summed == [85, 3]
    with mock.patch.object(net.graph, "summed", [85]):
        assert [net.program(images).cuts[0].split for images in (84, 85)] == [True, False]


def test_only_large_weights_are_shared_out_and_only_in_training() -> None:
    net = Net((Flatten(), Dense(70), ReLU(), Dense(3)), (1, 32, 32))
    executor = CompiledExecutor(net.task, Runtime, net.weights())
    assert executor.cuts == (0, 70 * 1024)
    assert not executor.evaluation.graph.splits
    with cut(split=1):
        assert executor_of(net).cuts == (0, 70 * 1024, 70 * 1024 + 70, 70 * 1024 + 70 + 210)


def test_each_thread_gathers_all_images_where_a_product_alone_reads_them() -> None:
    branched = Net((Flatten(), Concat((Dense(6), Tanh())), Dense(3)), (1, 4, 4))

    def gathers(net: Net, workers: int) -> tuple[str, int]:
        with cut(workers, split=1):
            training = executor_of(net).training
            program = training.program(32)
            return training.graph.steps[0].ready(program.cuts[0]).name, int(program.bounds[1])

    assert gathers(EVEN, 2) == ("gather_batch", 2), "nobody waits before the first product"
    assert gathers(EVEN, 1) == ("gather", 1)
    for net in (NORM, ROWS, branched):
        assert gathers(net, 2)[0] == "gather"
    with cut(2, split=1):
        assert_equal(run_compiled(branched, index_of(33)), run_eager(branched, index_of(33)))


def test_every_row_belongs_to_one_thread() -> None:
    for rows in (1, 3, 8, 37, 500):
        for chunks in (1, 2, 3, 16):
            ends = [rows_of(rows, chunk, chunks) for chunk in range(chunks + 1)]
            assert ends[0] == 0
            assert ends[-1] == rows
            assert ends == sorted(ends)


@pytest.mark.parametrize("number", range(11))
def test_what_is_not_waited_for_is_missed(number: int) -> None:
    record = executor_module._record

    def spoilt(task: Task, training: bool) -> Graph:
        graph = record(task, training)
        if training:
            graph.splits = sorted(set(graph.splits))
            graph.splits.remove(graph.splits[number])
        return graph

    with cut(2, threads=1, split=1):
        assert_equal(run_compiled(ROWS, index_of(33)), run_eager(ROWS, index_of(33)))
        with mock.patch.object(executor_module, "_record", spoilt):
            found = run_compiled(ROWS, index_of(33))
    with pytest.raises(AssertionError):
        assert_equal(found, run_eager(ROWS, index_of(33)))


def executor_of(net: Net) -> CompiledExecutor:
    return CompiledExecutor(net.task, Runtime, net.weights())
