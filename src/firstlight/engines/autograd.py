"""What PyTorch's autograd says of one layer, of a loss, or of a whole net: the second opinion on gradients by hand.

Arrays come and go with the batch last, as on the engine numpy; everything is computed in their dtype, on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from firstlight.engines.torch.formula import FormulaOptimizer
from firstlight.layers import Layer, Parameter, Tree, TwinPass
from firstlight.losses import Loss
from firstlight.optimizers import Block, Optimizer
from firstlight.types import Array, Shape

Noise = Callable[[str], np.random.Generator]


@dataclass(frozen=True, eq=False)
class Derivatives:
    """What a twin gives: its output, the gradients with respect to input and parameters, and its running statistics.

    Parameters are named by their path inside the layer, such as "conv1.W".
    """

    y: Array
    dx: Array
    gradients: Mapping[str, Array]
    statistics: Mapping[str, Array]


def of_layer(
    layer: Layer, p: Tree, x: Array, dy: Array, *, training: bool, path: str = "", noise: Noise | None = None
) -> Derivatives:
    """The twin of a layer at x (…, N), and its gradients for the gradient dy of something by its output.

    path   of the layer in its net, and `noise` the generator of the draws for each path, as in `layers.Pass`
    """
    tree, trained, statistics = _tensors(layer.parameters(x.shape[:-1]), p)
    leaf = _batch_first(x).requires_grad_()
    y = layer.twin(torch, tree, leaf, TwinPass(training, path, _uniform(noise)))
    inputs = [leaf, *trained.values()]
    dx, *gradients = _gradients(y, inputs, _batch_first(dy))
    return Derivatives(
        _batch_last(y),
        _batch_last(dx),
        {name: g.numpy() for name, g in zip(trained, gradients, strict=True)},
        {name: tensor.numpy() for name, tensor in statistics.items()},
    )


def of_loss(loss: Loss, y: Array, targets: Array) -> tuple[Array, Array]:
    """The twin of a loss at outputs y (K, N): the value of each sample (N,), and the gradient of their mean in y."""
    leaf = _batch_first(y).requires_grad_()
    values = loss.twin(torch, leaf, torch.from_numpy(targets.T.copy()))
    (dy,) = _gradients(values.mean(), [leaf])
    return values.detach().numpy(), _batch_last(dy)


def of_net(
    layers: Layer,
    loss: Loss,
    p: Tree,
    x: Array,
    targets: Array,
    *,
    noise: Noise | None = None,
    weights: Array | None = None,
    training: bool = True,
    running_stats: frozenset[str] = frozenset(),
) -> dict[str, Array]:
    """The gradient of the mean loss with respect to each trained parameter of a net, by name.

    weights  what each sample's loss counts, (N,)
    """
    tree, trained, _ = _tensors(layers.parameters(x.shape[:-1]), p)
    run = TwinPass(training, "", _uniform(noise), running_stats=running_stats)
    values = loss.twin(torch, layers.twin(torch, tree, _batch_first(x), run), torch.from_numpy(targets.T.copy()))
    mean = (values if weights is None else values * torch.from_numpy(weights)).mean()
    gradients = _gradients(mean, [*trained.values()])
    return {name: g.numpy() for name, g in zip(trained, gradients, strict=True)}


def walk(optimizer: Optimizer, theta: Array, gradient: Callable[[Array, int], Array], rates: Sequence[float]) -> Array:
    """Weights theta (n,) after steps of an optimizer's twin; gradient(theta, t) is that of step t, from 0.

    Without a twin, PyTorch works out the formula.
    """
    weights = torch.from_numpy(theta.copy()).requires_grad_()
    groups, block = [{"params": [weights]}], Block(slice(0, len(theta)), theta.shape, 1.0, False)
    twin = optimizer.twin(torch, groups, fused=False)
    if twin is None:
        twin = FormulaOptimizer(groups, optimizer.innermost, [block], by_tensor=True)
    memory: dict[str, list[torch.Tensor]] = {}
    for t, rate in enumerate(rates):
        weights.grad = torch.from_numpy(gradient(weights.detach().numpy(), t))
        for group in twin.param_groups:
            group["lr"] = rate
        optimizer.twin_step([weights], twin.step, memory, t + 1)
    return weights.detach().numpy()


def _gradients(y: torch.Tensor, inputs: list[torch.Tensor], dy: torch.Tensor | None = None) -> list[torch.Tensor]:
    """The gradients with respect to `inputs`; zeros for what y does not depend on."""
    if not y.requires_grad:
        return [torch.zeros_like(leaf) for leaf in inputs]
    return list(torch.autograd.grad(y, inputs, dy, allow_unused=True, materialize_grads=True))


def _tensors(
    parameters: Mapping[str, Any], p: Tree
) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Copies of the arrays p as a tree of tensors; those to train and the others by name as well."""
    tree: dict[str, Any] = {}
    trained: dict[str, torch.Tensor] = {}
    statistics: dict[str, torch.Tensor] = {}
    for path, parameter, array in _leaves(parameters, p):
        tensor = torch.from_numpy(array.copy())
        (trained if parameter.trainable else statistics)[".".join(path)] = tensor.requires_grad_(parameter.trainable)
        branch = tree
        for name in path[:-1]:
            branch = branch.setdefault(name, {})
        branch[path[-1]] = tensor
    return tree, trained, statistics


def _leaves(
    parameters: Mapping[str, Any], p: Tree, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Parameter, Array]]:
    for name, value in parameters.items():
        if isinstance(value, Parameter):
            yield (*path, name), value, p[name]
        else:
            yield from _leaves(value, p[name], (*path, name))


def _uniform(noise: Noise | None) -> Callable[[str, Shape], torch.Tensor] | None:
    if noise is None:
        return None

    def uniform(path: str, shape: Shape) -> torch.Tensor:
        return _batch_first(noise(path).random((*shape[1:], shape[0]), dtype=np.float32))

    return uniform


def _batch_first(array: Array) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(array, -1, 0).copy())


def _batch_last(tensor: torch.Tensor) -> Array:
    return np.moveaxis(tensor.detach().numpy(), 0, -1)
