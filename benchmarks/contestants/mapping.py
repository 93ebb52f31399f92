"""t-SNE of real images' features: by firstlight as `explain` does it, and by scikit-learn as its users do."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from firstlight import load
from firstlight.explain.projection import COMPONENTS, made_by, project
from firstlight.explain.separation import class_separation
from firstlight.types import Array, Json


def map_images(by: str, source: str, points: int, features: int) -> Json:
    """Seconds to put the first training images on a plane, and how their neighbours agree there and before.

    features  principal components of the pixels, which stand for a layer's values
    """
    images = load(source).splits["train"]
    flat = images.pixels.reshape(len(images), -1).astype(np.float32) / 255
    x, labels = PCA(features, random_state=0).fit_transform(flat)[:points], images.labels[:points]
    way, library = WAYS[by]
    way(x[:200])  # loads what is loaded late
    began = time.perf_counter()
    placed = way(x)
    seconds = time.perf_counter() - began
    classes = len(images.class_names)
    agreement = {
        name: class_separation(a, labels, classes, 0).agreement for name, a in (("before", x), ("after", placed))
    }
    return {"seconds": seconds, "library": library(), "agreement": agreement}


def _ours(x: Array) -> Array:
    return project(x, "t-sne", 0)


def _scikit(x: Array) -> Array:
    """Its defaults but for the cores, on as many principal components as ours."""
    return TSNE(random_state=0, n_jobs=-1).fit_transform(PCA(COMPONENTS, random_state=0).fit_transform(x))


WAYS: dict[str, tuple[Callable[[Array], Array], Callable[[], str]]] = {
    "ours": (_ours, lambda: made_by("t-sne")),
    "scikit-learn": (_scikit, lambda: made_by("pca")),
}
JOBS = {"map": map_images}
