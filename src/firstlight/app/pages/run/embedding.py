"""The map of a run's images, and the making of its explanation in a process of its own."""

from __future__ import annotations

import threading

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
from firstlight.types import Json

BEGINNING = threading.Lock()
METHODS = {"pca": "PCA", "t-sne": "t-SNE", "umap": "UMAP"}


def maps(request: Request) -> Response:
    """The points of every map of a run, and the images that stand for them as one sheet each."""
    folder, found = _explanation(request)
    version = _version(folder)
    return responses.reply(
        {"maps": [_map(plane, n, request.path_params["id"], version) for n, plane in enumerate(found)]}
    )


def sheet(request: Request) -> Response:
    """The small images of a map in rows, from left to right and top to bottom, as a PNG."""
    _, found = _explanation(request)
    n = number(request.path_params["n"])
    if n >= len(found):
        raise UnknownError(f"There are {len(found)} maps; there is no number {n}.")
    thumbnails = found[n].thumbnails
    image = png(tiled(thumbnails, _columns(len(thumbnails))), compress_level=1)
    return Response(image, media_type="image/png", headers=KEPT_BY_BROWSER)


def _explanation(request: Request) -> tuple[RunFolder, tuple[Embedding, ...]]:
    index: Index = request.app.state.index
    folder = index.run(request.path_params["id"])
    found = index.explanation(request.path_params["id"])
    if found is None:
        raise UnknownError(f"{folder.path} has no explanation yet. Make it: firstlight explain {folder.path}")
    return folder, found.embeddings


def _version(folder: RunFolder) -> str:
    return f"{(folder.path / EXPLANATION).stat().st_mtime_ns:x}"


def _map(plane: Embedding, n: int, key: str, version: str) -> Json:
    count, height, width = plane.thumbnails.shape[:3]
    return {
        "name": METHODS.get(plane.method, plane.method),
        "made_by": plane.made_by,
        "layer": plane.layer,
        "features": plane.features,
        "seconds": plane.seconds,
        "x": np.round(plane.points[:, 0].astype(np.float64), 4).tolist(),
        "y": np.round(plane.points[:, 1].astype(np.float64), 4).tolist(),
        "splits": plane.splits.tolist(),
        "ids": plane.ids.tolist(),
        "labels": plane.labels.tolist(),
        "predicted": plane.predicted.tolist(),
        "confidence": np.round(plane.confidence.astype(np.float64), 4).tolist(),
        "sheet": {
            "src": f"/image/{key}/map/{n}.png?v={version}",
            "columns": _columns(count),
            "width": width,
            "height": height,
        },
        "silhouette": [plane.in_features.silhouette, plane.in_map.silhouette],
        "agreement": [plane.in_features.agreement, plane.in_map.agreement],
        "k": plane.in_map.k,
    }


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
            raise BusyError("Another run is being explained. Wait for it: two at once would slow both down.")
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
    Route("/api/runs/{id}/map", responses.endpoint(maps)),
    Route("/image/{id}/map/{n}.png", responses.endpoint(sheet)),
    Route("/api/runs/{id}/explain", responses.endpoint(explaining)),
    Route("/api/runs/{id}/explain", responses.endpoint(explain), methods=["POST"]),
]
