"""How a session computes: a memory format, threads, a precision, a compiler. Which is fastest is found by trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

HALF_PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}
TRIAL = 0.3  # seconds for each mode that is tried
CLEARLY = 0.95  # of the time of the mode so far: what another must take to be chosen
LONG = 120.0  # seconds of training from which compiling the net is tried: it takes about a minute itself


@dataclass(frozen=True)
class ComputeMode:
    """How a session computes.

    channels_last  whether images and kernels lie in memory with their channels last
    threads        of the CPU
    half           the half precision that products are taken in, "bfloat16" or "float16"; empty for none
    compiled       whether PyTorch compiles the net
    """

    channels_last: bool = False
    threads: int = 1
    half: str = ""
    compiled: bool = False

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


def recorded_mode(
    record: Mapping[str, Any], now: Mapping[str, Any], auto: bool, mode: ComputeMode
) -> ComputeMode | None:
    """The mode that `Session.describe` recorded, where it was chosen in the same circumstances as `now`.

    auto  whether the precision is free to be chosen too; `mode` has the one that was asked for otherwise, and has as
          many threads as there may be
    """
    if any(record.get(key) != now[key] for key in ("engine", "torch", "device", "processes")):
        return None
    half = record["precision"] if auto and record["precision"] in HALF_PRECISIONS else mode.half
    return ComputeMode(record["channels_last"], min(record["threads"], mode.threads), half, record["compiled"])


def candidates(
    mode: ComputeMode, *, images: bool, device: str, auto: bool, may_compile: bool, seconds: float
) -> Iterator[dict[str, Any]]:
    """What may be faster than the plain mode, as changes of it.

    images       whether the net has convolutions
    auto         whether the precision is free to be chosen
    may_compile  whether PyTorch may compile the net
    seconds      that training would take in the plain mode
    """
    if images:
        yield {"channels_last": True}
    if device == "cpu" and mode.threads > 1:
        yield {"threads": 1}
    if auto:
        yield {"half": "bfloat16"}
    # On a CPU it never paid: docs/why/log.md.
    if device == "cuda" and may_compile and seconds > LONG:
        yield {"compiled": True}


def fastest(
    plain: ComputeMode,
    best: float,
    changes: Iterable[dict[str, Any]],
    trial: Callable[[ComputeMode], float],
) -> ComputeMode:
    """The fastest mode by trials, from the plain one, which takes `best` seconds: a change stays that is faster."""
    chosen = plain
    for change in changes:
        tried = replace(chosen, **change)
        try:
            seconds = trial(tried)
        except Exception:
            if not tried.compiled:
                raise
            continue  # no compiler here, or one that cannot do this net
        if seconds < CLEARLY * best:
            chosen, best = tried, seconds
    return chosen


def timed(step: Callable[[], object]) -> float:
    """The seconds that a step takes: the least of a few after the first, which may compile."""
    seconds: list[float] = []
    while len(seconds) < 3 or (sum(seconds[1:]) < TRIAL and len(seconds) < 20):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
