"""A trained net as a caller has it: `run.predict`, and the same net, exported, in ONNX Runtime and in OpenVINO.

All take uint8 pixels and answer with probabilities in float32; the preparation is part of each.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import firstlight as fl
from benchmarks import trials
from benchmarks.cases import Case
from benchmarks.worker import Prepared
from firstlight import processes
from firstlight.types import Array

TRIAL = 1000  # images that a trial asks about, at least
PARTS = (100, 1000)  # images at a time, where a call has more

Predict = Callable[[Array], Any]


def prepare(case: Case, by: str) -> Prepared:
    """By "firstlight", "onnxruntime" or "openvino".

    Of the other two, one thread and as many as there are cores are tried, and to give all images at once or in parts.
    """
    with tempfile.TemporaryDirectory() as folder:
        images = fl.load("digits", size=case.shape[:2])
        run = fl.fit(case.model, images, epochs=1, out=Path(folder, "run"), console=Console(quiet=True))
        pixels, _ = case.noise()
        if by == "firstlight":
            run.predict(pixels)  # which opens the model
            return Prepared(run.task.model.parameters, _repeated(run.predict, [pixels]), {})
        file = Path(folder, "net.onnx")
        run.export("onnx", file)
        content = file.read_bytes()
    predicts = {threads: RUNTIMES[by](content, threads) for threads in sorted({1, processes.cores()})}
    sizes = [size for size in PARTS if size < case.batch] + [case.batch]
    calls = max(1, TRIAL // case.batch)

    def asked(way: tuple[int, int]) -> Callable[[int], None]:
        threads, size = way
        return _repeated(predicts[threads], np.split(pixels, range(size, case.batch, size)))

    threads, size = trials.fastest(
        itertools.product(predicts, sizes), lambda way: lambda times: asked(way)(calls * times)
    )
    return Prepared(run.task.model.parameters, asked((threads, size)), {"threads": threads, "images at a time": size})


def _repeated(predict: Predict, parts: Sequence[Array]) -> Callable[[int], None]:
    def repeat(times: int) -> None:
        for _ in range(times):
            for part in parts:
                predict(part)

    return repeat


def _onnxruntime(content: bytes, threads: int) -> Predict:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(["probabilities"], {"images": pixels})


def _openvino(content: bytes, threads: int) -> Predict:
    """In float32, as all others: its own choice is bfloat16 where the processor has it."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    core = openvino.Core()
    net = core.compile_model(core.read_model(content), "CPU", settings)
    output, request = net.output("probabilities"), net.create_infer_request()
    return lambda pixels: request.infer({"images": pixels})[output]


RUNTIMES: dict[str, Callable[[bytes, int], Predict]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}
