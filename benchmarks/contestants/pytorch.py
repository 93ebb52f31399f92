"""PyTorch, eager and compiled: resident tensors, one gather a batch, fused Adam."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks import trials
from benchmarks.cases import Case
from benchmarks.worker import Prepared
from firstlight import processes

KEPT = 0.1  # of a running statistic that a step replaces
PREDICTED = 1000  # images at a time: of 100, 250, 1,000 and 10,000 the fastest for lenet5


def prepare(case: Case, compiled: bool, threads: int = 0) -> Prepared:
    """Try both memory orders, and unless `threads` are given, one thread and as many as there are cores.

    The compiled net takes over the memory order that is faster without compiling, and tries the threads again.
    """
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    pixels, labels = case.floats()
    x, y = torch.tensor(pixels).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)
    net = network(case)
    net(x[:2])  # gives the lazy layers their shapes
    short = trials.fewer(case)
    orders = [False, True] if any(layer["type"] == "Conv2D" for layer in case.layers) else [False]
    counts = [threads] if threads else sorted({1, processes.cores()})
    channels_last, count = trials.fastest(
        itertools.product(orders, counts), lambda way: _loop(short, net, x[: short.images], y, *way)
    )
    if compiled:
        count = trials.fastest(
            counts, lambda count: _loop(short, net, x[: short.images], y, channels_last, count, compiled=True)
        )
    repeat = _loop(case, net, x, y, channels_last, count, compiled)
    repeat(1)
    counted = sum(p.numel() for p in net.parameters()) + sum(b.numel() for b in net.buffers() if b.is_floating_point())
    return Prepared(counted, repeat, {"channels_last": channels_last, "threads": count})


def _loop(
    case: Case,
    net: nn.Module,
    x: torch.Tensor,
    labels: torch.Tensor,
    channels_last: bool,
    threads: int,
    compiled: bool = False,
) -> Callable[[int], None]:
    """The loop over epochs or over calls, with the net and the images in this memory order."""
    torch.set_num_threads(threads)  # the compiler makes code for this number
    form = torch.channels_last if channels_last else torch.contiguous_format
    module: Any = net.to(memory_format=form)  # type: ignore[call-overload]
    if compiled:
        torch._dynamo.reset()
        module = torch.compile(module, dynamic=False)
    made = _predict if case.predict else _train
    repeat = made(module, net, x.contiguous(memory_format=form), labels, case)

    def again(times: int) -> None:
        torch.set_num_threads(threads)
        repeat(times)

    return again


def network(case: Case) -> nn.Sequential:
    """The same net in PyTorch's own layers; inputs are (N, C, H, W)."""
    flat = False
    layers: list[nn.Module] = []
    for layer in case.layers:
        match layer["type"]:
            case "Conv2D":
                kernel = layer.get("kernel", 3)
                padding = kernel // 2 if layer.get("padding") == "same" else 0
                layers.append(nn.LazyConv2d(layer["filters"], kernel, padding=padding))
            case "Dense":
                layers.append(nn.LazyLinear(layer["units"]))
            case "BatchNorm":
                layers.append((nn.LazyBatchNorm1d if flat else nn.LazyBatchNorm2d)(momentum=KEPT))
            case "MaxPool2D":
                layers.append(nn.MaxPool2d(layer.get("size", 2)))
            case "Dropout":
                layers.append(nn.Dropout(layer["rate"]))
            case "Flatten":
                layers.append(nn.Flatten())
                flat = True
            case "ReLU":
                layers.append(nn.ReLU())
            case "SELU":
                layers.append(nn.SELU())
            case other:
                raise ValueError(f"This peer has no {other}.")
    return nn.Sequential(*layers)


def _train(module: Any, net: nn.Module, x: torch.Tensor, labels: torch.Tensor, case: Case) -> Callable[[int], None]:
    optimizer = torch.optim.Adam(net.parameters(), fused=True)

    def train(epochs: int) -> None:
        net.train()
        for _ in range(epochs):
            total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
            for index in torch.randperm(len(x)).split(case.batch):
                batch, targets = x.index_select(0, index), labels.index_select(0, index)
                optimizer.zero_grad(set_to_none=True)
                y = module(batch)
                loss = nn.functional.cross_entropy(y, targets)
                loss.backward()
                optimizer.step()
                total += loss.detach()
                right += (y.detach().argmax(1) == targets).sum()
            _must_be_sane(total, right)

    return train


def _predict(module: Any, net: nn.Module, x: torch.Tensor, labels: torch.Tensor, case: Case) -> Callable[[int], None]:
    def predict(times: int) -> None:
        net.eval()
        with torch.inference_mode():
            for _ in range(times):
                torch.cat([module(part) for part in x.split(PREDICTED)])

    return predict


def _must_be_sane(total: torch.Tensor, right: torch.Tensor) -> None:
    if not total.isfinite() or right < 0:
        raise ArithmeticError(f"The loss became {total.item()}.")
