"""Experiments: the file, its setting up, and the run."""

from firstlight.study.experiment import Experiment, parse_setting, put, read
from firstlight.study.run import measure, resume, start
from firstlight.study.setup import Setup, model_tables, must_fit, set_up

__all__ = [
    "Experiment",
    "Setup",
    "measure",
    "model_tables",
    "must_fit",
    "parse_setting",
    "put",
    "read",
    "resume",
    "set_up",
    "start",
]
