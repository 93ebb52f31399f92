"""What a run keeps of images that are of none of its classes."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.experiments.small_runs import do

import firstlight as fl
from firstlight.errors import DamagedFileError, ExperimentError, RunError
from firstlight.experiments import Experiment
from firstlight.experiments.novelty import NO_FEATURES, NO_VALIDATION
from firstlight.records.novelty import NoveltyRecord, read
from firstlight.records.run_folder import NOVELTY, RunFolder
from firstlight.types import Dataset

TABLES = {
    "data": {"source": "digits", "validation": 0.2},
    "model": {"name": "mlp-128", "units": [16]},
    "training": {"epochs": 6},
    "optimizer": {"lr": 0.01},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return do(TABLES, tmp_path_factory.mktemp("novelty") / "run")


def novelty(run: RunFolder) -> NoveltyRecord:
    found = read(run)
    assert found is not None
    return found


def test_a_run_keeps_the_distances_of_its_images(run: RunFolder) -> None:
    found = novelty(run)
    assert found.distances is not None
    assert found.threshold is not None
    assert (found.rate, found.reason) == (0.05, "")
    assert len(found.distances.validation) == len(run.predictions["validation"])
    assert len(found.distances.test) == len(run.predictions["test"])
    assert found.distances.whitening.shape == (16, 16)
    assert (np.diff(found.distances.test[found.distances.strangest]) <= 0).all()
    share = (found.distances.validation > found.threshold).mean()
    assert 0.03 < share <= 0.05


def test_it_is_hashed_and_the_same_each_time(run: RunFolder, tmp_path: Path) -> None:
    assert NOVELTY in run.hashes
    again = do(TABLES, tmp_path / "again")
    assert (again.path / NOVELTY).read_bytes() == (run.path / NOVELTY).read_bytes()


def test_noise_lies_beyond_the_threshold(run: RunFolder) -> None:
    found = novelty(run)
    loaded = fl.open_run(run.path)
    noise = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1), np.uint8)
    assert (loaded.strangeness(noise) > 1).mean() > 0.7
    assert found.distances is not None
    assert found.threshold is not None
    own = loaded.strangeness(loaded._own["test"])
    np.testing.assert_allclose(own, found.distances.test / found.threshold, rtol=1e-5)


def test_both_engines_find_the_same(run: RunFolder) -> None:
    pixels = fl.load("digits").splits["train"].pixels[:100]
    one, other = (fl.open_run(run.path, engine=name).strangeness(pixels) for name in ("numpy", "torch"))
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_another_rate_takes_another_threshold(run: RunFolder) -> None:
    pixels = fl.load("digits").splits["train"].pixels[:300]
    usual, strict, lax = (fl.open_run(run.path, false_alarm_rate=r).strangeness(pixels) for r in (None, 0.02, 0.2))
    assert (strict > 1).sum() < (usual > 1).sum() < (lax > 1).sum()


def test_several_nets_say_the_mean_of_their_strangeness(run: RunFolder, tmp_path: Path) -> None:
    other = do(TABLES, tmp_path / "pair" / "seed-1", seed=1, data__split_seed=0)
    do(TABLES, tmp_path / "pair" / "seed-0", data__split_seed=0)
    pixels = fl.load("digits").splits["train"].pixels[:20]
    pair, alone = fl.open_run(tmp_path / "pair"), [fl.open_run(path) for path in sorted((tmp_path / "pair").iterdir())]
    assert [one.path.name for one in alone] == ["seed-0", other.path.name]
    expected = np.mean([one.strangeness(pixels) for one in alone], axis=0)
    np.testing.assert_allclose(pair.strangeness(pixels), expected, rtol=1e-5)
    found = pair.measure()
    assert found.none_of_these is not None
    (other.path / NOVELTY).unlink()
    assert fl.open_run(tmp_path / "pair").measure().none_of_these is None


def test_without_validation_it_says_why(tmp_path: Path) -> None:
    tables = copy.deepcopy(TABLES) | {"data": {"source": "digits", "validation": 0.0, "limit": 60}}
    folder = do(tables, tmp_path / "run", training__epochs=1)
    assert novelty(folder).reason == NO_VALIDATION
    assert fl.open_run(folder.path).novelty is None
    with pytest.raises(RunError, match="no validation images"):
        fl.open_run(folder.path, false_alarm_rate=0.1).novelty  # noqa: B018


def test_too_few_validation_images_say_how_many_it_takes(run: RunFolder) -> None:
    n = len(run.predictions["validation"])
    assert f"{n:,}" in novelty(run).why_none(0.0005)
    assert "1,999" in novelty(run).why_none(0.0005)
    with pytest.raises(RunError, match="1,999"):
        fl.open_run(run.path, false_alarm_rate=0.0005).strangeness(np.zeros((1, 8, 8, 1), np.uint8))


@pytest.mark.parametrize("rate", [0, 1, -0.5, 2, float("nan"), "0.1"])
def test_a_rate_that_is_none(run: RunFolder, rate: float) -> None:
    with pytest.raises(ExperimentError, match="false_alarm_rate"):
        fl.open_run(run.path, false_alarm_rate=rate)
    with pytest.raises(ExperimentError, match="false_alarm_rate"):
        Experiment.of({**TABLES, "novelty": {"false_alarm_rate": rate if rate != "0.1" else "much"}})


def test_a_net_that_gives_the_same_for_all_images_says_why(tmp_path: Path) -> None:
    folder = do(
        TABLES, tmp_path / "run", data__limit=60, training__epochs=1, optimizer__lr=1e-9, model__activation="relu"
    )
    assert novelty(folder).reason == ""
    digits = fl.load("digits")
    blank = {
        name: type(s)(np.zeros_like(s.pixels), s.labels, s.ids, s.class_names) for name, s in digits.splits.items()
    }
    folder = do(TABLES, tmp_path / "blank", Dataset("blank", blank), training__epochs=1)
    assert novelty(folder).reason == NO_FEATURES


def test_a_run_of_an_earlier_version_says_nothing(run: RunFolder, tmp_path: Path) -> None:
    copied = tmp_path / "old"
    shutil.copytree(run.path, copied)
    (copied / NOVELTY).unlink()
    old = fl.open_run(copied)
    assert read(old.folder) is None
    assert old.novelty is None
    np.testing.assert_array_equal(
        old.predict(np.zeros((1, 8, 8, 1), np.uint8)), fl.open_run(run.path).predict(np.zeros((1, 8, 8, 1), np.uint8))
    )
    with pytest.raises(RunError, match="earlier version"):
        old.strangeness(np.zeros((1, 8, 8, 1), np.uint8))


def test_a_damaged_record_is_told(run: RunFolder, tmp_path: Path) -> None:
    copied = tmp_path / "damaged"
    shutil.copytree(run.path, copied)
    content = (copied / NOVELTY).read_bytes()
    (copied / NOVELTY).write_bytes(content[:-9] + bytes(9))
    with pytest.raises(RunError, match="damaged"):
        read(RunFolder.open(copied))
    result = json.loads((copied / "result.json").read_text())
    (copied / "result.json").write_text(json.dumps({**result, "hashed": False}))
    (copied / NOVELTY).write_bytes(content[:-40])
    with pytest.raises(DamagedFileError):
        read(RunFolder.open(copied))
