"""Runs that were started from the page: each a process of its own, which goes on when the server ends."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from firstlight.app import processes
from firstlight.app.library import BusyError
from firstlight.errors import RunError
from firstlight.files import MB, open_file, write_text
from firstlight.processes import cores
from firstlight.records import run_folder

STARTED = ".started"  # the folder below the root with the files of started runs and what their processes say
FILE, OUTPUT = "experiment.toml", "output.txt"
OUTPUT_LIMIT = 100 * MB
TOLD = 4_000  # bytes of a process's last words

State = Literal["starting", "begun", "failed"]


@dataclass(frozen=True)
class Launch:
    """A run that was started.

    name    what it is called here
    run     its folder
    kept    the folder with its file and output
    resumes whether it goes on with a run that was there before
    """

    name: str
    run: Path
    kept: Path
    process: subprocess.Popen[bytes]
    resumes: bool = False

    @property
    def state(self) -> State:
        """ "begun" once there is a run to look at, "failed" where the process ended without one."""
        code = self.process.poll()
        begun = code == 0 or (
            run_folder.held(self.run) if self.resumes else (self.run / run_folder.EXPERIMENT).is_file()
        )
        return "begun" if begun else "starting" if code is None else "failed"

    @property
    def output(self) -> str:
        """The last of what the process said."""
        with open_file(self.kept / OUTPUT, limit=OUTPUT_LIMIT) as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TOLD))
            return file.read().decode("utf-8", "replace").strip()


class Launches:
    """The runs that this server started; `at_once` of them, or as many as there are cores, may train at a time."""

    def __init__(self, root: Path, at_once: int | None = None) -> None:
        self.root, self.at_once = root, at_once or cores()
        self._started: dict[str, Launch] = {}
        self._lock = threading.Lock()

    def start(self, toml: str, stem: str) -> Launch:
        """Train what an experiment file says, in a new process; `stem` is what its folder is called after.

        Raises RunError where the root cannot be written, BusyError where too many train already.
        """
        with self._lock, self._room():
            name, kept = self._reserved(stem)
            write_text(kept / FILE, toml)
            file, out = (str(path.resolve()) for path in (kept / FILE, self.root / name))
            process = _process(kept, "run", "--out", out, "--", file)
            self._started[name] = Launch(name, self.root / name, kept, process)
            return self._started[name]

    def resume(self, run: Path, stem: str) -> Launch:
        """Go on with a run in a new process. Raises as `start` does, and where this server has begun that already."""
        with self._lock, self._room():
            if any(each.run == run and each.process.poll() is None for each in self._started.values()):
                raise BusyError(f"{run} is being resumed already.")
            name, kept = self._reserved(f"resume-{stem}")
            process = _process(kept, "resume", "--", str(run.resolve()))
            self._started[name] = Launch(name, run, kept, process, resumes=True)
            return self._started[name]

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Whether another process may begin, and what is said where its folder cannot be written."""
        training = sum(launch.process.poll() is None for launch in self._started.values())
        if training >= self.at_once:
            raise BusyError(
                f"{training} of the runs that were started here are still training, and at most {self.at_once} may at "
                "the same time. Wait for one or stop one; firstlight view --at-once N allows more."
            )
        try:
            yield
        except OSError as error:
            raise RunError(f"{self.root} cannot be written: {error.strerror or error}.") from None

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


def _process(kept: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Programs take settings from where they work: it works among its own files, in a folder with nothing else."""
    with (kept / OUTPUT).open("wb") as output:
        return processes.firstlight(*arguments, output=output, folder=kept, apart=True)
