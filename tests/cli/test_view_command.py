"""`firstlight view`: where it listens, what it prints, and how it ends."""

from __future__ import annotations

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


@contextmanager
def viewing(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The command in a process of its own: (process, all lines until it serves, the address)."""
    command = [sys.executable, "-m", "firstlight", "view", *map(str, arguments), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            lines = ""
            while not (found := re.search(r"http://\S+", lines)):
                line = process.stdout.readline() if process.stdout else ""
                assert line, f"it ended: {lines}"
                lines += line
            yield process, lines, found[0]
        finally:
            process.kill()


def asked(address: str) -> httpx.Response:
    end = time.monotonic() + 20
    while True:
        try:
            return httpx.get(address, trust_env=False)
        except httpx.ConnectError:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_it_serves_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    with viewing(tmp_path / "runs", "--port", 0) as (process, lines, address):
        assert address.startswith("http://127.0.0.1:")
        assert "token" not in lines
        assert "There is no run yet" in asked(address).text
        with httpx.stream("GET", f"{address}api/events", trust_env=False) as stream:  # a page that listens
            assert next(stream.iter_lines()).startswith("retry")
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert rest == ""


def test_of_a_run_it_serves_the_folder_in_which_that_lies(firstlight: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / "runs" / "mine"
    assert firstlight("run", "--data", "digits", "--model", "softmax-regression", "--epochs", 1, "--out", run).code == 0
    with viewing(run) as (_, lines, address):
        assert f"{run} is a run; the dashboard shows all runs beside it." in lines
        found = httpx.get(f"{address}api/runs", trust_env=False).json()["runs"]
        assert [summary["name"] for summary in found] == ["mine"]


def test_where_the_port_is_taken_it_takes_a_free_one_and_says_so(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 8765))
            other.listen()
        except OSError:
            pass  # another program has it, which does as well
        with viewing(tmp_path) as (_, lines, address):
            assert "Port 8765 is taken; the dashboard is on port" in lines
            assert ":8765/" not in address
            assert asked(address).status_code == 200


def test_a_port_that_was_asked_for_must_be_free(firstlight: Callable[..., Any], tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = firstlight("view", tmp_path, "--port", port, "--no-browser")
    assert answer.code == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in answer.err


@pytest.mark.parametrize("token", [[], ["--token", "short"]])
def test_what_others_can_reach_needs_a_token(firstlight: Callable[..., Any], tmp_path: Path, token: list[str]) -> None:
    answer = firstlight("view", tmp_path, "--host", "0.0.0.0", "--no-browser", *token)
    assert answer.code == 2
    assert "lets others reach the dashboard: it needs a token" in answer.err


@pytest.mark.parametrize("token", ["ü🦊 abcdefgh", "with space", "a/b?c=d&e;f", ""])
def test_a_token_that_an_address_cannot_hold_is_refused(
    firstlight: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setattr("firstlight.app.server.serving._listen", lambda *_: pytest.fail("it would serve"))
    answer = firstlight("view", tmp_path, "--no-browser", "--token", token)
    assert answer.code == 2
    assert "--token may contain only letters (a to z, A to Z), digits and - . _ ~" in answer.err
    assert repr(token) in answer.err


def test_with_a_token_every_request_needs_it(tmp_path: Path) -> None:
    with viewing(tmp_path, "--host", "0.0.0.0", "--port", 0, "--token", "open-sesame_1.~") as (_, _lines, address):
        assert address.endswith("/?token=open-sesame_1.~")
        assert asked(address.split("?")[0]).status_code == 401
        assert "set-cookie" in asked(address).headers


def test_what_others_can_reach_is_said_to_go_in_the_clear(tmp_path: Path) -> None:
    with viewing(tmp_path, "--host", "0.0.0.0", "--port", 0, "--token", "a-long-token") as (_, lines, address):
        assert "The token is sent over plain HTTP" in lines
        assert asked(address).status_code == 200
    with viewing(tmp_path, "--port", 0, "--token", "a-long-token") as (_, lines, _):
        assert "plain HTTP" not in lines


def test_a_file_is_no_folder_of_runs(firstlight: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = firstlight("view", tmp_path / "file", "--no-browser")
    assert answer.code == 2
    assert "is a file" in answer.err


def test_a_place_that_cannot_take_corrections_is_told_at_once(firstlight: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text("path,label\na.png,cat\n")
    for place, text in (
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "c.csv", "no folder"),
        (tmp_path / "photos.csv", "line 1"),
    ):
        answer = firstlight("view", tmp_path, "--no-browser", "--port", 0, "--corrections", place)
        assert answer.code == 2
        assert text in answer.err
