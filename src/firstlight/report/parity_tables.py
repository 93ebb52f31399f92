"""The tables of a parity check, for the page and for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from firstlight.records.parity import FLOOR, GRADIENT, WHOLE_NET, Comparison, LayerRow, Parity, Seconds
from firstlight.report.document import Table
from firstlight.report.format import DASH, counted, shape
from firstlight.types import Json


def exponent(value: float | None) -> str:
    """A difference in two digits: 3.1e-16; 0 only where there is none."""
    if value is None:
        return DASH
    if math.isinf(value):
        return "∞"
    return f"{value:.1e}" if value else "0"


def power(value: float) -> str:
    """A round number such as a tolerance: 1e-9."""
    return f"{value:.0e}".replace("e-0", "e-")


def milliseconds(seconds: float) -> str:
    """A short time in three digits."""
    return f"{1000 * seconds:.3g}"


DEFINITION = (
    "A relative difference of two arrays is the largest difference of their numbers over the largest number in them. "
    f"An array whose numbers are all below {FLOOR:g} of the largest in the layer, or in the net, is measured against "
    "that: the gradient by a bias before a batch norm is zero, and its rounding is no difference. Along a random "
    "direction, it is the difference of two derivatives over the root mean square that such directions have."
)
LAYERS = (
    "Each layer stands beside its twin, PyTorch’s own operation, at the input that it has in the net and for a random "
    "gradient by its output: y is that output, dx the gradient by the input, dθ the worst of those by its parameters, "
    "each in training or evaluation, whichever is worse. Central differences are of this layer alone."
)
WHOLE = (
    "The gradient of the loss by each parameter, through the whole net. Central differences of the whole net are less "
    "exact, by as much as they say under “uncertain”: a step of a millionth of the weights crosses a kink of some ReLU "
    f"or pooling, and with smaller steps rounding shows. {power(WHOLE_NET)} is tolerated of them, {power(GRADIENT)} of "
    "autograd."
)
FLOAT32 = (
    "In float32 the learning rate is a hundredth: rounding tips a ReLU or max pooling now and then, and what training "
    "makes of that grows with the rate, between any two programs. Weights are not judged: where a gradient is zero but "
    "for its rounding, as by a bias before a batch norm, Adam takes whole steps along that."
)


def layers(parity: Parity) -> Table:
    """How far each layer and its twin are apart."""
    shown = shown_layers(parity.layers)
    rows: list[tuple[str, ...]] = [
        (
            row.path or "all layers",
            row.type,
            exponent(row.y),
            exponent(row.dx.hand_autograd),
            exponent(_worst(c.hand_autograd for c in row.parameters.values())),
            exponent(row.dx.hand_central),
            exponent(_worst(c.hand_central for c in row.parameters.values())),
        )
        for row in shown
    ]
    loss = parity.loss
    rows.append(
        (
            loss.name,
            "loss",
            exponent(loss.value),
            *map(exponent, (loss.dy.hand_autograd, None, loss.dy.hand_central, None)),
        )
    )
    return Table(
        titles=("layer", "type", "y", "dx", "dθ", "dx, central", "dθ, central"),
        rows=tuple(rows),
        right=frozenset(range(2, 7)),
        strong=frozenset(n for n, row in enumerate(shown) if row.faults()),
        caption=f"Relative differences; {power(GRADIENT)} is tolerated. {LAYERS}",
    )


def shown_layers(layers: Sequence[LayerRow]) -> list[LayerRow]:
    """The rows worth a line: all layers, and of what is made of layers the whole net and what is at fault."""
    return [row for row in layers if not row.container or row.faults() or not row.path]


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def parameters(parity: Parity) -> Table:
    """How far the gradients of each parameter are apart."""
    rows = [(row.name, shape(row.shape), exponent(row.largest), *_three(row.gradient)) for row in parity.parameters]
    return Table(
        titles=("parameter", "shape", "largest", "by hand, autograd", "by hand, central", "uncertain"),
        rows=tuple(rows),
        right=frozenset(range(2, 6)),
        strong=frozenset(n for n, row in enumerate(parity.parameters) if row.gradient.fault(WHOLE_NET)),
        caption=WHOLE,
    )


def _three(comparison: Comparison) -> tuple[str, str, str]:
    return (
        exponent(comparison.hand_autograd),
        exponent(comparison.hand_central),
        exponent(comparison.uncertainty),
    )


def runs(parity: Parity) -> Table:
    """How far two runs are apart."""
    return Table(
        titles=("precision", "learning rate", "loss", "tolerated", "weights", "most in"),
        rows=tuple(
            (
                run.precision,
                f"{run.rate:g}",
                exponent(run.worst),
                power(run.tolerance),
                exponent(max(run.weights)),
                run.where,
            )
            for run in parity.runs
        ),
        right=frozenset({1, 2, 3, 4}),
        strong=frozenset(n for n, run in enumerate(parity.runs) if not run.passed),
        caption=f"The largest relative differences over {counted(parity.steps, 'step')}. {FLOAT32}",
    )


def speed(parity: Parity) -> Table:
    """How long a step takes on each engine."""
    measured = parity.speed
    rows = [
        ("numpy", *_spread(measured.numpy, 1000), _way(parity.engines.get("numpy", {}))),
        ("torch", *_spread(measured.torch, 1000), _way(parity.engines.get("torch", {}))),
        ("torch over numpy", *_spread(measured.ratio, 1), "above 1, numpy is the faster"),
    ]
    return Table(
        titles=("engine", "median", "quartiles", "as it computed"),
        rows=tuple(rows),
        right=frozenset({1, 2}),
        caption=(
            f"Milliseconds a step of training in float32, batches of {parity.batch_size}, over "
            f"{counted(measured.blocks, 'block')} of {counted(measured.steps, 'step')} each, the engines in turn, so "
            "that both see the same machine. Each after its own warm-up."
        ),
    )


def _spread(seconds: Seconds, unit: float) -> tuple[str, str]:
    median, lower, upper = (f"{unit * value:.3g}" for value in (seconds.median, seconds.lower, seconds.upper))
    return median, f"{lower}{DASH}{upper}"


def _way(engine: Json) -> str:
    """What an engine says of how it computed, in words."""
    said = [f"{engine['kernels']} kernels"] if engine.get("kernels") else []
    if engine.get("torch"):
        said.append(f"PyTorch {engine['torch']}")
    said += [word for key, word in (("channels_last", "channels last"), ("compiled", "compiled")) if engine.get(key)]
    threads = engine.get("threads")
    return ", ".join([*said, *([counted(threads, "thread")] if isinstance(threads, int) else [])])
