"""A dashboard over real, small runs, and a real browser that looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request
from rich.console import Console
from starlette.applications import Starlette

import firstlight as fl
from firstlight.app import create_app
from firstlight.app.index import Index
from firstlight.app.server.processes import ExplainProcess, TrainingProcesses
from firstlight.app.server.responses import Threads
from firstlight.web.server import in_thread

TOKEN = "a-token-of-the-tests"
HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Served:
    """A dashboard that runs in a thread: its folder of runs, its address without a slash at the end, its state."""

    root: Path
    url: str
    index: Index
    trainings: TrainingProcesses
    explanations: dict[str, ExplainProcess]
    threads: Threads

    def id(self, name: str) -> str:
        """The id of the run with a name relative to the root."""
        [found] = [entry.id for entry in self.index.entries(anew=True) if entry.name == name]
        return found


@pytest.fixture(scope="session")
def trained_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs of the digits: `mlp` (a small dense net) and `cnn` (a small convolutional one)."""
    root = tmp_path_factory.mktemp("app") / "runs"
    quiet = Console(quiet=True)
    fl.fit("mlp-128-64", "digits", epochs=3, seed=1, out=root / "mlp", console=quiet)
    fl.fit("slim-cnn", "digits", epochs=3, seed=2, out=root / "cnn", console=quiet)
    return root


@contextmanager
def dashboard(root: Path, *, locked: bool = False, data: Path | None = None) -> Iterator[Served]:
    """A dashboard over a folder of runs."""
    app = create_app(root, token=TOKEN, hosts=HOSTS, locked=locked, data=data)
    with in_thread(app) as url:
        yield Served(root, url, app.state.index, app.state.trainings, app.state.explanations, app.state.threads)


@pytest.fixture(scope="session")
def dashboards() -> Callable[[Path], AbstractContextManager[Served]]:
    """Makes a dashboard over a folder of a test's own runs: `with dashboards(root) as served`."""
    return dashboard


@pytest.fixture(scope="session")
def served(trained_runs: Path) -> Iterator[Served]:
    """The dashboard over `trained_runs`."""
    with dashboard(trained_runs) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    """Asks the dashboard as its own pages do, with the token."""
    headers = {"X-Firstlight-Token": TOKEN}
    with httpx.Client(base_url=served.url, headers=headers, timeout=120, trust_env=False) as asking:
        yield asking


class Complaints:
    """What a browser complained of on a page: errors of scripts, of the console, requests refused or failed."""

    def __init__(self, page: Page) -> None:
        self.found: list[str] = []
        page.on("pageerror", lambda error: self.found.append(f"page error: {error}"))
        page.on("console", self._console)
        page.on("requestfailed", self._failed)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.found.append(f"console {message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        # Streams and images are given up when a page is left.
        if request.failure != "net::ERR_ABORTED":
            self.found.append(f"request failed: {request.url}: {request.failure}")


@contextmanager
def looking(browser: Browser, *, width: int = 1280, dark: bool = False) -> Iterator[tuple[Page, Complaints]]:
    """A page of a browser, and what it complained of."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", has_touch=width < 500
    )
    context.set_default_timeout(15_000)
    page = context.new_page()
    try:
        yield page, Complaints(page)
    finally:
        context.close()


@pytest.fixture
def page_at(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages: page_at(width=390, dark=True). The test fails on whatever the browser complains of."""
    complaints: list[str] = []
    with ExitStack() as stack:

        def opened(width: int = 1280, dark: bool = False) -> Page:
            page, heard = stack.enter_context(looking(browser, width=width, dark=dark))
            heard.found = complaints
            page.complaints = complaints  # type: ignore[attr-defined]
            return page

        yield opened
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def page(page_at: Callable[..., Page]) -> Page:
    """A page of 1,280 pixels. A test that provokes a complaint takes it out of `page.complaints`."""
    return page_at()


@pytest.fixture(scope="session")
def open_dashboard() -> Callable[..., AbstractContextManager[Served]]:
    """`with open_dashboard(root) as served:` for a folder of runs of a test's own."""
    return dashboard


@pytest.fixture(scope="session")
def serving_app() -> Callable[[Starlette], AbstractContextManager[str]]:
    """`with serving_app(app) as url:` for an application of a test's own."""
    return in_thread
