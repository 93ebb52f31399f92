"""A run that is kept, with its model ready to use: measured again, asked of new images, looked into."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from firstlight import experiments, members, report, weights
from firstlight.cautions import Caution
from firstlight.engines import Session, Task
from firstlight.errors import (
    DataError,
    ExperimentError,
    ReportError,
    ReportWarning,
    RunError,
    nearest,
)
from firstlight.experiments import Experiment, transfer
from firstlight.experiments.novelty import NoveltyDetector, feature_session, full_precision
from firstlight.explain import (
    ExplainedRun,
    ImageRequest,
    Net,
    Progress,
    attribute,
    class_number,
    compute_feature_maps,
    extract_features,
    maximizing_image,
)
from firstlight.inference import Measured
from firstlight.kernels.lock import ForkedLock
from firstlight.members import Member
from firstlight.models import Model
from firstlight.notebook_display import ReportPath, Shown
from firstlight.prepare import Preparation, class_weights, outside_image
from firstlight.progress import unwatched
from firstlight.records.explanation import Attribution, Embedding, Explanation, FeatureMaps, MaximizingImage, Mistakes
from firstlight.records.novelty import EARLIER, NoveltyRecord
from firstlight.records.novelty import read as read_novelty
from firstlight.records.plugin import require_plugins
from firstlight.records.run_folder import RunFolder
from firstlight.trained_classifier import TrainedClassifier, made_once
from firstlight.training_step import Step
from firstlight.types import Array, Dataset, Images, Json, Predictions, joined, unlabelled

if TYPE_CHECKING:
    from firstlight.export import Exportable


class Run(TrainedClassifier, Shown):
    """A run: its records on disk, and its model ready to use.

    Threads may share it, see `TrainedClassifier`. A copy, or what was pickled, opens the model for itself when it is
    first used. A process that is forked from one that has used a model computes on one core, with the same answers; one
    that is started by spawn, as joblib's workers are, on all.
    """

    folder: RunFolder

    def __init__(
        self,
        path: str | Path,
        *,
        engine: str | None = None,
        device: str | None = None,
        data: Dataset | str | Path | None = None,
        false_alarm_rate: float | None = None,
    ) -> None:
        """The run at `path`; its model is used on the engine and device that it was trained on, or on those given.

        data  its own images, where they were given as arrays; or where they are now, if they were moved
        false_alarm_rate  the share of images of its classes, between 0 and 1, that may be said to be of none of them;
                          that of its experiment file unless given

        Raises ExperimentError for a rate that is none.
        """
        self.folder = RunFolder.open(path)
        self._rate = false_alarm_rate if false_alarm_rate is None else experiments.false_alarm_rate(false_alarm_rate)
        self._given = data
        self._on = {key: value for key, value in (("engine", engine), ("device", device)) if value is not None}
        self._making = ForkedLock()

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": RunFolder(self.path), "_given": self._given, "_on": self._on, "_rate": self._rate}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._making = ForkedLock()

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str | None:
        return self.folder._repr_html_()

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def result(self) -> Json:
        """The numbers of result.json, such as result["test"]["accuracy"]."""
        return self.folder.result_json

    @property
    def history(self) -> dict[str, Array]:
        """A column of numbers for each of loss, accuracy, val_loss, …, one row per epoch."""
        return self.folder.history

    @property
    def accuracy(self) -> float:
        """The accuracy on the test split, a fraction."""
        return self.folder.result.test.accuracy

    @property
    def test_accuracy(self) -> float | None:
        return self.accuracy if self.folder.finished else None

    @property
    def predictions(self) -> dict[str, Predictions]:
        """Ids, labels and probabilities of the "validation" and "test" splits."""
        return self.folder.predictions

    @property
    def folders(self) -> tuple[RunFolder, ...]:
        return (self.folder,)

    @property
    def images(self) -> Mapping[str, Images]:
        """Its own images by split, prepared. Raises RunError where they are no longer the same."""
        return self._own

    @made_once
    def experiment(self) -> Experiment:
        return Experiment.of_run(self.folder)

    @made_once
    def task(self) -> Task:
        """Model, loss and preparation, as they were trained."""
        require_plugins(self.folder)
        preparation = Preparation.from_json(self.folder.model.preparation.settings)
        model = Model.from_json(self.folder.model.architecture)
        return Task(model, self.experiment.build_loss(), preparation, self.experiment.build_optimizer())

    @made_once
    def session(self) -> Session:
        """The trained model on its engine."""
        vector = weights.of_run(self.folder, self.task.model.layout)
        return full_precision(self.experiment, **self._on).session(self.task, vector=vector)

    @made_once
    def novelty(self) -> NoveltyDetector | None:
        """What tells images that are of none of the run's classes; None where the run cannot, see `why_no_novelty`.

        Raises RunError where a false-alarm rate was asked for at which nothing can be told.
        """
        record, rate = self._novelty
        threshold = None if record is None else record.threshold_at(rate)
        if record is None or record.distances is None or threshold is None:
            if self._rate is not None:
                raise RunError(f"{self.path}: {self.why_no_novelty}")
            return None
        vector = weights.of_run(self.folder, self.task.model.layout)
        session = feature_session(self.task, self.experiment, vector, **self._on)
        return NoveltyDetector(session, record.distances.classes, threshold)

    @property
    def why_no_novelty(self) -> str:
        """Why nothing tells images that are of none of the classes, a sentence; "" where something does."""
        record, rate = self._novelty
        return EARLIER if record is None else record.why_none(rate)

    @made_once
    def _novelty(self) -> tuple[NoveltyRecord | None, float]:
        """What the run recorded, and the rate of false alarms."""
        record = read_novelty(self.folder)
        usual = self.experiment.novelty.false_alarm_rate if record is None else record.rate
        return record, usual if self._rate is None else self._rate

    @property
    def members(self) -> tuple[Member, ...]:
        return (Member(self.path, self.task, self.session, self.novelty, self.experiment.training.measured),)

    def attribution(
        self, image: str | Path | Array, target: str | int | None = None, *, layer: str | None = None
    ) -> Attribution:
        """Where the net looked in one image: saliency, Grad-CAM and occlusion, with its probabilities.

        image   the id of one of the run's own images, an image file, or pixels uint8 (H, W, 1 or 3)
        target  the class that is asked for, by name or number; the predicted one otherwise
        layer   what Grad-CAM is taken from; the last layer with maps otherwise
        """
        request = self._request(image, target)
        targets = None if request.target is None else np.array([request.target])
        [found] = attribute(self.net, request.image, request.split, targets, layer or "")
        return replace(found, class_names=self.class_names)

    def step(
        self,
        images: Any = None,
        labels: Any = None,
        *,
        train: bool = False,
        trained: bool = True,
        lr: float | None = None,
        seed: int | None = None,
    ) -> Step:
        """A step of the run's training on an image or a few, number by number, and the steps after it.

        images   ids of the run's own images, one or a list; an image file; pixels uint8; `Images`. The first test image
                 where none is given
        labels   their classes, by name or number; of the run's own images they are known, and of another one it is the
                 class that the net takes it for unless given
        train    whether the steps that follow are on the run's training images, batch by batch, and not on these
        trained  whether it begins with the trained weights, or as the run did
        lr       the learning rate; the run's own, without its schedule, otherwise
        seed     of the initial weights and of whatever is drawn; the run's own otherwise
        """
        from firstlight.training_step.opening import course

        chosen = self._step_images(images, labels)
        asked, task = self.experiment, self.task
        own = self.images["train"] if train or isinstance(asked.loss.class_weights, str) else chosen
        task = replace(
            task,
            **asked.penalty.model_dump(),
            seed=asked.seed if seed is None else seed,
            lr_factors=asked.optimizer.lr_factors,
            running_stats=transfer.running_stats(task.model, asked),
            class_weights=class_weights(asked.loss.class_weights, own),
            sampling=asked.training.sampling,
            steps_per_epoch=asked.training.steps_per_epoch,
            augmentation=asked.build_augmentation(),
        )
        return course(
            task,
            chosen,
            name=f"{self.folder.name}",
            train=own if train else None,
            lr=lr,
            batch_size=asked.training.batch_size,
            vector=weights.of_run(self.folder, task.model.layout) if trained else None,
        ).start

    def feature_maps(self, image: str | Path | Array, most: int | None = 64) -> FeatureMaps:
        """What every layer gives for one image, in the order of the data; see `attribution` for what an image may be.

        most  maps of a layer; all of them with None
        """
        if most is not None and most < 1:
            raise ExperimentError(f"most is how many maps of a layer, from 1, or None for all; received {most!r}.")
        return FeatureMaps(compute_feature_maps(self.net, self._request(image).image.pixels[0], most))

    def explain(
        self,
        *,
        image: str | Path | Array | None = None,
        target: str | int | None = None,
        layer: str | None = None,
        method: str = "t-sne",
        points: int = 1000,
        seed: int = 0,
        data: Dataset | str | Path | None = None,
        tensorboard: str | Path | None = None,
        watch: Progress | None = None,
    ) -> Explanation:
        """Examine the run, write explanation.npz into its folder, renew the report, and return what was found.

        image, target  looked into beside the others; the surest right answer otherwise. See `attribution`
        layer          whose values say which images are alike; the last hidden one otherwise
        method         "t-sne", "umap" or "pca" (which is made in any case)
        points         training images, and test images, on a map
        data           the run's own images, where they were given as arrays, or where they are now
        tensorboard    a folder for TensorBoard: the run's scalars and histograms, and the same vectors
        watch          called with (what is done, how much of it, of how much)
        Raises RunError for a run without a result or predictions, or whose images are no longer the same; ModelError
        for an unknown layer, DataError for an unknown image or class, ExperimentError for a missing extra.
        """
        from firstlight.explain.explanation import explain

        if tensorboard is not None:
            from firstlight.explain.tensorboard import require

            require()
        explained = self._explained(seed, data)
        request = None if image is None else self._request(image, target)
        if target is not None and request is None:
            raise DataError("A class can be given for one image only: give that image too.")
        found = explain(
            explained, request=request, layer=layer, method=method, points=points, progress=watch or unwatched
        )
        if tensorboard is not None:
            self._to_tensorboard(explained, found.embeddings[-1], Path(tensorboard))
        found.write(self.folder)
        try:
            self.report()
        except ReportError as error:  # what was found is kept, and returned
            warnings.warn(Caution.REPORT_NOT_RENEWED.text(str(error)), ReportWarning, stacklevel=2)
        return found

    def maximizing_image(
        self,
        layer: str,
        unit: int,
        *,
        seed: int = 0,
        data: Dataset | str | Path | None = None,
        watch: Progress | None = None,
    ) -> MaximizingImage:
        """The image that maximizes the activation of one unit, and what the run's test images get from it.

        layer, unit        such as "conv2" and 5: a channel or a feature, numbered from 0
        seed, data, watch  see `explain`
        Raises ModelError for a layer or a unit that the net does not have, and what `explain` raises of the run.
        """
        return maximizing_image(self._explained(seed, data), layer, unit, watch or unwatched)

    def mistakes(
        self,
        true: str | None = None,
        predicted: str | None = None,
        *,
        layer: str | None = None,
        count: int | None = None,
        seed: int = 0,
        data: Dataset | str | Path | None = None,
        watch: Progress | None = None,
    ) -> Mistakes:
        """The mistakes on test images, the surest first, each with the training images that lie nearest.

        true, predicted    the names of the true class and of the class that it was taken for; any unless given
        layer              in whose values they are near; the last hidden one otherwise
        count              at most so many; all otherwise
        seed, data, watch  see `explain`
        Raises DataError for an unknown class, ModelError for an unknown layer, and what `explain` raises of the run.
        """
        from firstlight.explain.neighbours import mistakes_with_neighbours

        run, watch = self._explained(seed, data), watch or unwatched
        found = Mistakes(
            mistakes_with_neighbours(run, true=true, predicted=predicted, layer=layer, count=count, progress=watch)
        )
        found.class_names, found.layer = self.class_names, layer or "the last hidden layer"
        return found

    def look(self, *arguments: Any, **options: Any) -> Attribution:
        """Deprecated: the older name of `attribution`."""
        warnings.warn(Caution.RENAMED.text("Run.look is now called Run.attribution."), DeprecationWarning, stacklevel=2)
        return self.attribution(*arguments, **options)

    def ideal(self, *arguments: Any, **options: Any) -> MaximizingImage:
        """Deprecated: the older name of `maximizing_image`."""
        warnings.warn(
            Caution.RENAMED.text("Run.ideal is now called Run.maximizing_image."), DeprecationWarning, stacklevel=2
        )
        return self.maximizing_image(*arguments, **options)

    def report(self, out: str | Path | None = None, *, pdf: bool | None = None) -> ReportPath:
        """Write the report again and return its path, which shows the report in a notebook.

        out  the file; report.html or report.pdf in the run's folder where none is given
        pdf  as a PDF (needs the extra `pdf`); where this is not said, only if the file's name ends so
        """
        return ReportPath.of(report.write(self.folder, None if out is None else Path(out), pdf=pdf), self.folder)

    def card(self, out: str | Path | None = None, *, licence: str = "") -> str:
        """A model card in Markdown, made from the record, with the metadata that model hubs read; see `report.card`.

        out      a file to write it to as well
        licence  of the model, as hubs call it, such as "apache-2.0"; said to be unknown otherwise
        """
        return report.card(self.folder, licence, None if out is None else Path(out))

    def _exportable(self, data: Dataset | str | Path | None) -> Exportable:
        from firstlight.export import exportable

        _ = self.result  # an unfinished run says so
        vector = weights.of_run(self.folder, self.task.model.layout)
        found = None if self.novelty is None else (self.novelty.scaled, self._novelty[1])
        return exportable(self.folder, self.task, vector, lambda: self._images(data)["train"], found)

    def _renew_report(self) -> None:
        try:
            self.report()
        except (ReportError, OSError) as error:  # the export is kept
            warnings.warn(
                Caution.REPORT_NOT_RENEWED.text(f"The report is unchanged: {error}"), ReportWarning, stacklevel=3
            )

    def _images(self, data: Dataset | str | Path | None) -> Mapping[str, Images]:
        return self._own if data is None else self._recalled(data)

    @made_once
    def net(self) -> Net:
        """The trained model, to look into."""
        return Net(self.session, self.task)

    @made_once
    def _own(self) -> Mapping[str, Images]:
        """The run's own images, prepared."""
        return self._recalled(self._given)

    def _explained(self, seed: int, data: Dataset | str | Path | None) -> ExplainedRun:
        """The run to look into, with its own images."""
        _ = self.result  # an unfinished run says so
        predictions = self.predictions
        own = self._images(data)
        self._own = own
        return ExplainedRun(self.net, own, predictions, seed)

    def _recalled(self, data: Dataset | str | Path | None) -> Mapping[str, Images]:
        _, splits = experiments.reload_splits(self.folder, data)
        prepared = {name: self.task.preparation.apply(images) for name, images in splits.items()}
        experiments.must_be_the_same(self.folder, prepared)
        return prepared

    def _request(self, image: str | Path | Array, target: str | int | None = None) -> ImageRequest:
        """One prepared image: of the run by its id, or of the user. Raises DataError where there is none."""
        wanted = class_number(target, self.class_names) if isinstance(target, str) else target
        if wanted is not None and not 0 <= wanted < len(self.class_names):
            raise DataError(f"The classes are 0 to {len(self.class_names) - 1}; received {wanted}.")
        if isinstance(image, np.ndarray):
            return ImageRequest(self._unlabelled(image, "given"), "", wanted)
        name = str(image)
        split = next((split for split, record in self.folder.data.splits.items() if name in record.ids), None)
        if split is not None:
            kept = self.folder.samples.get(split)
            images = kept if kept is not None and name in kept.ids else self._own[split]
            return ImageRequest(images.take(np.flatnonzero(images.ids == name)[:1]), split, wanted)
        if not Path(name).is_file():
            ids = [known for record in self.folder.data.splits.values() for known in record.ids]
            close = difflib.get_close_matches(name, ids, n=3, cutoff=0.5) or ids[-1:]
            raise DataError(
                f"{name} is neither an image file nor the id of an image of {self.path}, such as {', '.join(close)}."
            )
        return ImageRequest(self._unlabelled(outside_image(name, self.task.preparation), name), "", wanted)

    def _step_images(self, images: Any, labels: Any) -> Images:
        """The images that a step is shown on, with their labels."""
        from firstlight.training_step.opening import images_of

        if images is None:
            images = self.folder.predictions["test"].ids[:1].tolist()
        if isinstance(images, str | Path):
            images = [images]
        if isinstance(images, list | tuple) and images and all(isinstance(each, str | Path) for each in images):
            requests = [self._request(each) for each in images]
            found = joined([request.image for request in requests])
            if labels is None and not all(request.split for request in requests):
                predicted = self.session.outputs(found).T
                known = np.array([bool(request.split) for request in requests])
                labels = np.where(known, found.labels, self.task.loss.predicted(predicted)).tolist()
            return images_of(found, labels, self.class_names, self.task.model)
        if labels is None and isinstance(images, np.ndarray):
            prepared = self.task.preparation.apply(images_of(images, 0, self.class_names, self.task.model))
            labels = self.task.loss.predicted(self.session.outputs(prepared).T).tolist()
        return images_of(images, labels, self.class_names, self.task.model)

    def _unlabelled(self, pixels: Array, name: str) -> Images:
        """One image of the user's own, prepared."""
        if (
            pixels.dtype != np.uint8
            or pixels.ndim not in (2, 3)
            or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3))
        ):
            raise DataError(f"An image is uint8 pixels (H, W, 1 or 3); received {pixels.dtype} {pixels.shape}.")
        shaped = pixels.reshape(1, *pixels.shape[:2], -1)
        return self.task.preparation.apply(unlabelled(shaped, self.class_names, np.array([name])))

    def _to_tensorboard(self, explained: ExplainedRun, plane: Embedding, out: Path) -> None:
        """Write the run, and the vectors of the images on a map, for TensorBoard."""
        from firstlight.explain import tensorboard

        images = explained.images(plane.splits, plane.ids)
        vectors = extract_features(self.net, images, plane.layer, "vectors", lambda what, done, total: None).features
        shown = tensorboard.Vectors(
            plane.layer, vectors, plane.labels, plane.thumbnails, plane.ids, plane.predicted, plane.splits
        )
        tensorboard.write(self.folder, out, shown)

    def _evaluate_own(self, data: Dataset | str | Path | None, split: str) -> Measured:
        if split not in self.folder.data.splits:
            raise DataError(f"The run has no split called {split!r}. {nearest(split, self.folder.data.splits)}")
        return Measured(*members.measure(self.members, self.own_images(data, split)))

    def own_images(self, data: Dataset | str | Path | None, split: str) -> Images:
        """A split of the run's images, prepared. Raises RunError where they are no longer the same."""
        _, splits = experiments.reload_splits(self.folder, data)
        images = self.preparation.apply(splits[split])
        experiments.must_be_the_same(self.folder, {split: images})
        return images
