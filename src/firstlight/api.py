"""What the command line does, as Python: load, fit, and the runs that come of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from rich.console import Console

from firstlight import experiments, losses, optimizers, parallel, report, schedules
from firstlight.cautions import NOTE, Caution
from firstlight.console import TrainingProgress
from firstlight.data import load as load_images
from firstlight.engine_parity import STEPS, Parity
from firstlight.errors import ExperimentError, RunError, nearest
from firstlight.experiments import USUAL, Experiment
from firstlight.experiments.paths import IN_MEMORY
from firstlight.explain import Progress
from firstlight.inference import Measured
from firstlight.models import ARCHITECTURES, Model
from firstlight.parallel import Backend
from firstlight.plugins import load as load_plugins
from firstlight.progress import unwatched
from firstlight.records import out_of_fold, run_folder
from firstlight.records.group_folder import is_group
from firstlight.records.label_issues import LabelIssues, folder_of_folds
from firstlight.records.rate_test import RateTest
from firstlight.records.run_folder import RunFolder
from firstlight.records.search_folder import TuneFolder
from firstlight.records.study_folder import StudyFolder
from firstlight.trained_ensemble import Ensemble
from firstlight.trained_run import Run
from firstlight.training import Callbacks, OnEpoch, OnStep
from firstlight.training_step import Step
from firstlight.training_step.opening import course_of_model
from firstlight.training_step.presets import PRESETS
from firstlight.types import Array, Dataset, joined

if TYPE_CHECKING:
    from firstlight.notebook.live import LiveCurves

__all__ = [
    "Ensemble",
    "Measured",
    "Run",
    "fit",
    "label_issues",
    "load",
    "open_run",
    "parity",
    "rate",
    "resume",
    "resume_study",
    "run",
    "run_folds",
    "run_study",
    "step",
    "studies",
    "study_table",
    "tune",
    "tune_folder",
]

RUNS = Path("runs")
LONGEST_NAME = 120  # bytes of a run folder that is named by itself; file systems take 255


def load(
    source: Any,
    *,
    size: int | tuple[int, int] | None = None,
    unverified: bool = False,
    group: str | Sequence[Any] | Array | None = None,
    label: str | None = None,
) -> Dataset:
    """Load a named set of images ("fashion-mnist", "openml:554"), or a user's own: a folder, a table, an .npz, arrays.

    source      a name, a path, a pair (images, labels), or a mapping such as {"x_train": …, "y_train": …, "x_test": …}:
                images uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), labels integers or strings (N,)
    size        (height, width) to resize to, one number for a square
    unverified  read files of a named set whose checksum is not the published one
    group       groups of images that must stay in one split, such as those of a patient or a video: as data.group of an
                experiment file, the name of an array of a mapping, or beside a pair an array (N,)
    label       the column of a table that tells the class, where its name does not
    Raises DataError.
    """
    return load_images(source, size=size, unverified=unverified, group=group, label=label)


def fit(
    model: Model | str,
    data: Any,
    *,
    epochs: int = USUAL.training.epochs,
    batch_size: int = USUAL.training.batch_size,
    optimizer: str | optimizers.Optimizer = USUAL.optimizer.name,
    lr: float | None = None,
    schedule: str | schedules.Schedule = USUAL.schedule.name,
    loss: str | losses.Loss = USUAL.loss.name,
    seed: int = USUAL.seed,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    console: Console | None = None,
    live: bool = False,
    reuse: bool = False,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
) -> Run:
    """Train a model on images, measure it, and return the run.

    model     a Model, or the name of an architecture, which is then built for the images
    data      a Dataset, or whatever `load` takes: a name, a path, a pair of arrays (images, labels)
    epochs    passes over the training images, in batches of `batch_size`
    optimizer, schedule, loss  an instance, or the name of one
    lr        the learning rate; the optimizer's own default where none is given
    seed      fixes every random draw: splits, initial weights, order, augmentation, dropout
    out       the run folder; a new one below runs/ where none is given
    console   where progress goes; standard output where none is given, nowhere with Console(quiet=True)
    settings  any other key of the experiment file, such as {"prepare.standardise": "channel"}
    live      draw the curves as they grow, where this runs in a Jupyter notebook; elsewhere the console tells as ever
    reuse     where `out` holds this very run already, return it, or continue with it where it was cut off
    on_epoch  a function that looks on: it is called with an `EpochProgress` after each epoch, and returns `fl.STOP` to
              end the run there, whole, or nothing
    on_step   likewise with a `StepProgress` after each step; `fl.STOP` ends the run at once, without the epoch that was
              begun
    Raises a FirstlightError before anything is written where something does not fit. An error in `on_epoch` or
    `on_step` interrupts the run as Ctrl-C does, and is raised once what was learnt is kept: `resume` continues.
    """
    callbacks, settings = Callbacks(on_epoch, on_step), experiments.settings_given(settings)
    if not isinstance(data, Dataset | str | Path):
        data = load_images(data, group=settings.get("data.group"))
    tables = experiments.tables(
        _data_table(data),
        model,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=lr,
        schedule=schedule,
        loss=loss,
        seed=seed,
    )
    _must_be_free(out, reuse)
    for key, value in settings.items():
        if isinstance(data, Dataset) and key in ("data.source", "data.size", "data.unverified"):
            raise ExperimentError(f"settings: {key} is used when images are loaded, and these are loaded already.")
        experiments.put(tables, key, value)
    images = data if isinstance(data, Dataset) else None
    setup = experiments.set_up(Experiment.of(tables, "fit"), images, tell=_watching(console, False, "").note)
    if isinstance(model, Model):
        experiments.must_fit(model, setup.train)
    trained = _start(setup, out, console, live, reuse, callbacks)
    if callbacks.failure is not None:
        raise callbacks.failure
    return trained


@overload
def run(
    experiment: Experiment | Mapping[str, Any] | str | Path,
    *,
    folds: None = None,
    out: str | Path | None = None,
    workers: None = None,
    console: Console | None = None,
    live: bool = False,
    reuse: bool = False,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
) -> Run: ...


@overload
def run(
    experiment: Experiment | Mapping[str, Any] | str | Path,
    *,
    folds: int,
    out: str | Path | None = None,
    workers: int | None = None,
    console: Console | None = None,
) -> StudyFolder: ...


def run(
    experiment: Experiment | Mapping[str, Any] | str | Path,
    *,
    folds: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    console: Console | None = None,
    live: bool = False,
    reuse: bool = False,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
) -> Run | StudyFolder:
    """Do an experiment: an `Experiment`, its tables, or the path of its file.

    `experiment` is one of these; `out`, `console`, `live`, `reuse`, `on_epoch` and `on_step` are as in `fit`.

    In a file, what a search alone needs, [tune] and [space], is ignored.

    folds    train one run for each of so many folds of all images, and return the folder of the study that they are:
             `run_folds` of the experiment
    workers  with folds: runs at a time, each in a process of its own
    """
    if folds is not None:
        if live or reuse:
            raise ExperimentError(
                "folds: live and reuse are for a single run; folds always continue where they stopped."
            )
        if on_epoch is not None or on_step is not None:
            raise ExperimentError(
                "folds: on_epoch and on_step are for a single run; folds are trained in their own processes."
            )
        return run_folds(experiment, folds, out=out, workers=workers, console=console)
    if workers is not None:
        raise ExperimentError("workers: a single run is one process; workers need folds.")
    experiment = _asked(experiment)
    callbacks = Callbacks(on_epoch, on_step)
    _must_be_free(out, reuse)
    setup = experiments.set_up(experiment, tell=_watching(console, False, "").note)
    trained = _start(setup, out, console, live, reuse, callbacks)
    if callbacks.failure is not None:
        raise callbacks.failure
    return trained


def run_folds(
    experiment: Experiment | Mapping[str, Any] | str | Path,
    folds: int,
    *,
    name: str = "",
    origin: str = "experiment",
    out: str | Path | None = None,
    workers: int | None = None,
    threads: int | None = None,
    console: Console | None = None,
) -> StudyFolder:
    """Train an experiment once for each fold of all images, write the report of all, and return the folder.

    It is a study of one run; out_of_fold.npz, beside the runs, has what the nets said of the images that they have not
    seen. Where the experiment has [space], the search is done in each fold, on its training and validation images. The
    same call continues with what is missing.

    name     of the study; <file>-<folds>-folds, or of model and images, where none is given
    origin   what errors call the experiment, where it has no file
    out      the folder; runs/<name> where none is given
    workers  runs at a time, each in a process of its own; threads are those of each
    Raises what `run_study` raises, and DataError where the images cannot be shared out so.
    """
    if isinstance(experiment, str | Path):
        origin, tables = str(experiment), experiments.read_located(Path(experiment), search=True)
        name = name or f"{Path(experiment).stem}-{folds}-folds"
    else:
        if not isinstance(experiment, Experiment):
            experiments.load_plugins(experiment, origin)
        tables = dict(experiment.unusual() if isinstance(experiment, Experiment) else experiment)
    plan = experiments.over_folds(tables, folds, name, origin)
    place = RUNS / plan.name if out is None else Path(out)
    return parallel.run_study(plan, place, workers=workers, threads=threads, console=console)


def resume_study(
    path: str | Path,
    *,
    workers: int | None = None,
    threads: int | None = None,
    plugins: Sequence[str] = (),
    console: Console | None = None,
) -> StudyFolder:
    """Continue the study in a folder, or with an experiment over folds: the runs that it recorded and that lack.

    plugins  files or modules with components of your own; those that the folder names are not loaded by themselves
    """
    load_plugins(plugins)
    folder = StudyFolder.open(path)
    plan = experiments.read_plan(folder.file, folds=folder.folds).with_seeds(folder.entries)
    return parallel.run_study(plan, folder.path, workers=workers, threads=threads, console=console)


def step(
    run: Run | Model | str | Path,
    images: Any = None,
    labels: Any = None,
    *,
    train: Any = None,
    optimizer: str | optimizers.Optimizer = USUAL.optimizer.name,
    lr: float | None = None,
    loss: str | losses.Loss = USUAL.loss.name,
    batch_size: int = USUAL.training.batch_size,
    seed: int = USUAL.seed,
) -> Step:
    """One step of training on an image or a few, taken apart number by number, and the steps that follow it.

    run     a run, or its folder: see `Run.step`, which takes images, labels, `train` and `lr`; optimizer, loss and seed
            are the run's own. A Model, or the name of an architecture, begins with its initial weights. The name
            of something that goes wrong (see `firstlight.training_step.PRESETS`) needs nothing else
    images  `Images`, such as `fl.load("digits").splits["train"].take([0])`; an image file; pixels uint8, (H, W),
            (H, W, C) or (N, H, W, C)
    labels  the class of each, by its number or its name; not where the images have theirs
    train   what the steps that follow are taken on, batch by batch: a Dataset, or whatever `load` takes; of a run, True
            for its own training images. The images themselves, all in every step, unless given
    lr      the learning rate of every step; the optimizer's own unless given. `optimizer`, `loss` and `seed`, of a net
            that is not trained, are as in `fit`
    batch_size  of the images in `train`

    Every number is that of the engine numpy with its reference kernels in float32, in training.
    Raises a FirstlightError where something does not fit.
    """
    if isinstance(run, Model) or (isinstance(run, str) and run in ARCHITECTURES):
        settings: dict[str, Any] = {"train": train, "optimizer": optimizer, "lr": lr, "loss": loss}
        return course_of_model(run, images, labels, **settings, batch_size=batch_size, seed=seed).start
    if isinstance(run, str) and run in PRESETS:
        return PRESETS[run].course().start
    if isinstance(run, str) and not Path(run).exists():
        known = nearest(run, [*ARCHITECTURES, *PRESETS])
        raise ExperimentError(f"step: there is no architecture, no preset and no run folder called {run!r}. {known}")
    if not isinstance(run, Run | str | Path):
        raise ExperimentError(f"step: give a run, its folder, a Model or an architecture; received {run!r}.")
    opened = run if isinstance(run, Run) else open_run(run)
    if not isinstance(opened, Run):
        raise ExperimentError(f"step: {run} holds several runs; give one of them.")
    return opened.step(images, labels, train=bool(train), lr=lr)


def resume(
    path: str | Path,
    *,
    data: Dataset | str | Path | None = None,
    plugins: Sequence[str] = (),
    console: Console | None = None,
    live: bool = False,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
) -> Run:
    """Go on with the run whose folder is at `path`, which was interrupted or cut off.

    `console`, `live`, `on_epoch` and `on_step` are as in `fit`.

    data     its images, where they were given as arrays; or where they are now, if they were moved
    plugins  files or modules with components of your own; those that its folder names are not loaded by themselves
    """
    load_plugins(plugins)
    callbacks = Callbacks(on_epoch, on_step)
    trained = _resume(path, data, console, live, callbacks)
    if callbacks.failure is not None:
        raise callbacks.failure
    return trained


def tune(
    search: str | Path | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    workers: int = 1,
    trials: int | None = None,
    storage: str | None = None,
    console: Console | None = None,
) -> TuneFolder:
    """Search for good settings, write the report, and return the folder, whose `best` is the winner's experiment.

    search   the path of a tune file, or its tables: those of an experiment, with `space` and `tune`
    out      the folder; runs/<file>-tune where none is given. One that exists continues
    workers  trials at a time, each in a process of its own
    trials   how many, instead of those of the file
    storage  the URL of an Optuna storage that machines share; a file in the folder where none is given
    console  where progress goes; standard output where none is given
    Raises ExperimentError for a mistake in the search, RunError where no trial came to a result, and KeyboardInterrupt
    after Ctrl-C: what is done is kept, and the same call continues.
    """
    if isinstance(search, str | Path):
        place = tune_folder(search) if out is None else Path(out)
        experiments.load_plugins_of(Path(search))
        asked = experiments.read_search(Path(search))
    else:
        place = RUNS / "tune" if out is None else Path(out)
        experiments.load_plugins(search, "tune")
        asked = experiments.Search.of(search)
    return parallel.run_search(asked.with_(trials=trials, storage=storage), place, workers=workers, console=console)


def tune_folder(file: str | Path) -> Path:
    """Where the search of a file is kept unless another folder is given."""
    return RUNS / f"{Path(file).stem}-tune"


def parity(
    model: Model | str,
    data: Dataset | str | Path | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    steps: int = STEPS,
    batch_size: int = USUAL.training.batch_size,
    optimizer: str | optimizers.Optimizer = USUAL.optimizer.name,
    lr: float | None = None,
    loss: str | losses.Loss = USUAL.loss.name,
    seed: int = USUAL.seed,
    kernels: str = USUAL.kernels,
    out: str | Path | None = None,
    console: Console | None = None,
) -> Parity:
    """Compare the engines numpy and torch on a model, and return how far they agree.

    In float64, each layer is put beside its twin: output, and gradients by hand, by autograd and by central differences
    along random directions; then each parameter's gradient through the whole net. Two training runs from the same start
    go side by side in float64, and in float32 at a hundredth of the learning rate. Last, a step of training is timed.
    `Parity.passed` and `Parity.failures` say whether the differences are within what is tolerated, and where not.

    model     a Model, or the name of an architecture with `options`
    data      a named set, a path or a Dataset; images of random pixels where none is given. Images are resized to the
              model's input where it takes no other size
    steps     of training side by side, each of `batch_size` images; `optimizer`, `loss` and `seed` are as in `fit`
    lr        the learning rate; the optimizer's own default where none is given
    kernels   of the engine numpy: "compiled", or "reference" for those in plain NumPy
    out       where to write the page of the check, if anywhere
    console   where progress goes; standard output where none is given
    Raises a FirstlightError where PyTorch is missing or the model does not fit the images.
    """
    from firstlight.engine_parity.check import check

    with (console or Console()).status("parity") as status:
        found = check(
            model,
            data,
            options=options,
            steps=steps,
            batch_size=batch_size,
            optimizer=optimizer,
            lr=lr,
            loss=loss,
            seed=seed,
            kernels=kernels,
            note=lambda text: status.update(text),
        )
    if out is not None:
        report.write(found, Path(out))
    return found


def rate(
    experiment: Experiment | Mapping[str, Any] | str | Path,
    *,
    steps: int = 200,
    low: float = 1e-6,
    high: float = 10.0,
    out: str | Path | None = None,
    console: Console | None = None,
) -> RateTest:
    """Find a learning rate: train at one that rises from step to step, and look where the loss falls (Smith 2017).

    Of this training nothing is kept, and no run folder is written or read. `RateTest.suggestion` has a rate, or None,
    and the reason.

    experiment  as for `run`
    steps       how many; fewer where the loss grows before the last
    low, high   the first rate and the last
    out         where to write the page, if anywhere
    console     where progress goes; standard output where none is given
    Raises a FirstlightError as `run` does.
    """
    experiment = _asked(experiment)
    with (console or Console()).status("learning rates") as status:
        setup = experiments.set_up(experiment, look=False)
        found = experiments.rate_test(
            setup, steps, low, high, lambda done: status.update(f"learning rates: step {done} of {steps}")
        )
    if out is not None:
        report.write(found, Path(out))
    return found


def run_study(
    source: str | Path,
    *,
    seeds: int | None = None,
    folds: int | None = None,
    only: Sequence[str] = (),
    out: str | Path | None = None,
    workers: int | None = None,
    threads: int | None = None,
    backend: Backend = "loky",
    address: str | None = None,
    console: Console | None = None,
) -> StudyFolder:
    """Do the runs of a study that are missing, write its report, and return its folder.

    source   the path of a study file, or the name of one that comes with firstlight
    seeds    so many instead of those of the file
    folds    so many, of all images, instead of those of the file
    out      its folder; runs/<name> where none is given
    only     the names of the runs to do, of those of the file; all where none is given
    workers  runs at a time, each in a process of its own, with so many `threads`
    backend  "loky" for this machine, "dask" or "ray" for a cluster, whose scheduler is at `address`
    console  where progress goes; standard output where none is given
    Errors are those of `firstlight.parallel.run_study`.
    """
    if address is not None and backend == "loky":
        raise ExperimentError(
            f"--address is the address of a cluster; received {address!r} with backend loky, which is this machine "
            "alone. Give --backend dask or --backend ray with it."
        )
    if str(source) not in experiments.packaged() and Path(source).is_file():
        experiments.load_plugins_of(Path(source))
    plan = experiments.read_plan(source, seeds, folds)
    place = RUNS / plan.name if out is None else Path(out)
    return parallel.run_study(
        plan, place, only=only, workers=workers, threads=threads, backend=backend, address=address, console=console
    )


def study_table(root: str | Path, out: str | Path) -> Path:
    """Write the numbers of the study in `root`, or of all whose folders lie there; return the path.

    out  a .md, .tex or .csv: Markdown, LaTeX, or numbers that are not rounded
    """
    return report.write_study_table(studies(root), Path(out))


def studies(root: str | Path) -> list[StudyFolder]:
    """The study whose folder is `root`, or all whose folders lie there. Raises RunError where there is none."""
    records = (
        [Path(root) / run_folder.STUDY]
        if (Path(root) / run_folder.STUDY).is_file()
        else Path(root).glob(f"*/{run_folder.STUDY}")
    )
    found = [StudyFolder.open(path.parent) for path in sorted(records)]
    if not found:
        raise RunError(f"{root} has no folder of a study.")
    return found


def open_run(
    path: str | Path,
    *,
    engine: str | None = None,
    device: str | None = None,
    data: Dataset | str | Path | None = None,
    false_alarm_rate: float | None = None,
    plugins: Sequence[str] = (),
) -> Run | Any:  # Any, so that nobody who opens a run need say that it is no Ensemble
    """Return the run whose folder is at `path`, to be used on another `engine` or `device` where one is given.

    Of a folder that holds the runs of one recipe, over seeds or folds, such as that of a study's entry, it is their
    `Ensemble`: what of a `Run` predicts, measures and exports.

    data  its own images, where they were given as arrays; or where they are now, if they were moved
    false_alarm_rate  the share of images of its classes that may be said to be of none of them, where it is not to be
                      that of its experiment file
    plugins  files or modules with components of your own, such as ["my_layers.py"]; those that the folder names are not
             loaded by themselves
    Raises RunError where there is none.
    """
    load_plugins(plugins)
    kind = Ensemble if is_group(path) else Run
    return kind(path, engine=engine, device=device, data=data, false_alarm_rate=false_alarm_rate)


def label_issues(
    path: str | Path,
    *,
    engine: str | None = None,
    device: str | None = None,
    data: Dataset | str | Path | None = None,
    watch: Progress | None = None,
) -> LabelIssues:
    """Suspected label errors among all images of a k-fold split, which are written into its folder too.

        for doubt in fl.label_issues("runs/folds"):
            print(doubt.id, doubt.reason)

    path    the folder of the folds, or one with a single such folder below it
    data    the images, where they were given as arrays; or where they are now, if they were moved
    watch   called with (what is done, how much of it, of how much)
    engine  "numpy" or "torch"; that of the runs where none is given. `device` is one of PyTorch's
    Raises RunError where not all folds are complete, or their images are no longer the same.
    """
    from firstlight.explain.out_of_fold_labels import label_issues_out_of_fold

    place = folder_of_folds(Path(path))
    asked = out_of_fold.read(place)
    assert asked is not None, "the folder has the record"
    first = RunFolder.open(place / asked.runs[0].folder)
    dataset = data if isinstance(data, Dataset) else experiments.reload_dataset(first, data)
    nets = (
        (run.net, joined(list(run.images.values())))
        for run in (Run(place / fold.folder, engine=engine, device=device, data=dataset) for fold in asked.runs)
    )
    found = label_issues_out_of_fold(asked, nets, dataset, progress=watch or unwatched)
    found.write(place)
    return found


def _asked(experiment: Experiment | Mapping[str, Any] | str | Path) -> Experiment:
    """The experiment, of its tables or of its file, with its plugins loaded."""
    if isinstance(experiment, Experiment):
        return experiment
    if isinstance(experiment, str | Path):
        return Experiment.of(experiments.read_located(Path(experiment)), str(experiment))
    experiments.load_plugins(experiment, "experiment")
    return Experiment.of(experiment)


def _must_be_free(out: str | Path | None, reuse: bool) -> None:
    if not reuse:
        experiments.must_be_free(out)
    elif out is None:
        raise ExperimentError("reuse needs the folder of the run: --out FOLDER, or out=… from Python.")


def _start(
    setup: experiments.Setup,
    out: str | Path | None,
    console: Console | None,
    live: bool,
    reuse: bool,
    callbacks: Callbacks,
) -> Run:
    if reuse and out is not None and (Path(out) / run_folder.EXPERIMENT).is_file():
        if not experiments.holds(RunFolder.open(out), setup):
            return _resume(out, setup.dataset, console, live, callbacks)
        _watching(console, False, "").note(f"{out} holds this run already: nothing is trained.")
        return Run(out)
    with _watching(console, live, f"{setup.model.name} on {setup.dataset.name}") as watcher:
        for warning in setup.warnings():
            watcher.note(f"{NOTE}{warning}")
        folder = experiments.start(setup, _free_folder(setup) if out is None else Path(out), watcher, callbacks)
    return _kept(folder.path, callbacks)


def _resume(
    path: str | Path,
    data: Dataset | str | Path | None,
    console: Console | None,
    live: bool,
    callbacks: Callbacks,
) -> Run:
    with _watching(console, live, Path(path).name) as watcher:
        folder = experiments.resume(Path(path), watcher, dataset=data, callbacks=callbacks)
    return _kept(folder.path, callbacks)


def _kept(path: Path, callbacks: Callbacks) -> Run:
    """The run; a failure of a function that looked on says where it is."""
    if callbacks.failure is not None:
        callbacks.failure.add_note(f"The weights so far are kept in {path}. Resume it: fl.resume({str(path)!r})")
    return Run(path)


def _watching(console: Console | None, live: bool, title: str) -> TrainingProgress | LiveCurves:
    """What shows how training comes along: curves in a notebook where they were asked for, else the console."""
    if live:
        from firstlight.notebook.live import LiveCurves, in_notebook

        if in_notebook():
            return LiveCurves(title)
    display = TrainingProgress(console or Console())
    if live:
        display.note(
            Caution.NO_NOTEBOOK.note("live=True draws curves in a Jupyter notebook only; here is a line per epoch.")
        )
    return display


def _free_folder(setup: experiments.Setup) -> Path:
    """runs/<model>-<data>, with a number behind it where that exists."""
    name = re.sub(r"[^\w.-]+", "-", f"{setup.model.name}-{Path(setup.dataset.name).name}").strip("-.")
    name = name.encode()[:LONGEST_NAME].decode(errors="ignore")
    path, number = RUNS / name, 1
    while path.exists():
        number += 1
        path = RUNS / f"{name}-{number}"
    return path


def _data_table(data: Dataset | str | Path) -> dict[str, Any]:
    """The `[data]` table that loads the same images again."""
    if isinstance(data, Dataset):
        source = data.origin or IN_MEMORY + data.name
        said = {key: value for key in ("group", "label") if (value := getattr(data, key))}
        return {"source": source, "size": data.shape[:2], "unverified": not data.verified, **said}
    return {"source": str(data)}
