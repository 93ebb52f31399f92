"""A study carried out: what is missing of its runs, side by side, and a report of all.

The way of a study: `Plan` -> jobs (a run with a seed, or of a fold) -> the pool of workers -> run folders ->
`StudyFolder` -> report.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from rich.console import Console

from firstlight import experiments, processes, report
from firstlight.cautions import NOTE, Caution
from firstlight.errors import ExperimentError, ModelError, ReportError, ReportWarning, RunError
from firstlight.experiments import Experiment, Plan, PlannedRun
from firstlight.experiments.corrections import have_changed
from firstlight.experiments.paths import differing, located
from firstlight.experiments.setup import drawn_splits
from firstlight.files import write_text
from firstlight.parallel.job import INTERRUPTED, Job, train
from firstlight.parallel.pool import Backend, Pool, WorkerKilledError, pool
from firstlight.parallel.progress import StudyProgress
from firstlight.parallel.searches import run_search
from firstlight.records import out_of_fold, run_folder, search_folder, study_folder
from firstlight.records.locked_folder import locked_folder
from firstlight.records.record_files import write_record
from firstlight.records.result import Status
from firstlight.records.run_folder import RunFolder
from firstlight.records.study_folder import FoldKey, StudyFolder, run_title
from firstlight.types import Json


def run_study(
    plan: Plan,
    out: Path,
    *,
    only: Sequence[str] = (),
    workers: int | None = None,
    threads: int | None = None,
    backend: Backend = "loky",
    address: str | None = None,
    console: Console | None = None,
) -> StudyFolder:
    """Do the runs of a study that are missing in the folder `out`, and write the study's report.

    A run that is complete is kept; one that was cut off continues from its last whole epoch.

    only     the runs to do, by name, and those that they start from; all unless given
    workers  runs at a time, each in a process of its own; 1 unless given, or all that the cluster has
    threads  of each run; the cores shared out among the workers unless given, a cluster's own setting on one
    backend  "loky": processes of this machine; "dask" or "ray": the cluster at `address`, which sees the same files
    Raises ExperimentError where the folder holds another study, RunError where it holds runs of other experiments, or
    where runs failed; the others are complete.
    """
    console = console or Console()
    _check_options(workers, threads, backend)
    requested = plan.only([only] if isinstance(only, str) else only) if only else plan
    _check_folds(requested, out, console)
    count = workers or 1
    if backend == "loky" and count > 1 and threads is None:
        threads = max(1, processes.cores() // count)
    out.mkdir(parents=True, exist_ok=True)
    with locked_folder(out):
        _check_same_study(plan, out)
        folder = _write_record(plan, out)
        best, failures = _run_searches(requested, folder, count, console)
        total = sum(len(folder.keys(run.entry)) for run in requested.runs)
        stages = [_jobs(stage, folder, best, threads) for stage in requested.stages()]
        with (
            pool(backend, address, workers, threads) as runners,
            StudyProgress(folder, total, console, workers if backend != "loky" else count) as progress,
        ):
            failures |= _train_stages(stages, runners, progress)
        if requested.parity:
            failures |= _check_gradients(requested, folder, console)
        failures |= _write_out_of_fold(folder)
        lost = _write_reports(folder)
    _raise_failures(plan, requested, out, lost | failures, console)
    return folder


def _check_options(workers: int | None, threads: int | None, backend: str) -> None:
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise ExperimentError(f"{name} must be at least 1; received {value}.")
    if backend not in get_args(Backend):
        raise ExperimentError(f"backend is {', '.join(get_args(Backend))}; received {backend!r}.")


def _check_same_study(plan: Plan, out: Path) -> None:
    """Raise before anything is written where the folder holds something else, or runs of other experiments."""
    if not (out / run_folder.STUDY).is_file():
        for name, what in ((run_folder.EXPERIMENT, "run"), (search_folder.TUNE, "search")):
            if (out / name).exists():
                raise ExperimentError(f"{out} is a {what}: it contains {name}. Choose another folder with --out.")
        return
    held, asked = StudyFolder.open(out), StudyFolder(out, plan.record)
    if held.name != plan.name:
        raise ExperimentError(f"{out} holds the study {held.name}, not {plan.name}. Choose another folder with --out.")
    if held.folds != asked.folds:
        ways = [f"{folds} folds" if folds else "no folds" for folds in (held.folds, asked.folds)]
        raise ExperimentError(
            f"{out} holds {plan.name} with {ways[0]}, not with {ways[1]}. Choose another folder with --out."
        )
    for run in plan.runs:
        for key in () if run.winner_of else asked.keys(run.entry):  # a winner is known after its search
            job = Job(run.name, key, run.experiment(key, asked), asked.place(run.entry, key), None)
            if not _damage(job):  # which is told when its turn comes
                _is_done(job, run.needs)


def _check_folds(plan: Plan, out: Path, console: Console) -> None:
    """Set up the first fold of each kind of images, and share them out for the others: a mistake is told first.

    Raises what `set_up` raises: DataError, say, where there are fewer images of a class than folds.
    """
    folder, seen = StudyFolder(out, plan.record), list[Json]()
    for run in plan.runs if plan.folds else ():
        under = plan.searches[run.winner_of] if run.winner_of else {}
        tables = experiments.only_experiment(under, run.name)
        first, *others = (run.experiment(key, folder, tables) for key in folder.keys(run.entry))
        data = first.data.model_dump()
        if data in seen or run.needs or run.optional or folder.finished(run.entry):
            continue
        seen.append(data)
        try:
            setup = experiments.set_up(first)
        except ModelError:
            if not run.winner_of:  # the search may find one that fits
                raise
            continue
        for note in [] if setup.findings.groups is None else setup.findings.groups.warnings():
            console.print(f"{NOTE}{note}", style="yellow", markup=False, highlight=False)
        for fold in others:
            drawn_splits(fold, setup.dataset)


def _write_record(plan: Plan, out: Path) -> StudyFolder:
    """study.json and the study's file; seeds that are there already stay recorded when fewer are asked for."""
    entries = []
    for run in plan.runs:
        names = (place.name.removeprefix("seed-") for place in (out / run.name).glob("seed-*"))
        there = {int(name) for name in names if name.isascii() and name.isdecimal()}
        seeds = (*run.entry.seeds, *sorted(there - set(run.entry.seeds)))
        entries.append(replace(run.entry, seeds=seeds))
    write_record(out, run_folder.STUDY, replace(plan.record, runs=tuple(entries)))
    folder = StudyFolder.open(out)
    write_text(folder.file, plan.text)
    return folder


Best = Mapping[tuple[str, FoldKey | None], Json]  # the best tables by the name of a search and, over folds, its fold


def _run_searches(plan: Plan, folder: StudyFolder, workers: int, console: Console) -> tuple[Best, dict[str, str]]:
    """What the searches of the study find best, each in every fold where there are folds; and why one found nothing.

    What is missing of them is done now. Without folds, a search that finds nothing ends the study, as its runs need it.
    """
    best: dict[tuple[str, FoldKey | None], Json] = {}
    failures: dict[str, str] = {}
    for name in plan.searches:
        if folder.folds is None:
            best[name, None] = _run_search_of_study(name, plan, folder, None, workers, console)
            continue
        runs = [run for run in plan.runs if run.winner_of == name]
        keys = dict.fromkeys(key for run in runs for key in folder.keys(run.entry) if isinstance(key, FoldKey))
        for key in keys:
            console.print(f"Search {name!r} in {run_title(key)}", style="dim", highlight=False)
            try:
                best[name, key] = _run_search_of_study(name, plan, folder, key, workers, console)
            except RunError as error:
                failures |= {f"{run.name}, {run_title(key)}": f"Its search has no result. {error}" for run in runs}
    return best, failures


def _run_search_of_study(
    name: str, plan: Plan, folder: StudyFolder, key: FoldKey | None, workers: int, console: Console
) -> Json:
    """The experiment that a search of the study finds best, in a fold where there are folds."""
    within = "" if key is None else f"-seed-{key.seed}-fold-{key.fold}"
    found = run_search(plan.search(name, key), folder.path / f"search-{name}{within}", workers=workers, console=console)
    return located(found.best.tables, found.path / search_folder.BEST)


def _jobs(
    stage: Iterable[PlannedRun],
    folder: StudyFolder,
    best: Best,
    threads: int | None,
) -> list[tuple[PlannedRun, Job]]:
    """All runs of a stage, whether they are done or not, but for those whose search found nothing."""
    jobs = []
    for run in stage:
        for key in folder.keys(run.entry):
            of = (run.winner_of, key if isinstance(key, FoldKey) else None)
            if not run.winner_of or of in best:
                experiment = run.experiment(key, folder, best.get(of))
                jobs.append((run, Job(run.name, key, experiment, folder.place(run.entry, key), threads)))
    return jobs


def _train_stages(
    stages: Iterable[Sequence[tuple[PlannedRun, Job]]], runners: Pool, progress: StudyProgress
) -> dict[str, str]:
    """Do what is missing, stage by stage; return why runs came to no result, which is kept beside their places too."""
    failures: dict[str, str] = {}
    for stage in stages:
        for job, failure in _outcomes(stage, runners, progress):
            if failure == INTERRUPTED:
                raise KeyboardInterrupt
            if failure:
                failures[job.title] = failure
                job.folder.parent.mkdir(parents=True, exist_ok=True)
                write_text(study_folder.failure(job.folder), f"{failure}\n")
            else:
                study_folder.failure(job.folder).unlink(missing_ok=True)
    return failures


def _outcomes(
    stage: Sequence[tuple[PlannedRun, Job]], runners: Pool, progress: StudyProgress
) -> Iterator[tuple[Job, str]]:
    """Do what is missing of a stage: each job with its failure, if any. What a killed worker left is done again."""
    blocked = {job.title: why for run, job in stage if (why := _blocked(run, job))}
    yield from ((job, blocked[job.title]) for _, job in stage if job.title in blocked)
    waiting = [(run, job) for run, job in stage if job.title not in blocked]
    jobs = [job for run, job in waiting if not _is_done(job, run.needs)]
    progress.expect(jobs, len(waiting) - len(jobs))
    killed = 0
    while True:
        try:
            done = {job.title: failure for job, failure in runners.map(train, jobs)}
            yield from ((job, done[job.title]) for job in jobs)
            return
        except WorkerKilledError:
            before = len(jobs)
            jobs = [job for run, job in waiting if not _is_done(job, run.needs)]
            killed = 1 if len(jobs) < before else killed + 1
            processes.raise_if_killed_often(killed, "run")
            progress.note(
                "A worker was killed, perhaps by the system because it ran out of memory; its run continues from its "
                "last epoch."
            )


def _blocked(run: PlannedRun, job: Job) -> str:
    """Why a run cannot be done now: what it starts from is missing, or its own files are damaged. "" where it can."""
    if damage := _damage(job):
        return f"{damage} To train it again, remove {job.folder}."
    start = job.experiment.weights.init_from if run.needs else None
    if start is not None and not RunFolder(Path(start)).finished:
        return f"{start}, whose weights it starts from, has no result."
    return ""


def _damage(job: Job) -> str:
    """What is wrong with the files that tell which run this is, and whether it is complete; "" where nothing is."""
    folder = RunFolder(job.folder)
    try:
        _ = folder.experiment if (job.folder / run_folder.EXPERIMENT).is_file() else None
        _ = folder.result if folder.finished else None
    except RunError as error:
        return str(error)
    return ""


def _is_done(job: Job, needs: str) -> bool:
    """Whether the run is complete. Raises RunError where its folder holds another experiment, or no run at all.

    needs  the run of the study whose weights it starts from: where the study lies does not matter then
    """
    if not (job.folder / run_folder.EXPERIMENT).is_file():
        files = [path.name for path in job.folder.iterdir()] if job.folder.is_dir() else [job.folder.name]
        strange = [name for name in files if not name.startswith(".")]  # what begins with a dot is a run's own
        if job.folder.exists() and strange:
            raise RunError(f"{job.folder} holds {strange[0]} and is not a run: move it, or choose another folder.")
        return False
    folder = RunFolder.open(job.folder)
    held = Experiment.of_run(folder).model_dump()
    asked = job.experiment.model_dump()
    parts = 3 if isinstance(job.key, FoldKey) else 2  # of the place of a run in the study
    if needs and held["weights"]["init_from"]:
        for tables in (held, asked):
            tables["weights"]["init_from"] = Path(tables["weights"]["init_from"]).parts[-parts:]
    changed = differing(held, asked, folder.location)
    if not changed and folder.finished and have_changed(folder, job.experiment):
        changed = ["what data.corrections holds"]
    if changed:
        raise RunError(
            f"{job.folder} is of another experiment: it differs in {', '.join(changed)}. "
            "Remove it to train it again, or choose another folder with --out."
        )
    return folder.finished and folder.result.status != Status.INTERRUPTED


def _check_gradients(plan: Plan, folder: StudyFolder, console: Console) -> dict[str, str]:
    """Hold the gradients of the run that the study names against autograd's, unless they were found equal."""
    from firstlight.engine_parity.check import check

    page = folder.path / study_folder.PARITY
    if page.exists():
        return {}
    run = next(run for run in plan.runs if run.name == plan.parity)
    experiment = run.experiment(folder.keys(run.entry)[0], folder)
    setup = experiments.set_up(experiment)
    with console.status("gradients by hand, by autograd, by differences"):
        found = check(
            setup.model,
            setup.dataset,
            optimizer=setup.task.optimizer,
            lr=experiment.optimizer.lr,
            loss=setup.task.loss,
            seed=experiment.seed,
        )
    if not found.passed:
        page = page.with_stem("gradients-differ")
    report.write(found, page)
    return {} if found.passed else {"parity": f"{'; '.join(map(str, found.failures))}. See {page}."}


def _write_out_of_fold(folder: StudyFolder) -> dict[str, str]:
    """Write what the nets of all folds said together, where it is missing and all of them are done."""
    failures = {}
    for one in folder.entries if folder.folds else ():
        finished = folder.finished(one)
        for seed in one.seeds:
            place = folder.folds_folder(one, seed)
            runs = [run for key, run in finished.items() if isinstance(key, FoldKey) and key.seed == seed]
            try:
                whole = [run for run in runs if run.result.status != Status.INTERRUPTED]
                if len(whole) == folder.folds and not _has_out_of_fold(place):
                    out_of_fold.collect(whole).write(place)
            except RunError as error:
                failures[f"{one.name}, seed {seed}, all folds"] = str(error)
    return failures


def _has_out_of_fold(place: Path) -> bool:
    """Whether the record is there, whole, and of the predictions that the runs now have."""
    try:
        return out_of_fold.read(place) is not None
    except RunError:
        return False


def _write_reports(folder: StudyFolder) -> dict[str, str]:
    """Write the reports that are missing, and the study's; return why it has nothing of some of the runs."""
    finished = {f"{e.name}, {run_title(key)}": run for e in folder.entries for key, run in folder.finished(e).items()}
    for title, run in finished.items():
        if not (run.path / run_folder.REPORT).exists():
            try:
                report.write(run)
            except ReportError as error:
                warnings.warn(Caution.REPORT_NOT_RENEWED.text(f"{title}: {error}"), ReportWarning, stacklevel=2)
            except RunError:
                pass  # the study's report names what is damaged
    lost = report.lost(folder)
    if finished.keys() - lost.keys():
        with report.of_complete("study", folder.path):
            report.write(folder)
    return lost


def _raise_failures(plan: Plan, requested: Plan, out: Path, failures: dict[str, str], console: Console) -> None:
    """Say what came to no result. Raises RunError where that was asked for now, and may not be left out."""
    optional = {run.name for run in plan.runs if run.optional}
    of = StudyFolder(out, requested.record)
    asked = {"parity", *(f"{run.name}, {run_title(key)}" for run in requested.runs for key in of.keys(run.entry))}
    asked |= {f"{run.name}, seed {seed}, all folds" for run in requested.runs for seed in run.entry.seeds}
    for title, failure in list(failures.items()):
        if title not in asked or title.rpartition(", seed ")[0] in optional:
            said = "Left out" if title in asked else "Not part of this command"
            console.print(f"{said}: {title}: {failure}", style="dim", markup=False, highlight=False)
            del failures[title]
    if failures:
        listed = "\n".join(f"{title}: {failure}" for title, failure in failures.items())
        raise RunError(
            f"{len(failures)} of the runs of {plan.name} have no result; the others are complete in {out}. "
            f"The same command tries them again.\n{listed}"
        )
