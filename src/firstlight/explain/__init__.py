"""Looking inside a trained net: what its layers give, where it looked, what it takes for alike, and where it errs.

Everything goes through `Session.trace`, so that both engines answer with the same numbers. What needs scikit-learn is
in modules that are imported by those who use them: `examine` makes a whole explanation, `maps` puts images on a plane.
"""

from firstlight.explain.activation_maximization import ideals
from firstlight.explain.attribution import cam_layer, look, occlusion
from firstlight.explain.explained_run import Asked, Subject, Watch, seen
from firstlight.explain.feature_maps import Activity, activity, feature_maps, filters
from firstlight.explain.label_errors import class_number, confident_mistakes
from firstlight.explain.net import Net

__all__ = [
    "Activity",
    "Asked",
    "Net",
    "Subject",
    "Watch",
    "activity",
    "cam_layer",
    "class_number",
    "confident_mistakes",
    "feature_maps",
    "filters",
    "ideals",
    "look",
    "occlusion",
    "seen",
]
