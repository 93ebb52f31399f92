"""Style sheets and scripts: those that all pages share, those of each page, and the report's."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from firstlight import design_tokens
from firstlight.export.html import DRAWING
from firstlight.report.format import LOCALE
from firstlight.report.render import vega
from firstlight.report.render.html import HERE as REPORT

SHARED = Path(__file__).parent / "static"
PAGES = Path(__file__).parents[1] / "pages"
SERVED = (".css", ".js", ".svg")  # a page's folder holds Python and templates as well
CHECKED = {"Cache-Control": "no-cache"}  # kept by the browser, which asks each time whether they are still the same
IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable"}


class _Static(StaticFiles):
    """Files of some folders: of SHARED and PAGES, base.css is SHARED/base.css and draw/page.js PAGES/draw/page.js."""

    def __init__(self, *folders: Path) -> None:
        super().__init__(directory=folders[0])
        self.all_directories = [*folders]

    async def get_response(self, path: str, scope: Scope) -> Response:
        if not path.endswith(SERVED):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers.update(CHECKED)
        return response


@cache
def vega_address() -> str:
    """Where the charts' library is, with what makes the address another one when the library is another one."""
    return f"/static/vega.js?v={version('vl-convert-python')}-{version('firstlight')}"


@cache
def _vega_script() -> bytes:
    return f"{vega.javascript()}\nwindow.firstlightLocale = {json.dumps(LOCALE)};\n".encode()


def vega_script(request: Request) -> Response:
    """The library that draws charts."""
    return Response(_vega_script(), media_type="text/javascript", headers=IMMUTABLE)


def report_script(request: Request) -> Response:
    """A script of the report that its blocks need here too."""
    name = request.url.path.rpartition("/")[2]
    return Response(_report_file(name), media_type="text/javascript", headers=CHECKED)


@cache
def _report_file(name: str) -> str:
    return (REPORT / name).read_text(encoding="utf-8")


def palette(request: Request) -> Response:
    """The report's colours and typefaces, which are the dashboard's too."""
    return Response(design_tokens.css(), media_type="text/css", headers=CHECKED)


def report_style(request: Request) -> Response:
    """The report's style for what lies in an element of the class "report"."""
    return Response(f".report {{ {_report_file('style.css')} }}", media_type="text/css", headers=CHECKED)


routes: list[BaseRoute] = [
    Route("/static/vega.js", vega_script),
    Route("/static/tables.js", report_script),  # says of a table that it continues beyond its box
    Route("/static/tooltip.js", report_script),  # shows the image of a point beside it
    Route("/static/palette.css", palette),
    Route("/static/report.css", report_style),
    Mount("/static/drawing", _Static(DRAWING)),
    Mount("/static", _Static(SHARED, PAGES)),
]
