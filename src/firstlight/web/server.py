"""The server below the dashboard and the service: its connections, what they may take, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import h11
import uvicorn
from starlette.datastructures import State
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from firstlight.web.listening import QUEUE, bound

if sys.platform != "win32":
    import resource

LOG = logging.getLogger("firstlight.web")
HEAD_SECONDS = 10.0  # in which the head of a request must come
MOST_CONNECTIONS = 1000
KEPT_FREE = 100  # file descriptors that no connection takes
SAID_AGAIN = 60.0  # seconds after which the log says once more that the system has no room
FULL_TEXT = b'{"error":"There are too many connections at once. Try again in a moment."}'
FULL = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: %d\r\nRetry-After: 5\r\n"
    b"Connection: close\r\n\r\n%s" % (len(FULL_TEXT), FULL_TEXT)
)
MALFORMED = b'{"error":"This is not a valid HTTP/1.1 request: its head, its length or its chunks are malformed."}'
GRACE = 1  # second that answers under way get when the server ends
ENDING = 10  # seconds in which a server in a thread must have ended


class Application(Protocol):
    """What is served: an ASGI application. Its `state.closing` is set when the server ends."""

    state: State

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""


@contextmanager
def in_thread(app: Application) -> Iterator[str]:
    """An application on a free port of this machine, in a thread; the address that this yields ends without a slash.

    Raises RuntimeError where the server does not start, or does not end.
    """
    server = Server(app)
    with bound("127.0.0.1", 0) as listening:
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

    def __init__(self, app: Application, grace: int = GRACE) -> None:
        """grace: seconds that answers under way get when the server ends."""
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                loop="asyncio",
                # So many connections asyncio takes at a time, and so often it tries, and tells, when it cannot.
                backlog=1,
                log_level="error",
                access_log=False,
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=grace,
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
        """End soon: an answer that is not ready after the grace is cut off, of which uvicorn would log a traceback."""
        self.app.state.closing = True
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # in which they are closed


class Connection(H11Protocol):
    """A connection that is closed where a request's head does not come in time, or where there are too many."""

    _waits: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_WholeAnswers(transport, self.loop))  # type: ignore[arg-type]
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

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, and close. An answer that is under way is given up: it could not be told apart."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            length = str(len(MALFORMED)).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", length), (b"connection", b"close")]
            response = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            for event in (response, h11.Data(data=MALFORMED), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()

    def _look(self) -> None:
        """Let the time run while a head is awaited, or the rest of a body that is answered already."""
        answered = self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE
        if not (self.conn.their_state is h11.IDLE or answered) or self.transport.is_closing():
            self._forget()
        elif self._waits is None:
            self._waits = self.loop.call_later(HEAD_SECONDS, self._close, 0)

    def _close(self, unread: int) -> None:
        """Close, at once where nothing was read of an answer since `unread` bytes of it were left."""
        left = self.transport.get_write_buffer_size()
        if left == 0:
            self.transport.close()
        elif left == unread:
            self.transport.abort()
        else:
            self._waits = self.loop.call_later(HEAD_SECONDS, self._close, left)

    def _forget(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None


class _WholeAnswers:
    """A transport that sends the head of an answer with what follows at once: one call of the system, one packet."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/") and not data.startswith(b"HTTP/1.1 1"):  # 100 asks for what is to follow
            self._head = data
            self._loop.call_soon(self._no_longer)
            return
        if data:
            self._transport.write(data)

    def close(self) -> None:
        self._no_longer()
        self._transport.close()

    def _no_longer(self) -> None:
        """Send a head that nothing has followed yet, as of a stream."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)


def _most_connections() -> int:
    """How many connections there may be at once, so that files can still be opened."""
    if sys.platform == "win32":
        return MOST_CONNECTIONS
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(limit - KEPT_FREE, limit // 4))
