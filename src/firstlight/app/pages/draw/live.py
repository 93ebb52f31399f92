"""One picture as a run's net sees it: what the net makes of it, layer by layer."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from firstlight import members
from firstlight.app.images import UPLOADS
from firstlight.errors import RunError
from firstlight.explain.net import Net, Place, fewer
from firstlight.members import NO_NUMBERS
from firstlight.prepare import Preparation, outside_image
from firstlight.trained_run import Run
from firstlight.types import Array, Json, unlabelled

LAYERS_SHOWN, MAPS_SHOWN, FEATURES_SHOWN, MAP_SIDE = 24, 64, 512, 32


@dataclass(frozen=True)
class DrawingRequest:
    """How a picture is to be prepared, and what is asked about it.

    box       scale and move what is drawn so that its longer side has so many pixels; None leaves the picture as it is
    invert    turn light and dark round first
    maps      answer with the values of the layers
    saliency  answer with the slope of the winning class by each pixel
    """

    box: float | None = None
    invert: bool = False
    maps: bool = False
    saliency: bool = False


def prepared(data: bytes, preparation: Preparation, request: DrawingRequest) -> Array:
    """The bytes of an image file as the net is given them, uint8 (H, W, C).

    Without `box` and `invert` they go the very way of `Run.predict`. Raises UnreadableImageError where they are no
    image or too large.
    """
    return outside_image(data, preparation, box=request.box, invert=request.invert, limits=UPLOADS)


def answer(run: Run, pixels: Array, request: DrawingRequest) -> Json:
    """What the net makes of prepared pixels uint8 (H, W, C), as JSON with arrays of bytes in base64.

    none_of_these  whether the picture is of none of the classes; null where the run does not tell
    seen      {height, width, channels, pixels}
    layers    for each layer shown its path, type and units; how many `maps` of `height` × `width` of it stand in
              `values`, where the layers follow each other; 255 is the layer's `largest` value, and 0, or where
              `signed` 128, is 0
    saliency  height × width, 255 for the largest slope
    """
    said = members.answers(run.members, unlabelled(pixels[None]))
    row = said.probabilities[0]
    if not np.isfinite(row).all():
        raise RunError(NO_NUMBERS)
    strange = None if said.strangeness is None else bool(said.strangeness[0] > 1)
    height, width, channels = pixels.shape
    seen = {"height": height, "width": width, "channels": channels, "pixels": _text(pixels)}
    probabilities = row.astype(float).tolist()
    found: Json = {"probabilities": probabilities, "none_of_these": strange, "seen": seen, "layers": [], "values": ""}
    if not (request.maps or request.saliency):
        return found
    net = Net(run.session, run.task)
    shown = fewer(net.shown.values(), LAYERS_SHOWN) if request.maps else []
    paths = [place.path for place in shown]
    x = net.prepared(pixels[None])
    if request.saliency:
        trace = net.gradients(x, np.array([row.argmax()]), paths)
        assert trace.dx is not None, "gradients were asked for"
        slopes = np.abs(net.by_pixels(trace.dx, np.moveaxis(pixels[None], -1, 1))[0]).max(axis=0)
        found["saliency"] = _text(_bytes(slopes, float(slopes.max()), signed=False))
    else:
        trace = run.session.trace(x, None, paths)
    if request.maps:
        found |= _packed(shown, trace.values)
    return found


def _packed(places: list[Place], values: Mapping[str, Array]) -> Json:
    """The layers' values of the first image: what they are, and one run of bytes for all."""
    layers, parts = [], []
    for place in places:
        y = values[place.path][0]
        units = len(y)
        if place.has_maps:
            steps = [-(-side // MAP_SIDE) for side in y.shape[1:]]
            maps = y[:MAPS_SHOWN, :: steps[0], :: steps[1]]
        else:
            maps = y.reshape(units, 1, 1)[:FEATURES_SHOWN]
        signed = bool(y.min() < 0)
        largest = float(np.abs(y).max())
        parts.append(_bytes(maps, largest, signed).tobytes())
        n, height, width = maps.shape
        silent = int((y.reshape(units, -1) == 0).all(axis=1).sum())
        about = {"path": place.path, "type": place.type, "units": units, "signed": signed, "largest": largest}
        layers.append({**about, "silent": silent, "maps": n, "height": height, "width": width})
    return {"layers": layers, "values": base64.b64encode(b"".join(parts)).decode()}


def _bytes(values: Array, largest: float, signed: bool) -> Array:
    """Values as uint8: 0 to `largest` as 0 to 255, or −largest to largest as 1 to 255."""
    factor = (127 if signed else 255) / largest if largest > 0 else 0.0
    return np.rint(values * factor + (128 if signed else 0)).astype(np.uint8)


def _text(pixels: Array) -> str:
    return base64.b64encode(pixels.tobytes()).decode()
