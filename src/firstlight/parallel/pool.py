"""Where runs are trained: in this process, in others of this machine, or on a Dask or Ray cluster, through joblib."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from firstlight import processes
from firstlight.errors import ExperimentError
from firstlight.parallel.job import Job, train

Backend = Literal["loky", "dask", "ray"]


class WorkerKilledError(Exception):
    """A worker process of this machine was killed; what it was doing, and the others, is not done."""


RunJobs = Callable[[Sequence[Job]], Iterable[str]]


@contextmanager
def pool(backend: Backend, address: str | None, workers: int | None, threads: int | None) -> Iterator[RunJobs]:
    """A function that does jobs on the backend's workers. It raises WorkerKilledError, after which it can go on."""
    if backend == "loky" and (workers or 1) == 1:
        yield lambda jobs: map(train, jobs)
        return
    import joblib
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    def run_jobs(jobs: Sequence[Job]) -> Iterable[str]:
        with warnings.catch_warnings():
            # loky starts a worker anew when its memory has grown: images are large, and none of its work is lost
            warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
            options: dict[str, Any] = {"n_jobs": min(workers, len(jobs))} if workers and jobs else {}
            tasks = [joblib.delayed(train)(job) for job in jobs]
            if backend != "loky":
                return list(joblib.Parallel(batch_size=1, pre_dispatch="all", **options)(tasks))
            # Not all at once: where jobs wait in its queue while it is ended, loky prints a traceback.
            with processes.interrupts_ignored():
                ends = joblib.Parallel(batch_size=1, return_as="generator", **options)(tasks)
            try:
                return list(ends)
            except TerminatedWorkerError:
                raise WorkerKilledError from None

    if backend == "loky":
        try:
            local = joblib.parallel_config("loky", n_jobs=workers, inner_max_num_threads=threads)
            with processes.safe_imports(), local:
                yield run_jobs
        finally:
            get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)
        return
    with _CLUSTERS[backend](address), joblib.parallel_config(backend, n_jobs=workers or -1):
        yield run_jobs


@contextmanager
def _dask(address: str | None) -> Iterator[None]:
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
        yield


@contextmanager
def _ray(address: str | None) -> Iterator[None]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise ExperimentError("--backend ray needs Ray: pip install 'firstlight[ray]'") from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError) as error:
        raise ExperimentError(f"There is no Ray cluster at {address}: {error}.") from None
    register_ray()
    try:
        yield
    finally:
        ray.shutdown()


_CLUSTERS: Mapping[str, Callable[[str | None], Any]] = {"dask": _dask, "ray": _ray}
