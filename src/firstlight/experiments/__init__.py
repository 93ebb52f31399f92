"""Experiments: the file, its setting up, the run, and studies of several."""

from firstlight.experiments.config import (
    OF_A_SEARCH,
    USUAL,
    Experiment,
    only_experiment,
    parse_setting,
    put,
    read,
    settings_given,
)
from firstlight.experiments.lineage import SeenImages, seen_by
from firstlight.experiments.novelty import false_alarm_rate
from firstlight.experiments.paths import load_plugins, load_plugins_of, located, read_located
from firstlight.experiments.rate import rate_test
from firstlight.experiments.reload_images import holds, is_own, must_be_the_same, reload_dataset, reload_splits
from firstlight.experiments.search.config import Search, read_search
from firstlight.experiments.setup import Setup, model_tables, must_fit, set_up
from firstlight.experiments.study import Plan, PlannedRun, over_folds, packaged, plan, read_plan
from firstlight.experiments.tables import merged, tables
from firstlight.experiments.train import learn, measure, must_be_free, resume, start
from firstlight.experiments.transfer import must_name

__all__ = [
    "OF_A_SEARCH",
    "USUAL",
    "Experiment",
    "Plan",
    "PlannedRun",
    "Search",
    "SeenImages",
    "Setup",
    "false_alarm_rate",
    "holds",
    "is_own",
    "learn",
    "load_plugins",
    "load_plugins_of",
    "located",
    "measure",
    "merged",
    "model_tables",
    "must_be_free",
    "must_be_the_same",
    "must_fit",
    "must_name",
    "only_experiment",
    "over_folds",
    "packaged",
    "parse_setting",
    "plan",
    "put",
    "rate_test",
    "read",
    "read_located",
    "read_plan",
    "read_search",
    "reload_dataset",
    "reload_splits",
    "resume",
    "seen_by",
    "set_up",
    "settings_given",
    "start",
    "tables",
]
