"""What a request must pass before a page sees it: its host, its origin, its token, and how much it brings."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs, urlsplit

import anyio
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firstlight.app.server import responses
from firstlight.text import listed
from firstlight.web.access import HEADERS, READING, from_elsewhere, hostname, same

UNLINKED = ("/api/", "/image/", "/static/")  # what is not a page
BODY_LIMIT = 5_000_000  # bytes
BODY_SECONDS = 20.0
TOKEN_HEADER = "X-Firstlight-Token"


class SecurityMiddleware:
    """Middleware that refuses what must not come in, and puts the security headers on every answer.

    A page elsewhere on the web can make a browser send requests here, also under a name of its own that it points at
    this machine (DNS rebinding). It cannot choose the Host, Origin or Sec-Fetch headers, nor know the token.

    A browser sends cookies to every port of a machine. So the cookie of a locked page does not hold the token: its
    value is drawn afresh by each server, and is good for reading alone.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: frozenset[str], locked: bool) -> None:
        self.app, self.token, self.hosts, self.locked = app, token, hosts, locked
        self.session = secrets.token_urlsafe(24)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope, receive)
        try:
            answer = self._entrance(request)
            if answer is None and request.method not in READING:
                answer, receive = await self._change(request)
        except ClientDisconnect:
            return
        await (answer or self.app)(scope, receive, guarded)

    def _entrance(self, request: Request) -> Response | None:
        """The refusal of a request that must not even read; None for all others."""
        host = request.headers.get("host", "")
        if "*" not in self.hosts and hostname(host) not in self.hosts:
            return _plain(403, f"This page answers to {listed(sorted(self.hosts))} only, not to {host!r}.")
        if from_elsewhere(request, UNLINKED):
            return _plain(403, "This request came from a page of another site. Open the dashboard itself.")
        if not self.locked:
            return None
        cookie = f"firstlight-{_port(host)}"
        if same(request.cookies.get(cookie), self.session) or self._is_token(request.headers.get(TOKEN_HEADER)):
            return None
        if request.url.path == "/" and self._is_token(request.query_params.get("token")):
            # A redirect would not do: after a link from elsewhere, a strict cookie does not go with it.
            answer: Response = responses.page(request, "enter.html.j2", title="firstlight")
            answer.set_cookie(cookie, self.session, httponly=True, samesite="strict", path="/")
            return answer
        return _plain(401, "This page needs its token: open the address that firstlight view printed.")

    async def _change(self, request: Request) -> tuple[Response | None, Receive]:
        """The refusal of a request that would change something, if any, and its body to be received again."""
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return responses.refusal(request, 403, "The request comes from another page."), request.receive
        length = request.headers.get("content-length", "0")
        too_much = responses.refusal(request, 413, f"At most {BODY_LIMIT // 1_000_000} MB can be sent at once.")
        if not length.isdecimal() or int(length) > BODY_LIMIT:
            return too_much, request.receive
        body = bytearray()
        try:
            with anyio.fail_after(BODY_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > BODY_LIMIT:
                        return too_much, request.receive
        except TimeoutError:
            text = f"The request body did not arrive within {BODY_SECONDS:g} seconds."
            return responses.refusal(request, 408, text), request.receive
        if not self._is_token(request.headers.get(TOKEN_HEADER) or _form_token(request, bytes(body))):
            text = "The request has no token of this page, or an outdated one. Reload the page."
            return responses.refusal(request, 403, text), request.receive
        return None, _again(bytes(body), request.receive)

    def _is_token(self, text: str | None) -> bool:
        return same(text, self.token)


def _form_token(request: Request, body: bytes) -> str | None:
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return None
    fields = parse_qs(body.decode("utf-8", "replace"))
    return fields.get("token", [None])[0]


def _again(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body once more, and then continues with the real one."""
    given = False

    async def received() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received


def _port(host: str) -> int:
    try:
        return urlsplit(f"//{host}").port or 80
    except ValueError:
        return 80


def _plain(status: int, text: str) -> Response:
    """A refusal to one who may be a stranger: one sentence, no page with a token in it."""
    return Response(text + "\n", status, media_type="text/plain")
