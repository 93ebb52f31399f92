"""Looking inside a trained net: what its layers give, where it looked, what it takes for alike, and where it errs.

Everything goes through `Session.trace`, so that both engines answer with the same numbers. What needs scikit-learn is
in modules that are imported by those who use them: `examine` makes a whole explanation, `maps` puts images on a plane.
"""

from firstlight.explain.activity import Activity, activity, feature_maps, filters
from firstlight.explain.attribution import cam_layer, grad_cam, look, occlusion, saliency
from firstlight.explain.ideals import ideals
from firstlight.explain.mistakes import class_number, confident_mistakes, confused_pairs
from firstlight.explain.net import Net
from firstlight.explain.subject import Asked, Subject, Watch, seen

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
    "confused_pairs",
    "feature_maps",
    "filters",
    "grad_cam",
    "ideals",
    "look",
    "occlusion",
    "saliency",
    "seen",
]
