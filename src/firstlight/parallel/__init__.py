"""Studies and searches carried out by workers: processes of this machine, or a cluster's."""

from firstlight.parallel.job import Job
from firstlight.parallel.pool import Backend
from firstlight.parallel.searches import run_search
from firstlight.parallel.studies import run_study

__all__ = ["Backend", "Job", "run_search", "run_study"]
