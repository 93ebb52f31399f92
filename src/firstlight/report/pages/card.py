"""The card of a model: its record as Markdown, with the metadata that model hubs read at the top (YAML).

What hubs understand: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstlight.evaluation import confused_pairs
from firstlight.records.group import Group, of_runs
from firstlight.records.run import RunRecord
from firstlight.report.document import Section, Table, Text
from firstlight.report.format import count, counted, percent, shape
from firstlight.report.pages import contents
from firstlight.report.pages.run import document, verdict
from firstlight.report.render.markdown import escaped, markdown
from firstlight.report.sections import exports
from firstlight.report.settings import average
from firstlight.text import listed
from firstlight.types import Json

PAIRS = 5  # of confused classes
MANY = 30  # classes, of which a sentence names no more
EXPORTS = "exports"
CONFUSED = "confusion"  # in a card, a table in the place of the chart
PLAIN = re.compile(r"[a-z][a-z0-9-]+")
NOT_TEXTS = {"true", "false", "yes", "no", "on", "off", "null"}  # that YAML would read as something else


def card(record: RunRecord, licence: str = "") -> str:
    """The card of a run's model.

    licence  of the model, in the words of the hub, such as "apache-2.0"; unknown otherwise
    """
    head = f"---\n{yaml(metadata(record, licence))}---\n\n# {escaped(_title(record))}\n\n"
    return _without_folders(head + markdown(_sections(record, licence)), record)


def _without_folders(card: str, record: RunRecord) -> str:
    """A card is published, and folders are private: files of the user's own are called by their name alone."""
    start = record.run.model.start
    for place in (record.source, record.run.location, record.experiment.weights.init_from, start and start.location):
        if place and Path(place).is_absolute():
            for written in (place, escaped(place), place.replace("\\", "\\\\")):
                card = card.replace(written, Path(place).name)
    return card


def metadata(record: RunRecord, licence: str = "") -> Json:
    """What model hubs read: the task, the data, and the results on the test images."""
    test, data = record.test, record.data
    measured = {"accuracy": ("Accuracy", test.accuracy), "f1": ("Macro F1", test.macro.f1)}
    result = {
        "task": {"type": "image-classification", "name": "Image Classification"},
        "dataset": {"name": data, "type": _identifier(data), "split": "test"},
        "metrics": [{"type": kind, "name": name, "value": round(value, 6)} for kind, (name, value) in measured.items()],
    }
    return {
        "license": licence or "unknown",
        "library_name": "firstlight",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "firstlight", record.model],
        "datasets": [_identifier(data)],
        "metrics": [*measured],
        "model-index": [{"name": _title(record), "results": [result]}],
    }


def _sections(record: RunRecord, licence: str) -> Iterator[Section]:
    groups = of_runs([record])
    yield _what(record)
    yield _data(record, licence)
    for name in contents.CARD:
        if name == CONFUSED:
            yield from _confused(record)
        elif name == EXPORTS:
            yield from _exports(groups[0])
        else:
            yield from contents.sections([name], groups)


def _exports(group: Group) -> Iterator[Section]:
    """The exports; of one that lies outside the run, its name alone: a card is published, and folders are private."""
    found = exports.numbers(group)
    shown = [
        (replace(one, path=Path(one.path).name) if Path(one.path).is_absolute() else one, state)
        for one, state in found.exports
    ]
    if shown:
        yield Section("Exports", EXPORTS, exports.blocks(replace(found, exports=shown)))


def _what(record: RunRecord) -> Section:
    """What it does, of what it knows nothing, and how often it is right."""
    names = listed(record.class_names, most=MANY)
    text = (
        f"A neural network that classifies images into {counted(len(record.class_names), 'class')}: {names}. Its input "
        f"is images of {shape(record.shape)} (height, width, channels). Whatever an image shows, the prediction is one "
        "of these classes."
    )
    made = (
        f"It was trained with firstlight {record.environment.firstlight}, a laboratory for small-image classifiers, "
        "and this card from the record of its training. Nothing in it was written by hand."
    )
    averaged = average(record.experiment.training)
    weights = (Text(f"Averaged weights: {averaged}."),) if averaged else ()
    told = (Text(text), Text(made), *weights, Text(verdict(record)), document(record).numbers)
    return Section("What it is", "what", told)


def _data(record: RunRecord, licence: str) -> Section:
    """The images that it learnt from and was measured on, and what may be done with them and with the model."""
    sizes = {split: sum(counts) for split, counts in record.counts.items()}
    rows = [
        ("Images", record.data),
        ("Source", record.source),
        ("Homepage", record.homepage),
        ("Licence of the images", record.licence or "not recorded"),
        ("Licence of the model", licence or "none was named"),
        *((f"{split.capitalize()} images", count(size)) for split, size in sizes.items()),
    ]
    text = (
        "The licence of the images is not that of the model. Whoever publishes the model says under which licence, and "
        "sees that the images allow it."
    )
    return Section("Data and licences", "data", (Table(tuple(row for row in rows if row[1])), Text(text)))


def _confused(record: RunRecord) -> Iterator[Section]:
    """The pairs of classes that are confused most, and whether its confidence can be believed."""
    test, names = record.test, record.class_names
    rows = tuple(
        (names[true], names[taken], count(n), percent(n / support))
        for true, taken, n, support in confused_pairs(test.confusion)[:PAIRS]
    )
    titles = ("true class", "taken for", "test images", "share of the class")
    pairs = (Table(rows, titles, right=frozenset({2, 3})),) if rows else (Text("No test image was misclassified."),)
    yield Section("The most frequent confusions", "confused", pairs)
    confidence = sum(b.images * (b.confidence or 0) for b in test.bins) / test.images
    told = Table(
        (
            ("Mean confidence", percent(confidence)),
            ("Accuracy", percent(test.accuracy)),
            ("Expected calibration error", percent(test.calibration_error)),
        )
    )
    text = (
        "The probabilities can be trusted if the mean confidence is close to the accuracy and the calibration error "
        "is small."
    )
    yield Section("Confidence", "confidence", (told, Text(text)))


def _title(record: RunRecord) -> str:
    return f"{record.model} on {record.data}"


def _identifier(name: str) -> str:
    """A name as hubs take it for a data set."""
    return "-".join(re.findall(r"[\w.]+", name, re.ASCII))[:96] or "images"


# --- YAML -------------------------------------------------------------------------------------------------------------


def yaml(value: Mapping[str, Any]) -> str:
    """A mapping as YAML, ending in a line break; no text in it can be taken for anything else."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [line for key, item in value.items() for line in _entry(f"{key}:", item, "  ")]
    return [line for item in value for line in _entry("-", item, "  ")]


def _entry(head: str, item: Any, indent: str) -> list[str]:
    """A key or the dash of a list, with what belongs to it on the same line or indented below."""
    if isinstance(item, str | int | float):
        return [f"{head} {_scalar(item)}"]
    first, *rest = _lines(item)
    if head == "-":
        return [f"- {first}", *(f"{indent}{line}" for line in rest)]
    return [head, *(f"{indent}{line}" for line in (first, *rest))]


def _scalar(value: str | float) -> str:
    if not isinstance(value, str):
        return repr(value)
    if PLAIN.fullmatch(value) and value not in NOT_TEXTS:
        return value
    return f'"{"".join(map(_letter, value))}"'


def _letter(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
