"""How a parity check was measured, and where."""

from __future__ import annotations

from firstlight.records.parity import FLOOR, Parity
from firstlight.report.document import Block, Section, Table, Text
from firstlight.report.format import UNDEFINED, count, counted, shape

DEFINITION = (
    "A relative difference of two arrays is the largest difference of their numbers over the largest number in them. "
    f"An array whose numbers are all below {FLOOR:g} of the largest in the layer, or in the net, is measured against "
    "that: the gradient with respect to a bias before a batch norm is zero, and rounding errors are not counted as a "
    "difference. Along a random direction, it is the difference of two directional derivatives over their root mean "
    "square."
)
POINT = (
    "Gradients are computed in float64 at the initial weights, each perturbed by a tenth of their size, so that none "
    "is zero, and at inputs perturbed likewise, away from the zeros of a ReLU and the ties of a max pooling, where "
    "there is no derivative."
)


def section(parity: Parity) -> Section:
    return Section("How it was measured", "measured", blocks(_rows(parity)))


def _rows(parity: Parity) -> list[tuple[str, str]]:
    environment = parity.environment
    return [
        ("Model", ", ".join([parity.model, *(f"{key} {value}" for key, value in parity.options.items())])),
        ("Input", f"{shape(parity.input_shape)}, {counted(parity.classes, 'class')}"),
        ("Parameters", count(parity.parameter_count)),
        ("Images", f"{parity.images}; gradients on {counted(parity.gradient_images, 'image')}"),
        ("Training", f"{parity.optimizer}, {counted(parity.steps, 'step')}, batches of {parity.batch_size}"),
        ("Seed", str(parity.seed)),
        ("firstlight", environment.firstlight or UNDEFINED),
        ("Python", environment.python or UNDEFINED),
        ("Packages", ", ".join(f"{name} {version}" for name, version in environment.packages.items()) or UNDEFINED),
        ("Machine", environment.machine.name or UNDEFINED),
        ("The check took", f"{parity.seconds:.0f} s"),
    ]


def blocks(rows: list[tuple[str, str]]) -> tuple[Block, ...]:
    """The terms, and a table of names and values."""
    return (Text(DEFINITION), Text(POINT), Table(tuple(rows), caption="What was measured, and where"))


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd checks, by what is odd."""
    return {"usual": blocks([("Model", "<b>lenet5"), ("Machine", UNDEFINED)])}
