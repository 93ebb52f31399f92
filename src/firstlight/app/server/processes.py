"""Processes that pages start: training, which continues when the server ends, and explaining."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from firstlight import plugins
from firstlight.app.server.errors import BusyError
from firstlight.errors import RunError
from firstlight.files import MB, open_file, write_text
from firstlight.locks import is_locked
from firstlight.processes import cores
from firstlight.records import run_folder
from firstlight.types import Json

DATA = "FIRSTLIGHT_DATA"
STARTED = ".started"  # the folder below the root with the files of started runs and what their processes say
FILE, OUTPUT = "experiment.toml", "output.txt"
OUTPUT_LIMIT = 100 * MB
LAST_WORDS = 4_000  # bytes of a process's last words

LAST_LINES = 12  # of what explaining printed

State = Literal["starting", "begun", "failed"]


def firstlight(
    *arguments: str, output: int | IO[bytes], folder: Path | None = None, apart: bool = False
) -> subprocess.Popen[bytes]:
    """Begin `firstlight ARGUMENTS`; what it says, plain and in UTF-8, goes to `output`.

    folder   where it runs, if not where the server does
    apart    neither Ctrl-C nor the end of the server reaches it
    """
    more: dict[str, Any] = {}
    if apart and sys.platform == "win32":
        more = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}
    elif apart:
        more = {"start_new_session": True}
    # -P: what lies in the folder of runs is not a module to import.
    # The plugins that were named as the server began, and no others: what a run folder names is not loaded.
    own = [part for name in plugins.named() for part in ("--plugin", name)]
    command = [sys.executable, "-P", "-m", "firstlight", arguments[0], *own, *arguments[1:]]
    plain = {**os.environ, "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1"}
    if data := plain.get(DATA):
        plain[DATA] = str(Path(data).expanduser().absolute())  # it may be relative to where the server runs
    if path := plain.get("PYTHONPATH"):
        plain["PYTHONPATH"] = os.pathsep.join(str(Path(each).absolute()) for each in path.split(os.pathsep) if each)
    return subprocess.Popen(
        command, cwd=folder, env=plain, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **more
    )


@dataclass(frozen=True)
class TrainingProcess:
    """A run that was started.

    name    what it is called here
    run     its folder
    kept    the folder with its file and output
    resumes whether it continues with a run that was there before
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
        begun = code == 0 or (is_locked(self.run) if self.resumes else (self.run / run_folder.EXPERIMENT).is_file())
        return "begun" if begun else "starting" if code is None else "failed"

    @property
    def output(self) -> str:
        """The last of what the process said."""
        with open_file(self.kept / OUTPUT, limit=OUTPUT_LIMIT) as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LAST_WORDS))
            return file.read().decode("utf-8", "replace").strip()


class TrainingProcesses:
    """The runs that this server started; `at_once` of them, or as many as there are cores, may train at a time."""

    def __init__(self, root: Path, at_once: int | None = None) -> None:
        self.root, self.at_once = root, at_once or cores()
        self._started: dict[str, TrainingProcess] = {}
        self._lock = threading.Lock()

    def start(self, toml: str, stem: str) -> TrainingProcess:
        """Train what an experiment file says, in a new process; `stem` is what its folder is called after.

        Raises RunError where the root cannot be written, BusyError where too many train already.
        """
        with self._lock, self._room():
            name, kept = self._reserved(stem)
            write_text(kept / FILE, toml)
            file, out = (str(path.resolve()) for path in (kept / FILE, self.root / name))
            process = _process(kept, "run", "--out", out, "--", file)
            self._started[name] = TrainingProcess(name, self.root / name, kept, process)
            return self._started[name]

    def resume(self, run: Path, stem: str) -> TrainingProcess:
        """Continue a run in a new process. Raises as `start` does, and where this server has begun that already."""
        with self._lock, self._room():
            if any(each.run == run and each.process.poll() is None for each in self._started.values()):
                raise BusyError(f"{run} is being resumed already.")
            name, kept = self._reserved(f"resume-{stem}")
            process = _process(kept, "resume", "--", str(run.resolve()))
            self._started[name] = TrainingProcess(name, run, kept, process, resumes=True)
            return self._started[name]

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Whether another process may begin, and what is said where its folder cannot be written."""
        training = sum(training.process.poll() is None for training in self._started.values())
        if training >= self.at_once:
            raise BusyError(
                f"{training} of the runs that were started here are still training, and at most {self.at_once} may at "
                "the same time. Wait for one or stop one; firstlight view --at-once N allows more."
            )
        try:
            yield
        except OSError as error:
            raise RunError(f"{self.root} cannot be written: {error.strerror or error}.") from None

    def get(self, name: str) -> TrainingProcess | None:
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
        return firstlight(*arguments, output=output, folder=kept, apart=True)


@dataclass(eq=False)
class ExplainProcess:
    """A `firstlight explain` under way, and what it printed so far."""

    process: subprocess.Popen[bytes]
    lines: list[str]

    @classmethod
    def begin(cls, run: Path) -> ExplainProcess:
        """Start it; its output is read in a thread of its own."""
        making = cls(firstlight("explain", "--", str(run.resolve()), output=subprocess.PIPE), [])
        threading.Thread(target=making._read, daemon=True).start()
        return making

    def _read(self) -> None:
        with self.process:  # waits for its end
            for line in self.process.stdout or ():
                self.lines.append(line.decode("utf-8", "replace").rstrip())
                del self.lines[:-LAST_LINES]

    def told(self) -> Json:
        code = self.process.poll()
        state = "making" if code is None else "made" if code == 0 else "failed"
        return {"state": state, "lines": [line for line in self.lines if line]}
