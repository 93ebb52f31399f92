"""Where a server listens, under which names it may be asked for, and the token that others need."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from pathlib import Path

from firstlight.errors import RunError
from firstlight.files import read_text

VARIABLE = "FIRSTLIGHT_TOKEN"
TOKEN_LIMIT = 10_000  # bytes of its file
SHORTEST_TOKEN = 8  # characters
TOKEN = "[A-Za-z0-9._~-]+"  # what an address takes as it is (RFC 3986, unreserved)
PLAIN = (
    "The token is sent over plain HTTP, which others on the network can read. If you do not trust them all, listen on "
    "127.0.0.1 and connect through ssh -L or a proxy with TLS."
)
QUEUE = 128  # connections that wait to be taken


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


def own_token(token: str | None, file: Path | None) -> tuple[str | None, str]:
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


def check_token(token: str, given: str) -> None:
    """Raise RunError where an address cannot take the token as it is; `given` says where it comes from."""
    if not re.fullmatch(TOKEN, token):
        raise RunError(
            f"{given} may contain only letters (a to z, A to Z), digits and - . _ ~, as the token is part of an "
            f"address; received {token!r}"
        )


def address_of(host: str, port: int) -> str:
    """The address under which this machine reaches a server, without a slash at the end."""
    shown = "127.0.0.1" if "*" in hosts_of(host) else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError where the address cannot be had."""
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
