"""One image on a sheet: what the net said of it, where it looked, and what every layer made of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from firstlight.data.contact_sheet import shortened, svg_text
from firstlight.design_tokens import SHEET
from firstlight.errors import ReportError
from firstlight.image_encoding import data_uri, resized_png
from firstlight.records.explanation import Attribution, LayerMaps
from firstlight.report.format import counted, percent, shape
from firstlight.report.render import vega_process
from firstlight.report.render.colours import amounts, over, signed
from firstlight.report.sections.attribution import shifts
from firstlight.types import Array

_WIDTH, _MARGIN, _GAP = 980, 28, 8
_PANEL = 168  # the longer side of a picture of the first row
_COLUMNS, _MOST = 16, 32  # maps beside each other, and of a layer
_BARS = 5
_LINE = 16  # from one line of a caption to the next
_SCALE = 2  # pixels of the sheet for one of its units

_text = partial(svg_text, size=13, colour=SHEET["text"])
_short = partial(shortened, most=60)


def attribution_sheet(one: Attribution, maps: Sequence[LayerMaps], class_names: Sequence[str]) -> bytes:
    """Return a PNG: the image with its probabilities, saliency, Grad-CAM and occlusion, and the maps of every layer.

    The true class is blue, where it is known, and a wrong answer red. Raises ReportError where it cannot be drawn.
    """
    parts = [*_head(one, class_names), *_panels(one, class_names)]
    top = _MARGIN + 56 + _PANEL + 44 + 2 * _LINE
    for layer in maps:
        drawn, height = _layer(layer, top)
        parts += drawn
        top += height
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top + _MARGIN}">'
    paper = f'<rect width="{_WIDTH}" height="{top + _MARGIN}" fill="{SHEET["paper"]}"/>'
    try:
        sheet = vega_process.render("svg_to_png", svg=f"{head}{paper}{''.join(parts)}</svg>", scale=_SCALE)
    except vega_process.ChartError as error:
        raise ReportError(f"The sheet of {one.id} cannot be drawn: {error}.") from None
    return base64.b64decode(sheet)


def _head(one: Attribution, class_names: Sequence[str]) -> list[str]:
    predicted = int(one.probabilities.argmax())
    title = f"{_short(class_names[predicted])}, {percent(float(one.probabilities[predicted]), 0)}"
    colour = SHEET["ink"]
    if one.label >= 0:
        colour = SHEET["true"] if one.label == predicted else SHEET["wrong"]
        title += "" if one.label == predicted else f"; true: {_short(class_names[one.label])}"
    asked = "" if one.target == predicted else f", asked for {_short(class_names[one.target])}"
    return [
        svg_text(_MARGIN, _MARGIN + 16, title, 20, colour),
        _text(_MARGIN, _MARGIN + 36, f"{_short(one.id)}{asked}"),
    ]


def _panels(one: Attribution, class_names: Sequence[str]) -> Iterator[str]:
    """The first row: pictures with what they are below them, then bars of the likeliest classes."""
    top, left = _MARGIN + 56, _MARGIN
    extent = float(np.abs(one.occlusion).max(initial=0))
    fall, rise = shifts(one)
    saliency = amounts(one.saliency, float(one.saliency.max(initial=0)))
    pictures: list[tuple[Array, list[str]]] = [(one.pixels, ["the image"]), (saliency, ["saliency"])]
    if one.grad_cam is not None:
        nothing = [] if one.grad_cam.any() else ["no evidence for this class"]
        pictures.append((over(one.pixels, one.grad_cam), ["Grad-CAM", shortened(one.cam_layer, 26), *nothing]))
    occlusion = ["occlusion: the probability", f"orange: falls {fall}", f"blue: rises {rise}"]
    pictures.append((signed(one.occlusion, extent), occlusion))
    for pixels, caption in pictures:
        width, height = _fitted(pixels, _PANEL)
        yield _picture(left, top, width, height, pixels)
        for line, text in enumerate(caption):
            yield _text(left, top + _PANEL + 18 + line * _LINE, text)
        left += _PANEL + _GAP
    for place, k in enumerate(np.argsort(-one.probabilities, kind="stable")[:_BARS]):
        y, share = top + place * 34, float(one.probabilities[k])
        wrong = k == one.probabilities.argmax() and one.label >= 0
        colour = SHEET["true"] if k == one.label else SHEET["wrong"] if wrong else SHEET["other"]
        yield _text(left + _GAP, y + 12, f"{shortened(class_names[k], 24)} {percent(share)}")
        bar = max(1.0, share * (_WIDTH - _MARGIN - left - _GAP))
        yield f'<rect x="{left + _GAP}" y="{y + 17}" width="{bar:.1f}" height="8" fill="{colour}"/>'


def _layer(layer: LayerMaps, top: int) -> tuple[list[str], int]:
    """A layer's name above its maps, all on one scale; its height."""
    _, height, width = layer.maps.shape
    vector = not layer.has_maps
    shown = layer.maps[:_MOST]
    size = layer.units if vector else (layer.units, height, width)
    left_out = "" if vector or len(shown) == layer.units else f"; the first {len(shown)} of them"
    what = counted(layer.units, "feature") if vector else shape(size)
    values = f"{shown.min():.3g} to {shown.max():.3g}"
    parts = [_text(_MARGIN, top + 12, f"{layer.layer} · {layer.type} · {what}{left_out} · {values}")]
    signs = bool(shown.min() < 0)
    extent = float(np.abs(shown).max(initial=0))
    cell = (_WIDTH - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) // _COLUMNS
    if vector:
        strip = signed(shown[0], extent) if signs else amounts(shown[0], extent)
        parts.append(_picture(_MARGIN, top + 20, _WIDTH - 2 * _MARGIN, 20, strip))
        return parts, 56
    for i, values_of_map in enumerate(shown):
        colours = signed(values_of_map, extent) if signs else amounts(values_of_map, extent)
        x, y = _MARGIN + i % _COLUMNS * (cell + _GAP), top + 20 + i // _COLUMNS * (cell + _GAP)
        parts.append(_picture(x, y, *_fitted(colours, cell), colours))
    return parts, 20 + -(-len(shown) // _COLUMNS) * (cell + _GAP) + 14


def _fitted(pixels: Array, longest: int) -> tuple[int, int]:
    """The width and height of an image whose longer side is `longest`."""
    height, width = pixels.shape[:2]
    return max(1, longest * width // max(height, width)), max(1, longest * height // max(height, width))


def _picture(x: int, y: int, width: int, height: int, pixels: Array) -> str:
    """Pixels uint8 (H, W, C) at a place, each seen as what it is."""
    source = data_uri(resized_png(pixels, width * _SCALE, height * _SCALE))
    return f'<image x="{x}" y="{y}" width="{width}" height="{height}" href="{source}"/>'
