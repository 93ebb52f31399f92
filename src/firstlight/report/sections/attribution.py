"""Which pixels an answer rests on: an image beside its saliency, Grad-CAM and occlusion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firstlight.records.explanation import Attribution, Explanation
from firstlight.report.document import Block, ImageGrid, Picture, Text
from firstlight.report.format import percent
from firstlight.report.render.colours import amounts, over, signed

SHOWN = 12


def blocks(explanation: Explanation, class_names: Sequence[str]) -> list[Block]:
    """Rows of an image and where the net looked; of a net without feature maps, without Grad-CAM."""
    shown = explanation.attributions[:SHOWN]
    if not shown:
        return []
    blocks: list[Block] = [Text(_LIMITS)]
    for cam in (True, False):
        seen = [one for one in shown if (one.grad_cam is not None) == cam]
        if seen:
            pictures = tuple(picture for one in seen for picture in _row(one, class_names))
            blocks.append(ImageGrid(pictures, columns=2 * len(_row(seen[0], class_names)), caption=_read(seen)))
    return blocks


_LIMITS = (
    "Three ways to ask which pixels an answer rests on. They often disagree, and none of them is a reason: they show "
    "where a change would matter to this net, not why, and a net may look at the right place for the wrong cause. "
    "Trust what all of them say of several images."
)


def _read(seen: Sequence[Attribution]) -> str:
    """What the columns are."""
    layers = dict.fromkeys(one.cam_layer for one in seen if one.cam_layer)
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


def answered(one: Attribution, class_names: Sequence[str]) -> Picture:
    """The image with the net's answer."""
    predicted = int(one.probabilities.argmax())
    right = None if one.label < 0 else predicted == one.label
    detail = percent(float(one.probabilities[predicted]), 0)
    if right is False:
        detail += f", true: {class_names[one.label]}"
    return Picture(one.pixels, class_names[predicted], detail, right)


def _row(one: Attribution, class_names: Sequence[str]) -> list[Picture]:
    asked = "" if one.target == one.probabilities.argmax() else f"for {class_names[one.target]}"
    row = [
        answered(one, class_names),
        Picture(amounts(one.saliency, float(one.saliency.max(initial=0))), "saliency", asked),
    ]
    if one.grad_cam is not None:
        nothing = "" if one.grad_cam.any() else "no evidence"
        row.append(Picture(over(one.pixels, one.grad_cam), "Grad-CAM", ", ".join(filter(None, [asked, nothing]))))
    extent = float(np.abs(one.occlusion).max(initial=0))
    fall = float(one.occlusion.max(initial=0))
    shown = f"−{fall:.2f}" if fall >= 0.005 else "less than 0.01"
    row.append(Picture(signed(one.occlusion, extent), "occlusion", ", ".join(filter(None, [asked, shown]))))
    return row


def shifts(one: Attribution) -> tuple[str, str]:
    """How far the probability falls, and how far it rises, where a patch is covered: "by at most 0.12"."""
    furthest = float(one.occlusion.max(initial=0)), -float(one.occlusion.min(initial=0))
    fall, rise = (f"by at most {value:.2f}" if value >= 0.005 else "by less than 0.01" for value in furthest)
    return fall, rise
