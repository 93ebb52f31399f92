"""The page of all runs: a table that follows them as they train, their reports, and the request to stop one."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Hashable
from dataclasses import asdict
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from firstlight.app import server
from firstlight.app.entries import PDF, Entry, Kind, Place, fingerprint
from firstlight.app.library import EXHAUSTED, RESCAN, SHARE, Library, UnknownError
from firstlight.errors import RunError
from firstlight.files import PAGE_LIMIT, read_bytes
from firstlight.records import run_folder as folders
from firstlight.types import Json

LOOK = 0.25  # seconds between two looks at runs that train
SIGN_OF_LIFE = 15.0  # seconds without news after which a listener is told that there are none

# A report may have come with a run folder from elsewhere: its scripts get no request, no origin of ours and no window.
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox allow-scripts allow-modals"
)
REPORTED: tuple[Kind, ...] = ("run", "study", "search")


def index(request: Request) -> Response:
    """The table of runs."""
    library: Library = request.app.state.library
    return server.page(
        request,
        "runs.html.j2",
        title="Runs",
        root=library.root,
        data=_rows(library),
        searches=[place for place in library.places() if place.kind == "search"],
        others=[place for place in library.places() if place.kind == "other"],
    )


def listed(request: Request) -> Response:
    """The rows of the table."""
    return server.reply(_rows(request.app.state.library))


def row(request: Request) -> Response:
    """The row of one run."""
    library: Library = request.app.state.library
    return server.reply(asdict(library.entry(library.place(request.path_params["id"]))))


def _rows(library: Library) -> Json:
    """The rows that there was time to read, and how many are left; the stream of events brings these."""
    entries, left = library.entries_within()
    return {"runs": [asdict(entry) for entry in entries], "left": left, "studies": _studies(library)}


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
    await anyio.to_thread.run_sync(watch.begin)

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
        self.looked, self.pause = -RESCAN, 0.0

    def begin(self) -> None:
        """Take what has been read as heard: the listener asks for it when the stream begins."""
        self.changes(0.0)

    def changes(self, seconds: float = LOOK) -> list[Json]:
        """The rows that changed since the last call; {"run": id, "state": "removed"} for a run that is gone.

        Those that there was no time to read come with the next call, and so do all where the system has no room.
        """
        try:
            return self._changes(time.monotonic() + seconds)
        except OSError:
            return []

    def _changes(self, until: float) -> list[Json]:
        places = {place.id: place for place in self.library.places() if place.kind == "run"}
        began = time.monotonic()
        whole = places != self.places or began - self.looked > self.pause
        self.places = places
        found: list[Json] = [{"run": key, "state": "removed"} for key in self.heard.keys() - places.keys()]
        for change in found:
            del self.heard[change["run"]]
        late = False
        for key in places if whole else self.training & places.keys():
            mark = fingerprint(places[key].path)
            if self.heard.get(key) == mark:
                continue
            entry = self.library.entry_by(places[key], until)
            if entry is None:
                late = True
                continue
            self.heard[key] = mark
            self._follow(entry)
            found.append({"run": key, "state": entry.state, "entry": asdict(entry)})
        if whole:
            self.looked = time.monotonic()
            self.pause = 0.0 if late else max(RESCAN, SHARE * (self.looked - began))
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
    return server.reply({"stopping": True})


def report(request: Request) -> Response:
    """The report of a run, a study or a search, as it lies in its folder."""
    folder = _reported(request)
    missing = f"{folder} has no report yet. Write it: firstlight report {folder}"
    return _file(folder, folders.REPORT, missing, "text/html", REPORT_POLICY)


def pdf(request: Request) -> Response:
    """The report of a run or a study on paper."""
    folder = _reported(request)
    missing = f"{folder} has no {PDF}. Make it: firstlight report {folder} --pdf"
    return _file(folder, PDF, missing, "application/pdf", "sandbox")


def _file(folder: Path, name: str, missing: str, media_type: str, policy: str) -> Response:
    """A file of a folder, which is read in it and nowhere else."""
    try:
        data = read_bytes(folder / name, limit=PAGE_LIMIT, inside=folder)
    except FileNotFoundError:
        raise UnknownError(missing) from None
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise
        raise RunError(f"{folder / name} cannot be read: {error.strerror}.") from None
    return Response(data, media_type=media_type, headers={"Content-Security-Policy": policy})


def _reported(request: Request) -> Path:
    """The folder of the run, study or search that is asked for."""
    kind = next((kind for kind in REPORTED if kind == request.path_params["kind"]), None)
    if kind is None:
        raise UnknownError(f"There are reports of a run, a study or a search, not of {request.path_params['kind']!r}.")
    library: Library = request.app.state.library
    return library.place(request.path_params["id"], kind).path


routes: list[BaseRoute] = [
    Route("/", server.of_folder(index)),
    Route("/api/runs", server.of_folder(listed)),
    Route("/api/runs/{id}", server.of_folder(row)),
    Route("/api/events", events),
    Route("/api/runs/{id}/stop", stop, methods=["POST"]),
    Route("/report/{kind}/{id}", server.of_folder(report)),
    Route("/pdf/{kind}/{id}", server.of_folder(pdf)),
]
