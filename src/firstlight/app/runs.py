"""The page of all runs: a table that follows them as they train, their reports, and the request to stop one."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Hashable
from dataclasses import asdict
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from firstlight import runs as folders
from firstlight.app import server
from firstlight.app.entries import Entry, Kind, Place, fingerprint
from firstlight.app.library import RESCAN, Library, UnknownError
from firstlight.types import Json

LOOK = 0.25  # seconds between two looks at runs that train
SIGN_OF_LIFE = 15.0  # seconds without news after which a listener is told that there are none

# A report may have come with a run folder from elsewhere: its scripts get no request and no origin of ours.
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox allow-scripts allow-modals allow-popups"
)
PDF = "report.pdf"
REPORTED: tuple[Kind, ...] = ("run", "study", "search")


def index(request: Request) -> Response:
    """The table of runs."""
    library: Library = request.app.state.library
    return server.page(
        request,
        "runs.html.j2",
        title="Runs",
        root=library.root,
        data={"runs": [asdict(entry) for entry in library.entries()], "studies": _studies(library)},
        searches=[place for place in library.places() if place.kind == "search"],
        others=[place for place in library.places() if place.kind == "other"],
    )


def listed(request: Request) -> Response:
    """The rows of the table."""
    library: Library = request.app.state.library
    return JSONResponse({"runs": [asdict(entry) for entry in library.entries()], "studies": _studies(library)})


def _studies(library: Library) -> dict[str, Json]:
    """What the table says of a study, by the name that its runs have as their group."""
    return {
        place.name: {"id": place.id, "report": (place.path / folders.REPORT).is_file()}
        for place in library.places()
        if place.kind == "study"
    }


async def events(request: Request) -> Response:
    """A stream of the runs that changed, each as its row of the table."""
    library: Library = request.app.state.library
    watch = _Watch(library)
    await anyio.to_thread.run_sync(watch.changes)

    async def told() -> AsyncIterator[str]:
        yield "retry: 1000\n\n"
        last = time.monotonic()
        while not request.app.state.closing:
            for change in await anyio.to_thread.run_sync(watch.changes):
                last = time.monotonic()
                yield f"data: {json.dumps(change, allow_nan=False)}\n\n"
            if time.monotonic() - last > SIGN_OF_LIFE:
                last = time.monotonic()
                yield ": nothing new\n\n"
            await anyio.sleep(LOOK)

    return StreamingResponse(told(), media_type="text/event-stream")


class _Watch:
    """What one listener has heard of; runs that do not train are looked at only when the tree is."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.heard: dict[str, Hashable] = {}
        self.training: set[str] = set()
        self.places: dict[str, Place] = {}
        self.looked = 0.0

    def changes(self) -> list[Json]:
        """The rows that changed since the last call; {"run": id, "state": "removed"} for a run that is gone."""
        places = {place.id: place for place in self.library.places() if place.kind == "run"}
        whole = places != self.places or time.monotonic() - self.looked > RESCAN
        keys = places if whole else self.training & places.keys()
        if whole:
            self.looked = time.monotonic()
        self.places = places
        found: list[Json] = [{"run": key, "state": "removed"} for key in self.heard.keys() - places.keys()]
        for change in found:
            del self.heard[change["run"]]
        for key in keys:
            mark = fingerprint(places[key].path)
            if self.heard.get(key) == mark:
                continue
            self.heard[key] = mark
            entry = self.library.entry(places[key])
            self._follow(entry)
            found.append({"run": key, "state": entry.state, "entry": asdict(entry)})
        return found

    def _follow(self, entry: Entry) -> None:
        if entry.state == "training":
            self.training.add(entry.id)
        else:
            self.training.discard(entry.id)


def stop(request: Request) -> Response:
    """Ask the process that trains a run to stop, wherever it is."""
    library: Library = request.app.state.library
    folders.ask_to_stop(library.place(request.path_params["id"]).path)
    return JSONResponse({"stopping": True})


def report(request: Request) -> Response:
    """The report of a run, a study or a search, as it lies in its folder."""
    path = _reported(request) / folders.REPORT
    if not path.is_file():
        raise UnknownError(f"{path.parent} has no report yet. Write it: firstlight report {path.parent}")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})


def pdf(request: Request) -> Response:
    """The report of a run or a study on paper."""
    path = _reported(request) / PDF
    if not path.is_file():
        raise UnknownError(f"{path.parent} has no {PDF}. Make it: firstlight report {path.parent} --pdf")
    return FileResponse(path, media_type="application/pdf", headers={"Content-Security-Policy": "sandbox"})


def _reported(request: Request) -> Path:
    """The folder of the run, study or search that is asked for."""
    kind = next((kind for kind in REPORTED if kind == request.path_params["kind"]), None)
    if kind is None:
        raise UnknownError(f"There are reports of a run, a study or a search, not of {request.path_params['kind']!r}.")
    library: Library = request.app.state.library
    return library.place(request.path_params["id"], kind).path


routes: list[BaseRoute] = [
    Route("/", index),
    Route("/api/runs", listed),
    Route("/api/events", events),
    Route("/api/runs/{id}/stop", stop, methods=["POST"]),
    Route("/report/{kind}/{id}", report),
    Route("/pdf/{kind}/{id}", pdf),
]
