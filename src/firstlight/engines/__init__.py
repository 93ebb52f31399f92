"""The machines that learn. `numpy` is written from first principles; an engine never stands in for another."""

from firstlight.engines.base import Engine, Session, Tally, Task
from firstlight.errors import ExperimentError, nearest

NAMES = ("numpy",)


def open_engine(name: str = "numpy", kernels: str = "compiled") -> Engine:
    """Return the engine called `name`. Raises ExperimentError for an unknown name."""
    if name not in NAMES:
        raise ExperimentError(f"engine: there is none called {name!r}. {nearest(name, NAMES)}")
    from firstlight.engines.numpy import NumpyEngine

    return NumpyEngine(kernels)


__all__ = ["NAMES", "Engine", "Session", "Tally", "Task", "open_engine"]
