"""Sixty clients ask `firstlight view` for pages, pictures and saliency, and listen to its events, while a run trains in
the same folder. Survived: every answer is 2xx or 4xx (429 and 503 tell to come again), each within sixty seconds; the
run has the bytes of an undisturbed one; the server stays below 1 GiB, and ends within ten seconds when told to."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import threading
import time

import httpx

from benchmarks.processes import firstlight
from benchmarks.reliability.attack import Attack
from benchmarks.reliability.commands import ENVIRONMENT
from benchmarks.reliability.folders import differences, finished_run
from benchmarks.reliability.server import Dashboard, dashboard

CLIENTS = 60
LISTENERS = 20
LONGEST = 60.0  # seconds
MOST_MEMORY = 1 << 30
PAGES = [
    "/", "/api/runs", "/run/{id}", "/api/runs/{id}/curves", "/api/runs/{id}/images?split=test",
    "/image/{id}/own/test/{n}.png", "/image/{id}/kept/test/{n}.png", "/api/runs/{id}/look?index={n}", "/draw?run={id}",
    "/report/run/{id}", "/static/vega.js", "/static/base.css", "/run/nobody", "/image/{id}/own/test/999999.png",
]  # fmt: skip


def attack(a: Attack) -> None:
    """One round, as long as there is time."""
    whole = finished_run(a)
    begin = time.monotonic()
    with dashboard(a.work) as served:
        run = served.ids()[whole.name]
        training = subprocess.Popen(
            firstlight("run", str(a.work / "run.toml"), "--out", str(a.work / "trained")),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ENVIRONMENT},
        )
        seconds: list[float] = []
        clients = [threading.Thread(target=_client, args=(a, served, run, k, seconds)) for k in range(CLIENTS)]
        clients += [threading.Thread(target=_listener, args=(a, served), daemon=True) for _ in range(LISTENERS)]
        for thread in clients:
            thread.start()
        most = 0
        while time.monotonic() - begin < a.seconds:
            most = max(most, served.memory)
            time.sleep(0.2)
        for thread in clients[:CLIENTS]:
            thread.join()
        a.count("the server's memory", None if most < MOST_MEMORY else f"{most >> 20} MiB of memory")
        training.wait(600)
        differ = differences(whole, a.work / "trained")
        a.count("the run beside it", f"not the same: {', '.join(differ)}" if differ else None)
        began = time.monotonic()
        served.process.terminate()
        try:
            served.process.wait(10)
            wrong = None
        except subprocess.TimeoutExpired:
            wrong = "it does not end"
        a.count("the server ends", wrong)
        ended = time.monotonic() - began
    slow = sorted(seconds)[int(len(seconds) * 0.99)]
    a.notes.append(
        f"{len(seconds):,} answers: median {statistics.median(seconds):.2f} s, 99 % within {slow:.2f} s; "
        f"at most {most >> 20} MiB; the server ended in {ended:.1f} s."
    )


def _client(a: Attack, served: Dashboard, run: str, number: int, seconds: list[float]) -> None:
    draw, begin = a.random(number), time.monotonic()
    with httpx.Client(base_url=served.client.base_url, timeout=LONGEST) as client:
        while time.monotonic() - begin < a.seconds:
            page = draw.choice(PAGES)
            a.count(page, _asked(client, page.format(id=run, n=draw.randrange(30)), seconds, draw))


def _asked(client: httpx.Client, page: str, seconds: list[float], draw: random.Random) -> str | None:
    began = time.monotonic()
    try:
        answer = client.get(page)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}"
    seconds.append(time.monotonic() - began)
    if answer.status_code in (429, 503):
        time.sleep(draw.uniform(0.1, 1))
        return None
    return f"{answer.status_code} of {page.split('?')[0]}" if answer.status_code >= 500 else None


def _listener(a: Attack, served: Dashboard) -> None:
    """Listens to the events of the list, as an open page does."""
    try:
        with httpx.stream("GET", f"http://127.0.0.1:{served.port}/api/events", timeout=None) as answer:
            for _ in answer.iter_bytes():
                if a.over:
                    return
    except httpx.HTTPError:
        return
