"""`firstlight serve` under load, beside the same net in a bare server; asked by wrk."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

import firstlight as fl
from benchmarks.contestants import CONTESTANTS
from benchmarks.processes import CommandError, firstlight
from benchmarks.rounds import summary
from benchmarks.sections import Options
from firstlight.types import Array, Json

OURS, BARE = "firstlight-serve", "bare-server"
CONNECTIONS = 64
SECONDS = 3.0  # of each turn
SCRIPT = Path(__file__).parents[1] / "load.lua"
console = Console(stderr=True, highlight=False)


def serve(options: Options) -> Json:
    """Images a second of each at saturation, in turns; then its p50 and p99 at half of that, and ours at half of both.

    turns      seconds for an image at saturation
    latencies  name of the load -> contestant -> rate, p50 and p99 of each round
    """
    missing = CONTESTANTS[BARE].missing + ([] if shutil.which("wrk") else ["wrk"])
    if missing:
        raise CommandError(
            f"The section serve needs {' and '.join(missing)}: pip install '.[export]', apt install wrk."
        )
    seconds = 0.5 if options.quick else SECONDS
    with tempfile.TemporaryDirectory() as temporary, _servers(Path(temporary)) as urls:
        image = Path(temporary) / "image.png"
        turns: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(options.rounds):
            for name, url in urls.items():
                turns[name].append(1 / _load(url, image, seconds)["rate"])
                console.print(f"  {name}: {1 / turns[name][-1]:,.0f} images per second")
        half = {name: 0.5 / summary(found).median for name, found in turns.items()}
        loads = {"half of its own saturation": half, "half of the bare server's": dict.fromkeys(urls, half[BARE])}
        latencies: Json = {load: {name: [] for name in urls} for load in loads}
        for _ in range(options.rounds):
            for load, rates in loads.items():
                for name, url in urls.items():
                    latencies[load][name].append(_load(url, image, seconds, rates[name]))
    libraries = {name: metadata.version(name) for name in ("uvicorn", "h11", "starlette", "onnxruntime")}
    found = {"connections": CONNECTIONS, "of_each_turn": seconds, "libraries": libraries, "left_out": {}}
    return {**found, "turns": turns, "latencies": latencies}


@contextmanager
def _servers(folder: Path) -> Iterator[dict[str, str]]:
    """Both servers over one net, which answer alike: their addresses."""
    run = fl.fit("lenet5", fl.load("digits", size=28), epochs=1, out=folder / "lenet5", console=Console(quiet=True))
    run.export("onnx", folder / "lenet5.onnx")
    digit = run.folder.samples["test"].pixels[0, :, :, 0]
    buffer = BytesIO()
    Image.fromarray(digit).save(buffer, "PNG")
    (folder / "image.png").write_bytes(buffer.getvalue())
    ports = {name: _free_port() for name in (OURS, BARE)}
    commands = {
        OURS: firstlight("serve", str(run.path), "--port", str(ports[OURS])),
        BARE: [sys.executable, "-m", CONTESTANTS[BARE].module, str(folder / "lenet5.onnx"), str(ports[BARE])],
    }
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands.values()]
    urls = {name: f"http://127.0.0.1:{port}/v1/predict" for name, port in ports.items()}
    try:
        expected = run.predict(digit[None, :, :, None])[0]
        for name, url in urls.items():
            apart = np.abs(_answer(url, buffer.getvalue()) - expected).max()
            if apart > 1e-4:
                raise CommandError(f"{name} answers otherwise than the net: probabilities differ by {apart:.1e}.")
        yield urls
    finally:
        for process in started:
            process.terminate()
            process.wait(60)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


def _answer(url: str, image: bytes) -> Array:
    """The probabilities that a server gives, as soon as it answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, image, {"Content-Type": "image/png"})) as reply:
                found = json.load(reply)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise CommandError(f"{url} did not answer within a minute.") from None
            time.sleep(0.1)
    rows = found["predictions"][0]["probabilities"].values() if "predictions" in found else found["probabilities"]
    return np.array([*rows])


def _load(url: str, image: Path, seconds: float, rate: float = 0.0) -> Json:
    """Requests for so long: at the rate, with random pauses, or as many as it answers. See benchmarks/load.lua."""
    pause = 1e3 * CONNECTIONS / rate if rate else 0.0
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(SCRIPT), url, "--"]
    done = subprocess.run([*command, str(image), f"{pause:.3f}"], capture_output=True, text=True)
    if done.returncode:
        raise CommandError(f"wrk ended with exit code {done.returncode}: {done.stderr or done.stdout}")
    found: Json = json.loads(done.stdout.strip().splitlines()[-1])
    if found.pop("errors"):
        raise CommandError(f"{url} did not answer each request with success.")
    return found
