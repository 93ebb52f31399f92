"""Experiments: the file, its setting up, the run, and studies of several."""

from firstlight.study.experiment import OF_A_SEARCH, Experiment, only_experiment, parse_setting, put, read
from firstlight.study.places import located, read_located
from firstlight.study.plan import Plan, PlannedRun, packaged, plan, read_plan
from firstlight.study.recall import holds, is_own, load_again, must_be_the_same, recall
from firstlight.study.run import learn, measure, must_be_free, resume, start
from firstlight.study.search import Search, read_search
from firstlight.study.seen import run_of, seen_by
from firstlight.study.setup import Setup, model_tables, must_fit, set_up
from firstlight.study.tables import merged, tables
from firstlight.study.transfer import must_name

__all__ = [
    "OF_A_SEARCH",
    "Experiment",
    "Plan",
    "PlannedRun",
    "Search",
    "Setup",
    "holds",
    "is_own",
    "learn",
    "load_again",
    "located",
    "measure",
    "merged",
    "model_tables",
    "must_be_free",
    "must_be_the_same",
    "must_fit",
    "must_name",
    "only_experiment",
    "packaged",
    "parse_setting",
    "plan",
    "put",
    "read",
    "read_located",
    "read_plan",
    "read_search",
    "recall",
    "resume",
    "run_of",
    "seen_by",
    "set_up",
    "start",
    "tables",
]
