"""The page of one run: the sections of its report, of which several answer when they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from firstlight import runs as folders
from firstlight.app import server
from firstlight.app.entries import Entry, Place
from firstlight.app.library import Library
from firstlight.app.runs import PDF
from firstlight.errors import FirstlightError, RunError
from firstlight.evaluation import Evaluation
from firstlight.explanations import EXPLANATION
from firstlight.report.content import Beside, Block, Chart, Document
from firstlight.runs import RunFolder
from firstlight.types import Json

# What the page shows in a way of its own, which answers to clicks.
INTERACTIVE = ("learning", "results", "answers", "neighbourhoods")

STATES = {
    "training": "It is training. This page moves on after every epoch.",
    "interrupted": "It was interrupted. What it had learnt by then is kept and measured; it can go on.",
    "cut off": "Its training was cut off: it has no result, and nothing trains it now. It can go on.",
    "diverged": "It diverged: its loss was no longer finite. What it had learnt before is kept.",
    "damaged": "Its folder is damaged.",
    "newer": "It was made by a newer version of firstlight.",
}


def page(request: Request) -> Response:
    """The page of a run, whatever state it is in."""
    library: Library = request.app.state.library
    place = library.any_place(request.path_params["id"])
    if place.kind in ("study", "search"):
        return RedirectResponse(f"/report/{place.kind}/{place.id}")
    if place.kind == "other":
        text = f"{place.path} is no run folder: it has no {folders.EXPERIMENT}."
        return server.page(request, "error.html.j2", title=place.name, status=404, text=text)
    entry = library.entry(place)
    folder = library.run(place.id)
    document, trouble = _document(library, entry)
    sections = [] if document is None else [s for s in document.sections if s.anchor not in INTERACTIVE]
    results = [] if document is None else _results(document)
    charts = [chart for blocks in (results, *(s.blocks for s in sections)) for chart in _charts(blocks)]
    places = {id(chart): n for n, chart in enumerate(charts)}
    return server.page(
        request,
        "run.html.j2",
        title=entry.name,
        place=place,
        entry=entry,
        document=document,
        sections=sections,
        results=results,
        number=lambda chart: places[id(chart)],
        says=STATES.get(entry.state, ""),
        trouble=trouble,
        experiment=_text(place, folders.EXPERIMENT),
        report_there=(place.path / folders.REPORT).is_file(),
        pdf_there=(place.path / PDF).is_file(),
        data=_data(place, folder, entry, document, charts),
    )


def _document(library: Library, entry: Entry) -> tuple[Document | None, str]:
    """The run's report as content, or None and what is in its way."""
    if entry.state in ("training", "cut off", "damaged", "newer"):
        return None, entry.why
    try:
        return library.document(entry.id), ""
    except RunError as error:
        return None, str(error)


def _data(place: Place, folder: RunFolder, entry: Entry, document: Document | None, charts: Sequence[Chart]) -> Json:
    """What the page's scripts must know."""
    data: Json = {"run": asdict(entry), "charts": [chart.spec for chart in charts], "confusion": None, "classes": []}
    if entry.state in ("damaged", "newer", "training", "cut off"):
        return data
    try:
        data["classes"] = list(folder.class_names)
        data["confusion"] = Evaluation.from_json(folder.result["test"]).confusion.tolist()
    except (FirstlightError, LookupError):  # the page has said what is wrong
        return data
    data["predictions"] = (place.path / folders.PREDICTIONS).is_file() and document is not None
    data["explained"] = (place.path / EXPLANATION).is_file()
    return data


def _results(document: Document) -> list[Block]:
    """What the report says of right and wrong beside its confusion matrix, which comes first and answers here."""
    return [block for section in document.sections if section.anchor == "results" for block in section.blocks[1:]]


def _charts(blocks: Sequence[Block]) -> list[Chart]:
    found = []
    for block in blocks:
        if isinstance(block, Chart):
            found.append(block)
        elif isinstance(block, Beside):
            found += _charts(block.blocks)
    return found


def curves(request: Request) -> Response:
    """The charts of loss and accuracy so far; none before the first epoch, or where the page says what is wrong."""
    from firstlight.report import charts

    library: Library = request.app.state.library
    folder = library.run(request.path_params["id"])
    try:
        history = folder.history
    except RunError:
        return JSONResponse({"charts": []})
    if not len(history["epoch"]):
        return JSONResponse({"charts": []})
    best, kept = _best(folder)
    loss: Any = charts.curves(history, "loss", "val_loss", "loss", best, best_kept=kept)
    accuracy: Any = charts.curves(history, "accuracy", "val_accuracy", "accuracy", best, share=True, best_kept=kept)
    return JSONResponse({"charts": [loss, accuracy], "epochs": len(history["epoch"])})


def _best(folder: RunFolder) -> tuple[int | None, bool]:
    """The best epoch by validation, where there is a result that says so, and whether its weights were kept."""
    try:
        epochs = folder.result["epochs"] if "val_loss" in folder.history else {}
    except RunError:
        return None, True
    return epochs.get("best") or None, epochs.get("weights") == epochs.get("best")


def _text(place: Place, name: str) -> str:
    try:
        return (place.path / name).read_text("utf-8", "replace").rstrip()
    except OSError:
        return ""


routes: list[BaseRoute] = [
    Route("/run/{id}", page),
    Route("/api/runs/{id}/curves", curves),
]
