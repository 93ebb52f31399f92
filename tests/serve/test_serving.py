"""The service as a program: how it begins, what it bears, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.odd_images import encoded, scene
from tests.serve.hostile import PNG, attack, request

import firstlight as fl
from firstlight.serve import Limits, bodies

GROWTH = 40_000_000  # bytes of memory that a minute under attack may add to a service that has seen all of it once


@contextmanager
def program(*arguments: object, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """`firstlight serve` on a free port: the process, what it said, and the port."""
    environment = {key: value for key, value in os.environ.items() if key != "FIRSTLIGHT_TOKEN"} | variables
    process = subprocess.Popen(
        [sys.executable, "-m", "firstlight", "serve", *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        said = ""
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if line.startswith("Try: "):
                break
        found = re.search(r"Serving at http://[^:]+:(\d+)/", said)
        assert found, said
        yield process, said, int(found[1])
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def ended(process: subprocess.Popen[str], by: int) -> str:
    """What it said last, after it was told to end by a signal."""
    process.send_signal(by)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    return rest


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_what_was_begun_is_finished(served_runs: dict[str, fl.Run], by: int) -> None:
    """A body that is half here when the signal comes is answered; then the program ends with 0, and says nothing."""
    with program(served_runs["digits"].path) as (process, said, port):
        assert "test accuracy" in said
        with socket.create_connection(("127.0.0.1", port), timeout=30) as malformed:
            malformed.sendall(request(b"zz\r\n", head="Transfer-Encoding: chunked\r\n"))
            answer = b"".join(iter(lambda: malformed.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b'malformed."}'), "it is answered once"
        with socket.create_connection(("127.0.0.1", port), timeout=30) as begun, httpx.Client(trust_env=False) as idle:
            assert idle.get(f"http://127.0.0.1:{port}/health").status_code == 200
            whole = request()
            begun.sendall(whole[:-20])
            time.sleep(0.1)
            process.send_signal(by)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                except ConnectionRefusedError:
                    break
                time.sleep(0.05)
            begun.sendall(whole[-20:])
            answer = b"".join(iter(lambda: begun.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b'"predictions"' in answer
        rest, _ = process.communicate(timeout=60)
        assert (process.returncode, rest) == (0, "")


def test_others_need_the_token_that_is_made(served_runs: dict[str, fl.Run]) -> None:
    with program(served_runs["digits"].path, "--host", "0.0.0.0") as (process, said, port):
        [token] = re.findall(r"for this session: (\S{20,})\n", said)
        url = f"http://127.0.0.1:{port}/v1/predict"
        assert httpx.post(url, content=PNG, trust_env=False).status_code == 401
        bearer = {"Authorization": f"Bearer {token}", "Host": "any.example"}
        assert httpx.post(url, content=PNG, headers=bearer, trust_env=False).status_code == 200
        ended(process, signal.SIGTERM)


def test_what_cannot_be_served_is_a_sentence(
    firstlight: Callable[..., Any], served_runs: dict[str, fl.Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = served_runs["digits"].path
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = firstlight("serve", path, "--port", taken.getsockname()[1])
    assert answer.code == 2
    assert "cannot listen on 127.0.0.1" in answer.err
    assert "Try another --port" in answer.err
    for arguments, words in (
        ((tmp_path / "none",), "none"),
        ((path, path), "would both be called"),
        ((path, "--token", "a b"), "may contain only letters"),
        ((path, "--host", "0.0.0.0", "--token", "short"), "at least 8 characters"),
        ((path, "--token-file", tmp_path / "none"), "cannot be read"),
    ):
        answer = firstlight("serve", *arguments)
        assert (answer.code, answer.err.count("\n")) == (2, 1), answer.err
        assert words in answer.err
    monkeypatch.setenv("FIRSTLIGHT_TOKEN", "a b")
    assert "FIRSTLIGHT_TOKEN may contain only letters" in firstlight("serve", path).err


def test_attacks_get_no_5xx(serve: Callable[..., Any], served_runs: dict[str, fl.Run]) -> None:
    """A short form of the test below, in a thread."""
    limits = Limits(bytes=1_000_000, seconds=0.3, images=8)
    with serve([served_runs["digits"].path], limits=limits) as served:
        found = attack(int(served.url.rsplit(":", 1)[1]), 1, seed=0)
        assert found.defects() == []
        assert sum(map(len, found.statuses.values())) > 40, found.statuses
        deadline = time.monotonic() + 10
        while served.service.bodies.held and time.monotonic() < deadline:
            time.sleep(0.05)
        assert served.service.bodies.held == served.service.batches.waiting == 0
        assert served.client.post("/v1/predict", content=PNG).status_code == 200


def test_the_attack_finds_a_defect(
    serve: Callable[..., Any], served_runs: dict[str, fl.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(bodies, "_of_json", broken)
    with serve([served_runs["digits"].path], limits=Limits(seconds=0.1)) as served:
        found = attack(int(served.url.rsplit(":", 1)[1]), 1, seed=1)
    assert any(defect.endswith(": 500") for defect in found.defects())


@pytest.mark.slow
def test_a_quarter_of_a_minute_of_attacks(served_runs: dict[str, fl.Run]) -> None:
    """Good and hostile requests at once: no 5xx, and the memory that it has after a warm-up does not grow."""
    options = ("--max-seconds", "0.5", "--max-mb", "2", "--max-images", "8")
    with program(served_runs["digits"].path, *options) as (process, _, port):
        address = f"http://127.0.0.1:{port}/v1/predict"
        large = encoded(scene(3000, 2000))
        httpx.post(address, content=large, trust_env=False)
        attack(port, 6, seed=2)
        before = memory(process.pid)
        found = attack(port, 15, seed=3, threads=6)
        time.sleep(1)  # in which the slow are let go
        after = memory(process.pid)
        assert found.defects() == []
        assert found.aborted > 300, found.aborted
        assert after - before < GROWTH, f"{before:,} and then {after:,} bytes"
        assert httpx.post(address, content=PNG, trust_env=False).status_code == 200
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        assert 'status="5' not in metrics
        assert "firstlight_held_bytes 0\n" in metrics
        assert "firstlight_waiting_images 0\n" in metrics
        assert "Traceback" not in ended(process, signal.SIGTERM)


def memory(pid: int) -> int:
    """Bytes of memory that a process has; 0 where that cannot be known."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
