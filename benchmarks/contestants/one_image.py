"""One image at a time through a trained net, as a caller has it: `run.predict`, and the same net in ONNX Runtime.

Both take uint8 pixels and answer with probabilities; the preparation is part of either.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
from rich.console import Console

import firstlight as fl
from benchmarks import trials
from benchmarks.cases import Case
from benchmarks.worker import Prepared
from firstlight import processes

CALLS = 1000  # of a trial


def prepare(case: Case, by: str) -> Prepared:
    """By "firstlight" or "onnxruntime", of which one thread and as many as there are cores are tried."""
    with tempfile.TemporaryDirectory() as folder:
        images = fl.load("digits", size=case.shape[:2])
        run = fl.fit(case.model, images, epochs=1, out=Path(folder, "run"), console=Console(quiet=True))
        pixels = images.splits["train"].pixels[: case.batch]
        if by == "firstlight":
            run.predict(pixels)  # which opens the model
            return Prepared(run.task.model.parameters, _repeated(lambda: run.predict(pixels)), {})
        file = Path(folder, "net.onnx")
        run.export("onnx", file)
        content = file.read_bytes()

    def asked(threads: int) -> Callable[[int], None]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return _repeated(lambda: session.run(["probabilities"], {"images": pixels}))

    ways = {count: asked(count) for count in sorted({1, processes.cores()})}
    threads = trials.fastest(ways, lambda count: lambda times: ways[count](CALLS * times))
    return Prepared(run.task.model.parameters, ways[threads], {"threads": threads})


def _repeated(call: Callable[[], Any]) -> Callable[[int], None]:
    def repeat(times: int) -> None:
        for _ in range(times):
            call()

    return repeat
