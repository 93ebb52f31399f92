"""The server: where it listens, and how it ends."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import secrets
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from firstlight.errors import RunError
from firstlight.runs import EXPERIMENT

PORT = 8765
SHORTEST_TOKEN = 8  # characters
TOKEN = "[A-Za-z0-9._~-]+"  # what an address and a cookie both take as it is (RFC 3986, unreserved)
PLAIN = (
    "The token goes over plain http, which others on the network can read. Where you do not trust them all, listen "
    "on 127.0.0.1 and come through ssh -L or a proxy with TLS."
)
GRACE = 1  # second that answers under way get when the server ends
ENDING = 10  # seconds in which a server in a thread must have ended


def serve(
    root: Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    data: Path | None = None,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the dashboard of the runs below `root` until Ctrl-C; of a run, that of the folder in which it lies.

    host   the address to listen on; one that others can reach needs a `token`, which then every request needs
    port   8765, or a free one where that is taken, unless one is asked for
    data   a folder with images of one's own that runs can be started on
    Raises RunError where there is no such folder, where the port is taken, or where the token is missing or cannot be
    sent as it is.
    """
    from firstlight.app import create_app

    local = is_loopback(host)
    if root.exists() and not root.is_dir():
        raise RunError(f"{root} is a file. The dashboard shows a folder of runs: firstlight view runs")
    if not local and (token is None or len(token) < SHORTEST_TOKEN):
        raise RunError(
            f"--host {host} lets others reach the dashboard: it needs a token of your own of at least "
            f"{SHORTEST_TOKEN} characters, such as --token {secrets.token_urlsafe(12)}"
        )
    if token is not None and not re.fullmatch(TOKEN, token):
        raise RunError(
            f"--token takes letters (a to z, A to Z), digits and - . _ ~ alone, as it stands in an address and in a "
            f"cookie; received {token!r}"
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
        app = create_app(root, token=token, hosts=hosts_of(host), locked=locked, data=data)
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
        if browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        with suppress(KeyboardInterrupt):  # which the server raises again when all is closed
            Server(app).run(sockets=[listening])


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
    """A server that lets go of the streams of an application when it ends."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self.app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End soon: an answer that is not ready after GRACE is cut off, of which uvicorn would log a traceback."""
        self.app.state.closing = True
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # in which they are closed


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
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening
