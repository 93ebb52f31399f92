"""The parent's side of the workers: start, ask, wait, end."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS, Contestant

LIMIT = 900.0  # seconds for an answer: a whole `fit` takes minutes
WATCHED = 0.5  # seconds over which an idle worker is watched
SETTLED = 0.1  # seconds after its turn until then


class WorkerError(Exception):
    """A worker failed, died or did not answer; the message says which one, at what, and why."""


class Worker:
    """A contestant's process."""

    def __init__(self, contestant: Contestant, cores: Collection[int] = ()) -> None:
        self.label = contestant.label
        self.doing = "start"
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        pinned = ["taskset", "-c", ",".join(map(str, cores))] if cores else []
        self.process = subprocess.Popen(
            [*pinned, sys.executable, "-m", "benchmarks.worker", contestant.module, json.dumps(contestant.options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | contestant.environment,
        )

    def ask(self, do: str, limit: float = LIMIT, **values: Any) -> Any:
        """Send a request and wait for its answer."""
        self.send(do, **values)
        return self.receive(limit)

    def send(self, do: str, **values: Any) -> None:
        """Send a request; `receive` has the answer."""
        self.doing = do
        try:
            print(json.dumps({"do": do, **values}), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise self._ended() from None

    def receive(self, limit: float = LIMIT) -> Any:
        """The answer to what was sent. Raises WorkerError."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], limit)[0]:
            self.close()
            raise WorkerError(f"{self.label} did not answer {self.doing} within {limit:g} s; it was ended.")
        line = self.process.stdout.readline()
        if not line:
            raise self._ended()
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.label} failed at {self.doing}: {answer['error']}")
        return answer["ok"]

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def cpu_seconds(self) -> float | None:
        """Processor time that it has used so far, all threads; None where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it: by the end of its requests, or by force."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.log.close()

    def _ended(self) -> WorkerError:
        code = self.process.wait()
        self.log.seek(0)
        last = [line for line in self.log.read().splitlines() if line.strip()][-1:]
        why = f": {last[0].strip()}" if last else "."
        return WorkerError(f"{self.label} ended with exit code {code} while it was asked to {self.doing}{why}")


class Workers:
    """The workers of a section, started when first asked for; one that died is started again for the next case."""

    def __init__(self) -> None:
        self.started: dict[str, Worker] = {}

    def __getitem__(self, name: str) -> Worker:
        worker = self.started.get(name)
        if worker is None or not worker.alive:
            self.drop(name)
            worker = self.started[name] = Worker(CONTESTANTS[name])
        return worker

    def drop(self, name: str) -> None:
        """End a worker, and with it the memory it holds."""
        if name in self.started:
            self.started.pop(name).close()

    def idle(self) -> dict[str, float]:
        """What share of a core each of them uses while it has nothing to do."""
        time.sleep(SETTLED)
        before = {name: worker.cpu_seconds() for name, worker in self.started.items()}
        time.sleep(WATCHED)
        after = {name: worker.cpu_seconds() for name, worker in self.started.items()}
        return {
            name: round((after[name] - seconds) / WATCHED, 3)  # type: ignore[operator]
            for name, seconds in before.items()
            if seconds is not None and after[name] is not None
        }


@contextmanager
def workers() -> Iterator[Workers]:
    """Workers that are ended whatever happens."""
    found = Workers()
    try:
        yield found
    finally:
        for name in list(found.started):
            found.drop(name)
