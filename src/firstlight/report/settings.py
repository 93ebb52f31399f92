"""The settings in words: the experiment's tables as rows of a name and a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firstlight.options import flat
from firstlight.records.run import RunRecord
from firstlight.report.format import DASH, count, counted, percent, shape
from firstlight.text import listed
from firstlight.types import Json

MINUS = "−"
MOVES = ("zoom", "shear", "rotate", "shift")  # what looks outside an image
DEGREES = ("rotate", "shear")
FLIPS = {"flip_horizontal": "mirrored left to right", "flip_vertical": "mirrored upside down"}

Row = tuple[str, str]


def settings(record: RunRecord) -> list[Row]:
    """The rows of what was asked; what the experiment does not set is left out."""
    asked = record.experiment
    training = _table(asked, "training")
    judged = record.validation is not None  # without validation nothing tells better epochs from worse
    rows = [
        ("Images", _images(record)),
        ("Classes", _classes(_table(asked, "data"), record)),
        ("Split", listed([f"{count(sum(n))} {split}" for split, n in record.counts.items()])),
        ("Preparation", ", ".join(_preparation(_table(asked, "prepare")))),
        ("Augmentation", augmentation(_table(asked, "augment"))),
        ("Model", _named(asked, "model") or record.model),
        ("Weights", _weights(record)),
        ("Loss", _named(asked, "loss")),
        ("Optimizer", _named(asked, "optimizer")),
        ("Schedule", _named(asked, "schedule")),
        ("Penalty", ", ".join(_phrases(_table(asked, "penalty")))),
        ("Sampling", "balanced" if record.drawn else ""),
        ("Epochs", f"{training.get('epochs', record.epochs_asked)}{_of_steps(training, record)}"),
        ("Batch size", str(training.get("batch_size", ""))),
        ("Early stopping", _patience(training.get("early_stopping")) if judged else ""),
        ("Weights kept", f"best by {record.monitor}" if judged and record.restore_best else "last epoch"),
        ("Seed", str(asked.get("seed", ""))),
        ("Engine", engine(record)),
    ]
    return [(name, value) for name, value in rows if value]


def differences(records: Mapping[str, RunRecord]) -> list[tuple[str, ...]]:
    """The experiment's keys whose values differ between runs: the key, then its value in each run, a dash for none."""
    tables = [dict(flat(record.experiment)) for record in records.values()]
    keys = sorted({key for values in tables for key in values})
    rows = [(key, *(_value(values[key]) if key in values else DASH for values in tables)) for key in keys]
    return [row for row in rows if len(set(row[1:])) > 1]


def engine(record: RunRecord) -> str:
    """The engine, and what it computed with."""
    environment = record.environment
    processes = environment.get("processes", 1)
    version = f" {environment['torch']}" if "torch" in environment else ""
    device = environment.get("device", "")
    parts = (
        f"{environment.get('engine', record.experiment.get('engine', ''))}{version}",
        f"{environment['kernels']} kernels" if "kernels" in environment else "",
        f"on {device}" if device and device != "cpu" else "",
        str(environment.get("precision", "")),
        counted(processes, "process") if processes > 1 else "",
    )
    return ", ".join(filter(None, parts))


def _weights(record: RunRecord) -> str:
    """Where the weights began, and what of them was trained."""
    asked, start = _table(record.experiment, "weights"), _table(record.run.model, "start")
    fresh, freeze = asked.get("fresh") or [], asked.get("freeze") or []
    if not start and not freeze:
        return ""
    origin = start.get("repository") or start.get("from")
    parts = (
        f"from {origin}" if origin else "",
        f"revision {start['revision'][:12]}" if "revision" in start else "",
        f"licence {start['licence']}" if "licence" in start else "",
        f"{', '.join(fresh)} new" if fresh else "",
        f"frozen: {' '.join(freeze)}" if freeze else "",
        f"batch norm: {asked.get('batchnorm')}" if any(layer.type == "BatchNorm" for layer in record.layers) else "",
    )
    return ", ".join(filter(None, parts))


def _preparation(table: Json) -> list[str]:
    """What is done to every image, in the order in which it is done."""
    standardise = table.get("standardise", "none")
    steps = (
        ("to grey by luma", table.get("greyscale")),
        ("scaled to [0, 1]", table.get("scale")),
        ("normalized as ImageNet was", standardise == "imagenet"),
        (f"standardized per {standardise}", standardise not in ("none", "imagenet")),
    )
    return [step for step, done in steps if done]


def _of_steps(training: Json, record: RunRecord) -> str:
    """How long an epoch is, where that is not once through the training images."""
    steps, batch_size = training.get("steps_per_epoch"), training.get("batch_size")
    if not (isinstance(steps, int) and isinstance(batch_size, int)):
        return ""
    images, share = sum(record.counts["train"]), steps * batch_size
    return f", each of {counted(steps, 'step')}: {count(share)} images, where there are {count(images)} to train on"


def _patience(epochs: object) -> str:
    return f"after {counted(epochs, 'epoch')} without better" if isinstance(epochs, int) and epochs else ""


def _images(record: RunRecord) -> str:
    return f"{record.data}, {shape(record.shape)}" if record.shape else record.data


def _classes(table: Json, record: RunRecord) -> str:
    """Which classes were used, or how they were put together."""
    if table.get("classes"):
        among = f" of {len(record.before[0])}" if record.before else ""
        return f"{', '.join(map(str, table['classes']))}{among}"
    groups = _table(table, "regroup")
    return "; ".join(f"{name}: {', '.join(map(str, members))}" for name, members in groups.items())


def _table(value: Json, key: str) -> Json:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _named(asked: Json, key: str) -> str:
    """A table with a name, such as an optimizer: the name, then its options."""
    table = dict(_table(asked, key))
    name = table.pop("name", table.pop("type", None)) or (asked[key] if isinstance(asked.get(key), str) else None)
    return ", ".join(filter(None, [str(name) if name else "", *_phrases(table)]))


def _phrases(table: Json) -> list[str]:
    """Options in words: a switch by its name, another by name and value; what is off or zero is left out."""
    return [
        _spaced(key) if value is True else f"{_spaced(key)} {_value(value)}"
        for key, value in table.items()
        if value not in (False, None, 0, "", "none") and not (isinstance(value, dict | list) and not value)
    ]


def _spaced(key: str) -> str:
    return key.replace("_", " ")


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(_phrases(value))
    if isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        return f"{len(value)} of your own"
    if isinstance(value, list):
        return ", ".join(_value(inner) for inner in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def augmentation(table: Json) -> str:
    """An `[augment]` table as a phrase; empty where it asks for nothing."""
    kinds = [_kind(name, value) for name, value in table.items() if isinstance(value, dict) and value.get("p")]
    kinds += [f"{words} (p {table[name]:g})" for name, words in FLIPS.items() if table.get(name)]
    if not kinds:
        return ""
    fill, value = table.get("fill", "nearest"), table.get("fill_value", 0)
    if any(name in table for name in MOVES):
        kinds.append(f"outside {fill}" + (f" {value}" if fill == "constant" else ""))
    return ", ".join(kinds)


def _kind(name: str, value: Json) -> str:
    low, high = value["range"]
    p = f" (p {value['p']:g})" if value["p"] < 1 else ""
    if low == -high and high:
        return f"{name} ±{_amount(name, high)}{p}"
    ends = dict.fromkeys(_amount(name, end) for end in (low, high))
    return f"{name} {' to '.join(ends)}{p}"


def _amount(name: str, value: float) -> str:
    size = abs(value)
    text = f"{size:g}°" if name in DEGREES else percent(size, 0 if round(100 * size, 6).is_integer() else 1)
    return f"{MINUS}{text}" if value < 0 else text
