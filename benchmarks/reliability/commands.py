"""firstlight's commands as processes of their own, killed where a program asks for it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import firstlight

KILLER = Path(__file__).with_name("killer")  # a folder whose sitecustomize ends a process before its n-th change
CRASHES = ("Traceback (most recent call last)", "Segmentation fault", "Fatal Python error")
# One thread each: programs run several commands side by side.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: the signal), all that it printed, and whether we killed it."""

    code: int
    output: str
    killed: bool = False

    @property
    def wrong(self) -> str | None:
        """The kind of fault where it ended in a way that no user should see."""
        if any(crash in self.output for crash in CRASHES):
            return f"a traceback: {self.output.strip().splitlines()[-1][:120]}"
        if not self.killed and self.code not in (0, 1, 2, 130):
            return f"exit code {self.code}"
        return None


def run(
    *arguments: str | Path,
    kill_after: float | None = None,
    timeout: float = 180,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    before: Callable[[], None] | None = None,
) -> Ended:
    """Run one command to its end, or kill its whole group of processes `kill_after` so many seconds.

    before  called in the child before the command begins: limits, permissions
    """
    process = subprocess.Popen(
        firstlight(*map(str, arguments)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **ENVIRONMENT, **(environment or {})},
        cwd=cwd,
        start_new_session=True,
        preexec_fn=before,
    )
    killed = False
    try:
        output, _ = process.communicate(timeout=timeout if kill_after is None else kill_after)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        killed = kill_after is not None
        if not killed:
            return Ended(124, output.decode(errors="replace") + f"\nnot ended after {timeout} s")
    text = output.decode(errors="replace")
    return Ended(process.returncode, text, killed or process.returncode == -signal.SIGKILL)


def changes(folder: Path, *arguments: str | Path, log: Path) -> tuple[Ended, list[str]]:
    """Run a command; return how it ended and each change that it made below `folder`, in order."""
    ended = run(*arguments, environment=_watch(folder, {"FIRSTLIGHT_KILL_LOG": str(log)}))
    return ended, log.read_text().splitlines() if log.exists() else []


def run_until(folder: Path, change: int, *arguments: str | Path, timeout: float = 180) -> Ended:
    """Run a command, and kill it just before the `change`-th change (from 1) that it makes below `folder`."""
    return run(*arguments, environment=_watch(folder, {"FIRSTLIGHT_KILL_AT": str(change)}), timeout=timeout)


def _watch(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    return {"PYTHONPATH": str(KILLER), "FIRSTLIGHT_KILL_FOLDER": str(folder), **more}
