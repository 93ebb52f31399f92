"""Connections that wait for nothing, and what is not HTTP."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.datastructures import State
from starlette.types import Receive, Scope, Send

from firstlight.web import server
from firstlight.web.server import in_thread

LARGE = bytes(20_000_000)


class Application:
    """Answers with much, without asking for the body; `open` are the requests under way."""

    def __init__(self) -> None:
        self.state = State()
        self.failed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        content = LARGE if scope["path"] == "/large" else b"here"
        await asyncio.sleep(0.05)
        try:
            length = str(len(content)).encode()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
            await send({"type": "http.response.body", "body": content})
        except Exception:
            self.failed += 1
            raise


def connected(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=20)


def received(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_a_malformed_chunk_is_answered_once() -> None:
    """Also where the answer to the request that it belongs to is under way."""
    app = Application()
    with in_thread(app) as url, connected(url) as asking:
        asking.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        answer = received(asking)
        time.sleep(0.2)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(server.MALFORMED)
    assert app.failed == 0


class Transport:
    """What is written, and whether it was closed."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed_after = -1

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed_after = len(self.written)


def test_a_head_goes_with_its_body_and_alone_where_none_follows() -> None:
    async def written(parts: list[bytes], closed: bool = False) -> tuple[list[bytes], int]:
        transport: Any = Transport()
        whole = server._WholeAnswers(transport, asyncio.get_running_loop())
        for part in parts:
            whole.write(part)
        before = len(transport.written)
        if closed:
            whole.close()
            assert transport.closed_after == len(transport.written)
        await asyncio.sleep(0)
        return transport.written, before

    def asked(*arguments: Any) -> tuple[list[bytes], int]:
        with ThreadPoolExecutor(1) as thread:  # in this one, playwright's loop may be under way
            return thread.submit(asyncio.run, written(*arguments)).result()

    head, body, wait = b"HTTP/1.1 200 OK\r\n\r\n", b"body", b"HTTP/1.1 100 Continue\r\n\r\n"
    assert asked([head, body, b""]) == ([head + body], 1)
    assert asked([head, b""]) == ([head], 1), "of an answer without a body"
    assert asked([head]) == ([head], 0), "of a stream, at the end of this turn of the loop"
    assert asked([wait, head, body]) == ([wait, head + body], 2)
    assert asked([head, body, head, body]) == ([head + body] * 2, 2)
    assert asked([head], True) == ([head], 0), "before it is closed"


def test_a_body_that_goes_on_after_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    with in_thread(Application()) as url, connected(url) as asking:
        asking.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        cut, until = False, time.monotonic() + 15
        while not cut and time.monotonic() < until:
            try:
                asking.sendall(b"1\r\nx\r\n")
            except ConnectionError:
                cut = True
            time.sleep(0.02)
        assert cut


def test_an_answer_that_nobody_reads_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    with in_thread(Application()) as url, connected(url) as asking:
        asking.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(1.5)
        assert len(received(asking)) < len(LARGE), "what the system had taken already, and no more"


def test_an_answer_that_is_read_slowly_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    with in_thread(Application()) as url, connected(url) as asking:
        asking.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found = b""
        while chunk := asking.recv(2_000_000):
            found += chunk
            time.sleep(0.05)
        assert found.endswith(LARGE)
