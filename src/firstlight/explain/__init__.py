"""Looking inside a trained net: what its layers give, which pixels an answer rests on, and where it errs.

Everything goes through `Session.trace`, so that both engines answer with the same numbers. What needs scikit-learn is
in modules that are imported by those who use them: `explanation` makes a whole explanation, `embedding` puts images on
a plane, `neighbours` and `label_errors` look for the nearest training images.
"""

from firstlight.explain.activation_maximization import maximize_activations, maximizing_image
from firstlight.explain.activation_statistics import ActivationStatistics
from firstlight.explain.attribution import attribute, cam_layer, occlusion
from firstlight.explain.explained_run import ExplainedRun, ImageRequest, Progress
from firstlight.explain.feature_maps import compute_feature_maps
from firstlight.explain.features import extract_features
from firstlight.explain.filters import first_filters
from firstlight.explain.mistakes import class_number, confident_mistakes
from firstlight.explain.net import Net

__all__ = [
    "ActivationStatistics",
    "ExplainedRun",
    "ImageRequest",
    "Net",
    "Progress",
    "attribute",
    "cam_layer",
    "class_number",
    "compute_feature_maps",
    "confident_mistakes",
    "extract_features",
    "first_filters",
    "maximize_activations",
    "maximizing_image",
    "occlusion",
]
