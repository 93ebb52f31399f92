"""What a page answers with: a template, JSON, or a refusal; and in which thread the answer is made."""

from __future__ import annotations

import json
import logging
import math
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from firstlight.app.server.static_files import PAGES, vega_address
from firstlight.errors import FirstlightError, RunError
from firstlight.report.render.html import embedded

TEMPLATES = Path(__file__).parent / "templates"
LOG = logging.getLogger("firstlight.app")
AT_ONCE = 8  # answers that are made of run folders at the same time
LONGEST = 300  # characters of a text that is not ours, in an error


@dataclass(frozen=True)
class Page:
    """What the package of a page has as `PAGE`.

    title     in the navigation, where it leads to `address`; "" for a page that is reached from others
    position  in the navigation, from the left
    """

    routes: Sequence[BaseRoute]
    title: str = ""
    address: str = ""
    position: int = 0


class Threads:
    """Those in which answers are made; static files are read in others, which do not wait for these.

    inference  a single thread for all that nets compute: sessions are not thread-safe, and not every kind of threads
               that Numba can have lets two callers in at once
    """

    def __init__(self) -> None:
        self.folders = ThreadPoolExecutor(AT_ONCE, "folders")
        self.inference = ThreadPoolExecutor(1, "inference")

    def end(self) -> None:
        """Begin nothing that still waits."""
        for executor in (self.folders, self.inference):
            executor.shutdown(wait=False, cancel_futures=True)


def page(request: Request, template: str, *, title: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The page of a template, such as "draw/page.html.j2". {{ data | embedded }} brings `data` to its script."""
    text = (
        _templates()
        .get_template(template)
        .render(
            title=title,
            token=request.app.state.token,
            navigation=request.app.state.navigation,
            here=request.url.path,
            charts=vega_address(),
            version=version("firstlight"),
            **values,
        )
    )
    # A name may hold what is not a character (a file name that is not UTF-8, half a pair): it is shown as its code.
    return HTMLResponse(text.encode("utf-8", "backslashreplace"), status)


def reply(value: Any, status: int = 200) -> Response:
    """JSON. What is not a finite number is null, and what is not a character stays an escape."""
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


def endpoint(
    make: Callable[[Request], Response], *, inference: bool = False
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that answers with what `make` makes of a run folder: see `compute`."""

    async def answer(request: Request) -> Response:
        return await compute(request, make, request, inference=inference)

    return answer


async def compute(request: Request, make: Callable[P, T], /, *args: Any, inference: bool = False) -> T:
    """What `make` makes of a run folder, in a thread of the application's; with a net, in the one for `inference`.

    A run folder may be anybody's. Where its records are of other types and shapes than firstlight writes, that is
    said as of damaged ones, and the log has the traceback.
    """

    def made() -> T:
        try:
            return make(*args)  # type: ignore[call-arg]
        except (FirstlightError, OSError, HTTPException):
            raise
        except Exception as error:  # what records of the wrong types and shapes raise in code that trusts them
            LOG.warning("%s", request.url.path, exc_info=True)
            text = f"The records of this run cannot be shown: {type(error).__name__}: {str(error)[:LONGEST]}"
            raise RunError(f"{text}. A file of its folder is damaged, or not as firstlight writes it.") from error

    threads: Threads = request.app.state.threads
    return await get_running_loop().run_in_executor(threads.inference if inference else threads.folders, made)


def refusal(request: Request, status: int, text: str) -> Response:
    """An error as the asker can read it: JSON below /api, a page elsewhere; never a traceback."""
    if request.url.path.startswith("/api/"):
        return reply({"error": text}, status)
    return page(request, "error.html.j2", title=HTTPStatus(status).phrase, status=status, text=text)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader([PAGES, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = embedded
    return environment
