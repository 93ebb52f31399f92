"""One run, from an experiment to a complete run folder."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from firstlight import evaluation, runs, training
from firstlight.engines import Session
from firstlight.errors import FirstlightError, RunError
from firstlight.files import write_bytes, write_text
from firstlight.losses import Loss
from firstlight.randomness import generator
from firstlight.study.environment import environment
from firstlight.study.experiment import Experiment
from firstlight.study.setup import Setup, set_up
from firstlight.training import Checkpoint, Course, Outcome, Watcher
from firstlight.types import Array, Dataset, Images, Json, Predictions
from firstlight.weights import to_bytes

SAMPLES_SHOWN = 30
MISTAKES_SHOWN = 24


def start(setup: Setup, out: Path, watcher: Watcher) -> runs.RunFolder:
    """Train and measure in a new folder `out`. Raises RunError where it exists or cannot be written."""
    if out.exists():
        raise RunError(
            f"{out} exists already. Choose another folder with --out, remove it, or go on with it: "
            f"firstlight resume {out}"
        )
    session, compile_seconds = _warm_session(setup, watcher)
    with _keeping_what_was_learnt(out):
        out.mkdir(parents=True)
        _write_plan(setup, out)
        return _train_and_measure(setup, session, out, watcher, compile_seconds)


def resume(out: Path, watcher: Watcher, *, dataset: Dataset | None = None) -> runs.RunFolder:
    """Go on with a run that was interrupted or cut off, from its newest sound checkpoint.

    Raises RunError where there is nothing to go on with, or where the data are no longer the same.
    """
    folder = runs.RunFolder.open(out)
    if folder.finished and folder.result["status"] != "interrupted":
        raise RunError(f"{out} is complete ({folder.result['status']}): there is nothing to resume.")
    setup = set_up(Experiment.of(folder.experiment, str(out / runs.EXPERIMENT)), dataset)
    record, now = folder.data, setup.data_record()
    if record["files"] != now["files"] or record["splits"] != now["splits"]:
        raise RunError(f"{out} cannot go on: the images of {record['source']} are no longer the same.")
    session, compile_seconds = _warm_session(setup, watcher)
    (out / runs.RESULT).unlink(missing_ok=True)  # the run is in progress again
    with _keeping_what_was_learnt(out):
        checkpoint = training.newest(out / runs.CHECKPOINTS)
        return _train_and_measure(setup, session, out, watcher, compile_seconds, checkpoint)


@contextmanager
def _keeping_what_was_learnt(out: Path) -> Iterator[None]:
    """Where training fails, keep the run if it has a complete epoch, and leave nothing of it otherwise."""
    try:
        yield
    except (OSError, FirstlightError) as error:
        trouble = f"{out} cannot be written: {error.strerror}." if isinstance(error, OSError) else str(error)
        if training.newest(out / runs.CHECKPOINTS) is None:
            shutil.rmtree(out, ignore_errors=True)
            raise RunError(f"{trouble} Nothing was kept.") from None
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise RunError(
            f"{trouble} What was learnt up to the last complete epoch is kept. "
            f"{'Free some space, then go on' if full else 'Go on'}: firstlight resume {out}"
        ) from None


def _warm_session(setup: Setup, watcher: Watcher) -> tuple[Session, float]:
    """A session that has compiled what it needs, and the seconds that took."""
    watcher.note("Warming up (the first time on a machine, the kernels are compiled) …")
    began = time.perf_counter()
    session = setup.engine.session(setup.task, setup.train)
    session.warm_up(setup.experiment.training.batch_size)
    return session, time.perf_counter() - began


def _write_plan(setup: Setup, out: Path) -> None:
    """Write what is known before training."""
    write_text(out / runs.EXPERIMENT, setup.experiment.to_toml())
    runs.write_record(out, runs.ENVIRONMENT, environment() | setup.engine.describe())
    runs.write_record(out, runs.DATA, setup.data_record())
    runs.write_record(out, runs.MODEL, setup.model_record())


def _train_and_measure(
    setup: Setup, session: Session, out: Path, watcher: Watcher, compile_seconds: float, start: Checkpoint | None = None
) -> runs.RunFolder:
    """Train, measure the chosen weights on validation and test, and write what came of it; the result last."""
    missing = () if setup.validation is not None else ("val_loss", "val_accuracy")
    columns = [column for column in training.COLUMNS if column not in missing]

    def save(checkpoint: Checkpoint) -> None:
        training.save(out / runs.CHECKPOINTS, checkpoint)
        runs.write_history(out, columns, checkpoint.progress.history)

    outcome = training.train(
        session,
        setup.task.loss,
        _course(setup.experiment),
        setup.train,
        setup.validation,
        penalty=setup.task.penalty,
        watcher=watcher,
        save=save,
        start=start,
    )
    began = time.perf_counter()
    session.restore(outcome.vector)
    measured, predictions = _measure(setup, session)
    evaluate_seconds = time.perf_counter() - began

    runs.write_history(out, columns, outcome.history)
    write_bytes(out / runs.WEIGHTS, to_bytes(setup.model.layout.named(outcome.vector)))
    runs.write_predictions(out, predictions)
    runs.write_samples(out, _samples(setup, predictions["test"]))
    seconds = {"compile": compile_seconds, "train": outcome.seconds, "evaluate": evaluate_seconds}
    seconds["total"] = sum(seconds.values())
    runs.write_record(out, runs.RESULT, _result(setup, outcome, measured, seconds))
    return runs.RunFolder.open(out)


def _course(experiment: Experiment) -> Course:
    section = experiment.training
    lr = experiment.optimizer.lr
    assert lr is not None, "a resolved experiment has a learning rate"
    return Course(
        epochs=section.epochs,
        batch_size=section.batch_size,
        schedule=experiment.build_schedule(),
        lr=lr,
        monitor=section.monitor,
        patience=section.early_stopping,
        restore_best=section.restore_best,
    )


def _measure(setup: Setup, session: Session) -> tuple[dict[str, evaluation.Evaluation], dict[str, Predictions]]:
    """What the chosen weights make of the validation and, once, of the test split."""
    measured, predictions = {}, {}
    for name in ("validation", "test"):
        images = setup.splits.get(name)
        if images is not None:
            measured[name], predictions[name] = measure(session, setup.task.loss, images)
    return measured, predictions


def measure(session: Session, loss: Loss, images: Images) -> tuple[evaluation.Evaluation, Predictions]:
    """Evaluate a session on prepared images."""
    value, probabilities = training.evaluate(session, loss, images)
    predictions = Predictions(images.ids, images.labels, probabilities)
    return evaluation.measure(predictions, images.class_names, value), predictions


def _samples(setup: Setup, predictions: Predictions) -> dict[str, Images]:
    """A few images of each split, drawn with the classes in turn; the most confident mistakes follow in the test."""
    samples = {}
    for name, images in setup.splits.items():
        chosen = _spread(images, setup.experiment.seed)
        if name == "test":
            mistakes = evaluation.most_confident_mistakes(predictions, MISTAKES_SHOWN)
            chosen = np.concatenate([chosen, mistakes[~np.isin(mistakes, chosen)]])
        samples[name] = images.take(chosen)
    return samples


def _spread(images: Images, seed: int) -> Array:
    """Up to SAMPLES_SHOWN indices, drawn by seed, with the classes in turn."""
    shuffled = generator(seed, "samples").permutation(len(images))
    labels = images.labels[shuffled]
    by_class = np.argsort(labels, kind="stable")
    position = np.arange(len(labels)) - np.searchsorted(labels[by_class], labels[by_class])
    turns = by_class[np.lexsort((labels[by_class], position))]
    return shuffled[turns[:SAMPLES_SHOWN]]


def _result(
    setup: Setup, outcome: Outcome, measured: Mapping[str, evaluation.Evaluation], seconds: dict[str, float]
) -> Json:
    model = setup.model
    images = len(setup.train) * len(outcome.history)
    return {
        "status": outcome.status,
        "model": model.name,
        "epochs": {
            "asked": setup.experiment.training.epochs,
            "run": len(outcome.history),
            "best": outcome.best,
        },
        "parameters": {
            "total": model.parameters,
            "trainable": model.trainable,
            "non_trainable": model.parameters - model.trainable,
        },
        "multiply_adds": model.multiply_adds,
        "images_per_second": images / outcome.seconds if outcome.seconds else 0.0,
        "seconds": seconds,
        **{name: result.to_json() for name, result in measured.items()},
    }
