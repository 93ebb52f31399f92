"""Training: the loop that is the same for every engine, and its checkpoints."""

from firstlight.training.callbacks import STOP, Callbacks, EpochProgress, OnEpoch, OnStep, StepProgress
from firstlight.training.checkpoints import Checkpoint, Progress, newest, save
from firstlight.training.loop import COLUMNS, TrainingConfig, TrainingResult, columns, evaluate, train
from firstlight.training.rate_test import rate_test

__all__ = [
    "COLUMNS",
    "STOP",
    "Callbacks",
    "Checkpoint",
    "EpochProgress",
    "OnEpoch",
    "OnStep",
    "Progress",
    "StepProgress",
    "TrainingConfig",
    "TrainingResult",
    "columns",
    "evaluate",
    "newest",
    "rate_test",
    "save",
    "train",
]
