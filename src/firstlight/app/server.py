"""What all pages share: templates, static files, and how an error is answered."""

from __future__ import annotations

import json
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from firstlight.app.library import UnknownError
from firstlight.errors import FirstlightError
from firstlight.report import drawing
from firstlight.report.html import embedded
from firstlight.report.numbers import LOCALE

HERE = Path(__file__).parent
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
    return HTMLResponse(text, status)


def refusal(request: Request, status: int, text: str) -> Response:
    """An error as the asker can read it: JSON below /api, a page elsewhere; never a traceback."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": text}, status)
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
    return f"{drawing.javascript()}\nwindow.firstlightLocale = {json.dumps(LOCALE)};\n".encode()


def charts(request: Request) -> Response:
    """The library that draws charts."""
    kept = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(_charts(), media_type="text/javascript", headers=kept)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = error.detail
    if text == HTTPStatus(error.status_code).phrase:
        text = f"{text}: {request.url.path}."
    return refusal(request, error.status_code, text)


async def _told_error(request: Request, error: Exception) -> Response:
    return refusal(request, 404 if isinstance(error, UnknownError) else 422, str(error))


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
    Exception: _defect,
}
