"""Studies and searches carried out by workers: processes of this machine, or a cluster's."""

from firstlight.workers.job import Job
from firstlight.workers.pool import Backend
from firstlight.workers.searches import carry_out_search
from firstlight.workers.studies import carry_out

__all__ = ["Backend", "Job", "carry_out", "carry_out_search"]
