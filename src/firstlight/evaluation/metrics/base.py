"""What a metric is: a function of labels and probabilities, with what is to be known of its number."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, TypeVar, overload

import numpy as np

from firstlight.components import Option, Registry, kebab
from firstlight.errors import MetricError, brief
from firstlight.evaluation.scores import Interval, confusion_matrix
from firstlight.types import Array, Json

Function = Callable[[Array, Array], float]
Defined = TypeVar("Defined", bound=Callable[..., Any])
OfCounts = Callable[[Array], Array]

RESAMPLES = 1000
CHUNK = 2**22  # numbers of resampled confusion matrices that are held at a time


@dataclass(frozen=True, eq=False)
class Metric:
    """One number that says how good predictions are.

    function          labels int64 (N,), probabilities float32 (N, K) -> a number
    title             what tables and axes call it, as within a sentence
    about             what it is, in a sentence
    higher_is_better  whether greater numbers are better
    percent           whether it is shown as a percentage
    of_counts         the same from confusion matrices (…, K, K), rows true and columns predicted, where it follows from
                      them alone: (…); nan where it is not defined
    """

    name: str
    function: Function
    title: str
    about: str
    higher_is_better: bool = True
    percent: bool = False
    of_counts: OfCounts | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.function.__doc__)  # which lists and references show

    def score(self, labels: Array, probabilities: Array, *, interval: bool = False) -> MetricScore:
        """What it says of predictions; where it says nothing, why.

        interval  whether to give its 95 % interval, where it follows from the confusion matrix
        """
        value: float | None
        try:
            value, trouble = self.value(labels, probabilities), ""
        except MetricError as error:
            value, trouble = None, str(error)
        if value is not None and not math.isfinite(value):
            value, trouble = None, f"it returned {value}, which is not a finite number"
        found = None
        if interval and value is not None:
            with suppress(MetricError):  # the number stands without it
                found = self.interval(labels, probabilities)
        return MetricScore(
            self.name, self.title, self.about, value, found, self.higher_is_better, self.percent, trouble
        )

    def interval(self, labels: Array, probabilities: Array) -> Interval | None:
        """Its 95 % interval, where it follows from the confusion matrix. Raises MetricError where `of_counts` fails."""
        if self.of_counts is None:
            return None
        try:
            return bootstrap_of_counts(confusion(labels, probabilities), self.of_counts)
        except (Exception, SystemExit) as error:
            raise MetricError(f"its of_counts raised {type(error).__name__}: {brief(str(error))}") from error

    def value(self, labels: Array, probabilities: Array) -> float:
        """Its number, which may be nan. Raises MetricError where the function fails, or returns something else."""
        given = [array.view() for array in (labels, probabilities)]
        for array in given:
            array.flags.writeable = False  # what one metric did to them, the next would measure
        try:
            with np.errstate(all="ignore"):  # what is not finite is told by the value
                value: Any = self.function(*given)
        except (Exception, SystemExit) as error:
            raise MetricError(f"it raised {type(error).__name__}: {brief(str(error))}") from error
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
            raise MetricError(f"it must return a number; it returned {brief(value)}")
        try:
            return float(value)
        except OverflowError:
            raise MetricError("it returned a number beyond those of float64") from None


@dataclass(frozen=True)
class MetricScore:
    """What a metric says of predictions, with all that is needed to show it where the metric itself is not there.

    value    None where it gave no number; `trouble` says why
    interval the 95 % interval, where there is one
    The others are those of `Metric`.
    """

    name: str
    title: str
    about: str = ""
    value: float | None = None
    interval: Interval | None = None
    higher_is_better: bool = True
    percent: bool = False
    trouble: str = ""

    def to_json(self) -> Json:
        return {**asdict(self), "interval": self.interval and list(self.interval)}

    @classmethod
    def from_json(cls, value: Json) -> MetricScore:
        interval = value.get("interval")
        return cls(**{**value, "interval": interval and tuple(interval)})


class Metrics(Registry[Metric]):
    """The metrics by name."""

    @overload
    def register(self, function: Defined, /) -> Defined: ...
    @overload
    def register(
        self,
        /,
        *,
        name: str = "",
        title: str = "",
        higher_is_better: bool = True,
        percent: bool = False,
        of_counts: OfCounts | None = None,
    ) -> Callable[[Defined], Defined]: ...
    def register(self, function: Any = None, /, *, name: str = "", title: str = "", **known: Any) -> Any:
        """The decorator that makes a `function` of labels and probabilities a metric.

        name              the function's own in kebab-case unless given
        title             what tables call it; made of the name unless given
        higher_is_better  whether greater numbers are better
        percent           whether it is shown as a percentage
        of_counts         see `Metric`: with it, results have a 95 % interval
        Raises ExperimentError where it takes other arguments, has no docstring, or its name is taken.
        """
        if function is None:
            return lambda function: self._registered(function, name, title, **known)
        return self._registered(function, name, title, **known)

    def _registered(self, function: Any, name: str, title: str, **known: Any) -> Any:
        self._must_take_two(function)
        self._must_be_documented(function)
        called = name or kebab(function.__name__)
        if called in ("loss", "accuracy") and function.__module__.partition(".")[0] != "firstlight":
            raise self.error(f"{function.__qualname__}: {called} is measured anyway. Choose another name.")
        about = (inspect.getdoc(function) or "").partition("\n")[0].strip()
        shown = title or called.replace("-", " ")
        self.add(called, Metric(called, function, shown, about, **known), function)
        return function

    def summary(self, name: str) -> str:
        return self[name].about

    def options(self, name: str) -> tuple[Option, ...]:
        """None: an experiment names a metric, and no more."""
        return ()

    def name_of(self, entry: object) -> str | None:
        return super().name_of(entry.function if isinstance(entry, Metric) else entry)

    def _must_take_two(self, function: Any) -> None:
        if not inspect.isfunction(function):
            raise self.error(f"{brief(function)}: a metric is a function (labels, probabilities) -> number.")
        try:
            inspect.signature(function).bind(None, None)
        except TypeError:
            raise self.error(
                f"{function.__qualname__}: a metric is a function (labels, probabilities) -> number; received "
                f"{inspect.signature(function)}."
            ) from None


METRICS = Metrics("metric")


def scores(
    names: Collection[str], labels: Array, probabilities: Array, *, interval: bool = False
) -> tuple[MetricScore, ...]:
    """What metrics say of predictions. One that is not registered, as that of a plugin that was not loaded, says so."""
    return tuple(
        METRICS[name].score(labels, probabilities, interval=interval)
        if name in METRICS
        else MetricScore(name, name.replace("-", " "), trouble="its definition was not loaded")
        for name in names
    )


def confusion(labels: Array, probabilities: Array) -> Array:
    """How often each class was taken for each: int64 (K, K), rows true and columns predicted."""
    return confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1])


def bootstrap_of_counts(counts: Array, of_counts: OfCounts, confidence: float = 0.95) -> Interval | None:
    """The percentile bootstrap interval of a number that follows from a confusion matrix, over its images.

    To draw N images with replacement is to draw the counts from a multinomial distribution, always the same 1000 times.
    None where the number is the same in all of them, as when no image was mistaken: then they say nothing of its
    spread; and where it is not defined in one of twenty.
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.
    """
    flat = counts.ravel()
    there = np.flatnonzero(flat)
    total, draw = int(flat.sum()), np.random.default_rng(0)
    values: list[Array] = []
    step = max(1, CHUNK // flat.size)
    for start in range(0, RESAMPLES, step):
        drawn = np.zeros((min(step, RESAMPLES - start), flat.size), np.int64)
        drawn[:, there] = draw.multinomial(total, flat[there] / total, len(drawn))
        with np.errstate(all="ignore"):
            values.append(np.asarray(of_counts(drawn.reshape(-1, *counts.shape))))
        if values[-1].shape != (len(drawn),):
            raise ValueError(f"of {len(drawn)} matrices, it returned the shape {values[-1].shape}")
    found = np.concatenate(values)
    found = found[np.isfinite(found)]
    if len(found) < 0.95 * RESAMPLES or np.ptp(found) == 0:
        return None
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def in_words(column: str) -> str:
    """What a column of the history is called: "val_macro-auc" is "validation macro AUC"."""
    name = column.removeprefix("val_")
    title = METRICS[name].title if name in METRICS else name.replace("-", " ")
    return f"validation {title}" if name != column else title


def higher_is_better(column: str) -> bool:
    """Whether greater numbers of a column of the history are better, a metric's or a loss's."""
    name = column.removeprefix("val_")
    return name != "loss" and METRICS[name].higher_is_better


def is_percent(column: str) -> bool:
    """Whether the numbers of a column of the history are shown as percentages, as far as is known here."""
    name = column.removeprefix("val_")
    return name in METRICS and METRICS[name].percent
