"""What the records of a folder must hold: kinds, ranges, and what must fit together, checked where they are read.

A record may have more keys than are named here, and of those that can be left out any; what it has must be right.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from firstlight.errors import RunError, brief
from firstlight.types import Json

LARGEST_SIDE = 65_535  # pixels
TOLERANCE = 1e-6  # of a number that follows from others


def _once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("a name is there twice")
    return names


def _file_name(name: str) -> str:
    if name in ("", ".", "..") or any(letter in name for letter in "/\\\0"):
        raise ValueError("it must be the name of a folder, and no path")
    return name


Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
Shape = Annotated[list[Side], Field(min_length=3, max_length=3)]
Names = Annotated[list[str], Field(min_length=1), AfterValidator(_once)]
Name = Annotated[str, AfterValidator(_file_name)]
Table = dict[str, Any]


class Record(BaseModel):
    """A JSON object; what is not named is let through."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


# --- experiment.toml: what is read of it without the rest, which `study.Experiment` checks


class _Source(Record):
    source: str
    classes: list[str] = []
    regroup: dict[str, list[str]] = {}


class _Training(Record):
    epochs: Count = 0
    monitor: str = ""
    restore_best: bool = True


class _Named(Record):
    name: str = ""


class _Chance(Record):
    range: Annotated[list[float], Field(min_length=2, max_length=2)]
    p: Share = 1.0


class _Weights(Record):
    init_from: str | None = None
    fresh: list[str] = []
    freeze: list[str] = []
    batchnorm: str = ""


class Experiment(Record):
    seed: Count = 0
    engine: str = ""
    data: _Source
    prepare: Table = {}
    augment: dict[str, _Chance | float | str | bool | list[float]] = {}
    model: _Named = _Named()
    weights: _Weights = _Weights()
    loss: _Named = _Named()
    optimizer: _Named = _Named()
    schedule: _Named = _Named()
    penalty: Table = {}
    training: _Training = _Training()


# --- environment.json


class _Machine(Record):
    system: str = ""
    processor: str = ""
    cores: Count | None = None
    memory_gb: Positive | None = None


class Environment(Record):
    firstlight: str = ""
    python: str = ""
    packages: dict[str, str] = {}
    machine: _Machine = _Machine()
    git: str | None = None
    started: str = ""
    engine: str = ""
    device: str = ""
    precision: str = ""
    kernels: str = ""
    threads: Count = 1
    not_compiled: str = ""
    torch: str = ""
    channels_last: bool = False
    compiled: bool = False
    processes: Annotated[int, Field(ge=1)] = 1
    resumed: list[Environment] = []

    @model_validator(mode="after")
    def _of_an_engine(self) -> Environment:
        needed = {"torch", "precision", "channels_last", "threads", "compiled"}
        if self.engine == "torch" and not needed <= self.model_fields_set:
            raise ValueError(f"the engine torch needs {', '.join(sorted(needed - self.model_fields_set))}")
        return self


# --- data.json


class _File(Record):
    name: str
    verified: bool = True


class _Split(Record):
    images: Annotated[int, Field(ge=1)]
    counts: list[Count]
    ids: Names
    sha256: str = ""
    pixels: str = ""

    @model_validator(mode="after")
    def _as_many(self) -> _Split:
        if self.pixels and len(base64.b64decode(self.pixels, validate=True)) != 8 * self.images:
            raise ValueError(f"its pixels are no hashes of {self.images} images")
        if not self.images == len(self.ids) == sum(self.counts):
            raise ValueError(f"{self.images} images with {len(self.ids)} ids, and counts of {sum(self.counts)}")
        return self


class _Before(Record):
    class_names: Names
    counts: dict[str, list[Count]]

    @model_validator(mode="after")
    def _for_each_class(self) -> _Before:
        for split, counts in self.counts.items():
            _one_a_class(f"counts.{split}", counts, self.class_names)
        return self


class _Checks(Record):
    duplicates_within: dict[str, Count] = {}
    duplicates_across: dict[str, Count] = {}
    conflicting_labels: Count = 0
    missing_classes: dict[str, list[str]] = {}


class Data(Record):
    name: str
    source: str
    licence: str | None = ""
    homepage: str | None = ""
    location: str = ""
    shape: Shape | None = None
    class_names: Names
    files: list[_File] = []
    verified: bool = True
    set_aside: dict[str, str] = {}
    splits: dict[Literal["train", "validation", "test"], _Split]
    before: _Before | None = None
    class_weights: list[Positive] | None = None
    drawn: list[Count] | None = None
    how_split: str = ""
    checks: _Checks = _Checks()
    warnings: list[str] = []

    @model_validator(mode="after")
    def _for_each_class(self) -> Data:
        if "train" not in self.splits:
            raise ValueError("splits has no train")
        for split, record in self.splits.items():
            _one_a_class(f"splits.{split}.counts", record.counts, self.class_names)
        _one_a_class("class_weights", self.class_weights, self.class_names)
        _one_a_class("drawn", self.drawn, self.class_names)
        return self


# --- model.json


class _Row(Record):
    name: str
    type: str
    output_shape: list[Count]
    parameters: Count
    trainable: Count = 0
    multiply_adds: Count = 0


class _Preparation(Record):
    input_shape: Shape
    standardise: str
    scale: list[Any]
    shift: list[Any]


class _Start(Record):
    origin: str = Field(default="", alias="from")
    location: str = ""
    sha256: str = ""
    repository: str = ""
    revision: str = ""
    licence: str = ""
    homepage: str = ""
    arrays: Count = 0
    fresh: list[str] = []


class Model(Record):
    name: str
    options: Table = {}
    input_shape: Shape
    classes: Annotated[int, Field(ge=2)] | None = None
    layers: list[Table]
    frozen: list[str] = []
    class_names: Names
    preparation: _Preparation
    loss: _Named = _Named()
    start: _Start = _Start()
    summary: list[_Row]

    @model_validator(mode="after")
    def _fits(self) -> Model:
        if self.classes is not None and self.classes != len(self.class_names):
            raise ValueError(f"{self.classes} classes and {len(self.class_names)} class_names")
        height, width, channels = self.input_shape
        if self.preparation.input_shape != [channels, height, width]:
            raise ValueError(f"input_shape {self.input_shape}, and preparation of {self.preparation.input_shape}")
        return self


# --- result.json


class _Bin(Record):
    low: Share
    high: Share
    images: Count
    confidence: Annotated[float, Field(ge=0, le=1 + TOLERANCE)] | None
    accuracy: Share | None


class _Calibration(Record):
    error: Share = 0.0
    bins: list[_Bin]


class _Confusion(Record):
    rows: Literal["true"]
    columns: Literal["predicted"]
    class_names: Names
    counts: list[list[Count]]


class _Evaluation(Record):
    images: Annotated[int, Field(ge=1)]
    accuracy: Share
    loss: float
    top_k: dict[Annotated[str, Field(pattern=r"^[1-9]\d{0,3}$")], Share]
    calibration: _Calibration
    confusion: _Confusion

    @model_validator(mode="after")
    def _adds_up(self) -> _Evaluation:
        names, counts = self.confusion.class_names, self.confusion.counts
        if any(len(row) != len(names) for row in counts) or len(counts) != len(names):
            raise ValueError(f"confusion.counts is not of {len(names)} rows and as many columns")
        binned = sum(b.images for b in self.calibration.bins)
        if not self.images == sum(map(sum, counts)) == binned:
            raise ValueError(f"{self.images} images, {sum(map(sum, counts))} in confusion, {binned} in calibration")
        right = sum(row[place] for place, row in enumerate(counts))
        if abs(self.accuracy - right / self.images) > TOLERANCE:
            raise ValueError(f"an accuracy of {self.accuracy}, and {right} of {self.images} on confusion's diagonal")
        return self


class _Epochs(Record):
    asked: Count = 0
    run: Count
    best: Count = 0
    weights: Count = 0


class _Parameters(Record):
    total: Count
    trainable: Count = 0
    frozen: Count = 0
    non_trainable: Count = 0


class _Seconds(Record):
    data: Positive = 0.0
    compile: Positive = 0.0
    train: Positive
    evaluate: Positive = 0.0
    total: Positive = 0.0


class Result(Record):
    status: Literal["finished", "stopped early", "interrupted", "diverged"]
    stopped_because: str = ""
    measured_before: bool = False
    model: str = ""
    epochs: _Epochs
    parameters: _Parameters
    multiply_adds: Count = 0
    images_per_second: Positive = 0.0
    seconds: _Seconds
    validation: _Evaluation | None = None
    test: _Evaluation
    hashed: bool = False


class Hashes(Record):
    sha256: dict[str, str]


# --- study.json, and result.json of a search


class _Entry(Record):
    name: Name
    seeds: Annotated[list[Count], Field(min_length=1)]
    published: Share | None = None
    published_validation: Share | None = None
    beside: dict[str, float] = {}
    note: str = ""


class Study(Record):
    name: Name
    title: str
    about: str
    runs: Annotated[list[_Entry], Field(min_length=1)]

    @model_validator(mode="after")
    def _own_names(self) -> Study:
        _once([entry.name for entry in self.runs])
        return self


class Trial(Record):
    number: Annotated[int, Field(ge=1)]
    state: Literal["complete", "pruned", "failed", "running", "waiting"]
    values: Table
    value: float | None = None
    epochs: Count = 0
    best: Count = 0
    seconds: Positive = 0.0
    reason: str = ""
    attempts: Count = 1


class Search(Record):
    status: Literal["complete", "unfinished"]
    monitor: Literal["val_accuracy", "val_loss"]
    maximise: bool
    asked: Count
    sampler: str
    pruner: str
    seed: Count
    epochs: Count
    data: str
    model: str
    space: dict[str, list[Any] | Table]
    trials: list[Trial]
    importance: dict[str, Positive]
    environment: Environment = Environment()

    @model_validator(mode="after")
    def _of_the_space(self) -> Search:
        for key, domain in self.space.items():
            if isinstance(domain, dict) and not _is_range(domain):
                raise ValueError(f"space.{key} is neither a list nor a range")
            for trial in self.trials:
                value = trial.values.get(key, domain)
                among = value in domain if isinstance(domain, list) else type(value) in (int, float)
                if value is not domain and not among:
                    raise ValueError(f"trials: the {key} of trial {trial.number} is none that is searched")
        return self


def _is_range(domain: Table) -> bool:
    kinds = [kind for kind in ("uniform", "log", "int", "log_int") if kind in domain]
    ends = domain[kinds[0]] if len(kinds) == 1 else None
    if not isinstance(ends, list) or len(ends) != 2 or any(type(end) not in (int, float) for end in ends):
        return False
    return bool(ends[0] < ends[1] and (ends[0] > 0 or not kinds[0].startswith("log")))


def check(kind: type[Record], value: Json, path: Path) -> None:
    """Raise RunError that names the file and the key where `value`, read from it, is no such record."""
    try:
        kind.model_validate(value)
    except ValidationError as error:
        problem = error.errors()[0]
        where = brief(".".join(map(str, problem["loc"])), 80)
        if problem["type"] == "missing":
            raise RunError(f"{path} is damaged: it has no {where!r}.") from None
        said = problem["msg"].removeprefix("Value error, ")
        received = (
            "" if isinstance(problem["input"], dict | list) else f"; received {brief(repr(problem['input']), 80)}"
        )
        raise RunError(f"{path} is damaged: {f'{where}: ' if where else ''}{said}{received}.") from None


def _one_a_class(key: str, numbers: list[Any] | None, names: list[str]) -> None:
    if numbers and len(numbers) != len(names):
        raise ValueError(f"{key} has {len(numbers)} numbers for {len(names)} classes")
