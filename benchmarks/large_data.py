"""More images than memory: whole runs on 4 GB of pixels under a limit of 1.5 GB, and what an epoch from a store costs.

    python -m benchmarks.large_data --work /somewhere/with/12/GB          # both parts; tens of minutes
    python -m benchmarks.large_data --work … --gigabytes 0.2 --only runs   # only tries whether it works

Runs: a folder of JPEG files and an .npz are made, each of so many gigabytes of pixels; `firstlight run` (one epoch of a
small net, checks, evaluation, report), `explain`, `evaluate` and `data check` work on them, on both engines. The limit
is `ulimit -d` (RLIMIT_DATA), which the kernel holds each process to: it counts memory that a process writes to, and not
the pages of a file that is mapped, which belong to the page cache and are taken back when anybody needs them. `ulimit
-v` would count addresses, of which a map of 4 GB takes 4 GB in no memory at all. What was used is told as the largest
RssAnon that was seen in any process, looked at every 20 ms.

Epochs: the second of two epochs over 1 GB of pixels that are in the page cache, in memory and from a store in turns.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from firstlight.types import Array

CLASSES = 10
NPZ, FOLDER = (64, 64, 3), (224, 224, 3)
TABLES = """
engine = "{engine}"
device = "cpu"

[data]
source = "{source}"
validation = 0.05
test = 0.05

[model]
name = "small"
layers = [
  {{ type = "AvgPool2D", size = {window} }},
  {{ type = "Conv2D", filters = 8, kernel = 3 }},
  {{ type = "ReLU" }},
  {{ type = "MaxPool2D", size = 2 }},
  {{ type = "Flatten" }},
  {{ type = "Dense", units = {classes} }},
  {{ type = "Softmax" }},
]

[training]
epochs = {epochs}
batch_size = 128
"""


def drawn(shape: tuple[int, ...], seed: int, n: int) -> tuple[Array, Array]:
    """n images, each a coarse pattern of its class in noise, and their labels."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, CLASSES, n)
    patterns = np.random.default_rng(0).integers(0, 160, (CLASSES, 4, 4, 3))
    side = shape[0] // 4
    coarse = patterns[labels].repeat(side, 1).repeat(side, 2)
    noise = draw.integers(0, 96, (n, *shape[:2], 1))
    return (coarse + noise).astype(np.uint8), labels


def make_npz(path: Path, size: float) -> None:
    """An .npz with about `size` bytes of images of 64×64, its arrays not compressed."""
    n = int(size / math.prod(NPZ))
    labels = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as file:
            head = {"descr": "|u1", "fortran_order": False, "shape": (n, *NPZ)}
            np.lib.format.write_array_header_2_0(file, head)
            for start in range(0, n, 2000):
                pixels, some = drawn(NPZ, start, min(2000, n - start))
                file.write(pixels.tobytes())
                labels.append(some)
        written = BytesIO()
        np.save(written, np.concatenate(labels))
        archive.writestr("labels.npy", written.getvalue())


def make_folder(path: Path, size: float) -> None:
    """A folder of JPEG files of 224×224, in class folders, with about `size` bytes of pixels when decoded."""
    n = int(size / math.prod(FOLDER))
    for name in range(CLASSES):
        (path / str(name)).mkdir(parents=True, exist_ok=True)

    def some(start: int) -> None:
        pixels, labels = drawn(FOLDER, start, min(50, n - start))
        for i, (image, label) in enumerate(zip(pixels, labels, strict=True), start):
            Image.fromarray(image).save(path / str(label) / f"{i:06d}.jpg", quality=80)

    with ThreadPoolExecutor() as pool:
        list(pool.map(some, range(0, n, 50)))


class Peak:
    """The largest memory of its own (RssAnon) that any process of a command had."""

    def __init__(self, process: int) -> None:
        self.process, self.bytes, self.ended = process, 0, False
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self) -> None:
        while not self.ended:
            for one in _family(self.process):
                try:
                    status = Path(f"/proc/{one}/status").read_text()
                except OSError:
                    continue
                found = [int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")]
                self.bytes = max(self.bytes, 1024 * sum(found))
            time.sleep(0.02)

    def stop(self) -> int:
        self.ended = True
        self.thread.join()
        return self.bytes


def _family(process: int) -> list[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return [process]
    return [process, *(one for child in children for one in _family(int(child)))]


def command(arguments: Sequence[object], limit: float, cache: Path) -> dict[str, object]:
    """Do a command of firstlight under a limit; its seconds and the most memory it had."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    environment.pop("FIRSTLIGHT_MEMORY_LIMIT", None)
    began = time.perf_counter()
    with (cache.parent / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "firstlight", *map(str, arguments)],
            env=environment,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (int(limit),) * 2),
        )
        peak = Peak(process.pid)
        code = process.wait()
    return {"code": code, "seconds": round(time.perf_counter() - began, 1), "megabytes": round(peak.stop() / 1e6)}


def write_experiment(path: Path, source: Path, engine: str, window: int, epochs: int) -> Path:
    text = TABLES.format(source=source, engine=engine, window=window, epochs=epochs, classes=CLASSES)
    path.write_text(text)
    return path


def runs(
    work: Path, size: float, limit: float, kinds: Sequence[str], engines: Sequence[str]
) -> list[dict[str, object]]:
    """Whole runs under the limit."""
    rows: list[dict[str, object]] = []
    for kind in kinds:
        source, cache = work / ("large.npz" if kind == "npz" else "large"), work / "cache"
        (make_npz if kind == "npz" else make_folder)(source, size)
        for engine in engines:
            file = write_experiment(work / "large.toml", source, engine, 4 if kind == "npz" else 14, 1)
            out = work / f"run-{kind}-{engine}"
            shutil.rmtree(out, ignore_errors=True)
            for arguments in (
                ("run", file, "--out", out),
                ("explain", out, "--map", "pca"),
                ("evaluate", out),
                *([("data", "check", source)] if engine == engines[-1] else []),
            ):
                row = {"kind": kind, "engine": engine, "command": arguments[0], **command(arguments, limit, cache)}
                print(row, flush=True)
                rows.append(row)
        shutil.rmtree(cache, ignore_errors=True)
        shutil.rmtree(source) if source.is_dir() else source.unlink()
    return rows


_EPOCH = """
import json, sys
from rich.console import Console
import firstlight as fl
run = fl.run(sys.argv[1], out=sys.argv[2], console=Console(quiet=True))
print(json.dumps(run.folder.history["seconds"].tolist()))
"""


def epochs(work: Path, size: float, turns: int, engines: Sequence[str]) -> list[dict[str, object]]:
    """The seconds of a second epoch in memory and from a store, in turns."""
    source, rows = work / "some.npz", []
    make_npz(source, size)
    for engine in engines:
        file = write_experiment(work / "some.toml", source, engine, 4, 2)
        seconds: dict[str, list[float]] = {"memory": [], "store": []}
        for turn in range(turns):
            for where, limit in (("memory", "1 TB"), ("store", "1 MB")):
                out = work / "epoch"
                shutil.rmtree(out, ignore_errors=True)
                environment = {**os.environ, "XDG_CACHE_HOME": str(work / "cache"), "FIRSTLIGHT_MEMORY_LIMIT": limit}
                said = subprocess.run(
                    [sys.executable, "-c", _EPOCH, file, out],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                seconds[where].append(json.loads(said.stdout.splitlines()[-1])[-1])
                print(engine, turn, where, seconds[where][-1], flush=True)
        memory, store = (statistics.median(seconds[where]) for where in ("memory", "store"))
        rows.append({"engine": engine, **seconds, "ratio": round(store / memory, 3)})
        print(rows[-1], flush=True)
    source.unlink()
    shutil.rmtree(work / "cache", ignore_errors=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a folder for gigabytes; what is made there goes")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="of pixels, for the runs")
    parser.add_argument("--limit", type=float, default=1.5, help="gigabytes of memory, for the runs")
    parser.add_argument("--epoch-gigabytes", type=float, default=1.0, help="of pixels, for the epochs")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", choices=["runs", "epochs"])
    parser.add_argument("--kinds", nargs="+", default=["npz", "folder"])
    parser.add_argument("--engines", nargs="+", default=["numpy", "torch"])
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, object] = {}
    if given.only != "epochs":
        found["runs"] = runs(given.work, given.gigabytes * 1e9, given.limit * 1e9, given.kinds, given.engines)
    if given.only != "runs":
        found["epochs"] = epochs(given.work, given.epoch_gigabytes * 1e9, given.turns, given.engines)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
