"""Training in several processes: what they tell each other, and batch norm over the images of all of them."""

from __future__ import annotations

import atexit
import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import distributed

from firstlight import processes
from firstlight.errors import ExperimentError, ProcessLostError
from firstlight.types import Array


class ProcessGroup:
    """The processes that torchrun started, of which this is number `rank` of `size`; one where it did not."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rank, self.size = processes.rank(), processes.world_size()
        if self.size > 1 and not distributed.is_initialized():
            if device.type == "cuda":
                torch.cuda.set_device(device)
            # Beside NCCL, gloo for what the hosts have to tell each other.
            distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
            atexit.register(distributed.destroy_process_group)

    def part(self, array: Array, axis: int = 0) -> Array:
        """This process's part of an array."""
        return np.array_split(array, self.size, axis=axis)[self.rank]

    def replicate(self, net: torch.nn.Module) -> Callable[..., Any]:
        """The net with gradients that are means over the processes."""
        if self.size == 1:
            return net
        # Kernels over one channel lie in memory alike whatever their strides say, and PyTorch warns of those.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        with self.errors():
            return torch.nn.parallel.DistributedDataParallel(net)

    def total(self, sums: torch.Tensor) -> torch.Tensor:
        """Sums over the images of all processes from those of this one."""
        if self.size > 1:
            sums = sums.clone()
            distributed.all_reduce(sums)
        return sums

    def largest(self, value: torch.Tensor) -> torch.Tensor:
        """The largest of the processes' values; the tensor is written to."""
        if self.size > 1:
            distributed.all_reduce(value, distributed.ReduceOp.MAX)
        return value

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows of all processes, one after another."""
        if self.size == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        distributed.all_gather(parts, rows)
        return torch.cat(parts)

    def from_first(self, tensors: Sequence[torch.Tensor]) -> None:
        """Take over the first process's values."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def agree(self, stop: bool) -> bool:
        """See `Session.agree`."""
        if self.size == 1:
            return stop
        with self.errors():
            answer = torch.tensor([stop], dtype=torch.int64)  # on the host: a GPU need not be waited for
            distributed.all_reduce(answer)
        return bool(answer.item())

    def share(self, text: str) -> str:
        """See `Session.share`."""
        if self.size == 1:
            return text
        said = [text]
        with self.errors():
            distributed.broadcast_object_list(said, 0, device=torch.device("cpu"))
        return said[0]

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what can go wrong outside the program into errors that say what to do."""
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                raise MemoryError(f"that of {self.device} is full. Try a smaller batch (--batch-size).") from None
            if "forked subprocess" in str(error):
                raise ExperimentError(
                    "A GPU cannot be used in a process that was forked from one that uses it. Start processes by "
                    'spawn, as multiprocessing.get_context("spawn") does, or use --device cpu.'
                ) from None
            if self.size == 1 or not _is_connection(error):
                raise
            raise ProcessLostError(f"Another of the {self.size} processes that train together has ended.") from None


def _is_connection(error: RuntimeError) -> bool:
    """Whether an error tells that another process is gone."""
    return isinstance(error, distributed.DistError) or any(sign in str(error) for sign in ("gloo", "NCCL", "peer"))


def shared_batch_norm(
    x: torch.Tensor,
    mean: torch.Tensor,
    var: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    training: bool,
    momentum: float,
    epsilon: float,
) -> torch.Tensor:
    """PyTorch's batch_norm, over the images of all processes. (PyTorch's own SyncBatchNorm works on GPUs alone.)"""
    if not training:
        return torch.nn.functional.batch_norm(x, mean, var, gamma, beta, False, momentum, epsilon)
    axes, shape = (0, *range(2, x.dim())), (1, -1, *[1] * (x.dim() - 2))
    z = x.to(gamma.dtype)  # under autocast, x has half precision
    total = _sum(torch.cat([z.sum(axes), z.new_full((1,), z.numel() // z.shape[1])]))
    m = total[-1]
    batch_mean = total[:-1] / m
    centred = z - batch_mean.view(shape)
    batch_var = _sum(centred.square().sum(axes)) / m
    with torch.no_grad():
        mean.lerp_(batch_mean, momentum)
        var.lerp_(batch_var * (m / (m - 1)), momentum)
    y = centred * (gamma / torch.sqrt(batch_var + epsilon)).view(shape) + beta.view(shape)
    return y.to(x.dtype)


def _sum(x: torch.Tensor) -> torch.Tensor:
    return SumOverProcesses.apply(x)  # type: ignore[no-untyped-call]


class SumOverProcesses(torch.autograd.Function):
    """Σ over the processes of a tensor that each of them has; the gradient of each is the sum of theirs by it."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> torch.Tensor:
        total = dy.clone()
        distributed.all_reduce(total)
        return total
