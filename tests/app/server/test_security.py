"""What the dashboard refuses, asked as a stranger would: a real server, raw requests."""

from __future__ import annotations

import gc
import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firstlight import app as dashboard
from firstlight import design_tokens
from firstlight.app import create_app
from firstlight.app.server import security
from firstlight.web.access import HEADERS

TOKEN = "a-token-of-the-tests"


@pytest.fixture
def stranger(served: Any) -> Iterator[httpx.Client]:
    """Asks without a token."""
    with httpx.Client(base_url=served.url, timeout=30, trust_env=False) as asking:
        yield asking


def test_headers_are_on_every_answer(stranger: httpx.Client, served: Any) -> None:
    answers = [
        stranger.get("/"),
        stranger.get("/nothing"),
        stranger.get("/static/base.css"),
        stranger.get("/api/runs/none/curves"),
        stranger.post("/api/runs/none/stop"),
        stranger.get("/", headers={"Host": "evil.example"}),
        stranger.get(f"/report/run/{served.id('mlp')}"),
    ]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"], answer.url
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
    page = answers[0].headers["content-security-policy"]
    assert "script-src 'self';" in page
    assert "unsafe" not in page


def test_a_forged_host_is_refused(stranger: httpx.Client) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "localhost@evil.example"):
        answer = stranger.get("/", headers={"Host": host})
        assert answer.status_code in (400, 403), host  # a host that is none at all, the server itself refuses
        assert TOKEN not in answer.text
    assert stranger.get("/", headers={"Host": "localhost:1"}).status_code == 200


def test_a_change_needs_the_token(stranger: httpx.Client, served: Any) -> None:
    path = f"/api/runs/{served.id('mlp')}/stop"
    for headers in ({}, {"X-Firstlight-Token": "wrong"}, {"X-Firstlight-Token": TOKEN + "x"}):
        answer = stranger.post(path, headers=headers)
        assert answer.status_code == 403
        assert "token" in answer.json()["error"]
    assert stranger.post(f"{path}?token={TOKEN}").status_code == 403  # an address stays in histories and logs
    answer = stranger.post(path, headers={"X-Firstlight-Token": TOKEN})
    assert answer.status_code == 422
    assert "not being trained" in answer.json()["error"]
    assert stranger.post(path, data={"token": TOKEN}).status_code == 422  # as a form brings it


def test_a_foreign_origin_is_refused_even_with_the_token(client: httpx.Client, served: Any) -> None:
    path = f"/api/runs/{served.id('mlp')}/stop"
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        answer = client.post(path, headers={"Origin": origin})
        assert answer.status_code == 403
        assert "another page" in answer.json()["error"]
    assert client.post(path, headers={"Origin": served.url}).status_code == 422


def test_no_path_leads_out(served: Any) -> None:
    """Raw paths: a client index would tidy them up before it sends them."""
    host = urlsplit(served.url).netloc
    for path in (
        "/static/../responses.py",
        "/static/%2e%2e/responses.py",
        "/static/..%2fresponses.py",
        "/static/draw/__init__.py",
        "/static/draw/page.html.j2",
        "/static//etc/passwd",
        "/run/..%2f..%2fetc",
        "/report/run/..%2f..",
        f"/image/{served.id('mlp')}/own/..%2f..%2ftest/0.png",
        f"/image/{served.id('mlp')}/own/test/-1.png",
        f"/image/{served.id('mlp')}/own/test/100000.png",
        f"/image/{served.id('mlp')}/../test/0.png",
        f"/api/runs/{served.id('mlp')}/images?split=../../x",
        f"/api/runs/{served.id('mlp')}/images?true=99",
        f"/api/runs/{served.id('mlp')}/images?page=-1",
        f"/api/runs/{served.id('mlp')}/look?index=1e9",
        f"/api/runs/{served.id('mlp')}/look?index=0&target=77",
        f"/api/runs/{'0' * 12}/curves",
        f"/report/other/{served.id('mlp')}",
    ):
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        connection.close()
        assert answer.status in (404, 405), path
        assert "root:" not in text
        assert "Traceback" not in text


def test_a_body_is_capped(client: httpx.Client, served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/api/runs/{served.id('mlp')}/stop"
    assert client.post(path, content=b"x" * (security.BODY_LIMIT + 1)).status_code == 413

    def unannounced() -> Iterator[bytes]:  # sent in chunks, without a length
        for _ in range(6):
            yield b"x" * 1_000_000

    assert client.post(path, content=unannounced()).status_code == 413
    monkeypatch.setattr(security, "BODY_SECONDS", 0.2)
    host = urlsplit(served.url).netloc
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", "10")
    connection.endheaders(b"slow")
    assert connection.getresponse().status == 408
    connection.close()


def test_where_others_can_reach_it_every_request_needs_the_token(trained_runs: Path, open_dashboard: Any) -> None:
    with (
        open_dashboard(trained_runs, locked=True) as served,
        httpx.Client(base_url=served.url, trust_env=False) as asking,
    ):
        for path in ("/", "/static/base.css", "/api/runs", "/?token=wrong", f"/run/{served.id('mlp')}"):
            answer = asking.get(path)
            assert answer.status_code == 401, path
            assert TOKEN not in answer.text
            assert not answer.cookies
        answer = asking.get(f"/?token={TOKEN}")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert asking.get("/").status_code == 200  # the cookie goes with it now
        refused = asking.post(f"/api/runs/{served.id('mlp')}/stop")
        assert refused.status_code == 403  # a cookie alone, which a browser sends by itself, changes nothing


@pytest.mark.parametrize("kind", ["a coroutine", "in a thread"])
def test_an_answer_that_is_not_ready_when_the_server_ends_is_cut_off(
    serving_app: Any, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    asked, ended = threading.Event(), threading.Event()

    async def slow(request: Request) -> Response:
        asked.set()
        await anyio.sleep(60)
        return Response("too late")

    def slow_thread(request: Request) -> Response:
        asked.set()
        ended.wait(3)
        return Response("too late")

    handler = slow if kind == "a coroutine" else slow_thread
    with serving_app(Starlette(routes=[Route("/slow", handler)])) as url:
        address = urlsplit(url)
        waiting = socket.create_connection((address.hostname, address.port), timeout=10)
        waiting.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert asked.wait(10)
    ended.set()
    with waiting, suppress(ConnectionResetError):
        while found := waiting.recv(4096):
            assert b"too late" not in found
    gc.collect()  # a connection that nobody closed would warn here
    assert capfd.readouterr().err == ""


def test_an_error_is_a_page_without_a_traceback(trained_runs: Path, serving_app: Any) -> None:
    app = create_app(trained_runs, token=TOKEN, hosts=["127.0.0.1"])

    def broken(request: Any) -> Any:
        raise ZeroDivisionError("a secret of the inside")

    app.router.routes[:0] = [Route("/broken", broken), Route("/api/broken", broken)]
    with serving_app(app) as url:
        for path in ("/broken", "/api/broken"):
            answer = httpx.get(url + path, trust_env=False)  # the server closes the connection after a defect
            assert answer.status_code == 500
            assert "secret" not in answer.text
            assert "Traceback" not in answer.text
            assert "error in firstlight itself" in answer.text
            for name, value in HEADERS.items():
                assert answer.headers[name] == value


def test_the_scripts_have_no_way_around_the_policy() -> None:
    """No inline script, style or handler in a template; no markup from strings in a script."""
    for path in Path(dashboard.__file__).parent.rglob("*.j2"):
        text = path.read_text("utf-8")
        assert " style=" not in text, path.name
        assert " onclick=" not in text, path.name
        assert "|safe" not in text.replace(" ", ""), path.name
    for path in Path(dashboard.__file__).parent.rglob("*.js"):
        text = path.read_text("utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, f"{path.name}: {word}"


def test_the_colours_are_those_of_the_report(stranger: httpx.Client) -> None:
    assert 'href="/static/palette.css"' in stranger.get("/").text
    palette = stranger.get("/static/palette.css")
    assert palette.headers["content-type"].startswith("text/css")
    assert palette.text == design_tokens.css()
    # Every colour that a page of the dashboard names is one of them; its scripts set a bar's share and an
    # image's side.
    sheets = [path.read_text("utf-8") for path in Path(dashboard.__file__).parent.rglob("*.css")]
    named = {name for sheet in sheets for name in re.findall(r"var\(--([\w-]+)", sheet)}
    own = {name for sheet in sheets for name in re.findall(r"--([\w-]+):", sheet)}
    assert {"paper", "ink", "miss"} <= named
    assert named - own - {"share", "side"} <= set(re.findall(r"--([\w-]+):", palette.text))
