"""Where the dashboard listens, and what it says of it."""

from __future__ import annotations

import secrets
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from firstlight.errors import RunError
from firstlight.records.run_folder import EXPERIMENT
from firstlight.web.listening import (
    PLAIN,
    SHORTEST_TOKEN,
    VARIABLE,
    address_of,
    bound,
    check_token,
    hosts_of,
    is_loopback,
    own_token,
)
from firstlight.web.server import Server

PORT = 8765
USUAL = Path("runs")


def serve(
    root: Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    token_file: Path | None = None,
    data: Path | None = None,
    at_once: int | None = None,
    corrections: Path | None = None,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the dashboard of the runs below `root` until Ctrl-C; of a run, that of the folder in which it lies.

    host        the address to listen on; one that others can reach needs a `token`, which then every request needs
    port        8765, or a free one where that is taken, unless one is asked for
    token_file  a file whose one line is the token; without either, FIRSTLIGHT_TOKEN says it where it is set
    data        a folder with images of one's own that runs can be started on
    at_once     how many runs that were started from the page may train at the same time; as many as cores otherwise
    corrections  the file that takes what is decided of labels; one among the runs otherwise
    Raises RunError where there is no such folder, where the port is taken, or where the token is missing or cannot be
    sent as it is; DataError where `corrections` is something else.
    """
    from firstlight.app import create_app

    local = is_loopback(host)
    token, given = own_token(token, token_file)
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
    if token is not None:
        check_token(token, given)
    if data is not None and not data.is_dir():
        raise RunError(f"--data {data}: there is no such folder. It holds folders, CSVs or .npz files of images.")
    if corrections is not None:
        _check_corrections(corrections)
    if (root / EXPERIMENT).is_file():
        say(f"{root} is a run; the dashboard shows all runs beside it.")
        root = root.parent if root.name not in ("", "..") else root.resolve().parent
    listening, note = _listen(host, port)
    with listening:
        port = listening.getsockname()[1]
        locked = token is not None
        token = token or secrets.token_urlsafe(24)
        app = create_app(
            root, token=token, hosts=hosts_of(host), locked=locked, data=data, at_once=at_once, corrections=corrections
        )
        entrance = f"/?token={token}" if locked else "/"
        address = address_of(host, port) + entrance
        if note:
            say(note)
        if not local:
            say(PLAIN)
        say(f"The dashboard of {root}: {address}  (Ctrl-C ends it)")
        if "*" in hosts_of(host):
            say(f"From other machines: http://{socket.gethostname()}:{port}{entrance}")
        with ExitStack() as ending:
            if browser:
                shown = ending.enter_context(_page_that_leads_to(address)) if locked else address
                threading.Thread(target=webbrowser.open, args=(shown,), daemon=True).start()
            with suppress(KeyboardInterrupt):  # which the server raises again when all is closed
                Server(app).run(sockets=[listening])


def _check_corrections(path: Path) -> None:
    """Raise RunError or DataError where a file cannot take what is decided of labels."""
    from firstlight.data.corrections import read_corrections

    if path.is_dir():
        raise RunError(f"--corrections {path}: it is a folder. Name a CSV in it, such as {path / 'corrections.csv'}")
    if not path.parent.is_dir():
        raise RunError(f"--corrections {path}: there is no folder {path.parent}. Make it first.")
    if path.exists():
        read_corrections(path)


@contextmanager
def _page_that_leads_to(address: str) -> Iterator[str]:
    """The address of a file of this user's alone that leads to an address: others can read a browser's command line."""
    with tempfile.TemporaryDirectory(prefix="firstlight-") as folder:  # which only its owner may enter
        page = Path(folder) / "dashboard.html"
        page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">\n', "utf-8")
        yield page.as_uri()


def _listen(host: str, port: int | None) -> tuple[socket.socket, str]:
    """A listening socket, and a sentence where it is not on the usual port."""
    try:
        return bound(host, PORT if port is None else port), ""
    except OSError as error:
        if port is not None:
            text = error.strerror or str(error)
            raise RunError(f"The dashboard cannot listen on {host}, port {port}: {text}. Try another --port.") from None
    try:
        found = bound(host, 0)
    except OSError as error:
        raise RunError(f"The dashboard cannot listen on {host}: {error.strerror or error}.") from None
    return found, f"Port {PORT} is taken; the dashboard is on port {found.getsockname()[1]}."
