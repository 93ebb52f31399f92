"""Weights that a run starts from: another run's, a file's, or those published for its architecture."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstlight import pretrained
from firstlight.errors import ExperimentError, ModelError, RunError, brief, nearest
from firstlight.experiments.config import IMAGENET, Experiment
from firstlight.experiments.lineage import seen_by
from firstlight.files import WEIGHTS_LIMIT, expanded, is_folder, read_bytes, resolved
from firstlight.models import Model
from firstlight.prepare import IMAGENET_MEAN, IMAGENET_STD
from firstlight.records.codec import decode
from firstlight.records.model import StartRecord
from firstlight.records.origin import run_of
from firstlight.records.run_folder import RunFolder
from firstlight.text import listed
from firstlight.types import Array, Images, Json, SourceFile
from firstlight.weights import bytes_of_run, chosen, fits, from_bytes

# How the files begin that Python's pickle writes, as it is or in the zip archive that torch.save makes.
PICKLES = (b"\x80", b"PK\x03\x04")


@dataclass(frozen=True, eq=False)
class Start:
    """Weights to start from, and where they come from.

    vector   all weights of the model: those taken over, and initial ones for the rest
    record   what model.json says of it; None where they come from nowhere else
    notes    what the user should know
    """

    vector: Array
    record: StartRecord | None
    notes: tuple[str, ...] = ()


def frozen(model: Model, experiment: Experiment) -> tuple[str, ...]:
    """The experiment's patterns of what is not trained. Raises ExperimentError where one names nothing, or all do."""
    section = experiment.weights
    for key, patterns in (
        ("weights.freeze", section.freeze),
        ("weights.fresh", section.fresh),
        ("optimizer.lr_factors", list(experiment.optimizer.lr_factors)),
    ):
        must_name(model, key, patterns)
    if model.layout.entries and all(
        chosen(entry.name, section.freeze) for entry in model.layout.entries if entry.parameter.trainable
    ):
        raise ExperimentError(
            f'weights.freeze = {section.freeze} leaves nothing to train. Exclude a layer from it, as in ["*", "!head"].'
        )
    return tuple(section.freeze)


def must_name(model: Model, key: str, patterns: Sequence[str]) -> None:
    """Raise ExperimentError where one of the patterns that `key` was given fits no name of the model."""
    names = [entry.name for entry in model.layout.entries]
    layers = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)}
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        if not any(fits(name, wanted) for name in names):
            raise ExperimentError(
                f"{key}: {model.name} has no parameters called {pattern!r}. {nearest(wanted, layers)}"
            )


def running_stats(model: Model, experiment: Experiment) -> frozenset[str]:
    """The batch norms that keep the statistics they were taken over with."""
    if experiment.weights.batchnorm != "frozen":
        return frozenset()
    taken = _taken(model, experiment)
    norms = [row.name for row in model.summary() if row.type == "BatchNorm"]
    return frozenset(norm for norm in norms if any(fits(name, norm) for name in taken))


def start(
    model: Model, experiment: Experiment, splits: Mapping[str, Images], files: Sequence[SourceFile] = ()
) -> Start | None:
    """The weights that the experiment asks to start from, or None where all are drawn at random.

    splits, files  the images, not prepared yet, and where they come from

    Raises ModelError at the first array whose name or shape does not fit, RunError or ModelError for a file that is
    missing, damaged, or a pickle.
    """
    section = experiment.weights
    if section.init_from is None:
        return None
    taken = _taken(model, experiment)
    if section.init_from == IMAGENET:
        path = pretrained.fetch(model.name)
        published = pretrained.PRETRAINED[model.name]
        origin = f"{published.repository}, revision {published.revision[:12]}"
        about: Json = {
            "repository": published.repository,
            "revision": published.revision,
            "licence": published.licence,
            "homepage": published.homepage,
        }
    else:
        path, origin, about = expanded(section.init_from), section.init_from, {}
    data = _weights_file(path, section.init_from)
    arrays = from_bytes(data, origin)
    if pretrained.is_published(arrays, model):
        without = taken - set(pretrained.published_names(model))
        _must_fit(model, {}, without, origin)
        arrays = pretrained.translate(model, arrays, lambda name: name not in taken, origin)
        about |= {"normalization": {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}}
        notes = _normalized_otherwise(origin, experiment)
    else:
        _must_fit(model, arrays, taken, origin)
        notes = _of_the_run(expanded(section.init_from), experiment, splits, files)
    drawn = model.layout.named(model.layout.initial(experiment.seed))
    try:
        vector = model.layout.vector(drawn | {name: arrays[name] for name in taken})
    except ModelError as error:
        raise ModelError(f"{origin}: {error}") from None
    fresh = [entry.name for entry in model.layout.entries if entry.name not in taken]
    if section.init_from != IMAGENET:
        about["location"] = str(resolved(expanded(section.init_from)))
    named = {"from": section.init_from, "sha256": hashlib.sha256(data).hexdigest()}
    record = decode(StartRecord, {**named, **about, "arrays": len(taken), "fresh": fresh})
    return Start(
        vector, record, (f"Weights from {origin}{f'; new: {listed(fresh, most=6)}' if fresh else ''}.", *notes)
    )


def _taken(model: Model, experiment: Experiment) -> set[str]:
    """The names of the arrays that are taken over."""
    section = experiment.weights
    if section.init_from is None:
        return set()
    names = [entry.name for entry in model.layout.entries]
    if section.init_from == IMAGENET:
        names = list(pretrained.published_names(model))
    return {name for name in names if not chosen(name, section.fresh)}


def _weights_file(path: Path, init_from: str) -> bytes:
    """What the file of weights that `init_from` names holds. Raises RunError where there is none."""
    if is_folder(path):
        return bytes_of_run(RunFolder.open(path))
    try:
        data = read_bytes(path, limit=WEIGHTS_LIMIT)
    except FileNotFoundError:
        raise RunError(f"weights.init_from: {brief(init_from)} is neither a run folder nor a file.") from None
    except OSError as error:
        raise ModelError(f"{brief(path)} cannot be read: {error.strerror}.") from None
    if data.startswith(PICKLES):
        raise ModelError(
            f"{path} is a pickle, as torch.save writes it. Loading one runs whatever code it holds, so firstlight does "
            "not. Save the weights as safetensors: safetensors.torch.save_file(model.state_dict(), 'a.safetensors')"
        )
    return data


def _must_fit(model: Model, arrays: Mapping[str, Array], taken: set[str], origin: str) -> None:
    for entry in model.layout.entries:
        if entry.name not in taken:
            continue
        layer = ".".join(entry.path[:-1])
        remedy = f'To re-initialize {layer}: weights.fresh = ["{layer}"].'
        if entry.name not in arrays:
            near = nearest(entry.name, arrays) if arrays else "It is empty."
            raise ModelError(
                f"{origin} has no {entry.name}, of shape {entry.parameter.shape}, which {model.name} needs. "
                f"{near} {remedy}"
            )
        shape = tuple(arrays[entry.name].shape)
        if shape != entry.parameter.shape:
            raise ModelError(
                f"{entry.name} has the shape {shape} in {origin}; {model.name} needs {entry.parameter.shape}. {remedy}"
            )


def _of_the_run(
    path: Path, experiment: Experiment, splits: Mapping[str, Images], files: Sequence[SourceFile]
) -> list[str]:
    """What to know of weights from a run: images prepared otherwise, or now judged on that it was trained on."""
    folder = run_of(path)
    if folder is None:
        return []
    before = Experiment.of_run(folder)
    notes = []
    for key, now in experiment.prepare.model_dump().items():
        then = getattr(before.prepare, key)
        if now != then:
            notes.append(
                f"{path} was trained with prepare.{key} = {then!r}, and this run has {now!r}: its weights expect the "
                "preprocessing that they were trained with."
            )
    for name in ("validation", "test"):
        known = 0
        if name in splits:
            known = int(seen_by(folder, splits[name], files, experiment.data.source).trained.sum())
        if known:
            notes.append(
                f"{known:,} of the {name} images are among those that {path}, or a run that it started from, was "
                f"trained on: the {name} accuracy is too high. Use the same split: the same seed, data.test and "
                "data.validation."
            )
    return notes


def _normalized_otherwise(origin: str, experiment: Experiment) -> list[str]:
    if experiment.prepare.standardise == IMAGENET:
        return []
    return [
        f"The weights of {origin} expect images normalized as ImageNet's were; this run has "
        f"prepare.standardise = {experiment.prepare.standardise!r}. Set it to {IMAGENET!r}."
    ]
