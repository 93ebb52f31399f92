"""Training and test images on a plane, and how far their classes lie apart."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

import numpy as np

from firstlight.data.decoding import resize
from firstlight.errors import DataError
from firstlight.explain.explained_run import ExplainedRun, Progress
from firstlight.explain.features import ImageFeatures, extract_features
from firstlight.explain.projection import FEWEST, project
from firstlight.explain.separation import class_separation
from firstlight.pixels import blocks
from firstlight.randomness import generator
from firstlight.records.explanation import Embedding
from firstlight.types import Array, Images

THUMBNAIL = 32


def embed(
    run: ExplainedRun, train: ImageFeatures, layer: str, made: Mapping[str, str], points: int, progress: Progress
) -> tuple[Embedding, ...]:
    """Training and test images on a plane, by each method."""
    test_images = run.splits["test"].take(run.drawn("test", points))
    test = extract_features(run.net, test_images, layer, "features of test images", progress)
    parts = {"train": train.take(_drawn(run, train.images, points)), "test": test}
    features, probabilities, labels, ids, pictures = (
        np.concatenate(arrays)
        for arrays in zip(
            *(
                (p.features, p.probabilities, p.images.labels, p.images.ids, thumbnails(p.images.pixels))
                for p in parts.values()
            ),
            strict=True,
        )
    )
    classes = len(run.class_names)
    in_features = class_separation(features, labels, classes, run.seed)
    found = []
    for method, by in made.items():
        began = time.perf_counter()
        plane = project(features, method, run.seed, partial(progress, f"embedding ({method})"))
        found.append(
            Embedding(
                method=method,
                made_by=by,
                layer=layer,
                features=features.shape[1],
                seconds=time.perf_counter() - began,
                points=plane,
                splits=np.repeat([*parts], [len(part.images) for part in parts.values()]),
                ids=ids,
                labels=labels,
                predicted=probabilities.argmax(axis=1),
                confidence=probabilities.max(axis=1),
                thumbnails=pictures,
                in_features=in_features,
                in_map=class_separation(plane, labels, classes, run.seed),
            )
        )
    return tuple(found)


def check_enough_images(run: ExplainedRun, candidates: Images, method: str, points: int) -> None:
    """Raise DataError where the images that would be on a map are too few for it, or all of one class."""
    if points < 1:
        raise DataError(f"An embedding needs at least 1 image of each split; received {points}.")
    train = candidates.labels[_drawn(run, candidates, points)]
    labels = np.concatenate((train, run.splits["test"].labels[run.drawn("test", points)]))
    if method != "pca" and len(labels) < FEWEST:
        raise DataError(
            f"{method} needs at least {FEWEST} images; {points} of each split are {len(labels)}. Take more."
        )
    if len(np.unique(labels)) < 2:
        name = run.class_names[int(labels[0])]
        raise DataError(
            f"An embedding shows how classes are separated; all its {len(labels)} images are of {name}. Take more."
        )


def _drawn(run: ExplainedRun, candidates: Images, points: int) -> Array:
    """Which of the candidates are on a map, in their order."""
    order = generator(run.seed, "explain", "map").permutation(len(candidates))
    return np.sort(order[:points])


def thumbnails(pixels: Array) -> Array:
    """Pixels uint8 (N, H, W, C), smaller where a side is longer than 32."""
    longer = max(THUMBNAIL, *pixels.shape[1:3])
    height, width = (max(1, round(side * THUMBNAIL / longer)) for side in pixels.shape[1:3])
    return np.concatenate([resize(block, (height, width)) for _, block in blocks(pixels)])
