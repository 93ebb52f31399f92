"""What all pages share: templates, static files, and how an error is answered."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Awaitable, Callable
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from firstlight.app.library import EXHAUSTED, BusyError, UnknownError
from firstlight.errors import FirstlightError, RunError
from firstlight.report.format import LOCALE
from firstlight.report.render import vega
from firstlight.report.render.html import embedded

HERE = Path(__file__).parent
LOG = logging.getLogger("firstlight.app")
AT_ONCE = 8  # answers that are made of run folders at the same time; others wait, and keep no thread meanwhile
TOLD = 300  # characters of an error that is not ours
NAVIGATION = (("/", "Runs"), ("/draw", "Draw"), ("/compare", "Compare"), ("/start", "Start"))

# Vega sets styles through the CSSOM, which the policy allows, and evaluates expressions with its interpreter.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page(request: Request, template: str, *, title: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The page of a template. `data` among the values can be embedded for its script: {{ data | embedded }}."""
    text = (
        _templates()
        .get_template(template)
        .render(
            title=title,
            token=request.app.state.token,
            navigation=NAVIGATION,
            here=request.url.path,
            charts=_charts_address(),
            version=version("firstlight"),
            **values,
        )
    )
    # A name may hold what is no character (a file name that is not UTF-8, half a pair): it is shown as its code.
    return HTMLResponse(text.encode("utf-8", "backslashreplace"), status)


def reply(value: Any, status: int = 200) -> Response:
    """JSON. What is not a finite number is null, and what is no character stays an escape."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


P = ParamSpec("P")
T = TypeVar("T")


def of_folder(make: Callable[[Request], Response], *, alone: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that answers with what `make` makes of a run folder: see `in_turn`."""

    async def endpoint(request: Request) -> Response:
        return await in_turn(request, make, request, alone=alone)

    return endpoint


async def in_turn(request: Request, make: Callable[P, T], /, *args: Any, alone: bool = False) -> T:
    """What `make` makes of a run folder, in a thread, when it is its turn.

    Few are made at once, and of those that are `alone`, such as what a net computes, one: those that wait would
    otherwise keep the threads that static files are read in.

    A run folder may be anybody's. Where its records are of other types and shapes than firstlight writes, that is
    said as of damaged ones, and the log has the traceback.
    """
    turns: dict[bool, CapacityLimiter] = request.app.state.turns
    if alone not in turns:
        turns[alone] = CapacityLimiter(1 if alone else AT_ONCE)

    def made() -> T:
        try:
            return make(*args)  # type: ignore[call-arg]
        except (FirstlightError, OSError, HTTPException):
            raise
        except Exception as error:  # what records of the wrong types and shapes raise in code that trusts them
            LOG.warning("%s", request.url.path, exc_info=True)
            text = f"The records of this run cannot be shown: {type(error).__name__}: {str(error)[:TOLD]}"
            raise RunError(f"{text}. A file of its folder is damaged, or not as firstlight writes it.") from error

    return await to_thread.run_sync(made, limiter=turns[alone])


def refusal(request: Request, status: int, text: str) -> Response:
    """An error as the asker can read it: JSON below /api, a page elsewhere; never a traceback."""
    if request.url.path.startswith("/api/"):
        return reply({"error": text}, status)
    return page(request, "error.html.j2", title=HTTPStatus(status).phrase, status=status, text=text)


def static_files() -> StaticFiles:
    """The style sheets and scripts of this package."""
    return _Static(directory=HERE / "static")


class _Static(StaticFiles):
    """Static files that a browser keeps, and asks each time whether they are still the same."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = embedded
    return environment


@cache
def _charts_address() -> str:
    """Where the charts' library is, with what makes the address another one when the library is another one."""
    return f"/static/vega.js?v={version('vl-convert-python')}-{version('firstlight')}"


@cache
def _charts() -> bytes:
    return f"{vega.javascript()}\nwindow.firstlightLocale = {json.dumps(LOCALE)};\n".encode()


def charts(request: Request) -> Response:
    """The library that draws charts."""
    kept = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(_charts(), media_type="text/javascript", headers=kept)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND:
        text = f"There is no page at {request.url.path[:TOLD]}."
    elif text == HTTPStatus(error.status_code).phrase:
        text = f"{text}: {request.method} {request.url.path[:TOLD]}."
    return refusal(request, error.status_code, text)


async def _told_error(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, UnknownError) else 429 if isinstance(error, BusyError) else 422
    return refusal(request, status, str(error))


async def _system_error(request: Request, error: Exception) -> Response:
    """What the system refused: for want of descriptors or memory, or a file that changed or vanished meanwhile."""
    assert isinstance(error, OSError)
    if error.errno in EXHAUSTED:
        return refusal(request, 503, f"The server has no more room just now ({error.strerror}). Try again soon.")
    place = f"{error.filename}: " if error.filename else ""
    return refusal(request, 422, f"A file cannot be read. {place}{error.strerror or error}.")


async def _defect(request: Request, error: Exception) -> Response:
    text = "This is a defect of firstlight, not a mistake of yours. The terminal that serves this page tells more."
    answer = refusal(request, 500, text)
    for name, value in HEADERS.items():  # this answer does not pass the gate
        answer.headers[name] = value
    return answer


routes: list[BaseRoute] = [Route("/static/vega.js", charts)]
exception_handlers: dict[Any, Any] = {
    HTTPException: _http_error,
    FirstlightError: _told_error,
    OSError: _system_error,
    Exception: _defect,
}
