"""Whole commands, timed as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import launch


class Finished(NamedTuple):
    """A process that ended well: wall seconds, the most memory it held, in bytes, and seconds of the processor."""

    seconds: float
    memory: int
    processor: float


class CommandError(Exception):
    """A command that was to be timed failed; the message has what it said."""


def timed(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end. Raises CommandError where its exit code is not 0."""
    launcher = [sys.executable, "-I", "-S", str(Path(launch.__file__).resolve())]
    done = subprocess.run(
        [*launcher, *command], capture_output=True, text=True, env=os.environ | dict(environment or {})
    )
    told = done.stderr.strip() or "no message"
    if done.returncode:
        raise CommandError(f"{' '.join(command)} could not be started: {told}")
    found = json.loads(done.stdout)
    if found["code"]:
        raise CommandError(f"{' '.join(command)} ended with exit code {found['code']}: {told}")
    return Finished(found["seconds"], found["memory"], found["processor"])


def firstlight(*arguments: str) -> list[str]:
    """The command line as it is installed beside this Python."""
    installed = Path(sys.executable).with_name("firstlight")
    return [*([str(installed)] if installed.exists() else [sys.executable, "-m", "firstlight"]), *arguments]
