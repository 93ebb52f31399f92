"""Looking inside a trained net: what its layers give, where it looked, what it takes for alike, and where it errs.

Everything goes through `Session.trace`, so that both engines answer with the same numbers. What needs scikit-learn is
in modules that are imported by those who use them: `examine` makes a whole explanation, `embedding` puts images on a
plane.
"""

from firstlight.explain.activation_maximization import maximize_activations
from firstlight.explain.attribution import attribute, cam_layer, occlusion
from firstlight.explain.explained_run import ExplainedRun, ImageRequest, Watch, extract_features
from firstlight.explain.feature_maps import ActivationStatistics, activation_statistics, compute_feature_maps, filters
from firstlight.explain.label_errors import class_number, confident_mistakes
from firstlight.explain.net import Net

__all__ = [
    "ActivationStatistics",
    "ExplainedRun",
    "ImageRequest",
    "Net",
    "Watch",
    "activation_statistics",
    "attribute",
    "cam_layer",
    "class_number",
    "compute_feature_maps",
    "confident_mistakes",
    "extract_features",
    "filters",
    "maximize_activations",
    "occlusion",
]
