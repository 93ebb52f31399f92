"""Two entries of a study that differ only in the engine: how far their losses agree, and what an epoch costs each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from firstlight.options import flat
from firstlight.records.group import Group, present
from firstlight.report import seeds
from firstlight.report.document import Beside, Block, Chart, Heading, Table
from firstlight.report.format import THIN, UNDEFINED, counted, plus_minus
from firstlight.report.format import seconds as duration
from firstlight.report.parity_tables import exponent
from firstlight.types import Array

OF_THE_ENGINE = frozenset({"engine", "kernels", "device", "exact_noise"})  # settings that change no mathematics


def pairs(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    """The groups that differ in their engine and in nothing that changes what is computed, two by two."""
    return [
        (first, second) for first, second in itertools.combinations(present(groups), 2) if _only_engine(first, second)
    ]


def _only_engine(first: Group, second: Group) -> bool:
    asked = [dict(flat(group.first.experiment)) for group in (first, second)]
    apart = {key for key in asked[0].keys() | asked[1].keys() if asked[0].get(key) != asked[1].get(key)} - {"seed"}
    return "engine" in apart and apart <= OF_THE_ENGINE


def blocks(first: Group, second: Group) -> tuple[Block, ...]:
    """The losses of both by epoch, how far apart they are, and the seconds an epoch."""
    apart = differences(first, second)
    title = Heading(f"{first.name} and {second.name}")
    if not apart:
        return (title, _table(first, second, {}))
    seed = next(iter(apart))
    losses = {group.name: _curve(group.averaged[seed].history["loss"]) for group in (first, second)}
    charts: list[Block] = [
        Chart(
            spec=seeds.engines(losses),
            description=f"The training loss of both engines over the epochs, seed {seed}.",
            width=440,
        ),
        Chart(
            spec=seeds.gaps(apart),
            description="The relative difference of the training loss over the epochs, a line a seed, logarithmic.",
            width=440,
        ),
    ]
    caption = (
        f"Left, the training loss of seed {seed}: the dotted line lies on the thick one where they agree. Right, how "
        f"far the losses are apart, relative to their size, of {counted(len(apart), 'seed')}."
    )
    return (title, Beside(tuple(charts), caption=caption), _table(first, second, apart))


def differences(first: Group, second: Group) -> dict[int, list[float]]:
    """|a − b| / |b| of the training loss at each epoch, by each seed that both have."""
    found = {}
    for seed in first.averaged:
        if seed in second.averaged:
            a, b = (group.averaged[seed].history["loss"] for group in (first, second))
            n = min(len(a), len(b))
            if n:
                scale = np.maximum(np.abs(b[:n]), np.finfo(np.float64).tiny)
                with np.errstate(all="ignore"):  # a run that diverged ends with what is no number
                    found[seed] = (np.abs(a[:n] - b[:n]) / scale).tolist()
    return found if np.isfinite([gap for values in found.values() for gap in values]).any() else {}


def _curve(losses: Array) -> Mapping[str, Array]:
    return {"epoch": np.arange(1, len(losses) + 1), "mean": losses}


def _table(first: Group, second: Group, apart: Mapping[int, Sequence[float]]) -> Table:
    known = [value for values in apart.values() for value in values if np.isfinite(value)]
    worst = exponent(max(known)) if known else UNDEFINED
    slow, fast = first.seconds_an_epoch, second.seconds_an_epoch
    ratio = f"{slow / fast:.2f}" if slow and fast else UNDEFINED
    rows = (
        (first.name, str(first.first.experiment.get("engine", "")), _accuracy(first), _short(slow)),
        (second.name, str(second.first.experiment.get("engine", "")), _accuracy(second), _short(fast)),
    )
    return Table(
        titles=("run", "engine", "test accuracy", "an epoch"),
        rows=rows,
        right=frozenset({2, 3}),
        caption=f"The greatest relative difference of the training loss is {worst}. An epoch, the median of all, takes "
        f"{first.name} {ratio} times as long as {second.name}.",
    )


def _short(value: float | None) -> str:
    """The time of an epoch, in milliseconds where it is below a second."""
    return duration(value) if value is None or value >= 1 else f"{1000 * value:.3g}{THIN}ms"


def _accuracy(group: Group) -> str:
    return plus_minus(group.accuracy)
