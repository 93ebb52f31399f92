"""Folds carried out: each image is tested once, what is missing is done, and a search never sees the test fold."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from firstlight import api, experiments, parallel, report
from firstlight.errors import DataError, ExperimentError, RunError
from firstlight.experiments.study import Plan, over_folds, plan
from firstlight.files import json_object
from firstlight.records import out_of_fold, run_folder
from firstlight.records.group import of_study
from firstlight.records.out_of_fold import OUT_OF_FOLD
from firstlight.records.study_folder import FoldKey, StudyFolder

QUIET = Console(quiet=True)
FOLDS = 3
IMAGES = 48  # of three classes


@pytest.fixture(scope="module", autouse=True)
def no_reports() -> Iterator[None]:
    """They are drawn elsewhere, and take longer than the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "write", lambda subject, out=None: out)
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that are told apart by which third is bright."""
    path = tmp_path_factory.mktemp("images") / "thirds.npz"
    draw, labels = np.random.default_rng(0), np.arange(IMAGES) % 3
    pixels = draw.integers(0, 100, (IMAGES, 6, 6), dtype=np.uint8)
    for pixel, label in zip(pixels, labels, strict=True):
        pixel[2 * label : 2 * label + 2] += 60
    np.savez(path, images=pixels, labels=np.array(["top", "middle", "bottom"])[labels])
    return path


def tables(images: Path, **changes: Any) -> dict[str, Any]:
    return {
        "data": {"source": str(images), "validation": 0.2},
        "model": {"name": "softmax-regression"},
        "training": {"epochs": 1, "batch_size": 8},
        **changes,
    }


def compared(images: Path, **changes: Any) -> Plan:
    runs = [{"name": "slow", "optimizer": {"lr": 0.001}}, {"name": "fast", "optimizer": {"lr": 0.01}}]
    return plan({"title": "Two rates", "folds": FOLDS, "defaults": tables(images), "run": runs, **changes}, "rates")


def carried_out(planned: Plan, out: Path, **options: Any) -> StudyFolder:
    return parallel.run_study(planned, out, console=QUIET, **options)


@pytest.fixture(scope="module")
def study(images: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return carried_out(compared(images), tmp_path_factory.mktemp("studies") / "rates")


@pytest.fixture
def copy(study: StudyFolder, tmp_path: Path) -> Path:
    shutil.copytree(study.path, tmp_path / "rates")
    return tmp_path / "rates"


def test_each_image_is_tested_once_by_a_net_that_has_not_seen_it(study: StudyFolder) -> None:
    assert study.folds == FOLDS
    for entry in study.entries:
        assert study.keys(entry) == tuple(FoldKey(0, fold) for fold in (1, 2, 3))
        runs = study.finished(entry)
        place = study.folds_folder(entry, 0)
        assert [run.path for run in runs.values()] == [place / f"fold-{fold}" for fold in (1, 2, 3)]
        found = out_of_fold.read(place)
        assert found is not None
        assert len(found) == IMAGES == len(set(found.ids.tolist()))
        for key, run in runs.items():
            assert isinstance(key, FoldKey)
            mine = found.folds == key.fold
            test, splits = run.predictions["test"], run.data.splits
            assert np.array_equal(found.probabilities[mine], test.probabilities)
            assert set(found.ids[mine].tolist()) == set(splits["test"].ids)
            assert not set(splits["test"].ids) & {*splits["train"].ids, *splits["validation"].ids}
            assert min(splits["test"].counts) >= IMAGES // 3 // FOLDS
    first, second = (study.finished(entry) for entry in study.entries)
    assert all(first[key].data.splits == second[key].data.splits for key in first)


def test_what_is_missing_is_done_and_the_record_made_anew(images: Path, copy: Path) -> None:
    place = copy / "fast" / "seed-0"
    before = out_of_fold.read(place)
    shutil.rmtree(place / "fold-2" / run_folder.CHECKPOINTS)
    (place / "fold-2" / run_folder.RESULT).unlink()
    (place / OUT_OF_FOLD).unlink()
    (copy / "slow" / "seed-0" / OUT_OF_FOLD).write_bytes(b"cut off")
    kept = (place / "fold-1" / run_folder.RESULT).stat().st_mtime_ns
    carried_out(compared(images), copy)
    after = out_of_fold.read(place)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(after.probabilities, before.probabilities)
    assert (place / "fold-1" / run_folder.RESULT).stat().st_mtime_ns == kept
    assert out_of_fold.read(copy / "slow" / "seed-0") is not None


def test_a_fold_that_fails_leaves_the_others_and_no_record(images: Path, copy: Path) -> None:
    place = copy / "fast" / "seed-0"
    (place / "fold-2" / run_folder.EXPERIMENT).write_text("seed = ")
    (place / "fold-2" / run_folder.RESULT).unlink()
    (place / OUT_OF_FOLD).unlink()
    shutil.rmtree(place / "fold-3")
    with pytest.raises(RunError, match=r"fast, seed 0, fold 2: .*experiment.toml is damaged"):
        carried_out(compared(images), copy)
    assert (place / "fold-3" / run_folder.RESULT).is_file()
    assert not (place / OUT_OF_FOLD).exists()
    slow, fast = of_study(StudyFolder.open(copy))
    assert (slow.missing, fast.missing) == ((), (FoldKey(0, 2),))


def test_a_group_over_folds_pools_what_its_nets_said(study: StudyFolder) -> None:
    for group in of_study(study):
        assert (group.noun, group.over_folds, group.seeds) == ("fold", True, [0])
        assert group.title(FoldKey(0, 2)) == "fold 2"
        assert group.pooled is not None
        assert group.pooled.images == IMAGES == int(group.confusion.sum())
        np.testing.assert_array_equal(group.pooled.confusion, group.confusion)
        assert group.pooled.accuracy == pytest.approx(np.mean(list(group.accuracies.values())))  # of equal folds


def test_other_folds_are_not_taken_for_these(images: Path, copy: Path) -> None:
    with pytest.raises(ExperimentError, match="with 3 folds, not with 4 folds"):
        carried_out(compared(images, folds=4), copy)
    with pytest.raises(ExperimentError, match="with 3 folds, not with no folds"):
        carried_out(compared(images, folds=None), copy)


def test_more_folds_than_images_of_a_class_are_told_before_anything_starts(images: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few for 20 folds"):
        carried_out(over_folds(tables(images), 20, "many"), tmp_path / "many")
    assert not (tmp_path / "many").exists()


def test_a_later_fold_that_cannot_be_shared_out_is_told_before_anything_starts(images: Path, tmp_path: Path) -> None:
    with np.load(images) as held:
        arrays = dict(held)
    arrays["writer"] = np.where(np.arange(IMAGES) % 2, 0, np.arange(IMAGES))  # half of them are one group
    np.savez(tmp_path / "halves.npz", **arrays)
    asked = tables(images)
    asked["data"] = {**asked["data"], "source": str(tmp_path / "halves.npz"), "group": "writer"}
    experiments.set_up(experiments.Experiment.of({**asked, "data": {**asked["data"], "folds": 2, "fold": 1}}))
    with pytest.raises(DataError, match="there would be no images of class"):
        carried_out(over_folds(asked, 2, "halves"), tmp_path / "halves")
    assert not (tmp_path / "halves").exists()


def test_a_search_is_done_in_each_fold_and_never_sees_its_test_images(images: Path, tmp_path: Path) -> None:
    searched = {"space": {"optimizer.lr": [0.001, 0.01]}, "tune": {"sampler": "grid"}}
    folder = carried_out(over_folds(tables(images, seed=7, **searched), 2, "nested"), tmp_path / "nested")
    (entry,) = folder.entries
    for key, run in folder.finished(entry).items():
        assert isinstance(key, FoldKey)
        search = folder.path / f"search-settings-seed-7-fold-{key.fold}"
        result = json_object((search / run_folder.RESULT).read_bytes())
        assert len(result["trials"]) == 2
        trial = run_folder.RunFolder(search / "trials" / "0001").experiment.data
        assert (trial.folds, trial.fold) == (2, key.fold) == (run.experiment.data.folds, run.experiment.data.fold)
        assert run.experiment.optimizer.options["lr"] in (0.001, 0.01)
    assert out_of_fold.read(folder.folds_folder(entry, 7)) is not None


def test_folds_from_python_go_on_with_the_same_call(images: Path, tmp_path: Path) -> None:
    folder = api.run(tables(images), folds=FOLDS, out=tmp_path / "folds", console=QUIET)
    place = folder.folds_folder(folder.entries[0], 0)
    first = out_of_fold.read(place)
    shutil.rmtree(place / "fold-3")
    api.resume_study(folder.path, console=QUIET)
    again = out_of_fold.read(place)
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(again.probabilities, first.probabilities)
    assert api.run(tables(images), folds=FOLDS, out=tmp_path / "folds", console=QUIET).path == folder.path


def test_what_is_of_a_single_run_is_refused_with_folds(images: Path) -> None:
    with pytest.raises(ExperimentError, match="live and reuse are for a single run"):
        api.run(tables(images), folds=FOLDS, reuse=True)  # type: ignore[call-overload]
    with pytest.raises(ExperimentError, match="workers need folds"):
        api.run(tables(images), workers=2)  # type: ignore[call-overload]
