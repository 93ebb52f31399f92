"""What trained nets are asked of images, be it one run or several that answer together: predicted, and measured."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar

import numpy as np

from firstlight import experiments, members
from firstlight.data import load as load_images
from firstlight.data.file_listing import ListedFile, listed_files
from firstlight.data.groups import needs_folders
from firstlight.data.names import one_form
from firstlight.engines import Task
from firstlight.errors import DataError, DeeperFoldersError, ExperimentError, RunError, UnreadableImageError, nearest
from firstlight.evaluation import Evaluation
from firstlight.experiments import Experiment
from firstlight.inference import BATCH, FileClassifier, Measured, Prediction, batch_size, without_seen
from firstlight.kernels.lock import ForkedLock
from firstlight.members import Member
from firstlight.pixels import changed
from firstlight.prepare import Preparation, outside_images
from firstlight.progress import Step, unwatched
from firstlight.records.exports import ExportFolder, ExportRecord
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array, Dataset, Images, Predictions, unlabelled

if TYPE_CHECKING:
    from firstlight.export import Exportable

R = TypeVar("R")


class made_once(Generic[R]):  # noqa: N801  (used as cached_property is, which lets two threads make two)
    """What a trained run makes when it is first asked for, and keeps: whoever asks meanwhile waits for it."""

    def __init__(self, make: Callable[[Any], R]) -> None:
        self.make, self.name, self.__doc__ = make, make.__name__, make.__doc__

    def __get__(self, run: Any, owner: Any = None) -> R:
        if run is None:
            return self  # type: ignore[return-value]
        with run._making:
            if self.name not in run.__dict__:
                run.__dict__[self.name] = self.make(run)
            made: R = run.__dict__[self.name]
            return made


class TrainedClassifier(ABC):
    """Trained nets that answer as one: a `Run`, or an `Ensemble` of several.

    Threads may share it: they take turns in the model, and each gets the answers that it would get alone.

    folder  of the run, or of the runs; exports are recorded there
    """

    folder: ExportFolder
    _making: ForkedLock
    _given: Dataset | str | Path | None

    @property
    @abstractmethod
    def path(self) -> Path:
        """The folder of the run, or of the runs."""

    @property
    @abstractmethod
    def folders(self) -> tuple[RunFolder, ...]:
        """The records of the runs."""

    @property
    @abstractmethod
    def members(self) -> tuple[Member, ...]:
        """The nets, ready to be asked."""

    @property
    def why_no_novelty(self) -> str:
        """Why nothing tells images that are of none of the classes, a sentence; "" where something does."""
        unable = [member.path for member in self.members if member.novelty is None]
        return f"{unable[0]} cannot detect images of none of its classes." if unable else ""

    @property
    @abstractmethod
    def task(self) -> Task:
        """What was trained; where there are several nets, that of the first."""

    @property
    @abstractmethod
    def test_accuracy(self) -> float | None:
        """On its test images, as it was recorded; None where it was not measured on images that are new to all nets."""

    @property
    @abstractmethod
    def experiment(self) -> Experiment:
        """What was trained, but for the seed where there are several runs."""

    @abstractmethod
    def _exportable(self, data: Dataset | str | Path | None) -> Exportable:
        """What leaves with the model. Raises RunError for a run without a result."""

    @abstractmethod
    def _images(self, data: Dataset | str | Path | None) -> Mapping[str, Images]:
        """The images of the run, or of the first of them, prepared, by split; from where they were or from `data`."""

    @abstractmethod
    def _renew_report(self) -> None:
        """Write the report again, if there is one, after an export; a failure is a warning."""

    @abstractmethod
    def _evaluate_own(self, data: Dataset | str | Path | None, split: str) -> Measured:
        """Measure on a split of its own images, where they were or in `data`."""

    @property
    def preparation(self) -> Preparation:
        """How images become what all nets take; each has statistics of its own, which its engine applies."""
        return self.task.preparation

    @property
    def class_names(self) -> tuple[str, ...]:
        """By the number of the class."""
        return self.folders[0].class_names

    def evaluate(
        self,
        data: Any = None,
        split: str | None = None,
        *,
        unverified: bool = False,
        include_seen: bool = False,
    ) -> tuple[Evaluation, Predictions]:
        """Evaluate the trained model again: on a split of its own images, or on other images with the same classes.

        See `measure` for what it takes and raises; what that notes is warned of here.
        """
        measured = self.measure(data, split, unverified=unverified, include_seen=include_seen)
        for note in measured.notes:
            warnings.warn(note, stacklevel=2)
        return measured.evaluation, measured.predictions

    def measure(
        self,
        data: Any = None,
        split: str | None = None,
        *,
        unverified: bool = False,
        include_seen: bool = False,
    ) -> Measured:
        """Evaluate the trained model again: on a split of its own images, or on other images with the same classes.

        data          other images: a Dataset or whatever `load` takes. The run's own where this is its own source, or
                      holds its images in another place: these are split as they were for training
        split         "test" unless another is asked for; of other images that come in no splits, all are taken
        include_seen  measure other images also where the run, or one that its weights come from, was trained on them;
                      they are left out otherwise
        Raises DataError where the classes differ or no image is new, RunError where the run's own images are no longer
        the same.
        """
        if data is None:
            return self._evaluate_own(self._given, split or "test")
        named = isinstance(data, str | Path | Dataset) and experiments.is_own(self.folders[0], data)
        if named and not isinstance(data, Dataset):
            with suppress(RunError):  # they are no longer what they were: other images, some of which it may have seen
                return self._evaluate_own(self._given, split or "test")
        if not isinstance(data, Dataset):
            data = self._load(data, unverified)
        if set(self.folders[0].data.splits["test"].ids) <= {i for part in data.splits.values() for i in part.ids}:
            with suppress(RunError):
                note = f"{data.name} holds the run's own images: its {split or 'test'} images are measured."
                measured = self._evaluate_own(data, split or "test")
                return measured if named else replace(measured, notes=(note, *measured.notes))
        return self._evaluate_others(data, split, include_seen)

    def _load(self, source: Any, unverified: bool) -> Dataset:
        """Other images; they may lie in folders below those of their classes, where the run's own tell groups so."""
        size, group = self.preparation.size, self.folders[0].experiment.data.group
        try:
            return load_images(source, size=size, unverified=unverified)
        except DeeperFoldersError:
            if not needs_folders(group):
                raise
            return load_images(source, size=size, unverified=unverified, group=group)

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
        size = batch_size(self.preparation)
        batches = (paths[start : start + size] for start in range(0, len(paths), size))
        return np.concatenate([self._probabilities(np.stack(self._read(batch))) for batch in batches])

    def strangeness(self, images: Array | Images) -> Array:
        """How strange images are to the net, float32 (N,): above 1, an image is of none of its classes.

        images  pixels uint8 (N, H, W, C), or Images

        That is the distance of the net's last hidden features from the nearest class, by the distance that so many of
        the validation images stay within as the false-alarm rate asks for; of several nets, the mean.

        Raises RunError where a net cannot tell, and says why.
        """
        pixels = images.pixels if isinstance(images, Images) else images
        found = [
            members.answers(self.members, self.preparation.apply(unlabelled(pixels[at : at + BATCH]))).strangeness
            for at in range(0, len(pixels), BATCH)
        ]
        told = [one for one in found if one is not None]
        if len(told) < len(found):
            raise RunError(f"{self.path}: {self.why_no_novelty}")
        return np.concatenate(told) if told else np.zeros(0, np.float32)

    def predict_files(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        top: int | None = 3,
        standard_input: BinaryIO | None = None,
    ) -> Iterator[Prediction]:
        """What the model says of each of many image files, in their order; in memory are only a few at a time.

            for prediction in run.predict_files(["new/", "more/*.png", "list.csv"]):
                print(prediction.path, prediction.class_name, prediction.probability, prediction.reason)

        paths           image files; folders, with all that are below; patterns; .csv or .tsv with a column of paths
        top             so many classes of each image; all of them with None
        standard_input  a list of paths, for which "-" stands

        An image that cannot be read is told with the reason. Raises DataError, not before the first prediction is
        asked for, where a folder or a pattern has no image, or a table cannot be read.
        """
        return self._file_classifier.predict(_listed(paths, standard_input), _at_least_one(top))

    def measure_files(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        include_seen: bool = False,
        top: int | None = 3,
        standard_input: BinaryIO | None = None,
        each: Callable[[Prediction], object] = lambda prediction: None,
    ) -> Measured:
        """Measure the trained model on image files whose classes are the names of the folders that they lie in.

        paths         as `predict_files` takes them; a table has a column of labels, which count instead
        include_seen  see `measure`
        each          is given the prediction of every file, in their order, with its true class

        Raises DataError where no image can be measured, and what `predict_files` raises.
        """
        return self._file_classifier.measure(
            _listed(paths, standard_input, labelled=True),
            self._class_numbers(),
            include_seen=include_seen,
            top=_at_least_one(top),
            each=each,
        )

    def export(
        self,
        to: str,
        out: str | Path | None = None,
        *,
        data: Dataset | str | Path | None = None,
        watch: Step | None = None,
        **options: Any,
    ) -> ExportRecord:
        """Write the model in another format, verified on all test images of the run; return what was found.

        Of several runs, that is the mean of their nets' probabilities in one file, verified on the test images of the
        first.

        to     "onnx", "html", "c" or "torch"; `options` are those of the format, such as int8=True of "c"
        out    the file, or the folder for formats of several files; in the folder `export` of the run otherwise
        data   the run's own images, where they were given as arrays, or where they are now
        watch  called with (what is done, how much of it, of how much or None)
        Raises ExperimentError for an unknown format or option, ExportError where the export does not agree with the
        model, ModelError for a layer that no format can hold, RunError for a run without a result.
        """
        from firstlight.export import Expected, export, open_format  # some draw, which takes altair

        form, step = open_format(to, **options), watch or unwatched
        step("reading the images", 0, None)
        model = self._exportable(data)
        try:
            test = self._images(data)["test"]
        except (DataError, RunError) as error:
            expected: Expected | str = f"the test images of the run are not available. {error}"
        else:
            expected = Expected(test, *self._stepwise(test.pixels, step, model.tells_strangeness))
        record = export(self.folder, model, form, None if out is None else Path(out), expected, step)
        step("the report", 0, None)
        self._renew_report()
        return record

    @made_once
    def _seen(self) -> experiments.SeenImages:
        """What any of the runs was trained on."""
        return experiments.SeenImages(*self.folders)

    @made_once
    def _file_classifier(self) -> FileClassifier:
        return FileClassifier(self.members, self.class_names, self._seen)

    def _read(self, paths: Sequence[str | Path]) -> list[Array]:
        """Image files, prepared. Raises the error of the first one that cannot be read."""
        images = []
        for image in outside_images(paths, self.preparation):
            if isinstance(image, UnreadableImageError):
                raise image
            images.append(image)
        return images

    def _class_numbers(self) -> dict[str, int | None]:
        """The number of each class by its name, also by the names before classes were put together; None: left out."""
        before = self.folders[0].data.before
        numbers: dict[str, int | None] = dict.fromkeys(before.class_names if before else ())
        for number, grouped in enumerate(self.experiment.data.regroup.values()):
            numbers |= dict.fromkeys(grouped, number)
        numbers |= {name: number for number, name in enumerate(self.class_names)}
        return {one_form(name): number for name, number in numbers.items()}

    def _probabilities(self, pixels: Array) -> Array:
        return members.probabilities(self.members, changed(pixels, self.preparation.apply_to_pixels))

    def _stepwise(self, pixels: Array, step: Step, strangeness: bool) -> tuple[Array, Array | None]:
        """The probabilities for prepared images, and how strange they are if asked; some hundreds at a time."""
        found, size = [], batch_size(self.preparation)
        for start in range(0, len(pixels), size):
            step(f"the model on {len(pixels):,} test images", start, len(pixels))
            found.append(members.answers(self.members, self.preparation.apply_to_pixels(pixels[start : start + size])))
        probabilities = np.concatenate([one.probabilities for one in found])
        told = [one.strangeness for one in found if one.strangeness is not None]
        return probabilities, np.concatenate(told) if strangeness and told else None

    def _evaluate_others(self, data: Dataset, split: str | None, include_seen: bool) -> Measured:
        splits = self._in_our_classes(data)
        images = splits["train"] if split is None and set(splits) == {"train"} else _pick(data.name, splits, split)
        seen = self._seen.of(images, data.files, data.origin)
        prepared = self.preparation.apply(images)
        left_out = [f"{name} ({reason})" for name, reason in data.set_aside.items()]
        unread = (f"Not read: {len(left_out):,}, such as {left_out[0]}.",) if left_out else ()

        def measure(which: Array) -> tuple[Evaluation, Predictions]:
            return members.measure(self.members, prepared if which.all() else prepared.take(which))

        return without_seen(seen, include_seen, measure, unread)

    def _in_our_classes(self, data: Dataset) -> Mapping[str, Images]:
        """Images whose classes are those of the run, or some of them, in the run's order. Raises DataError."""
        if data.class_names == self.class_names:
            return data.splits
        places = {name: i for i, name in enumerate(self.class_names)}
        if set(data.class_names) <= set(places):
            into = np.array([places[name] for name in data.class_names])
            return {
                name: replace(images, labels=into[images.labels], class_names=self.class_names)
                for name, images in data.splits.items()
            }
        splits = self.experiment.data.relabelled(data.splits)
        if splits["train"].class_names != self.class_names:
            raise DataError(
                f"The run's classes are {', '.join(self.class_names)}; those of {data.name} are "
                f"{', '.join(data.class_names)}. They must be the same: name them so in folders or labels, or give an "
                ".npz whose labels are numbers an array class_names."
            )
        return splits


def _listed(
    paths: str | Path | Iterable[str | Path], standard_input: BinaryIO | None, *, labelled: bool = False
) -> Iterator[ListedFile]:
    named = [paths] if isinstance(paths, str | Path) else paths
    return listed_files(named, labelled=labelled, standard_input=standard_input)


def _at_least_one(top: int | None) -> int | None:
    if top is not None and top < 1:
        raise ExperimentError(f"top is how many classes of an image, from 1, or None for all; received {top!r}.")
    return top


def _pick(name: str, splits: Mapping[str, Images], split: str | None) -> Images:
    wanted = split or "test"
    if wanted not in splits:
        raise DataError(f"{name} has no split called {wanted!r}. {nearest(wanted, splits)}")
    return splits[wanted]
