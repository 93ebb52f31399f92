"""The server: where it listens, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import re
import secrets
import socket
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from firstlight.errors import RunError
from firstlight.files import read_text
from firstlight.records.run_folder import EXPERIMENT

if sys.platform != "win32":
    import resource

LOG = logging.getLogger("firstlight.app")
PORT = 8765
USUAL = Path("runs")
VARIABLE = "FIRSTLIGHT_TOKEN"
TOKEN_LIMIT = 10_000  # bytes of its file
SHORTEST_TOKEN = 8  # characters
TOKEN = "[A-Za-z0-9._~-]+"  # what an address takes as it is (RFC 3986, unreserved)
PLAIN = (
    "The token goes over plain http, which others on the network can read. Where you do not trust them all, listen "
    "on 127.0.0.1 and come through ssh -L or a proxy with TLS."
)
HEAD_SECONDS = 10.0  # in which the head of a request must come
MOST_CONNECTIONS = 1000
KEPT_FREE = 100  # file descriptors that no connection takes
QUEUE = 128  # connections that wait to be taken
SAID_AGAIN = 60.0  # seconds after which the log says once more that the system has no room
FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
GRACE = 1  # second that answers under way get when the server ends
ENDING = 10  # seconds in which a server in a thread must have ended


def serve(
    root: Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    token_file: Path | None = None,
    data: Path | None = None,
    at_once: int | None = None,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the dashboard of the runs below `root` until Ctrl-C; of a run, that of the folder in which it lies.

    host        the address to listen on; one that others can reach needs a `token`, which then every request needs
    port        8765, or a free one where that is taken, unless one is asked for
    token_file  a file whose one line is the token; without either, FIRSTLIGHT_TOKEN says it where it is set
    data        a folder with images of one's own that runs can be started on
    at_once     how many runs that were started from the page may train at the same time; as many as cores otherwise
    Raises RunError where there is no such folder, where the port is taken, or where the token is missing or cannot be
    sent as it is.
    """
    from firstlight.app import create_app

    local = is_loopback(host)
    token, given = _token(token, token_file)
    if not root.exists() and root.name != USUAL.name:  # that one comes with the first run
        raise RunError(
            f"{root}: there is no such folder. The dashboard shows a folder of runs, such as firstlight view {USUAL}; "
            "for a new one, make it first."
        )
    if root.exists() and not root.is_dir():
        raise RunError(f"{root} is a file. The dashboard shows a folder of runs: firstlight view runs")
    if not local and (token is None or len(token) < SHORTEST_TOKEN):
        raise RunError(
            f"--host {host} lets others reach the dashboard: it needs a token of your own of at least "
            f"{SHORTEST_TOKEN} characters, in a file (--token-file FILE) or in the variable {VARIABLE}, such as "
            f"{secrets.token_urlsafe(12)}"
        )
    if token is not None and not re.fullmatch(TOKEN, token):
        raise RunError(
            f"{given} takes letters (a to z, A to Z), digits and - . _ ~ alone, as the token stands in an address; "
            f"received {token!r}"
        )
    if data is not None and not data.is_dir():
        raise RunError(f"--data {data}: there is no such folder. It holds folders, CSVs or .npz files of images.")
    if (root / EXPERIMENT).is_file():
        say(f"{root} is a run; here are all that lie beside it.")
        root = root.parent if root.name not in ("", "..") else root.resolve().parent
    listening, note = _listen(host, port)
    with listening:
        bound = listening.getsockname()[1]
        locked = token is not None
        token = token or secrets.token_urlsafe(24)
        app = create_app(root, token=token, hosts=hosts_of(host), locked=locked, data=data, at_once=at_once)
        everywhere = "*" in hosts_of(host)
        shown = "127.0.0.1" if everywhere else f"[{host}]" if ":" in host else host
        rest = f":{bound}/" + (f"?token={token}" if locked else "")
        address = f"http://{shown}{rest}"
        if note:
            say(note)
        if not local:
            say(PLAIN)
        say(f"The dashboard of {root}: {address}  (Ctrl-C ends it)")
        if everywhere:
            say(f"From other machines: http://{socket.gethostname()}{rest}")
        with ExitStack() as ending:
            if browser:
                shown = ending.enter_context(_page_that_leads_to(address)) if locked else address
                threading.Thread(target=webbrowser.open, args=(shown,), daemon=True).start()
            with suppress(KeyboardInterrupt):  # which the server raises again when all is closed
                Server(app).run(sockets=[listening])


@contextmanager
def _page_that_leads_to(address: str) -> Iterator[str]:
    """The address of a file of this user's alone that leads to an address: others can read a browser's command line."""
    with tempfile.TemporaryDirectory(prefix="firstlight-") as folder:  # which only its owner may enter
        page = Path(folder) / "dashboard.html"
        page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">\n', "utf-8")
        yield page.as_uri()


def _token(token: str | None, file: Path | None) -> tuple[str | None, str]:
    """The token of one's own, if any, and where it was given. Other users can read a command line, but no variable."""
    if token is not None and file is not None:
        raise RunError("Give --token or --token-file, not both.")
    if token is not None:
        return token, "--token"
    if file is None:
        return os.environ.get(VARIABLE) or None, VARIABLE
    try:
        return read_text(file, limit=TOKEN_LIMIT).strip(), f"--token-file {file}"
    except OSError as error:
        raise RunError(f"--token-file {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise RunError(f"--token-file {file}: {error}. It holds the token as one line of text.") from None


@contextmanager
def in_thread(app: Starlette) -> Iterator[str]:
    """An application on a free port of this machine, in a thread; the address that this yields ends without a slash.

    Raises RuntimeError where the server does not start, or does not end.
    """
    server = Server(app)
    with _bound("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("The server did not start.")
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(ENDING)
            if thread.is_alive():
                raise RuntimeError("The server did not end.")


class Server(uvicorn.Server):
    """A server that lets go of the streams of an application when it ends, and endures a lack of descriptors."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Connection,
                loop="asyncio",
                # So many connections asyncio takes at a time, and so often it tries, and tells, when it cannot.
                backlog=1,
                log_level="error",
                access_log=False,
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self.app = app
        self.said = -SAID_AGAIN

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        asyncio.get_running_loop().set_exception_handler(self._told)
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(QUEUE)

    def _told(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Say what no caller is there to hear; that the system has no descriptor left, now and then only."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS)):
            loop.default_exception_handler(context)
        elif time.monotonic() - self.said > SAID_AGAIN:
            self.said = time.monotonic()
            LOG.warning("No new connection can be taken: %s. They wait. More: ulimit -n", error.strerror)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End soon: an answer that is not ready after GRACE is cut off, of which uvicorn would log a traceback."""
        self.app.state.closing = True
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # in which they are closed


class _Connection(H11Protocol):
    """A connection that is closed where a request's head does not come in time, or where there are too many."""

    _waits: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > _most_connections():
            transport.write(FULL)
            transport.close()
        else:
            self._look()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()

    def _look(self) -> None:
        """Let the time run while a head is awaited, however much of it has come."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._forget()
        elif self._waits is None:
            self._waits = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _forget(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None


def _most_connections() -> int:
    """How many connections there may be at once, so that files can still be opened."""
    if sys.platform == "win32":
        return MOST_CONNECTIONS
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(limit - KEPT_FREE, limit // 4))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hosts_of(host: str) -> set[str]:
    """The names under which a page that listens on `host` may be asked for."""
    if is_loopback(host):
        return {"localhost", "127.0.0.1", "::1", host}
    try:
        return {"*"} if ipaddress.ip_address(host).is_unspecified else {host}
    except ValueError:
        return {host.lower()}


def _listen(host: str, port: int | None) -> tuple[socket.socket, str]:
    """A listening socket, and a sentence where it is not on the usual port."""
    try:
        return _bound(host, PORT if port is None else port), ""
    except OSError as error:
        if port is not None:
            text = error.strerror or str(error)
            raise RunError(f"The dashboard cannot listen on {host}, port {port}: {text}. Try another --port.") from None
    try:
        found = _bound(host, 0)
    except OSError as error:
        raise RunError(f"The dashboard cannot listen on {host}: {error.strerror or error}.") from None
    return found, f"Port {PORT} is taken; the dashboard is on port {found.getsockname()[1]}."


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(QUEUE)
    except OSError:
        listening.close()
        raise
    return listening
