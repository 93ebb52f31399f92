"""The door of `firstlight view`: requests under other hosts, from other pages, without the token, with other methods,
paths that climb, odd values in every address and every form, large and slow bodies. Survived: refused with 4xx, or
answered as a page; never 5xx, never a file of the machine, always with the security headers; and the server lives."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.folders import finished_run
from benchmarks.reliability.server import TOKEN_HEADER, Dashboard, dashboard

HEADERS = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy")
HOSTS = [
    "evil.example", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example", "[::1", "localhost.", "0.0.0.0", "a" * 5000,
]  # fmt: skip
METHODS = ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]
ODD = [
    "", "x", "-1", "0", "9" * 5000, "1e400", "nan", "..", "../../etc/passwd", "%2e%2e%2fetc%2fpasswd", "%00", "%ff",
    "%ed%a0%80", "<script>", "a" * 3000, "true", "null", "[]", "test", "0x10",
]  # fmt: skip
VALUES = [
    "", "x", "-1", "0", "9" * 5000, "1e400", "nan", "inf", "/etc/passwd", "../../etc", "~root", "\x00", "\ud800",
    "[" * 3000, "{a=" * 500, "a\nb = 1", '"""', "<b>", "digits", "lenet5", "x" * 100_000, True, None, [], {}, 10**400,
]  # fmt: skip
ADDRESSES = [
    "/run/{}", "/api/runs/{}/curves", "/api/runs/{}/images", "/api/runs/{}/image?split=test&id={}",
    "/api/runs/{id}/image?split={}&id=x", "/api/runs/{id}/images?split={}", "/api/runs/{id}/images?true={}",
    "/api/runs/{id}/images?predicted={}&page={}", "/api/runs/{id}/images?order={}", "/image/{}/own/test/0.png",
    "/image/{id}/{}/test/0.png", "/image/{id}/own/{}/0.png", "/image/{id}/own/test/{}.png", "/image/{id}/map/{}.png",
    "/api/runs/{id}/look?index={}", "/api/runs/{id}/look?index=0&target={}", "/api/runs/{id}/layers?index={}",
    "/compare?run={}&run={id}", "/api/compare/{id}/{}", "/api/compare/{id}/{id}/{}", "/start?run={}",
    "/report/{}/{id}", "/report/run/{}", "/pdf/{}/{id}", "/api/start/{}", "/draw?run={}", "/static/{}", "/{}",
    "/step?of={}", "/step?of={id}&data={}", "/step?of=preset-{}", "/api/step/{}/state", "/api/step/{step}/state?at={}",
    "/api/step/{step}/state?at=0&to={}&n={}", "/api/step/{step}/tensors?layer={}", "/api/step/{step}/weight?name={}",
    "/api/step/{step}/channel?layer=head&of={}&channel={}", "/api/step/{step}/working?layer=head&of={}&index={}",
    "/api/step/{step}/loss?of={}&k={}", "/review?run={}", "/api/review/{}/list", "/api/review/{id}/list?label={}",
    "/api/review/{id}/list?what=all&answer={}", "/api/review/{id}/list?order={}&text={}",
    "/api/review/{id}/image?id={}", "/api/review/{id}/nearest?id={}", "/image/{id}/loaded.png?id={}",
]  # fmt: skip


def attack(a: Attack) -> None:
    """The fixed list first, then drawn values."""
    finished = finished_run(a)
    with dashboard(a.work) as served:
        run = served.ids()[finished.name]
        served.client.get(f"/api/runs/{run}/look?index=0", timeout=300)  # compiled once, before the clock counts
        headers = {TOKEN_HEADER: served.token}
        step = served.client.post(f"/api/step?of={run}", headers=headers, timeout=300).json()["key"]
        for label, request in a.in_turn(_refused(served, run), "refused"):
            a.count(label, _judged(served, request, refused=True))
        for label, request in a.in_turn(_answered(served, run, step), "answered"):
            a.count(label, _judged(served, request))
        if not a.over:  # which takes as long as a head may
            a.count("a head that does not end", _slow(served))
        number = 0
        while not a.over:
            for label, request in _drawn(served, run, a.random(number)):
                a.count(f"{label} {number}", _judged(served, request))
            number += 1
        a.count("the server lives", None if served.alive else "the server has ended")


def _judged(served: Dashboard, request: httpx.Request, refused: bool = False) -> str | None:
    try:
        answer = served.client.send(request)
    except httpx.HTTPError as error:
        return f"{request.url.path[:30]}: {type(error).__name__}"
    if answer.status_code >= 500:
        return f"{request.method} {request.url.path[:40]} answers {answer.status_code}"
    if refused and answer.status_code < 400:
        return f"taken with {answer.status_code}"
    if "root:x:0:0" in answer.text:
        return "a file of the machine is given away"
    by_us = answer.status_code != 400 or "text/html" in answer.headers.get("content-type", "")
    missing = [name for name in HEADERS if name not in answer.headers]
    return f"no {missing[0]} header" if missing and by_us and answer.headers.get("server") is None else None


def _request(served: Dashboard, method: str, path: str, **more: Any) -> httpx.Request:
    return served.client.build_request(method, path, **more)


def _refused(served: Dashboard, run: str) -> Iterator[tuple[str, httpx.Request]]:
    """What must not be done."""
    own = f"127.0.0.1:{served.port}"
    for host in HOSTS:
        yield f"host {host[:30]!r}", _request(served, "GET", "/", headers={"Host": host})
    for path in (
        f"/api/runs/{run}/stop",
        "/api/start",
        "/api/start/check",
        f"/api/draw/{run}",
        "/api/step",
        f"/api/review/{run}",
    ):
        yield f"{path} without a token", _request(served, "POST", path, content=b"{}")
        yield f"{path}, a wrong token", _request(served, "POST", path, headers={TOKEN_HEADER: "x" * 40})
        for origin in ("http://evil.example", f"http://{own}.evil.example", "null"):
            headers = {TOKEN_HEADER: served.token, "Origin": origin}
            yield f"{path} from {origin}", _request(served, "POST", path, headers=headers)
    for method in METHODS:
        yield f"{method} /", _request(served, method, "/", headers={TOKEN_HEADER: served.token})
    large = {TOKEN_HEADER: served.token}
    yield "a body of 50 MB", _request(served, "POST", f"/api/draw/{run}", content=bytes(50_000_000), headers=large)
    for path in ("/static/..%2f..%2fgate.py", "/static/../../gate.py", "//etc/passwd", "/static//etc/passwd"):
        yield f"GET {path}", _request(served, "GET", path)
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
        path = f"/api/runs/{run}/look?index=0"
        yield f"an image of another page ({site})", _request(served, "GET", path, headers=headers)


def _answered(served: Dashboard, run: str, step: str) -> Iterator[tuple[str, httpx.Request]]:
    """Odd values in every place of every address."""
    for address in ADDRESSES:
        for value in ODD:
            path = address.replace("{id}", run).replace("{step}", step).replace("{}", value)
            yield f"{address} with {value[:20]!r}", _request(served, "GET", path)


def _drawn(served: Dashboard, run: str, draw: random.Random) -> Iterator[tuple[str, httpx.Request]]:
    headers = {TOKEN_HEADER: served.token, "Content-Type": "application/json"}
    fields = ["model.name", "data.source", "training.epochs", "optimizer.lr", "seed", "augment.rotate", "model.units"]
    form = {draw.choice(fields): draw.choice(VALUES) for _ in range(draw.choice([1, 2, 4]))}
    yield "a form", _request(served, "POST", "/api/start/check", content=json.dumps(form), headers=headers)
    bodies = [b"[" * 100_000, b"9" * 5000, b"\xff", b"null", b'{"a": NaN}', draw.randbytes(500)]
    for path in ("/api/start/check", f"/api/draw/{run}", f"/api/step?of={run}", f"/api/review/{run}"):
        yield f"a body for {path}", _request(served, "POST", path, content=draw.choice(bodies), headers=headers)


def _slow(served: Dashboard) -> str | None:
    """Connections whose heads never end are let go, and keep nobody else out."""
    slow = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(50)]
    try:
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        began = time.monotonic()
        answer = served.client.get("/")
        if answer.status_code != 200 or time.monotonic() - began > 5:
            return "others wait"
        slow[0].settimeout(60)
        slow[0].recv(100)  # an answer, or the end of the connection
        return None
    except TimeoutError:
        return "held for more than a minute"
    finally:
        for connection in slow:
            connection.close()
