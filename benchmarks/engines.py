"""The engines side by side on a CPU: `python -m benchmarks.engines [--rounds 9] [--numpy] [name ...]`.

For each net, the milliseconds of a training step: of the engine torch in float32 and with the precision that it chooses
itself, of the engine numpy, and of the same net in a loop as an expert writes it in PyTorch by hand. They take turns of
at least half a second; shown are the medians of the turns, the half range of the middle half as the spread, and what
was chosen by trials before.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from firstlight import models
from firstlight.engines import Session, Task, open_engine
from firstlight.losses import CrossEntropy
from firstlight.optimizers import Adam
from firstlight.prepare import Preparation
from firstlight.types import Array, Images

Epochs = Callable[[int], None]  # trains for so many epochs
TURN = 0.5  # seconds, at least
SHOWN = ("precision", "channels_last", "threads")


class Case(NamedTuple):
    """A net of ours, the same by hand, and how it is trained; `steps` of an epoch."""

    model: str
    by_hand: Callable[[], list[nn.Module]]
    batch: int
    shape: tuple[int, int, int] = (28, 28, 1)
    steps: int = 100


def mlp() -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)]


def lenet5(norm: bool = False) -> list[nn.Module]:
    def block(inputs: int, outputs: int, padding: int = 0) -> list[nn.Module]:
        middle = [nn.BatchNorm2d(outputs)] if norm else []
        return [nn.Conv2d(inputs, outputs, 5, padding=padding), *middle, nn.ReLU()]

    body = [*block(1, 6, 2), nn.MaxPool2d(2), *block(6, 16), nn.MaxPool2d(2), *block(16, 120)]
    return [*body, nn.Flatten(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]


def mnist_cnn() -> list[nn.Module]:
    body: list[nn.Module] = []
    for inputs, outputs in ((1, 32), (32, 64), (64, 64)):
        body += [nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.MaxPool2d(2)]
    return [*body, nn.Flatten(), nn.Linear(64, 10)]


def vgg_small() -> list[nn.Module]:
    body: list[nn.Module] = []
    inputs = 3
    for outputs, rate in ((32, 0.2), (64, 0.3), (128, 0.4)):
        for channels in (inputs, outputs):
            body += [nn.Conv2d(channels, outputs, 3, padding=1), nn.SELU(), nn.BatchNorm2d(outputs)]
        body += [nn.MaxPool2d(2), nn.Dropout(rate)]
        inputs = outputs
    head = [nn.Linear(2048, 128), nn.SELU(), nn.BatchNorm1d(128), nn.Dropout(0.5), nn.Linear(128, 10)]
    return [*body, nn.Flatten(), *head]


CASES = {
    "mlp-128-64, batch 32": Case("mlp-128-64", mlp, 32),
    "mlp-128-64, batch 128": Case("mlp-128-64", mlp, 128),
    "lenet5, batch 32": Case("lenet5", lenet5, 32),
    "lenet5-batchnorm, batch 32": Case("lenet5-batchnorm", partial(lenet5, norm=True), 32),
    "mnist-cnn, batch 64": Case("mnist-cnn", mnist_cnn, 64),
    "vgg-small, batch 64": Case("vgg-small", vgg_small, 64, (32, 32, 3), steps=10),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only the cases whose name contains one of these")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--numpy", action="store_true", help="the engine numpy as well")
    options = parser.parse_args()

    table = Table(title=f"ms a step, medians of {options.rounds} ± spread; {torch.get_num_threads()} threads")
    for heading in ("net", "loop", "ms", "of by hand", "chosen"):
        table.add_column(heading, justify="right" if heading in ("ms", "of by hand") else "left")
    for name, case in CASES.items():
        if options.names and not any(part in name for part in options.names):
            continue
        images, task = learning(case)
        sessions = opened(case, images, task, options.numpy)
        loops: dict[str, Epochs] = {loop: partial(train, session, case) for loop, session in sessions.items()}
        loops["by hand"] = by_hand(case, images)
        measured = alternate(loops, case.steps, options.rounds)
        for loop, (ms, spread) in measured.items():
            record = sessions[loop].describe() if loop in sessions else {}
            chosen = ", ".join(f"{key} {record[key]}" for key in SHOWN if key in record)
            table.add_row(name, loop, f"{ms:.3f} ± {spread:.3f}", f"{ms / measured['by hand'][0]:.2f}", chosen)
        table.add_section()
    Console(width=130).print(table)


def learning(case: Case) -> tuple[Images, Task]:
    """Images of noise, for which a step takes as long as for any others, and what is learnt of them."""
    random = np.random.default_rng(0)
    n = case.batch * case.steps
    pixels, labels = random.integers(0, 256, (n, *case.shape), np.uint8), random.integers(0, 10, n)
    images = Images(pixels, labels, np.arange(n).astype(str), tuple("abcdefghij"))
    return images, Task(models.build(case.model, case.shape, 10), CrossEntropy(), Preparation.fit(images), Adam())


def opened(case: Case, images: Images, task: Task, numpy: bool) -> dict[str, Session]:
    """Our engines, warm."""
    engines = {
        "torch": open_engine("torch", device="cpu"),
        "torch, auto": open_engine("torch", device="cpu", precision="auto"),
    }
    if numpy:
        engines["numpy"] = open_engine("numpy")
    sessions = {name: engine.session(task, images) for name, engine in engines.items()}
    for session in sessions.values():
        session.warm_up(case.batch, 1)
    return sessions


def train(session: Session, case: Case, epochs: int) -> None:
    """Train for so many epochs."""
    rates = np.full(case.steps, 1e-3)
    for epoch in range(epochs):
        session.train_epoch(epoch, case.batch, rates, lambda images, loss: None)


def by_hand(case: Case, images: Images) -> Epochs:
    """A plain loop over resident tensors, with none of our options."""
    net = nn.Sequential(*case.by_hand())
    x = torch.tensor(images.pixels).permute(0, 3, 1, 2).float().div(255).contiguous()
    labels = torch.tensor(images.labels)
    optimizer = torch.optim.Adam(net.parameters(), fused=True)

    def train(epochs: int) -> None:
        torch.set_flush_denormal(True)
        net.train()
        for _ in range(epochs):
            total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
            for index in torch.randperm(len(x)).split(case.batch):
                batch, targets = x.index_select(0, index), labels.index_select(0, index)
                optimizer.zero_grad(set_to_none=True)
                y = net(batch)
                loss = nn.functional.cross_entropy(y, targets)
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(index)
                right += (y.detach().argmax(1) == targets).sum()
            assert total.isfinite()
            assert right <= len(x)
        torch.set_flush_denormal(False)

    return train


def alternate(loops: dict[str, Epochs], steps: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Median and spread in ms of a step of each loop, taking turns."""
    epochs = {}
    for name, loop in loops.items():
        loop(1)
        began = time.perf_counter()
        loop(1)
        epochs[name] = max(1, round(TURN / (time.perf_counter() - began)))
    turns: Array = np.empty((rounds, len(loops)))
    for turn in turns:
        for i, (name, loop) in enumerate(loops.items()):
            began = time.perf_counter()
            loop(epochs[name])
            turn[i] = (time.perf_counter() - began) / (epochs[name] * steps) * 1e3
    low, middle, high = np.percentile(turns, (25, 50, 75), axis=0)
    return dict(zip(loops, zip(middle.tolist(), ((high - low) / 2).tolist(), strict=True), strict=True))


if __name__ == "__main__":
    main()
