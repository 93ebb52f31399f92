"""What a checkpoint holds of a session: the weights of a net, and the state of its optimizer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from firstlight.engines.base import AVERAGE, Task
from firstlight.engines.torch.formula import FormulaOptimizer
from firstlight.layers import Chain, TwinPass
from firstlight.types import Array
from firstlight.weights import Layout


class Net(torch.nn.Module):
    """The layers' twins with their tensors.

    tensors  by name
    trained  those to train, in order
    held     the others: running statistics, and what is frozen. They are not buffers of the module, which the replicas
             of several processes would send to each other before each step.
    """

    def __init__(self, layers: Chain, layout: Layout, vector: torch.Tensor) -> None:
        super().__init__()
        self.layers = layers
        self.tensors: dict[str, torch.Tensor] = {}
        self.trained: list[torch.nn.Parameter] = []
        self.held: list[torch.Tensor] = []
        self.tree: dict[str, Any] = {}
        for entry in layout.entries:
            part = vector[entry.start : entry.stop].reshape(entry.parameter.shape).clone()
            branch = self.tree
            for step in entry.path[:-1]:
                branch = branch.setdefault(step, {})
            if entry.parameter.trainable:
                theta = torch.nn.Parameter(part)
                self.register_parameter(entry.name.replace(".", "/"), theta)  # a module's names take no full stop
                self.trained.append(theta)
                part = theta
            else:
                self.held.append(part)
            self.tensors[entry.name] = branch[entry.path[-1]] = part

    @property
    def has_convolutions(self) -> bool:
        return any(theta.dim() == 4 for theta in self.tensors.values())

    def lay_out(self, memory_format: torch.memory_format) -> None:
        """Let the kernels of convolutions lie in memory in this format."""
        for theta in self.tensors.values():
            if theta.dim() == 4:
                theta.data = theta.data.contiguous(memory_format=memory_format)

    def forward(self, x: torch.Tensor, run: TwinPass) -> torch.Tensor:
        """Raw outputs (N, K) of prepared images (N, C, H, W)."""
        y: torch.Tensor = self.layers.twin(torch, self.tree, x, run)
        return y


class TrainingState:
    """The weights of a net and its optimizer, as arrays that the other engine can continue from.

    tensor  makes a tensor of an array, on the device and in the precision of the weights
    """

    def __init__(self, task: Task, net: Net, device: torch.device, tensor: Callable[[Array], torch.Tensor]) -> None:
        self.task, self.net, self.device, self._tensor = task, net, device, tensor
        self.entries = task.model.layout.entries

    def open_optimizer(self, half: str) -> None:
        """The optimizer before its first step, with a group for each factor of the learning rate.

        half  the half precision of the products, if any: the gradients of float16 need a scale
        """
        entries = [entry for entry in self.entries if entry.parameter.trainable]
        grouped = [
            (factor, [self.net.tensors[entry.name] for entry in group])
            for factor, group in itertools.groupby(entries, lambda entry: self.task.lr_factor(entry.name))
        ]
        self.factors = [factor for factor, _ in grouped]
        groups = [{"params": parameters} for _, parameters in grouped]
        twin = self.task.optimizer.twin(torch, groups, fused=self.device.type in ("cpu", "cuda"))
        self.optimizer = twin or FormulaOptimizer(groups, self.task.optimizer.innermost, self.task.blocks())
        self.memory: dict[str, list[torch.Tensor]] = {}
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half == "float16")
        self.steps = 0
        averaged = self.net.tensors.values() if self.task.average is not None else ()
        self.average = {name: tensor.detach().clone() for name, tensor in zip(self.net.tensors, averaged, strict=False)}

    def backward(self, objective: torch.Tensor) -> None:
        """Leave the gradients of the objective on the weights."""
        self.scaler.scale(objective).backward()  # type: ignore[no-untyped-call]

    def step(self, rate: float) -> None:
        """Move the weights by their gradients, at a learning rate."""
        for group, factor in zip(self.optimizer.param_groups, self.factors, strict=True):
            group["lr"] = rate * factor
        self.steps += 1
        self.task.optimizer.twin_step(self.net.trained, self._optimizer_step, self.memory, self.steps)
        if self.task.average is not None:
            with torch.no_grad():
                weights = [self.net.tensors[name] for name in self.average]
                torch._foreach_lerp_([*self.average.values()], weights, self.task.average.news(self.steps))

    def _optimizer_step(self) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def vector(self) -> Array:
        """See `Session.vector`."""
        return self._vector(self.net.tensors)

    def _vector(self, tensors: Mapping[str, torch.Tensor]) -> Array:
        arrays = [tensors[entry.name].detach().reshape(-1) for entry in self.entries]
        return torch.cat(arrays).cpu().numpy()

    def arrays(self) -> dict[str, Array]:
        """See `Session.state`. A moment is one array for all trained weights, as on the other engine."""
        known = [self.optimizer.state.get(theta, {}) for theta in self.net.trained]
        # PyTorch's own count where it keeps one: it leaves out the steps that overflowed in half precision.
        arrays = {"step": np.array([int(known[0].get("step", self.steps))], np.int64)}
        for ours, theirs in self.task.optimizer.moments.items():
            moments = self.memory.get(ours) or [
                torch.zeros_like(theta) if state.get(theirs) is None else state[theirs]
                for theta, state in zip(self.net.trained, known, strict=True)
            ]
            arrays[ours] = torch.cat([moment.reshape(-1) for moment in moments]).cpu().numpy()
        if self.average:
            arrays[AVERAGE] = self._vector(self.average)
        if self.scaler.is_enabled():
            scale = self.scaler.state_dict()
            arrays["loss_scale"] = np.array([scale["scale"], scale["_growth_tracker"], self.steps], np.float64)
        return arrays

    def restore_weights(self, vector: Array) -> None:
        """Take over weights."""
        self._spread(vector, self.net.tensors)

    @torch.no_grad()
    def _spread(self, vector: Array, tensors: Mapping[str, torch.Tensor]) -> None:
        for entry in self.entries:
            values = self._tensor(vector[entry.start : entry.stop])
            tensors[entry.name].copy_(values.reshape(entry.parameter.shape))

    def restore_optimizer(self, arrays: dict[str, Array], half: str) -> None:
        """Take over what `arrays` gave; `half` as for `open_optimizer`."""
        self.open_optimizer(half)
        if self.average:
            self._spread(arrays[AVERAGE], self.average)
        taken = self.steps = int(arrays["step"][0])
        if "loss_scale" in arrays and self.scaler.is_enabled():
            scale, growth, *steps = arrays["loss_scale"].tolist()  # steps that overflowed count here
            self.scaler.load_state_dict(self.scaler.state_dict() | {"scale": scale, "_growth_tracker": int(growth)})
            self.steps = int(steps[0]) if steps else taken
        if self.steps == 0:
            return
        kept = self.task.optimizer.innermost.moments
        self.memory = {ours: [] for ours in self.task.optimizer.moments if ours not in kept}
        moments, start = {}, 0
        for number, theta in enumerate(self.net.trained):
            part = slice(start, start + theta.numel())
            moments[number] = self.task.optimizer.innermost.twin_state(torch, taken)
            moments[number] |= {
                # In the memory order of the weights: a fused step takes it for granted.
                theirs: torch.empty_like(theta).copy_(self._tensor(arrays[ours][part]).reshape(theta.shape))
                for ours, theirs in kept.items()
            }
            for ours, tensors in self.memory.items():
                tensors.append(torch.empty_like(theta).copy_(self._tensor(arrays[ours][part]).reshape(theta.shape)))
            start = part.stop
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
