"""Whole commands: a run beside Keras's `fit`, the epoch beside its steps, starting up, compiling, recipes."""

from __future__ import annotations

import math
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

import firstlight as fl
from benchmarks import rounds
from benchmarks.cases import Case
from benchmarks.contestants import CONTESTANTS
from benchmarks.processes import Finished, firstlight, timed
from benchmarks.sections import Options
from benchmarks.workers import Worker, WorkerError
from firstlight.experiments import Experiment, read_plan
from firstlight.records.codec import encode
from firstlight.records.run_folder import RunFolder
from firstlight.types import Json

SOURCE = "fashion-mnist"
KERAS = "keras-tensorflow"
RUN = Case("lenet5, 10 epochs", "lenet5", 32)
NOTEBOOK = Case("the notebook's recipe", "fashion-cnn", 32)
STUDY = "fashion-fast"
PACKAGE = Path(fl.__file__).parent
SMALL = Path(__file__).parents[1] / "study.toml"
RUNS, EPOCHS, STARTS, COMPILES, SEEDS = 3, 7, 7, 3, 5  # how often, where a round takes seconds or minutes
console = Console(stderr=True, highlight=False)


def whole_run(options: Options) -> Json:
    """`firstlight run` as a process, imports and reading and report and all; of Keras, `fit` and `evaluate` alone."""
    epochs, times = (1, 1) if options.quick else (10, RUNS)
    turns: dict[str, list[float]] = {"firstlight": []}
    details: dict[str, list[Json]] = {"firstlight": []}
    with tempfile.TemporaryDirectory() as folder, _keras(options) as (keras, left_out):
        way = None
        for number in range(times):
            out = Path(folder, str(number))
            done = _run(out, "--data", SOURCE, "--model", RUN.model, "--epochs", str(epochs))
            turns["firstlight"].append(done.seconds)
            details["firstlight"].append(_of_run(out, done))
            if keras is not None:
                found = _whole(keras, RUN, epochs, way=way)
                way = found["way"]
                turns.setdefault(KERAS, []).append(found["fit"] + found["evaluate"])
                details.setdefault(KERAS, []).append(found)
            console.print(f"  {number + 1}: " + ", ".join(f"{name} {t[-1]:.1f} s" for name, t in turns.items()))
    return {"epochs": epochs, "turns": turns, "details": details, "left_out": left_out}


def epoch(options: Options) -> Json:
    """Seconds per step of a real epoch, and of nothing but forward, backward and optimizer; see the page."""
    worker = Worker(CONTESTANTS["firstlight"])
    found: dict[str, list[float]] = {"epoch": [], "ready": [], "gather": [], "order": []}
    try:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(1 if options.quick else EPOCHS):
                out = Path(folder, str(number))
                asked = ("--data", SOURCE, "--model", RUN.model, "--epochs", "3", "--set", "data.validation=0")
                _run(out, *asked)
                run = RunFolder.open(out)
                images = run.data.splits["train"].images
                steps = math.ceil(images / RUN.batch)
                parts = worker.ask("job", name="parts", source=SOURCE, model=RUN.model, batch=RUN.batch)
                found["epoch"].append(statistics.mean(run.history["seconds"][1:].tolist()) / steps)
                found["order"].append(parts.pop("order") / steps)
                for name, seconds in parts.items():
                    found[name].append(seconds)
    finally:
        worker.close()
    return {"turns": found, "images": images, "batch": RUN.batch}


def workers(options: Options) -> Json:
    """`firstlight study` as a process, from nothing to its report, with one worker and with two, in turn."""
    times = 1 if options.quick else RUNS
    turns: dict[str, list[float]] = {"1": [], "2": []}
    asked = ["--seeds", "1"] if options.quick else []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(times):
            for count, taken in turns.items():
                out = str(Path(folder, f"{number}-{count}"))
                taken.append(timed(firstlight("study", str(SMALL), "--workers", count, "--out", out, *asked)).seconds)
            console.print(f"  {number + 1}: " + ", ".join(f"{count}: {t[-1]:.1f} s" for count, t in turns.items()))
    runs = sum(len(run.entry.seeds) for run in read_plan(SMALL, 1 if options.quick else None).runs)
    return {"turns": turns, "runs": runs, "study": SMALL.read_text(encoding="utf-8")}


def startup(options: Options) -> Json:
    """Fresh processes: help, import, and the first step of lenet5 with and without compiled kernels on the disk."""
    times, compiles = (2, 1) if options.quick else (STARTS, COMPILES)
    commands = {
        "firstlight --help": firstlight("--help"),
        "import firstlight": [sys.executable, "-c", "import firstlight"],
        "import firstlight, and load all of it": [sys.executable, "-c", "import firstlight; firstlight.run"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    for command in commands.values():
        timed(command)
    takers = {name: _timer(command) for name, command in commands.items()}
    turns = rounds.alternate(takers, times, pause=lambda: time.sleep(rounds.PAUSE))
    compiled: dict[str, list[float]] = {"first run": [], "later runs": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(compiles):
            # Compiled kernels are looked for in several folders, all of them by where the package lies.
            copied = Path(folder, f"copy-{number}")
            shutil.copytree(PACKAGE, copied / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
            for name in compiled:
                out = Path(folder, f"{number}-{name}".replace(" ", "-"))
                asked = ("--data", SOURCE, "--model", "lenet5", "--epochs", "1", "--set", "data.limit=640")
                _run(out, *asked, environment={"PYTHONPATH": str(copied)})
                compiled[name].append(RunFolder.open(out).result.seconds.compile or 0.0)
    return {"turns": turns, "compile": compiled}


def recipes(options: Options) -> Json:
    """Our quickest recipe for Fashion-MNIST, a seed a run, beside Keras doing the notebook's, once."""
    recipe = Experiment.of(read_plan(STUDY).runs[0].tables).to_toml()
    ours: list[Json] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "recipe.toml")
        file.write_text(recipe, encoding="utf-8")
        for seed in range(1 if options.quick else SEEDS):
            out = Path(folder, str(seed))
            done = timed(firstlight("run", str(file), "--seed", str(seed), "--out", str(out)))
            ours.append({"seed": seed, **_of_run(out, done)})
            console.print(f"  seed {seed}: {done.seconds:.1f} s, {ours[-1]['accuracy']:.4f}")
    theirs = []
    with _keras(options) as (keras, left_out):
        if keras is not None:
            theirs.append(_whole(keras, NOTEBOOK, 1 if options.quick else 10, augment=True))
            console.print(f"  Keras: {theirs[0]['fit'] + theirs[0]['evaluate']:.1f} s, {theirs[0]['accuracy']:.4f}")
    return {"study": recipe, "firstlight": ours, KERAS: theirs, "left_out": left_out}


def _run(out: Path, *arguments: str, environment: dict[str, str] | None = None) -> Finished:
    return timed(firstlight("run", *arguments, "--out", str(out)), environment)


def _of_run(out: Path, done: Finished) -> Json:
    """What a run that was timed left behind."""
    run = RunFolder.open(out)
    return {
        "seconds": done.seconds,
        "memory": done.memory,
        "accuracy": run.result.test.accuracy,
        "parts": encode(run.result.seconds),
        "epochs": run.history["seconds"].tolist(),
        "set": run.data.splits["train"].images * math.prod(run.model.input_shape),
    }


@contextmanager
def _keras(options: Options) -> Iterator[tuple[Worker | None, Json]]:
    """Keras's worker, or why there is none."""
    missing = CONTESTANTS[KERAS].missing
    if KERAS not in options.peers or missing:
        yield None, {KERAS: f"{' and '.join(missing)} not installed" if missing else "not asked for"}
        return
    with closing(Worker(CONTESTANTS[KERAS])) as worker:
        yield worker, {}


def _whole(keras: Worker, case: Case, epochs: int, **more: Any) -> Json:
    model = case.build()
    layers = model.to_json()["layers"]
    found: Json = keras.ask("job", name="whole", source=SOURCE, layers=layers, epochs=epochs, batch=case.batch, **more)
    if found["parameters"] != model.parameters:
        raise WorkerError(f"Keras's {case.model} has {found['parameters']:,} parameters, ours {model.parameters:,}.")
    return found


def _timer(command: list[str]) -> Any:
    return lambda: timed(command).seconds
