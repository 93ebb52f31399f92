"""A service over small trained runs, in a thread; and the pages of the dashboard's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from rich.console import Console
from tests.app.conftest import page_at

import firstlight as fl
from firstlight.serve import Service, named_runs
from firstlight.types import Dataset, Images
from firstlight.web.server import in_thread

__all__ = ["page_at"]

HOSTILE = 'a<b>"c"\\&\u202e'  # a class name that would be something else, were it not text


@dataclass(frozen=True)
class Served:
    """A service that runs in a thread, and a client that asks it."""

    service: Service
    url: str
    client: httpx.Client


@pytest.fixture(scope="session")
def served_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, fl.Run]:
    """`digits`, for grey squares, and `colour`, for colour images that are higher than wide, with an odd name."""
    root = tmp_path_factory.mktemp("serve")
    quiet = Console(quiet=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 12, 9, 3), dtype=np.uint8)
    images = Images(pixels, np.arange(40) % 3, np.arange(40).astype(str), (HOSTILE, "b", "c"))
    colour = Dataset("colour", {"train": images})
    return {
        "digits": fl.fit("slim-cnn", "digits", epochs=1, out=root / "digits", console=quiet),
        "colour": fl.fit("mlp-128", colour, epochs=1, out=root / "colour", console=quiet),
    }


@contextmanager
def running(paths: list[Path | str], **options: Any) -> Iterator[Served]:
    """A service over runs."""
    service = Service(named_runs([str(path) for path in paths]), **options)
    try:
        with in_thread(service) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            yield Served(service, url, client)
    finally:
        service.end()


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[Served]]:
    """`with serve([run.path], limits=…) as served:` for a service of a test's own."""
    return running


@pytest.fixture(scope="session")
def both(served_runs: dict[str, fl.Run]) -> Iterator[Served]:
    """A service over both runs."""
    with running([run.path for run in served_runs.values()]) as served:
        yield served


@pytest.fixture(scope="session")
def digits_alone(served_runs: dict[str, fl.Run]) -> Iterator[Served]:
    """A service over `digits` alone."""
    with running([served_runs["digits"].path]) as served:
        yield served
