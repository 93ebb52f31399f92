"""Runs and estimators that threads share, that are copied, and that forked processes take along."""

from __future__ import annotations

import copy
import importlib
import multiprocessing
import os
import pickle
import pkgutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher
from rich.console import Console

import firstlight as fl
from firstlight import kernels
from firstlight.engines.numpy import NumpyEngine
from firstlight.errors import InputError
from firstlight.kernels.lock import LOCK, ForkedLock
from firstlight.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU
from firstlight.types import Array, Dataset

NET = [Conv2D(4, 3, padding=1), BatchNorm(), ReLU(), MaxPool2D(2), Dropout(0.3), Flatten(), Dense(10)]
ENGINES = ["numpy", pytest.param("reference", id="reference"), "torch"]


def settings(engine: str) -> dict[str, Any]:
    if engine == "reference":
        return {"kernels": "reference"}
    return {"engine": engine, **({"device": "cpu"} if engine == "torch" else {})}


@pytest.fixture(scope="module")
def trained(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a run on an engine."""
    folder = tmp_path_factory.mktemp("threads")

    def path(engine: str) -> Path:
        if not (folder / engine).exists():
            quiet = Console(quiet=True)
            out = folder / engine
            fl.fit("slim-cnn", few_digits, epochs=1, out=out, settings=settings(engine), console=quiet)
        return folder / engine

    return path


def at_once(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    """What the tasks give, each in a thread of its own, all let off together."""
    barrier = threading.Barrier(len(tasks))

    def start(task: Callable[[], Any]) -> Any:
        barrier.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as threads:
        return list(threads.map(start, tasks))


def pixels_of(n: int, seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 1), np.uint8)


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_that_share_a_run_get_the_answers_that_each_would_get_alone(
    engine: str, trained: Callable[[str], Path], few_digits: Dataset
) -> None:
    run = fl.Run(trained(engine))
    inputs = [pixels_of(n, n) for n in (1, 20, 20, 33, 4200 if engine == "numpy" else 300)]
    inputs[2] = inputs[2][:, ::-1]  # which do not lie one after another
    looked = inputs[0][0]

    def predictions(images: Array) -> Callable[[], Any]:
        return lambda: [run.predict(images) for _ in range(6)]

    def insides() -> Any:
        look, maps = run.attribution(looked), run.feature_maps(looked)
        return [look.probabilities, look.saliency, *(each.maps for each in maps)]

    def evaluated() -> Any:
        return run.evaluate(few_digits)[1].probabilities

    tasks = [*map(predictions, inputs), insides, evaluated, lambda: run.mistakes(data=few_digits, count=1)]
    alone = [task() for task in tasks[:-1]]
    together = at_once(tasks)
    for expected, found in zip(alone, together, strict=False):
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def test_dask_threads_share_a_run(trained: Callable[[str], Path]) -> None:
    dask = pytest.importorskip("dask")
    run = fl.Run(trained("numpy"))
    inputs = [pixels_of(10 + n % 3, n) for n in range(40)]
    expected = [run.predict(images) for images in inputs]
    found = dask.compute(*[dask.delayed(run.predict)(images) for images in inputs], scheduler="threads", num_workers=4)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_a_run_keeps_is_made_once(trained: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    opened, session = [], NumpyEngine.session

    def slow(*arguments: Any, **options: Any) -> Any:
        opened.append(threading.get_ident())
        time.sleep(0.1)
        return session(*arguments, **options)

    monkeypatch.setattr(NumpyEngine, "session", slow)
    run = fl.Run(trained("numpy"))
    found = at_once([lambda: (run.net, run.session, run.task)] * 4)
    assert len(opened) == 1
    for each in found:
        assert all(one is other for one, other in zip(each, found[0], strict=True))


def classifier(engine: str = "numpy", seed: int = 0, **options: Any) -> fl.Classifier:
    options = {"epochs": 2, **options}
    device = {"device": "cpu"} if engine == "torch" else {}
    kernels_ = {"kernels": "reference"} if engine == "reference" else {}
    name = "torch" if engine == "torch" else "numpy"
    return fl.Classifier(NET, engine=name, random_state=seed, settings={**device, **kernels_}, **options)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_fits_at_once_learn_what_each_would_alone(
    engine: str, few_digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "torch":  # the mode that is fastest in a trial may be another each time
        monkeypatch.setattr("firstlight.engines.torch.session.TorchSession._choose_mode", lambda *_: None)
    images = few_digits.splits["train"]

    def fitted(seed: int) -> Callable[[], Any]:
        return lambda: classifier(engine, seed).fit(images.pixels[:200], images.labels[:200])._vector

    tasks = [fitted(0), fitted(1), fitted(0)]
    for one, other in zip([task() for task in tasks], at_once(tasks), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_classifier_that_is_fitted_again_answers_by_one_fit_or_the_other(few_digits: Dataset) -> None:
    images = few_digits.splits["train"]
    letters = np.array(list("abcdefghij"))[images.labels]
    fits = [(images.pixels, images.labels), (images.pixels[:, :6].astype(float), letters)]
    shared = classifier().fit(*fits[0])
    expected = [classifier().fit(*fit).predict(fit[0]) for fit in fits]
    done = threading.Event()
    found: list[Array | None] = []

    def predict() -> None:
        while not done.is_set():
            try:
                found.append(shared.predict(images.pixels))
            except InputError:  # of the other fit's images
                found.append(None)

    def fit() -> None:
        for _ in range(3):
            shared.fit(*fits[1])
            shared.fit(*fits[0])
        done.set()

    at_once([predict, predict, fit])
    assert any(each is not None for each in found)
    for each in found:
        assert each is None or (each == expected[0]).all()
    np.testing.assert_array_equal(shared.fit(*fits[1]).predict(fits[1][0]), expected[1])


def test_a_fit_that_fails_leaves_nothing_to_predict_with(few_digits: Dataset) -> None:
    images = few_digits.splits["train"]
    shared = classifier().fit(images.pixels, images.labels)
    with pytest.raises(InputError, match="only one class"):
        shared.fit(images.pixels, np.zeros(len(images)))
    with pytest.raises(Exception, match="not fitted"):
        shared.predict(images.pixels)


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_a_used_run_is_pickled_and_copied(engine: str, trained: Callable[[str], Path]) -> None:
    run, pixels = fl.Run(trained("numpy"), engine=engine), pixels_of(20, 0)
    expected = run.predict(pixels)
    run.attribution(pixels[0])
    for way in (copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))):
        for again in (way(run), way(way(run))):
            assert "session" not in again.__dict__
            np.testing.assert_array_equal(again.predict(pixels), expected)
            assert (again.path, again.session.describe()) == (run.path, run.session.describe())


def test_every_kernel_that_is_shared_out_to_threads_holds_the_lock() -> None:
    """Python finds none of them but behind `parallel`, which takes it."""
    found = 0
    for module in pkgutil.walk_packages(kernels.__path__, "firstlight.kernels."):
        names = vars(importlib.import_module(module.name))
        for name, kernel in names.items():
            assert not (isinstance(kernel, Dispatcher) and kernel.targetoptions.get("parallel")), name
            found += hasattr(kernel, "__wrapped__") and "_jit" in str(getattr(kernel, "__code__", ""))
    compiled: Any = kernels.load("compiled")
    waited = threading.Event()

    def work() -> None:
        compiled.avg_pool(np.ones((1, 2, 2, 1), np.float32), (2, 2), (2, 2), ((0, 0), (0, 0)))
        waited.set()

    work()
    waited.clear()
    other = threading.Thread(target=work)
    with LOCK:
        other.start()
        assert not waited.wait(0.1)
    other.join()
    assert waited.is_set()


# --- in processes of their own: other layers of threads, and forks ----------------------------------------------------

HEAD = """
import multiprocessing, os, pickle, signal, sys, threading
import numpy as np
from sklearn.datasets import load_digits
import firstlight as fl

signal.alarm(100)
X, y = load_digits(return_X_y=True)
X = X.reshape(-1, 8, 8)
engine = sys.argv[1]

def fit(seed=0):
    return fl.Classifier("slim-cnn", epochs=1, random_state=seed, engine=engine).fit(X[:200], y[:200])

def same(a, b):
    assert abs(a - b).max() <= (0 if engine == "numpy" else 1e-5), abs(a - b).max()
"""
THREADS = """
answers = {}
def work(k):
    try:
        answers[k] = fit(k % 2).predict_proba(X[:100])
    except BaseException as error:
        answers[k] = error
work(0), work(1)
expected = answers[0], answers[1]
threads = [threading.Thread(target=work, args=(k,)) for k in range(2, 6)]
[t.start() for t in threads]
[t.join() for t in threads]
for k in range(2, 6):
    same(answers[k], expected[k % 2])
import numba
assert numba.threading_layer() == os.environ.get("NUMBA_THREADING_LAYER", numba.threading_layer())
print("right")
"""
FORKS = """
def first(k):
    return fit().predict_proba(X[:50])
with multiprocessing.get_context("fork").Pool(1) as pool:  # before this process has used anything
    [found] = pool.map_async(first, range(1)).get(90)
same(found, first(0))

net = fit()
p = net.predict_proba(X[:50])
stop = threading.Event()
def beside():
    while not stop.is_set():
        net.predict_proba(X[:200])
threads = [threading.Thread(target=beside) for _ in range(2)]
[t.start() for t in threads]
def child(k):
    same(net.predict_proba(X[:50]), p)
    same(fit().predict_proba(X[:50]), p)
    return os.getpid()
with multiprocessing.get_context("fork").Pool(2) as pool:
    found = pool.map_async(child, range(2), chunksize=1).get(90)
    assert os.getpid() not in found
stop.set()
[t.join() for t in threads]
same(net.predict_proba(X[:50]), p)
import joblib
joblib.Parallel(n_jobs=2, backend="multiprocessing", timeout=90)(joblib.delayed(child)(k) for k in range(2))
print("right")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "engine", "layer"),
    [
        (THREADS, "numpy", "workqueue"),
        (FORKS, "numpy", "workqueue"),
        (FORKS, "numpy", ""),
        (FORKS, "torch", ""),
    ],
    ids=["threads-workqueue", "forks-workqueue", "forks", "forks-torch"],
)
def test_threads_and_forks_get_right_answers(program: str, engine: str, layer: str) -> None:
    if program is not THREADS and "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_THREADING_LAYER"}
    environment |= {"NUMBA_THREADING_LAYER": layer} if layer else {}
    code = [sys.executable, "-W", "ignore", "-c", HEAD + program, engine]
    done = subprocess.run(code, env=environment, capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_lock_held_by_a_thread_that_is_not_taken_along_is_free_in_the_child() -> None:
    lock, held, go = ForkedLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            go.wait()

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    child = multiprocessing.get_context("fork").Process(target=lock.__enter__)
    child.start()
    child.join(60)
    go.set()
    other.join()
    assert child.exitcode == 0
    with lock, lock:  # the thread itself may take it again
        child = multiprocessing.get_context("fork").Process(target=lock.__enter__)
        child.start()
        child.join(60)
    assert child.exitcode == 0
