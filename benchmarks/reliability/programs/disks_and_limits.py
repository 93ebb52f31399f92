"""Disks that are full, file systems without locks, folders that vanish or cannot be written, two commands at once, and
limits of memory, open files, file sizes and processes. Survived: done, or refused with a message (exit code 0, 1 or 2,
no traceback, no signal); and where a run has a result, the same bytes as an undisturbed one. Full disks need root."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.processes import firstlight
from benchmarks.reliability.attack import Attack
from benchmarks.reliability.commands import CRASHES, ENVIRONMENT, Ended, run
from benchmarks.reliability.folders import SEARCH, STUDY, differences, finished_run, leftovers, said
from firstlight.records.run_folder import CHECKPOINTS, RESULT

NO_LOCKS = Path(__file__).parents[1] / "no_locks"
DISKS = (16, 60, 100, 140, 300, 600, 900, 1300, 1800, 2600)  # kilobytes
MEMORIES = (0.5, 1, 2, 3, 4, 6, 8, 16)  # GiB of address space
FILES = (24, 32, 64)
SIZES = (1000, 100_000, 1_000_000)


def attack(a: Attack) -> None:
    """All trials once, in a drawn order, as long as there is time."""
    whole = finished_run(a)
    (a.work / "study.toml").write_text(STUDY)
    (a.work / "tune.toml").write_text(SEARCH)
    for name, trial in a.in_turn(_trials(a, whole)):
        place = a.work / "place"
        a.count(name, trial(place))
        shutil.rmtree(place, ignore_errors=True)


def _trials(a: Attack, whole: Path) -> Iterator[tuple[str, Callable[[Path], str | None]]]:
    for size in DISKS if os.geteuid() == 0 else ():
        yield f"a disk of {size} kB", partial(_full_disk, a, whole, size)
    for name in ("ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL", "EIO"):
        for command in ("run", "resume", "study", "tune"):
            yield f"locks: {name}, {command}", partial(_without_locks, a, whole, getattr(errno, name), command)
    for gigabytes in MEMORIES:
        limit = partial(resource.setrlimit, resource.RLIMIT_AS, (int(gigabytes * 2**30),) * 2)
        yield f"{gigabytes} GiB of address space", partial(_limited, a, whole, limit)
    for files in FILES:
        limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (files, files))
        yield f"{files} open files", partial(_limited, a, whole, limit)
    for size in SIZES:
        limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))
        yield f"files of {size:,} bytes", partial(_limited, a, whole, limit)
    for how in ("deleted", "renamed", "emptied"):
        for epoch in (1, 3):
            yield f"the folder is {how} after epoch {epoch}", partial(_vanishing, a, how, epoch)
    for command in ("run", "resume", "study", "tune"):
        yield f"{command} twice at once", partial(_twice, a, whole, command)
    yield "no home", partial(_environment, a, whole, {"HOME": "/nonexistent"})
    yield "no folder for temporary files", partial(_environment, a, whole, {"TMPDIR": "/nonexistent"})
    yield "Numba's cache cannot be written", partial(_environment, a, whole, {"NUMBA_CACHE_DIR": "/proc/nothing"})


def _words(a: Attack, whole: Path, command: str, place: Path) -> list[str | Path]:
    """The command that works at `place`; for `resume`, the run there has lost its end."""
    if command == "resume":
        if not place.exists():
            shutil.copytree(whole, place)
            (place / RESULT).unlink()
            shutil.rmtree(max((place / CHECKPOINTS).iterdir()))
        return ["resume", place]
    return [command, a.work / f"{command}.toml", "--out", place]


def _judged(ended: Ended, whole: Path, place: Path, codes: tuple[int, ...] = (0, 1, 2)) -> str | None:
    """What is wrong with how a run came out."""
    if ended.wrong or ended.code not in codes:
        return ended.wrong or f"exit code {ended.code}: {said(ended)}"
    if (place / RESULT).exists() and (differ := differences(whole, place)):
        return f"not the same: {', '.join(differ)}"
    return "temporary files are left" if place.exists() and leftovers(place) else None


def _full_disk(a: Attack, whole: Path, kilobytes: int, place: Path) -> str | None:
    """A run onto a disk that is full before its end; then there is room, and it continues."""
    with _disk(place, kilobytes):
        target = place / "run"
        wrong = _judged(run("run", a.work / "run.toml", "--out", target), whole, target)
        if wrong:
            return wrong
        subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)
        if target.exists() and not (target / RESULT).exists():
            return _judged(run("resume", target), whole, target, codes=(0,))
        return None


@contextmanager
def _disk(place: Path, kilobytes: int) -> Iterator[None]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def _without_locks(a: Attack, whole: Path, number: int, command: str, place: Path) -> str | None:
    environment = {"PYTHONPATH": str(NO_LOCKS), "FIRSTLIGHT_LOCKS": str(number)}
    ended = run(*_words(a, whole, command, place), environment=environment)
    if command in ("run", "resume"):
        return _judged(ended, whole, place, codes=(0,))
    return ended.wrong or (None if ended.code == 0 else f"exit code {ended.code}: {said(ended)}")


def _limited(a: Attack, whole: Path, limit: Callable[[], None], place: Path) -> str | None:
    return _judged(run("run", a.work / "run.toml", "--out", place, before=limit), whole, place)


def _environment(a: Attack, whole: Path, environment: dict[str, str], place: Path) -> str | None:
    ended = run("run", a.work / "run.toml", "--out", place, environment=environment, timeout=400)
    return _judged(ended, whole, place, codes=(0,))


def _vanishing(a: Attack, how: str, epoch: int, place: Path) -> str | None:
    """The folder goes while it is trained in: the command says so, and does not bring half of it back."""
    gone, moved = threading.Event(), place.with_name("moved")

    def take() -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end and not (place / CHECKPOINTS / f"epoch-{epoch:05d}" / "manifest.json").exists():
            time.sleep(0.005)
        if how == "renamed":
            place.rename(moved)
        else:
            while place.exists():  # it may be written to meanwhile, and is not empty then
                shutil.rmtree(place, ignore_errors=True)
            if how == "emptied":
                place.mkdir()
        gone.set()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    ended = run("run", a.work / "run.toml", "--set", "training.epochs=400", "--out", place, timeout=300)
    gone.wait(120)
    wrong = ended.wrong or (None if ended.code == 2 else f"exit code {ended.code}: {said(ended)}")
    if wrong is None and place.exists() and any(place.iterdir()):
        wrong = "a folder that was removed is there again"
    shutil.rmtree(moved, ignore_errors=True)
    return wrong


def _twice(a: Attack, whole: Path, command: str, place: Path) -> str | None:
    words = firstlight(*map(str, _words(a, whole, command, place)))
    both = [
        subprocess.Popen(words, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300)[0].decode(errors="replace") for process in both]
    codes = sorted(process.returncode for process in both)
    if any(crash in output for crash in CRASHES for output in outputs):
        return "a traceback"
    if codes not in ([0, 2], [0, 0]) or (codes == [0, 0] and command == "run"):
        return f"exit codes {codes}"
    if command in ("run", "resume") and (differ := differences(whole, place)):
        return f"not the same: {', '.join(differ)}"
    return None
