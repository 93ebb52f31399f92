"""Studies and searches carried out by workers: processes of this machine, or a cluster's."""

from firstlight.parallel.job import Job
from firstlight.parallel.pool import Backend
from firstlight.parallel.searches import carry_out_search
from firstlight.parallel.studies import carry_out

__all__ = ["Backend", "Job", "carry_out", "carry_out_search"]
