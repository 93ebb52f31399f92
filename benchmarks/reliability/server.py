"""`firstlight view` as a process of its own, asked over HTTP."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.processes import firstlight
from benchmarks.reliability.commands import ENVIRONMENT

TOKEN_HEADER = "X-Firstlight-Token"
PATIENCE = 10.0  # seconds that a page may take


@dataclass(frozen=True)
class Dashboard:
    """A dashboard that runs: its process, its address, the token of its pages, and a client."""

    process: subprocess.Popen[bytes]
    port: int
    token: str
    client: httpx.Client

    @property
    def memory(self) -> int:
        """What the process holds, in bytes; 0 where Linux is not."""
        try:
            lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ids(self) -> dict[str, str]:
        """The id of each run in the list, by name."""
        return {run["name"]: run["id"] for run in self.client.get("/api/runs").json()["runs"]}


@contextmanager
def dashboard(root: Path, *more: str) -> Iterator[Dashboard]:
    """`firstlight view` over a folder of runs; it is ended afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        firstlight("view", str(root), "--no-browser", "--port", str(port), *more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **ENVIRONMENT},
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            yield Dashboard(process, port, _token(client, port), client)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _token(client: httpx.Client, port: int) -> str:
    """The token that the pages carry, once the server listens; "" where the first page does not come."""
    end = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            if time.monotonic() > end:
                raise RuntimeError("firstlight view does not listen after 120 s") from None
            time.sleep(0.1)
    try:
        found = re.search(r'name="token" content="([^"]+)"', client.get("/").text)
    except httpx.TransportError:
        return ""
    return found.group(1) if found else ""
