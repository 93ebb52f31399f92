"""Experiments: the file, its setting up, and the run."""

from firstlight.study.experiment import Experiment, parse_setting, put, read
from firstlight.study.recall import is_own, must_be_the_same, recall
from firstlight.study.run import measure, must_be_free, resume, start
from firstlight.study.setup import Setup, model_tables, must_fit, set_up
from firstlight.study.transfer import must_name

__all__ = [
    "Experiment",
    "Setup",
    "is_own",
    "measure",
    "model_tables",
    "must_be_free",
    "must_be_the_same",
    "must_fit",
    "must_name",
    "parse_setting",
    "put",
    "read",
    "recall",
    "resume",
    "set_up",
    "start",
]
