"""The map of a run's images, and the making of its explanation in a process of its own."""

from __future__ import annotations

import io
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from firstlight.app import processes, server
from firstlight.app.library import BusyError, Library, UnknownError
from firstlight.app.pictures import KEPT_BY_BROWSER, number
from firstlight.records.explanation import EXPLANATION, Embedding
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array, Json

LINES_TOLD = 12  # of what the process printed
BEGINNING = threading.Lock()
METHODS = {"pca": "PCA", "t-sne": "t-SNE", "umap": "UMAP"}


def maps(request: Request) -> Response:
    """The points of every map of a run, and the images that stand for them as one sheet each."""
    folder, found = _explanation(request)
    version = _version(folder)
    return server.reply({"maps": [_map(plane, n, request.path_params["id"], version) for n, plane in enumerate(found)]})


def sheet(request: Request) -> Response:
    """The small images of a map in rows, from left to right and top to bottom, as a PNG."""
    _, found = _explanation(request)
    n = number(request.path_params["n"])
    if n >= len(found):
        raise UnknownError(f"There are {len(found)} maps; there is no number {n}.")
    return Response(_sheet(found[n].thumbnails), media_type="image/png", headers=KEPT_BY_BROWSER)


def _explanation(request: Request) -> tuple[RunFolder, tuple[Embedding, ...]]:
    library: Library = request.app.state.library
    folder = library.run(request.path_params["id"])
    found = library.explanation(request.path_params["id"])
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


def _sheet(thumbnails: Array) -> bytes:
    from PIL import Image

    n, h, w, channels = thumbnails.shape
    columns = _columns(n)
    pixels = np.zeros((-(-n // columns) * columns, h, w, channels), np.uint8)
    pixels[:n] = thumbnails
    rows = pixels.reshape(-1, columns, h, w, channels).swapaxes(1, 2).reshape(-1, columns * w, channels)
    buffer = io.BytesIO()
    Image.fromarray(rows[:, :, 0] if channels == 1 else rows).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@dataclass(eq=False)
class Making:
    """A `firstlight explain` under way, and what it printed so far."""

    process: subprocess.Popen[bytes]
    lines: list[str]

    @classmethod
    def begin(cls, run: Path) -> Making:
        """Start it; its output is read in a thread of its own."""
        making = cls(processes.firstlight("explain", "--", str(run.resolve()), output=subprocess.PIPE), [])
        threading.Thread(target=making._read, daemon=True).start()
        return making

    def _read(self) -> None:
        with self.process:  # waits for its end
            for line in self.process.stdout or ():
                self.lines.append(line.decode("utf-8", "replace").rstrip())
                del self.lines[:-LINES_TOLD]

    def told(self) -> Json:
        code = self.process.poll()
        state = "making" if code is None else "made" if code == 0 else "failed"
        return {"state": state, "lines": [line for line in self.lines if line]}


def explain(request: Request) -> Response:
    """Begin to make the explanation of a run, unless that is under way."""
    makings: dict[str, Making] = request.app.state.makings
    library: Library = request.app.state.library
    key = request.path_params["id"]
    folder = library.run(key)
    _ = folder.result  # an unfinished run says so
    with BEGINNING:
        if any(making.process.poll() is None for other, making in makings.items() if other != key):
            raise BusyError("Another run is being explained. Wait for it: two at once would slow both down.")
        if key not in makings or makings[key].process.poll() is not None:
            makings[key] = Making.begin(folder.path)
    return server.reply(makings[key].told(), 202)


def explaining(request: Request) -> Response:
    """How far the explanation of a run is."""
    library: Library = request.app.state.library
    key = library.place(request.path_params["id"]).id
    makings: dict[str, Making] = request.app.state.makings
    there = (library.place(key).path / EXPLANATION).is_file()
    making = makings.get(key)
    if making is None:
        return server.reply({"state": "made" if there else "none", "lines": []})
    told = making.told()
    if told["state"] == "made":
        makings.pop(key, None)  # from now on the file alone tells: it may be removed
        told["state"] = "made" if there else "none"
    return server.reply(told)


routes: list[BaseRoute] = [
    Route("/api/runs/{id}/map", server.of_folder(maps)),
    Route("/image/{id}/map/{n}.png", server.of_folder(sheet)),
    Route("/api/runs/{id}/explain", server.of_folder(explaining)),
    Route("/api/runs/{id}/explain", server.of_folder(explain), methods=["POST"]),
]
