"""The nets of a recipe's seeds as one, by the mean of their probabilities: what that gains, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from firstlight.evaluation import LEVEL, Evaluation, McNemar, averaged, holm, mcnemar, measure, negative_log_likelihood
from firstlight.records.group import Group, present
from firstlight.records.run import RunRecord
from firstlight.report.document import Block, Section, Table, Text
from firstlight.report.format import THIN, count, decimal, interval, percent, signed
from firstlight.text import listed
from firstlight.types import Predictions


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The nets of one recipe together.

    nets                  how many
    together              the mean of their probabilities on the test images; its loss is the negative log-likelihood
    accuracy, likelihood, calibration_error   means over the single nets, measured in the same way
    usual                 the name of the net that one would take otherwise, `against` which the ensemble is tested
    p                     of that test after Holm's correction for all ensembles
    """

    name: str
    nets: int
    together: Evaluation
    accuracy: float
    likelihood: float
    calibration_error: float
    usual: str
    against: McNemar
    p: float

    @property
    def better(self) -> bool | None:
        """Whether it is significantly better or worse than the usual net; None where that may be chance."""
        return None if self.p >= LEVEL else self.against.difference > 0


@dataclass(frozen=True, eq=False)
class Ensembles:
    """What there is, and the names of groups that have none: each net has other test images.

    drawn  since the seeds drew their splits
    folds  since they are of folds
    """

    found: Sequence[Ensemble]
    drawn: Sequence[str] = ()
    folds: Sequence[str] = ()


def numbers(groups: Sequence[Group]) -> Ensembles:
    """The ensembles of the groups that have several nets."""
    several = [group for group in present(groups) if len(group.averaged) > 1]
    found = [_ensemble(group, group.together) for group in several if group.together is not None]
    corrected = holm([one.p for one in found])
    found = [replace(one, p=p) for one, p in zip(found, corrected, strict=True)]
    others = [group for group in several if group.together is None]
    drawn, folds = ([group.name for group in others if group.over_folds is value] for value in (False, True))
    return Ensembles(found, drawn, folds)


def _ensemble(group: Group, together: Evaluation) -> Ensemble:
    records = list(group.averaged.values())
    each = [negative_log_likelihood(r.predictions.probabilities, r.predictions.labels) for r in records]
    usual = max(records, key=_by_validation)
    against = mcnemar(averaged([record.predictions for record in records]), usual.predictions)
    return Ensemble(
        group.name,
        len(records),
        together,
        accuracy=group.accuracy.mean,
        likelihood=float(np.mean(each)),
        calibration_error=float(np.mean([record.test.calibration_error for record in records])),
        usual=usual.name,
        against=against,
        p=against.p,
    )


def _by_validation(record: RunRecord) -> tuple[float, float]:
    """Of equals, max takes the first; without a validation split it is the first seed."""
    return (0.0, 0.0) if record.validation is None else (record.validation.accuracy, -record.validation.loss)


def caption(found: Sequence[Ensemble]) -> str:
    """What was averaged, what it is compared with, and what it costs."""
    better, worse = ([one.name for one in found if one.better is value] for value in (True, False))
    judged = [
        f"{word} than that net for {listed(names)}" for word, names in (("better", better), ("worse", worse)) if names
    ]
    verdict = (
        f"It is {' and '.join(judged)}; the differences are statistically significant."
        if judged
        else "The differences may be due to chance."
    )
    return (
        "All nets of a recipe form an ensemble, by the mean of their probabilities (Lakshminarayanan et al. 2017), on "
        f"the predictions that the runs have kept. That is one model: its 95{THIN}% interval, in brackets, is over "
        "test images, and there is no standard deviation over seeds. It is compared with the net that one would use "
        "otherwise, the best of them by validation: the difference of their accuracies with its interval, and p by "
        f"McNemar’s test after Holm’s correction. {verdict} For the negative log-likelihood and the calibration error, "
        "the mean of single nets comes first; lower is better. An ensemble takes the time and the memory of all its "
        "nets."
    )


def section(groups: Sequence[Group]) -> Section | None:
    """The table; None where no group has several nets."""
    found = numbers(groups)
    made = blocks(found)
    return Section("Ensembles", "ensembles", made) if made else None


def blocks(all_: Ensembles) -> tuple[Block, ...]:
    """A row an ensemble, and why there is none of other groups."""
    table = Table(
        titles=(
            "recipe",
            "nets",
            "accuracy of the ensemble",
            "of single nets, mean",
            "best by validation",
            "difference, points",
            "p, Holm",
            "negative log-likelihood",
            "calibration error",
        ),
        rows=tuple(map(_row, all_.found)),
        right=frozenset(range(1, 9)) - {4},
        caption=caption(all_.found),
        kind="ensembles",
    )
    drawn = (
        f"No ensemble of {listed(all_.drawn)} was measured: its nets have different test images, and one may have been "
        "trained on what another is tested on. If splits are drawn at random, a data.split_seed gives all seeds the "
        "same one."
    )
    folds = (
        f"For a new image, predict takes the mean of the nets of all folds ({listed(all_.folds)}). That is not "
        "evaluated here, as no image of the dataset is new to all of them: the numbers are those of single nets."
    )
    notes = ((drawn, all_.drawn), (folds, all_.folds))
    return (*((table,) if all_.found else ()), *(Text(text, tone="note") for text, names in notes if names))


def _row(one: Ensemble) -> tuple[str, ...]:
    low, high = one.against.interval
    return (
        one.name,
        count(one.nets),
        f"{percent(one.together.accuracy, 2)} ({interval(one.together.accuracy_interval)})",
        percent(one.accuracy, 2),
        one.usual,
        f"{signed(one.against.difference)} ({signed(low)} to {signed(high)})",
        "<0.0001" if one.p < 0.0001 else decimal(one.p),
        f"{decimal(one.likelihood)} → {decimal(one.together.loss)}",
        f"{decimal(one.calibration_error)} → {decimal(one.together.calibration_error)}",
    )


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd ensembles, by what is odd."""

    def made(name: str, right: int, alone: int) -> Ensemble:
        """Of 40 images, so many are right together, and so many by one net alone."""
        ids, labels = np.arange(40).astype(str), np.arange(40) % 2

        def answers(n: int) -> Predictions:
            return Predictions(
                ids, labels, np.eye(2, dtype=np.float32)[np.where(np.arange(40) < n, labels, 1 - labels)]
            )

        together = measure(answers(right), ("a", "b"), 0.0)
        test = mcnemar(answers(right), answers(alone))
        return Ensemble(name, 5, together, alone / 40, 87.0, 0.0, "<i>", test, test.p)

    return {
        "better, worse and the same": blocks(
            Ensembles([made("<b>", 40, 9), made("b", 0, 40), made("constructor", 9, 9)])
        ),
        "all are right, and others not measured": blocks(Ensembles([made("a", 40, 40)], ["<b>", "toString"])),
        "none is measured": blocks(Ensembles([], ["<b>"], ["toString", "<i>"])),
    }
