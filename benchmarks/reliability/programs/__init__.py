"""The ways to attack, by name. A module of this folder is one: its docstring says what it does, `attack` does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.programs import (
    concurrency,
    disks_and_limits,
    door,
    fuzz_checkpoints,
    fuzz_data,
    fuzz_experiments,
    fuzz_folders,
    fuzz_images,
    fuzz_weights,
    hostile_folders,
    kills_at_changes,
    kills_at_random,
    load_while_training,
)

MODULES = (
    kills_at_changes,
    kills_at_random,
    fuzz_experiments,
    fuzz_images,
    fuzz_data,
    fuzz_weights,
    fuzz_folders,
    fuzz_checkpoints,
    hostile_folders,
    door,
    load_while_training,
    concurrency,
    disks_and_limits,
)


@dataclass(frozen=True)
class Program:
    """One way to attack.

    about    what it does and what counts as surviving, a sentence or two
    attack   makes its trials until they are all made or its time is over
    """

    about: str
    attack: Callable[[Attack], None]


def _program(module: ModuleType) -> Program:
    return Program(" ".join((module.__doc__ or "").split()), module.attack)


PROGRAMS: dict[str, Program] = {
    module.__name__.rpartition(".")[2].replace("_", "-"): _program(module) for module in MODULES
}
