"""Which runs are one recipe, by what their records say, and what the group is called."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.run_folders import STRONG, WEAK, MakeStudy, entry, write_run, write_study

from firstlight.records import run_folder
from firstlight.records.group import Group, of_runs, of_study, ranked, tasks, varied, winners
from firstlight.records.model import StartRecord
from firstlight.records.record_files import write_record
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.records.study_folder import RunKey


@pytest.fixture
def make_study(tmp_path: Path) -> MakeStudy:
    return lambda *entries, name="nets", **odd: write_study(tmp_path / name, *entries, **odd)


def make(path: Path, seed: int, origin: Path | None = None, **odd: Any) -> Path:
    """A run, whose weights started from those of the run at `origin`."""
    path.mkdir(parents=True)
    write_run(path, seed=seed, **odd)
    if origin is not None:
        with (path / run_folder.EXPERIMENT).open("a") as file:
            file.write(f'[weights]\ninit_from = "{origin}"\n')
        model = RunFolder(path).model
        start = StartRecord(origin=str(origin), location=str(origin.resolve()))
        write_record(path, run_folder.MODEL, replace(model, start=start))
    return path


def grouped(*paths: Path) -> dict[str, tuple[RunKey, ...]]:
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


def test_selection_ignores_the_test(make_study: MakeStudy) -> None:
    folder = make_study((entry("lucky", 2), STRONG), (entry("good", 2), WEAK))
    for seed in range(2):  # the validation results change places: now the better one on the test images is "lucky"
        places = [folder.place(each, seed) / run_folder.RESULT for each in folder.entries]
        first, second = (RunFolder(place.parent).result for place in places)
        for place, own, other in ((places[0], first, second), (places[1], second, first)):
            write_record(place.parent, run_folder.RESULT, replace(own, validation=other.validation))
    lucky, good = of_study(folder)
    assert lucky.accuracy.mean > good.accuracy.mean
    assert ranked([lucky, good]) == [good, lucky]
    assert winners([lucky, good]) == [good]


def test_without_a_validation_split_in_each_none_is_chosen(make_study: MakeStudy) -> None:
    groups = of_study(make_study((entry("weak", 1), WEAK), (entry("strong", 1), STRONG | {"validation": False})))
    assert ranked(groups) == list(groups)
    assert winners(groups) == []


def test_other_classes_are_another_task(make_study: MakeStudy) -> None:
    binary = {"class_names": ("even", "odd")}
    groups = of_study(make_study((entry("ten", 1), STRONG), (entry("frozen", 1), binary), (entry("tuned", 1), binary)))
    assert [[group.name for group in task] for task in tasks(groups)] == [["ten"], ["frozen", "tuned"]]


def test_summed_matrices_and_means_are_those_of_all_seeds(make_study: MakeStudy) -> None:
    (group,) = of_study(make_study((entry("weak", 3), WEAK)))
    tests = [record.test for record in group.runs.values()]
    assert group.confusion.sum() == 3 * 60
    assert (group.confusion == sum(test.confusion for test in tests)).all()
    first = group.class_accuracies()[0]
    assert first is not None
    assert first.mean == pytest.approx(np.mean([test.classes[0].accuracy for test in tests]))


def test_steps_of_one_number_are_known(make_study: MakeStudy) -> None:
    folder = make_study(*((entry(f"alpha-{k / 10}", 1), {}) for k in range(5)))
    for k, path in enumerate(sorted(folder.path.glob("*/seed-0/experiment.toml"))):
        path.write_text(path.read_text().replace("lr = 0.001", f"lr = 0.001\nlag = {k / 10}"))
    found = of_study(folder)
    assert varied(found) == "optimizer.lag"
    assert varied(found[:3]) is None
    assert varied([replace(found[0], runs={}), *found[1:]]) == "optimizer.lag"
    assert varied([replace(found[0], runs={}), *found[1:4]]) is None
    for path in folder.path.glob("alpha-0.1/seed-0/experiment.toml"):
        path.write_text(path.read_text().replace("batch_size = 32", "batch_size = 64"))
    assert varied(of_study(folder)) is None
