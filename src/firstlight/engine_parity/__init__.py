"""Whether the two engines agree: gradients by hand, by autograd and by central differences, and two runs side by side.

The record alone is loaded with the package, so that a report can read it where no engine is installed.
"""

from firstlight.records.parity import Parity

STEPS = 50  # of training, side by side, where none are given

__all__ = ["STEPS", "Parity"]
