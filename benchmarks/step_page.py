"""How long the page Step waits: what it asks of the server for LeNet-5 on one MNIST-sized image, over HTTP.

    python -m benchmarks.step_page [--rounds 15]

Each question is asked ROUNDS times at another step, so that nothing is taken apart twice; medians, and the slowest.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from firstlight.app import create_app
from firstlight.web.server import in_thread

GOAL = 100.0  # milliseconds
# A place in the output, and one in the input, of a layer of each kind.
PLACES = {
    "conv1": ("3,14,14", "0,14,14"),
    "relu1": ("3,14,14", "3,14,14"),
    "maxpool1": ("3,7,7", "3,14,14"),
    "conv2": ("8,5,5", "3,7,7"),
    "conv3": ("60,0,0", "8,2,2"),
    "head": ("5", "42"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Path(folder), token="benchmark", hosts=("127.0.0.1",))
        with in_thread(app) as address, httpx.Client(base_url=address, timeout=120, trust_env=False) as client:
            client.headers["X-Firstlight-Token"] = "benchmark"
            times = measured(client, rounds)
    print(f"{'question':24} {'median':>8} {'slowest':>8}   ms, n = {rounds}; the goal is {GOAL:g}")
    for question, found in times.items():
        milliseconds = [1000 * seconds for seconds in found]
        print(f"{question:24} {statistics.median(milliseconds):8.1f} {max(milliseconds):8.1f}")


def measured(client: httpx.Client, rounds: int) -> dict[str, list[float]]:
    """Seconds of each answer, by the question."""
    times: dict[str, list[float]] = {}

    def ask(question: str, method: str, path: str, **asked: str | int) -> httpx.Response:
        began = time.perf_counter()
        answer = client.request(method, path, params=asked)
        times.setdefault(question, []).append(time.perf_counter() - began)
        return answer.raise_for_status()

    path = f"/api/step/{client.post('/api/step').raise_for_status().json()['key']}"
    client.get(f"{path}/weight", params={"name": "conv1.W", "index": "0,0,0,0", "autograd": 1})  # loads PyTorch once
    for step in range(rounds):
        ask("another image", "POST", "/api/step", image=step + 1)
        ask("the next step", "GET", f"{path}/state", at=step, to=step + 1)
        ask("ten steps", "GET", f"{path}/state", at=step + 1, to=step + 11)
        client.get(f"{path}/state", params={"at": step + 1})
        ask("a weight", "GET", f"{path}/weight", at=step + 1, name="conv1.W", index="3,0,2,2")
        for layer, places in PLACES.items():
            ask(f"tensors of {layer}", "GET", f"{path}/tensors", at=step + 1, layer=layer)
            for of, place in zip(("y", "dx"), places, strict=True):
                ask(f"{of} of {layer}", "GET", f"{path}/working", at=step + 1, layer=layer, of=of, index=place)
        path = f"/api/step/{client.post('/api/step').raise_for_status().json()['key']}"
    return times


if __name__ == "__main__":
    main()
