"""Optimizers: how a gradient moves the weights, one file each, over one flat vector."""

from firstlight.components import import_modules
from firstlight.optimizers.adam import Adam
from firstlight.optimizers.adamw import AdamW
from firstlight.optimizers.averaging import MovingAverage
from firstlight.optimizers.base import OPTIMIZERS, Block, Optimizer, Part, State, optimizer, running_mean
from firstlight.optimizers.lagged import Lagged
from firstlight.optimizers.lion import Lion
from firstlight.optimizers.lookahead import Lookahead
from firstlight.optimizers.muon import Muon
from firstlight.optimizers.nadam import NAdam
from firstlight.optimizers.rmsprop import RMSprop
from firstlight.optimizers.sgd import SGD
from firstlight.optimizers.wrapped import Wrapped

import_modules(__name__, __path__)

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adam",
    "AdamW",
    "Block",
    "Lagged",
    "Lion",
    "Lookahead",
    "MovingAverage",
    "Muon",
    "NAdam",
    "Optimizer",
    "Part",
    "RMSprop",
    "State",
    "Wrapped",
    "optimizer",
    "running_mean",
]
