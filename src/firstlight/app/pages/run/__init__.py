"""The page of one run: the sections of its report, of which several answer when they are asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
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
from firstlight.report.document import Beside, Block, Document, Heading, Numbers, Section
from firstlight.report.pages.contents import DASHBOARD_FIRST as FIRST
from firstlight.text import display_names
from firstlight.types import Json

STATES = {
    "training": "It is training. This page updates itself.",
    "interrupted": "It was interrupted. The weights at that point were kept and evaluated. It can be resumed.",
    "cut off": "Its training stopped without a result, and no process is training it now. It can be resumed.",
    "diverged": "It diverged: its loss became infinite or NaN. The weights from before that were kept.",
    "damaged": "Its folder is damaged.",
    "newer": "It was made by a newer version of firstlight.",
}


def page(request: Request) -> Response:
    """The page of a run, whatever state it is in."""
    index: Index = request.app.state.index
    entry = index.any_entry(request.path_params["id"])
    if entry.kind in ("study", "search"):
        return RedirectResponse(f"/report/{entry.kind}/{entry.id}")
    if entry.kind == "folds":
        return RedirectResponse(f"/review?run={entry.id}")
    if entry.kind == "other":
        text = f"{entry.path} is not a run folder: it has no {folders.EXPERIMENT}."
        return responses.page(request, "error.html.j2", title=entry.name, status=404, text=text)
    summary = index.summary(entry)
    folder = index.run(entry.id)
    document, trouble = _document(index, summary)
    shown = _arranged(document) if document else _matrix(folder)
    data = _data(entry, folder, summary, bool(shown))
    numbers, sections, specs = blocks.drawn(document.numbers if document else Numbers(()), shown)
    return responses.page(
        request,
        "run/page.html.j2",
        title=summary.name,
        entry=entry,
        summary=summary,
        document=document,
        numbers=numbers,
        sections=sections,
        map_before=sum(_place(section) < FIRST.index("embedding") for section in document.sections)
        if document
        else None,
        specs=specs,
        says=STATES.get(summary.state, ""),
        trouble=trouble,
        experiment=_text(entry, folders.EXPERIMENT),
        data=data,
    )


def _document(index: Index, summary: RunSummary) -> tuple[Document | None, str]:
    """The run's report as content, or None and what is in its way."""
    if summary.state in ("training", "cut off", "damaged", "newer"):
        return None, summary.why
    try:
        return index.document(summary.id), ""
    except RunError as error:
        return None, str(error)


def _matrix(folder: RunFolder) -> list[Section]:
    """The confusion matrix by the predictions alone, where the report cannot be made; nothing where there are none."""
    from firstlight.report.sections import confusion

    if not folder.finished:
        return []
    try:
        predictions, names = folder.predictions["test"], display_names(folder.class_names)
    except (FirstlightError, LookupError):
        return []
    matrix = np.zeros((len(names), len(names)), np.int64)
    np.add.at(matrix, (predictions.labels, predictions.predicted), 1)
    return [
        Section(
            "Right and wrong predictions",
            "results",
            confusion.blocks([confusion.Confusion(folder.name, names, matrix)]),
        )
    ]


def _data(entry: Entry, folder: RunFolder, summary: RunSummary, shown: bool) -> Json:
    """What the page's scripts must know."""
    return {
        "run": asdict(summary),
        "classes": list(folder.class_names) if shown else [],
        "predictions": shown and (entry.path / folders.PREDICTIONS).is_file(),
        "explained": (entry.path / EXPLANATION).is_file(),
    }


def _arranged(document: Document) -> list[Section]:
    """The sections, those with the kinds of FIRST before the others, without the blocks that this page replaces."""
    kept = [replace(s, blocks=tuple(_without_replaced(s.blocks))) for s in sorted(document.sections, key=_place)]
    return [section for section in kept if section.blocks]


def _place(section: Section) -> int:
    """Where a section stands: the lower, the further up."""
    kinds = {kind for block in section.blocks for kind in _kinds(block)}
    return next((n for n, kind in enumerate(FIRST) if kind in kinds), len(FIRST))


def _kinds(block: Block | None) -> set[str]:
    """What a block shows, or those beside each other."""
    if isinstance(block, Beside):
        return {kind for inner in block.blocks for kind in _kinds(inner)}
    return {getattr(block, "kind", "")}


def _without_replaced(found: Sequence[Block]) -> Iterator[Block]:
    """All but the maps and their titles, as one with all points is drawn, and the command that a button stands for."""
    for block, following in pairwise((*found, None)):
        is_title = isinstance(block, Heading) and "embedding" in _kinds(following)
        if block is not None and not is_title and not {"embedding", "explain-command"} & _kinds(block):
            yield block


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
