"""What the folds of a split came to together: all images, each answered by the net that has not seen it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from firstlight.evaluation import Spread, corrected_t, wilson_interval
from firstlight.evaluation.scores import Interval
from firstlight.records.group import Group, differences, present, settings_of
from firstlight.report.document import Block, Section, Table, Text
from firstlight.report.format import DASH, THIN, UNDEFINED, count, counted, interval, percent, plus_minus
from firstlight.report.settings import value_text
from firstlight.text import listed

FOLDS_FOR_INTERVAL = 3  # of two, Student's t says nothing


@dataclass(frozen=True)
class Folds:
    """A recipe over folds.

    asked      folds that were asked for, of each seed; `lacking` are those without a result
    seeds      how often all images were shared out again
    images     that were tested, each once a seed; `correct` are the right answers, of all seeds
    accuracy   over the folds; least and greatest are those of single folds, by what they are called
    corrected  the 95 % interval of the mean over the folds, corrected for the training images that they share
    ratio      test images of a fold / the images that its net was trained on
    how_split  how the images of its first run were split, in sentences
    found      the settings in which its runs differ, as a search in each fold found them, with the value of each run
    runs       what its runs are called
    """

    name: str
    asked: int
    lacking: tuple[str, ...]
    seeds: int
    images: int
    correct: int
    accuracy: Spread
    least: tuple[str, float]
    greatest: tuple[str, float]
    corrected: Interval | None
    ratio: float
    how_split: str = ""
    found: Mapping[str, Sequence[str]] = field(default_factory=dict)
    runs: tuple[str, ...] = ()

    @property
    def pooled(self) -> float:
        """The share of all answers that are right."""
        return self.correct / (self.images * self.seeds)

    @property
    def over_images(self) -> Interval | None:
        """The 95 % interval of the pooled accuracy, as if the nets were given; None where images were tested twice."""
        return wilson_interval(self.correct, self.images) if self.seeds == 1 else None


def numbers(group: Group) -> Folds:
    """What a group over folds, of which there is at least one run, came to."""
    found = group.accuracies
    ends = min(found, key=lambda key: found[key]), max(found, key=lambda key: found[key])
    (least, greatest) = ((group.title(key), found[key]) for key in ends)
    of, values = sum(test.images for test in group.tests), list(found.values())
    settings = differences([settings_of(run) for run in group.averaged.values()])
    corrected = None
    if len(values) >= FOLDS_FOR_INTERVAL:
        test = corrected_t(values, [0.0] * len(values), group.test_to_learnt)
        corrected = test.interval and (max(0.0, test.interval[0]), min(1.0, test.interval[1]))
    return Folds(
        name=group.name,
        asked=len(group.asked) // len(group.seeds),
        lacking=tuple(group.title(key) for key in group.asked if key not in found),
        seeds=len(group.seeds),
        images=of // len(group.seeds),
        correct=int(group.confusion.trace()),
        accuracy=group.accuracy,
        least=least,
        greatest=greatest,
        corrected=corrected,
        ratio=group.test_to_learnt,
        how_split=f"Of {group.title(next(iter(found)))}: {group.first.how_split}" if group.first.how_split else "",
        found={key: [DASH if value is None else value_text(value) for value in of] for key, of in settings.items()},
        runs=tuple(group.title(key) for key in found),
    )


def section(groups: Sequence[Group]) -> Section | None:
    """The numbers of the groups that are over folds, and what they can mean."""
    found = [numbers(group) for group in present(groups) if group.over_folds and len(group.asked) > 1]
    return Section("Over the folds", "folds", blocks(found)) if found else None


def blocks(found: Sequence[Folds]) -> tuple[Block, ...]:
    """What lacks, the table, and how to read it."""
    warnings = [
        f"{one.name}: {listed(one.lacking)} of {counted(one.asked * one.seeds, 'fold')} "
        f"{'has' if len(one.lacking) == 1 else 'have'} no complete result. The numbers are those of the other folds "
        "alone, and there are no out-of-fold predictions of all images."
        for one in found
        if one.lacking
    ]
    return (
        *(Text(text, tone="warning") for text in warnings),
        table(found),
        *(_settings(one) for one in found if one.found),
        *(Text(text, tone="note") for text in _how_to_read(found)),
    )


def table(found: Sequence[Folds]) -> Table:
    """A row a recipe."""
    columns = {
        "run": [one.name for one in found],
        "images": [count(one.images) for one in found],
        "accuracy, all images": [percent(one.pooled, 2) for one in found],
        f"95{THIN}%, these nets": [
            UNDEFINED if one.over_images is None else interval(one.over_images) for one in found
        ],
        "mean of the folds": [plus_minus(one.accuracy) for one in found],
        f"95{THIN}%, corrected": [UNDEFINED if one.corrected is None else interval(one.corrected) for one in found],
        "lowest": [f"{percent(one.least[1], 2)} ({one.least[0]})" for one in found],
        "highest": [f"{percent(one.greatest[1], 2)} ({one.greatest[0]})" for one in found],
    }
    return Table(
        titles=tuple(columns),
        rows=tuple(zip(*columns.values(), strict=True)),
        right=frozenset(range(1, len(columns))),
        caption="Every image was tested once"
        f"{' a seed' * any(one.seeds > 1 for one in found)}, by a net that was neither trained nor selected on it. "
        "± is the standard deviation over the folds.",
    )


def _settings(one: Folds) -> Table:
    """What the search in each fold found, a row per fold."""
    return Table(
        titles=("run", *one.found),
        rows=tuple(zip(one.runs, *one.found.values(), strict=True)),
        caption=f"The best settings that the search in each fold found for {one.name}, by the validation images of "
        "that fold. If these differ much, the images are too few to decide between the settings.",
    )


def _how_to_read(found: Sequence[Folds]) -> list[str]:
    """What the intervals over folds can mean, and what they cannot."""
    first = found[0]
    return [
        *dict.fromkeys(one.how_split for one in found if one.how_split),
        "These numbers estimate the accuracy of the recipe, trained on a part of the images, and not that of a single "
        "net. Each fold has its own net, and a net that is trained on all images is likely to be a little better.",
        f"“95{THIN}%, these nets” is about these very nets: it covers the choice of the test images (Wilson’s "
        "interval). It does not cover that other training images, or another seed, would have given other nets.",
        f"“95{THIN}%, corrected” is about the recipe. Any two folds share most of their training images, so their "
        "accuracies are not independent, and the usual interval (the standard deviation over the square root of the "
        "number of folds) would be too narrow. This one widens the variance of the mean from sd²/n to "
        f"sd² (1/n + test/train), here with test/train = {first.ratio:.2f} (Nadeau and Bengio 2003). It is an "
        "approximation: no unbiased estimate of that variance exists from the folds of one split.",
        "The standard deviation over the folds mixes the effects of other training images and of other test images: a "
        "fold with hard images lowers every recipe. To compare recipes, look at their differences fold by fold, not "
        "at whether these intervals overlap.",
    ]


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd folds, by what is odd."""
    spread = Spread(5, 0.9, 0.02)
    whole = Folds("<b>", 5, (), 1, 500, 450, spread, ("fold 2", 0.87), ("fold 1", 0.93), (0.86, 0.94), 0.25, "<b>")
    two = replace(whole, name="constructor", asked=2, accuracy=Spread(2, 0.9, None), corrected=None, correct=500)
    lacking = replace(whole, name="lacking", lacking=("fold 3", "fold 4"), images=300, correct=0)
    return {
        "whole": blocks([whole]),
        "settings of each fold": blocks([replace(whole, found={"optimizer.lr": ["0.1", "<b>"]}, runs=("fold 1", "2"))]),
        "several seeds, two folds, and folds that lack": blocks([replace(whole, seeds=2, correct=900), two, lacking]),
    }
