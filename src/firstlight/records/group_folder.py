"""A folder of runs of one recipe, over seeds or over folds: what an ensemble is made of.

    STUDY/NAME/                 the seeds of a study's entry, seed-0, seed-1, …
    STUDY/NAME/seed-0/          the folds of a seed, fold-1, fold-2, …
    STUDY/NAME/exports.json     the files that their ensemble was exported to, and export/ with them

Any folder whose runs differ in nothing but seed or fold is one; so is that of a study with a single entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firstlight.errors import RunError, brief
from firstlight.files import is_file, is_folder
from firstlight.records.group import asked_of
from firstlight.records.result import Status
from firstlight.records.run_folder import EXPERIMENT, STUDY, RunFolder
from firstlight.records.study_folder import StudyFolder
from firstlight.text import listed


@dataclass(frozen=True, eq=False)
class GroupFolder:
    """Runs of one recipe in one folder.

    runs        those with a result, by seed and fold; of them, those that were interrupted only where all were
    left_out    why another one is not among them, by its folder
    """

    path: Path
    runs: tuple[RunFolder, ...]
    left_out: dict[Path, str]

    @classmethod
    def open(cls, path: str | Path) -> GroupFolder:
        """The runs in the folder `path`.

        Raises RunError where there are none with a result, or where they are of several recipes.
        """
        place = _of_only_entry(Path(path))
        found = [RunFolder(run) for run in _runs_below(place)]
        if not found:
            raise RunError(f"{brief(path)} holds no runs.")
        left_out = {run.path: "it has no result yet" for run in found if not run.finished}
        finished = [run for run in found if run.finished]
        if not finished:
            raise RunError(f"{brief(path)}: none of its {len(found)} runs has a result yet.")
        whole = [run for run in finished if run.result.status != Status.INTERRUPTED]
        if whole:
            left_out |= {run.path: "it was interrupted" for run in finished if run not in whole}
        folder = cls(place, tuple(sorted(whole or finished, key=_place)), left_out)
        _must_be_one_recipe(folder)
        return folder

    @property
    def name(self) -> str:
        """Its own name; that of a seed's folds has the entry's before it."""
        whole = self.path.resolve()
        return brief(f"{whole.parent.name}-{whole.name}" if whole.name.startswith("seed-") else whole.name)

    @property
    def weights(self) -> str:
        """A SHA-256 of the hashes of all weights; "" where one has none."""
        hashes = [run.weights for run in self.runs]
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest() if all(hashes) else ""


def is_group(path: str | Path) -> bool:
    """Whether a folder is not a run, but holds runs."""
    place = Path(path)
    return is_folder(place) and not is_file(place / EXPERIMENT) and (is_file(place / STUDY) or bool(_runs_below(place)))


def _of_only_entry(path: Path) -> Path:
    """The folder of the only entry of a study, or `path` where it is not a study. Raises RunError where it has more."""
    if not is_file(path / STUDY):
        return path
    names = [entry.name for entry in StudyFolder.open(path).entries]
    if len(names) > 1:
        raise RunError(
            f"{path} is a study of {len(names)} experiments: {listed(names, most=10)}. Give one of them, whose nets "
            f"then form an ensemble, such as {path / names[0]}, or a single run."
        )
    return path / names[0]


def _runs_below(path: Path) -> list[Path]:
    """The folders of the runs in a folder or, where there are none, in the folders of its seeds."""
    for pattern in (f"*/{EXPERIMENT}", f"seed-*/fold-*/{EXPERIMENT}"):
        if found := [file.parent for file in path.glob(pattern)]:
            return found
    return []


def _place(run: RunFolder) -> tuple[int, int, str]:
    """By seed, then by name, of which fold-2 comes before fold-10."""
    return run.experiment.seed, len(run.path.name), run.path.name


def _must_be_one_recipe(folder: GroupFolder) -> None:
    first, *others = folder.runs
    for other in others:
        if asked_of(other) != asked_of(first):
            raise RunError(
                f"{folder.path} holds runs of several recipes, such as {first.path.name} and {other.path.name}. An "
                "ensemble has nets that differ in nothing but seed or fold: give a folder with these alone, such as "
                "the entry of a study, or a single run."
            )
        _must_agree(first, other, "the classes", first.class_names, other.class_names)
        _must_agree(first, other, "images of", first.model.input_shape, other.model.input_shape)


def _must_agree(
    first: RunFolder, other: RunFolder, what: str, ours: Sequence[object], theirs: Sequence[object]
) -> None:
    """Raise RunError where two runs of one recipe were given other images, so that their answers cannot be averaged."""
    if ours != theirs:
        one, another = (listed([str(value) for value in values], most=10) for values in (ours, theirs))
        raise RunError(
            f"{first.path} and {other.path} cannot form an ensemble: {what} {one} are those of the first, and "
            f"{another} those of the second. Train one of them again on the other's images, or move it to another "
            "folder."
        )
