"""What the command line does, as Python: load, fit, and the runs that come of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from firstlight import data as data_
from firstlight import losses, optimizers, report, runs, schedules, study
from firstlight.agreement import Parity
from firstlight.display import Display, SearchDisplay
from firstlight.engines import Session, Task
from firstlight.errors import DataError, ExperimentError, RunError, nearest
from firstlight.evaluation import Evaluation
from firstlight.models import Model
from firstlight.prepare import Preparation
from firstlight.runs import RunFolder, StudyFolder
from firstlight.searches import TuneFolder
from firstlight.study import Experiment
from firstlight.study.recall import IN_MEMORY
from firstlight.types import Array, Dataset, Images, Json, Predictions
from firstlight.weights import from_bytes
from firstlight.workers import Backend, carry_out

RUNS = Path("runs")


class Run:
    """A run: its records on disk, and its model ready to use."""

    def __init__(self, path: str | Path, *, engine: str | None = None, device: str | None = None) -> None:
        """The run at `path`; its model is used on the engine and device that it was trained on, or on those given."""
        self.folder = RunFolder.open(path)
        self._on = {key: value for key, value in (("engine", engine), ("device", device)) if value is not None}

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def result(self) -> Json:
        """The numbers of result.json, such as result["test"]["accuracy"]."""
        return self.folder.result

    @property
    def history(self) -> dict[str, Array]:
        """A column of numbers for each of loss, accuracy, val_loss, …, one row an epoch."""
        return self.folder.history

    @property
    def accuracy(self) -> float:
        """The accuracy on the test split, a fraction."""
        return float(self.result["test"]["accuracy"])

    @property
    def predictions(self) -> dict[str, Predictions]:
        """Ids, labels and probabilities of the "validation" and "test" splits."""
        return self.folder.predictions

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.folder.class_names

    @cached_property
    def experiment(self) -> Experiment:
        return Experiment.of(self.folder.experiment, str(self.path / runs.EXPERIMENT))

    @cached_property
    def task(self) -> Task:
        """Model, loss and preparation, as they were trained."""
        preparation = Preparation.from_json(self.folder.model["preparation"])
        model = Model.from_json(self.folder.model)
        return Task(model, self.experiment.build_loss(), preparation, self.experiment.build_optimizer())

    @cached_property
    def session(self) -> Session:
        """The trained model on its engine."""
        path = self.path / runs.WEIGHTS
        try:
            arrays = from_bytes(path.read_bytes(), str(path))
        except FileNotFoundError:
            _ = self.result  # an unfinished run says so
            raise RunError(f"{self.path} has no {runs.WEIGHTS}: the file was removed.") from None
        # Whatever reduced the precision in training, a model is used in full.
        full = "float64" if self.experiment.precision == "float64" else "float32"
        moved = {"device": "auto"} if self._on.get("engine", self.experiment.engine) != self.experiment.engine else {}
        engine = self.experiment.model_copy(update={"precision": full, **moved, **self._on}).open_engine()
        return engine.session(self.task, vector=self.task.model.layout.vector(arrays))

    def evaluate(
        self, data: str | Path | Dataset | None = None, split: str | None = None, *, unverified: bool = False
    ) -> tuple[Evaluation, Predictions]:
        """Measure the trained model anew: on a split of its own images, or on other images with the same classes.

        data   other images; the run's own where this is its own source too, split as they were for training
        split  "test" unless another is asked for; of other images that come in no splits, all are taken
        Raises DataError where the classes differ, RunError where the run's own images are no longer the same.
        """
        if data is None or study.is_own(self.folder, data):
            return self._evaluate_own(data if isinstance(data, Dataset) else None, split or "test")
        if not isinstance(data, Dataset):
            data = data_.load(data, size=self.task.preparation.size, unverified=unverified)
        if data.class_names != self.class_names:
            data = replace(data, splits=self.experiment.data.relabelled(data.splits))
        if data.class_names != self.class_names:
            raise DataError(
                f"The run's classes are {', '.join(self.class_names)}; "
                f"those of {data.name} are {', '.join(data.class_names)}. They must be the same."
            )
        images = data.splits["train"] if split is None and set(data.splits) == {"train"} else _pick(data, split)
        return study.measure(self.session, self.task.loss, self.task.preparation.apply(images))

    def predict(self, images: str | Path | Array | Images | Sequence[str | Path]) -> Array:
        """The probabilities (N, K) for image files, Images, or pixels uint8 (N, H, W, C), in the order given."""
        if isinstance(images, Images):
            return self._probabilities(images.pixels)
        if isinstance(images, np.ndarray):
            if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] not in (1, 3) or not len(images):
                raise DataError(
                    f"predict takes pixels uint8 (N, H, W, 1 or 3); received {images.dtype} {images.shape}."
                )
            return self._probabilities(images)
        paths = [images] if isinstance(images, str | Path) else list(images)
        if not paths:
            raise DataError("predict needs at least one image.")
        size = self.task.preparation.size
        return np.concatenate([self._probabilities(data_.load_image(path, size)[np.newaxis]) for path in paths])

    def report(self) -> Path:
        """Write report.html anew and return its path."""
        return report.write(self.folder)

    def _probabilities(self, pixels: Array) -> Array:
        unlabelled = Images(
            pixels, np.zeros(len(pixels), np.int64), np.arange(len(pixels)).astype(str), self.class_names
        )
        return self.task.loss.probabilities(self.session.outputs(self.task.preparation.apply(unlabelled)).T)

    def _evaluate_own(self, data: Dataset | None, split: str) -> tuple[Evaluation, Predictions]:
        if split not in self.folder.data["splits"]:
            raise DataError(f"The run has no split called {split!r}. {nearest(split, self.folder.data['splits'])}")
        _, splits = study.recall(self.folder, data)
        images = self.task.preparation.apply(splits[split])
        study.must_be_the_same(self.folder, {split: images})
        return study.measure(self.session, self.task.loss, images)


def load(source: str | Path, *, size: int | tuple[int, int] | None = None, unverified: bool = False) -> Dataset:
    """Load a named set of images ("fashion-mnist"), or a user's own: a folder, a CSV or an .npz.

    size        (height, width) to resize to, one number for a square
    unverified  read files of a named set whose checksum is not the published one
    Raises DataError.
    """
    return data_.load(source, size=size, unverified=unverified)


def fit(
    model: Model | str,
    data: Dataset | str | Path,
    *,
    epochs: int = 10,
    batch_size: int = 32,
    optimizer: str | optimizers.Optimizer = "adam",
    lr: float | None = None,
    schedule: str | schedules.Schedule = "constant",
    loss: str | losses.Loss = "cross-entropy",
    seed: int = 0,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> Run:
    """Train a model on images, measure it, and return the run.

    model     a Model, or the name of an architecture, which is then built for the images
    lr        the learning rate; the optimiser's own default where none is given
    out       the run folder; a new one below runs/ where none is given
    console   where progress goes; standard output where none is given, nowhere with Console(quiet=True)
    settings  any other key of the experiment file, such as {"prepare.standardise": "channel"}
    Raises a FirstlightError before anything is written where something does not fit.
    """
    tables = study.tables(
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
    study.must_be_free(out)
    for key, value in (settings or {}).items():
        if isinstance(data, Dataset) and key in ("data.source", "data.size", "data.unverified"):
            raise ExperimentError(f"settings: {key} is a matter of loading; the images are loaded already.")
        study.put(tables, key, value)
    setup = study.set_up(Experiment.of(tables, "fit"), data if isinstance(data, Dataset) else None)
    if isinstance(model, Model):
        study.must_fit(model, setup.train)
    return _start(setup, out, console)


def run(
    experiment: Experiment | Mapping[str, Any] | str | Path,
    *,
    out: str | Path | None = None,
    console: Console | None = None,
) -> Run:
    """Do an experiment: an `Experiment`, its tables, or the path of its file."""
    if isinstance(experiment, str | Path):
        experiment = Experiment.of(study.read(Path(experiment)), str(experiment))
    elif not isinstance(experiment, Experiment):
        experiment = Experiment.of(experiment)
    study.must_be_free(out)
    return _start(study.set_up(experiment), out, console)


def resume(path: str | Path, *, data: Dataset | None = None, console: Console | None = None) -> Run:
    """Go on with a run that was interrupted or cut off. `data` is needed where it was given as arrays."""
    with Display(console or Console()) as watcher:
        return Run(study.resume(Path(path), watcher, dataset=data).path)


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
    out      the folder; runs/<file>-tune where none is given. One that exists goes on
    workers  trials at a time, each in a process of its own
    trials   how many, instead of those of the file
    storage  the URL of an Optuna storage that machines share; a file in the folder where none is given
    console  where progress goes; standard output where none is given
    Raises ExperimentError for a mistake in the search, RunError where no trial came to a result, and KeyboardInterrupt
    after Ctrl-C: what is done is kept, and the same call goes on.
    """
    from firstlight.study.tune import tune as carry_out_search

    if isinstance(search, str | Path):
        place = tune_folder(search) if out is None else Path(out)
        asked = study.read_search(Path(search))
    else:
        place = RUNS / "tune" if out is None else Path(out)
        asked = study.Search.of(search)
    asked = asked.with_(trials=trials, storage=storage)
    with SearchDisplay(console or Console()) as watcher:
        try:
            folder = carry_out_search(asked, place, workers=workers, watcher=watcher)
        except KeyboardInterrupt:
            if (place / runs.RESULT).is_file():
                report.write_tuning(TuneFolder(place))
            raise
    report.write_tuning(folder)
    return folder


def tune_folder(file: str | Path) -> Path:
    """Where the search of a file is kept unless another folder is given."""
    return RUNS / f"{Path(file).stem}-tune"


def parity(
    model: Model | str,
    data: Dataset | str | Path | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    steps: int = 50,
    batch_size: int = 32,
    optimizer: str | optimizers.Optimizer = "adam",
    lr: float | None = None,
    loss: str | losses.Loss = "cross-entropy",
    seed: int = 0,
    kernels: str = "compiled",
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
    lr        the learning rate; the optimiser's own default where none is given
    out       where to write the page of the check, if anywhere
    console   where progress goes; standard output where none is given
    Raises a FirstlightError where PyTorch is missing or the model does not fit the images.
    """
    from firstlight.agreement.check import check

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
        report.write_parity(found, Path(out))
    return found


def run_study(
    source: str | Path,
    *,
    seeds: int | None = None,
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
    out      its folder; runs/<name> where none is given
    The others are those of `firstlight.workers.carry_out`, and so are the errors.
    """
    plan = study.read_plan(source, seeds)
    place = RUNS / plan.name if out is None else Path(out)
    return carry_out(
        plan, place, only=only, workers=workers, threads=threads, backend=backend, address=address, console=console
    )


def study_table(root: str | Path, out: str | Path) -> Path:
    """Write one page of Markdown with the numbers of all studies whose folders lie in `root`; return its path."""
    folders = [StudyFolder.open(path.parent) for path in sorted(Path(root).glob(f"*/{runs.STUDY}"))]
    if not folders:
        raise RunError(f"{root} has no folder of a study.")
    return report.write_study_table(folders, Path(out))


def open_run(path: str | Path, *, engine: str | None = None, device: str | None = None) -> Run:
    """Return the run whose folder is at `path`, to be used on another engine or device where one is given.

    Raises RunError where there is none.
    """
    return Run(path, engine=engine, device=device)


def _start(setup: study.Setup, out: str | Path | None, console: Console | None) -> Run:
    with Display(console or Console()) as watcher:
        for warning in setup.warnings():
            watcher.note(f"Note: {warning}")
        folder = study.start(setup, _free_folder(setup) if out is None else Path(out), watcher)
    return Run(folder.path)


def _free_folder(setup: study.Setup) -> Path:
    """runs/<model>-<data>, with a number behind it where that exists."""
    name = re.sub(r"[^\w.-]+", "-", f"{setup.model.name}-{Path(setup.dataset.name).name}").strip("-.")
    path, number = RUNS / name, 1
    while path.exists():
        number += 1
        path = RUNS / f"{name}-{number}"
    return path


def _data_table(data: Dataset | str | Path) -> dict[str, Any]:
    """The `[data]` table that loads the same images again."""
    if isinstance(data, Dataset):
        source = data.origin or IN_MEMORY + data.name
        return {"source": source, "size": data.shape[:2], "unverified": not data.verified}
    return {"source": str(data)}


def _pick(data: Dataset, split: str | None) -> Images:
    name = split or "test"
    if name not in data.splits:
        raise DataError(f"{data.name} has no split called {name!r}. {nearest(name, data.splits)}")
    return data.splits[name]
