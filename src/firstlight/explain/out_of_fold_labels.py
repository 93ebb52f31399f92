"""Suspected label errors among all images: of each, what the net says that has not seen it, and what its neighbours.

The nets of a k-fold split have each left out other images, so that together they can be asked about all of them,
training images too. Two witnesses are heard: the net's probabilities, and the labels of the images that lie nearest in
its last hidden layer.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from firstlight.data.corrections import pixels_sha256
from firstlight.errors import RunError
from firstlight.explain.explained_run import Progress
from firstlight.explain.features import extract_features
from firstlight.explain.label_errors import WITNESSES, LabelCandidate, find_label_issues
from firstlight.explain.neighbours import nearest_rows
from firstlight.explain.net import Net
from firstlight.progress import unwatched
from firstlight.randomness import generator
from firstlight.records.label_issues import LabelIssues
from firstlight.records.out_of_fold import OutOfFold
from firstlight.types import Array, Dataset, Images

AMONG = 20_000  # images of the other folds, drawn by the seed, among which the nearest are sought
ASKED, LEAST = 0.25, 1000  # neighbours are asked about this share of the images, the least sure, or about so many
PICTURES, BESIDE = 60, 5  # doubts that are kept with their pixels, and with those of so many of their nearest images


def label_issues_out_of_fold(
    asked: OutOfFold,
    nets: Iterable[tuple[Net, Images]],
    dataset: Dataset,
    *,
    seed: int = 0,
    progress: Progress = unwatched,
) -> LabelIssues:
    """Suspected label errors, those that most deserve a look first.

    nets     of each fold, in order, its net, and all images as it was given them
    dataset  the same images as they were loaded

    Raises RunError where the images are not those of the record.
    """
    began = time.perf_counter()
    unsure = _least_sure(asked)
    k = min(WITNESSES, *(int((asked.folds != fold).sum()) for fold in np.unique(asked.folds)))
    nearest = np.full((len(asked), k), -1)
    for fold, (net, given) in enumerate(nets, 1):
        images = _in_order(asked, given, fold)
        own = np.flatnonzero(unsure & (asked.folds == fold))
        others = generator(seed, "labels", fold).permutation(np.flatnonzero(asked.folds != fold))[:AMONG]
        both = images.take(np.concatenate([own, others]))
        told = f"features of the images, fold {fold} of {len(asked.runs)}"
        features = extract_features(net, both, net.hidden, told, progress).features
        if len(own):
            nearest[own] = others[nearest_rows(features[len(own) :], features[: len(own)], k).indices]
        layer = net.hidden
    labels = np.where(nearest < 0, -1, asked.labels[nearest])
    doubts = find_label_issues(asked.predictions, labels)
    record = partial(_record, asked, doubts, nearest, images, layer)
    return record(_hashes(dataset, asked.ids[[doubt.index for doubt in doubts]]), time.perf_counter() - began)


def _least_sure(asked: OutOfFold) -> Array:
    """The images whose neighbours are asked, boolean (N,): those whose label has the smallest lead for their net."""
    rows = np.arange(len(asked))
    lead = asked.probabilities[rows, asked.labels].astype(np.float64)
    others = asked.probabilities.copy()
    others[rows, asked.labels] = 0
    lead -= others.max(axis=1)
    chosen = np.zeros(len(asked), bool)
    chosen[np.argsort(lead, kind="stable")[: max(LEAST, round(ASKED * len(asked)))]] = True
    return chosen


def _in_order(asked: OutOfFold, images: Images, fold: int) -> Images:
    """The images in the order of the record."""
    place = {sample: i for i, sample in enumerate(images.ids.tolist())}
    found = [place.get(sample, -1) for sample in asked.ids.tolist()]
    if min(found) < 0:
        missing = asked.ids[found.index(-1)]
        raise RunError(f"The run of fold {fold} has no image {missing}, which the out-of-fold predictions have.")
    return images.take(np.array(found))


def _hashes(dataset: Dataset, ids: Array) -> list[str]:
    """The hashes of images as they were loaded, by their ids."""
    place = {name: (images, i) for images in dataset.splits.values() for i, name in enumerate(images.ids.tolist())}
    return [pixels_sha256(images.pixels[i]) for images, i in (place[name] for name in ids.tolist())]


def _record(
    asked: OutOfFold,
    doubts: Sequence[LabelCandidate],
    nearest: Array,
    images: Images,
    layer: str,
    hashes: Sequence[str],
    seconds: float,
) -> LabelIssues:
    rows = np.array([doubt.index for doubt in doubts], np.int64)
    given, suggested = (np.array([getattr(d, name) for d in doubts], np.int64) for name in ("given", "suggested"))
    shown = rows[:PICTURES]
    return LabelIssues(
        images=len(asked),
        layer=layer,
        ids=asked.ids[rows],
        folds=asked.folds[rows],
        given=given,
        suggested=suggested,
        probabilities=np.stack([asked.probabilities[rows, given], asked.probabilities[rows, suggested]], axis=1),
        scores=np.array([doubt.score for doubt in doubts], np.float32),
        nearest_ids=asked.ids[nearest[rows]],
        nearest_labels=asked.labels[nearest[rows]],
        hashes=np.array(hashes, dtype=np.str_),
        pixels=images.pixels[shown],
        nearest_pixels=images.pixels[nearest[shown, :BESIDE]],
        class_names=asked.class_names,
        runs=asked.runs,
        seconds=seconds,
    )
