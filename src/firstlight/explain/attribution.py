"""Which pixels an answer rests on: saliency, Grad-CAM and occlusion, each for a target class.

Images are prepared pixels uint8 (N, H, W, C).
"""

from __future__ import annotations

import numpy as np

from firstlight.engines import Trace
from firstlight.errors import ModelError
from firstlight.explain.explained_run import ExplainedRun, ImageRequest, Progress
from firstlight.explain.mistakes import confident_mistakes
from firstlight.explain.net import Net
from firstlight.layers.window import Pool2D
from firstlight.records.explanation import Attribution
from firstlight.types import Array, Images

_GREY = 127.5
WRONG, RIGHT = 5, 3  # mistakes and right answers that are looked into, beside the image that is asked for
_BATCH = 16  # images at a time, each of which occlusion shows a hundred times or more


def attribute(
    net: Net, images: Images, split: str = "", targets: Array | None = None, layer: str = ""
) -> list[Attribution]:
    """Look into prepared images; an image whose class is not known has an id of its own and the split "".

    targets  the class (N,) that is asked for; the predicted one of each image where none is given
    layer    the one that Grad-CAM is taken from; see `cam_layer`
    """
    found = []
    for start in range(0, len(images), _BATCH):
        index = np.arange(start, min(start + _BATCH, len(images)))
        part = images.take(index)
        wanted = None if targets is None else targets[index]
        found += _attributions(net, part, split, wanted, layer or cam_layer(net))
    return found


def attribute_examples(run: ExplainedRun, shown: ImageRequest, progress: Progress) -> tuple[Attribution, ...]:
    """The image that was asked for, the surest right answers of a few classes, and the most confident mistakes."""
    predictions = run.predictions["test"]
    wrong = confident_mistakes(predictions, run.class_names, count=WRONG)
    surest = np.argsort(-predictions.confidence, kind="stable")
    right = surest[predictions.correct[surest]]
    _, firsts = np.unique(predictions.labels[right], return_index=True)  # of each class its surest
    right = right[np.sort(firsts)[:RIGHT]]
    ids = [name for name in predictions.ids[np.concatenate((right, wrong))].tolist() if name != shown.image.ids[0]]
    targets = None if shown.target is None else np.array([shown.target])
    attributions = attribute(run.net, shown.image, shown.split, targets)
    for name in ids:
        progress("attribution", len(attributions), len(ids) + 1)
        attributions += attribute(run.net, run.images(["test"], [name]), "test")
    progress("attribution", len(attributions), len(attributions))
    return tuple(attributions)


def _attributions(net: Net, images: Images, split: str, targets: Array | None, layer: str) -> list[Attribution]:
    pixels = np.asarray(images.pixels)
    x = net.prepared(pixels)
    probabilities = net.probabilities(x)
    wanted = probabilities.argmax(axis=1) if targets is None else targets
    if layer:
        _must_have_maps(net, layer)
    trace = net.gradients(x, wanted, [layer] if layer else ())
    saliencies = saliency(net, trace, pixels)
    cams = grad_cam(trace, layer, *pixels.shape[1:3]).astype(np.float32) if layer else None
    return [
        Attribution(
            id=str(images.ids[i]),
            split=split,
            label=int(images.labels[i]) if split else -1,
            target=int(wanted[i]),
            probabilities=probabilities[i],
            pixels=pixels[i],
            saliency=saliencies[i].astype(np.float32),
            grad_cam=None if cams is None else cams[i],
            cam_layer=layer,
            occlusion=occlusion(net, pixels[i], int(wanted[i])).astype(np.float32),
        )
        for i in range(len(pixels))
    ]


def saliency(net: Net, trace: Trace, pixels: Array) -> Array:
    """The greatest |d output / d pixel| over the channels, (N, H, W), in units of output for one grey level of 255.

    From the trace of the target outputs. An output is what the loss takes: a logit, before any softmax (Simonyan et al.
    2014). It is the derivative with respect to the pixels that the net was given; resizing and greyscale came before.
    """
    assert trace.dx is not None, "cotangents were given"
    return np.abs(net.by_pixels(trace.dx, np.moveaxis(pixels, -1, 1))).max(axis=1)


def cam_layer(net: Net) -> str:
    """The last layer that gives maps larger than 1 × 1, poolings aside, which only coarsen them; "" without any."""
    places = [place for place in net.shown.values() if place.has_maps]
    sharp = [place for place in places if not isinstance(place.layer, Pool2D)]
    return next((place.path for place in reversed(sharp or places)), "")


def _must_have_maps(net: Net, layer: str) -> None:
    if not net.place(layer).has_maps:
        raise ModelError(
            f"Grad-CAM needs maps; {layer} gives {net.place(layer).shape}. "
            f"Take one of: {', '.join(path for path, place in net.shown.items() if place.has_maps) or 'none here'}."
        )


def grad_cam(trace: Trace, layer: str, height: int, width: int) -> Array:
    """max(Σₖ αₖ Aₖ, 0) with αₖ the mean gradient of the target's output by map Aₖ of a layer, (N, height, width).

    Selvaraju et al. 2017; from the trace of the target outputs, enlarged to the image bilinearly.
    """
    maps, gradients = (np.asarray(found[layer], np.float64) for found in (trace.values, trace.gradients))
    weighted = np.einsum("nc,nchw->nhw", gradients.mean(axis=(2, 3)), maps)
    return enlarged(np.maximum(weighted, 0), height, width)


def enlarged(maps: Array, height: int, width: int) -> Array:
    """Maps (N, h, w) as (N, height, width), bilinearly, with the corners of the pixels in the same places."""
    return _between(maps.shape[1], height) @ maps @ _between(maps.shape[2], width).T


def _between(size: int, wanted: int) -> Array:
    """The matrix (wanted, size) that draws `size` values out to `wanted`; beyond the outermost they stay the same."""
    at = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(size)), 0)


def occlusion(net: Net, pixels: Array, target: int) -> Array:
    """How much the target's probability falls when a patch is covered, (H, W): the mean of those that cover a pixel.

    Zeiler & Fergus 2014. A patch has a fifth of the image's sides, and moves by half of its own. What covers it is what
    the net takes for nothing: 0 in what it sees where the preparation takes a mean away (the training images' mean, or
    the image's own), and else mid-grey, since 0 would be the black that many images have round them anyway.
    """
    x = net.prepared(pixels[np.newaxis])
    height, width = pixels.shape[:2]
    patches = [
        (slice(top, top + patch_height), slice(left, left + patch_width))
        for patch_height, tops in [_windows(height)]
        for patch_width, lefts in [_windows(width)]
        for top in tops
        for left in lefts
    ]
    covered = np.repeat(x, len(patches) + 1, axis=0)  # the last one stays whole
    cover = _cover(net)
    for image, (rows, columns) in zip(covered, patches, strict=False):
        image[:, rows, columns] = cover[:, rows, columns]
    probabilities = net.probabilities(covered)[:, target].astype(np.float64)
    total, times = np.zeros((2, height, width))
    for drop, (rows, columns) in zip(probabilities[-1] - probabilities[:-1], patches, strict=True):
        total[rows, columns] += drop
        times[rows, columns] += 1
    return total / times


def _windows(size: int) -> tuple[int, list[int]]:
    """The side of a patch, and where patches begin so that every pixel of `size` is covered."""
    side = min(size, max(2, round(size / 5)))
    starts = [*range(0, size - side, max(1, side // 2)), size - side]
    return side, starts


def _cover(net: Net) -> Array:
    """What a patch is covered with, in what the net sees, (C, H, W)."""
    preparation = net.task.preparation
    if preparation.standardise != "none":
        return np.zeros(net.task.model.channels_first)
    scale, shift = preparation.scale_shift(np.float64)
    return _GREY * scale + shift
