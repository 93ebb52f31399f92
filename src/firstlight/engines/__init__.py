"""The machines that learn. `numpy` is written from first principles; an engine never stands in for another."""

from __future__ import annotations

from importlib.util import find_spec

from firstlight import processes
from firstlight.engines.base import Engine, EpochMetrics, Sampling, Session, Task, Trace
from firstlight.errors import ExperimentError, nearest

NAMES = ("numpy", "torch")
PRECISIONS = {
    "numpy": ("auto", "float32", "float64", "bfloat16"),
    "torch": ("auto", "float32", "float64", "bfloat16", "float16"),
}


def open_engine(
    name: str = "numpy",
    *,
    kernels: str = "compiled",
    device: str = "auto",
    precision: str = "float32",
    exact_noise: bool = False,
) -> Engine:
    """Return the engine called `name`.

    kernels      of the engine numpy: "compiled" or "reference"
    device       "auto", "cpu", or of the engine torch "cuda", "cuda:1", "mps"
    precision    "float32" or "float64"; "bfloat16" for products in half precision in training, of the engine numpy on
                 processors that have them; of the engine torch "float16" too, or "auto" for the fastest
    exact_noise  of the engine torch: the same dropout masks as the engine numpy

    Raises ExperimentError for an unknown name, for what the engine does not have, or where it is not installed.
    """
    if name not in NAMES:
        raise ExperimentError(f"engine: {name!r} is unknown. {nearest(name, NAMES)}")
    if precision not in PRECISIONS[name]:
        others = [other for other in NAMES if precision in PRECISIONS[other]]
        hint = f"Use --engine {others[0]}." if others else nearest(precision, PRECISIONS[name])
        raise ExperimentError(f"precision: the engine {name} has no {precision!r}. {hint}")
    if name == "numpy":
        if device not in ("auto", "cpu"):
            raise ExperimentError(f"device: the engine numpy runs on the CPU; received {device!r}. Use --engine torch.")
        if processes.world_size() > 1:
            raise ExperimentError(
                f"The engine numpy trains in one process; torchrun started {processes.world_size()}. "
                "Use --engine torch, or start firstlight without torchrun."
            )
        if precision == "bfloat16":
            _must_have_bfloat16(kernels)
        from firstlight.engines.numpy import NumpyEngine

        dtype = "float64" if precision == "float64" else "float32"
        return NumpyEngine(kernels, dtype=dtype, half=precision == "bfloat16")
    if find_spec("torch") is None:
        raise ExperimentError("The engine torch needs PyTorch, which is not installed: pip install 'firstlight[torch]'")
    from firstlight.engines.torch import TorchEngine, find_device

    # A missing device is told before anything is loaded.
    if find_device(device).type == "mps" and precision == "float64":
        raise ExperimentError("precision: the GPU of a Mac has no float64. Use --device cpu.")
    return TorchEngine(device, precision, exact_noise)


def _must_have_bfloat16(kernels: str) -> None:
    if kernels != "compiled":
        raise ExperimentError(
            f"precision: only the compiled kernels take products in bfloat16; received kernels = {kernels!r}. "
            "Use --precision float32."
        )
    from firstlight.kernels._vectors import HAS_BFLOAT16

    if not HAS_BFLOAT16:
        raise ExperimentError(
            "precision: this processor has no products in bfloat16 (AVX-512 BF16), which the engine numpy needs for "
            "them. Use --precision float32."
        )


__all__ = ["NAMES", "PRECISIONS", "Engine", "EpochMetrics", "Sampling", "Session", "Task", "Trace", "open_engine"]
