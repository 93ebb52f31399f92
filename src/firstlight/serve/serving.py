"""From the first line on the screen to the end of the service."""

from __future__ import annotations

import secrets
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from firstlight.data.decoding import strict_about_size
from firstlight.errors import RunError
from firstlight.report.format import percent
from firstlight.serve.limits import Limits
from firstlight.serve.served_models import ServedModel
from firstlight.serve.service import Service
from firstlight.text import one_line
from firstlight.web.listening import (
    PLAIN,
    SHORTEST_TOKEN,
    address_of,
    bound,
    check_token,
    hosts_of,
    is_loopback,
    own_token,
)
from firstlight.web.server import Server

PORT = 8000
ANSWERING = 10  # seconds that answers get when the service ends, beyond those in which a body may come


def serve(
    models: Sequence[ServedModel],
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    token_file: Path | None = None,
    limits: Limits | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve models until Ctrl-C or SIGTERM, which let what was begun be finished.

    host   the address to listen on; one that others can reach has a token, which is made and told where none is given
    port   0 for a free one
    token  what requests must bring: this, the line of `token_file`, or FIRSTLIGHT_TOKEN where it is set
    Raises RunError where the port is taken, a run has no weights, or the token cannot be sent as it is.
    """
    limits = limits or Limits()
    local = is_loopback(host)
    token, given = own_token(token, token_file)
    if token is not None:
        check_token(token, given)
        if not local and len(token) < SHORTEST_TOKEN:
            raise RunError(f"{given}: a token must have at least {SHORTEST_TOKEN} characters.")
    made = token is None and not local
    if made:
        token = secrets.token_urlsafe(24)
    try:
        listening = bound(host, port)
    except OSError as error:
        text = error.strerror or str(error)
        raise RunError(f"The service cannot listen on {host}, port {port}: {text}. Try another --port.") from None
    with listening:
        for model in models:
            say(_about(model))
        service = Service(models, limits=limits, token=token, hosts=hosts_of(host))
        address = address_of(host, listening.getsockname()[1])
        if not local:
            say(PLAIN)
        if made:
            say(f"Each request needs this token, made for this session: {token}")
        say(f"Serving at {address}/{f'#token={token}' if made else ''}  (Ctrl-C ends it)")
        if "*" in hosts_of(host):
            say(f"From other machines: http://{socket.gethostname()}:{listening.getsockname()[1]}/")
        bearer = " -H 'Authorization: Bearer TOKEN'" if token else ""
        say(f"Try: curl{bearer} --data-binary @image.png '{address}/v1/predict{_named(models)}'")
        _run(service, listening, grace=round(limits.seconds) + ANSWERING)


def _run(service: Service, listening: socket.socket, grace: int) -> None:
    """Serve until a signal says to end; the server raises it again when all is answered, which ends nothing here."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with strict_about_size():  # once, not for each image
            Server(service, grace=grace).run(sockets=[listening])
    finally:
        service.end()
        for number, handler in before.items():
            signal.signal(number, handler)


def _about(model: ServedModel) -> str:
    about = model.about()
    accuracy = about["test_accuracy"]
    tested = f", test accuracy {percent(accuracy, 2)}" if accuracy is not None else ""
    several = f"the mean of {about['nets']} nets " if about["nets"] > 1 else ""
    what = f"{several}{about['architecture']} of {about['data']}, {len(about['classes']):,} classes{tested}"
    return one_line(f"{model.name}: {what}")


def _named(models: Sequence[ServedModel]) -> str:
    return f"?model={quote(models[0].name)}" if len(models) > 1 else ""
