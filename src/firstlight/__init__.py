"""firstlight: a laboratory for small-image classifiers.

    import firstlight as fl
    data = fl.load("fashion-mnist")
    run = fl.fit(fl.models.lenet5(), data, epochs=10)
    run.report()

Everything below is loaded when it is first asked for, so that importing firstlight costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from firstlight import moved_modules
from firstlight import notebook_display as _shown

if TYPE_CHECKING:
    from firstlight import evaluation, layers, losses, models, optimizers, schedules
    from firstlight.api import (
        Ensemble,
        Run,
        fit,
        label_issues,
        load,
        open_run,
        parity,
        rate,
        resume,
        run,
        run_study,
        step,
        study_table,
        tune,
    )
    from firstlight.checks import ComponentCheck, check
    from firstlight.data.source import SOURCES
    from firstlight.engine_parity import Parity
    from firstlight.errors import (
        DataError,
        ExperimentError,
        FirstlightError,
        ModelError,
        RunError,
        TrainingError,
    )
    from firstlight.estimator import Classifier
    from firstlight.evaluation import METRICS, Evaluation
    from firstlight.experiments import Experiment
    from firstlight.inference import Prediction
    from firstlight.layers import LAYERS
    from firstlight.losses import LOSSES
    from firstlight.models import Model, architecture
    from firstlight.optimizers import OPTIMIZERS
    from firstlight.prepare import Preparation
    from firstlight.prepare.augmentations import AUGMENTATIONS
    from firstlight.schedules import SCHEDULES
    from firstlight.training import STOP, EpochProgress, StepProgress
    from firstlight.training_step import Step
    from firstlight.types import Dataset, Images, Predictions

    layer = LAYERS.register
    augmentation = AUGMENTATIONS.register
    loss = LOSSES.register
    metric = METRICS.register
    optimizer = OPTIMIZERS.register
    schedule = SCHEDULES.register
    source = SOURCES.register

_WHERE = {
    **dict.fromkeys(
        [
            "Ensemble",
            "Run",
            "fit",
            "label_issues",
            "load",
            "open_run",
            "parity",
            "rate",
            "resume",
            "run",
            "run_study",
            "step",
            "study_table",
            "tune",
        ],
        "firstlight.api",
    ),
    **dict.fromkeys(
        ["DataError", "ExperimentError", "FirstlightError", "ModelError", "RunError", "TrainingError"],
        "firstlight.errors",
    ),
    **dict.fromkeys(["Dataset", "Images", "Predictions"], "firstlight.types"),
    **dict.fromkeys(["STOP", "EpochProgress", "StepProgress"], "firstlight.training"),
    "Classifier": "firstlight.estimator",
    "ComponentCheck": "firstlight.checks",
    "check": "firstlight.checks",
    "Evaluation": "firstlight.evaluation",
    "Experiment": "firstlight.experiments",
    "Model": "firstlight.models",
    "Parity": "firstlight.engine_parity",
    "Prediction": "firstlight.inference",
    "Preparation": "firstlight.prepare",
    "Step": "firstlight.training_step",
    "architecture": "firstlight.models",
}
# The decorators that register a component of one's own: where the registry of each kind is, by the module and its name.
_REGISTRIES = {
    "architecture": ("firstlight.models", "ARCHITECTURES"),
    "augmentation": ("firstlight.prepare.augmentations", "AUGMENTATIONS"),
    "layer": ("firstlight.layers", "LAYERS"),
    "loss": ("firstlight.losses", "LOSSES"),
    "metric": ("firstlight.evaluation", "METRICS"),
    "optimizer": ("firstlight.optimizers", "OPTIMIZERS"),
    "schedule": ("firstlight.schedules", "SCHEDULES"),
    "source": ("firstlight.data", "SOURCES"),
}
_MODULES = ("evaluation", "layers", "losses", "models", "optimizers", "schedules")

__all__ = [
    "STOP",
    "Classifier",
    "ComponentCheck",
    "DataError",
    "Dataset",
    "Ensemble",
    "EpochProgress",
    "Evaluation",
    "Experiment",
    "ExperimentError",
    "FirstlightError",
    "Images",
    "Model",
    "ModelError",
    "Parity",
    "Prediction",
    "Predictions",
    "Preparation",
    "Run",
    "RunError",
    "Step",
    "StepProgress",
    "TrainingError",
    "architecture",
    "augmentation",
    "check",
    "evaluation",
    "fit",
    "label_issues",
    "layer",
    "layers",
    "load",
    "loss",
    "losses",
    "metric",
    "models",
    "open_run",
    "optimizer",
    "optimizers",
    "parity",
    "rate",
    "resume",
    "run",
    "run_study",
    "schedule",
    "schedules",
    "source",
    "step",
    "study_table",
    "tune",
]


moved_modules.install()
_shown.drawn_by(lambda thing: importlib.import_module("firstlight.notebook.cards").html(thing))


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"firstlight.{name}")
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    if name in _REGISTRIES:
        module, registry = _REGISTRIES[name]
        return getattr(importlib.import_module(module), registry).register
    if name == "__version__":
        from importlib.metadata import version

        return version("firstlight")
    raise AttributeError(f"module 'firstlight' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
