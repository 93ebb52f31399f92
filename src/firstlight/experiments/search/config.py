"""The tune file: an experiment file with what is searched, and how. Pure: it draws nothing and trains nothing.

    [data]
    source = "fashion-mnist"
    [training]
    epochs = 9

    [tune]
    sampler = "tpe"          # or "random", "grid"
    trials = 40
    pruner = "halving"       # or "hyperband", "none"

    [space]
    lr = { log = [1e-4, 1e-1] }
    model.name = ["lenet5", "fashion-cnn"]

What `[space]` may contain is described in `experiments.search.space`.
"""

from __future__ import annotations

import copy
import difflib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import getitem
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field, ValidationError

from firstlight.errors import ExperimentError, FirstlightError, KeyedError
from firstlight.evaluation.metrics import higher_is_better
from firstlight.experiments.config import Experiment, Monitor, Section, as_experiment_error, must_be_no_study, put, read
from firstlight.experiments.paths import located, relative_to
from firstlight.experiments.search.pruner import Pruner
from firstlight.experiments.search.space import EXAMPLES, KINDS, Domain, parse
from firstlight.randomness import generator

TRIALS = 20  # where the file does not say
LARGEST_GRID = 100_000
# What trials are compared by and on: searched, it would compare the incomparable.
FIXED = {
    "seed": "the best of several seeds is luck, not a better setting; train the winner with several seeds afterwards",
    "training.monitor": "trials are compared by it",
    "data.source": "trials are compared on the same validation images",
    "data.validation": "trials are compared on the same validation images",
    "data.split_seed": "trials are compared on the same validation images",
    "data.test": "the test images are set aside before the first trial",
    "data.folds": "the test images are set aside before the first trial",
    "data.fold": "the test images are set aside before the first trial",
    "data.pool": "trials are compared on the same validation images",
    "data.classes": "trials are compared on the same classes",
    "data.regroup": "trials are compared on the same classes",
}


class Tuning(Section):
    """The `[tune]` table: how the search goes.

    sampler     "tpe" learns from earlier trials, "random" does not, "grid" tries every combination
    trials      so many; of a grid all unless given
    pruner      "halving" or "hyperband" stop trials early that are not among the best so far
    min_epochs  of a pruner: no trial is stopped before
    reduction   of a pruner: at each comparison, one of so many trials continues
    seed        the random seed of the search; the seed of training is that of the experiment
    monitor     the value by which trials are compared; training.monitor by default
    timeout     seconds after which no further trial is begun
    storage     an Optuna storage URL, such as postgresql://host/base; a file in the search's folder unless given
    """

    sampler: Literal["tpe", "random", "grid"] = "tpe"
    trials: Annotated[int, Field(ge=1)] | None = None
    pruner: Literal["none", "halving", "hyperband"] = "none"
    min_epochs: Annotated[int, Field(ge=1)] = 1
    reduction: Annotated[int, Field(ge=2)] = 3
    seed: Annotated[int, Field(ge=0)] = 0
    monitor: Monitor | None = None
    timeout: Annotated[float, Field(gt=0)] | None = None
    storage: Annotated[str, Field(min_length=1)] | None = None


class _File(Section):
    """The part of a tune file that is not an experiment."""

    tune: Tuning = Tuning()
    space: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Search:
    """A search: the experiment under it, what is searched, and how.

    tables  of the experiment, as given
    space   the domain of each searched key, outer keys first
    origin  what errors call it
    """

    tables: Mapping[str, Any]
    space: Mapping[str, Domain]
    tuning: Tuning
    origin: str = "tune"

    @classmethod
    def of(cls, tables: Mapping[str, Any], origin: str = "tune") -> Search:
        """The search that `tables` describe: those of an experiment, with `tune` and `space`.

        Raises ExperimentError where something is wrong with them, or with any pair of the values that may be drawn.
        """
        own = {key: tables[key] for key in ("tune", "space") if key in tables}
        try:
            file = _File.model_validate(own)
        except ValidationError as error:
            raise as_experiment_error(error, origin, _File) from None
        experiment = {key: value for key, value in tables.items() if key not in own}
        try:
            search = cls(experiment, parse(file.space), file.tune, origin)
            search._check()
        except ExperimentError as error:
            raise ExperimentError.of(error, origin) from None
        return search

    def with_(self, *, trials: int | None = None, storage: str | None = None) -> Search:
        """The same search with another number of trials, or kept elsewhere."""
        changes = {key: value for key, value in (("trials", trials), ("storage", storage)) if value is not None}
        try:
            tuning = Tuning.model_validate({**self.tuning.model_dump(), **changes})
        except ValidationError as error:
            raise as_experiment_error(error, "options", Tuning) from None
        return replace(self, tuning=tuning)

    @cached_property
    def monitor(self) -> str:
        """What trials are judged by."""
        return self.first.training.monitor

    @property
    def maximize(self) -> bool:
        """Whether a greater value of the monitor is better."""
        return higher_is_better(self.monitor)

    @cached_property
    def trials(self) -> int:
        """How many trials are asked for."""
        if self.tuning.sampler == "grid":
            return min(self.tuning.trials or len(self.grid), len(self.grid))
        asked = self.tuning.trials or TRIALS
        return asked if self.size is None else min(asked, self.size)

    @cached_property
    def size(self) -> int | None:
        """How many different trials there can be; None where a key has numbers without end."""
        counts = [domain.count for domain in self.space.values()]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def points(self) -> Iterator[dict[str, Any]]:
        """The values of every trial that there can be, where their number has an end."""
        for point in itertools.product(*(list(domain.each()) for domain in self.space.values())):
            yield dict(zip(self.space, point, strict=True))

    @cached_property
    def grid(self) -> list[dict[str, Any]]:
        """Every combination, in an order drawn by seed, so that a part of them is spread over the whole."""
        values = {key: domain.grid(key) for key, domain in self.space.items()}
        size = 1
        for taken in values.values():
            size *= len(taken)
        if size > LARGEST_GRID:
            raise ExperimentError(f'This grid has {size:,} points: take fewer values, or sampler = "random".')
        points = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
        order = generator(self.tuning.seed, "grid").permutation(len(points))
        return [points[i] for i in order]

    @cached_property
    def pruner(self) -> Pruner | None:
        """When trials are stopped early, if at all."""
        tuning = self.tuning
        if tuning.pruner == "none":
            return None
        return Pruner(tuning.min_epochs, tuning.reduction, self.epochs, tuning.pruner == "hyperband", tuning.seed)

    def experiment(self, values: Mapping[str, Any]) -> Experiment:
        """The experiment of a trial, with a value for each searched key. Raises ExperimentError or ModelError.

        All have one split, in whatever seed they differ, also those that are made of the winner later: images by which
        it was chosen must not become test images.
        """
        tables: dict[str, Any] = copy.deepcopy(dict(self.tables))
        for key in self.space:  # outer keys first: `model` before `model.units`
            put(tables, key, copy.deepcopy(values[key]))
        seed = self.tables.get("seed", 0)
        if isinstance(tables.get("data"), dict) and isinstance(seed, int):  # what is neither is told below
            tables["data"].setdefault("split_seed", seed)
        if self.tuning.monitor is not None:
            put(tables, "training.monitor", self.tuning.monitor)
        where = ", ".join(f"{key} = {values[key]!r}" for key in self.space)
        return Experiment.of(tables, f"{self.origin}, with {where}")

    def to_json(self) -> dict[str, Any]:
        """All that decides which trials there are and how they are judged: equal where a search can continue."""
        ways = self.tuning.model_dump(exclude={"trials", "timeout", "storage"})
        space = {key: domain.written() for key, domain in self.space.items()}
        return {**copy.deepcopy(dict(self.tables)), "tune": {**ways, "monitor": self.monitor}, "space": space}

    def to_toml(self, folder: Path | None = None) -> str:
        """The search as a file that `firstlight tune` takes, without where it is kept (a secret).

        folder  where the file will be: its paths are written relative to that
        """
        tables = self.to_json() if folder is None else relative_to(self.to_json(), folder)
        tables["tune"] |= {"trials": self.trials}
        if self.tuning.timeout is not None:
            tables["tune"]["timeout"] = self.tuning.timeout
        return tomli_w.dumps(tables)

    @cached_property
    def first(self) -> Experiment:
        """The experiment with the first corner of every domain."""
        return self.experiment(next(self.corners()))

    @cached_property
    def epochs(self) -> int:
        """The most that a trial trains."""
        searched = self.space.get("training.epochs")
        return self.first.training.epochs if searched is None else int(max(searched.corners))

    def corners(self) -> Iterator[dict[str, Any]]:
        """Values for every key: first all the first ones, then each pair of keys with every pair of their corners."""
        first = {key: domain.corners[0] for key, domain in self.space.items()}
        yield first
        if len(self.space) == 1:
            [(key, domain)] = self.space.items()
            yield from ({key: value} for value in domain.corners[1:])
        for one, other in itertools.combinations(self.space, 2):
            for values in itertools.product(self.space[one].corners, self.space[other].corners):
                yield {**first, one: values[0], other: values[1]}

    def _check(self) -> None:
        """Raise ExperimentError where a key, a value that may be drawn, or the way of searching cannot be."""
        for key, (fixed, why) in itertools.product(self.space, FIXED.items()):
            if f"{key}.".startswith(f"{fixed}."):
                raise ExperimentError(f"space.{key} cannot be searched: {why}. Set it in the experiment.")
        held: dict[str, Any] = {}
        for values in self.corners():
            try:
                tables = self.experiment(values).model_dump()
            except FirstlightError as error:
                named = error.origin if isinstance(error, KeyedError) else ""
                raise ExperimentError(f"{error}{self._hint()}", origin=named) from None
            for fixed, why in FIXED.items():
                value = reduce(getitem, fixed.split("."), tables)
                if held.setdefault(fixed, value) != value:
                    key = next(key for key in self.space if fixed.startswith(f"{key}."))
                    raise ExperimentError(
                        f"space.{key}: its values differ in {fixed}, which cannot be searched: {why}. "
                        "Give all of them the same."
                    )
        if self.tuning.sampler == "grid":
            _ = self.grid
        if self.pruner is not None and not self.pruner.rungs:
            raise ExperimentError(
                f"tune.min_epochs: a trial of {self.pruner.epochs} epochs ends before it could be stopped early, "
                f'at {self.tuning.min_epochs}. Give fewer, more training.epochs, or pruner = "none".'
            )

    def _hint(self) -> str:
        """A range whose name was mistyped reads as a table, and its ends as choices of a key below."""
        for key in self.space:
            if difflib.get_close_matches(key.rpartition(".")[2], KINDS, cutoff=0.6):
                return f"\n(Was space.{key} meant as a range? One reads {EXAMPLES}.)"
        return ""


def read_search(path: Path) -> Search:
    """The search in a tune file. Raises ExperimentError."""
    tables = located(read(path), path)
    must_be_no_study(tables, str(path))
    if "space" not in tables:
        raise ExperimentError(
            f"{path} has no [space] to search. Add one, such as lr = {EXAMPLES}; to train the file without a search: "
            f"firstlight run {path}"
        )
    return Search.of(tables, str(path))
