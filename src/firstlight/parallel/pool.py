"""The pool of workers: this process, others of this machine (loky), or those of a Dask or Ray cluster."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Literal, TypeVar

from firstlight import plugins, processes
from firstlight.errors import ExperimentError

Item = TypeVar("Item")
Result = TypeVar("Result")
Submit = Callable[[Callable[[Any], Any], Any], "Future[Any]"]
Backend = Literal["loky", "dask", "ray"]

POLL = 0.5  # seconds between two looks of a worker whether its parent is alive
IDLE = 300.0  # seconds without work after which a worker of this machine ends
# What the libraries that compute read as they are loaded.
THREADS = (
    *(f"{library}_NUM_THREADS" for library in ("BLIS", "MKL", "NUMBA", "NUMEXPR", "OMP", "OPENBLAS")),
    "VECLIB_MAXIMUM_THREADS",
)


class WorkerKilledError(Exception):
    """A worker process of this machine was killed; what it and the other workers were doing is not done."""


@dataclass(frozen=True)
class Pool:
    """Calls a function for each of some items on workers.

    submit   hands one call to the workers; None: there are none, and this process calls
    workers  calls at the same time; None: as many as the cluster takes
    restart  ends the workers; the next call starts others
    """

    submit: Submit | None = None
    workers: int | None = None
    restart: Callable[[], None] = lambda: None

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result]]:
        """Each item with what the function returned for it, in the order in which the calls end.

        Raises WorkerKilledError, after which the pool can be used again.
        """
        if self.submit is None:
            yield from ((item, function(item)) for item in items)
            return
        submit, waiting, function = self.submit, deque(items), _WithPlugins(function, tuple(plugins.named()))
        running: dict[Future[Result], Item] = {}

        def fill() -> None:  # no more than there are workers: no call has to be taken back when the pool is closed
            while waiting and (self.workers is None or len(running) < self.workers):
                item = waiting.popleft()
                running[submit(function, item)] = item

        try:
            with processes.interrupts_ignored():
                fill()
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                ended = [(running.pop(future), future.result()) for future in done]
                fill()
                yield from ended
        except BrokenProcessPool:
            self.restart()
            raise WorkerKilledError from None


@dataclass(frozen=True)
class _WithPlugins(Generic[Item, Result]):
    """A function that is called where the plugins that were named here are loaded too."""

    function: Callable[[Item], Result]
    plugins: tuple[str, ...]

    def __call__(self, item: Item) -> Result:
        plugins.load(self.plugins, "a worker")
        return self.function(item)


@contextmanager
def pool(backend: Backend, address: str | None, workers: int | None, threads: int | None) -> Iterator[Pool]:
    """The pool of a backend.

    address  of the cluster
    workers  calls at the same time; unless given 1 on this machine, and as many as a cluster takes
    threads  that the libraries of a worker of this machine may use
    """
    if backend != "loky":
        with _CLUSTERS[backend](address) as submit:
            yield Pool(submit, workers)
    elif workers is None or workers == 1:
        yield Pool()
    else:
        with _local(workers, threads) as local:
            yield local


@contextmanager
def _local(workers: int, threads: int | None) -> Iterator[Pool]:
    """Processes of this machine. They end with the pool, and with this process however it ends."""
    import loky

    environment = {} if threads is None else dict.fromkeys(THREADS, str(threads))
    executor: Any = None

    def submit(function: Callable[[Any], Any], item: Any) -> Future[Any]:
        nonlocal executor
        if executor is None:
            executor = loky.ProcessPoolExecutor(
                workers, timeout=IDLE, env=environment, initializer=_stop_with_parent, initargs=(os.getpid(),)
            )
        return executor.submit(_call, function, item, os.getpid())

    def stop() -> None:
        nonlocal executor
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)
        executor = None

    with processes.safe_imports(), warnings.catch_warnings():
        # loky starts a worker again when its memory has grown: images are large, and none of its work is lost
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        try:
            yield Pool(submit, workers, stop)
        finally:
            stop()


def _stop_with_parent(parent: int) -> None:
    """Stop training, as after Ctrl-C, when the process that asked for it is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _call(function: Callable[[Item], Result], item: Item, parent: int) -> Result:
    """A call, in a worker of this machine."""
    try:
        return function(item)
    finally:
        if os.getppid() != parent:
            os._exit(1)  # nobody waits for the answer, and a worker without work lingers for minutes


@contextmanager
def _dask(address: str | None) -> Iterator[Submit]:
    try:
        from distributed import Client
    except ImportError:
        raise ExperimentError("--backend dask needs Dask: pip install 'firstlight[dask]'") from None
    if address is None:
        raise ExperimentError("--backend dask needs the scheduler's address: --address tcp://host:8786")
    try:
        client: Any = Client(address, timeout="10s")  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ExperimentError(f"There is no Dask scheduler at {address}: {error}.") from None
    with client:
        yield client.get_executor(pure=False).submit


@contextmanager
def _ray(address: str | None) -> Iterator[Submit]:
    try:
        import ray
    except ImportError:
        raise ExperimentError("--backend ray needs Ray: pip install 'firstlight[ray]'") from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError) as error:
        raise ExperimentError(f"There is no Ray cluster at {address}: {error}.") from None
    remote = cache(ray.remote)
    try:
        yield lambda function, item: remote(function).remote(item).future()
    finally:
        ray.shutdown()


_CLUSTERS: Mapping[str, Callable[[str | None], Any]] = {"dask": _dask, "ray": _ray}


@contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """Hold Numba, BLAS and PyTorch to so many threads."""
    if threads is None:
        yield
        return
    import numba
    from threadpoolctl import threadpool_limits

    for_later = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for PyTorch, which is imported later
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        with threadpool_limits(threads):
            yield
    finally:
        numba.set_num_threads(before)
        if for_later is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = for_later
