"""How an error is answered: as JSON or as a page, with the status that fits it, never with a traceback."""

from __future__ import annotations

import errno
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from firstlight.app.server.responses import LONGEST, refusal
from firstlight.errors import FirstlightError, RunError
from firstlight.web.access import HEADERS

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the system lacks something, whatever was asked for


class UnknownError(RunError):
    """An id, a split or an index that there is not."""


class BusyError(RunError):
    """So much is under way already that this must wait."""


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        text = f"There is no page at {request.url.path[:LONGEST]}."
    elif text == HTTPStatus(error.status_code).phrase:
        text = f"{text}: {request.method} {request.url.path[:LONGEST]}."
    return refusal(request, error.status_code, text)


async def _firstlight_error(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, UnknownError) else 429 if isinstance(error, BusyError) else 422
    return refusal(request, status, str(error))


async def _system_error(request: Request, error: Exception) -> Response:
    """What the system refused: for want of descriptors or memory, or a file that changed or vanished meanwhile."""
    assert isinstance(error, OSError)
    if error.errno in EXHAUSTED:
        text = f"The server has run out of resources ({error.strerror}). Try again in a moment."
        return refusal(request, 503, text)
    place = f"{error.filename}: " if error.filename else ""
    return refusal(request, 422, f"A file cannot be read. {place}{error.strerror or error}.")


async def _defect(request: Request, error: Exception) -> Response:
    text = "This is an error in firstlight itself. The terminal in which firstlight view runs shows the details."
    answer = refusal(request, 500, text)
    answer.headers.update(HEADERS)  # this answer does not pass the middleware that sets them
    return answer


exception_handlers: dict[Any, Any] = {
    HTTPException: _http_error,
    FirstlightError: _firstlight_error,
    OSError: _system_error,
    Exception: _defect,
}
