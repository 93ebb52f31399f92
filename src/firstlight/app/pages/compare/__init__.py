"""The page /compare: several runs side by side as `firstlight compare` has them, and two of them image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import unquote

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firstlight.app import images
from firstlight.app.index import Index
from firstlight.app.server import blocks, responses
from firstlight.app.server.errors import UnknownError
from firstlight.app.server.responses import Page
from firstlight.errors import RunError
from firstlight.evaluation import LEVEL, McNemar
from firstlight.records.run import RunRecord, read
from firstlight.report.document import Block, Cell, Link, Table
from firstlight.report.format import THIN, counted
from firstlight.report.pages import comparison
from firstlight.report.sections import significance
from firstlight.types import Array, Json

PER_PAGE = 24  # images
MOST = 32  # runs


@dataclass(frozen=True, eq=False)
class Pair:
    """Two runs that answered the same test images.

    names          of both in the index, of which no other run has the same
    rows           of each one's predictions, int64 (N,), so that both name the same images in the same order
    right          whether each is right, boolean (N,)
    """

    names: tuple[str, str]
    first: RunRecord
    second: RunRecord
    test: McNemar
    rows: tuple[Array, Array]
    right: tuple[Array, Array]

    def cell(self, name: str) -> Array:
        """Which images lie in a cell of the 2×2 table, boolean (N,). Raises UnknownError for a name of none."""
        a, b = self.right
        cells = {"both": a & b, "only_first": a & ~b, "only_second": ~a & b, "neither": ~a & ~b}
        if name not in cells:
            raise UnknownError(f"There is no cell called {name!r}: the cells are {', '.join(cells)}.")
        return cells[name]


def page(request: Request) -> Response:
    """The runs that were asked for, side by side; without any, those that can be chosen."""
    index: Index = request.app.state.index
    asked = list(dict.fromkeys(request.query_params.getlist("run")))[:MOST]
    names, records, cautions = {}, [], []
    for key in asked:
        folder = index.run(key)
        try:
            records.append(read(folder))
            names[key] = index.entry(key).name
        except RunError as error:
            cautions.append(f"{index.entry(key).name} is left out. {error}")
    return responses.page(
        request,
        "compare/page.html.j2",
        title="Compare",
        choices=[summary for summary in index.summaries_within()[0] if summary.accuracy is not None],
        chosen=set(asked),
        cautions=cautions,
        **(_compared(index, records) if records else {"document": None}),
        data={"runs": [{"id": key, "name": name} for key, name in names.items()]},
    )


def _compared(index: Index, records: Sequence[RunRecord]) -> Json:
    """The report's document of these runs, drawn; its links lead to the runs' own pages."""
    document = comparison.document(records, "Runs compared", index.root)
    ids = {entry.name: entry.id for entry in index.entries() if entry.kind == "run"}
    sections = [replace(s, blocks=tuple(_linked(block, ids) for block in s.blocks)) for s in document.sections]
    numbers, drawn, specs = blocks.drawn(document.numbers, sections)
    return {"document": document, "numbers": numbers, "sections": drawn, "specs": specs}


def _linked(block: Block, ids: Mapping[str, str]) -> Block:
    """The block with the links of its table, which name reports on disk, as links to pages of the runs."""
    if not isinstance(block, Table):
        return block
    return replace(block, rows=tuple(tuple(_link(cell, ids) for cell in row) for row in block.rows))


def _link(cell: Cell, ids: Mapping[str, str]) -> Cell:
    if not isinstance(cell, Link):
        return cell
    name = PurePosixPath(unquote(cell.target)).parent.as_posix()
    return Link(cell.text, f"/run/{ids[name]}") if name in ids else cell.text


def paired(request: Request) -> Response:
    """How two runs agree: the 2×2 table, what may be said of it, and both class by class."""
    index: Index = request.app.state.index
    pair = _pair(index, request)
    if isinstance(pair, str):
        return responses.reply({"paired": False, "said": pair})
    cells = {name: int(pair.cell(name).sum()) for name in ("both", "only_first", "only_second", "neither")}
    return responses.reply({"paired": True, "cells": cells, "said": _said(pair), "classes": _classes(pair)})


def cell_images(request: Request) -> Response:
    """A page of the images in a cell of the 2×2 table, those on which both are surest first."""
    index: Index = request.app.state.index
    asked = request.path_params
    pair = _pair(index, request)
    if isinstance(pair, str):
        raise UnknownError(pair)
    wanted = pair.cell(asked["cell"])
    names = pair.first.class_names
    if "true" in request.query_params:
        wanted = wanted & (pair.first.predictions.labels[pair.rows[0]] == _number(request, "true", len(names)))
    a, b = (record.predictions for record in (pair.first, pair.second))
    chosen = np.flatnonzero(wanted)
    sure = a.confidence[pair.rows[0]] + b.confidence[pair.rows[1]]
    chosen = chosen[np.argsort(-sure[chosen], kind="stable")]
    shown = images.shown(index, asked["first"], "test")
    places = {sample: i for i, sample in enumerate(shown.images.ids.tolist())}
    found = [n for n in chosen.tolist() if str(a.ids[pair.rows[0][n]]) in places]
    page = _number(request, "page", 1 + len(found) // PER_PAGE)
    listed = []
    for n in found[page * PER_PAGE : (page + 1) * PER_PAGE]:
        row = int(pair.rows[0][n])
        place = places[str(a.ids[row])]
        listed.append(
            {
                "src": images.address(asked["first"], shown.source, "test", place, shown.version),
                "id": str(a.ids[row]),
                "true": names[int(a.labels[row])],
                "answers": [
                    {"name": names[int(p.predicted[r[n]])], "share": float(p.confidence[r[n]])}
                    for p, r in zip((a, b), pair.rows, strict=True)
                ],
            }
        )
    pages = max(1, -(-len(found) // PER_PAGE))
    return responses.reply(
        {"total": len(chosen), "shown": len(found), "page": page, "pages": pages, "note": shown.note, "images": listed}
    )


def _pair(index: Index, request: Request) -> Pair | str:
    """The two runs of the address image by image; in words why not, where they answered other test images."""
    asked = [request.path_params[place] for place in ("first", "second")]
    first, second = (read(index.run(key)) for key in asked)
    names = (index.entry(asked[0]).name, index.entry(asked[1]).name)
    test = significance.by_images(first, second)
    if test is None:
        return _why_not(names, first, second)
    order = np.argsort(first.predictions.ids), np.argsort(second.predictions.ids)
    # in the order of the first one's predictions
    back = np.argsort(order[0])
    rows = np.arange(len(back)), order[1][back]
    right = first.predictions.correct[rows[0]], second.predictions.correct[rows[1]]
    return Pair(names, first, second, test, rows, right)


def _why_not(names: tuple[str, str], first: RunRecord, second: RunRecord) -> str:
    if first.class_names != second.class_names:
        return (
            f"These two cannot be paired image by image: {names[0]} has {counted(len(first.class_names), 'class')} of "
            f"{first.data}, {names[1]} {counted(len(second.class_names), 'class')} of {second.data}."
        )
    common = len(set(first.predictions.ids.tolist()) & set(second.predictions.ids.tolist()))
    return (
        "These two cannot be paired image by image: they were not tested on the same images with the same labels. "
        f"{names[0]} has {counted(len(first.predictions), 'test image')} of {first.data}, {names[1]} "
        f"{counted(len(second.predictions), 'test image')} of {second.data}; {common:,} ids are in both. Their "
        "accuracies are not comparable either."
    )


def _said(pair: Pair) -> str:
    """McNemar's test of the pair in words."""
    test = pair.test
    if not test.only_first + test.only_second:
        return f"Both are right on the same images of {counted(test.images, 'test image')}: they do not differ."
    ahead, behind = pair.names
    difference, low, high = test.difference, *test.interval
    if difference < 0:
        ahead, behind, difference, low, high = behind, ahead, -difference, -high, -low
    p = significance.probability(test.p)
    verdict = "not significant" if test.p >= LEVEL else "significant"
    apart = (
        f"{ahead} is right on {100 * difference:.2f} percentage points more of the images than {behind} "
        f"(95{THIN}% interval {significance.between((low, high))})"
        if difference
        else f"{ahead} and {behind} are right equally often, on different images"
    )
    return (
        f"{apart}: {verdict}. McNemar’s test, exact, over the {counted(test.only_first + test.only_second, 'image')} "
        f"on which one alone is right: p {p if p.startswith('<') else f'= {p}'}, not corrected for comparing other "
        "pairs. It does not cover the randomness of training (the seed)."
    )


def _classes(pair: Pair) -> list[Json]:
    """Each class with test images: the accuracies of both, and on how many images one alone is right."""
    labels = pair.first.predictions.labels
    found = []
    for k, name in enumerate(pair.first.class_names):
        of_class = labels == k
        if of_class.any():
            accuracies = [float(right[of_class].mean()) for right in pair.right]
            alone = [int((pair.cell(cell) & of_class).sum()) for cell in ("only_first", "only_second")]
            found.append(
                {"true": k, "name": name, "images": int(of_class.sum()), "accuracies": accuracies, "alone": alone}
            )
    return found


def _number(request: Request, name: str, end: int) -> int:
    """An integer below `end` in the request's address, 0 where there is none. Raises UnknownError for others."""
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) < end):
        raise UnknownError(f"{name} is an integer below {end}; received {text[:20]!r}.")
    return int(text)


PAIR = "/api/compare/{first}/{second}"
PAGE = Page(
    title="Compare",
    address="/compare",
    position=2,
    routes=[
        Route("/compare", responses.endpoint(page)),
        Route(PAIR, responses.endpoint(paired)),
        Route(PAIR + "/{cell}", responses.endpoint(cell_images)),
    ],
)
