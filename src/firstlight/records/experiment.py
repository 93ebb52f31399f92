"""experiment.toml as a run has it: those of its tables that are read without `experiments.Experiment`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from firstlight.records.codec import decode, not_kept, omitted, others
from firstlight.records.values import AtLeastOne, Count, Share, Table
from firstlight.types import Json


@dataclass(frozen=True, kw_only=True)
class DataTable:
    source: str
    group: str | None = None
    folds: AtLeastOne | None = None
    fold: AtLeastOne | None = None
    classes: tuple[str, ...] = ()
    regroup: Mapping[str, tuple[str, ...]] = omitted(make=dict)


@dataclass(frozen=True, kw_only=True)
class PrepareTable:
    greyscale: bool = False
    scale: bool = False
    standardise: str = "none"


@dataclass(frozen=True, kw_only=True)
class Chance:
    """What happens to a training image with probability `p`, as strongly as a draw of `range` says."""

    range: tuple[float, float]
    p: Share = 1.0


@dataclass(frozen=True, kw_only=True)
class Named:
    """What is chosen by its name, with its options."""

    name: str = ""
    options: Table = others()


@dataclass(frozen=True, kw_only=True)
class WeightsTable:
    init_from: str | None = None
    fresh: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    batchnorm: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainingTable:
    epochs: Count | None = None
    batch_size: AtLeastOne | None = None
    steps_per_epoch: AtLeastOne | None = None
    monitor: str = "val_accuracy"
    early_stopping: Count | None = None
    restore_best: bool = True
    average: str = "none"
    average_decay: float | None = None


@dataclass(frozen=True, kw_only=True)
class ExperimentRecord:
    """The tables of an experiment; `tables` has all of them as they stand."""

    seed: Count = 0
    engine: str = ""
    data: DataTable
    prepare: PrepareTable = PrepareTable()
    augment: Mapping[str, Chance | int | float | str | bool | tuple[float, ...] | Table] = omitted(make=dict)
    model: Named = Named()
    weights: WeightsTable = WeightsTable()
    loss: Named = Named()
    optimizer: Named = Named()
    schedule: Named = Named()
    penalty: Table = omitted(make=dict)
    training: TrainingTable = TrainingTable()
    tables: Json = not_kept(make=dict)

    @classmethod
    def of(cls, tables: Json) -> ExperimentRecord:
        """Raises MismatchError, a ValueError."""
        return replace(decode(cls, tables), tables=tables)
