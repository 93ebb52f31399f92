"""The settings in words: the experiment's tables as rows of a name and a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firstlight.records.experiment import Chance, Named, PrepareTable, TrainingTable
from firstlight.records.model import StartRecord
from firstlight.records.run import RunRecord
from firstlight.records.values import Table
from firstlight.report.format import count, counted, percent, shape
from firstlight.text import listed

MINUS = "−"
MOVES = ("zoom", "shear", "rotate", "shift", "translate")  # what looks outside an image
DEGREES = ("rotate", "shear")
PIXELS = ("blur",)
FLIPS = {"flip_horizontal": "mirrored left to right", "flip_vertical": "mirrored upside down"}

Row = tuple[str, str]


def settings(record: RunRecord) -> list[Row]:
    """The rows of what was asked; what the experiment does not set is left out."""
    asked = record.experiment
    training = asked.training
    judged = record.validation is not None  # without validation nothing tells better epochs from worse
    rows = [
        ("Images", _images(record)),
        ("Classes", _classes(record)),
        ("Split", listed([f"{count(sum(n))} {split}" for split, n in record.counts.items()])),
        ("Preprocessing", ", ".join(_preparation(asked.prepare))),
        ("Augmentation", augmentation(asked.augment)),
        ("Model", _named(asked.model) or record.model),
        ("Weights", _weights(record)),
        ("Loss", _named(asked.loss)),
        ("Optimizer", _named(asked.optimizer)),
        ("Schedule", _named(asked.schedule)),
        ("Penalty", ", ".join(_phrases(asked.penalty))),
        ("Sampling", "balanced" if record.drawn else ""),
        ("Epochs", f"{record.epochs_asked if training.epochs is None else training.epochs}{_of_steps(record)}"),
        ("Batch size", "" if training.batch_size is None else str(training.batch_size)),
        ("Early stopping", _patience(training.early_stopping) if judged else ""),
        ("Weights kept", f"best by {record.monitor}" if judged and record.restore_best else "last epoch"),
        ("Averaged weights", average(training)),
        ("Seed", str(asked.seed)),
        ("Engine", engine(record)),
    ]
    return [(name, value) for name, value in rows if value]


def engine(record: RunRecord) -> str:
    """The engine, and what it computed with."""
    environment = record.environment
    parts = (
        f"{environment.engine or record.experiment.engine}{f' {environment.torch}' if environment.torch else ''}",
        f"{environment.kernels} kernels" if environment.kernels else "",
        f"on {environment.device}" if environment.device not in ("", "cpu") else "",
        environment.precision,
        counted(environment.processes, "process") if environment.processes and environment.processes > 1 else "",
    )
    return ", ".join(filter(None, parts))


def _weights(record: RunRecord) -> str:
    """Where the weights began, and what of them was trained."""
    asked, start = record.experiment.weights, record.run.model.start or StartRecord()
    if record.run.model.start is None and not asked.freeze:
        return ""
    origin = start.repository or start.origin
    parts = (
        f"from {origin}" if origin else "",
        f"revision {start.revision[:12]}" if start.revision else "",
        f"licence {start.licence}" if start.licence else "",
        f"{', '.join(asked.fresh)} new" if asked.fresh else "",
        f"frozen: {' '.join(asked.freeze)}" if asked.freeze else "",
        f"batch norm: {asked.batchnorm}" if any(layer.type == "BatchNorm" for layer in record.layers) else "",
    )
    return ", ".join(filter(None, parts))


def _preparation(asked: PrepareTable) -> list[str]:
    """What is done to every image, in the order in which it is done."""
    steps = (
        ("to grey by luma", asked.greyscale),
        ("scaled to [0, 1]", asked.scale),
        ("normalized as ImageNet was", asked.standardise == "imagenet"),
        (f"standardized per {asked.standardise}", asked.standardise not in ("none", "imagenet")),
    )
    return [step for step, done in steps if done]


def _of_steps(record: RunRecord) -> str:
    """How long an epoch is, where that is not once through the training images."""
    steps, batch_size = record.experiment.training.steps_per_epoch, record.experiment.training.batch_size
    if steps is None or batch_size is None:
        return ""
    images, share = sum(record.counts["train"]), steps * batch_size
    return f", each of {counted(steps, 'step')}: {count(share)} images, where there are {count(images)} to train on"


def average(training: TrainingTable) -> str:
    """The average that was evaluated and kept instead of the weights."""
    if training.average != "ema":
        return ""
    decay = "" if training.average_decay is None else f" of decay {training.average_decay:g}"
    return f"exponential moving average{decay}, evaluated and kept"


def _patience(epochs: int | None) -> str:
    return f"after {counted(epochs, 'epoch')} without better" if epochs else ""


def _images(record: RunRecord) -> str:
    return f"{record.data}, {shape(record.shape)}" if record.shape else record.data


def _classes(record: RunRecord) -> str:
    """Which classes were used, or how they were put together."""
    asked = record.experiment.data
    if asked.classes:
        among = f" of {len(record.before[0])}" if record.before else ""
        return f"{', '.join(asked.classes)}{among}"
    return "; ".join(f"{name}: {', '.join(members)}" for name, members in asked.regroup.items())


def _named(asked: Named) -> str:
    """What is chosen by its name, such as an optimizer: the name, then its options."""
    return ", ".join(filter(None, [asked.name, *_phrases(asked.options)]))


def _phrases(table: Table) -> list[str]:
    """Options in words: a switch by its name, another by name and value; what is off or zero is left out."""
    return [
        _spaced(key) if value is True else f"{_spaced(key)} {value_text(value)}"
        for key, value in table.items()
        if value not in (False, None, 0, "", "none") and not (isinstance(value, dict | list) and not value)
    ]


def _spaced(key: str) -> str:
    return key.replace("_", " ")


def value_text(value: Any) -> str:
    """The value of a setting, for people."""
    if isinstance(value, dict):
        return ", ".join(_phrases(value))
    if isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        return f"{len(value)} of your own"
    if isinstance(value, list):
        return ", ".join(value_text(inner) for inner in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def augmentation(table: Mapping[str, object]) -> str:
    """An `[augment]` table as a phrase; empty where it asks for nothing."""
    kinds = [_kind(name, value) for name, value in table.items() if isinstance(value, Chance) and value.p]
    kinds += [_others(name, value) for name, value in table.items() if isinstance(value, Mapping) and value.get("p", 1)]
    kinds += [f"{words} (p {table[name]:g})" for name, words in FLIPS.items() if table.get(name)]
    if not kinds:
        return ""
    fill, value = table.get("fill", "nearest"), table.get("fill_value", 0)
    if any(name in table for name in MOVES):
        kinds.append(f"outside {fill}" + (f" {value}" if fill == "constant" else ""))
    return ", ".join(kinds)


def _kind(name: str, value: Chance) -> str:
    low, high = value.range
    p = f" (p {value.p:g})" if value.p < 1 else ""
    if low == -high and high:
        return f"{name} ±{_amount(name, high)}{p}"
    ends = dict.fromkeys(_amount(name, end) for end in (low, high))
    return f"{name} {' to '.join(ends)}{p}"


def _others(name: str, value: Mapping[str, object]) -> str:
    """A kind with options of its own: "mixup (alpha 0.2)"."""
    said = [
        f"{key} {value_text(item)}" for key, item in value.items() if item is not False and (key != "p" or item != 1)
    ]
    options = f" ({', '.join(said)})" if said else ""
    return f"{name.replace('_', ' ')}{options}"


def _amount(name: str, value: float) -> str:
    if name in PIXELS:
        return f"{value:g} px"
    size = abs(value)
    text = f"{size:g}°" if name in DEGREES else percent(size, 0 if round(100.0 * size, 6).is_integer() else 1)
    return f"{MINUS}{text}" if value < 0 else text
