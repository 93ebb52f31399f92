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
from starlette.routing import Route

from firstlight.app.index import RESCAN, SHARE, Index
from firstlight.app.server import responses
from firstlight.app.server.errors import EXHAUSTED, UnknownError
from firstlight.app.server.responses import Page
from firstlight.app.summary import PDF, Entry, Kind, RunSummary, fingerprint
from firstlight.errors import RunError
from firstlight.files import PAGE_LIMIT, read_bytes
from firstlight.records import result
from firstlight.records import run_folder as folders
from firstlight.records.locked_folder import ask_to_stop
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
    index: Index = request.app.state.index
    return responses.page(
        request,
        "runs/page.html.j2",
        title="Runs",
        root=index.root,
        data=_rows(index),
        searches=[entry for entry in index.entries() if entry.kind == "search"],
        others=[entry for entry in index.entries() if entry.kind == "other"],
    )


def listed(request: Request) -> Response:
    """The rows of the table."""
    return responses.reply(_rows(request.app.state.index))


def row(request: Request) -> Response:
    """The row of one run."""
    index: Index = request.app.state.index
    return responses.reply(asdict(index.summary(index.entry(request.path_params["id"]))))


def _rows(index: Index) -> Json:
    """The rows that there was time to read, and how many are left; the stream of events brings these."""
    summaries, left = index.summaries_within()
    numbers = {
        place: asdict(shown)
        for place, shown in result.shown().items()
        if shown.column and (not shown.asked or any(one.numbers.get(place) is not None for one in summaries))
    }
    runs = [asdict(summary) for summary in summaries]
    return {"runs": runs, "left": left, "studies": _studies(index), "numbers": numbers}


def _studies(index: Index) -> dict[str, Json]:
    """What the table says of a study, by the name that its runs have as their group."""
    return {
        entry.name: {"id": entry.id, "report": (entry.path / folders.REPORT).is_file()}
        for entry in index.entries()
        if entry.kind == "study"
    }


async def events(request: Request) -> Response:
    """A stream of the runs that changed, each as its row of the table."""
    index: Index = request.app.state.index
    watch = _Watch(index)
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

    def __init__(self, index: Index) -> None:
        self.index = index
        self.heard: dict[str, Hashable] = {}
        self.training: set[str] = set()
        self.entries: dict[str, Entry] = {}
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
        entries = {entry.id: entry for entry in self.index.entries() if entry.kind == "run"}
        began = time.monotonic()
        whole = entries != self.entries or began - self.looked > self.pause
        self.entries = entries
        found: list[Json] = [{"run": key, "state": "removed"} for key in self.heard.keys() - entries.keys()]
        for change in found:
            del self.heard[change["run"]]
        late = False
        for key in entries if whole else self.training & entries.keys():
            mark = fingerprint(entries[key].path)
            if self.heard.get(key) == mark:
                continue
            summary = self.index.summary_by(entries[key], until)
            if summary is None:
                late = True
                continue
            self.heard[key] = mark
            self._follow(summary)
            found.append({"run": key, "state": summary.state, "summary": asdict(summary)})
        if whole:
            self.looked = time.monotonic()
            self.pause = 0.0 if late else max(RESCAN, SHARE * (self.looked - began))
        return found

    def _follow(self, summary: RunSummary) -> None:
        if summary.state == "training":
            self.training.add(summary.id)
        else:
            self.training.discard(summary.id)


def stop(request: Request) -> Response:
    """Ask the process that trains a run to stop, wherever it is."""
    index: Index = request.app.state.index
    ask_to_stop(index.entry(request.path_params["id"]).path)
    return responses.reply({"stopping": True})


def report(request: Request) -> Response:
    """The report of a run, a study or a search, as it lies in its folder."""
    folder = _reported(request)
    missing = f"{folder} has no report yet. To write it: firstlight report {folder}"
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
    index: Index = request.app.state.index
    return index.entry(request.path_params["id"], kind).path


PAGE = Page(
    title="Runs",
    address="/",
    position=0,
    routes=[
        Route("/", responses.endpoint(index)),
        Route("/api/runs", responses.endpoint(listed)),
        Route("/api/runs/{id}", responses.endpoint(row)),
        Route("/api/events", events),
        Route("/api/runs/{id}/stop", stop, methods=["POST"]),
        Route("/report/{kind}/{id}", responses.endpoint(report)),
        Route("/pdf/{kind}/{id}", responses.endpoint(pdf)),
    ],
)
