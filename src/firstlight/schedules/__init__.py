"""Schedules, one file each: the learning rate of each step."""

from firstlight.components import import_modules
from firstlight.schedules.base import SCHEDULES, Schedule, schedule
from firstlight.schedules.constant import Constant
from firstlight.schedules.cosine import Cosine
from firstlight.schedules.exponential import Exponential
from firstlight.schedules.one_cycle import OneCycle
from firstlight.schedules.plateau import Plateau
from firstlight.schedules.step import Step
from firstlight.schedules.triangular import Triangular
from firstlight.schedules.warm_restarts import WarmRestarts

import_modules(__name__, __path__)

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Exponential",
    "OneCycle",
    "Plateau",
    "Schedule",
    "Step",
    "Triangular",
    "WarmRestarts",
    "schedule",
]
