"""The page of one run: the sections of its report, of which several answer when they are asked."""

from __future__ import annotations

from dataclasses import asdict, replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from firstlight.app.index import Index
from firstlight.app.pages.run import attribution, embedding
from firstlight.app.server import blocks, responses
from firstlight.app.server.responses import Page
from firstlight.app.summary import Entry, RunSummary
from firstlight.errors import FirstlightError, RunError
from firstlight.files import RECORD_LIMIT, read_bytes
from firstlight.records import run_folder as folders
from firstlight.records.explanation import EXPLANATION
from firstlight.records.run_folder import RunFolder
from firstlight.report.document import Chart, Code, Document, Heading, Numbers, Section, Text
from firstlight.types import Json

FIRST = ("learning", "results", "neighbourhoods")  # sections that the page shows before all others

STATES = {
    "training": "It is training. This page is updated while it does.",
    "interrupted": "It was interrupted. What it had learnt by then is kept and was measured. It can be resumed.",
    "cut off": "Its training was cut off: it has no result, and no process trains it now. It can be resumed.",
    "diverged": "It diverged: its loss became infinite or undefined. What it had learnt before that is kept.",
    "damaged": "Its folder is damaged.",
    "newer": "It was made by a newer version of firstlight.",
}


def page(request: Request) -> Response:
    """The page of a run, whatever state it is in."""
    index: Index = request.app.state.index
    entry = index.any_entry(request.path_params["id"])
    if entry.kind in ("study", "search"):
        return RedirectResponse(f"/report/{entry.kind}/{entry.id}")
    if entry.kind == "other":
        text = f"{entry.path} is no run folder: it has no {folders.EXPERIMENT}."
        return responses.page(request, "error.html.j2", title=entry.name, status=404, text=text)
    summary = index.summary(entry)
    folder = index.run(entry.id)
    document, trouble = _document(index, summary)
    told = [] if document is None else [_without_twins(section) for section in document.sections]
    numbers, sections, specs = blocks.drawn(document.numbers if document else Numbers(()), told)
    return responses.page(
        request,
        "run/page.html.j2",
        title=summary.name,
        entry=entry,
        summary=summary,
        document=document,
        numbers=numbers,
        first={section.anchor: section.html for section in sections if section.anchor in FIRST},
        sections=[section for section in sections if section.anchor not in FIRST],
        specs=specs,
        says=STATES.get(summary.state, ""),
        trouble=trouble,
        experiment=_text(entry, folders.EXPERIMENT),
        data=_data(entry, folder, summary, document),
    )


def _document(index: Index, summary: RunSummary) -> tuple[Document | None, str]:
    """The run's report as content, or None and what is in its way."""
    if summary.state in ("training", "cut off", "damaged", "newer"):
        return None, summary.why
    try:
        return index.document(summary.id), ""
    except RunError as error:
        return None, str(error)


def _data(entry: Entry, folder: RunFolder, summary: RunSummary, document: Document | None) -> Json:
    """What the page's scripts must know."""
    data: Json = {"run": asdict(summary), "confusion": None, "classes": []}
    if summary.state in ("damaged", "newer", "training", "cut off"):
        return data
    try:
        data["classes"] = list(folder.class_names)
        data["confusion"] = folder.result.test.confusion.counts
    except (FirstlightError, LookupError):  # the page has said what is wrong
        return data
    data["predictions"] = (entry.path / folders.PREDICTIONS).is_file() and document is not None
    data["explained"] = (entry.path / EXPLANATION).is_file()
    return data


def _without_twins(section: Section) -> Section:
    """The section without the blocks that this page shows in a way of its own, which answers to clicks."""
    found = list(section.blocks)
    if section.anchor == "results":  # the matrix, of which the numbers below it remain
        found = [
            Text(block.caption, tone="note")
            if isinstance(block, Chart) and block.description.startswith("Confusion matrix")
            else block
            for block in found
        ]
    elif section.anchor == "neighbourhoods":
        maps = [n for n, block in enumerate(found) if isinstance(block, Chart) and block.pictures is not None]
        titles = [n - 1 for n in maps if isinstance(found[n - 1], Heading)]
        found = [block for n, block in enumerate(found) if n not in (*maps, *titles)]
    elif section.anchor == "answers":  # the command that explains the run: the page has a button
        found = [block for block in found if not isinstance(block, Code)]
    return replace(section, blocks=tuple(found))


def curves(request: Request) -> Response:
    """The charts of loss and accuracy so far; none before the first epoch, or where the page says what is wrong."""
    from firstlight.report.sections import learning

    index: Index = request.app.state.index
    folder = index.run(request.path_params["id"])
    try:
        history = folder.history
    except RunError:
        return responses.reply({"charts": []})
    if not len(history["epoch"]):
        return responses.reply({"charts": []})
    best, kept = _best(folder)
    drawn = learning.of_run(learning.of_history(history, folder.name, best, kept))
    return responses.reply({"charts": [chart.spec for chart in drawn], "epochs": len(history["epoch"])})


def _best(folder: RunFolder) -> tuple[int | None, bool]:
    """The best epoch by validation, where there is a result that says so, and whether its weights were kept."""
    try:
        if "val_loss" not in folder.history:
            return None, True
        epochs = folder.result.epochs
    except RunError:
        return None, True
    return epochs.best or None, epochs.weights == epochs.best


def _text(entry: Entry, name: str) -> str:
    """The text of a file, as far as it can be shown."""
    try:
        return read_bytes(entry.path / name, limit=RECORD_LIMIT, inside=entry.path).decode("utf-8", "replace").rstrip()
    except OSError:
        return ""


PAGE = Page(
    routes=[
        Route("/run/{id}", responses.endpoint(page)),
        Route("/api/runs/{id}/curves", responses.endpoint(curves)),
        *attribution.routes,
        *embedding.routes,
    ],
)
