"""The device that a session computes on, and what it sets for a while that is PyTorch's: threads, denormals, draws."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator

import torch

from firstlight import processes
from firstlight.errors import ExperimentError
from firstlight.kernels.lock import lost


def find_device(name: str) -> torch.device:
    """The device called `name`; "auto" is a GPU where there is one. Raises ExperimentError where it is not there."""
    kind, _, number = name.partition(":")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        kind = "cuda" if gpus else "cpu"
    if kind not in ("cpu", "cuda", "mps") or (number and (kind != "cuda" or not number.isdecimal())):
        raise ExperimentError(f"device: {name!r} is unknown. Known: auto, cpu, cuda, cuda:1, mps.")
    if kind == "cuda" and not gpus:
        built = "was built without CUDA" if torch.version.cuda is None else "finds no NVIDIA GPU"
        which = f"PyTorch {torch.__version__} {built}"
        raise ExperimentError(f"device: {name} is not available: {which}. Use --device cpu.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ExperimentError("device: mps is not available: it is the GPU of a Mac. Use --device cpu.")
    if kind == "cuda":
        if number and processes.local_world_size() > 1:
            raise ExperimentError(f"device: {name} is one GPU, and each process needs its own. Use --device cuda.")
        place = int(number or processes.local_rank())
        if place >= gpus:
            known = ", ".join(f"cuda:{gpu}" for gpu in range(gpus))
            raise ExperimentError(f"device: cuda:{place} is not available; received {name!r}. Known: {known}.")
        return torch.device("cuda", place)
    return torch.device(kind)


def default_threads() -> int:
    """As many as this process has cores; PyTorch's own number may be lower, by OMP_NUM_THREADS."""
    if lost("torch"):
        return 1
    cores = processes.cores()
    together = processes.local_world_size()
    # torchrun sets OMP_NUM_THREADS to 1 where nobody else has: that says nothing.
    return max(1, cores // together) if together > 1 else max(1, min(cores, torch.get_num_threads()))


@contextlib.contextmanager
def thread_settings(number: int, flush_denormals: bool) -> Iterator[None]:
    """So many threads, and whether denormals count as zero; the caller's own settings again after.

    Denormals are a matter of each thread. Those that PyTorch starts for its work take over what this one has just
    then, and keep it: where a session is the first to use PyTorch, as on the command line, all of them flush.
    """
    threads, flushed = torch.get_num_threads(), _flushes_denormals()
    ours = 1 if lost("torch") else number
    if threads != ours:
        torch.set_num_threads(ours)
    torch.set_flush_denormal(flush_denormals)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)


def _flushes_denormals() -> bool:
    """Whether this thread's arithmetic takes denormal numbers for zero; PyTorch can set it, but not tell."""
    return sys.float_info.min / 2 == 0.0


def seeded_generators(device: torch.device, seed: int) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """PyTorch's generators, which start from a seed and continue from one `with` to the next.

    The caller's own are untouched between.
    """
    ours: list[torch.Tensor] = []

    @contextlib.contextmanager
    def turn() -> Iterator[None]:
        all_ = [torch.default_generator]
        if device.type == "cuda":
            all_.append(torch.cuda.default_generators[device.index])
        before = [one.get_state() for one in all_]
        for one, state in itertools.zip_longest(all_, ours):
            one.manual_seed(seed) if state is None else one.set_state(state)
        try:
            yield
        finally:
            ours[:] = [one.get_state() for one in all_]
            for one, state in zip(all_, before, strict=True):
                one.set_state(state)

    return turn
