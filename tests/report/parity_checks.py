"""Synthetic parity checks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from firstlight.records.environment import Environment
from firstlight.records.parity import Comparison, LayerRow, LossRow, ParameterRow, Parity, Seconds, SideBySide, Speed

FINE = Comparison(2e-15, 3e-12, 4e-12, 5e-12)


def run(precision: str, steps: int = 3, loss: float = 2e-16) -> SideBySide:
    rate = {"float64": 1e-3, "float32": 1e-5}[precision]
    losses = tuple(2.3 - 0.1 * n for n in range(steps))
    return SideBySide(precision, rate, losses, losses, (*[0.0] * (steps - 1), loss), (4e-13,) * steps, "conv1.b")


def parity(**odd: Any) -> Parity:
    """A check of a small net, with what is odd about it."""
    layers = (
        LayerRow("block.conv1", "Conv2D", False, 1e-16, 0.0, FINE, {"W": FINE, "b": FINE}),
        LayerRow("block", "Residual", True, 1e-16, 0.0, Comparison(6e-15), {"conv1.W": Comparison(7e-15)}),
        LayerRow("", "Chain", True, 3e-16, 0.0, Comparison(8e-15), {"block.conv1.W": Comparison(9e-15)}),
    )
    sound = Parity(
        model="lenet5",
        options={"activation": "relu"},
        input_shape=(28, 28, 1),
        classes=10,
        parameter_count=61_706,
        images="1600 images of random pixels, with random labels",
        gradient_images=4,
        batch_size=32,
        seed=0,
        optimizer="adam",
        layers=layers,
        loss=LossRow("cross-entropy", 0.0, FINE),
        parameters=(ParameterRow("block.conv1.W", (6, 1, 5, 5), 2.5, Comparison(1e-15, 6e-8, 6e-8, 7e-8)),),
        runs=(run("float64"), run("float32", loss=1.5e-7)),
        speed=Speed(Seconds(2e-3, 1.9e-3, 2.1e-3), Seconds(3e-3, 2.9e-3, 3.1e-3), Seconds(1.5, 1.4, 1.6), 12, 100),
        engines={
            "numpy": {"engine": "numpy", "kernels": "compiled", "threads": 2},
            "torch": {"engine": "torch", "torch": "2.13.0", "channels_last": True, "compiled": False, "threads": 1},
        },
        environment=Environment(firstlight="0.1.0", python="3.11.7", started="2026-01-02T03:04:05+00:00"),
        seconds=12.0,
    )
    return replace(sound, **odd)
