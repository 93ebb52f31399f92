"""The training loop: epochs on a session of any engine, with validation, early stopping and checkpoints."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

import numpy as np

from firstlight import processes
from firstlight.cautions import Caution
from firstlight.engines import Session
from firstlight.engines.base import AVERAGE
from firstlight.errors import TrainingError
from firstlight.evaluation.metrics import higher_is_better, scores
from firstlight.losses import Loss
from firstlight.prepare import steps
from firstlight.progress import Watcher
from firstlight.records.result import Status
from firstlight.schedules import Schedule
from firstlight.training.callbacks import Callbacks, EpochProgress, StepProgress
from firstlight.training.checkpoints import Checkpoint, Progress
from firstlight.types import Array, Images

PROBE = 256  # training images
LOOK_EVERY = 0.2  # seconds, for a request to stop
COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "penalty", "learning_rate", "seconds")


def columns(metrics: Sequence[str], validated: bool = True) -> list[str]:
    """The columns of the history of a training that is asked for further metrics; without validation, fewer."""
    if not validated:
        return [column for column in COLUMNS if not column.startswith("val_")]
    return [*COLUMNS, *(f"val_{name}" for name in metrics)]


@dataclass(frozen=True)
class TrainingConfig:
    """How training goes.

    monitor       what tells good weights from bad: "val_loss", "val_accuracy" or another metric, as "val_macro-auc";
                  ties go to the lower val_loss, and an epoch in which a metric gave no number is the worst
    patience      stop after so many epochs without a better one; None: never
    restore_best  end with the best weights by `monitor`, not the last
    cost_every    keep the mean loss of every so many steps
    metrics       names of further metrics, measured after each epoch
    steps_per_epoch  so many full batches an epoch, as in the session's task; None: all images once
    """

    epochs: int
    batch_size: int
    schedule: Schedule
    lr: float
    monitor: str = "val_accuracy"
    patience: int | None = None
    restore_best: bool = True
    cost_every: int | None = None
    metrics: tuple[str, ...] = ()
    steps_per_epoch: int | None = None

    def steps(self, images: int) -> int:
        """How many steps an epoch has, of so many training images."""
        return self.steps_per_epoch or steps(images, self.batch_size)

    def rates(self, images: int, history: Sequence[Mapping[str, float]]) -> Array:
        """The learning rate of each step of the epoch after those in `history`, of so many training images."""
        return self.schedule.rates(len(history), self.steps(images), self.epochs, self.lr, history)


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What training ends with.

    vector   the chosen weights, those after epoch `weights` (0: after a part of the first)
    best     the epoch of the best weights by validation; the last one where there is no validation
    because  why it stopped, where it diverged or a function that looks on failed
    costs    those of the progress
    """

    vector: Array
    history: list[dict[str, float]]
    best: int
    weights: int
    status: Status
    seconds: float
    because: str = ""
    costs: Sequence[tuple[int, float]] = ()


class InterruptedTrainingError(Exception):
    """The user pressed Ctrl-C or stopped the run from elsewhere, a function that looks on failed, or the like."""


class StoppedTrainingError(Exception):
    """`on_step` has answered that training is to stop within an epoch."""


def evaluate(session: Session, loss: Loss, images: Images) -> tuple[float, Array]:
    """The mean loss over `images`, and the probabilities (N, K) of the classes."""
    outputs = session.outputs(images).T
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told by the value
        return float(loss.values(outputs, images.labels).mean(dtype=np.float64)), loss.probabilities(outputs)


def train(
    session: Session,
    loss: Loss,
    config: TrainingConfig,
    train_images: Images,
    validation: Images | None,
    *,
    penalty: Callable[[Array], float],
    watcher: Watcher,
    save: Callable[[Checkpoint], None],
    start: Checkpoint | None = None,
    asked_to_stop: Callable[[], bool] = lambda: False,
    callbacks: Callbacks | None = None,
    named: Callable[[Array], dict[str, Array]] = lambda vector: {"": vector.copy()},
) -> TrainingResult:
    """Train until the last epoch, until nothing gets better, or until Ctrl-C or SIGTERM; return what was learnt.

    `save` is called after every epoch; `start` is where to continue. `asked_to_stop` is asked now and then, and its yes
    counts as Ctrl-C does, as does the failure of one of `callbacks`, which see the weights as `named` copies them.
    Where the loss is no longer finite, what the epochs before have learnt is returned; raises TrainingError where there
    is none.
    """
    callbacks = callbacks or Callbacks()
    now = start or Checkpoint(session.vector(), session.vector(), session.state(), Progress((), 0, 0, 0.0))
    session.restore(now.vector, now.optimizer)
    an_epoch = len(train_images) if config.steps_per_epoch is None else config.steps_per_epoch * config.batch_size
    watcher.training_started(config.epochs, an_epoch, now.progress.epoch)
    status = Status.FINISHED
    because = ""
    further = ValidationMetrics(config.metrics, watcher.note)
    try:
        with _interruptible(session.agree, asked_to_stop) as check:

            def progress(images: int, mean: float) -> None:
                check()
                if costs.after(images, mean):
                    watcher.note("step {:,}: loss {:.4f}".format(*costs.found[-1]))
                watcher.batch_done(images, mean)

            for epoch in range(now.progress.epoch, config.epochs):
                if callbacks.stopped_by:
                    status = Status(f"stopped by {callbacks.stopped_by}")
                    break
                if config.patience is not None and now.progress.waited >= config.patience:
                    status = Status.STOPPED_EARLY
                    break
                costs = _Costs(config, [*now.progress.costs], epoch, config.steps(len(train_images)))
                told: Callable[[int, float], None] = progress
                rates = config.rates(len(train_images), now.progress.history)
                if callbacks.on_step is not None:
                    told = _after_each_step(progress, callbacks, epoch, rates, lambda: named(session.vector()))
                waited = callbacks.seconds
                row, vector, state = _epoch(
                    session, loss, config.batch_size, rates, epoch, train_images, validation, penalty, told, further
                )
                row["seconds"] -= callbacks.seconds - waited
                now = _advance(now, row, costs.found, vector, state, config.monitor)
                vector = _judged(vector, state)
                save(now)
                watcher.epoch_done(row, validation is not None and now.progress.best == now.progress.epoch)
                if callbacks.on_epoch is not None:
                    _after_an_epoch(callbacks, session, config, now, partial(named, vector))
                check()
    except InterruptedTrainingError:
        status, because = Status.INTERRUPTED, callbacks.trouble
    except StoppedTrainingError:
        status = Status.STOPPED_BY_ON_STEP
    except TrainingError as error:
        if not now.progress.history:
            raise
        status, because = Status.DIVERGED, str(error)
    done = now.progress
    if not done.history:
        vector, weights = _judged(session.vector(), session.state()), 0  # not one whole epoch, but all that was learnt
    elif config.restore_best:
        vector, weights = now.best, done.best
    else:
        vector, weights = _judged(now.vector, now.optimizer), done.epoch
    return TrainingResult(vector, [*done.history], done.best, weights, status, done.seconds, because, done.costs)


def _epoch(
    session: Session,
    loss: Loss,
    batch_size: int,
    rates: Array,
    epoch: int,
    train_images: Images,
    validation: Images | None,
    penalty: Callable[[Array], float],
    progress: Callable[[int, float], None],
    further: ValidationMetrics,
) -> tuple[dict[str, float], Array, dict[str, Array]]:
    """Train for one epoch and judge the weights, or their average.

    Return its row of the history, the weights, and the session's state.
    """
    began = time.perf_counter()
    rate = float(rates[-1])
    metrics = session.train_epoch(epoch, batch_size, rates, progress)
    row = {"epoch": float(epoch + 1), "loss": metrics.loss, "accuracy": metrics.accuracy}
    vector, state = session.vector(), session.state()
    judged = _judged(vector, state)
    _must_be_finite(vector, epoch, rate)
    if judged is not vector:
        session.restore(judged)
    if validation is not None:
        row |= _judge(session, loss, validation, epoch, rate, further)
    else:  # a few training images tell at least whether the weights are still of use
        _judge(session, loss, train_images.take(np.arange(min(len(train_images), PROBE))), epoch, rate)
    if judged is not vector:
        session.restore(vector)
    row |= {"penalty": penalty(judged), "learning_rate": rate, "seconds": time.perf_counter() - began}
    return row, vector, state


def _judged(vector: Array, state: Mapping[str, Array]) -> Array:
    """What is evaluated and kept of the weights and of a session's state: the average, where there is one."""
    return state.get(AVERAGE, vector)


def _after_each_step(
    progress: Callable[[int, float], None],
    callbacks: Callbacks,
    epoch: int,
    rates: Array,
    weights: Callable[[], dict[str, Array]],
) -> Callable[[int, float], None]:
    """`progress`, and `on_step` after it; an engine calls it after each step."""
    steps_done = 0

    def told(images: int, mean: float) -> None:
        nonlocal steps_done
        progress(images, mean)
        done = StepProgress(
            epoch=epoch + 1,
            step=steps_done + 1,
            steps=len(rates),
            images=images,
            loss=mean,
            learning_rate=float(rates[steps_done]),
        )
        steps_done += 1
        stop = callbacks.after_step(done, weights)
        if callbacks.failure is not None:
            raise InterruptedTrainingError
        if stop and steps_done < len(rates):  # after its last step, the epoch is as good as done
            raise StoppedTrainingError

    return told


def _after_an_epoch(
    callbacks: Callbacks,
    session: Session,
    config: TrainingConfig,
    now: Checkpoint,
    weights: Callable[[], dict[str, Array]],
) -> None:
    """Call `on_epoch`, in the first of the processes that train together; all of them do as it answers."""
    row = now.progress.history[-1]
    done = EpochProgress(
        epoch=now.progress.epoch,
        epochs=config.epochs,
        loss=row["loss"],
        accuracy=row["accuracy"],
        val_loss=row.get("val_loss"),
        val_accuracy=row.get("val_accuracy"),
        metrics={name: row.get(f"val_{name}", math.nan) for name in config.metrics},
        penalty=row["penalty"],
        learning_rate=row["learning_rate"],
        seconds=row["seconds"],
        best=now.progress.best,
    )
    stop = processes.is_main() and callbacks.after_epoch(done, weights)
    if session.agree(callbacks.failure is not None):
        raise InterruptedTrainingError
    if session.agree(stop):
        callbacks.stopped_by = "on_epoch"


class _Costs:
    """The mean loss of every so many steps, from the running mean over an epoch."""

    def __init__(
        self, config: TrainingConfig, before: list[tuple[int, float]], epoch: int, steps_per_epoch: int
    ) -> None:
        self.config, self.found, self.steps_per_epoch = config, [*before], steps_per_epoch
        self.images, self.total, self.steps = 0, 0.0, epoch * steps_per_epoch
        self.first = self.steps

    def after(self, images: int, mean: float) -> bool:
        """So many images of the epoch are done, at this mean of their losses: whether that makes one more cost."""
        every = self.config.cost_every
        steps_done = self.first + min(-(-images // self.config.batch_size), self.steps_per_epoch)
        if every is None or steps_done // every == self.steps // every:
            return False
        self.found.append((steps_done, (mean * images - self.total) / (images - self.images)))
        self.images, self.total, self.steps = images, mean * images, steps_done
        return True


def _advance(
    before: Checkpoint,
    row: dict[str, float],
    costs: list[tuple[int, float]],
    vector: Array,
    state: dict[str, Array],
    monitor: str,
) -> Checkpoint:
    """The checkpoint after one more epoch; without validation the newest weights count as the best."""
    progress = before.progress
    better = not progress.best or "val_loss" not in row or _better(row, progress.history[progress.best - 1], monitor)
    history = (*progress.history, row)
    return Checkpoint(
        vector,
        _judged(vector, state) if better else before.best,
        state,
        Progress(
            history,
            best=len(history) if better else progress.best,
            waited=0 if better else progress.waited + 1,
            seconds=progress.seconds + row["seconds"],
            costs=tuple(costs),
        ),
    )


def _judge(
    session: Session, loss: Loss, images: Images, epoch: int, rate: float, further: ValidationMetrics | None = None
) -> dict[str, float]:
    """val_loss, val_accuracy and further metrics on `images`. Raises TrainingError where the loss is not finite."""
    value, probabilities = evaluate(session, loss, images)
    if not math.isfinite(value):
        raise TrainingError(
            f"The loss became {value} after epoch {epoch + 1}, at a learning rate of {rate:g}. "
            "Try a tenth of the learning rate (--lr), or a warm-up (--set schedule.warmup=1)."
        )
    accuracy = float((probabilities.argmax(axis=1) == images.labels).mean())
    found = {} if further is None else further.of(images.labels, probabilities)
    return {"val_loss": value, "val_accuracy": accuracy, **found}


def _must_be_finite(vector: Array, epoch: int, rate: float) -> None:
    """The last step of an epoch can still spoil the weights, with no loss after it to tell."""
    if not np.isfinite(vector).all():
        raise TrainingError(
            f"The weights overflowed in epoch {epoch + 1}, at a learning rate of {rate:g}. Try a tenth of it (--lr)."
        )


class ValidationMetrics:
    """Metrics on the validation images of epoch after epoch. One that gives no number is told of once."""

    def __init__(self, names: Sequence[str], note: Callable[[str], None]) -> None:
        self.names, self.note = names, note
        self.told: set[str] = set()

    def of(self, labels: Array, probabilities: Array) -> dict[str, float]:
        """The numbers that there are, by their columns of the history."""
        found = {}
        for score in scores(self.names, labels, probabilities):
            if score.value is not None:
                found[f"val_{score.name}"] = score.value
            elif score.name not in self.told:
                self.told.add(score.name)
                self.note(
                    Caution.METRIC_WITHOUT_NUMBER.note(
                        f"the metric {score.name} has no value on the validation images: {score.trouble}."
                    )
                )
        return found


def _better(row: dict[str, float], best: dict[str, float], monitor: str) -> bool:
    """Whether `row` beats the best epoch so far; of two that are equal, the one with the lower loss is better."""
    sign = 1 if higher_is_better(monitor) else -1

    def rank(each: dict[str, float]) -> tuple[float, float]:
        return sign * each[monitor] if monitor in each else -math.inf, -each["val_loss"]

    return rank(row) > rank(best)


@contextmanager
def _interruptible(agree: Callable[[bool], bool], asked_to_stop: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    """Turn the first Ctrl-C or SIGTERM into an error at the next call of what this yields; a second one stops at once.

    A yes of `asked_to_stop` does the same; it is asked every LOOK_EVERY seconds, for it looks at the disk.

    A signal that cut in anywhere could leave the weights between two states. `agree` tells whether one of the processes
    that train together was asked to stop: then all of them do, after the same step.
    """
    asked = threading.Event()
    looked = time.monotonic()

    def check() -> None:
        nonlocal looked
        if time.monotonic() - looked >= LOOK_EVERY:
            looked = time.monotonic()
            if asked_to_stop():
                asked.set()
        if agree(asked.is_set()):
            raise InterruptedTrainingError

    if threading.current_thread() is not threading.main_thread():
        yield check  # only the main thread may handle signals
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            signal.default_int_handler(number, frame)
        asked.set()

    before: dict[signal.Signals, Any] = {
        number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
