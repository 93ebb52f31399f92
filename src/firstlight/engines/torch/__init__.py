"""The engine of PyTorch: the layers' twins, autograd and PyTorch's own optimizers, on a CPU, a GPU, or in processes."""

from __future__ import annotations

from dataclasses import dataclass

from firstlight.engines.base import Task
from firstlight.engines.torch.device import find_device
from firstlight.engines.torch.session import TorchSession
from firstlight.engines.torch.tuning import ComputeMode
from firstlight.types import Array, Images


@dataclass(frozen=True)
class TorchEngine:
    """Opens sessions on a device.

    device       "cpu", "cuda", "cuda:1", "mps", or "auto" for a GPU where there is one
    precision    "float32" or "float64"; "bfloat16" or "float16" for products in half precision (autocast) in training;
                 "auto" for bfloat16 where a trial shows that it is faster
    exact_noise  dropout masks from the host's generators, the same as on the other engine
    """

    device: str = "auto"
    precision: str = "float32"
    exact_noise: bool = False
    name: str = "torch"

    def session(self, task: Task, train: Images | None = None, vector: Array | None = None) -> TorchSession:
        """See `Engine.session`."""
        return TorchSession(task, train, vector, self.device, self.precision, self.exact_noise)


__all__ = ["ComputeMode", "TorchEngine", "TorchSession", "find_device"]
