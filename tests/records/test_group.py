"""Which runs are one recipe, by what their records say, and what the group is called."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.report.run_folders import write_run

from firstlight.records import run_folder
from firstlight.records.group import Group, of_runs
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder


def make(path: Path, seed: int, origin: Path | None = None, **odd: Any) -> Path:
    """A run, whose weights started from those of the run at `origin`."""
    path.mkdir(parents=True)
    write_run(path, seed=seed, **odd)
    if origin is not None:
        with (path / run_folder.EXPERIMENT).open("a") as file:
            file.write(f'[weights]\ninit_from = "{origin}"\n')
        model = RunFolder(path).model
        start = {"from": str(origin), "location": str(origin.resolve())}
        run_folder.write_record(path, run_folder.MODEL, {**model, "start": start})
    return path


def grouped(*paths: Path) -> dict[str, tuple[int, ...]]:
    groups: tuple[Group, ...] = of_runs([read(RunFolder.open(path)) for path in paths])
    return {group.name: tuple(group.runs) for group in groups}


def test_the_seed_alone_makes_no_other_recipe_and_a_run_is_a_group_of_one(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a", 3), make(tmp_path / "b", 1)
    other = make(tmp_path / "c", 1, model="mlp-128")
    assert grouped(first, other, second) == {"b … a": (1, 3), "c": (1,)}


def test_the_same_run_twice_is_two_groups(tmp_path: Path) -> None:
    first = make(tmp_path / "a", 0)
    copy = Path(shutil.copytree(first, tmp_path / "b"))
    assert grouped(first, copy) == {"a": (0,), "b": (0,)}


def test_a_group_of_a_study_has_the_name_of_its_entry(tmp_path: Path) -> None:
    study = [make(tmp_path / "lenet5" / f"seed-{seed}", seed) for seed in (0, 1)]
    assert grouped(*study) == {"lenet5": (0, 1)}
    misnamed = make(tmp_path / "other" / "seed-7", 0, model="mlp-128")
    assert grouped(misnamed) == {"seed-7": (0,)}  # its record says seed 0
    copied = Path(shutil.copytree(study[0], tmp_path / "mine"))
    assert grouped(copied, study[1]) == {"mine … seed-1": (0, 1)}


def test_weights_of_runs_that_differ_in_the_seed_alone_are_one_start(tmp_path: Path) -> None:
    origins = [make(tmp_path / name, seed, model="mlp-128") for name, seed in (("first", 0), ("second", 1))]
    tuned = [make(tmp_path / f"tuned-{seed}", seed, origin) for seed, origin in enumerate(origins)]
    assert grouped(*tuned) == {"tuned-0 … tuned-1": (0, 1)}
    crossed = make(tmp_path / "crossed", 1, origins[0])  # from the weights of another seed
    assert grouped(tuned[0], crossed) == {"tuned-0": (0,), "crossed": (1,)}
    other = make(tmp_path / "other", 1, make(tmp_path / "third", 1, model="softmax-regression"))
    assert grouped(tuned[0], other) == {"tuned-0": (0,), "other": (1,)}


def test_where_the_first_runs_are_gone_their_places_in_the_study_tell(tmp_path: Path) -> None:
    tuned = []
    for seed in (0, 1):
        origin = make(tmp_path / "study" / "lenet5" / f"seed-{seed}", seed, model="mlp-128")
        tuned.append(make(tmp_path / "study" / "tuned" / f"seed-{seed}", seed, origin))
    assert grouped(*tuned) == {"tuned": (0, 1)}
    shutil.rmtree(tmp_path / "study" / "lenet5")
    assert grouped(*tuned) == {"tuned": (0, 1)}
