"""Requests that a service must bear: what they send, by which a service never answers 5xx."""

from __future__ import annotations

import base64
import json
import random
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.odd_images import broken_images, encoded, odd_images, scene

PNG = encoded(scene(8, 8, 1))
JSON = "application/json"
FORM = "multipart/form-data; boundary=b"
CLOSED = 0  # stands for the status of a connection that was closed without an answer


def request(
    body: bytes = PNG, kind: str = "image/png", *, path: str = "/v1/predict", method: str = "POST", head: str = ""
) -> bytes:
    """One well-formed request, but for what `head` adds or the parts say."""
    length = "" if "Content-Length" in head or "Transfer" in head else f"Content-Length: {len(body)}\r\n"
    text = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n{head}{length}\r\n"
    return text.encode("latin-1") + body


def png_of(width: int, height: int, data: bytes) -> bytes:
    """A grey PNG whose head says so many pixels, whatever its data hold."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BOMB = png_of(30_000, 30_000, zlib.compress(bytes(20_000_000), 9))  # 900 million pixels, of which 20 million are there
LYING = png_of(28, 28, zlib.compress(bytes(20_000_000), 9))  # far more data than its pixels need
WIDE = png_of(2_000_000_000, 2_000_000_000, b"")


def attacks(random: random.Random) -> Iterator[tuple[str, bytes]]:
    """A name and what is sent, of each kind of request; drawn again at each call."""
    yield "good", request()
    yield "good in JSON", request(json.dumps({"image": base64.b64encode(PNG).decode()}).encode(), JSON)
    yield "odd image", request(random.choice(list(odd_images().values())))
    yield "broken image", request(random.choice(list(broken_images().values()))[0])
    spoilt = bytearray(random.choice(list(odd_images().values())))
    for _ in range(4):
        spoilt[random.randrange(len(spoilt))] = random.randrange(256)
    yield "spoilt image", request(bytes(spoilt))
    yield "truncated image", request(bytes(spoilt[: random.randrange(len(spoilt))]))
    yield "bomb", request(BOMB)
    yield "more data than pixels", request(LYING)
    yield "absurd size", request(WIDE)
    yield "random bytes", request(random.randbytes(random.randrange(2000)))
    yield "random head", random.randbytes(200) + b"\r\n\r\n"
    yield "huge header", request(head="X: " + "x" * 100_000 + "\r\n")
    yield "many headers", request(head="".join(f"X{n}: y\r\n" for n in range(3000)))
    yield "length too short", request(head="Content-Length: 5\r\n")
    yield "length too long", request(head="Content-Length: 500000\r\n")
    yield "length of nothing", request(head="Content-Length: ten\r\n")
    yield "negative length", request(head="Content-Length: -1\r\n")
    yield "length beyond all", request(head="Content-Length: 9" + "9" * 30 + "\r\n")
    yield "two lengths", request(head="Content-Length: 3\r\nContent-Length: 4\r\n")
    yield "chunks without an end", request(b"5\r\nabcde\r\n" * 50, head="Transfer-Encoding: chunked\r\n")
    yield "chunk of no size", request(b"zz\r\nabcde\r\n", head="Transfer-Encoding: chunked\r\n")
    yield "another coding", request(head="Transfer-Encoding: gzip, chunked\r\n")
    yield "another type", request(kind=random.choice(["text/html", "video/mp4", "multipart/mixed", "\xff", "a" * 500]))
    yield "deep JSON", request(b"[" * 200_000, JSON)
    yield "deep objects", request(b'{"image":' * 50_000, JSON)
    yield "not valid base64", request(json.dumps({"image": "*" * 5000}).encode(), JSON)
    yield "long number", request(b'{"image": ' + b"9" * 100_000 + b"}", JSON)
    yield "many images", request(json.dumps({"images": [""] * 10_000}).encode(), JSON)
    yield "JSON of random bytes", request(random.randbytes(300), JSON)
    yield "form without parts", request(b"--b--", FORM)
    yield "form of many parts", request(b"--b\r\n" * 50_000, FORM)
    yield "form of random bytes", request(b"--b\r\n" + random.randbytes(500) + b"\r\n--b--", FORM)
    yield "unknown model", request(path=f"/v1/predict?model={random.randrange(10**9)}")
    for path in ("/%ff", "/v1/models//predict", "/../x", "//", "/%00", "/v1/predict/"):
        yield "odd path", request(path=path)
    for query in ("%ff=%00", "model", "&" * 999):
        yield "odd query", request(path=f"/v1/predict?{query}")
    yield "another method", request(method=random.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"]))
    yield "another host", b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    yield "no host", b"GET /health HTTP/1.1\r\n\r\n"
    yield "an upgrade", request(head="Connection: upgrade\r\nUpgrade: websocket\r\n")
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(300)
    yield "pipelined", request() * 5
    yield "page", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    yield "metrics", b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass
class Found:
    """How often each kind of request got each status."""

    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    aborted: int = 0

    def add(self, name: str, status: int) -> None:
        self.statuses.setdefault(name, Counter())[status] += 1

    def defects(self) -> list[str]:
        """What a service must not do: answer 5xx, or refuse what is good, but for the 429 of a crowd."""
        found = [f"{name}: {status}" for name, seen in self.statuses.items() for status in seen if status >= 500]
        good = {status for name in ("good", "good in JSON") for status in self.statuses.get(name, ())}
        return found + [f"good: {status}" for status in good - {200, 429}]


def attack(port: int, seconds: float, *, seed: int, threads: int = 4) -> Found:
    """All kinds of requests, each as often, for so long at least; with connections that are slow or given up."""
    found, lock = Found(), threading.Lock()
    until = time.monotonic() + seconds

    def work(number: int) -> None:
        draws = random.Random(f"{seed}/{number}")
        ended = False
        while not ended:
            kinds = list(attacks(draws))
            draws.shuffle(kinds)
            for name, data in kinds:
                status, aborted = _status(port, data), _aborted(port, data, draws)
                with lock:
                    found.add(name, status)
                    found.aborted += aborted
            ended = time.monotonic() > until

    _at_once([lambda n=n: work(n) for n in range(threads)] + [lambda: _slowly(port, until)])
    return found


def _at_once(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _status(port: int, data: bytes) -> int:
    """The status of the answer to what is sent, `CLOSED` where there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(data)
            head = connection.recv(4096)
        except ConnectionError:  # it was refused before it was sent
            return CLOSED
    return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else CLOSED


def _aborted(port: int, data: bytes, draws: random.Random, count: int = 5) -> int:
    """Connections that are given up after a part of a request, most with a reset."""
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            if draws.random() < 0.8:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(data[: draws.randrange(1, min(len(data), 4000))])
    return count


def _slowly(port: int, until: float) -> None:
    """Bodies that come a byte at a time, or not at all."""
    while time.monotonic() < until:
        connections = []
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", port), timeout=30)
            connection.sendall(request(b"", head="Content-Length: 400000\r\n"))
            connections.append(connection)
        for _ in range(10):
            time.sleep(0.05)
            for connection in connections:
                try:
                    connection.sendall(b"x")
                except ConnectionError:
                    continue
        for connection in connections:
            connection.close()
