"""The dashboard: a local web page on which runs are watched, inspected, compared and started."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware

from firstlight.app import images
from firstlight.app.index import Index
from firstlight.app.pages.review.subject import Subjects
from firstlight.app.pages.step.courses import Courses
from firstlight.app.server import static_files
from firstlight.app.server.errors import exception_handlers
from firstlight.app.server.processes import TrainingProcesses
from firstlight.app.server.responses import Page, Threads
from firstlight.app.server.security import SecurityMiddleware
from firstlight.app.server.serving import serve

__all__ = ["create_app", "serve"]


def create_app(
    root: Path,
    *,
    token: str,
    hosts: Collection[str],
    locked: bool = False,
    data: Path | None = None,
    at_once: int | None = None,
    corrections: Path | None = None,
) -> Starlette:
    """The dashboard of the runs below `root`.

    token    what a request that changes something must bring
    hosts    the names under which the page may be asked for, such as "127.0.0.1"; "*" stands for any
    locked   whether every request needs the token, as it must where others can reach the page
    data     a folder with images of one's own that runs can be started on, beside the named sets
    at_once  how many runs that were started from the page may train at the same time; as many as cores otherwise
    corrections  the file that takes what is decided of labels; one among the runs otherwise
    """
    pages = _pages()
    app = Starlette(
        routes=[*(route for page in pages for route in page.routes), *images.routes, *static_files.routes],
        middleware=[Middleware(SecurityMiddleware, token=token, hosts=frozenset(hosts), locked=locked)],
        exception_handlers=exception_handlers,
        lifespan=_lifespan,
    )
    app.state.navigation = [(page.address, page.title) for page in pages if page.title]
    app.state.index = Index(root)
    app.state.trainings = TrainingProcesses(root, at_once)
    app.state.data = data
    app.state.token = token
    app.state.threads = Threads()
    app.state.explanations = {}  # explanations under way, by run
    app.state.subjects = Subjects(app.state.index, corrections)
    app.state.courses = Courses()
    app.state.closing = False  # set when the server ends, so that streams end too
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    app.state.threads.end()


def _pages() -> list[Page]:
    """The `PAGE` of each folder in pages/, in the order of the navigation."""
    names = sorted(path.parent.name for path in static_files.PAGES.glob("*/__init__.py"))
    found: list[Page] = [import_module(f"{__name__}.pages.{name}").PAGE for name in names]
    return sorted(found, key=lambda page: page.position)
