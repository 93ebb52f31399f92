"""Training: the loop that is the same for every engine, and its checkpoints."""

from firstlight.training.checkpoints import Checkpoint, Progress, newest, save
from firstlight.training.loop import COLUMNS, TrainingConfig, TrainingResult, evaluate, train

__all__ = [
    "COLUMNS",
    "Checkpoint",
    "Progress",
    "TrainingConfig",
    "TrainingResult",
    "evaluate",
    "newest",
    "save",
    "train",
]
