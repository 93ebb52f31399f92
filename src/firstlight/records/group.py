"""Runs that differ in nothing but seed and fold, as one: what a study's entry, or several runs of a recipe, came to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from firstlight.errors import FirstlightError, RunError
from firstlight.evaluation import (
    Evaluation,
    Spread,
    averaged,
    measure,
    negative_log_likelihood,
    same_images,
    spread,
)
from firstlight.options import flat
from firstlight.records.origin import started_from
from firstlight.records.run import RunRecord, read
from firstlight.records.run_folder import RunFolder
from firstlight.records.study_folder import FoldKey, RunKey, StudyFolder, fold_folder, run_title, seed_folder
from firstlight.types import Array, Json, Predictions

INIT_FROM = "weights.init_from"
OF_A_RUN = ("seed", "data.fold")  # settings in which the runs of a group differ
ANCESTORS = 20  # runs that a recipe goes back to, one from the weights of the other
WITHIN = 2  # standard deviations


def standing(ours: Spread, number: float) -> Literal["above", "within", "below", "higher", "lower", "equal"]:
    """How a mean stands to a published number, by the standard deviation of the seeds, where there is one."""
    if ours.sd is None:
        return "equal" if ours.mean == number else "higher" if ours.mean > number else "lower"
    if abs(ours.mean - number) <= WITHIN * ours.sd:
        return "within"
    return "above" if ours.mean > number else "below"


def reached(ours: Spread, number: float) -> bool:
    """Whether a published number is reached within two standard deviations, or beaten."""
    return standing(ours, number) not in ("below", "lower")


@dataclass(frozen=True)
class PublishedAccuracy:
    """A published number, and ours.

    measure  "test", or "validation" for the greatest accuracy over the epochs
    ours     None where there is none yet
    """

    measure: str
    number: float | None
    ours: Spread | None

    @property
    def reached(self) -> bool:
        """Whether it is reached within two standard deviations, or beaten."""
        return self.ours is not None and self.number is not None and reached(self.ours, self.number)


@dataclass(frozen=True, eq=False)
class Group:
    """One recipe over its seeds, or over the folds of its seeds.

    runs       its finished runs by seed, or by seed and fold
    asked      the runs that were asked for
    unread     why a run with a result could not be read
    failed     why a run without one came to none when it was last tried
    published  the test accuracy that is published for it, if any
    published_validation  the greatest validation accuracy over the epochs that is published for it, if any
    beside     other numbers to stand beside ours
    note       why it differs from what is published, or what to look at
    """

    name: str
    runs: Mapping[RunKey, RunRecord]
    asked: tuple[RunKey, ...]
    unread: Mapping[RunKey, str] = field(default_factory=dict)
    failed: Mapping[RunKey, str] = field(default_factory=dict)
    published: float | None = None
    published_validation: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def over_folds(self) -> bool:
        """Whether its runs are the folds of a split, each tested on other images."""
        return any(isinstance(key, FoldKey) for key in (*self.asked, *self.runs))

    @property
    def noun(self) -> str:
        """What there are several of in it: "seed" or "fold"."""
        return "fold" if self.over_folds else "seed"

    def title(self, key: RunKey) -> str:
        """What one of its runs is called: "seed 3", "fold 2", or both where there are several seeds of folds."""
        return f"fold {key.fold}" if isinstance(key, FoldKey) and len(self.seeds) == 1 else run_title(key)

    @property
    def seeds(self) -> list[int]:
        """The seeds that its runs have, or were asked for with."""
        return sorted({key.seed if isinstance(key, FoldKey) else key for key in (*self.asked, *self.runs)})

    @property
    def missing(self) -> tuple[RunKey, ...]:
        """Runs without a result."""
        return tuple(key for key in self.asked if key not in self.runs and key not in self.unread)

    @cached_property
    def averaged(self) -> Mapping[RunKey, RunRecord]:
        """The runs that means are taken over: those that were not interrupted, or all where each one was.

        A run that diverged counts, as that is what came of the recipe with this seed or fold.
        """
        whole = {seed: record for seed, record in self.runs.items() if record.status != "interrupted"}
        return whole or self.runs

    @property
    def first(self) -> RunRecord:
        """The run of its first seed or fold, which is shown where one must stand for all."""
        return next(iter(self.averaged.values()))

    @property
    def task(self) -> tuple[str, tuple[str, ...]]:
        """What it was tested on. Accuracies compare between groups of one task alone."""
        return self.first.data, self.first.class_names

    @property
    def settings(self) -> dict[str, object]:
        """What it was asked but for seed and fold, by whole keys: {"optimizer.lr": 0.001}."""
        return settings_of(self.first)

    @property
    def accuracies(self) -> dict[RunKey, float]:
        """The test accuracy of each run."""
        return {key: record.test.accuracy for key, record in self.averaged.items()}

    @property
    def accuracy(self) -> Spread:
        return spread(list(self.accuracies.values()))

    @cached_property
    def together(self) -> Evaluation | None:
        """The mean of its nets' probabilities, measured by their predictions; its loss is the log-likelihood, negative.

        None of a single run, and where the test images are not the same for all: of one that another net was trained
        on, the mean would know the answer.
        """
        found = [record.predictions for record in self.averaged.values()]
        if len(found) < 2 or not all(same_images(found[0], other) for other in found[1:]):
            return None
        mean = averaged(found)
        loss = negative_log_likelihood(mean.probabilities, mean.labels)
        return measure(mean, self.first.class_names, loss, [*self.first.test.metrics])

    @property
    def loss(self) -> Spread:
        return self._over(lambda record: record.test.loss)

    @property
    def validation(self) -> Spread | None:
        """The validation accuracy; None where a run has no validation split."""
        found = [record.validation.accuracy for record in self.averaged.values() if record.validation is not None]
        return spread(found) if len(found) == len(self.averaged) else None

    @property
    def best_validation(self) -> Spread | None:
        """The greatest validation accuracy over the epochs; None where a run has none."""
        columns = [record.history.get("val_accuracy", ()) for record in self.averaged.values()]
        found = [float(max(column)) for column in columns if len(column)]
        return spread(found) if found and len(found) == len(columns) else None

    @property
    def claims(self) -> tuple[PublishedAccuracy, ...]:
        """The published numbers, each beside the same measure of ours."""
        known = (
            PublishedAccuracy("test", self.published, self.accuracy if self.runs else None),
            PublishedAccuracy("validation", self.published_validation, self.best_validation if self.runs else None),
        )
        return tuple(claim for claim in known if claim.number is not None)

    @property
    def training(self) -> Spread | None:
        """The training accuracy in the epochs whose weights were kept; None where a run has none."""
        found = [record.training_accuracy for record in self.averaged.values()]
        known = [accuracy for accuracy in found if accuracy is not None]
        return spread(known) if known and len(known) == len(found) else None

    @property
    def gap(self) -> float | None:
        """The training accuracy less the validation accuracy; None where a run lacks one of them."""
        if self.training is None or self.validation is None:
            return None
        return self.training.mean - self.validation.mean

    @property
    def validation_loss(self) -> float:
        found = [record.validation.loss for record in self.averaged.values() if record.validation is not None]
        return float(np.mean(found))

    @property
    def numbers(self) -> dict[str, float]:
        """The recorded numbers that are shown, by their places in the result: means over the runs that have them."""
        of_runs = [record.numbers for record in self.averaged.values()]
        found = {place: [value for each in of_runs if (value := each[place]) is not None] for place in of_runs[0]}
        return {
            place: values[0] if len(set(values)) == 1 else float(np.mean(values))
            for place, values in found.items()
            if values
        }

    @property
    def seconds_an_epoch(self) -> float | None:
        """The median over all epochs of all runs."""
        found = np.concatenate([record.history.get("seconds", np.zeros(0)) for record in self.averaged.values()])
        return float(np.median(found)) if len(found) else None

    @cached_property
    def pooled(self) -> Evaluation | None:
        """The evaluation of a single run, or over folds of all images, each by the net that has not seen it.

        None of several seeds: these are several models, each of which answers for the same images.
        """
        if len(self.averaged) == 1:
            return self.first.test
        if self.predictions is None:
            return None
        loss = np.average([test.loss for test in self.tests], weights=[test.images for test in self.tests])
        return measure(self.predictions, self.first.class_names, float(loss), [*self.first.test.metrics])

    @cached_property
    def predictions(self) -> Predictions | None:
        """What its run said of the test images, or over the folds of a seed the nets of all images; else None."""
        found = [record.predictions for record in self.averaged.values()]
        if len(found) > 1 and (not self.over_folds or len(self.seeds) > 1):
            return None
        return Predictions(
            *(np.concatenate([getattr(p, k) for p in found]) for k in ("ids", "labels", "probabilities"))
        )

    @property
    def test_to_learnt(self) -> float:
        """Test images over the images that a net was trained on, and by which its weights were chosen: on the mean."""
        sizes = [{split: sum(counts) for split, counts in run.counts.items()} for run in self.averaged.values()]
        return float(np.mean([size["test"] / (size["train"] + size.get("validation", 0)) for size in sizes]))

    @property
    def tests(self) -> list[Evaluation]:
        return [record.test for record in self.averaged.values()]

    @property
    def confusion(self) -> Array:
        """The confusion matrices of all runs, added up."""
        return np.sum([test.confusion for test in self.tests], axis=0)

    def class_accuracies(self, keys: Collection[RunKey] | None = None) -> list[Spread | None]:
        """The accuracy of each class over the runs, or some of them; None for a class without test images."""
        tests = [record.test for key, record in self.averaged.items() if keys is None or key in keys]
        by_class = zip(*[[score.accuracy for score in test.classes] for test in tests], strict=True)
        found = [[value for value in values if value is not None] for values in by_class]
        return [spread(values) if values else None for values in found]

    def curve(self, column: str) -> dict[str, Array]:
        """A column of the history over the runs: epoch, and mean, low and high of the runs that got that far."""
        columns = [record.history[column] for record in self.averaged.values() if column in record.history]
        longest = max((len(values) for values in columns), default=0)
        reached = [np.array([values[e] for values in columns if len(values) > e]) for e in range(longest)]
        with np.errstate(all="ignore"):  # a run that diverged ends with what is not a number
            means = [values.mean() for values in reached]
        return {
            "epoch": np.arange(1, longest + 1),
            "mean": np.array(means),
            "low": np.array([values.min() for values in reached]),
            "high": np.array([values.max() for values in reached]),
        }

    def _over(self, number: Callable[[RunRecord], float]) -> Spread:
        return spread([number(record) for record in self.averaged.values()])


def of_study(folder: StudyFolder) -> tuple[Group, ...]:
    """The entries of a study with what of their runs is there. Raises RunError where there is nothing yet."""
    groups = read_study(folder)
    if not any(group.runs for group in groups):
        told = [f"{name}: {why}" for name, why in _lost(groups).items()]
        if not any(group.unread for group in groups):
            told.insert(0, f"{folder.path}: no run of the study has a result yet, so there is nothing to report.")
        raise RunError("\n".join(told))
    return groups


def lost(folder: StudyFolder) -> dict[str, str]:
    """Why there is nothing of runs of a study that were tried, by their names: "lenet5, seed 3, fold 1"."""
    return _lost(read_study(folder))


def read_study(folder: StudyFolder) -> tuple[Group, ...]:
    """The entries of a study with what of their runs is there, if anything."""
    groups = []
    for entry in folder.entries:
        runs, unread = {}, {}
        for key, run in folder.finished(entry).items():
            try:
                runs[key] = read(run)
            except RunError as error:
                unread[key] = f"{error} To train it again, remove {run.path}."
        published = {"published": entry.published, "published_validation": entry.published_validation}
        numbers: Json = {**published, "beside": entry.beside, "note": entry.note}
        groups.append(Group(entry.name, runs, folder.keys(entry), unread, folder.failed(entry), **numbers))
    return tuple(groups)


def _lost(groups: Sequence[Group]) -> dict[str, str]:
    return {
        f"{group.name}, {run_title(key)}": why
        for group in groups
        for key, why in {**group.failed, **group.unread}.items()
    }


def of_runs(records: Sequence[RunRecord]) -> tuple[Group, ...]:
    """The runs by their recipe, in the order given; a seed, or a fold of it, occurs once in a group."""
    found: dict[Hashable, dict[RunKey, RunRecord]] = {}
    for record in records:
        key, of, turn = key_of(record.run), recipe(record), 0
        while key in found.setdefault((of, turn), {}):
            turn += 1  # the same run again: a group of its own
        found[of, turn][key] = record
    groups = [{key: runs[key] for key in in_order(runs)} for runs in found.values()]
    names = [_name(list(runs.values())) for runs in groups]
    paths = [str(next(iter(runs.values())).run.path) for runs in groups]
    return tuple(
        Group(name if names.count(name) == 1 else path, runs, tuple(runs))
        for name, path, runs in zip(names, paths, groups, strict=True)
    )


def recipe(record: RunRecord) -> Hashable:
    """What a run was asked, but for seed and fold, and what it is tested on: a group is the runs that have the same."""
    corrections = record.run.data.corrections
    corrected = corrections and corrections.sha256  # the same file may have held others
    return _asked(record.run, ANCESTORS), record.data, record.class_names, corrected


def asked_of(run: RunFolder) -> Hashable:
    """What a run was asked, but for the seed: nets that answer together have the same."""
    return _asked(run, ANCESTORS)


def settings_of(record: RunRecord) -> dict[str, object]:
    """What a run was asked but for seed and fold, by whole keys."""
    return {key: value for key, value in flat(record.experiment.tables) if key not in OF_A_RUN}


def seed_of(run: RunFolder) -> int:
    return run.experiment.seed


def key_of(run: RunFolder) -> RunKey:
    """Which of the runs of its recipe it is."""
    fold = run.experiment.data.fold
    return seed_of(run) if fold is None else FoldKey(seed_of(run), fold)


def in_order(keys: Iterable[RunKey]) -> list[RunKey]:
    """By seed, and in each by fold."""
    return sorted(keys, key=lambda key: key if isinstance(key, FoldKey) else (key, 0))


def _asked(run: RunFolder, ancestors: int) -> Hashable:
    asked: dict[str, Hashable] = {k: str(value) for k, value in flat(run.experiment.tables) if k not in OF_A_RUN}
    if INIT_FROM in asked and ancestors:
        asked[INIT_FROM] = _start(run, str(asked[INIT_FROM]), ancestors)
    return tuple(sorted(asked.items()))


def _start(run: RunFolder, given: str, ancestors: int) -> Hashable:
    """What a run started from: of another run its recipe, and its seed and fold where these are not the run's own.

    Where that run is not there any more, its place tells: in a study, it has seed and fold in its name.
    """
    own = _folders_of(key_of(run))
    try:
        origin = started_from(run)
        if origin is not None:
            return _asked(origin, ancestors - 1), None if key_of(origin) == key_of(run) else key_of(origin)
    except FirstlightError:
        pass  # a record of its that is damaged tells nothing
    return tuple("" if part in own else part for part in Path(given).parts)


def _folders_of(key: RunKey) -> tuple[str, ...]:
    """The folders that a study gives to a run, below that of its recipe."""
    return (seed_folder(key.seed), fold_folder(key.fold)) if isinstance(key, FoldKey) else (seed_folder(key),)


def _name(records: Sequence[RunRecord]) -> str:
    """A name for runs of one recipe: where they lie as a study lays them out, its folder; else the first and last."""
    laid_out = [(record.run.path.resolve().parts, _folders_of(key_of(record.run))) for record in records]
    recipes = {parts[: -len(own)][-1] for parts, own in laid_out if parts[-len(own) :] == own}
    if len(recipes) == 1 and all(parts[-len(own) :] == own for parts, own in laid_out):
        return recipes.pop()
    names = [record.name for record in records]
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


def present(groups: Sequence[Group]) -> list[Group]:
    """Those of which there is at least one run."""
    return [group for group in groups if group.runs]


def tasks(groups: Sequence[Group]) -> list[list[Group]]:
    """The groups by what they were tested on, in the order of their first."""
    found: dict[Any, list[Group]] = {}
    for group in present(groups):
        found.setdefault(group.task, []).append(group)
    return list(found.values())


def selected(task: Sequence[Group]) -> bool:
    """Whether the best of a task can be chosen by validation: each run has a validation split."""
    return all(group.validation is not None for group in task)


def ranked(task: Sequence[Group]) -> list[Group]:
    """The groups of a task by mean validation accuracy, then loss; as given where a run has no validation split.

    Never by the test images: to choose by them would flatter the winner.
    """
    judged = [(group.validation, group) for group in task if group.validation is not None]
    if len(judged) < len(task):
        return list(task)
    judged.sort(key=lambda pair: (-pair[0].mean, pair[1].validation_loss))
    return [group for _, group in judged]


def leader(task: Sequence[Group]) -> Group:
    """The best of a task by validation, or its first."""
    return ranked(task)[0]


def paired(first: Group, second: Group) -> list[tuple[RunRecord, RunRecord]]:
    """Their runs two by two: those that both have by seed (and fold), or the first of each where there is none."""
    keys = [key for key in first.averaged if key in second.averaged]
    return [(first.averaged[key], second.averaged[key]) for key in keys] or [(first.first, second.first)]


def named_runs(groups: Sequence[Group]) -> dict[str, RunRecord]:
    """Every run by the name of its group and its seed or fold; by the name alone where no group has several."""
    single = all(len(group.runs) <= 1 for group in groups)
    return {
        group.name if single else f"{group.name}, {group.title(key)}": record
        for group in groups
        for key, record in group.runs.items()
    }


def noun(groups: Iterable[Group]) -> str:
    """What groups have several of: "seed", "fold", or "run" where some are over seeds and some over folds."""
    found = {group.noun for group in groups}
    return found.pop() if len(found) == 1 else "run"


def winners(task: Sequence[Group]) -> list[Group]:
    """The best of a task by validation; several where these have the same accuracy and the same loss, or none at all.

    A single group is not a winner.
    """
    if len(task) < 2 or not selected(task):
        return []
    first, *others = ranked(task)
    return [first, *(group for group in others if _validation(group) == _validation(first))]


def _validation(group: Group) -> tuple[float, float]:
    assert group.validation is not None, "asked of selected tasks alone"
    return group.validation.mean, group.validation_loss


def varied(groups: Sequence[Group]) -> str | None:
    """The one setting by which the groups differ, where it is a number and another one in each of four or more.

    Groups without a run count for nothing.
    """
    settings = [group.settings for group in present(groups)]
    if len(settings) < 4:
        return None
    differing = differences(settings)
    if len(differing) != 1:
        return None
    ((key, values),) = differing.items()
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return key if numeric and len(set(values)) == len(values) else None


def differences(settings: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    """The keys whose values are not the same in all, in order, with the value of each; None where one has none."""
    keys = sorted({key for each in settings for key in each})
    found = {key: [each.get(key) for each in settings] for key in keys}
    return {key: values for key, values in found.items() if len(set(map(str, values))) > 1}
