"""The images of a run, found again: the same ids in the same splits, verified by hash.

Drawing a split again would not do: one file more in a folder, and images that were trained on are in the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from firstlight.data import pooled
from firstlight.errors import RunError
from firstlight.experiments import corrections
from firstlight.experiments.config import Experiment
from firstlight.experiments.paths import IN_MEMORY, differing
from firstlight.experiments.setup import Setup
from firstlight.files import expanded, resolved
from firstlight.records.result import Status
from firstlight.records.run_folder import RunFolder
from firstlight.text import listed
from firstlight.types import Dataset, Images


def is_own(folder: RunFolder, data: str | Path | Dataset) -> bool:
    """Whether `data` names, or is, what the run was trained on."""
    source, location = folder.data.source, folder.data.location
    if isinstance(data, Dataset):
        if not data.origin:
            return source == IN_MEMORY + data.name
        data = data.origin
    if location:
        return resolved(expanded(data)) == Path(location)
    return str(data) == source


def reload_dataset(folder: RunFolder, where: str | Path | None = None) -> Dataset:
    """The images that a run was given, from where they were, or from `where` they are now. Raises RunError."""
    section = Experiment.of_run(folder).data
    if where is not None:
        return section.load(where)
    if section.source.startswith(IN_MEMORY):
        raise RunError(
            f"The images of {folder.path} were given as arrays ({section.source}): give them again as data, from "
            f"Python: fl.Run({str(folder.path)!r}, data=…), or fl.resume(…, data=…)."
        )
    location = folder.location
    source = location if location and Path(location).exists() else section.source
    if location and not expanded(source).exists():
        raise RunError(
            f"The images of {folder.path} were in {location}, which is gone. Put them back there, or give their new "
            f"place: --data PATH with resume, explain and evaluate; from Python, fl.Run({str(folder.path)!r}, "
            "data=PATH)."
        )
    return section.load(source)


def reload_splits(folder: RunFolder, images: Dataset | str | Path | None = None) -> tuple[Dataset, dict[str, Images]]:
    """The images of a run, split as they were then, by the ids that it recorded.

    images  as they are, or where they are now; they are loaded from where they were otherwise

    Raises RunError where an image is missing; whether the others are unchanged, `must_be_the_same` tells.
    """
    record = folder.data
    section = Experiment.of_run(folder).data
    dataset = images if isinstance(images, Dataset) else reload_dataset(folder, images)
    given = dataset
    if section.pool or section.folds:
        dataset = pooled(dataset)
    expected = section.used or list(record.class_names)
    if (set(expected) - set(dataset.class_names)) if section.used else list(dataset.class_names) != expected:
        raise RunError(
            f"The images of {folder.path} are no longer the same: {record.source} has the classes "
            f"{', '.join(dataset.class_names)}; the run has {', '.join(expected)}."
        )
    places = {
        sample: (split, i) for split, images in dataset.splits.items() for i, sample in enumerate(images.ids.tolist())
    }
    splits = {}
    for name, split_record in record.splits.items():
        found = [places.get(sample) for sample in split_record.ids]
        missing = [sample for sample, place in zip(split_record.ids, found, strict=True) if place is None]
        held = {place[0] for place in found if place is not None}
        if len(held) > 1:
            raise RunError(
                f"The images of {folder.path} are no longer split as they were: its {name} images now lie in "
                f"{listed(sorted(held))} of {record.source}."
            )
        if missing:
            raise RunError(
                f"The images of {folder.path} are no longer the same: {record.source} lacks "
                f"{len(missing):,} of its {name} images, such as {', '.join(missing[:3])}."
            )
        index = np.array([place[1] for place in found if place is not None])
        groups = None if split_record.groups is None else np.array(split_record.groups, np.str_)
        splits[name] = replace(dataset.splits[held.pop()].take(index), groups=groups)
    return given, section.relabelled(corrections.recorded(folder, splits))


def must_be_the_same(folder: RunFolder, prepared: Mapping[str, Images]) -> None:
    """Raise RunError where prepared images are not, pixel for pixel, those that the run recorded."""
    for name, images in prepared.items():
        if images.digest != folder.data.splits[name].sha256:
            raise RunError(
                f"The {name} images of {folder.path} are no longer the same as when it was trained, or they are "
                "preprocessed differently. Measure it on them as other images with --data, or train again."
            )


def holds(folder: RunFolder, setup: Setup) -> bool:
    """Whether the run in `folder` is complete; false where it stopped on the way.

    Raises RunError where it is of another experiment or of other images than `setup`.
    """
    held = Experiment.of_run(folder).model_dump()
    location = folder.location
    changed = differing(held, setup.experiment.model_dump(), location)
    if changed:
        raise RunError(
            f"{folder.path} holds a run of another experiment: it differs in {', '.join(changed)}. "
            "Choose another folder for this one, or remove that one to train again."
        )
    if corrections.have_changed(folder, setup.experiment):
        raise RunError(
            f"{folder.path} holds a run with other corrections than {setup.experiment.data.corrections} has now. "
            "Choose another folder for this one, or remove that one to train again."
        )
    if not folder.finished or folder.result.status == Status.INTERRUPTED:
        return False  # what continues with it looks at its images
    must_be_the_same(folder, setup.splits)
    return True
