"""A run of a fold: its test split is that fold of all images, and nothing else of the experiment has seen it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.experiments.small_runs import do, experiment

from firstlight import experiments
from firstlight.experiments import Setup, set_up
from firstlight.types import Dataset, Images

FOLDS = 3
TABLES: dict[str, Any] = {
    "data": {"source": "in memory: two", "validation": 0.25, "folds": FOLDS, "fold": 1},
    "prepare": {"standardise": "pixel"},
    "model": {"name": "softmax-regression"},
    "training": {"epochs": 1},
}


def images(split: str, n: int, groups: bool = False) -> Images:
    draw = np.random.default_rng(n)
    ids = np.array([f"{split}/{number}" for number in range(n)])
    of = np.array([f"{split}-{number // 6}" for number in range(n)]) if groups else None
    pixels = draw.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8)
    return Images(pixels, np.arange(n) % 3, ids, ("a", "b", "c"), of)


@pytest.fixture
def published() -> Dataset:
    return Dataset("two", {"train": images("train", 36), "test": images("test", 18)})


def setups(dataset: Dataset, **changes: Any) -> list[Setup]:
    """That of each fold."""
    return [set_up(experiment(TABLES, data__fold=fold, **changes), dataset) for fold in range(1, FOLDS + 1)]


def ids(images: Images | None) -> set[str]:
    assert images is not None
    return set(images.ids.tolist())


def test_the_splits_of_the_source_are_one_and_each_image_is_tested_once(published: Dataset) -> None:
    found = setups(published)
    tested = [sample for setup in found for sample in setup.splits["test"].ids.tolist()]
    assert sorted(tested) == sorted({*ids(published.splits["train"]), *ids(published.splits["test"])})
    for setup in found:
        assert len(setup.splits["test"]) == 18
        assert setup.splits["test"].counts.tolist() == [6, 6, 6]
        assert setup.validation is not None
        assert len(setup.validation) == 9
        for one, other in combinations(setup.splits.values(), 2):
            assert not ids(one) & ids(other)
        assert any("is not comparable with published ones" in text for text in setup.warnings())
        assert "fold 1 of 3 of all images" in found[0].data_record().how_split
    shifts = [setup.task.preparation.shift for setup in found]  # fitted on the training images of each
    assert not np.array_equal(shifts[0], shifts[1])


def test_the_same_seed_gives_the_same_folds_and_another_others(published: Dataset) -> None:
    first, again, other = (setups(published, seed=seed)[0].splits["test"] for seed in (0, 0, 1))
    assert ids(first) == ids(again) != ids(other)
    assert ids(setups(published, seed=1, data__split_seed=0)[0].splits["test"]) == ids(first)


def test_no_group_is_on_two_sides() -> None:
    whole = Dataset("two", {"train": images("train", 72, groups=True)})
    for setup in setups(whole):
        sides = [set((of.groups if of.groups is not None else np.zeros(0)).tolist()) for of in setup.splits.values()]
        assert all(sides)
        assert not any(one & other for one, other in combinations(sides, 2))
        record = setup.data_record()
        assert "in whole groups" in record.how_split
        assert set(setup._drawn) == {"validation", "test"}
        assert setup._drawn["test"] == pytest.approx(1 / FOLDS)


def test_of_classes_that_are_left_out_there_may_be_few(published: Dataset) -> None:
    few = published.splits["train"].take(np.flatnonzero(published.splits["train"].labels < 2))
    one = published.splits["test"].take(np.array([2]))
    dataset = Dataset("two", {"train": few, "test": one})
    tested = [setup.splits["test"] for setup in setups(dataset, data__classes=["b", "a"])]
    assert sorted(sample for of in tested for sample in of.ids.tolist()) == sorted(ids(few))
    assert all(of.class_names == ("b", "a") for of in tested)


def test_its_images_are_found_again(published: Dataset, tmp_path: Path) -> None:
    tables = {**TABLES, "data": {**TABLES["data"], "fold": 2}}
    folder = do(tables, tmp_path / "run", published)
    given, splits = experiments.reload_splits(folder, published)
    assert set(given.splits) == {"train", "test"}  # as the source brings them
    made = set_up(experiment(tables), published)
    assert {name: of.ids.tolist() for name, of in splits.items()} == {
        name: of.ids.tolist() for name, of in made.splits.items()
    }
    assert experiments.holds(folder, made)
