"""The map of a run's images, and the making of its explanation in a process of its own."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import get_args

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from firstlight.app.images import KEPT_BY_BROWSER, number
from firstlight.app.index import Index
from firstlight.app.server import responses
from firstlight.app.server.errors import BusyError, UnknownError
from firstlight.app.server.processes import ExplainProcess
from firstlight.image_encoding import png, tiled
from firstlight.records.explanation import EXPLANATION, Embedding
from firstlight.records.run_folder import RunFolder
from firstlight.report.explanation import method_name
from firstlight.report.sections.embedding import WIDTH, Colour, caption, chart

OF_POINTS = ("points", "splits", "ids", "labels", "predicted", "confidence", "thumbnails")
BEGINNING = threading.Lock()


def embeddings(request: Request) -> Response:
    """The maps of a run by their methods, the last one first, and the splits of their images."""
    _, found = _explanation(request)
    splits = dict.fromkeys(split for one in found for split in one.splits.tolist())
    return responses.reply({"methods": [method_name(one) for one in found], "splits": [*splits]})


def points(request: Request) -> Response:
    """The report's chart of a map with all its points, or those of a split, and the images of all as one sheet."""
    folder, one = _embedding(request)
    split = request.query_params.get("split", "")
    shown = np.isfinite(one.points).all(axis=1) & (not split or one.splits == split)
    rows = np.flatnonzero(shown)
    if not len(rows):
        raise UnknownError(f"No image of {split!r} is on this map.")
    part = replace(one, **{name: getattr(one, name)[rows] for name in OF_POINTS})
    asked = request.query_params.get("colour")
    colours: tuple[Colour, ...] = get_args(Colour)
    colour = next((one for one in colours if one == asked), colours[0])
    spec = chart(part, folder.class_names, np.arange(len(rows)), colour)
    for value in spec["datasets"]["points"]:
        value["picture"] = int(rows[value["picture"]])
    count, height, width = one.thumbnails.shape[:3]
    version = f"{(folder.path / EXPLANATION).stat().st_mtime_ns:x}"
    path = request.path_params
    source = f"/image/{path['id']}/map/{path['n']}.png?v={version}"
    sheet = {"source": source, "columns": _columns(count), "width": width, "height": height}
    note = caption(part, folder.class_names, np.arange(len(rows)))
    return responses.reply({"spec": spec, "width": WIDTH, "note": note, "sheet": sheet})


def sheet(request: Request) -> Response:
    """The small images of a map in rows, from left to right and top to bottom, as a PNG."""
    _, one = _embedding(request)
    image = png(tiled(one.thumbnails, _columns(len(one.thumbnails))), compress_level=1)
    return Response(image, media_type="image/png", headers=KEPT_BY_BROWSER)


def _explanation(request: Request) -> tuple[RunFolder, list[Embedding]]:
    index: Index = request.app.state.index
    folder = index.run(request.path_params["id"])
    found = index.explanation(request.path_params["id"])
    if found is None:
        raise UnknownError(f"{folder.path} has no explanation yet. To make it: firstlight explain {folder.path}")
    return folder, [*reversed(found.embeddings)]


def _embedding(request: Request) -> tuple[RunFolder, Embedding]:
    folder, found = _explanation(request)
    n = number(request.path_params["n"])
    if n >= len(found):
        raise UnknownError(f"There are {len(found)} maps; there is no number {n}.")
    return folder, found[n]


def _columns(images: int) -> int:
    return max(1, int(np.ceil(np.sqrt(images))))


def explain(request: Request) -> Response:
    """Begin to make the explanation of a run, unless that is under way."""
    explanations: dict[str, ExplainProcess] = request.app.state.explanations
    index: Index = request.app.state.index
    key = request.path_params["id"]
    folder = index.run(key)
    _ = folder.result  # an unfinished run says so
    with BEGINNING:
        if any(making.process.poll() is None for other, making in explanations.items() if other != key):
            raise BusyError(
                "Another run is being explained. Wait for it to finish: two at once would slow each other down."
            )
        if key not in explanations or explanations[key].process.poll() is not None:
            explanations[key] = ExplainProcess.begin(folder.path)
    return responses.reply(explanations[key].told(), 202)


def explaining(request: Request) -> Response:
    """How far the explanation of a run is."""
    index: Index = request.app.state.index
    key = index.entry(request.path_params["id"]).id
    explanations: dict[str, ExplainProcess] = request.app.state.explanations
    there = (index.entry(key).path / EXPLANATION).is_file()
    making = explanations.get(key)
    if making is None:
        return responses.reply({"state": "made" if there else "none", "lines": []})
    told = making.told()
    if told["state"] == "made":
        explanations.pop(key, None)  # from now on the file alone tells: it may be removed
        told["state"] = "made" if there else "none"
    return responses.reply(told)


routes: list[BaseRoute] = [
    Route("/api/runs/{id}/embeddings", responses.endpoint(embeddings)),
    Route("/api/runs/{id}/embeddings/{n}", responses.endpoint(points)),
    Route("/image/{id}/map/{n}.png", responses.endpoint(sheet)),
    Route("/api/runs/{id}/explain", responses.endpoint(explaining)),
    Route("/api/runs/{id}/explain", responses.endpoint(explain), methods=["POST"]),
]
