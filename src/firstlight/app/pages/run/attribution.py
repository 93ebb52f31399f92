"""One image of a run: its probabilities, where the net looked, and what its layers gave."""

from __future__ import annotations

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from firstlight.app import images
from firstlight.app.index import Index
from firstlight.app.server import responses
from firstlight.errors import RunError
from firstlight.image_encoding import data_uri, png
from firstlight.members import NO_NUMBERS
from firstlight.records.explanation import Attribution, LayerMaps
from firstlight.report.render import colours
from firstlight.report.sections.attribution import shifts
from firstlight.types import Array, Images, Json

MAPS_SHOWN = 64  # of a layer
COLUMNS = 16  # maps in a row
SIDE = 64  # pixels; larger maps are shown reduced
FEATURES_WIDE = 64  # features in a row


def looked(request: Request) -> Response:
    """The probabilities of an image, and where the net looked to answer for a class."""
    index: Index = request.app.state.index
    key = request.path_params["id"]
    image = _image(request)
    target = request.query_params.get("target", "")
    run = index.opened(key)
    look = run.attribution(image.pixels[0], images.class_number(target, run.class_names))
    return responses.reply(_look(look, image))


def layers(request: Request) -> Response:
    """The feature maps of an image, a picture a layer."""
    index: Index = request.app.state.index
    key = request.path_params["id"]
    image = _image(request)
    found = index.opened(key).feature_maps(image.pixels[0])
    return responses.reply({"layers": [_layer(layer) for layer in found]})


def _image(request: Request) -> Images:
    asked = request.query_params
    position = images.number(asked.get("index", ""))
    index: Index = request.app.state.index
    return images.one(
        index, request.path_params["id"], asked.get("source", "own"), asked.get("split", "test"), position
    )


def _look(look: Attribution, image: Images) -> Json:
    if not np.isfinite(look.probabilities).all():
        raise RunError(NO_NUMBERS)
    extent = float(np.abs(look.occlusion).max(initial=0))
    fall, rise = shifts(look)
    views = [
        {
            "name": "Saliency",
            "text": "how strongly the prediction depends on each pixel; yellow is strongest",
            "image": _uri(colours.amounts(look.saliency, float(look.saliency.max(initial=0)))),
        },
        {
            "name": "Occlusion",
            "text": f"orange: covered, the probability falls ({fall}); blue: it rises ({rise})",
            "image": _uri(colours.signed(look.occlusion, extent)),
        },
    ]
    if look.grad_cam is not None:
        text = f"where the evidence lay, by {look.cam_layer}" if look.grad_cam.any() else "no evidence for this class"
        cam = {"name": "Grad-CAM", "text": text, "image": _uri(colours.over(look.pixels, look.grad_cam))}
        views.insert(1, cam)
    return {
        "id": str(image.ids[0]),
        "label": int(image.labels[0]),
        "target": look.target,
        "probabilities": [float(p) for p in look.probabilities],
        "views": views,
    }


def _layer(layer: LayerMaps) -> Json:
    """A layer's maps beside each other on its one scale; its features as rows of cells."""
    values = layer.maps[:MAPS_SHOWN] if layer.has_maps else _rows(layer.maps.reshape(-1))
    finite = np.abs(values[np.isfinite(values)])
    most = float(finite.max(initial=0))
    signed = bool(finite.size and np.nanmin(values) < 0)
    coloured = colours.signed(values, most) if signed else colours.amounts(values, most)
    low, high = (float(np.nan_to_num(end)) for end in (layer.maps.min(), layer.maps.max()))
    flat = not layer.has_maps
    return {
        "layer": layer.layer,
        "type": layer.type,
        "units": layer.units,
        "shown": layer.maps.size if flat else len(values),
        "size": None if flat else list(layer.maps.shape[1:]),
        "low": low,
        "high": high,
        "image": _uri(coloured[0] if flat else _side_by_side(coloured), transparent=not flat),
    }


def _rows(values: Array) -> Array:
    """Features (I,) as one map (1, rows, columns), as even as they come."""
    rows = -(-len(values) // FEATURES_WIDE)
    columns = -(-len(values) // rows)
    cells = np.zeros((1, rows, columns), np.float32)
    cells.flat[: len(values)] = values
    return cells


def _side_by_side(maps: Array) -> Array:
    """Pictures uint8 (n, h, w, 3) in rows, with a pixel between them that can be seen through: (H, W, 4)."""
    step = max(1, -(-max(maps.shape[1:3]) // SIDE))
    maps = maps[:, ::step, ::step]
    n, h, w, _ = maps.shape
    columns = min(n, COLUMNS)
    sheet = np.zeros((-(-n // columns) * (h + 1) - 1, columns * (w + 1) - 1, 4), np.uint8)
    for i in range(n):
        top, left = (i // columns) * (h + 1), (i % columns) * (w + 1)
        sheet[top : top + h, left : left + w, :3] = maps[i]
        sheet[top : top + h, left : left + w, 3] = 255
    return sheet


def _uri(pixels: Array, transparent: bool = False) -> str:
    return data_uri(png(pixels))


routes: list[BaseRoute] = [
    Route("/api/runs/{id}/look", responses.endpoint(looked, inference=True)),
    Route("/api/runs/{id}/layers", responses.endpoint(layers, inference=True)),
]
