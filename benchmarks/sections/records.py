"""The fastest studies, from nothing to an accuracy: whole processes of `firstlight run`, on each engine in turns."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.contest import Begun
from benchmarks.processes import firstlight, timed
from benchmarks.sections import Options
from firstlight.experiments import Experiment, read_plan
from firstlight.kernels._vectors import HAS_BFLOAT16
from firstlight.records.run_folder import RunFolder
from firstlight.types import Json

# name: the accuracy on the test images that each is to reach, and the seconds that it may take
GOALS = {"fashion-fast": (0.92, 6.0), "mnist-fast": (0.99, 4.0), "cifar-fast": (0.90, 240.0)}
# What is given to `firstlight run` beside the file: the same recipe, batches in the same order.
CONTESTANTS: dict[str, tuple[str, ...]] = {
    "firstlight": (),
    "PyTorch": ("--engine", "torch", "--device", "cpu"),
    "PyTorch, bfloat16": ("--engine", "torch", "--device", "cpu", "--precision", "bfloat16"),
}
LEFT_OUT = {} if HAS_BFLOAT16 else {"PyTorch, bfloat16": "the processor has no instruction for it"}
console = Console(stderr=True, highlight=False)


def fashion_fast(options: Options) -> Json:
    """Fashion-MNIST."""
    return _study("fashion-fast", options)


def mnist_fast(options: Options) -> Json:
    """MNIST."""
    return _study("mnist-fast", options)


def cifar_fast(options: Options) -> Json:
    """CIFAR-10, which takes four minutes a seed and longer by PyTorch."""
    return _study("cifar-fast", options)


def recipe(name: str) -> str:
    """The experiment file of a study's only run."""
    return Experiment.of(read_plan(name).runs[0].tables).to_toml()


def is_current(section: Json) -> bool:
    """Whether a section's numbers are of the study's file as it is today."""
    found: str = section["file"]
    return found == recipe(section["study"])


def _study(name: str, options: Options) -> Json:
    """A run a seed and contestant; all contestants take one before any of them takes the next.

    Each is on the disk when it is measured: a seed of cifar-fast takes minutes.
    """
    file_text = recipe(name)
    contestants = [contestant for contestant in CONTESTANTS if contestant not in LEFT_OUT]
    begun = Begun(options, [*contestants, file_text])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{name}.toml")
        file.write_text(file_text, encoding="utf-8")
        seeds = range(1 if options.quick else options.seeds)
        turns = {f"seed {seed}, {who}": (seed, who) for seed in seeds for who in contestants}
        left = {run: turn for run, turn in turns.items() if run not in begun.cases}
        if left and not options.quick:  # what is compiled once on a machine is compiled by now
            _run(file, Path(folder, "first"), 0, "--set", "training.epochs=1", "--set", "data.limit=2560")
        for run, (seed, contestant) in left.items():
            took = _run(file, Path(folder, run), seed, *CONTESTANTS[contestant])
            begun.add({"name": run, "contestant": contestant, **took}, took["seconds"])
            console.print(f"  {run}: {took['seconds']:.1f} s")
    runs = {who: [run for run in begun.cases.values() if run["contestant"] == who] for who in contestants}
    return {
        "study": name,
        "file": file_text,
        "runs": runs,
        "left_out": LEFT_OUT,
        "threads": len(os.sched_getaffinity(0)),
        "seconds": begun.seconds,
    }


def _run(file: Path, out: Path, seed: int, *arguments: str) -> Json:
    """What a process took as a whole, for its training alone, and the accuracy that it came to."""
    done = timed(firstlight("run", str(file), "--seed", str(seed), "--out", str(out), *arguments))
    result = RunFolder.open(out).result
    return {
        "seed": seed,
        "seconds": done.seconds,
        "train": result.seconds.train,
        "memory": done.memory,
        "accuracy": result.test.accuracy,
    }
