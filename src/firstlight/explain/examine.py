"""The whole of an explanation: a net, its images and its predictions go in, the record that a run keeps comes out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from firstlight.errors import ModelError
from firstlight.explain.activation_maximization import Unit, maximize_activations
from firstlight.explain.attribution import attribute
from firstlight.explain.embedding import embed, must_be_enough
from firstlight.explain.explained_run import ExplainedRun, ImageFeatures, ImageRequest, Watch, extract_features
from firstlight.explain.feature_maps import ActivationStatistics, activation_statistics, compute_feature_maps, filters
from firstlight.explain.label_errors import confident_mistakes, find_label_issues
from firstlight.explain.neighbours import nearest_rows
from firstlight.explain.net import Net
from firstlight.explain.projection import made_by
from firstlight.layers import BatchNorm, Conv2D
from firstlight.layers.base import Activation
from firstlight.records.explanation import Attribution, Explanation, LabelIssue, MaximizingImage, Mistake, Neighbours
from firstlight.types import Array, Images, Predictions

POINTS = 1000  # of the training and of the test images each, on a map
LOOKED = 1000  # test images, for the activity of layers
CANDIDATES = 10_000  # training images, drawn by the seed, among which neighbours are sought
MISTAKES, NEAREST = 12, 5
ATTRIBUTED_WRONG, ATTRIBUTED_RIGHT = 5, 3
LABEL_ISSUES, WITNESSES, DOUBTED = 24, 10, 240
HEAD_UNITS, CHANNEL_UNITS = 20, 12


def explain(
    run: ExplainedRun,
    *,
    request: ImageRequest | None = None,
    layer: str | None = None,
    method: str = "t-sne",
    points: int = POINTS,
    watch: Watch | None = None,
) -> Explanation:
    """Examine a run.

    request  the image that is looked into first, and whose feature maps are kept; the surest right answer otherwise
    layer    whose values say what lies near what; the last hidden one otherwise
    method   "t-sne", "umap", or "pca", which is made in any case
    points   how many training and how many test images are on a map
    Raises ModelError for an unknown layer, ExperimentError for a method that is unknown or not installed, DataError
    where a map would have too few images.
    """
    began = time.perf_counter()
    net, tell = run.net, watch or (lambda what, done, total: None)
    methods = tuple(dict.fromkeys(("pca", method)))
    made = {name: made_by(name) for name in methods}
    chosen = net.place(layer or net.hidden).path
    candidates = _candidates(run, points)
    must_be_enough(run, candidates, method, points)
    looked = run.splits["test"].take(run.drawn("test", LOOKED))
    found = activation_statistics(net, looked.pixels, partial(tell, "what the layers give"))
    shown = request or _surest_right(run)
    attributions = _attributions(run, shown, tell)
    units = _units(run, found)
    train = extract_features(net, candidates, chosen, "training images", tell)
    wrong = confident_mistakes(run.predictions["test"], run.class_names, count=MISTAKES)
    embeddings = embed(run, train, chosen, made, points, tell)
    return Explanation(
        layer=chosen,
        looked=len(looked),
        image=str(shown.image.ids[0]),
        activity=found.layers,
        feature_maps=compute_feature_maps(net, shown.image.pixels[0]),
        filters=filters(net),
        attributions=attributions,
        maximizing_images=_maximizing_images(run, units, found, tell),
        embeddings=embeddings,
        mistakes=_mistakes(run, wrong, train, chosen, tell),
        label_issues=_label_issues(run, train, chosen, tell),
        seconds=time.perf_counter() - began,
        class_names=tuple(run.class_names),
    )


def mistakes(
    run: ExplainedRun,
    *,
    true: str | None = None,
    predicted: str | None = None,
    layer: str | None = None,
    count: int | None = None,
    watch: Watch | None = None,
) -> tuple[Mistake, ...]:
    """The mistakes on test images with the training images that lie nearest in what a layer gives, the surest first.

    true, predicted, count  see `confident_mistakes`, also for what it raises
    layer                   the last hidden one unless given; ModelError for an unknown one
    """
    chosen = run.net.place(layer or run.net.hidden).path
    found = run.predictions["test"]
    wrong = confident_mistakes(found, run.class_names, true=true, predicted=predicted, count=count)
    tell = watch or (lambda what, done, total: None)
    if not len(wrong):
        return ()
    train = extract_features(run.net, _candidates(run), chosen, "training images", tell)
    return _mistakes(run, wrong, train, chosen, tell)


def maximize_unit(run: ExplainedRun, layer: str, unit: int, watch: Watch | None = None) -> MaximizingImage:
    """What one unit looks for: a channel or feature of a layer, numbered from 0.

    Raises ModelError for a layer, or a unit of it, that the net does not have.
    """
    units = run.net.place(layer).shape[0]
    if not 0 <= unit < units:
        raise ModelError(f"The units of {layer} are 0 to {units - 1}; received {unit}.")
    tell = watch or (lambda what, done, total: None)
    looked = run.splits["test"].take(run.drawn("test", LOOKED))
    found = activation_statistics(run.net, looked.pixels, partial(tell, "what the layers give"))
    [made] = _maximizing_images(run, [(layer, unit)], found, tell)
    return made


def _surest_right(run: ExplainedRun) -> ImageRequest:
    """The test image that was recognized most surely; of a net that recognizes none, its surest answer."""
    predictions = run.predictions["test"]
    surest = int(np.argmax(predictions.confidence + predictions.correct))
    return ImageRequest(run.images(["test"], predictions.ids[[surest]]), "test")


def _attributions(run: ExplainedRun, shown: ImageRequest, tell: Watch) -> tuple[Attribution, ...]:
    """The image that was asked for, the surest right answers of a few classes, and the most confident mistakes."""
    predictions = run.predictions["test"]
    wrong = confident_mistakes(predictions, run.class_names, count=ATTRIBUTED_WRONG)
    surest = np.argsort(-predictions.confidence, kind="stable")
    right = surest[predictions.correct[surest]]
    _, firsts = np.unique(predictions.labels[right], return_index=True)  # of each class its surest
    right = right[np.sort(firsts)[:ATTRIBUTED_RIGHT]]
    ids = [name for name in predictions.ids[np.concatenate((right, wrong))].tolist() if name != shown.image.ids[0]]
    targets = None if shown.target is None else np.array([shown.target])
    attributions = attribute(run.net, shown.image, shown.split, targets)
    for name in ids:
        tell("where it looked", len(attributions), len(ids) + 1)
        attributions += attribute(run.net, run.images(["test"], [name]), "test")
    tell("where it looked", len(attributions), len(attributions))
    return tuple(attributions)


def _units(run: ExplainedRun, found: ActivationStatistics) -> list[Unit]:
    """The head's, and the first channels of the last convolution that are not dead."""
    net = run.net
    units = [(net.head, k) for k in range(min(net.places[net.head].shape[0], HEAD_UNITS))]
    last = next((place for place in reversed(net.shown.values()) if isinstance(place.layer, Conv2D)), None)
    if last is not None and last.path != net.head:
        dead = _dead(net, last.path, found)
        alive = [k for k in range(last.shape[0]) if k not in dead]
        units += [(last.path, k) for k in alive[:CHANNEL_UNITS]]
    return units


def _dead(net: Net, path: str, found: ActivationStatistics) -> set[int]:
    """The units of a layer of which nothing comes through, there or behind its batch norm and its activation."""
    start = next(n for n, layer in enumerate(found.layers) if layer.layer == path)
    first, *others = found.layers[start:]
    behind = itertools.takewhile(
        lambda one: isinstance(net.shown[one.layer].layer, Activation | BatchNorm) and one.units == first.units, others
    )
    return set(first.dead).union(*(one.dead for one in behind))


def _maximizing_images(
    run: ExplainedRun, units: Sequence[Unit], found: ActivationStatistics, tell: Watch
) -> tuple[MaximizingImage, ...]:
    net = run.net
    pixels, values = maximize_activations(net, units, run.seed, partial(tell, "what units look for"))
    return tuple(
        MaximizingImage(
            path, unit, unit_name(net, path, unit, run.class_names), image, float(value), found.peak(path, unit)
        )
        for (path, unit), image, value in zip(units, pixels, values, strict=True)
    )


def unit_name(net: Net, path: str, unit: int, class_names: Sequence[str]) -> str:
    """What a person calls a unit, numbered from 0: the head's by its class, a single output by class 1 of two."""
    if path != net.head:
        return f"{path}, {'channel' if len(net.places[path].shape) == 3 else 'feature'} {unit}"
    return class_names[1 if net.places[path].shape == (1,) else unit]


def _candidates(run: ExplainedRun, points: int = 0) -> Images:
    return run.splits["train"].take(run.drawn("train", max(CANDIDATES, points)))


def _mistakes(run: ExplainedRun, wrong: Array, train: ImageFeatures, layer: str, tell: Watch) -> tuple[Mistake, ...]:
    """Wrong answers, by their rows in the predictions, with the training images that lie nearest."""
    predictions = run.predictions["test"]
    if not len(wrong):
        return ()
    images = run.images(["test"] * len(wrong), predictions.ids[wrong])
    near = nearest_rows(train.features, extract_features(run.net, images, layer, "mistakes", tell).features, NEAREST)
    return tuple(
        Mistake(
            id=str(images.ids[i]),
            label=int(images.labels[i]),
            predicted=int(predictions.predicted[row]),
            confidence=float(predictions.confidence[row]),
            pixels=images.pixels[i],
            nearest=_neighbours(train.images.take(near.indices[i]), near.distances[i]),
        )
        for i, row in enumerate(wrong)
    )


def _neighbours(images: Images, distances: Array) -> Neighbours:
    return Neighbours(images.ids, images.labels, distances, images.pixels)


def _label_issues(run: ExplainedRun, train: ImageFeatures, layer: str, tell: Watch) -> tuple[LabelIssue, ...]:
    """Labels of validation and test images that may be wrong, the likeliest first.

    Neighbours are asked about the candidates with the largest margins alone: that is where they can decide anything.
    """
    parts = {split: found for split, found in run.predictions.items() if len(found)}
    splits = np.repeat([*parts], [len(found) for found in parts.values()])
    fields = ((found.ids, found.labels, found.probabilities) for found in parts.values())
    pooled = Predictions(*(np.concatenate(arrays) for arrays in zip(*fields, strict=True)))
    doubted = sorted(find_label_issues(pooled), key=lambda doubt: -doubt.margin)[:DOUBTED]
    if not doubted:
        return ()
    rows = np.array([doubt.index for doubt in doubted])
    images = run.images(splits[rows], pooled.ids[rows])
    doubtful = extract_features(run.net, images, layer, "doubtful labels", tell)
    near = nearest_rows(train.features, doubtful.features, WITNESSES)
    labels = np.full((len(pooled), near.indices.shape[1]), -1)
    labels[rows] = train.images.labels[near.indices]
    place = {int(row): i for i, row in enumerate(rows)}
    return tuple(
        LabelIssue(
            id=str(pooled.ids[doubt.index]),
            split=str(splits[doubt.index]),
            given=doubt.given,
            suggested=doubt.suggested,
            margin=doubt.margin,
            neighbours_agree=doubt.neighbours_agree or 0.0,
            pixels=images.pixels[place[doubt.index]],
        )
        for doubt in [doubt for doubt in find_label_issues(pooled, labels) if doubt.index in place][:LABEL_ISSUES]
    )
