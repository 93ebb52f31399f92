"""Functions of a user's own that look on while a net trains: after each epoch, and after each step.

They see records of plain numbers, may look at a copy of the weights, and answer `STOP` or nothing. They cannot change
what is learnt: nothing that they are given belongs to the training, and all that it draws is drawn by its own seed.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal

from firstlight import processes
from firstlight.errors import ExperimentError, RunError, brief
from firstlight.types import Array


class Answer(Enum):
    """What a function that looks on may answer, if anything."""

    STOP = "stop"

    def __repr__(self) -> str:
        return "fl.STOP"


STOP: Final = Answer.STOP


@dataclass(eq=False)
class Look:
    """A way to the weights that is open while a function looks on, and at no other time."""

    weights: Callable[[], dict[str, Array]] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class _Moment:
    """What both records have: the weights, for as long as they are those of the record."""

    _look: Look = field(default_factory=Look, init=False, repr=False)

    def weights(self) -> dict[str, Array]:
        """A copy of the weights, by name: arrays that may be kept and changed. Nothing is copied unless this is called.

        Raises RunError after the function that was given the record has returned: training has gone on since.
        """
        if self._look.weights is None:
            raise RunError(
                "weights() gives the weights at the moment of its record: call it within on_epoch or on_step."
            )
        return self._look.weights()


@dataclass(frozen=True, eq=False, kw_only=True)
class EpochProgress(_Moment):
    """An epoch that is done.

    epoch, epochs    its number, from 1, and how many there are to be
    loss, accuracy   of the training images, as they were seen in it
    val_loss, val_accuracy  of the validation images after it; None where there are none
    metrics          the metrics of `training.metrics` on the validation images, by name; NaN where one gave no number
    penalty          what the penalties on the weights add to the loss
    learning_rate    of its last step
    seconds          that it took, validation included and functions that looked on excluded
    best             the best epoch so far by `training.monitor`; without validation the newest

    Where weights are averaged (`training.average`), its weights and validation numbers are those of the average.
    """

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    metrics: Mapping[str, float]
    penalty: float
    learning_rate: float
    seconds: float
    best: int


@dataclass(frozen=True, eq=False, kw_only=True)
class StepProgress(_Moment):
    """A step that is done.

    epoch          its epoch, from 1
    step, steps    its number within the epoch, from 1, and how many steps the epoch has
    images         training images that the epoch has seen so far
    loss           their mean loss, each before its step; on a GPU, for which nobody waits, of up to a few steps before
    learning_rate  of this step
    """

    epoch: int
    step: int
    steps: int
    images: int
    loss: float
    learning_rate: float


OnEpoch = Callable[[EpochProgress], Literal[Answer.STOP] | None]
OnStep = Callable[[StepProgress], Literal[Answer.STOP] | None]


class Callbacks:
    """The functions that look on, and what became of them.

    failure     the error of one of them, with the frames of its own code alone; it ends the training
    stopped_by  the name of the one that answered `STOP`
    seconds     spent in `on_step`

    Of several processes that train one model together, the first one calls `on_epoch`. They keep no account of single
    steps, so that there is no `on_step`. Raises ExperimentError for it, and where one cannot be called with a record.
    """

    def __init__(self, on_epoch: OnEpoch | None = None, on_step: OnStep | None = None) -> None:
        _must_take_a_record("on_epoch", on_epoch)
        _must_take_a_record("on_step", on_step)
        if on_step is not None and processes.world_size() > 1:
            raise ExperimentError(
                f"on_step is not called where {processes.world_size()} processes train one model together: they "
                "exchange the loss only now and then. Use on_epoch."
            )
        self.on_epoch, self.on_step = on_epoch, on_step
        self.failure: Exception | None = None
        self.stopped_by: Literal["", "on_epoch", "on_step"] = ""
        self.seconds = 0.0

    def after_epoch(self, progress: EpochProgress, weights: Callable[[], dict[str, Array]]) -> bool:
        """Call `on_epoch`, which there is: whether training is to end now."""
        assert self.on_epoch is not None
        return self._call("on_epoch", self.on_epoch, progress, weights)

    def after_step(self, progress: StepProgress, weights: Callable[[], dict[str, Array]]) -> bool:
        """Call `on_step`, which there is: whether training is to end now."""
        assert self.on_step is not None
        began = time.perf_counter()
        stop = self._call("on_step", self.on_step, progress, weights)
        self.seconds += time.perf_counter() - began
        return stop

    def _call(
        self,
        name: Literal["on_epoch", "on_step"],
        function: Callable[[Any], Any],
        progress: _Moment,
        weights: Callable[[], dict[str, Array]],
    ) -> bool:
        look = progress._look
        look.weights = weights
        try:
            answer = function(progress)
        except Exception as error:
            trace = error.__traceback__
            self.failure = error.with_traceback(trace.tb_next if trace else None)  # without this frame
            return True
        finally:
            look.weights = None
        if answer is STOP:
            self.stopped_by = name
        elif answer is not None:
            self.failure = ExperimentError(f"{name} must return fl.STOP or nothing; it returned {brief(answer)}.")
        return answer is not None

    @property
    def trouble(self) -> str:
        """The failure in a sentence; "" where there is none."""
        if self.failure is None:
            return ""
        if isinstance(self.failure, ExperimentError):
            return str(self.failure)
        return f"A callback raised {type(self.failure).__name__}: {brief(str(self.failure))}"


def _must_take_a_record(name: str, function: Any) -> None:
    if function is None:
        return
    if not callable(function):
        raise ExperimentError(f"{name} must be a function; received {brief(function)}.")
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise ExperimentError(
            f"{name} must be a function of one argument, the record of what is done; received "
            f"{getattr(function, '__name__', function)}{inspect.signature(function)}."
        ) from None
    except ValueError:  # some functions of C do not tell
        return
