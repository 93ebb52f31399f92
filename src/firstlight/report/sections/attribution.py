"""Attribution: which pixels an answer rests on, by saliency, Grad-CAM and occlusion, beside the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from firstlight.records.explanation import Attribution, Explanation
from firstlight.records.group import Group
from firstlight.report.document import Block, ImageGrid, Picture, Section, Text
from firstlight.report.explanation import answered, explained
from firstlight.report.render.colours import amounts, over, signed

KIND = "attribution"
SHOWN = 12


def numbers(group: Group) -> tuple[Attribution, ...]:
    """The attributions of an explained run."""
    found = explained([group])
    return found[1].attributions if found else ()


def section(groups: Sequence[Group]) -> Section | None:
    found = numbers(groups[0]) if len(groups) == 1 else ()
    return Section("Attribution", "looks", blocks(found, groups[0].first.class_names)) if found else None


def card(explanation: Explanation, class_names: Sequence[str]) -> tuple[Block, ...]:
    """What a card shows of an explanation without its run."""
    return blocks(explanation.attributions, class_names)


def blocks(found: Sequence[Attribution], class_names: Sequence[str]) -> tuple[Block, ...]:
    """Rows of an image and its attributions; those without feature maps, and so without Grad-CAM, by themselves."""
    made: list[Block] = []
    for cam in (True, False):
        shown = [one for one in found[:SHOWN] if (one.grad_cam is not None) == cam]
        if shown:
            pictures = tuple(picture for one in shown for picture in _row(one, class_names))
            columns = 2 * len(_row(shown[0], class_names))
            made.append(ImageGrid(pictures, columns=columns, caption=caption(shown), kind=KIND))
    return (Text(_LIMITS), *made) if made else ()


_LIMITS = (
    "Three methods that show on which pixels a prediction depends. They often disagree, and none of them is an "
    "explanation: they show where a change would matter to this net, not why, and a net may look at the right place "
    "for the wrong reason. Trust what all of them show for several images."
)


def caption(shown: Sequence[Attribution]) -> str:
    """What the columns are."""
    layers = dict.fromkeys(one.cam_layer for one in shown if one.cam_layer)
    cam = (
        f"Grad-CAM ({', '.join(layers)}), overlaid on the image: the more orange, the more evidence for the class. "
        if shown[0].grad_cam is not None
        else "There is no Grad-CAM, as this net has no feature maps to compute it from. "
    )
    return (
        "From left to right: the image with the prediction and its probability. Saliency: how much the output would "
        f"change with each pixel, from dark violet, not at all, to yellow. {cam}Occlusion: orange where the "
        "probability falls when a patch is covered, blue where it rises, nearly white where it does not change; the "
        "number is the largest drop. Each map has its own scale. Look for predictions that depend on the background, "
        "on the border or on one corner."
    )


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


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd attributions, by what is odd."""
    draw = np.random.default_rng(0)
    field = draw.normal(size=(6, 5)).astype(np.float32)
    p = np.array([0.7, 0.3], np.float32)
    pixels = draw.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    one = Attribution("test/1", "test", 0, 0, p, pixels, np.abs(field), np.abs(field), "relu1", field)
    nothing = np.zeros_like(field)
    odd = {
        "right": one,
        "wrong, of another class": replace(one, label=1, target=1),
        "unknown": replace(one, label=-1, split=""),
        "no maps": replace(one, grad_cam=None, cam_layer=""),
        "nothing": replace(one, saliency=nothing, grad_cam=nothing, occlusion=nothing),
    }
    return {name: blocks([found], ("<b>cat", "dog")) for name, found in odd.items()}
