"""How long the dashboard's page Draw waits for an answer: what a net says of a drawing, with the maps of every layer.

    python -m benchmarks.drawing [--strokes 200] [--net mnist-cnn …]

A net with weights as they are drawn (what they are makes no difference to the time) is asked through HTTP, as the page
does it: a bitmap of the sheet for each point of the pen, one after the other. The goal is 50 ms a stroke.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import socket
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from rich.console import Console

import firstlight as fl
from firstlight.app import create_app
from firstlight.app.index import Index
from firstlight.types import Dataset, Images
from firstlight.web.server import in_thread

NETS = ("lenet5", "mnist-cnn", "vgg-small")
SHEET = 448  # pixels a side of the page's canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", type=int, default=200, help="questions for each net")
    parser.add_argument("--net", nargs="+", default=NETS, help="architectures for images of 28×28 in 10 classes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for net in asked.net:
            fl.fit(net, noise(), epochs=0, out=root / net, console=Console(quiet=True))
        with in_thread(create_app(root, token="benchmark", hosts=("127.0.0.1",))) as address:
            for entry in Index(root).entries():
                times, within = ask(urlsplit(address).netloc, entry.id, asked.strokes)
                print(f"{entry.name}: {describe(times)}; of these in the server {describe(within)}")


def noise() -> Dataset:
    """Images of 28×28 in ten classes; nothing is learnt from them."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (100, 28, 28, 1), dtype=np.uint8)
    images = Images(pixels, np.arange(100) % 10, np.arange(100).astype(str), tuple("0123456789"))
    return Dataset("noise", {"train": images})


def ask(server: str, run: str, strokes: int) -> tuple[list[float], list[float]]:
    """Seconds from the question to the whole answer, and those of them within the server, after five to warm up."""
    connection = http.client.HTTPConnection(server)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as browsers do
    times, within = [], []
    for stroke in range(strokes + 5):
        began = time.perf_counter()
        headers = {"X-Firstlight-Token": "benchmark", "Content-Type": "image/bmp"}
        connection.request("POST", f"/api/draw/{run}?box=20&maps=1", drawing(stroke), headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        times.append(time.perf_counter() - began)
        if answer.status != 200:
            raise SystemExit(f"The page answered {answer.status}: {said}")
        within.append(said["milliseconds"] / 1000)
    return times[5:], within[5:]


def drawing(stroke: int) -> bytes:
    """A bitmap of the sheet with a bar that grows with each stroke."""
    sheet = np.zeros((SHEET, SHEET), np.uint8)
    sheet[60 : 90 + stroke % 300, 200:240] = 255
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "BMP")
    return buffer.getvalue()


def describe(times: list[float]) -> str:
    ninth = statistics.quantiles(times, n=10)[-1]
    return (
        f"median {1e3 * statistics.median(times):.1f} ms, 9 of 10 below {1e3 * ninth:.1f}, worst {1e3 * max(times):.1f}"
    )


if __name__ == "__main__":
    main()
