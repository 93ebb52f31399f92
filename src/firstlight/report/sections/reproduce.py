"""How to do a run again: the command, the file, and where it ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstlight.records.group import Group
from firstlight.records.run import RunRecord
from firstlight.report.document import Block, Code, Section, Table, Text
from firstlight.report.format import UNDEFINED
from firstlight.report.settings import Row, engine

NOTE = Text(
    "The same seed gives bit-identical weights on the same machine with the same number of threads; elsewhere the last "
    "digits may differ.",
    tone="note",
)


@dataclass(frozen=True)
class Reproduction:
    """The experiment file, whether its images were given as arrays in memory, and where it ran."""

    experiment: str
    in_memory: bool
    where: Sequence[Row]


def numbers(group: Group) -> Reproduction:
    run = group.first
    return Reproduction(run.experiment_text.rstrip("\n"), run.source.startswith("in memory: "), _where(run))


def _where(record: RunRecord) -> list[Row]:
    environment, machine = record.environment, record.machine
    cores = UNDEFINED if machine.cores is None else machine.cores
    return [
        ("firstlight", environment.firstlight or UNDEFINED),
        ("Git commit", environment.git or UNDEFINED),
        ("Python", environment.python or UNDEFINED),
        ("Packages", ", ".join(f"{name} {version}" for name, version in environment.packages.items()) or UNDEFINED),
        ("Engine", engine(record) or UNDEFINED),
        ("Threads", UNDEFINED if environment.threads is None else str(environment.threads)),
        *([("Resumed", "; ".join(resumed))] if (resumed := environment.continuations()) else []),
        ("Machine", machine.name or UNDEFINED),
        ("Cores and memory", f"{cores} cores, {machine.memory_gb:.0f} GB" if machine.memory_gb else UNDEFINED),
        ("Seed", str(record.experiment.seed)),
        (
            "Data",
            " · ".join(dict.fromkeys(filter(None, [record.data, record.source, record.homepage, record.licence]))),
        ),
    ]


def section(groups: Sequence[Group]) -> Section | None:
    """How a single run is done again."""
    if len(groups) != 1 or len(groups[0].runs) != 1:
        return None
    return Section("How to reproduce it", "reproduce", blocks(numbers(groups[0])))


def blocks(found: Reproduction) -> tuple[Block, ...]:
    how: Block = Code("firstlight run experiment.toml", title="With the file below, in a shell:")
    if found.in_memory:
        how = Text("The images were given as arrays: load them again in Python, and fit with the settings below.")
    return (
        how,
        Code(found.experiment, title="experiment.toml"),
        NOTE,
        Table(tuple(found.where), caption="Where it ran"),
    )


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd files, by what is odd."""
    return {
        "in memory": blocks(Reproduction("seed = 0", True, [("Machine", UNDEFINED)])),
        "a long file": blocks(Reproduction("\n".join(f'key-{k} = "<b>"' for k in range(90)), False, [("Seed", "0")])),
    }
