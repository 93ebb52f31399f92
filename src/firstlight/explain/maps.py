"""Training and test images on a plane, and how far their classes lie apart."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

import numpy as np

from firstlight.data.decode import resize
from firstlight.explain.embedding import project
from firstlight.explain.separation import separation
from firstlight.explain.subject import Seen, Subject, Watch, seen
from firstlight.explanations import Map
from firstlight.randomness import generator
from firstlight.types import Array

THUMBNAIL = 32


def maps(
    subject: Subject, train: Seen, layer: str, made: Mapping[str, str], points: int, tell: Watch
) -> tuple[Map, ...]:
    """Training and test images on a plane, by each method."""
    test_images = subject.splits["test"].take(subject.drawn("test", points))
    test = seen(subject.net, test_images, layer, "test images", tell)
    order = generator(subject.seed, "explain", "map").permutation(len(train.images))
    parts = {"train": train.take(np.sort(order[:points])), "test": test}
    features, probabilities, labels, ids, pixels = (
        np.concatenate(arrays)
        for arrays in zip(
            *((p.features, p.probabilities, p.images.labels, p.images.ids, p.images.pixels) for p in parts.values()),
            strict=True,
        )
    )
    classes = len(subject.class_names)
    in_features = separation(features, labels, classes, subject.seed)
    found = []
    for method, by in made.items():
        began = time.perf_counter()
        plane = project(features, method, subject.seed, partial(tell, f"map ({method})"))
        found.append(
            Map(
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
                thumbnails=thumbnails(pixels),
                in_features=in_features,
                in_map=separation(plane, labels, classes, subject.seed),
            )
        )
    return tuple(found)


def thumbnails(pixels: Array) -> Array:
    """Pixels uint8 (N, H, W, C), smaller where a side is longer than 32."""
    longer = max(pixels.shape[1:3])
    if longer <= THUMBNAIL:
        return pixels
    height, width = (max(1, round(side * THUMBNAIL / longer)) for side in pixels.shape[1:3])
    return resize(pixels, (height, width))
