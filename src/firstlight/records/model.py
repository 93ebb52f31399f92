"""model.json: the architecture of a run, its preparation and its loss: all that predict needs beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from firstlight.records.codec import Must, encode, omitted, others
from firstlight.records.values import Count, Names, Shape, Table
from firstlight.types import Json


@dataclass(frozen=True)
class LayerRecord:
    """A row of a model's summary.

    output_shape  (H, W, C) or (features,), as a person writes it
    trainable     how many of the parameters are trained; None where a record does not tell
    inputs        the names of the layers that it reads, "" for the image, each branch's end for what joins branches;
                  none where a record of an earlier version does not tell
    shapes        of its parameters, by their names
    settings      its fields that differ from their defaults
    """

    name: str
    type: str
    output_shape: tuple[Count, ...]
    parameters: Count
    trainable: Count | None = omitted(None)
    multiply_adds: Count = 0
    inputs: tuple[str, ...] = omitted(())
    shapes: Mapping[str, tuple[Count, ...]] = omitted(make=dict)
    settings: Table = omitted(make=dict)


@dataclass(frozen=True, kw_only=True)
class PreparationRecord:
    """How images were scaled; `prepare.Preparation` checks the numbers. input_shape is (C, H, W)."""

    input_shape: Shape
    standardise: str
    scale: tuple[Any, ...]
    shift: tuple[Any, ...]

    @property
    def settings(self) -> Json:
        """What `prepare.Preparation.from_json` reads."""
        return vars(self)


@dataclass(frozen=True, kw_only=True)
class LossRecord:
    name: str = ""
    others: Table = others()


@dataclass(frozen=True, kw_only=True)
class StartRecord:
    """The weights that training started from.

    origin    as the experiment names it, and `location` where that was
    arrays    that were taken; `fresh` those that were re-initialized
    """

    origin: str = omitted("", key="from")
    location: str = omitted("")
    sha256: str = omitted("")
    repository: str = omitted("")
    revision: str = omitted("")
    licence: str = omitted("")
    homepage: str = omitted("")
    arrays: Count = omitted(0)
    fresh: tuple[str, ...] = omitted(())
    others: Table = others()


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """The model of a run; `models.Model.from_json` makes it again of `architecture`. input_shape is (H, W, C)."""

    name: str
    options: Table = field(default_factory=dict)
    input_shape: Shape
    classes: Annotated[int, Must("an integer of at least 2", lambda number: number >= 2)] | None = omitted(None)
    layers: tuple[Table, ...]
    frozen: tuple[str, ...] = ()
    class_names: Names
    preparation: PreparationRecord
    loss: LossRecord = LossRecord()
    start: StartRecord | None = omitted(None)
    summary: tuple[LayerRecord, ...]

    def __post_init__(self) -> None:
        if self.classes is not None and self.classes != len(self.class_names):
            raise ValueError(f"{self.classes} classes and {len(self.class_names)} class_names")
        height, width, channels = self.input_shape
        if self.preparation.input_shape != (channels, height, width):
            raise ValueError(
                f"input_shape {list(self.input_shape)}, and preparation of {list(self.preparation.input_shape)}"
            )

    @property
    def architecture(self) -> Json:
        """What `models.Model.from_json` reads."""
        whole: Json = encode(self)
        return {name: whole.get(name) for name in ("name", "options", "input_shape", "classes", "layers", "frozen")}
