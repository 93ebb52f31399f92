"""What `firstlight explain` found in a run, as its folder keeps it: explanation.npz, which report and dashboard read.

The archive holds the arrays, and as `record` the JSON of all the rest, in which an array is named by its key. It is
written whole or not at all, and nothing is ever unpickled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from firstlight.errors import DamagedFileError, RunError
from firstlight.files import ARRAYS_LIMIT, is_there, read_bytes
from firstlight.notebook_display import Brief, Shown
from firstlight.records.codec import Axes, decode, not_kept
from firstlight.records.record_files import unarchived, write_archive
from firstlight.records.run_folder import WEIGHTS, RunFolder
from firstlight.types import SPLITS, Array

EXPLANATION = "explanation.npz"
NEIGHBOURS = 10  # of a point that are asked for their class, where its class has as many others
FEW = 3  # mistakes that are named where they are printed
SATURATED = 0.95  # of a unit's values: from there on the unit counts as saturated


@dataclass(frozen=True)
class LayerStatistics:
    """What a layer gave over the test images that were looked at.

    layer      its path, such as "block1.relu1", and `type`, such as "ReLU"
    shape      of its output for one image, (C, H, W) or (I,)
    mean, std  of all its values
    low, high  the least and the greatest
    units      channels of an image, or features
    zero       the share of its values that are exactly 0
    dead       units, numbered from 0, that gave the same value everywhere for every image: nothing can be read off them
    saturated  the share of the values where the activation is so flat that it passes on less than a hundredth of its
               steepest slope; None where the layer is not an activation
    saturated_units  units of which at least 95 % of the values are saturated; None where the layer is not an
                     activation, or the file is of a time when they were not counted
    flat_at_both_ends  whether the activation is; None where the layer is none, or the file is of an earlier version
    """

    layer: str
    type: str
    shape: tuple[int, ...]
    mean: float
    std: float
    low: float
    high: float
    units: int
    zero: float
    dead: tuple[int, ...]
    saturated: float | None
    saturated_units: tuple[int, ...] | None = None
    flat_at_both_ends: bool | None = None

    @property
    def may_be_stuck(self) -> bool:
        """Whether values where the activation is flat are a fault, and not its use."""
        if self.flat_at_both_ends is None:
            return self.type in ("Sigmoid", "Tanh")  # of the activations that earlier versions had
        return self.flat_at_both_ends


@dataclass(frozen=True, eq=False, repr=False)
class LayerMaps(Brief):
    """The feature maps of a layer for one image.

    maps       float32 (n, h, w), the channels in order, or the first `n` of `units`; (1, 1, I) for features
    """

    layer: str
    type: str
    units: int
    maps: Annotated[Array, Axes("f", "nhw")]

    @property
    def has_maps(self) -> bool:
        """Whether these are maps, which may be one pixel high, and not features."""
        return self.maps.shape != (1, 1, self.units)


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(Shown, Brief):
    """One image, and where a net looked to answer for the class `target`.

    id, split      of the image; label is its true class, -1 where it is not known
    probabilities  float32 (K,)
    pixels         uint8 (H, W, C), as the net was given it
    saliency       float32 (H, W): the greatest |d output / d pixel| over the channels (Simonyan et al. 2014)
    grad_cam       float32 (H, W), at least 0: where the evidence lay (Selvaraju et al. 2017); None without maps
    cam_layer      the layer that it was taken from, or ""
    occlusion      float32 (H, W): how much the target's probability falls when a patch there is covered (Zeiler and
                   Fergus 2014); below 0 where it rises
    class_names    of the net, where the attribution is shown by itself; a file keeps them once
    """

    id: str
    split: str
    label: int
    target: int
    probabilities: Annotated[Array, Axes("f", "k")]
    pixels: Annotated[Array, Axes("u", "hwc")]
    saliency: Annotated[Array, Axes("f", "hw")]
    grad_cam: Annotated[Array, Axes("f", "hw")] | None
    cam_layer: str
    occlusion: Annotated[Array, Axes("f", "hw")]
    class_names: tuple[str, ...] = not_kept(())


@dataclass(frozen=True, eq=False, repr=False)
class Filters(Brief):
    """The learnt filters of the first layer with weights.

    weights  float32 (O, C, kh, kw); of a dense layer its rows as images, (O, C, H, W)
    """

    layer: str
    weights: Annotated[Array, Axes("f", "ochw")]


@dataclass(frozen=True, eq=False, repr=False)
class MaximizingImage(Shown, Brief):
    """The image that a unit answers to most strongly, found by climbing its gradient from grey.

    unit    its number, from 0; `name` is what a person calls it
    pixels  uint8 (H, W, C)
    value   what the unit gives for it; `typical` is the greatest that it gave for any test image that was looked at
    """

    layer: str
    unit: int
    name: str
    pixels: Annotated[Array, Axes("u", "hwc")]
    value: float
    typical: float


@dataclass(frozen=True)
class Separation:
    """How well classes lie apart.

    silhouette  the mean silhouette, from -1 to 1 (Rousseeuw 1987); all is taken over `sampled` points
    by_class    the same of each class, in their order; None for a class of fewer than two points
    agreement   the share of the k nearest neighbours that are of a point's own class; in an older record k can
                be more than the smallest class has other points, which then cannot all agree
    accuracy    the share of the points whose class is that of most of their k nearest neighbours
    """

    silhouette: float
    by_class: tuple[float | None, ...]
    sampled: int
    agreement: float
    accuracy: float
    k: int


@dataclass(frozen=True, eq=False, repr=False)
class Embedding(Brief):
    """Images as points on a plane, close together where the net sees them alike.

    method       "pca", "t-sne" or "umap"; `made_by` says by which library
    layer        whose values were put on the plane, `features` of them
    points       float32 (N, 2)
    splits, ids  str (N,)
    labels       int64 (N,); predicted int64 (N,); confidence float32 (N,)
    thumbnails   uint8 (N, h, w, C), at most 32 pixels a side
    in_features, in_map  how far the classes lie apart, in the layer's values and on the plane
    """

    method: str
    made_by: str
    layer: str
    features: int
    seconds: float
    points: Annotated[Array, Axes("f", "n2")]
    splits: Annotated[Array, Axes("U", "n")]
    ids: Annotated[Array, Axes("U", "n")]
    labels: Annotated[Array, Axes("iu", "n")]
    predicted: Annotated[Array, Axes("iu", "n")]
    confidence: Annotated[Array, Axes("f", "n")]
    thumbnails: Annotated[Array, Axes("u", "nhwc")]
    in_features: Separation
    in_map: Separation


@dataclass(frozen=True, eq=False, repr=False)
class Neighbours(Brief):
    """The training images that lie nearest to an image, the nearest first.

    ids str (k,), labels int64 (k,), distances float32 (k,), pixels uint8 (k, H, W, C)
    """

    ids: Annotated[Array, Axes("U", "k")]
    labels: Annotated[Array, Axes("iu", "k")]
    distances: Annotated[Array, Axes("f", "k")]
    pixels: Annotated[Array, Axes("u", "khwc")]


@dataclass(frozen=True, eq=False, repr=False)
class Mistake(Brief):
    """A test image with a wrong answer, and what it was taken for."""

    id: str
    label: int
    predicted: int
    confidence: float
    pixels: Annotated[Array, Axes("u", "hwc")]
    nearest: Neighbours


@dataclass(frozen=True, eq=False, repr=False)
class LabelIssue(Brief):
    """An image whose label may be wrong: the net is sure of another class (Northcutt et al. 2021).

    given, suggested    the label, and the class that it seems to be
    margin              the probability of `suggested` less that of `given`
    neighbours_agree    the share of its nearest training images that are of `suggested`
    """

    id: str
    split: str
    given: int
    suggested: int
    margin: float
    neighbours_agree: float
    pixels: Annotated[Array, Axes("u", "hwc")]


class FeatureMaps(tuple[LayerMaps, ...], Shown):
    """What every layer gave for one image, in the order of the data."""

    def __repr__(self) -> str:
        return f"FeatureMaps({', '.join(f'{one.layer} {list(one.maps.shape)}' for one in self)})"


class Mistakes(tuple[Mistake, ...], Shown):
    """Mistakes, the surest first; `class_names` of the net, and the `layer` in whose values images are near."""

    class_names: tuple[str, ...] = ()
    layer: str = ""

    def __repr__(self) -> str:
        def said(one: Mistake) -> str:
            return f"{one.id}: {self.class_names[one.label]} taken for {self.class_names[one.predicted]}"

        more = f", … {len(self)} in all" if len(self) > FEW else ""
        return f"Mistakes({', '.join(map(said, self[:FEW])) if self.class_names else len(self)}{more})"


@dataclass(frozen=True, eq=False)
class Explanation(Shown):
    """All that was found.

    layer       the one whose values say what lies near what
    looked      test images that `activity` was taken over
    image       the id of the test image whose feature maps these are
    embeddings  the ways in which images were put on a plane
    class_names  of the labels
    """

    layer: str
    looked: int
    image: str
    activity: tuple[LayerStatistics, ...]
    feature_maps: tuple[LayerMaps, ...]
    filters: Filters | None
    attributions: tuple[Attribution, ...] = field(metadata={"key": "looks"})
    maximizing_images: tuple[MaximizingImage, ...] = field(metadata={"key": "ideals"})
    embeddings: tuple[Embedding, ...] = field(metadata={"key": "maps"})
    mistakes: tuple[Mistake, ...]
    label_issues: tuple[LabelIssue, ...] = field(metadata={"key": "suspects"})
    seconds: float
    class_names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the arrays, which a notebook would keep as a megabyte of text."""
        parts = f"{len(self.activity)} layers, {len(self.attributions)} attributions, {len(self.embeddings)} embeddings"
        return f"Explanation(layer={self.layer!r}, {parts}, {len(self.mistakes)} mistakes)"

    def write(self, run: RunFolder) -> None:
        """Put it into the run's folder, in the place of an older one, with the hash of the weights it is of."""
        write_archive(run.path / EXPLANATION, self, weights=run.hashes.get(WEIGHTS, ""))


def read(run: RunFolder) -> Explanation | None:
    """The run's explanation; None where none was made.

    Raises RunError where it is damaged, too new, or of other weights than the run now has.
    """
    path = run.path / EXPLANATION
    if not is_there(path):
        return None
    again = f"Make it again: firstlight explain {run.path}"
    try:
        record, arrays = unarchived(read_bytes(path, limit=ARRAYS_LIMIT, inside=run.path), path)
        weights = record.pop("weights", "")
        found = decode(Explanation, record, arrays, closed=True)
        _check_classes(found, len(found.class_names or run.class_names))
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}. {again}") from None
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {error}. {again}", path=path) from None
    if weights and weights != run.hashes.get(WEIGHTS, weights):
        raise RunError(f"{path} explains other weights: the run continued, or was trained again, after it. {again}")
    return found


def _check_classes(explanation: Explanation, classes: int) -> None:
    """Raise ValueError where a class, a unit or a split is named that there is not."""
    named: list[Array | int] = []
    for mistake in explanation.mistakes:
        named += [mistake.label, mistake.predicted, mistake.nearest.labels]
    for issue in explanation.label_issues:
        named += [issue.given, issue.suggested]
    for plane in explanation.embeddings:
        named += [plane.labels, plane.predicted]
        if not set(plane.splits.tolist()) <= set(SPLITS):
            raise ValueError("a map has images of a split that there is not")
    for attribution in explanation.attributions:
        named += [attribution.target, max(attribution.label, 0)]  # -1 where it is not known
        if len(attribution.probabilities) != classes:
            raise ValueError(f"an attribution has {len(attribution.probabilities)} probabilities for {classes} classes")
    for labels in map(np.atleast_1d, named):
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f"it names a class that is none of the {classes}")
    for plane in explanation.embeddings:
        for apart in (plane.in_features, plane.in_map):
            if len(apart.by_class) != classes:
                raise ValueError(f"a map has separations of {len(apart.by_class)} classes, not of {classes}")
