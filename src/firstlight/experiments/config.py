"""The experiment file: what a run is asked to do, checked before anything starts, every default written out.

seed = 0
[data]
source = "fashion-mnist"
[model]
name = "lenet5"
[training]
epochs = 10

Every table but [data] may be left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from firstlight import losses, models, optimizers, schedules
from firstlight.components import Registry, values_of
from firstlight.data import TEST, VALIDATION, one_form, regroup, subset
from firstlight.data import load as load_images
from firstlight.engines import Engine, Sampling, open_engine
from firstlight.errors import ExperimentError, brief, nearest
from firstlight.evaluation import METRICS
from firstlight.experiments.schema import with_choices
from firstlight.files import TOML_LIMIT, NotTomlError, check_values, read_text, toml_of
from firstlight.options import documented, read_size, wanted
from firstlight.prepare import Augmentation
from firstlight.prepare.augmentation import augment_schema
from firstlight.records.plugin import require_plugins
from firstlight.records.run_folder import EXPERIMENT, RunFolder
from firstlight.types import Dataset, Images

# The tables that choose a component by its name; their other keys are its options.
NAMED: dict[str, Registry[Any]] = {
    "model": models.ARCHITECTURES,
    "loss": losses.LOSSES,
    "optimizer": optimizers.OPTIMIZERS,
    "schedule": schedules.SCHEDULES,
}


def spelt(value: Any) -> Any:
    """A name as the registries spell it: "Adam" is adam, and "one_cycle" is one-cycle."""
    return value.strip().lower().replace("_", "-") if isinstance(value, str) else value


def _name_in(table: str) -> BeforeValidator:
    """The name that a table chooses, as it stands where there is such a component, else as the registries spell it."""
    return BeforeValidator(lambda value: value if value in [*NAMED[table]] else spelt(value))


def _class_name(value: Any) -> Any:
    """A label 3 is class "3"; names are in the form of Unicode that those of the images have."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(value)
    return one_form(value) if isinstance(value, str) else value


def _weights_of_classes(value: Any) -> Any:
    """Checked here, because a union's own errors name types instead of what may be given. A label 3 is class "3"."""
    if value == "balanced" or (
        isinstance(value, dict)
        and all(isinstance(w, int | float) and not isinstance(w, bool) and 0 < w < math.inf for w in value.values())
    ):
        return value if value == "balanced" else {_class_name(name): weight for name, weight in value.items()}
    raise ValueError('class_weights is "balanced", or a number above 0 for each class, as in { Shirt = 2.0 }')


def _metric(value: Any) -> Any:
    """The name of a metric, also as Python writes it: balanced_accuracy."""
    name = value if not isinstance(value, str) or value in METRICS else spelt(value)
    if not isinstance(name, str) or name not in METRICS:
        raise ValueError(f"must be the name of a metric{_perhaps(value, METRICS)}")
    return name


def _monitor(value: Any) -> Any:
    """val_accuracy, val_loss, or val_ and the name of a metric; the name alone means the same."""
    name = str(value).removeprefix("val_").removeprefix("val-")
    if spelt(name) == "loss":
        return "val_loss"
    if name in METRICS or spelt(name) in METRICS:
        return f"val_{_metric(name)}"
    known = ["val_loss", *(f"val_{metric}" for metric in METRICS)]
    raise ValueError(f"must be val_accuracy, val_loss, or val_ and the name of a metric{_perhaps(value, known)}")


def _perhaps(value: Any, names: Iterable[str]) -> str:
    """The nearest of names that there are, in brackets."""
    close = nearest(str(value), names).rstrip(".")
    return f" ({close[0].lower()}{close[1:]})" if close else ""


IMAGENET = "imagenet"
OF_A_SEARCH = ("tune", "space")  # the tables of a file that `firstlight tune` reads and `run` ignores
PROBLEMS = 20  # of a file that are named, one per line

Fraction = Annotated[float, Field(ge=0, lt=1)]
ClassName = Annotated[str, BeforeValidator(_class_name)]
Monitor = Annotated[str, BeforeValidator(_monitor)]
Side = Annotated[int, Field(ge=1, le=1024)]
Size = Annotated[tuple[Side, Side] | None, BeforeValidator(read_size)]


def _described(schema: dict[str, Any], section: type[BaseModel]) -> None:
    """Put what a section's docstring says of its keys into its JSON Schema."""
    for key, text in documented(section.__doc__).items():
        if key in schema.get("properties", {}):
            schema["properties"][key]["description"] = text


class Section(BaseModel):
    """A table of the experiment file; a key that it does not know is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=False, allow_inf_nan=False, json_schema_extra=_described
    )


class Options(Section):
    """A table whose other keys are the options of what it names; they are checked by what it names."""

    model_config = ConfigDict(extra="allow")

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


class Data(Section):
    """Where the images come from, and how they are split.

    source      the name of a dataset (openml:NUMBER for one of OpenML), or the path of a folder, a CSV, Parquet files,
                a saved Hugging Face dataset or an .npz
    size        (height, width) to resize to; one number for a square
    validation  the fraction of the training images kept for validation
    test        the fraction kept for the test, where the source has no test split of its own
    split_seed  the random seed of the splits and folds, if it is not that of the experiment
    group       groups of images that must stay in one split, such as those of a patient or a video: the name of a
                column of the CSV or of an array, "parent" for the folder that an image lies in (below that of its
                class), or a pattern over its file name (over its path, where the pattern has a /) with the group in
                parentheses
    label       the column of a table (a CSV, Parquet, OpenML) that holds the class, if its name does not show it
    folds       share all images out into so many folds, of which `fold` alone is the test split. The splits that the
                source brings are put together first, and `test` is not used. `firstlight run FILE --folds 5` trains one
                run per fold
    fold        the fold that is the test split, from 1 to `folds`
    pool        pool the splits that the source comes with, and split all images again
    classes     the classes to use, in that order; images of the others are left out
    regroup     new classes, each of the old classes that make it up; images of the others are left out
    limit       train on so many images only, for a quick trial
    near_copies  what to do with near copies (near-duplicates), images that show the same picture, turned, mirrored,
                resized, compressed, brightened or shifted: "warn" reports them, "group" keeps copies on one side of
                every split, "drop" leaves images out of training and validation of which a later split (of train,
                validation, test) has a copy
    corrections  a CSV of labels to correct and images to drop, by id; the user's own images and labels are not changed
    unverified  read files of a named set whose checksum is not the published one
    """

    source: str = Field(min_length=1)
    size: Size = None
    validation: Fraction = VALIDATION
    test: Annotated[float, Field(gt=0, lt=1)] = TEST
    split_seed: Annotated[int, Field(ge=0)] | None = None
    group: Annotated[str, Field(min_length=1)] | None = None
    label: Annotated[str, Field(min_length=1)] | None = None
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=1)] | None = None
    pool: bool = False
    classes: list[ClassName] = []
    regroup: dict[ClassName, list[ClassName]] = {}
    limit: Annotated[int, Field(ge=1)] | None = None
    near_copies: Literal["warn", "group", "drop"] = "warn"
    corrections: Annotated[str, Field(min_length=1)] | None = None
    unverified: bool = False

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Data:
        if self.classes and self.regroup:
            raise ValueError("give classes or regroup, not both: regroup leaves out the classes that it does not name")
        return self

    @model_validator(mode="after")
    def _fold_of_folds(self) -> Data:
        if self.folds is not None and self.fold is None:
            raise ValueError(
                f"folds = {self.folds} needs fold, which says which of them is the test split: give fold, from 1 to "
                f"{self.folds}; to train one run per fold, leave both out: firstlight run FILE --folds {self.folds}"
            )
        if self.fold is not None and self.folds is None:
            raise ValueError(f"fold = {self.fold} needs folds, the number of folds: give both")
        if self.fold is not None and self.folds is not None and self.fold > self.folds:
            raise ValueError(
                f"fold = {self.fold} is not one of the {self.folds} folds: give one from 1 to {self.folds}"
            )
        return self

    @property
    def used(self) -> list[str]:
        """The classes that `classes` or `regroup` names; none where all are used as they are."""
        return self.classes or [member for members in self.regroup.values() for member in members]

    def load(self, source: str | Path | None = None) -> Dataset:
        """The images, from `source` where they are now, with their groups. Raises DataError."""
        return load_images(
            self.source if source is None else source,
            size=self.size,
            unverified=self.unverified,
            group=self.group,
            label=self.label,
        )

    def relabelled(self, splits: Mapping[str, Images]) -> dict[str, Images]:
        """The images in the classes that are asked for. Raises DataError where that cannot be."""
        if self.classes:
            return subset(splits, self.classes)
        return regroup(splits, self.regroup) if self.regroup else dict(splits)


class Prepare(Section):
    """What is done to every image; statistics are taken from the training split alone.

    greyscale    convert colour images to greyscale
    scale        divide by 255, so that inputs lie in [0, 1]
    standardise  (x − mean) / std, of each "pixel" or "channel" over the training images, or of each "image" by itself;
                 "imagenet" takes ImageNet's statistics, and three channels, as its published weights need
    """

    greyscale: bool = False
    scale: bool = True
    standardise: Literal["none", "pixel", "channel", "image", "imagenet"] = "none"


def _described_augment(schema: dict[str, Any], section: type[BaseModel]) -> None:
    schema |= {"properties": augment_schema(), "additionalProperties": False}


class Augment(Options):
    """What happens to the images of training batches, and to no others: drawn afresh for each image in every epoch.

    Most kinds are a number, a range or, with its probability, a table: rotate = 15 is rotate = [-15, 15], and that is
    rotate = { range = [-15, 15], p = 1.0 }. Numbers in between are equally likely. Others have options of their own:
    mixup = 0.2 is mixup = { alpha = 0.2, p = 1.0 }.
    """

    model_config = ConfigDict(json_schema_extra=_described_augment)


class Model(Options):
    """A named architecture and its options, or a list of layers (with a name of one's own and no options).

    name    the architecture
    layers  instead of an architecture, each layer with its options: [{ type = "Flatten" }, { type = "Dense", … }]
    """

    name: str = "lenet5"
    layers: list[dict[str, Any]] | None = None

    @model_validator(mode="before")
    @classmethod
    def _layers_stand_alone(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("layers") is not None:
            if str(value.get("name", "custom")) in models.ARCHITECTURES:
                raise ValueError(f"give the name of an architecture ({value['name']}) or layers, not both")
            if options := set(value) - {"name", "layers"}:
                raise ValueError(f"a model given by layers has no options, such as {min(options)}")
            return {"name": "custom", **value}
        if isinstance(value, dict) and "name" in value and str(spelt(value["name"])) in models.ARCHITECTURES:
            return {**value, "name": spelt(value["name"])}
        return value


class Weights(Section):
    """Where the weights start, and which of them are trained. Patterns are names with * and ?, or those of layers.

    init_from  a run folder, a .safetensors file, or "imagenet" for those published for the architecture; else drawn
    fresh      what is not taken over from there but drawn: ["head"]
    freeze     what is not trained: ["*", "!head"] is all but the head; the last pattern that fits counts
    whiten     start the filters of the first convolution as a whitening of the training images' patches (Page 2018);
               they are trained on, unless `freeze` names them, as in ["conv1.W"]
    batchnorm  "train"; "frozen": what was taken over keeps its statistics; "sync": over the images of all processes
    """

    init_from: Annotated[str, Field(min_length=1)] | None = None
    fresh: list[str] = []
    freeze: list[str] = []
    whiten: bool = False
    batchnorm: Literal["train", "frozen", "sync"] = "train"

    @model_validator(mode="after")
    def _only_with_a_start(self) -> Weights:
        for key, given in (("fresh", self.fresh), ("batchnorm", self.batchnorm == "frozen")):
            if given and self.init_from is None:
                raise ValueError(f"{key} says what becomes of weights that are taken over: give weights.init_from")
        if self.whiten and self.init_from is not None:
            raise ValueError("whiten and init_from both say how the first convolution starts: leave one out")
        return self


class Loss(Options):
    """The loss and its options.

    name           the loss that training minimizes
    class_weights  what the loss of a training image is multiplied by, by its class: { Shirt = 2.0 }, the others by 1;
                   or "balanced": inversely proportional to the class frequencies. Validation and test loss are
                   not weighted
    """

    name: Annotated[str, _name_in("loss")] = "cross-entropy"
    class_weights: Annotated[Literal["balanced"] | dict[str, float], BeforeValidator(_weights_of_classes)] = {}

    @model_validator(mode="before")
    @classmethod
    def _has_another_name_elsewhere(cls, value: Any) -> Any:
        if isinstance(value, dict) and "class_weight" in value:
            raise ValueError("class_weight is spelled class_weights here")
        return value


class Optimizer(Options):
    """The optimizer, its learning rate (its own default where none is given) and its options.

    name        the optimizer
    lr          the learning rate; the optimizer's own default where none is given
    lag         α of the lagged update: 0 for none
    lookahead   after so many steps each, slow weights follow the optimizer's, which continue from there; 0 for none
    lookahead_share  the share of the way that they follow; 0.5 by default
    lr_factors  what the learning rate is multiplied by, by patterns of names: {head = 10}; the last that fits counts
    """

    name: Annotated[str, _name_in("optimizer")] = "adam"
    lr: Annotated[float, Field(gt=0)] | None = None
    lag: Annotated[float, Field(ge=0, le=1)] = 0.0
    lookahead: Annotated[int, Field(ge=0)] = 0
    lookahead_share: Annotated[float, Field(gt=0, le=1)] | None = None
    lr_factors: dict[str, Annotated[float, Field(gt=0)]] = {}


class Schedule(Options):
    """How the learning rate changes in the course of training.

    name  the schedule
    """

    name: Annotated[str, _name_in("schedule")] = "constant"


class Penalty(Section):
    """L1 and L2 penalties on the kernels of all layers, beside those of the layers themselves.

    l1  λ of λ Σ |w|
    l2  λ of λ Σ w²
    """

    l1: Annotated[float, Field(ge=0)] = 0.0
    l2: Annotated[float, Field(ge=0)] = 0.0


class Training(Section):
    """The course of training.

    epochs          passes over the training images; 0 evaluates the initial weights
    batch_size      images per step
    steps_per_epoch  an epoch ends after so many steps, and the next continues with the images that are left; else each
                    epoch takes all images once
    metrics         further metrics, measured on the validation images after each epoch, and on validation and test
                    images in the end
    monitor         the value by which the best weights are selected: val_accuracy, val_loss, or a metric, as in
                    "val_balanced-accuracy"
    early_stopping  stop after so many epochs without improvement (patience)
    restore_best    end with the best weights by `monitor`, not the last
    cost_every      report the mean loss of every so many steps, and save it in costs.csv
    sampling        "shuffled": each image once per epoch; "balanced": as many, with all classes equally often
    average         "ema": evaluate and keep an exponential moving average of the weights over the steps, and of batch
                    norm's statistics, instead of the last ones
    average_decay   what it keeps of itself in a step; less in the first ones
    test_flip       measure in the end, beside the plain accuracy, that of the mean of the probabilities for each image
                    and for its mirror image, left to right
    """

    epochs: Annotated[int, Field(ge=0)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 32
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = None
    metrics: tuple[Annotated[str, BeforeValidator(_metric)], ...] | None = None
    monitor: Monitor = "val_accuracy"
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    restore_best: bool = True
    cost_every: Annotated[int, Field(ge=1)] | None = None
    sampling: Sampling = "shuffled"
    average: Literal["none", "ema"] = "none"
    average_decay: Fraction = 0.999
    test_flip: bool = False

    @property
    def measured(self) -> tuple[str, ...]:
        """The further metrics that are measured: those of `metrics`, and the monitor where that is one."""
        named = (*(self.metrics or ()), *([] if self.monitor == "val_loss" else [self.monitor.removeprefix("val_")]))
        return tuple(name for name in dict.fromkeys(named) if name != "accuracy")  # which always is


class Novelty(Section):
    """Images that are of none of the classes.

    false_alarm_rate  the largest share of images of the classes that may be rejected as none of them; the threshold
                      is taken from the validation images. `firstlight predict --false-alarm-rate` sets another later
    """

    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] = 0.05


class Experiment(Section):
    """Everything that a run is asked to do.

    seed         fixes every random draw
    engine       "numpy", written by hand, or "torch", PyTorch
    kernels      engine numpy only: "compiled", or "reference" for the readable ones
    device       "auto", "cpu", or of the engine torch "cuda", "cuda:1", "mps"
    precision    "float32" or "float64"; "bfloat16" for products in half precision in training, of the engine numpy on
                 processors with AVX-512 BF16; of the engine torch also "float16", or "auto" for the fastest
    exact_noise  engine torch only: draw the same dropout masks as numpy
    plugins      files and modules with your own components, such as ["my_layers.py"]
    """

    seed: Annotated[int, Field(ge=0)] = 0
    engine: Literal["numpy", "torch"] = "numpy"
    kernels: Literal["compiled", "reference"] = "compiled"
    device: str = "auto"
    precision: Literal["auto", "float32", "float64", "bfloat16", "float16"] = "float32"
    exact_noise: bool = False
    plugins: list[Annotated[str, Field(min_length=1)]] = []
    data: Data
    prepare: Prepare = Prepare()
    augment: Augment = Augment()
    model: Model = Model()
    weights: Weights = Weights()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    penalty: Penalty = Penalty()
    training: Training = Training()
    novelty: Novelty = Novelty()

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """The JSON Schema of the file: of a table that names a component, with the options of each name."""
        return with_choices(super().model_json_schema(*args, **options), NAMED)

    @classmethod
    def of(cls, tables: Mapping[str, Any], origin: str = "experiment") -> Experiment:
        """The experiment that `tables` describe, resolved. Raises ExperimentError that names each bad key."""
        try:
            check_values(tables)
            experiment = cls.model_validate(dict(tables))
        except ValidationError as error:
            raise as_experiment_error(error, origin) from None
        except ValueError as error:
            raise ExperimentError(f"{origin}: {error}.", keys=[("", f"{error}.")], origin=origin) from None
        return experiment.resolved()

    @classmethod
    def of_run(cls, folder: RunFolder) -> Experiment:
        """The experiment of a run. Raises PluginError where a plugin that it needs is not loaded; see `of`."""
        require_plugins(folder)
        return cls.of(folder.experiment.tables, str(folder.path / EXPERIMENT))

    def resolved(self) -> Experiment:
        """The same experiment with the defaults of everything it names written out; unknown names are errors."""
        if self.loss.class_weights == self.training.sampling == "balanced":
            raise ExperimentError(
                "loss.class_weights and training.sampling are both balanced: rare classes would be compensated for "
                "twice. Choose one of them.",
                key="loss.class_weights",
            )
        loss = losses.loss(self.loss.name, **self.loss.options)
        optimizer = optimizers.optimizer(self.optimizer.name, **self._optimizer_options())
        schedule = schedules.schedule(self.schedule.name, **self.schedule.options)
        tables = self.model_dump()
        tables["loss"] = {"name": self.loss.name, **values_of(loss), "class_weights": self.loss.class_weights}
        own = {key: getattr(self.optimizer, key) for key in ("lag", "lookahead", "lookahead_share", "lr_factors")}
        tables["optimizer"] = {"name": self.optimizer.name, **values_of(optimizer), **own}
        tables["schedule"] = {"name": self.schedule.name, **values_of(schedule)}
        tables["augment"] = self.build_augmentation().table()
        if self.weights.init_from == IMAGENET and "standardise" not in self.prepare.model_fields_set:
            tables["prepare"]["standardise"] = IMAGENET
        if self.model.layers is None:
            tables["model"] = {"name": self.model.name, **models.complete(self.model.name, self.model.options)}
        return Experiment.model_validate(tables)

    def build_model(self, input_shape: Sequence[int], classes: int) -> models.Model:
        """The model for images of `input_shape` (H, W, C). Raises ModelError where it does not fit."""
        if self.model.layers is not None:
            return models.custom(self.model.layers, tuple(input_shape), classes, self.model.name)
        return models.build(self.model.name, tuple(input_shape), classes, self.model.options)

    def build_loss(self) -> losses.Loss:
        """The loss of the table, with its options."""
        return losses.loss(self.loss.name, **self.loss.options)

    def build_optimizer(self) -> optimizers.Optimizer:
        """The optimizer of the table, with its options."""
        inner = optimizers.optimizer(self.optimizer.name, **self._optimizer_options())
        if self.optimizer.lookahead:
            share = self.optimizer.lookahead_share
            inner = optimizers.Lookahead(inner, self.optimizer.lookahead, **({} if share is None else {"alpha": share}))
        return optimizers.Lagged(inner, self.optimizer.lag) if self.optimizer.lag else inner

    def build_average(self) -> optimizers.MovingAverage | None:
        """The average of the weights that is kept, if any."""
        return optimizers.MovingAverage(self.training.average_decay) if self.training.average == "ema" else None

    def build_augmentation(self) -> Augmentation:
        """The augmentation of the table, with its options."""
        return Augmentation.of(self.augment.options)

    def open_engine(self) -> Engine:
        """The engine that it asks for. Raises ExperimentError where that is not here."""
        return open_engine(
            self.engine,
            kernels=self.kernels,
            device=self.device,
            precision=self.precision,
            exact_noise=self.exact_noise,
        )

    def build_schedule(self) -> schedules.Schedule:
        """The schedule of the table, with its options."""
        return schedules.schedule(self.schedule.name, **self.schedule.options)

    def to_toml(self, *, brief: bool = False) -> str:
        """The experiment as a file that `firstlight run` takes; `brief`, with what differs from the defaults alone."""
        return tomli_w.dumps(self.unusual() if brief else self.tables())

    def tables(self) -> dict[str, Any]:
        """All its tables, without what is None."""
        found: dict[str, Any] = _without_none(self.model_dump())
        return found if self.plugins else {key: value for key, value in found.items() if key != "plugins"}

    def unusual(self) -> dict[str, Any]:
        """The tables that `of` makes the same experiment of: images, model, and what differs from the defaults.

        The defaults of options are those of what is named, such as the learning rate of this optimizer.
        """
        given = _without_none(self.resolved().model_dump())
        named = {section: {"name": given[section]["name"]} for section in ("loss", "optimizer", "schedule")}
        start = {key: value for key, value in given["weights"].items() if key == "init_from"}
        tables = {"data": {"source": self.data.source}, **named, "weights": start, "model": {"name": self.model.name}}
        if self.model.layers is not None:
            tables["model"] = {"layers": self.model.layers}
        usual = _without_none(Experiment.of(tables).model_dump())
        unusual = _differing(given, usual)
        for section in named:
            if given[section]["name"] != Experiment.model_fields[section].default.name:
                unusual[section] = {"name": given[section]["name"], **unusual.get(section, {})}
        unusual["weights"] = {**start, **unusual.get("weights", {})}
        unusual["data"] = {"source": self.data.source, **unusual.get("data", {})}
        unusual["model"] = {**tables["model"], **unusual.get("model", {})}
        return {key: unusual[key] for key in given if unusual.get(key, {}) != {}}

    def _optimizer_options(self) -> dict[str, Any]:
        lr = {} if self.optimizer.lr is None else {"lr": self.optimizer.lr}
        return {**self.optimizer.options, **lr}


USUAL = Experiment(data=Data(source="any"))  # the defaults, for what has the same ones in Python


def only_experiment(tables: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The experiment in the tables of a file that may be one of a search too.

    Raises ExperimentError, with the command, where they are those of a study.
    """
    must_be_no_study(tables, origin)
    return {key: value for key, value in tables.items() if key not in OF_A_SEARCH}


def must_be_no_study(tables: Mapping[str, Any], origin: str) -> None:
    """Raise ExperimentError, with the command, where these are the tables of a study."""
    if "data" not in tables and any(key in tables for key in ("run", "matrix", "defaults")):
        raise ExperimentError(f"{origin} is a study file: firstlight study {origin}")


def read(path: Path) -> dict[str, Any]:
    """The tables of an experiment file. Raises ExperimentError with line and column where it is not TOML."""
    return parse(text_of(path), str(path))


def text_of(path: Path) -> str:
    """The text of an experiment file, whole. Raises ExperimentError where there is none to read."""
    try:
        return read_text(path, limit=TOML_LIMIT)
    except FileNotFoundError:
        raise ExperimentError(f"{brief(path)}: there is no such experiment file.") from None
    except OSError as error:
        raise ExperimentError(f"{brief(path)} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ExperimentError(f"{path}: {error}.") from None


def parse(text: str, origin: str) -> dict[str, Any]:
    """The tables in the text of an experiment file; `origin` is what errors call it. Raises as `read`."""
    try:
        return toml_of(text)
    except ValueError as error:
        raise ExperimentError(f"{origin}: {error}.") from None


def put(tables: dict[str, Any], key: str, value: Any) -> None:
    """Set `a.b.c` in nested tables."""
    *parents, last = key.split(".")
    for name in parents:
        branch = tables.setdefault(name, {})
        if not isinstance(branch, dict):
            raise ExperimentError(f"{brief(key)}: {brief(name)} is {brief(branch)}, not a table.", key=key)
        tables = branch
    tables[last] = value


def settings_given(settings: Any) -> dict[str, Any]:
    """What `settings` of Python holds, values by keys of the experiment file. Raises ExperimentError for another."""
    if settings is None:
        return {}
    if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
        raise ExperimentError(
            f'settings must be a dictionary of keys and values, such as {{"training.epochs": 5}}; received '
            f"{brief(repr(settings))}."
        )
    return dict(settings)


def parse_setting(text: str) -> tuple[str, Any]:
    """`a.b=value` as (key, value); the value is TOML where it reads as such, a string otherwise."""
    key, sign, value = text.partition("=")
    key = key.strip()
    if not sign or not all(key.split(".")):
        raise ExperimentError(f"--set takes key=value, as in --set training.epochs=3; received {brief(text)}.")
    try:
        return key, toml_of(f"value = {value}")["value"]
    except NotTomlError:
        return key, value.strip()
    except ValueError as error:
        said = f"{key}: {str(error).removeprefix('value ')}."
        raise ExperimentError(f"--set {said}", keys=[(key, said)]) from None


def as_experiment_error(error: ValidationError, origin: str, schema: type[BaseModel] = Experiment) -> ExperimentError:
    """Of a file with that schema, one line for each problem: where, what was received, what to do."""
    keys, problems = list[tuple[str, str]](), error.errors()
    for problem in problems[:PROBLEMS]:
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = _known_keys(schema, problem["loc"][:-1])
            said = f"there is no such key. {nearest(str(problem['loc'][-1]), known)}"
            if len(problem["loc"]) == 1 and "defaults" in known and key in Experiment.model_fields:
                said = "a key of experiments, not of a study: it belongs in [defaults], for all runs, or in a [[run]]."
        elif problem["type"] == "missing":
            said = "this key is required."
        else:
            said = f"{wanted(problem)}; received {brief(repr(problem['input']))}.{_nearest_of(problem)}"
        keys.append((key, f"{brief(key)}: {said}"))
    if len(problems) > PROBLEMS:
        keys.append(("", f"and {len(problems) - PROBLEMS:,} more."))
    return ExperimentError(f"{origin}: " + "\n".join(said for _, said in keys), keys=keys, origin=origin)


def _nearest_of(problem: Mapping[str, Any]) -> str:
    """The nearest of a few words, where one of them was wanted and another one given."""
    if problem["type"] != "literal_error" or not isinstance(problem["input"], str):
        return ""
    close = nearest(problem["input"], re.findall(r"'([^']*)'", problem["ctx"]["expected"]))
    return f" {close}" if close.startswith("Did") and " or " not in close else ""


def _known_keys(section: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    for name in location:
        annotation = section.model_fields[str(name)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        section = annotation
    return list(section.model_fields)


def _differing(given: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of nested tables that are not the same in `usual`; a table within a table counts as one entry."""
    found: dict[str, Any] = {}
    for key, value in given.items():
        if isinstance(value, Mapping) and isinstance(usual.get(key), Mapping):
            inner = {name: item for name, item in value.items() if item != usual[key].get(name)}
            if inner:
                found[key] = inner
        elif value != usual.get(key):
            found[key] = value
    return found


def _without_none(value: Any) -> Any:
    """TOML has no null: a key that is not there means None."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value
