"""SIGKILL just before every single change that `run`, `study`, `tune`, `explain`, `report`, `export` and `predict` make
below their folder; then the same command (for a run that has begun: `resume`), killed once more at random.
Survived: the same bytes as without a kill, and no temporary file left."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.commands import Ended, changes, run, run_until
from benchmarks.reliability.folders import RUN, SEARCH, STUDY, differences, finished_run, leftovers, said
from firstlight.records import exports
from firstlight.records.run_folder import EXPERIMENT, RESULT, RunFolder

IMAGES, TABLE = "{work}/images", "{run}/predictions.csv"
TURNS = 5  # how often a command may be tried until it has come to its end


@dataclass(frozen=True)
class Victim:
    """A command that is killed: its words, where it writes, and the run, if any, whose bytes must be the same.

    file     the experiment that it takes, or None for one that works on a finished run
    options  what follows the run: {run} is its folder, {work} that of the attack
    """

    name: str
    file: str | None
    options: tuple[str, ...] = ()

    def words(self, work: Path, place: Path) -> list[str | Path]:
        """The command that begins, and continues."""
        if self.file is None:
            return [self.name, place, *(option.format(run=place, work=work) for option in self.options)]
        if self.name == "run" and (place / EXPERIMENT).exists():
            return ["resume", place]
        return [self.name, work / f"{self.name}.toml", "--out", place]

    def runs(self, place: Path) -> list[Path]:
        """The run folders that must come out the same."""
        return [place] if self.name != "study" else sorted(path.parent for path in place.glob(f"*/*/{RESULT}"))

    def complete(self, place: Path, ended: Ended) -> bool:
        return ended.code == 0 and (self.file is None or (place / RESULT).exists() or self.name == "study")


VICTIMS = (
    Victim("run", RUN),
    Victim("study", STUDY),
    Victim("tune", SEARCH),
    Victim("report", None),
    Victim("explain", None),
    Victim("export", None, ("--to", "torch")),
    Victim("predict", None, (IMAGES, "--out", TABLE)),
)


def attack(a: Attack) -> None:
    """Kill each command before each of its changes, the commands in turn."""
    finished = finished_run(a)
    for victim in VICTIMS:
        if victim.file is not None:
            (a.work / f"{victim.name}.toml").write_text(victim.file)
    _write_images(Path(IMAGES.format(work=a.work)))
    courses: dict[str, _Course] = {}
    turn = 0
    while turn == 0 or any(turn < len(course.order) for course in courses.values()):
        for victim in a.in_turn(VICTIMS, turn):
            if victim.name not in courses:
                courses[victim.name] = _course(a, victim, finished)
            course = courses[victim.name]
            if turn < len(course.order):
                _trial(a, victim, course, course.order[turn], finished)
        if a.over:
            return
        turn += 1


@dataclass(frozen=True)
class _Course:
    """What a command does where nothing kills it: its result, its changes, and in which order they are tried."""

    whole: Path
    points: list[str]
    order: list[int]


def _course(a: Attack, victim: Victim, finished: Path) -> _Course:
    whole = _begin(a, victim, "whole", finished)
    ended, points = changes(whole, *victim.words(a.work, whole), log=a.work / f"{victim.name}.log")
    if ended.code != 0:
        raise RuntimeError(f"{victim.name} ended with {ended.code} where nothing killed it: {ended.output}")
    order = list(range(1, len(points) + 1))
    a.random(victim.name).shuffle(order)  # where time is short, from everywhere
    a.notes.append(f"{victim.name} makes {len(points)} changes.")
    return _Course(whole, points, order)


def _write_images(folder: Path) -> None:
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (5, 24, 24), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number}.png")


def _begin(a: Attack, victim: Victim, name: str, finished: Path) -> Path:
    """Where the command works: nothing yet, or a copy of a finished run."""
    place = a.work / f"{victim.name}-{name}"
    if victim.file is None:
        shutil.copytree(finished, place)
    return place


def _trial(a: Attack, victim: Victim, course: _Course, at: int, finished: Path) -> None:
    points = course.points
    place = _begin(a, victim, f"killed-{at}", finished)
    label = f"{victim.name}, before change {at} of {len(points)}: {points[at - 1]}"
    again = a.random(victim.name, at)
    ended = run_until(place, at, *victim.words(a.work, place))
    wrong = ended.wrong
    if not ended.killed and ended.code != 0:
        wrong = wrong or f"{victim.name} was not killed and ended with {ended.code}"
    for turn in range(TURNS):
        if wrong:
            break
        second = turn == 0 and again.random() < 0.5
        words = victim.words(a.work, place)
        if victim.name == "run" and (place / RESULT).exists():
            words = ["report", place]
        ended = run_until(place, again.randrange(1, len(points) + 1), *words) if second else run(*words)
        wrong = ended.wrong or (None if ended.killed or ended.code == 0 else f"{words[0]} refuses: {said(ended)}")
        if victim.complete(place, ended):
            break
    else:
        wrong = wrong or "it comes to no end"
    if wrong is None:
        wrong = compared(victim, course.whole, place)
    a.count(label, wrong)
    shutil.rmtree(place, ignore_errors=True)


def compared(victim: Victim, whole: Path, place: Path) -> str | None:
    """What is not as in `whole`, where nothing was killed; None where all is."""
    if victim.name == "tune":
        mine, theirs = (sorted((path / "trials.csv").read_text().splitlines()) for path in (whole, place))
        differ = ["trials.csv"] if len(mine) != len(theirs) else []
    elif len(victim.runs(whole)) != len(victim.runs(place)):
        differ = ["fewer runs"]
    else:
        pairs = zip(victim.runs(whole), victim.runs(place), strict=True)
        differ = sorted({name for one, other in pairs for name in differences(one, other)})
        if victim.name == "export":
            differ += _changed_exports(place)
        elif victim.name == "predict":
            table = TABLE.format(run="")[1:]
            differ += [table] if (whole / table).read_bytes() != (place / table).read_bytes() else []
        if not differ and victim.name == "run":
            _ = RunFolder.open(place).model
    left = leftovers(place)
    if differ:
        return f"not the same: {', '.join(differ)}"
    return "temporary files are left" if left else None


def _changed_exports(run: Path) -> list[str]:
    """What of a run's exports is not as it is recorded."""
    folder = RunFolder.open(run)
    recorded = exports.read(folder)
    wrong = [f"{one.path} is {state}" for one in recorded if (state := exports.state(folder, one))]
    return wrong if recorded else ["no export is recorded"]
