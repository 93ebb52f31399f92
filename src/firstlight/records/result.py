"""result.json: how a run ended, and its numbers; hashes.json: the SHA-256 of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Annotated, Literal

import numpy as np

from firstlight.evaluation import Evaluation, MetricScore, ReliabilityBin
from firstlight.records.codec import Must, decode, omitted, said
from firstlight.records.estimate import Estimated
from firstlight.records.values import TOLERANCE, AtLeastOne, Count, Names, Positive, Share, Table


class Status(StrEnum):
    """How a training ended."""

    FINISHED = "finished"
    STOPPED_EARLY = "stopped early"
    STOPPED_BY_ON_EPOCH = "stopped by on_epoch"
    STOPPED_BY_ON_STEP = "stopped by on_step"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"


@dataclass(frozen=True)
class Shown:
    """How a number of the record is shown, wherever numbers of runs are: a page's summary, tables, the dashboard.

    title   what it is called in the summary of a run
    text    how it is written, as one of `report.format.WRITTEN`
    unit    what stands behind it
    column  what it is called in tables of several runs; "" where these have no column of it
    asked   whether it is measured only where it is asked for, and else is not shown
    """

    title: str
    text: Literal["count", "decimal", "percent", "seconds", "significant"]
    unit: str = ""
    column: str = ""
    asked: bool = False


Confidence = Annotated[float, Must("a number from 0 to 1", lambda number: 0 <= number <= 1 + TOLERANCE)]
Rank = Annotated[str, Must("an integer of at least 1", lambda text: text.isdecimal() and 0 < int(text) < 10_000)]


@dataclass(frozen=True, kw_only=True)
class BinRecord:
    low: Share
    high: Share
    images: Count
    confidence: Confidence | None
    accuracy: Share | None


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord:
    error: Share = 0.0
    bins: tuple[BinRecord, ...]


@dataclass(frozen=True, kw_only=True)
class ConfusionRecord:
    """counts  a row for each true class, a column for each predicted one"""

    rows: Literal["true"]
    columns: Literal["predicted"]
    class_names: Names
    counts: tuple[tuple[Count, ...], ...]


@dataclass(frozen=True, kw_only=True)
class MetricRecord:
    """A `MetricScore`, with what it takes to show it where its definition is not there."""

    name: str
    title: str
    about: str = omitted("")
    value: float | None
    interval: tuple[float, float] | None = omitted(None)
    higher_is_better: bool = True
    percent: bool = False
    trouble: str = omitted("")


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """What `Evaluation.to_json` gives; what follows from these numbers is kept beside them for other programs."""

    images: AtLeastOne
    accuracy: Share
    accuracy_interval: tuple[Share, Share] | None = omitted(None)
    loss: float
    top_k: Mapping[Rank, Share]
    calibration: CalibrationRecord
    confusion: ConfusionRecord
    classes: tuple[Table, ...] = omitted(())
    macro: Table = omitted(make=dict)
    weighted: Table = omitted(make=dict)
    metrics: tuple[MetricRecord, ...] = omitted(())

    def __post_init__(self) -> None:
        names, counts = self.confusion.class_names, self.confusion.counts
        if any(len(row) != len(names) for row in counts) or len(counts) != len(names):
            raise ValueError(f"confusion.counts is not of {len(names)} rows and as many columns")
        binned = sum(each.images for each in self.calibration.bins)
        if not self.images == sum(map(sum, counts)) == binned:
            raise ValueError(f"{self.images} images, {sum(map(sum, counts))} in confusion, {binned} in calibration")
        correct = sum(row[place] for place, row in enumerate(counts))
        if abs(self.accuracy - correct / self.images) > TOLERANCE:
            raise ValueError(f"an accuracy of {self.accuracy}, and {correct} of {self.images} on confusion's diagonal")

    @classmethod
    def of(cls, evaluation: Evaluation) -> EvaluationRecord:
        return decode(cls, evaluation.to_json())

    @property
    def evaluation(self) -> Evaluation:
        """All that follows from the counts."""
        bins = (ReliabilityBin(b.low, b.high, b.images, b.confidence, b.accuracy) for b in self.calibration.bins)
        return Evaluation(
            class_names=self.confusion.class_names,
            confusion=np.array(self.confusion.counts, np.int64),
            loss=self.loss,
            top_k={int(k): share for k, share in self.top_k.items()},
            bins=tuple(bins),
            scores=tuple(MetricScore(**asdict(metric)) for metric in self.metrics),
        )


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """Numbers of epochs; `best` by validation, and `weights` those that were kept and measured (0: within the first).

    None where an earlier version did not record it.
    """

    asked: Count | None = omitted(None)
    run: Count
    best: Count = 0
    weights: Count | None = omitted(None)


@dataclass(frozen=True, kw_only=True)
class ParameterCounts:
    """frozen are those that were not trained though they could be; non_trainable also the running statistics"""

    total: Annotated[Count, Shown("Parameters", "count", column="parameters")]
    trainable: Count = 0
    frozen: Count = 0
    non_trainable: Count = 0


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """None where an earlier version did not record it."""

    data: Positive | None = omitted(None)
    compile: Positive | None = omitted(None)
    train: Annotated[Positive, Shown("Training time", "seconds", column="training time")]
    evaluate: Positive | None = omitted(None)
    total: Positive | None = omitted(None)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The numbers of a run. One that says how it is `Shown` stands in the summary, tables and dashboard by itself.

    measured_before  whether the test images had been measured when the run was interrupted
    stopped_because  why training stopped before its end, in sentences
    validation_flipped_accuracy, test_flipped_accuracy  of the mean of the probabilities for each image and its mirror
                     image, left to right; None where that was not asked for
    estimate         what it was told to take, and what it took; the part since it was resumed last
    hashed           whether hashes.json has the hashes of its files
    """

    status: Status
    measured_before: bool = omitted(False)
    stopped_because: str = omitted("")
    model: str = omitted("")
    epochs: Epochs
    parameters: ParameterCounts
    multiply_adds: Annotated[Count, Shown("Multiply-adds per image", "count", column="multiply-adds")] = 0
    images_per_second: Annotated[Positive | None, Shown("Speed", "count", unit=" images/s")] = omitted(None)
    seconds: Seconds
    estimate: Estimated | None = omitted(None)
    validation: EvaluationRecord | None = omitted(None)
    test: EvaluationRecord
    validation_flipped_accuracy: Annotated[
        Share | None, Shown("Validation accuracy with mirror images", "percent", asked=True)
    ] = omitted(None)
    test_flipped_accuracy: Annotated[
        Share | None,
        Shown("Test accuracy with mirror images", "percent", column="test with mirror images", asked=True),
    ] = omitted(None)
    hashed: bool = omitted(False)

    @property
    def numbers(self) -> dict[str, float | None]:
        """The numbers that are shown, by their places; None for what was not recorded."""
        return {place: attrgetter(place)(self) for place in shown()}


@cache
def shown() -> Mapping[str, Shown]:
    """How the numbers of a result are shown, by their places in it: "seconds.train"."""
    return said(Result, Shown)


@dataclass(frozen=True, kw_only=True)
class Hashes:
    """The SHA-256 of files by their names."""

    sha256: Mapping[str, str]
