"""`Classifier`: firstlight's nets as a scikit-learn estimator, for its searches, cross-validation and pipelines."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import numpy as np
from rich.console import Console
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from firstlight import data, experiments, losses, optimizers, schedules
from firstlight.cautions import NOTE, Caution
from firstlight.console import TrainingProgress
from firstlight.data.decoding import resize
from firstlight.data.formats import numbered
from firstlight.errors import ExperimentError, InputError, ModelError, ShapeError
from firstlight.experiments import USUAL, Experiment
from firstlight.experiments.paths import IN_MEMORY
from firstlight.layers import Layer
from firstlight.models import Model
from firstlight.prepare import Levels
from firstlight.training import Callbacks, OnEpoch, OnStep, TrainingResult
from firstlight.types import Array, Dataset, Images, Shape

NAME = "X"  # of the images, as messages call them
# What of [data] is of use where the images are there already.
_OF_DATA = ("data.size", "data.validation", "data.limit")


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier of small images with the interface of scikit-learn.

        from sklearn.model_selection import cross_val_score
        cross_val_score(fl.Classifier("lenet5", epochs=5), images, labels)

    model           the name of an architecture, a Model, or a list of layers; `firstlight summary` lists the names
    lr              the learning rate; the optimizer's own default where none is given
    validation      the fraction of the images given to `fit` that is held back to choose the best epoch by; none of
                    them unless `early_stopping` needs some, then a tenth. Without, the last epoch counts
    early_stopping  stop after so many epochs without a better one
    image_shape     (H, W) or (H, W, C) of the images that the rows of a 2-D X are; each row is one line of grey pixels
                    where none is given
    engine          "numpy" or "torch"
    settings        any other key of the experiment file, such as {"prepare.standardise": "channel"}
    random_state    the seed of everything drawn: a number, for the same bits each time (on as many threads); a
                    RandomState or None, which give another seed to each fit
    verbose         whether progress is shown

    X is (N, H, W), (N, H, W, 1 or 3) or (N, pixels). uint8 is what firstlight takes everywhere: 0 is black, 255 white.
    Of other numbers, the largest in `fit` is white, so that images in [0, 1] or 0..16 need no scaling; but where some
    are negative, as after a StandardScaler, the model sees them as given. Either way one range for all pixels is held
    in 256 levels: a number is exact to a 510th of the range, and what lies beyond it in `predict` becomes its end.
    Images on quite another scale than in `fit`, as x / 255 after bytes, are warned of.
    y may hold classes of any one sortable kind: strings, integers, booleans.

    classes_        (K,), sorted; the columns of `predict_proba`
    image_shape_    (H, W, C)
    levels_         the range of numbers, see `prepare.Levels`
    model_          the Model
    weights_        its arrays by name
    history_        a column of numbers for each of loss, accuracy, val_loss, …, one row per epoch
    n_iter_         the epochs that were run
    n_features_in_  numbers in an image
    seed_           the seed that was used

    `fit` trains in memory and from scratch, and writes nothing; `fl.fit` writes a run folder. Weights of images
    (sample_weight) are not supported.

    Threads may share it, and take turns in the model. While it is fitted again, `predict` answers by what was learnt
    before. A process forked from one that has used a model computes on one core; see `Run`.
    """

    def __init__(
        self,
        model: str | Model | Sequence[Layer | Mapping[str, Any]] = USUAL.model.name,
        *,
        epochs: int = USUAL.training.epochs,
        batch_size: int = USUAL.training.batch_size,
        optimizer: str | optimizers.Optimizer = USUAL.optimizer.name,
        lr: float | None = None,
        schedule: str | schedules.Schedule = USUAL.schedule.name,
        loss: str | losses.Loss = USUAL.loss.name,
        validation: float | None = None,
        early_stopping: int | None = None,
        image_shape: Sequence[int] | None = None,
        engine: str = USUAL.engine,
        settings: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 0,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.schedule = schedule
        self.loss = loss
        self.validation = validation
        self.early_stopping = early_stopping
        self.image_shape = image_shape
        self.engine = engine
        self.settings = settings
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_vector")

    def fit(self, X: Any, y: Any, *, on_epoch: OnEpoch | None = None, on_step: OnStep | None = None) -> Self:
        """Train on images and their labels (N,).

        on_epoch, on_step  functions that look on, as those of `fl.fit`; after an error in one of them there is nothing
                           to predict with

        Raises InputError (a ValueError) where X and y do not fit, another FirstlightError where the model or a setting
        does not, and TrainingError where the loss is not finite from the start; where that comes later, it warns.
        """
        learner, callbacks = self._copied(), Callbacks(on_epoch, on_step)
        try:
            learner._fit(X, y, callbacks)
        except BaseException:
            self.__dict__.pop("_vector", None)  # a fit that fails leaves nothing to predict with
            raise
        if callbacks.failure is not None:
            self.__dict__.pop("_vector", None)
            raise callbacks.failure
        self.__dict__ = learner.__dict__  # at once: another thread may predict
        return self

    def _copied(self) -> Self:
        """All that this one knows now, whatever becomes of it in another thread."""
        copied = object.__new__(type(self))
        copied.__dict__ = self.__dict__.copy()
        return copied

    def _fit(self, X: Any, y: Any, callbacks: Callbacks) -> None:
        self.__dict__.pop("_vector", None)
        X, y = validate_data(self, X, y, allow_nd=True)
        check_classification_targets(y)
        images = self._arranged(X)
        self.image_shape_: Shape = images.shape[1:]
        self.n_features_in_ = math.prod(self.image_shape_)
        self.classes_, labels = np.unique(y, return_inverse=True)
        names = tuple(map(str, self.classes_))
        if len(names) < 2:
            raise InputError(f"y has only one class, {names[0]}; a classifier needs at least 2 classes.")
        self.levels_ = Levels.fit(images)
        experiment = self._described()
        pixels = self.levels_.apply(images)
        if experiment.data.size is not None:
            pixels = resize(pixels, experiment.data.size)
        dataset = Dataset(NAME, {"train": Images(pixels, labels, numbered("train", len(pixels)), names)})
        setup = self._set_up(experiment, dataset, table=X.ndim == 2 and self.image_shape is None)
        outcome = self._learn(setup, callbacks)
        if callbacks.failure is None:
            self._keep(setup, outcome)

    def predict_proba(self, X: Any) -> Array:
        """The probabilities of the classes, float32 (N, K), in the order of `classes_`."""
        return self._copied()._probabilities(X)

    def predict(self, X: Any) -> Array:
        """The most probable class of each image, (N,), of the kind that y had."""
        copied = self._copied()
        probabilities = copied.predict_proba(X)
        return copied.classes_[probabilities.argmax(axis=1)]

    def _probabilities(self, X: Any) -> Array:
        check_is_fitted(self)
        checked = check_array(X, allow_nd=True, input_name="X", estimator=self)
        if checked.ndim == 2:
            validate_data(self, X, reset=False, skip_check_array=True)  # the number and the names of columns
        images = self._arranged(checked)
        if images.shape[1:] != self.image_shape_:
            raise InputError(
                f"X must hold images of {_times(self.image_shape_)}, as in fit; "
                f"received {_times(images.shape[1:])}, from an array of shape {checked.shape}."
            )
        if len(images) and (doubt := self.levels_.doubt(images)):
            warnings.warn(
                Caution.OTHER_SCALE.text(
                    f"X seems to be on another scale than in fit: {doubt}. Scale the images as for fit."
                ),
                UserWarning,
                stacklevel=3,
            )
        pixels = self.levels_.apply(images)
        task = self._task
        # Whatever reduced the precision in training, a model is used in full.
        precision = "float64" if self._experiment.precision == "float64" else "float32"
        engine = self._experiment.model_copy(update={"precision": precision}).open_engine()
        session = engine.session(task, vector=self._vector)
        return task.loss.probabilities(session.outputs(task.preparation.apply_to_pixels(pixels)).T)

    @property
    def model_(self) -> Model:
        return self._task.model

    @property
    def weights_(self) -> dict[str, Array]:
        return self.model_.layout.named(self._vector)

    @property
    def seed_(self) -> int:
        return self._experiment.seed

    def _described(self) -> Experiment:
        """The experiment that the parameters describe. Raises ExperimentError for a bad one."""
        tables = experiments.tables(
            {"source": IN_MEMORY + NAME},
            self.model,
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            lr=self.lr,
            schedule=self.schedule,
            loss=self.loss,
            seed=_seed(self.random_state),
        )
        validation = USUAL.data.validation if self.early_stopping is not None else 0.0
        experiments.put(tables, "data.validation", validation if self.validation is None else self.validation)
        experiments.put(tables, "training.early_stopping", self.early_stopping)
        experiments.put(tables, "engine", self.engine)
        for key, value in experiments.settings_given(self.settings).items():
            if key.split(".")[0] == "data" and key not in _OF_DATA:
                raise ExperimentError(
                    f"settings: {key} does not apply here, where the images are X and their classes y. Keys of data "
                    f"that do: {', '.join(_OF_DATA)}."
                )
            experiments.put(tables, key, value)
        return Experiment.of(_plain(tables), type(self).__name__)

    def _set_up(self, experiment: Experiment, dataset: Dataset, *, table: bool) -> experiments.Setup:
        """Everything ready to train; no images are kept for a test."""
        section = experiment.data
        splits = data.split(dataset, validation=section.validation, test=0.0, seed=experiment.seed, limit=section.limit)
        try:
            setup = experiments.set_up(experiment, dataset, splits, look=False)
            if isinstance(self.model, Model):
                experiments.must_fit(self.model, setup.train)
        except ModelError as error:
            if table:
                raise ModelError(f"{error}\nX is 2-D; {_shape_of_rows(self.n_features_in_)}") from None
            if isinstance(error, ShapeError):
                raise ModelError(f'{error} Here: settings={{"data.size": 28}}.') from None
            raise
        return replace(setup, task=replace(setup.task, preparation=self.levels_.as_given(setup.task.preparation)))

    def _learn(self, setup: experiments.Setup, callbacks: Callbacks) -> TrainingResult:
        """Train, and say what went wrong on the way."""
        with TrainingProgress(Console(quiet=not self.verbose)) as watcher:
            for warning in setup.warnings():
                watcher.note(f"{NOTE}{warning}")
            outcome = experiments.learn(setup, watcher, callbacks)
        if outcome.status == "interrupted" and callbacks.failure is None:
            raise KeyboardInterrupt  # a search would continue with what a part of the training gave
        if outcome.status == "diverged":
            warnings.warn(
                Caution.DIVERGED.text(
                    f"Training diverged; the weights of epoch {outcome.weights} are kept. {outcome.because}"
                ),
                ConvergenceWarning,
                stacklevel=4,
            )
        return outcome

    def _keep(self, setup: experiments.Setup, outcome: TrainingResult) -> None:
        """What `predict` needs, in arrays and plain values: no session, so that it can be pickled and shared."""
        self._experiment, self._task, self._vector = setup.experiment, setup.task, outcome.vector
        self.n_iter_ = len(outcome.history)
        columns = outcome.history[0] if outcome.history else ()
        self.history_ = {name: np.array([row[name] for row in outcome.history]) for name in columns}

    def _arranged(self, X: Array) -> Array:
        """X as images (N, H, W, C). Raises InputError."""
        if self.image_shape is not None:
            shape = tuple(map(int, self.image_shape))
            if len(shape) not in (2, 3) or min(shape) < 1:
                raise InputError(f"image_shape is (H, W) or (H, W, C); received {self.image_shape!r}.")
            if X.ndim == 2 and X.shape[1] != math.prod(shape):
                raise InputError(f"X has {X.shape[1]} columns; images of {_times(shape)} need {math.prod(shape)}.")
            images = X.reshape(-1, *shape) if X.ndim == 2 else X
        else:
            images = X[:, np.newaxis] if X.ndim == 2 else X
        if images.ndim == 3:
            images = images[..., np.newaxis]
        if images.ndim != 4 or images.shape[3] not in (1, 3):
            channels = " The channels come last." if images.ndim == 4 and images.shape[1] in (1, 3) else ""
            raise InputError(
                f"X must be images (N, H, W) or (N, H, W, 1 or 3), or rows (N, pixels); received {X.shape}.{channels}"
            )
        if self.image_shape is not None and images.shape[1:] != (*shape, 1)[:3]:
            raise InputError(f"image_shape is {_times(shape)}; X holds images of {_times(images.shape[1:])}.")
        return images


def _seed(random_state: Any) -> int:
    """A number is the seed itself; a generator, or NumPy's own where None is given, draws one."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _plain(value: Any) -> Any:
    """The same with Python's numbers for NumPy's, which searches draw."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple | np.ndarray) else value


def _shape_of_rows(pixels: int) -> str:
    """A sentence that says how rows of so many numbers are taken, and what to do where they are images."""
    sentence = f"each row was taken as a line of {pixels} grey pixels. If it is an image, give its shape"
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if side > 1 and side * side * channels == pixels:
            return f"{sentence}: image_shape={(side, side, channels)[: 2 if channels == 1 else 3]}."
    return f"{sentence}, with image_shape=(H, W)."


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
