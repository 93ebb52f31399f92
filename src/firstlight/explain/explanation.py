"""The whole of an explanation: a net, its images and its predictions go in, the record that a run keeps comes out."""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from firstlight.explain.activation_maximization import maximizing_images, shown_units
from firstlight.explain.activation_statistics import compute_activation_statistics
from firstlight.explain.attribution import attribute_examples
from firstlight.explain.embedding import check_enough_images, embed
from firstlight.explain.explained_run import ExplainedRun, ImageRequest, Progress
from firstlight.explain.feature_maps import compute_feature_maps
from firstlight.explain.features import extract_features
from firstlight.explain.filters import first_filters
from firstlight.explain.label_errors import label_issues
from firstlight.explain.mistakes import confident_mistakes
from firstlight.explain.neighbours import candidates, nearest_to_mistakes
from firstlight.explain.projection import made_by
from firstlight.progress import unwatched
from firstlight.records.explanation import Explanation

POINTS = 1000  # of the training and of the test images each, on a map
MISTAKES = 12


def explain(
    run: ExplainedRun,
    *,
    request: ImageRequest | None = None,
    layer: str | None = None,
    method: str = "t-sne",
    points: int = POINTS,
    progress: Progress = unwatched,
) -> Explanation:
    """Examine a run.

    request  the image that is looked into first, and whose feature maps are kept; otherwise the test image that was
             recognized with the highest confidence
    layer    whose values say which images are similar; the last hidden one otherwise
    method   "t-sne", "umap", or "pca", which is made in any case
    points   how many training and how many test images are on a map
    Raises ModelError for an unknown layer, ExperimentError for a method that is unknown or not installed, DataError
    where a map would have too few images.
    """
    began = time.perf_counter()
    net = run.net
    made = {name: made_by(name) for name in dict.fromkeys(("pca", method))}
    chosen = net.place(layer or net.hidden).path
    train_images = candidates(run, points)
    check_enough_images(run, train_images, method, points)
    looked = run.sample()
    found = compute_activation_statistics(net, looked.pixels, partial(progress, "activation statistics"))
    shown = request or _most_confident_correct(run)
    train = extract_features(net, train_images, chosen, "features of training images", progress)
    wrong = confident_mistakes(run.predictions["test"], run.class_names, count=MISTAKES)
    return Explanation(
        layer=chosen,
        looked=len(looked),
        image=str(shown.image.ids[0]),
        activity=found.layers,
        feature_maps=compute_feature_maps(net, shown.image.pixels[0]),
        filters=first_filters(net),
        attributions=attribute_examples(run, shown, progress),
        maximizing_images=maximizing_images(run, shown_units(run, found), found, progress),
        embeddings=embed(run, train, chosen, made, points, progress),
        mistakes=nearest_to_mistakes(run, wrong, train, chosen, progress),
        label_issues=label_issues(run, train, chosen, progress),
        seconds=time.perf_counter() - began,
        class_names=tuple(run.class_names),
    )


def _most_confident_correct(run: ExplainedRun) -> ImageRequest:
    """The test image recognized with the highest confidence; of a net that recognizes none, its surest answer."""
    predictions = run.predictions["test"]
    surest = int(np.argmax(predictions.confidence + predictions.correct))
    return ImageRequest(run.images(["test"], predictions.ids[[surest]]), "test")
