"""How a test of learning rates was made, and what it does not tell."""

from __future__ import annotations

from firstlight.records.rate_test import RateTest
from firstlight.report.document import Block, Section, Table, Text
from firstlight.report.format import UNDEFINED, count, counted

WHAT = (
    "A learning rate range test (Smith 2017): the training of the experiment, from its own initial weights and on its "
    "own batches, at a learning rate that grows by the same factor at each step. It ends when the loss has grown far "
    "above its first value. The weights are discarded; schedule, early stopping and validation are not used."
)
LIMITS = (
    "The test covers the first steps alone, so it shows with which rates training can begin. Longer training often "
    "ends better with a schedule that decays from there; another batch size or optimizer has another curve."
)


def section(test: RateTest) -> Section:
    return Section("How it was measured", "measured", blocks(_rows(test)))


def _rows(test: RateTest) -> list[tuple[str, str]]:
    environment = test.environment
    passes = f"{test.passes:.2g} passes over {counted(test.training_images, 'training image')}"
    return [
        ("Model", test.model),
        ("Images", test.data),
        ("Optimizer", test.optimizer),
        ("Steps", f"{count(len(test.rates))}, batches of {test.batch_size}: {passes}"),
        ("Rates", f"{test.rates[0]:.2g} to {test.rates[-1]:.2g}" + (f" of {test.to:.2g}" if test.diverged else "")),
        ("Seed", str(test.seed)),
        ("Engine", ", ".join(filter(None, (environment.engine, environment.device, environment.precision)))),
        ("firstlight", environment.firstlight or UNDEFINED),
        ("Machine", environment.machine.name or UNDEFINED),
        ("The steps took", f"{test.seconds:.1f} s"),
    ]


def blocks(rows: list[tuple[str, str]]) -> tuple[Block, ...]:
    return (Text(WHAT), Text(LIMITS), Table(tuple(rows), caption="What was measured, and where"))


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd tests, by what is odd."""
    return {"usual": blocks([("Model", "<b>lenet5"), ("Machine", UNDEFINED)])}
