"""How to do runs again: the command, the files, and where they ran."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from firstlight.records.environment import Machine
from firstlight.records.group import Group, named_runs, present
from firstlight.records.run import RunRecord
from firstlight.report.document import Block, Code, Section, Table, Text
from firstlight.report.format import UNDEFINED
from firstlight.report.settings import engine

NOTE = Text(
    "The same seed gives bit-identical weights on the same machine with the same number of threads; elsewhere the last "
    "digits may differ.",
    tone="note",
)


@dataclass(frozen=True)
class Reproduction:
    """The experiment file of each run, and of which the images were given as arrays in memory."""

    experiments: Mapping[str, str]
    in_memory: Sequence[str] = ()


def numbers(groups: Sequence[Group]) -> Reproduction:
    runs = named_runs(groups)
    return Reproduction(
        {name: run.experiment_text.rstrip("\n") for name, run in runs.items()},
        [name for name, run in runs.items() if run.source.startswith("in memory: ")],
    )


def section(groups: Sequence[Group]) -> Section | None:
    """The files of each run, which are folded where there are several."""
    if not present(groups):
        return None
    return Section("How to reproduce it", "reproduce", (*blocks(numbers(groups)), *where(groups)))


def blocks(found: Reproduction) -> tuple[Block, ...]:
    if len(found.experiments) == 1:
        (text,) = found.experiments.values()
        how: Block = Code("firstlight run experiment.toml", title="With the file below, in a shell:")
        if found.in_memory:
            how = Text("The images were given as arrays: load them again in Python, and fit with the settings below.")
        return how, Code(text, title="experiment.toml")
    return (
        Code("firstlight run experiment.toml", title="With any of the files below, in a shell:"),
        *(Code(text, title=f"{name}: experiment.toml", folded=True) for name, text in found.experiments.items()),
    )


def where(groups: Sequence[Group]) -> tuple[Block, ...]:
    """The versions, machines, seeds and data of all runs, each once."""
    runs = [run for group in groups for run in group.runs.values()]
    places = [run.environment for run in runs]
    resumed = ["; ".join(place.continuations()) for place in places]
    rows = [
        ("firstlight", _each(place.firstlight for place in places)),
        ("Git commit", _each(place.git for place in places)),
        ("Python", _each(place.python for place in places)),
        ("Packages", _each(f"{name} {version}" for place in places for name, version in place.packages.items())),
        ("Engine", _each(engine(run) for run in runs)),
        ("Threads", _each(place.threads for place in places)),
        *([("Resumed", _each(resumed))] if any(resumed) else []),
        ("Machine", _each(place.machine.name for place in places)),
        ("Cores and memory", _each(_size(place.machine) for place in places)),
        *([("Time and memory", estimates)] if (estimates := _estimates(runs)) else []),
        ("Seed", _each(map(str, sorted({run.experiment.seed for run in runs})))),
        ("Data", _each((part for run in runs for part in (run.data, run.source, run.homepage, run.licence)), " · ")),
    ]
    return NOTE, Table(tuple(rows), caption="Where it ran")


def _estimates(runs: Sequence[RunRecord]) -> str:
    """What training and evaluation took and were told to take, of a single run."""
    found = [run.result.estimate for run in runs if run.result.estimate is not None]
    return found[0].said() if len(runs) == len(found) == 1 else ""


def _each(values: Iterable[object], between: str = ", ") -> str:
    return between.join(dict.fromkeys(str(value) for value in values if value)) or UNDEFINED


def _size(machine: Machine) -> str:
    cores = UNDEFINED if machine.cores is None else machine.cores
    return f"{cores} cores, {machine.memory_gb:.0f} GB" if machine.memory_gb else ""


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd files, by what is odd."""
    long = "\n".join(f'key-{k} = "<b>"' for k in range(90))
    return {
        "in memory": blocks(Reproduction({"a": "seed = 0"}, ["a"])),
        "a long file": blocks(Reproduction({"a": long})),
        "several": blocks(Reproduction({"a": "seed = 0", "<b>": "seed = 1"})),
    }
