"""The fast inner loops in Numba, compiled at first use and cached on disk; the same functions as `reference`.

Threads: every function uses Numba's threads (`numba.set_num_threads`) and no BLAS at all. The results depend on the
inputs and on that number alone, bit for bit: gradients are summed in a fixed order, and no two threads write one place.
"""

import os

# Threads that wait for the next kernel spin first. OpenMP's own choice is milliseconds, in which threads can keep each
# other off a core that another program wants; ours is long enough not to fall asleep between two steps
# (docs/why/decisions/0004). Read when the threads start; whoever has set either keeps his choice.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from firstlight.kernels._augment import augment
from firstlight.kernels._blur import blur
from firstlight.kernels._colours import recolour
from firstlight.kernels._elastic import elastic
from firstlight.kernels._formulas import step, why_not
from firstlight.kernels._mixing import mix
from firstlight.kernels.runtime import Runtime
from firstlight.kernels.single import avg_pool, avg_pool_dx, conv2d, conv2d_dW, conv2d_dx, gather, max_pool, max_pool_dx

__all__ = [
    "Runtime",
    "augment",
    "avg_pool",
    "avg_pool_dx",
    "blur",
    "conv2d",
    "conv2d_dW",
    "conv2d_dx",
    "elastic",
    "gather",
    "max_pool",
    "max_pool_dx",
    "mix",
    "recolour",
    "step",
    "why_not",
]
