"""Where a net looks: an image beside its saliency, Grad-CAM and occlusion, and the images that units answer to most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firstlight.records.explanation import Explanation, Ideal, Look
from firstlight.report.activations import number
from firstlight.report.document import Block, Heading, ImageGrid, Picture, Text
from firstlight.report.format import percent
from firstlight.report.render.colours import amounts, over, signed

LOOKS = 12
IDEALS = 32


def looks(explanation: Explanation, class_names: Sequence[str]) -> list[Block]:
    """Rows of an image and where the net looked; of a net without feature maps, without Grad-CAM."""
    shown = explanation.looks[:LOOKS]
    if not shown:
        return []
    blocks: list[Block] = [Text(_LIMITS)]
    for cam in (True, False):
        seen = [look for look in shown if (look.grad_cam is not None) == cam]
        if seen:
            pictures = tuple(picture for look in seen for picture in _row(look, class_names))
            blocks.append(ImageGrid(pictures, columns=2 * len(_row(seen[0], class_names)), caption=_read(seen)))
    return blocks


_LIMITS = (
    "Three ways to ask which pixels an answer rests on. They often disagree, and none of them is a reason: they show "
    "where a change would matter to this net, not why, and a net may look at the right place for the wrong cause. "
    "Trust what all of them say of several images."
)


def _read(seen: Sequence[Look]) -> str:
    """What the columns are."""
    layers = dict.fromkeys(look.cam_layer for look in seen if look.cam_layer)
    cam = (
        f"Grad-CAM ({', '.join(layers)}), laid over the image: the more orange, the more evidence lay there. "
        if seen[0].grad_cam is not None
        else "There is no Grad-CAM, as this net has no feature maps to take it from. "
    )
    return (
        "From left to right: the image with the answer and its probability. Saliency: how much the output would change "
        f"with each pixel, from dark violet, not at all, to yellow. {cam}Occlusion: orange where the probability falls "
        "when a patch is covered, blue where it rises, nearly white where it stays; the number is the greatest fall. "
        "Each picture has its own scale. Look for answers that rest on the background, on the border or on one corner."
    )


def answered(look: Look, class_names: Sequence[str]) -> Picture:
    """The image with the net's answer."""
    predicted = int(look.probabilities.argmax())
    right = None if look.label < 0 else predicted == look.label
    detail = percent(float(look.probabilities[predicted]), 0)
    if right is False:
        detail += f", true: {class_names[look.label]}"
    return Picture(look.pixels, class_names[predicted], detail, right)


def _row(look: Look, class_names: Sequence[str]) -> list[Picture]:
    asked = "" if look.target == look.probabilities.argmax() else f"for {class_names[look.target]}"
    row = [
        answered(look, class_names),
        Picture(amounts(look.saliency, float(look.saliency.max(initial=0))), "saliency", asked),
    ]
    if look.grad_cam is not None:
        nothing = "" if look.grad_cam.any() else "no evidence"
        row.append(Picture(over(look.pixels, look.grad_cam), "Grad-CAM", ", ".join(filter(None, [asked, nothing]))))
    extent = float(np.abs(look.occlusion).max(initial=0))
    fall = float(look.occlusion.max(initial=0))
    shown = f"−{fall:.2f}" if fall >= 0.005 else "less than 0.01"
    row.append(Picture(signed(look.occlusion, extent), "occlusion", ", ".join(filter(None, [asked, shown]))))
    return row


def shifts(look: Look) -> tuple[str, str]:
    """How far the probability falls, and how far it rises, where a patch is covered: "by at most 0.12"."""
    furthest = float(look.occlusion.max(initial=0)), -float(look.occlusion.min(initial=0))
    fall, rise = (f"by at most {value:.2f}" if value >= 0.005 else "by less than 0.01" for value in furthest)
    return fall, rise


def ideals(found: Sequence[Ideal]) -> list[Block]:
    """The images that units answer to most strongly."""
    if not found:
        return []
    blocks: list[Block] = [Heading("What units answer to most"), Text(_READ_IDEALS)]
    for layer in dict.fromkeys(ideal.layer for ideal in found):
        of_layer = [ideal for ideal in found if ideal.layer == layer]
        pictures = tuple(
            Picture(ideal.pixels, _unit(ideal), f"{number(ideal.value)} ({number(ideal.typical)})")
            for ideal in of_layer[:IDEALS]
        )
        left = f", the first {len(pictures)} of {len(of_layer)}" if len(pictures) < len(of_layer) else ""
        caption = f"{layer}{left}: what a unit gives for its picture, in brackets the most for any test image."
        blocks.append(ImageGrid(pictures, columns=8, caption=caption))
    return blocks


def _unit(ideal: Ideal) -> str:
    return ideal.name.removeprefix(f"{ideal.layer}, ") or f"unit {ideal.unit}"


_READ_IDEALS = (
    "Images made for single units: from grey, each pixel is moved to where the unit gives more. Where a unit gives far "
    "more for its picture than for any real image, it can be pleased by what no one would call an image of the class. "
    "Texture without shape says that the net never needed the shape; a picture is no proof of what a unit means."
)
