"""The dashboard: a local web page on which runs are watched, inspected, compared and started."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from firstlight.app import compare, draw, embedding, look, pictures, run, runs, server, start
from firstlight.app.gate import Gate
from firstlight.app.launch import Launches
from firstlight.app.library import Library
from firstlight.app.serving import serve

__all__ = ["create_app", "serve"]


def create_app(
    root: Path,
    *,
    token: str,
    hosts: Collection[str],
    locked: bool = False,
    data: Path | None = None,
    at_once: int | None = None,
) -> Starlette:
    """The dashboard of the runs below `root`.

    token    what a request that changes something must bring
    hosts    the names under which the page may be asked for, such as "127.0.0.1"; "*" stands for any
    locked   whether every request needs the token, as it must where others can reach the page
    data     a folder with images of one's own that runs can be started on, beside the named sets
    at_once  how many runs that were started from the page may train at the same time; as many as cores otherwise
    """
    app = Starlette(
        routes=[
            *runs.routes,
            *run.routes,
            *pictures.routes,
            *look.routes,
            *embedding.routes,
            *draw.routes,
            *compare.routes,
            *start.routes,
            *server.routes,
            Mount("/static", server.static_files()),
        ],
        middleware=[Middleware(Gate, token=token, hosts=frozenset(hosts), locked=locked)],
        exception_handlers=server.exception_handlers,
    )
    app.state.library = Library(root)
    app.state.launches = Launches(root, at_once)
    app.state.data = data
    app.state.token = token
    app.state.turns = {}  # limits of what is computed at once: see server.in_turn
    app.state.makings = {}  # explanations under way, by run
    app.state.closing = False  # set when the server ends, so that streams end too
    return app
