"""SIGKILL of the whole group of processes at random instants of `run` and `resume`, `study --workers 2` and `tune`,
up to four times, until the command ends. Survived: the same bytes as without a kill, and no temporary file left."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.commands import run
from benchmarks.reliability.folders import leftovers, said
from benchmarks.reliability.programs.kills_at_changes import VICTIMS, Victim, compared

KILLS = 4


def attack(a: Attack) -> None:
    """One command after the other, as long as there is time."""
    victims = [victim for victim in VICTIMS if victim.file is not None]
    lives: dict[str, float] = {}
    trial = 0
    while not a.over:
        victim = victims[trial % len(victims)]
        if victim.name not in lives:
            (a.work / f"{victim.name}.toml").write_text(victim.file or "")
            began = time.monotonic()
            run(*_words(victim, a.work, a.work / f"{victim.name}-whole"), timeout=600)
            lives[victim.name] = time.monotonic() - began
        _trial(a, victim, trial, lives[victim.name])
        trial += 1


def _words(victim: Victim, work: Path, place: Path) -> list[str | Path]:
    return [*victim.words(work, place), *(["--workers", "2"] if victim.name == "study" else [])]


def _trial(a: Attack, victim: Victim, trial: int, life: float) -> None:
    place = a.work / f"{victim.name}-{trial}"
    draw = a.random(victim.name, trial)
    instants, wrong = [], None
    for kill in range(KILLS + 1):
        after = draw.uniform(0, life) if kill < KILLS and draw.random() < 0.8 else None
        ended = run(*_words(victim, a.work, place), kill_after=after, timeout=600)
        if ended.killed and after is not None:
            instants.append(f"{after:.2f} s")
        wrong = ended.wrong
        if not wrong and not ended.killed and ended.code != 0 and "complete" not in ended.output:
            wrong = f"{victim.name} refuses: {said(ended)}"
        if wrong or not ended.killed:
            break
    if wrong is None and leftovers(place):
        run("report", place)  # who writes there next tidies up
    wrong = wrong or compared(victim, a.work / f"{victim.name}-whole", place)
    a.count(f"{victim.name}, killed after {', '.join(instants) or 'its end'}", wrong)
    shutil.rmtree(place, ignore_errors=True)
