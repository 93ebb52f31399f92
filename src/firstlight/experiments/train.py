"""One run, from an experiment to a complete run folder.

Where several processes train together, the first one has the folder; the others take part in its computing alone.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from firstlight import evaluation, kernels, memory, processes, training
from firstlight.cautions import NOTE, Caution
from firstlight.engines import Session
from firstlight.errors import FirstlightError, ProcessLostError, RunError
from firstlight.experiments import corrections
from firstlight.experiments.config import Experiment
from firstlight.experiments.environment import environment
from firstlight.experiments.estimate import estimate, told
from firstlight.experiments.novelty import assess
from firstlight.experiments.progress import FolderProgress
from firstlight.experiments.reload_images import must_be_the_same, reload_dataset, reload_splits
from firstlight.experiments.setup import Setup, set_up
from firstlight.files import write_bytes, write_text
from firstlight.losses import Loss
from firstlight.options import flat
from firstlight.progress import Watcher
from firstlight.randomness import generator
from firstlight.records import run_folder
from firstlight.records.codec import encode
from firstlight.records.environment import Environment, differences
from firstlight.records.estimate import Estimate, Estimated
from firstlight.records.locked_folder import PROGRESS, STOP, LockedFolder, asked_to_stop, is_free, locked_folder
from firstlight.records.plugin import UsedPlugins
from firstlight.records.record_files import write_record
from firstlight.records.result import Epochs, EvaluationRecord, ParameterCounts, Result, Seconds, Status
from firstlight.training import Callbacks, Checkpoint, Progress, TrainingConfig, TrainingResult
from firstlight.types import Array, Dataset, Images, Predictions, is_text, joined
from firstlight.weights import to_bytes

SAMPLES_SHOWN = 30
MISTAKES_SHOWN = 24
AUGMENTED_SHOWN, EPOCHS_SHOWN = 6, 4
PAIRS_SHOWN = 25
BLOCK = 4096  # images that are mirrored in memory together
COMPUTED_BY = ("engine", "kernels", "device", "exact_noise")  # where a run is computed: environment.json tells of it
NOT_TRAINED_WITH = ("novelty.false_alarm_rate", "plugins")
STEPS_COMPARED = 7  # of an epoch, when two courses of the learning rate are compared
LONG_WARM_UP = 2.0  # seconds; worth a word


def start(setup: Setup, out: Path, watcher: Watcher, callbacks: Callbacks | None = None) -> run_folder.RunFolder:
    """Train and measure in a new folder `out`. Raises RunError where it exists or cannot be written.

    callbacks  functions that look on; where one of them fails, the run is interrupted and `Callbacks.failure` tells why
    """
    if not processes.is_main():
        return _follow(setup, watcher, callbacks)
    must_be_free(out)
    session, compile_seconds = _warm_session(setup, watcher)
    with ExitStack() as stack:
        try:
            if not out.exists():
                out.mkdir(parents=True)
            held = stack.enter_context(locked_folder(out, watcher.note))
        except OSError as error:
            must_be_free(out)
            raise RunError(f"{out} cannot be made: {error.strerror}.") from None
        must_be_free(out)  # another process may have been quicker
        try:
            before = _told(setup, session, watcher)
            _write_plan(setup, _here(setup, session, before), out)
            return _train_and_measure(setup, session, held, watcher, callbacks, compile_seconds)
        except (OSError, MemoryError, FirstlightError) as error:
            held.check()
            if training.newest(out / run_folder.CHECKPOINTS)[0] is not None:
                raise _stopped(out, error) from None
            shutil.rmtree(out, ignore_errors=True)  # nothing was learnt, and the folder would be in the way
            if isinstance(error, OSError):
                raise RunError(f"{_cannot_be_written(out, error)} Nothing was saved.") from None
            raise type(error)(f"{error} Nothing was saved.") from None


def resume(
    out: Path,
    watcher: Watcher,
    *,
    dataset: Dataset | str | Path | None = None,
    callbacks: Callbacks | None = None,
) -> run_folder.RunFolder:
    """Continue a run that was interrupted or cut off, from its newest sound checkpoint.

    dataset    its images, or where they are now; they are loaded from where they were otherwise
    callbacks  as in `start`

    Raises RunError where there is nothing to continue with, or where the images or the experiment are no longer the
    same.
    """
    _must_not_be_complete(run_folder.RunFolder.open(out))
    held = None
    with ExitStack() as stack:
        try:
            if processes.is_main():  # and what is decided is decided while no other process can change the folder
                held = stack.enter_context(locked_folder(out, watcher.note))
            return _go_on(out, held, watcher, dataset, callbacks)
        except (OSError, ProcessLostError) as error:
            if held is not None:
                held.check()
            raise _stopped(out, error) from None


def _go_on(
    out: Path,
    held: LockedFolder | None,
    watcher: Watcher,
    images: Dataset | str | Path | None,
    callbacks: Callbacks | None,
) -> run_folder.RunFolder:
    """Continue a run whose folder this process holds, or without `held` another that leads."""
    folder = run_folder.RunFolder.open(out)
    _must_not_be_complete(folder)
    measured_before = folder.finished
    experiment = Experiment.of_run(folder)
    checkpoint, damaged = training.newest(out / run_folder.CHECKPOINTS)
    _must_be_sound(out, watcher, checkpoint, damaged)
    if checkpoint is not None:
        _must_be_as_asked(out, experiment, checkpoint.progress)
    dataset = images if isinstance(images, Dataset) else reload_dataset(folder, images)
    # Where nothing was learnt yet, the process may have been killed as it wrote what is known before training.
    if checkpoint is None and not (out / run_folder.DATA).exists():
        setup = set_up(experiment, dataset)
    else:
        setup = set_up(experiment, *reload_splits(folder, dataset), begun=checkpoint is not None)
        must_be_the_same(folder, setup.splits)
        setup = replace(setup, dropped=folder.data.copies_dropped)
    for warning in setup.warnings():
        watcher.note(f"{NOTE}{warning}")
    if corrections.have_changed(folder, experiment):
        watcher.note(
            Caution.CORRECTIONS_CHANGED.note(
                "the table of corrections has changed since; the run continues with those that it recorded."
            )
        )
    before = None
    if checkpoint is not None:
        _must_go_on(out, setup, checkpoint)
        before = folder.environment
    as_before = None if before is None else encode(before.last)
    if held is None:
        return _follow(setup, watcher, callbacks, checkpoint, as_before)
    session, compile_seconds = _warm_session(setup, watcher, as_before)
    done = 0 if checkpoint is None else checkpoint.progress.epoch
    now = _here(setup, session, _told(setup, session, watcher, done))
    (out / run_folder.RESULT).unlink(missing_ok=True)  # the run is in progress again
    if images is not None and (out / run_folder.DATA).exists() and (place := setup.location):
        write_record(out, run_folder.DATA, replace(folder.data, location=place))  # the same, there from now on
    if checkpoint is None or before is None:
        _write_plan(setup, now, out)
    else:
        if changes := differences(before.last, now):
            watcher.note(
                Caution.OTHER_ENVIRONMENT.note(
                    f"it continues with {changes}. The weights may differ in their last digits from those of a run "
                    "that was never interrupted."
                )
            )
        write_record(out, run_folder.ENVIRONMENT, before.resumed_in(now, checkpoint.progress.epoch))
    return _train_and_measure(setup, session, held, watcher, callbacks, compile_seconds, checkpoint, measured_before)


def _must_not_be_complete(folder: run_folder.RunFolder) -> None:
    if folder.finished and folder.result.status != Status.INTERRUPTED:
        raise RunError(f"{folder.path} is complete ({folder.result.status}): there is nothing to resume.")


def learn(setup: Setup, watcher: Watcher, callbacks: Callbacks | None = None) -> TrainingResult:
    """Train in memory: nothing is measured beyond what training asks for, and nothing is written."""
    session, _ = _warm_session(setup, watcher)
    return _train(setup, session, watcher, callbacks, lambda checkpoint: None, None)


def _follow(
    setup: Setup,
    watcher: Watcher,
    callbacks: Callbacks | None,
    start: Checkpoint | None = None,
    before: Mapping[str, Any] | None = None,
) -> run_folder.RunFolder:
    """Take part in a run that the first process leads; return its folder, once that is complete."""
    session, _ = _warm_session(setup, watcher, before)
    _told(setup, session, watcher, 0 if start is None else start.progress.epoch)
    out = Path(session.share(""))
    try:
        outcome = _train(setup, session, watcher, callbacks, lambda checkpoint: None, start)
        session.restore(outcome.vector)
        _flipped(setup, session, _measure(setup, session)[1])
        assess(setup, outcome.vector)
        session.share("")  # waits until all is written
    except ProcessLostError as error:
        if training.newest(out / run_folder.CHECKPOINTS)[0] is None:
            raise
        raise _stopped(out, error) from None
    return run_folder.RunFolder(out)


def must_be_free(out: str | Path | None) -> None:
    """Raise RunError where the folder for a new run has something in it; of several processes, only the first looks.

    Where its name is not a string, which pages and records could not hold, too.
    """
    if out is not None and not is_text(str(out)):
        name = os.fsencode(out).decode(errors="backslashreplace")
        raise RunError(f"{name}: the name of the folder is not in UTF-8. Choose another with --out.")
    if out is None or not processes.is_main() or is_free(Path(out)):
        return
    unfinished = (Path(out) / run_folder.EXPERIMENT).is_file() and not (Path(out) / run_folder.RESULT).exists()
    go_on = f", or resume it: firstlight resume {out}" if unfinished else "."
    raise RunError(f"{out} exists already. Choose another folder with --out, or remove it{go_on}")


def _stopped(out: Path, error: Exception) -> RunError:
    """The error for a run that stopped on the way and can continue."""
    trouble = _cannot_be_written(out, error) if isinstance(error, OSError) else str(error)
    kind = ProcessLostError if isinstance(error, ProcessLostError) else RunError
    first = ""
    if isinstance(error, OSError):
        first = (
            "Free some space, then resume" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Fix that, then resume"
        )
    return kind(
        f"{trouble} The checkpoint of the last complete epoch is kept. {first or 'Resume'} it: firstlight resume {out}"
    )


def _cannot_be_written(out: Path, error: OSError) -> str:
    """What is in the way: the file, where it is known, and why."""
    return f"{error.filename or out} cannot be written: {error.strerror or error}."


def _must_be_sound(out: Path, watcher: Watcher, checkpoint: Checkpoint | None, damaged: Sequence[Path]) -> None:
    """Raise RunError where all checkpoints of a run are damaged; tell where the newest is."""
    names = ", ".join(path.name for path in damaged)
    if checkpoint is None and damaged:
        raise RunError(
            f"{out} cannot be resumed: its checkpoints are damaged ({names}). Start again: "
            f"firstlight run {out / run_folder.EXPERIMENT} --out ANOTHER"
        )
    if damaged:
        watcher.note(Caution.DAMAGED_CHECKPOINT.note(f"{names} is damaged; continuing from an older checkpoint."))


def _must_be_as_asked(out: Path, experiment: Experiment, progress: Progress) -> None:
    """Raise RunError where the experiment was changed since its last epoch, but for more epochs, or another engine.

    What was trained in part with one setting and in part with another would be told, and done again, as if it had had
    the last one all along. More epochs are the same run where those that are done would have been the same; where it
    is computed, environment.json tells of each part.
    """
    if not progress.asked:  # of an earlier version, which did not record it
        return
    before = Experiment.of(progress.asked, f"{out / run_folder.CHECKPOINTS}")
    was, now = dict(flat(before.model_dump(mode="json"))), dict(flat(experiment.model_dump(mode="json")))
    changed = [
        key for key in {**was, **now} if was.get(key) != now.get(key) and key not in (*COMPUTED_BY, *NOT_TRAINED_WITH)
    ]
    if "training.epochs" in changed and _are_more_epochs(before, experiment, progress.epoch):
        changed.remove("training.epochs")
    if changed:
        told = "; ".join(f"{key} was {was.get(key)!r}, is {now.get(key)!r}" for key in changed)
        raise RunError(
            f"{out} cannot be resumed: its {run_folder.EXPERIMENT} was changed after epoch {progress.epoch} of the "
            f"training ({told}). Undo the change to resume (training.epochs may grow where the learning rates of the "
            "epochs that are done stay the same). For other settings start another run: firstlight run "
            f"{out / run_folder.EXPERIMENT} --out ANOTHER{_from_its_weights(out)}"
        )


def _from_its_weights(out: Path) -> str:
    return f", from its weights with --init-from {out}" if (out / run_folder.WEIGHTS).is_file() else ""


def _are_more_epochs(before: Experiment, now: Experiment, done: int) -> bool:
    """Whether the epochs that are done would have been the same in the longer training."""
    curve, then, later = now.build_schedule(), before.training.epochs, now.training.epochs
    return later >= done and all(
        np.array_equal(curve.rates(epoch, STEPS_COMPARED, then, 1.0), curve.rates(epoch, STEPS_COMPARED, later, 1.0))
        for epoch in range(done)
    )


def _must_go_on(out: Path, setup: Setup, checkpoint: Checkpoint) -> None:
    """Raise RunError where the checkpoint is of another experiment than the folder's file names now."""
    state = setup.task.initial_state()
    same_model = list(run_folder.RunFolder.open(out).model.layers) == setup.model.to_json()["layers"]
    found = checkpoint.optimizer.keys() - {"loss_scale"}  # which half precision adds
    if not same_model or state.keys() != found or not _fits(setup, checkpoint, state):
        raise RunError(
            f"{out} cannot be resumed: its checkpoint is of another model or optimizer than {run_folder.EXPERIMENT} "
            "names now."
        )


def _fits(setup: Setup, checkpoint: Checkpoint, state: Mapping[str, Array]) -> bool:
    """Whether a checkpoint has as many numbers as the model and its optimizer, and whole rows of history."""
    vectors = (checkpoint.vector, checkpoint.best)
    rows, columns = checkpoint.progress.history, {*_columns(setup)} & {*training.COLUMNS}
    return (
        all(vector.shape == (setup.model.parameters,) and np.isfinite(vector).all() for vector in vectors)
        and all(found.shape == state[name].shape for name, found in checkpoint.optimizer.items() if name in state)
        and all(found.dtype.kind == state[n].dtype.kind for n, found in checkpoint.optimizer.items() if n in state)
        and all(columns <= row.keys() for row in rows)
    )


def _columns(setup: Setup) -> list[str]:
    """The columns of the history."""
    return training.columns(setup.experiment.training.measured, setup.validation is not None)


def _warm_session(setup: Setup, watcher: Watcher, before: Mapping[str, Any] | None = None) -> tuple[Session, float]:
    """A session that has compiled what it needs, and the seconds that took.

    before  the environment of the run that it continues with
    """
    watcher.note("Warming up (the first time on a machine, kernels are compiled and cached on disk) …")
    began = time.perf_counter()
    session = setup.engine.session(setup.task, setup.train, None if setup.start is None else setup.start.vector)
    session.warm_up(setup.experiment.training.batch_size, setup.experiment.training.epochs, before)
    seconds = time.perf_counter() - began
    if seconds > LONG_WARM_UP:
        watcher.note(f"Warmed up in {seconds:.1f} s.")
    here = session.describe()
    if why := here.get("optimizer_not_compiled"):
        watcher.note(
            Caution.OPTIMIZER_NOT_COMPILED.note(
                f"the formula of the optimizer {setup.experiment.optimizer.name} is not compiled: {why}. It runs in "
                "NumPy; the results are the same, but a step takes longer."
            )
        )
    if layer := here.get("not_compiled"):
        watcher.note(
            Caution.LAYER_NOT_COMPILED.note(
                f"there is no compiled operation for the layer {layer}, so the whole net is computed layer by layer. "
                "The results are the same, but an epoch takes longer."
            )
        )
    return session, seconds


def _told(setup: Setup, session: Session, watcher: Watcher, done: int = 0) -> Estimate | None:
    """What the epochs that are left will take, measured and told; of several processes, all take part."""
    found = estimate(setup, session, done)
    left = setup.experiment.training.epochs - done
    if found is not None and left > 0:
        watcher.note(told(found, left))
    return found


def _write_plan(setup: Setup, here: Environment, out: Path) -> None:
    """Write what is known before training."""
    write_text(out / run_folder.EXPERIMENT, setup.experiment.to_toml())
    write_record(out, run_folder.ENVIRONMENT, here)
    _used_plugins(setup).write_sources(out)
    if not (out / run_folder.DATA).exists():  # of a run that continues, it tells of all images, also of those left out
        write_record(out, run_folder.DATA, setup.data_record())
    write_record(out, run_folder.MODEL, setup.model_record())


def _here(setup: Setup, session: Session, before: Estimate | None) -> Environment:
    """Where this training takes place, and with which plugins; `before` is what was told of it."""
    return replace(environment(session.describe()), estimate=before, plugins=_used_plugins(setup).records)


def _used_plugins(setup: Setup) -> UsedPlugins:
    return UsedPlugins.of(setup.experiment.model_dump(), setup.model.to_json())


def _train_and_measure(
    setup: Setup,
    session: Session,
    held: LockedFolder,
    watcher: Watcher,
    callbacks: Callbacks | None,
    compile_seconds: float,
    start: Checkpoint | None = None,
    measured_before: bool = False,
) -> run_folder.RunFolder:
    """Train, measure the chosen weights on validation and test, and write what came of it; the result last."""
    out = held.folder
    session.share(str(out))  # the processes that follow do not know it
    columns = _columns(setup)

    asked = setup.experiment.model_dump(mode="json")

    def save(checkpoint: Checkpoint) -> None:
        held.check()
        training.save(
            out / run_folder.CHECKPOINTS, replace(checkpoint, progress=replace(checkpoint.progress, asked=asked))
        )
        run_folder.write_history(out, columns, checkpoint.progress.history)
        if setup.experiment.training.cost_every is not None:
            run_folder.write_costs(out, checkpoint.progress.costs)

    watched = FolderProgress(watcher, out)
    training_began = time.perf_counter()
    try:
        outcome = _train(setup, session, watched, callbacks, save, start, lambda: asked_to_stop(out))
    finally:
        for name in (STOP, PROGRESS):
            (out / name).unlink(missing_ok=True)
    began = time.perf_counter()
    session.restore(outcome.vector)
    measured, predictions = _measure(setup, session)
    flipped = _flipped(setup, session, predictions)
    novelty = assess(setup, outcome.vector)
    evaluate_seconds = time.perf_counter() - began
    took = Estimate(seconds=time.perf_counter() - training_began, memory=max(watched.memory, memory.in_use()))

    held.check()
    run_folder.write_history(out, columns, outcome.history)
    if setup.experiment.training.cost_every is not None:
        run_folder.write_costs(out, outcome.costs)
    write_bytes(out / run_folder.WEIGHTS, to_bytes(setup.model.layout.named(outcome.vector)))
    run_folder.write_predictions(out, predictions)
    novelty.write(run_folder.RunFolder(out))
    run_folder.write_samples(out, _samples(setup, predictions["test"]))
    parts = {
        "data": setup.seconds,
        "compile": compile_seconds,
        "train": outcome.seconds,
        "evaluate": evaluate_seconds,
    }
    seconds = Seconds(**parts, total=sum(parts.values()))
    result = replace(_result(setup, outcome, measured, seconds, measured_before), **flipped)
    before = run_folder.RunFolder(out).environment.last.estimate
    if before is not None:
        whole = outcome.status == Status.FINISHED
        result = replace(result, estimate=Estimated(told=before, took=took, whole=whole))
    run_folder.write_result(out, result)
    session.share("complete")
    return run_folder.RunFolder.open(out)


def _train(
    setup: Setup,
    session: Session,
    watcher: Watcher,
    callbacks: Callbacks | None,
    save: Callable[[Checkpoint], None],
    start: Checkpoint | None,
    stop_asked: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    return training.train(
        session,
        setup.task.loss,
        _training_config(setup.experiment),
        setup.train,
        setup.validation,
        penalty=setup.task.penalty,
        watcher=watcher,
        save=save,
        start=start,
        asked_to_stop=stop_asked,
        callbacks=callbacks,
        named=setup.model.layout.named,
    )


def _training_config(experiment: Experiment) -> TrainingConfig:
    section = experiment.training
    lr = experiment.optimizer.lr
    assert lr is not None, "a resolved experiment has a learning rate"
    return TrainingConfig(
        epochs=section.epochs,
        batch_size=section.batch_size,
        schedule=experiment.build_schedule(),
        lr=lr,
        monitor=section.monitor,
        patience=section.early_stopping,
        restore_best=section.restore_best,
        cost_every=section.cost_every,
        metrics=section.measured,
        steps_per_epoch=section.steps_per_epoch,
    )


def _measure(setup: Setup, session: Session) -> tuple[dict[str, evaluation.Evaluation], dict[str, Predictions]]:
    """What the chosen weights make of the validation and, once, of the test split."""
    measured, predictions = {}, {}
    for name in ("validation", "test"):
        images = setup.splits.get(name)
        if images is not None:
            metrics = setup.experiment.training.measured
            measured[name], predictions[name] = measure(session, setup.task.loss, images, metrics)
    return measured, predictions


def _flipped(setup: Setup, session: Session, predictions: Mapping[str, Predictions]) -> dict[str, Any]:
    """The accuracies of the mean of the probabilities for each image and its mirror image, by fields of the result."""
    if not setup.experiment.training.test_flip:
        return {}
    found = {}
    for name, plain in predictions.items():
        correct = 0
        for start in range(0, len(plain), BLOCK):
            these = slice(start, start + BLOCK)
            outputs = session.outputs(np.ascontiguousarray(setup.splits[name].pixels[these, :, ::-1]))
            both = plain.probabilities[these] + setup.task.loss.probabilities(outputs.T)
            correct += int((both.argmax(axis=1) == plain.labels[these]).sum())
        found[f"{name}_flipped_accuracy"] = correct / len(plain)
    return found


def measure(
    session: Session, loss: Loss, images: Images, metrics: Sequence[str] = ()
) -> tuple[evaluation.Evaluation, Predictions]:
    """Evaluate a session on prepared images, also by further metrics."""
    value, probabilities = training.evaluate(session, loss, images)
    predictions = Predictions(images.ids, images.labels, probabilities)
    return evaluation.measure(predictions, images.class_names, value, metrics), predictions


def _samples(setup: Setup, predictions: Predictions) -> dict[str, Images]:
    """A few images of each split, drawn with the classes in turn; of the test also the most confident mistakes.

    These are of all classes, and of the one that is missed most.
    """
    samples = {}
    for name, images in setup.splits.items():
        chosen = _spread(images, setup.experiment.seed)
        if name == "train" and setup.task.augmentation:
            samples["augmented"] = _augmented(setup, chosen[:AUGMENTED_SHOWN])
        if name == "test":
            missed = evaluation.most_missed_class(predictions)
            for mistakes in (
                evaluation.most_confident_mistakes(predictions, MISTAKES_SHOWN),
                evaluation.most_confident_mistakes(predictions, MISTAKES_SHOWN, missed),
            ):
                chosen = np.concatenate([chosen, mistakes[~np.isin(mistakes, chosen)]])
        samples[name] = images.take(chosen).held
    if setup.findings.near is not None and setup.findings.near.pairs:
        samples["near_copies"] = _near_copies(setup)
    return samples


def _near_copies(setup: Setup) -> Images:
    """The images of the first near copies, those of a pair one after the other, as the net is given them."""
    assert setup.near is not None
    assert setup.findings.near is not None
    ids = [sample for pair in setup.findings.near.pairs[:PAIRS_SHOWN] for _, sample, _ in pair.samples]
    pixels = np.stack([setup.near.pixels(setup.near.places[sample]) for sample in ids])
    images = Images(pixels, np.zeros(len(ids), np.int64), np.array(ids, np.str_), setup.train.class_names)
    return setup.task.preparation.apply(images)


def _augmented(setup: Setup, chosen: Array) -> Images:
    """Some training images as they are drawn for each of the first epochs, mixed with any others."""
    augmented = setup.task.augmented(setup.train, kernels.load(setup.experiment.kernels))
    assert augmented is not None, "asked for only where there is augmentation"
    return joined([augmented.batch(chosen, epoch) for epoch in range(EPOCHS_SHOWN)])


def _spread(images: Images, seed: int) -> Array:
    """Up to SAMPLES_SHOWN indices, drawn by seed, with the classes in turn."""
    shuffled = generator(seed, "samples").permutation(len(images))
    labels = images.labels[shuffled]
    by_class = np.argsort(labels, kind="stable")
    position = np.arange(len(labels)) - np.searchsorted(labels[by_class], labels[by_class])
    turns = by_class[np.lexsort((labels[by_class], position))]
    return shuffled[turns[:SAMPLES_SHOWN]]


def _result(
    setup: Setup,
    outcome: TrainingResult,
    measured: Mapping[str, evaluation.Evaluation],
    seconds: Seconds,
    measured_before: bool,
) -> Result:
    model = setup.model
    images = setup.task.images_per_epoch(len(setup.train), setup.experiment.training.batch_size) * len(outcome.history)
    return Result(
        status=outcome.status,
        measured_before=measured_before,
        stopped_because=outcome.because,
        model=model.name,
        epochs=Epochs(
            asked=setup.experiment.training.epochs,
            run=len(outcome.history),
            best=outcome.best,
            weights=outcome.weights,
        ),
        parameters=ParameterCounts(
            total=model.parameters,
            trainable=model.trainable,
            frozen=model.frozen_parameters,
            non_trainable=model.parameters - model.trainable,
        ),
        multiply_adds=model.multiply_adds,
        images_per_second=images / outcome.seconds if outcome.seconds else 0.0,
        seconds=seconds,
        validation=EvaluationRecord.of(measured["validation"]) if "validation" in measured else None,
        test=EvaluationRecord.of(measured["test"]),
    )
