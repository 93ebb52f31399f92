"""Runs that were started from the page: each a process of its own, which goes on when the server ends."""

from __future__ import annotations

import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from firstlight import runs
from firstlight.app import processes
from firstlight.errors import RunError
from firstlight.files import write_text

STARTED = ".started"  # the folder below the root with the files of started runs and what their processes say
FILE, OUTPUT = "experiment.toml", "output.txt"
TOLD = 4_000  # bytes of a process's last words

State = Literal["starting", "begun", "failed"]


@dataclass(frozen=True)
class Launch:
    """A run that was started.

    name    of its folder, `run`, below the root
    kept    the folder with its file and output
    """

    name: str
    run: Path
    kept: Path
    process: subprocess.Popen[bytes]

    @property
    def state(self) -> State:
        """ "begun" once there is a run to look at, "failed" where the process ended without one."""
        if (self.run / runs.EXPERIMENT).is_file():
            return "begun"
        return "starting" if self.process.poll() is None else "failed"

    @property
    def output(self) -> str:
        """The last of what the process said."""
        return (self.kept / OUTPUT).read_bytes()[-TOLD:].decode("utf-8", "replace").strip()


class Launches:
    """The runs that were started below a root by this server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._started: dict[str, Launch] = {}
        self._lock = threading.Lock()

    def start(self, toml: str, stem: str) -> Launch:
        """Train what an experiment file says, in a new process; `stem` is what its folder is called after.

        Raises RunError where the root cannot be written.
        """
        with self._lock:
            for launch in self._started.values():
                launch.process.poll()  # lets the system forget those that have ended
            try:
                name, kept = self._reserved(stem)
                write_text(kept / FILE, toml)
                launch = Launch(name, self.root / name, kept, _process(self.root / name, kept))
            except OSError as error:
                raise RunError(f"{self.root} cannot be written: {error.strerror or error}.") from None
            self._started[name] = launch
        return launch

    def get(self, name: str) -> Launch | None:
        """The run that was started under a name; None where this server started none."""
        return self._started.get(name)

    def _reserved(self, stem: str) -> tuple[str, Path]:
        """A name that no run has, plain enough for every file system, and its folder of files."""
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:80] or "run"
        (self.root / STARTED).mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            name = plain if number == 1 else f"{plain}-{number}"
            number += 1
            if (self.root / name).exists():
                continue
            try:
                (self.root / STARTED / name).mkdir()
            except FileExistsError:
                continue
            return name, self.root / STARTED / name


def _process(run: Path, kept: Path) -> subprocess.Popen[bytes]:
    """Programs take settings from where they work: it works among its own files, in a folder with nothing else."""
    with (kept / OUTPUT).open("wb") as output:
        arguments = ("run", "--out", str(run.resolve()), "--", str((kept / FILE).resolve()))
        return processes.firstlight(*arguments, output=output, folder=kept, apart=True)
