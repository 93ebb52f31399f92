"""One picture as a run's net sees it: prepared as its images were, and what the net makes of it, layer by layer."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from firstlight.app.index import NO_NUMBERS
from firstlight.app.pages.draw.strokes import fitted
from firstlight.data.decoding import decode, formats, resize
from firstlight.errors import DataError, RunError
from firstlight.explain.net import Net, Place
from firstlight.prepare import Preparation
from firstlight.trained_run import Run
from firstlight.types import Array, Json, unlabelled

SIDE_LIMIT = 10_000  # of an upload: some decoders need much memory for a long side alone
PIXEL_LIMIT = 25_000_000  # of an upload, known before it is decoded
ENOUGH = 1024  # pixels of the longer side, from which a drawing is fitted
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

    Without `box` and `invert` they go the very way of `Run.predict`. Raises DataError where they are no image or too
    many pixels.
    """
    _must_be_small(data)
    pixels = decode(data, preparation.size if request.box is None else None)
    if request.invert:
        pixels = 255 - pixels
    if request.box is not None:
        longest = max(pixels.shape[:2])
        if longest > ENOUGH:
            height, width = (max(round(side * ENOUGH / longest), 1) for side in pixels.shape[:2])
            pixels = resize(pixels[None], (height, width))[0]
        pixels = fitted(pixels, request.box, preparation.size)
    return preparation.apply(unlabelled(pixels[None])).pixels[0]


def answer(run: Run, pixels: Array, request: DrawingRequest) -> Json:
    """What the net makes of prepared pixels uint8 (H, W, C), as JSON with arrays of bytes in base64.

    seen      {height, width, channels, pixels}
    layers    for each layer shown its path, type and units; how many `maps` of `height` × `width` of it stand in
              `values`, where the layers follow each other; 255 is the layer's `largest` value, and 0, or where
              `signed` 128, is 0
    saliency  height × width, 255 for the largest slope
    """
    row = run.predict(pixels[None])[0]
    if not np.isfinite(row).all():
        raise RunError(NO_NUMBERS)
    height, width, channels = pixels.shape
    seen = {"height": height, "width": width, "channels": channels, "pixels": _text(pixels)}
    found: Json = {"probabilities": row.astype(float).tolist(), "seen": seen, "layers": [], "values": ""}
    if not (request.maps or request.saliency):
        return found
    net = Net(run.session, run.task)
    shown = _shown(net) if request.maps else []
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


def _must_be_small(data: bytes) -> None:
    """Refuse an image of too many pixels by its head alone; what does not decode is left to the decoder to say."""
    try:
        with Image.open(BytesIO(data), formats=formats()) as file:
            pixels, longest = file.width * file.height, max(file.size)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        pixels = longest = PIXEL_LIMIT + 1
    except Exception:  # Pillow raises nearly anything on damaged bytes
        return
    if pixels > PIXEL_LIMIT:
        raise DataError(f"The image has more than {PIXEL_LIMIT // 1_000_000} million pixels. Scale it down first.")
    if longest > SIDE_LIMIT:
        raise DataError(f"The image has a side of {longest:,} pixels; at most {SIDE_LIMIT:,} are taken here.")


def _shown(net: Net) -> list[Place]:
    """The layers that are shown: all of a small net; of a deep one its blocks, evenly, and always the last."""
    places = list(net.shown.values())
    if len(places) > LAYERS_SHOWN:
        places = [place for place in places if "." not in place.path]
    if len(places) > LAYERS_SHOWN:
        places = [places[i] for i in np.linspace(0, len(places) - 1, LAYERS_SHOWN).round().astype(int)]
    return places


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
