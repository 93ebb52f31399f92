"""What a reader must know before believing the numbers: how they came about, and what may flatter them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from firstlight.records.run import RunRecord
from firstlight.report import selection
from firstlight.report.document import Text
from firstlight.report.format import THIN, count, counted, listed, percent, points

NUMERAL = re.compile(r"\d[\d,.]*")
WEIGHTS = 12  # classes: of more, only the ends are named one by one
NAMED = 3  # at most so many files are named one by one


def notes(record: RunRecord) -> tuple[Text, ...]:
    """The warnings first, then how the split and the selection were made."""
    warnings = [Text(text, tone="warning") for text in [*_ending(record), *_leaks(record), *_files(record)]]
    return (*warnings, *(Text(text, tone="note") for text in [*_method(record), *_precision(record)]))


def merged(records: Mapping[str, RunRecord]) -> list[str]:
    """The warnings of several runs, each once, with the names of the runs unless all have it.

    Those that differ in nothing but their numbers, as each seed has its own split, are told with those of the first.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for name, record in records.items():
        for note in notes(record):
            if note.tone == "warning":
                found.setdefault(NUMERAL.sub("#", note.text), []).append((name, note.text))
    texts = []
    for told in found.values():
        names, versions = [name for name, _ in told], {text for _, text in told}
        whose = "" if len(names) == len(records) else f"{_named(names)}: "
        rest = f" (Of {names[0]}; the numbers of the others differ.)" if len(versions) > 1 else ""
        texts.append(f"{whose}{told[0][1]}{rest}")
    return texts


def _ending(record: RunRecord) -> list[str]:
    done = f"after {counted(record.epochs_run, 'epoch')}" if record.epochs_run else "in its first epoch"
    if record.status == "interrupted":
        return [
            f"The run was interrupted {done} of {record.epochs_asked}. "
            "The numbers are those of what it had learnt by then."
        ]
    if record.status == "diverged":
        cause = f" {record.stopped_because.rstrip('.')}." if record.stopped_because else ""
        return [
            f"Training diverged {done} of {record.epochs_asked}: its loss was no longer finite.{cause} "
            f"The numbers are those of {selection.weights(record)}: what was learnt before, not what was asked for."
        ]
    return []


def _leaks(record: RunRecord) -> list[str]:
    checks = record.checks
    texts = []
    for (first, second), n in checks.across.items():
        if n:
            verb = "is" if n == 1 else "are"
            harm = "The test accuracy may be flattered." if "test" in (first, second) else "Selection may be flattered."
            texts.append(
                f"{counted(n, 'image')} of the {second} split {verb} also in the {first} split, pixel for pixel. {harm}"
            )
    within = {split: n for split, n in checks.within.items() if n}
    if within:
        found = listed([f"{count(n)} in {split}" for split, n in within.items()])
        texts.append(f"Some images occur more than once in their own split: {found}.")
    if checks.conflicting:
        verb = "has" if checks.conflicting == 1 else "have"
        texts.append(f"{counted(checks.conflicting, 'image')} {verb} an exact copy with another label.")
    for split, names in checks.missing.items():
        texts.append(
            f"The {split} split has no images of {_named(names)}: nothing here tells how these are recognized."
        )
    return texts


def _files(record: RunRecord) -> list[str]:
    texts = []
    unverified, aside = record.unverified_files, record.set_aside
    if unverified:
        texts.append(
            f"Not verified: {_named(unverified)}. The checksum is not the published one, "
            "so these may not be the images that others mean by this name."
        )
    if aside:
        reasons = [f"{path} ({reason})" for path, reason in aside.items()]
        texts.append(f"{counted(len(aside), 'file')} could not be read and had to be set aside: {_named(reasons)}.")
    return texts


def _named(names: list[str]) -> str:
    more = len(names) - NAMED
    return listed([*names[:NAMED], f"{counted(more, 'other')}"] if more > 0 else names)


def _times(record: RunRecord) -> str:
    return "when the run was interrupted and again at its end" if record.run.result.get("measured_before") else "once"


def _method(record: RunRecord) -> list[str]:
    texts = []
    if record.how_split:
        texts.append(f"The split: {record.how_split.rstrip('.')}.")
    texts += _classes(record)
    if record.restore_best and record.kept_best:
        texts.append(
            f"Selection was by validation: the weights are those of epoch {record.best_epoch}, the best by "
            f"{record.monitor}. The test images were measured {_times(record)}, after that choice."
        )
    else:
        texts.append(
            f"Measured were {selection.weights(record)}. The test images were measured {_times(record)}, after "
            "training."
        )
    if record.status == "stopped early":
        texts.append(
            f"Training stopped early, after {counted(record.epochs_run, 'epoch')} of {record.epochs_asked}: "
            "validation no longer improved."
        )
    return texts


def _classes(record: RunRecord) -> list[str]:
    """What class weights and balanced sampling did to training, and what they did not touch."""
    texts = []
    if record.class_weights:
        weights = dict(zip(record.class_names, record.class_weights, strict=True))
        texts.append(
            f"In training, the loss of an image was multiplied by the weight of its class: {_weights(weights)}. "
            "Validation and test loss are not weighted, so that they compare between runs."
        )
    if record.drawn:
        texts.append(
            "Sampling was balanced: each epoch draws all classes equally often. Validation and test images are as they "
            "came."
        )
    return texts


def _weights(weights: Mapping[str, float]) -> str:
    if len(weights) <= WEIGHTS:
        return listed([f"{name} {weight:.3g}" for name, weight in weights.items()])
    least, most = min(weights, key=lambda name: weights[name]), max(weights, key=lambda name: weights[name])
    return f"from {weights[least]:.3g} ({least}) to {weights[most]:.3g} ({most})"


def _precision(record: RunRecord) -> list[str]:
    low, high = record.test.accuracy_interval
    texts = [
        f"The 95{THIN}% interval says what {counted(record.test.images, 'test image')} can tell: "
        f"a difference to another model below about {points((high - low) / 2)} is within chance. "
        "It does not cover the luck of the seed; that takes several runs."
    ]
    support = [s.support for s in record.test.classes if s.support]
    if max(support) > 3 * min(support):
        texts.append(
            f"The classes are unequal: from {count(min(support))} to {count(max(support))} test images each: "
            f"always answering the most frequent one would be right on {percent(max(support) / sum(support))}. "
            "Read the per-class accuracies beside the overall one."
        )
    return texts
