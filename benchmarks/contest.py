"""One case measured side by side: every contestant prepares, then they take turns."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

import firstlight
from benchmarks.cases import Case
from benchmarks.contestants import CONTESTANTS, versions
from benchmarks.rounds import PAUSE, alternate, repeats, summary
from benchmarks.sections import Options
from benchmarks.workers import Worker, WorkerError, Workers, workers
from firstlight.experiments.environment import environment
from firstlight.files import sha256, write_json
from firstlight.records.codec import encode
from firstlight.types import Json

OWN = "firstlight"
console = Console(stderr=True, highlight=False)


def together(cases: Sequence[Case], names: Sequence[str], options: Options) -> Json:
    """The records of some cases, one after the other, each on the disk when it is measured.

    Some cases take minutes: what the same code measured before it was interrupted is not measured again.
    """
    if options.quick:
        cases = [replace(case, steps=max(1, case.steps // 16)) for case in cases]
    begun = Begun(options, names)
    with workers() as found:
        for case in cases:
            if case.name not in begun.cases:
                began = time.perf_counter()
                record = measure(case, names, options.rounds, found)
                begun.add(record, time.perf_counter() - began)
    return {"cases": [begun.cases[case.name] for case in cases], "seconds": begun.seconds}


class Begun:
    """The cases of a section that are measured, by name; kept at `Options.begun`, if that is said.

    Cases of other code, other versions or another machine, or measured in another way, are not taken up.
    """

    def __init__(self, options: Options, names: Sequence[str]) -> None:
        self.path, self.cases, self.seconds = options.begun, dict[str, Json](), 0.0
        machine = encode(environment())["machine"]
        self.by = [code(), machine, versions(), [*names], options.rounds, options.quick]
        if self.path is not None and self.path.exists():
            kept = json.loads(self.path.read_text())
            if kept["by"] == self.by:
                self.cases, self.seconds = {case["name"]: case for case in kept["cases"]}, kept["seconds"]
                console.print(f"  taken up: {', '.join(self.cases)} ({self.path})", soft_wrap=True)

    def add(self, case: Json, seconds: float) -> None:
        """Keep one more, and how long it took."""
        self.cases[case["name"]] = case
        self.seconds += seconds
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, {"by": self.by, "seconds": self.seconds, "cases": [*self.cases.values()]})


def code() -> str:
    """The SHA-256 of what is measured and what measures it, the Python files of firstlight and of this package.

    A commit would say less, of files that differ from it, and more, where words alone were changed.
    """
    folders = (Path(firstlight.__file__).parent, Path(__file__).parent)
    hashes = [f"{file.relative_to(at)} {sha256(file)}" for at in folders for file in sorted(at.rglob("*.py"))]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def measure(case: Case, names: Sequence[str], rounds: int, found: Workers) -> Json:
    """The record of a case: seconds per step, or a call to predict, of each contestant in each round.

    A peer that is not installed, or fails, is left out with the reason; raises WorkerError where firstlight fails.
    """
    record: Json = {
        "name": case.name,
        "model": case.model,
        "batch": case.batch,
        "shape": list(case.shape),
        "steps": case.steps,
        "options": case.options,
        "parameters": case.build().parameters,
        "chosen": {},
        "prepared": {},
        "left_out": {},
    }
    takers: dict[str, partial[float]] = {}
    for name in names:
        missing = CONTESTANTS[name].missing
        if missing:
            record["left_out"][name] = f"{' and '.join(missing)} not installed"
            continue
        try:
            ready = found[name].ask("prepare", case=case.described())
            must_be_the_same_net(name, case, ready["parameters"])
            takers[name] = _taker(found[name], case)
        except WorkerError as error:
            if name.startswith(OWN):
                raise
            record["left_out"][name] = str(error)
            console.print(f"  left out: {error}", style="yellow", markup=False, soft_wrap=True)
            continue
        record["chosen"][name] = ready["chosen"]
        record["prepared"][name] = ready["seconds"]
    record["turns"] = alternate(takers, rounds, pause=lambda: time.sleep(PAUSE))
    record["idle"] = found.idle()
    _tell(record)
    return record


def must_be_the_same_net(name: str, case: Case, parameters: int) -> None:
    """Raise WorkerError where a contestant's net has not as many parameters as ours."""
    ours = case.build().parameters
    if parameters != ours:
        raise WorkerError(
            f"{name} has {parameters:,} parameters for {case.model}, ours has {ours:,}: not the same net."
        )


def _taker(worker: Worker, case: Case) -> partial[float]:
    """Takes a turn of about TURN seconds and answers the seconds per step; warm."""
    worker.ask("turn", repeats=1)
    return partial(_take, worker, repeats(worker.ask("turn", repeats=1)), case.steps)


def _take(worker: Worker, count: int, steps: int) -> float:
    return float(worker.ask("turn", repeats=count)) / (count * steps)


def _tell(record: Json) -> None:
    shown = ", ".join(f"{name} {summary(turns).median * 1e3:.3f}" for name, turns in record["turns"].items())
    console.print(f"  {record['name']}: {shown} ms", soft_wrap=True)
