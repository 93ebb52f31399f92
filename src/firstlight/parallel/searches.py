"""A search carried out: its trials trained in this process or in several, and what came of them.

The path of a search: `Search` -> `Storage` (chooses a trial) -> `run_next_trial` (trains it) -> `Storage` -> folder.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import tomli_w
from rich.console import Console

from firstlight import processes, report
from firstlight.cautions import NOTE, Caution
from firstlight.console import SearchProgress
from firstlight.errors import ExperimentError, ModelError, ReportError, RunError
from firstlight.experiments.environment import environment
from firstlight.experiments.estimate import estimate_of
from firstlight.experiments.paths import differing, relative_to
from firstlight.experiments.search.config import Search, read_search
from firstlight.experiments.search.trial import SearchJob, open_storage, prepare, run_next_trial
from firstlight.experiments.setup import Setup
from firstlight.files import write_text
from firstlight.options import flat
from firstlight.parallel.pool import WorkerKilledError, pool
from firstlight.progress import Watcher
from firstlight.records import run_folder, search_folder
from firstlight.records.search_folder import TrialRecord, Tuned, TuneFolder
from firstlight.text import bytes_said, duration

if TYPE_CHECKING:
    from firstlight.experiments.search.storage import Storage


def run_search(search: Search, out: Path, *, workers: int = 1, console: Console | None = None) -> TuneFolder:
    """Do the trials of a search that are missing in the folder `out`, and write its report, after Ctrl-C too.

    workers  trials at a time, each in a process of its own
    console  where progress goes; standard output where none is given
    Raises what `tune` raises.
    """
    with SearchProgress(console or Console()) as watcher:
        try:
            folder = tune(search, out, workers=workers, watcher=watcher)
        except KeyboardInterrupt:
            if (out / run_folder.RESULT).is_file():
                with suppress(ReportError):
                    report.write(TuneFolder(out))
            raise
    with report.of_complete("search", out):
        report.write(folder)
    return folder


def tune(search: Search, out: Path, *, workers: int = 1, watcher: Watcher) -> TuneFolder:
    """Do the trials of a search that are missing in the folder `out`, and write what came of all of them.

    workers  trials at a time, each in a process of its own where there are more than one; the cores are shared out
    Raises ExperimentError where the folder holds another search or every trial would fail, RunError where no trial came
    to a result, and KeyboardInterrupt after Ctrl-C: what is done is kept, and the same call continues.
    """
    if workers < 1:
        raise ExperimentError(f"workers must be at least 1; received {workers}.")
    if processes.world_size() > 1:
        raise ExperimentError("A search trains each trial in one process: start it without torchrun, with workers.")
    if find_spec("optuna") is None:
        raise ExperimentError("A search needs Optuna, which is not installed: pip install 'firstlight[tune]'")
    _must_be_the_same(search, out)
    job = SearchJob(search, out, uuid.uuid4().hex, math.inf)
    setup = _check_setup(job)
    for note in [*_warnings(search), *setup.warnings()]:
        watcher.note(f"{NOTE}{note}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with search_folder.exclusive(out, watcher.note):  # of several that start at once, one makes the storage
            storage = open_storage(job)
        write_text(out / search_folder.TUNE, search.to_toml(out))
        with storage.errors():
            done = [trial for trial in storage.records() if trial.state in search_folder.ENDED]
            watcher.search_started(search.monitor, search.maximize, search.trials, done)
            if said := _estimate(setup, search.trials - len(done), workers):
                watcher.note(said)
            # The time that is allowed is for trials: getting ready for them may take longer on a busy machine.
            job = replace(job, deadline=time.time() + (search.tuning.timeout or math.inf))
            try:
                for trial in _trials(job, workers, watcher):
                    watcher.trial_done(trial)
            except KeyboardInterrupt:
                _write_result(search, out, storage)
                raise
            folder = _write_result(search, out, storage)
    except OSError as error:
        raise RunError(
            f"{out} cannot be written: {error.strerror or error}. Correct that; the same command then continues."
        ) from None
    if folder is None:
        raise RunError(f"No trial of {out} has a result. {_reasons(storage.records())}")
    return folder


def _estimate(setup: Setup, trials: int, workers: int) -> str:
    """What so many trials will take together, by a few measured steps of one; "" where there are none."""
    found = estimate_of(setup) if trials > 0 else None
    if found is None:
        return ""
    at_once = min(workers, trials)
    needed = f", and {bytes_said(found.memory * at_once)} of memory" if found.memory else ""
    return (
        f"About {duration(found.seconds * trials / at_once)} on this machine for {trials} trials in {at_once} "
        f"process{'es' * (at_once > 1)}{needed}, if all take as long as one that was measured; trials that are stopped "
        "early take less."
    )


def _trials(job: SearchJob, workers: int, watcher: Watcher) -> Iterator[TrialRecord]:
    """The trials that are missing, as they end; those of a worker that was killed are tried again."""
    storage, killed = open_storage(job), 0
    with pool("loky", None, workers, max(1, processes.cores() // workers)) as runners:
        while True:
            missing = job.search.trials - sum(trial.state in search_folder.ENDED for trial in storage.records())
            ended = 0
            try:
                for _, trial in runners.map(run_next_trial, [job] * missing):
                    if trial is not None:
                        ended, killed = ended + 1, 0
                        yield trial
                if ended == 0:
                    return
            except WorkerKilledError:
                killed += 1
                processes.raise_if_killed_often(killed, "trial")
                watcher.note(
                    "A worker was killed, perhaps by the system because it ran out of memory; its trial is run again."
                )


def _check_setup(job: SearchJob) -> Setup:
    """Set up one trial, so that a mistake which all share is told before anything is written.

    A model that does not fit is the fault of its values, unless it fits with none.
    """
    refused: ModelError | None = None
    for values in job.search.corners():
        experiment = job.search.experiment(values)
        try:
            setup = prepare(experiment, job)
        except ModelError as error:
            refused = refused or error
            continue
        if setup.validation is None:
            raise ExperimentError(
                "A search compares trials on validation images, but data.validation is 0. Set it, for example to 0.1."
            )
        return setup
    raise ModelError(f"No model of this search fits. The first: {refused}")


def _warnings(search: Search) -> list[str]:
    """What makes the values of trials less comparable than they look."""
    warnings = []
    asked = search.tuning.trials
    if search.size is not None and search.trials == search.size and (asked is None or asked > search.size):
        warnings.append(
            Caution.FEW_COMBINATIONS.text(
                f"The keys of the search have {search.size:,} combinations of values, and none is trained twice: it "
                f"ends after {search.size:,} trials."
            )
        )
    if drawn := [key for key in search.space if key.startswith("data.")]:
        warnings.append(
            Caution.SEARCH_OF_IMAGES.text(
                f"{', '.join(drawn)} changes the validation images or how they are prepared: trials that differ in it "
                "would not be compared on the same images."
            )
        )
    losses = [key for key in search.space if key.partition(".")[0] == "loss"]
    if losses and search.monitor == "val_loss":
        warnings.append(
            Caution.SEARCH_OF_LOSSES.text(
                f"{', '.join(losses)} changes what val_loss measures: compare by val_accuracy instead."
            )
        )
    return warnings


def _must_be_the_same(search: Search, out: Path) -> None:
    """Raise ExperimentError where the folder holds another search, RunError where it holds something else."""
    if not (out / search_folder.TUNE).is_file():
        if not search_folder.is_free(out):
            raise RunError(f"{out} exists already, and is not a search. Choose another with --out, or remove it.")
        return
    held = read_search(out / search_folder.TUNE)
    was, now = dict(flat(held.to_json())), dict(flat(search.to_json()))
    if changed := differing(held.to_json(), search.to_json()):
        changes = "; ".join(
            f"{key} was {was.get(key, 'not there')!r}, is {now.get(key, 'not there')!r}" for key in changed
        )
        raise ExperimentError(
            f"{out} holds another search: {changes}. Choose another folder for the changed one with --out, or "
            "undo the change to continue this search (trials and timeout may differ)."
        )
    if search.tuning.storage is None and not (out / search_folder.STORAGE).exists():
        raise ExperimentError(
            f"{out} has no {search_folder.STORAGE}: the search is kept in another storage, whose URL --storage takes, "
            "or the file was removed. Restore it, or start again in another folder with --out."
        )
    if search.tuning.storage is not None and (out / search_folder.STORAGE).exists():
        raise ExperimentError(f"The search in {out} has its own {search_folder.STORAGE}: leave --storage out.")


def _write_result(search: Search, out: Path, storage: Storage) -> TuneFolder | None:
    """Write the best experiment and the record of all trials; None where no trial is complete."""
    records = storage.records()
    done = sum(trial.state in search_folder.ENDED for trial in records)
    tuned = Tuned(
        status="complete" if done >= search.trials else "unfinished",
        monitor=search.monitor,
        maximise=search.maximize,
        asked=max(search.trials, len(records)),
        sampler=search.tuning.sampler,
        pruner=search.tuning.pruner,
        seed=search.tuning.seed,
        epochs=search.epochs,
        data=search.first.data.source,
        model=search.first.model.name,
        space={key: domain.written() for key, domain in search.space.items()},
        trials=tuple(records),
        importance=storage.importance(),
        environment=environment(),
    )
    if not tuned.complete:
        return None
    write_text(out / search_folder.BEST, _best(search, out, tuned))
    folder = TuneFolder(out)
    folder.write_result(tuned)
    return folder


def _best(search: Search, out: Path, tuned: Tuned) -> str:
    """best.toml, with where it comes from."""
    best = tuned.best
    drawn = "".join(f"#   {key} = {value!r}\n" for key, value in best.values.items())
    return (
        f"# Trial {best.number} of the search {out.resolve().name}, the best of {len(tuned.trials)}: "
        f"{tuned.monitor} {best.value:.4f} after epoch {best.best}. Drawn were\n{drawn}"
        "# It was selected for this value, which is optimistic. On several seeds: firstlight run best.toml --seed 1\n\n"
        f"{tomli_w.dumps(relative_to(search.experiment(best.values).tables(), out))}"
    )


def _reasons(trials: list[TrialRecord]) -> str:
    reasons = dict.fromkeys(trial.reason for trial in trials if trial.reason)
    return " ".join(f"Trials failed: {reason}" for reason in list(reasons)[:3])
