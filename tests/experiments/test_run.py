"""From an experiment to a run folder, and on with it after a stop."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tests.experiments import small_runs
from tests.experiments.small_runs import QUIET

from firstlight import data, experiments, files
from firstlight.console import TrainingProgress
from firstlight.errors import ExperimentError, RunError, TrainingError
from firstlight.evaluation import measure
from firstlight.experiments import Experiment, Setup
from firstlight.records import record_files, run_folder
from firstlight.records.codec import encode
from firstlight.records.locked_folder import locked_folder
from firstlight.records.run import read
from firstlight.records.run_folder import RunFolder
from firstlight.report.sections import cautions
from firstlight.report.settings import settings
from firstlight.types import Dataset, Images

TABLES: dict[str, Any] = {
    "data": {"source": "digits", "limit": 200},
    "model": {"name": "mlp-128", "units": [16]},
    "training": {"epochs": 3},
}
experiment, do = partial(small_runs.experiment, TABLES), partial(small_runs.do, TABLES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return do(tmp_path_factory.mktemp("runs") / "one", penalty__l2=1e-3)


def test_the_folder_holds_everything(run: RunFolder) -> None:
    assert {path.name for path in run.path.iterdir()} == {
        *("experiment.toml", "environment.json", "data.json", "model.json", "weights.safetensors", "history.csv"),
        *("predictions.npz", "novelty.npz", "samples.npz", "hashes.json", "result.json", "checkpoints", ".lock"),
    }
    assert Experiment.of(run.experiment.tables) == experiment(penalty__l2=1e-3)
    assert (run.environment.threads or 0) >= 1
    assert run.data.splits["train"].images == 200
    assert sum(run.data.splits["train"].counts) == 200
    assert run.finished


def test_the_numbers_follow_from_the_predictions(run: RunFolder) -> None:
    for split in ("validation", "test"):
        found = run.predictions[split]
        result = getattr(run.result, split)
        assert found.ids.tolist() == list(run.data.splits[split].ids)
        assert result.accuracy == pytest.approx(float((found.predicted == found.labels).mean()))
        again = measure(found, run.class_names, result.loss)
        assert again.to_json() == encode(result)
        chosen = np.maximum(found.probabilities[np.arange(len(found)), found.labels], 1e-30)
        assert result.loss == pytest.approx(float(-np.log(chosen).mean()), rel=1e-4)


def test_the_history_is_of_the_best_epoch_kept(run: RunFolder) -> None:
    assert list(run.history) == [
        *("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "penalty", "learning_rate", "seconds")
    ]
    best = run.result.epochs.best
    assert run.result.validation is not None
    assert run.result.validation.accuracy == pytest.approx(run.history["val_accuracy"][best - 1])
    assert run.result.validation.loss == pytest.approx(run.history["val_loss"][best - 1], rel=1e-5)
    assert (run.history["penalty"] > 0).all()


def test_samples_are_of_their_split_and_hold_the_worst_mistakes(run: RunFolder) -> None:
    for split, images in run.samples.items():
        assert set(images.ids) <= set(run.data.splits[split].ids)
        assert set(images.labels) == set(range(10)), "every class is shown"
    found = run.predictions["test"]
    wrong = np.flatnonzero(~found.correct)
    worst = wrong[found.confidence[wrong].argsort()[-3:]]
    assert set(found.ids[worst]) <= set(run.samples["test"].ids)


def test_the_preparation_is_fitted_on_the_training_images_alone(digits: Dataset) -> None:
    changed = experiments.set_up(experiment(prepare__standardise="channel"), digits)
    pixels = changed.train.pixels.astype(float)
    scale, shift = changed.task.preparation.scale_shift(np.float64)
    prepared = pixels * scale[0, 0, 0] + shift[0, 0, 0]
    assert prepared.mean() == pytest.approx(0, abs=1e-9)
    assert prepared.std() == pytest.approx(1)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path: Path, run: RunFolder) -> None:
    again = do(tmp_path / "again", penalty__l2=1e-3)
    other = do(tmp_path / "other", penalty__l2=1e-3, seed=1)
    weights = [(folder.path / run_folder.WEIGHTS).read_bytes() for folder in (run, again, other)]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


@pytest.mark.parametrize("stopped_after", [0, 1, 2])
@pytest.mark.parametrize("steps", [None, 5])
def test_a_run_cut_off_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path, steps: int | None, stopped_after: int
) -> None:
    settings = {"optimizer__name": "sgd", "optimizer__momentum": 0.9, "schedule__name": "cosine"}
    settings |= {"model__name": "pyramid-regularised", "model__units": [16, 8], "model__dropout": [0.0, 0.2]}
    settings |= {} if steps is None else {"training__steps_per_epoch": steps}
    whole = do(tmp_path / "whole", **settings)

    class PowerCut(Exception):  # noqa: N818
        pass

    class Cut(TrainingProgress):
        def epoch_done(self, row: dict[str, float], best: bool) -> None:
            if row["epoch"] == stopped_after:
                raise PowerCut

        def training_started(self, epochs: int, images: int, done: int) -> None:
            if stopped_after == 0:
                raise PowerCut

    setup = experiments.set_up(experiment(**settings))
    with pytest.raises(PowerCut):
        experiments.start(setup, tmp_path / "cut", Cut(Console(quiet=True)))
    assert not RunFolder.open(tmp_path / "cut").finished
    with pytest.raises(RunError, match="firstlight resume"):
        _ = RunFolder.open(tmp_path / "cut").result
    resumed = experiments.resume(tmp_path / "cut", QUIET)
    assert (resumed.path / run_folder.WEIGHTS).read_bytes() == (whole.path / run_folder.WEIGHTS).read_bytes()
    for name in ("loss", "val_loss", "accuracy", "learning_rate"):
        assert resumed.history[name].tolist() == whole.history[name].tolist()


def test_a_complete_run_is_not_resumed(run: RunFolder) -> None:
    with pytest.raises(RunError, match="nothing to resume"):
        experiments.resume(run.path, QUIET)


def test_a_run_whose_images_changed_is_not_resumed(tmp_path: Path, few_digits: Dataset) -> None:
    folder = do(tmp_path / "a", few_digits)
    (folder.path / run_folder.RESULT).unlink()
    train = few_digits.splits["train"]
    other = Dataset("few-digits", {"train": train.take(np.arange(299))})
    with pytest.raises(RunError, match="no longer the same"):
        experiments.resume(folder.path, QUIET, dataset=other)
    experiments.resume(folder.path, QUIET, dataset=few_digits)


def test_images_that_are_gone_are_named_with_what_to_do(tmp_path: Path, few_digits: Dataset) -> None:
    train = few_digits.splits["train"]
    place = tmp_path / "mine.npz"
    np.savez(place, images=train.pixels, labels=train.labels)
    folder = do(tmp_path / "a", data__source=str(place))
    place.rename(tmp_path / "elsewhere.npz")
    with pytest.raises(RunError, match=r"were in .*mine\.npz, which is gone\. Put them back.*--data PATH with resume"):
        experiments.reload_splits(folder)
    moved = data.load(tmp_path / "elsewhere.npz")
    assert experiments.reload_splits(folder, moved)[1].keys() == folder.data.splits.keys()


def test_a_folder_in_the_way_is_left_alone(run: RunFolder) -> None:
    before = sorted(path.stat().st_mtime_ns for path in run.path.iterdir())
    with pytest.raises(RunError, match="exists already"):
        do(run.path)
    assert sorted(path.stat().st_mtime_ns for path in run.path.iterdir()) == before


def test_nothing_is_left_of_a_run_that_could_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record_files, "write_json", full)
    with pytest.raises(RunError, match="No space left on device"):
        do(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_disk_that_fills_in_training_loses_nothing_that_was_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = do(tmp_path / "whole")
    from firstlight.training import checkpoints

    original = files.write_bytes
    written: list[Path] = []

    def soon_full(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) > 2:
            raise OSError(28, "No space left on device")
        original(path, data)

    monkeypatch.setattr(checkpoints, "write_bytes", soon_full)
    with pytest.raises(RunError, match=r"Free some space.*firstlight resume"):
        do(tmp_path / "a")
    monkeypatch.undo()
    resumed = experiments.resume(tmp_path / "a", QUIET)
    assert (resumed.path / run_folder.WEIGHTS).read_bytes() == (whole.path / run_folder.WEIGHTS).read_bytes()


def test_a_loss_that_explodes_at_once_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"(?s)learning rate of 1e\+30.*Nothing was saved"):
        do(tmp_path / "a", optimizer__name="sgd", optimizer__lr=1e30, loss__name="mse")
    assert not (tmp_path / "a").exists()


def test_what_was_learnt_before_a_loss_exploded_is_measured_and_kept(tmp_path: Path) -> None:
    settings = {"optimizer__name": "sgd", "optimizer__lr": 10.0, "loss__name": "half-mse", "schedule__warmup": 5}
    folder = do(tmp_path / "a", training__epochs=6, **settings)
    assert folder.result.status == "diverged"
    assert "learning rate" in folder.result.stopped_because
    assert 1 <= folder.result.epochs.run < 6
    assert folder.result.test.images == 359
    assert np.isfinite(folder.history["val_loss"]).all()
    with pytest.raises(RunError, match=r"complete \(diverged\)"):
        experiments.resume(folder.path, QUIET)


def test_the_epoch_of_the_weights_is_recorded(tmp_path: Path) -> None:
    settings = {"training__epochs": 6, "optimizer__lr": 0.05}
    best = do(tmp_path / "a", **settings)
    last = do(tmp_path / "b", training__restore_best=False, **settings)
    assert best.result.epochs.weights == best.result.epochs.best == last.result.epochs.best
    assert last.result.epochs.weights == 6
    assert last.result.validation is not None
    assert last.result.validation.accuracy == pytest.approx(last.history["val_accuracy"][-1])


def test_two_processes_do_not_write_one_run(tmp_path: Path, run: RunFolder) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(run.path, cut)
    (cut / run_folder.RESULT).unlink()
    before = {path.name for path in cut.iterdir()}
    with locked_folder(cut), pytest.raises(RunError, match="another process"):
        experiments.resume(cut, QUIET)
    assert {path.name for path in cut.iterdir()} == before, "the loser leaves it alone"
    experiments.resume(cut, QUIET)


def test_a_folder_made_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = experiments.set_up(experiment())

    class Slow(TrainingProgress):
        def note(self, text: str) -> None:
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "precious").touch()

    with pytest.raises(RunError, match="exists already"):
        experiments.start(setup, tmp_path / "a", Slow(Console(quiet=True)))
    assert (tmp_path / "a" / "precious").exists()


def damaged(run: RunFolder, copy: Path) -> Path:
    """A copy of the run, cut off, whose checkpoints are all damaged."""
    shutil.copytree(run.path, copy)
    for arrays in copy.glob("checkpoints/*/arrays.safetensors"):
        arrays.write_bytes(arrays.read_bytes() + b"x")
    (copy / run_folder.RESULT).unlink()
    return copy


def test_damaged_checkpoints_are_not_started_over(tmp_path: Path, run: RunFolder) -> None:
    copy = damaged(run, tmp_path / "a")
    before = {path.name: path.stat().st_mtime_ns for path in copy.iterdir()}
    with pytest.raises(RunError, match=r"damaged \(epoch-00003, epoch-00002\)"):
        experiments.resume(copy, QUIET)
    assert {path.name: path.stat().st_mtime_ns for path in copy.iterdir()} == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("units = [\n    16,\n]", "units = [8]"), ('name = "adam"', 'name = "rmsprop"\n[unused]')],
)
def test_an_experiment_changed_since_is_not_resumed(tmp_path: Path, run: RunFolder, old: str, new: str) -> None:
    copy = tmp_path / "a"
    shutil.copytree(run.path, copy)
    (copy / run_folder.RESULT).unlink()
    file = copy / run_folder.EXPERIMENT
    assert old in file.read_text()
    text = file.read_text().replace(old, new)
    if "[unused]" in new:
        lines = text.replace("\n[unused]", "").splitlines()
        text = "\n".join(line for line in lines if not line.startswith(("beta", "epsilon")))
    file.write_text(text)
    with pytest.raises(RunError, match=r"was changed after epoch 3 .*(model\.units|optimizer\.name) was"):
        experiments.resume(copy, QUIET)


def edited(run: RunFolder, copy: Path, **changes: Any) -> Path:
    """A copy of the run, cut off, whose experiment was changed afterwards."""
    shutil.copytree(run.path, copy)
    (copy / run_folder.RESULT).unlink()
    changed = small_runs.experiment(run.experiment.tables, **changes)
    (copy / run_folder.EXPERIMENT).write_text(changed.to_toml())
    return copy


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimizer__lr": 0.5, "seed": 7}, ["optimizer.lr was 0.001, is 0.5", "seed was 0, is 7"]),
        ({"data__validation": 0.2}, ["data.validation"]),
        ({"training__monitor": "val_loss"}, ["training.monitor"]),
        ({"schedule__name": "cosine"}, ["schedule.name was 'constant', is 'cosine'"]),
        ({"training__epochs": 2}, ["training.epochs was 3, is 2"]),
        ({"precision": "float64"}, ["precision"]),
    ],
)
def test_what_was_changed_after_epochs_were_trained_is_named(
    tmp_path: Path, run: RunFolder, changes: dict[str, Any], told: list[str]
) -> None:
    """Otherwise every record would say that all epochs were trained so."""
    copy = edited(run, tmp_path / "a", **changes)
    with pytest.raises(RunError, match="was changed after epoch 3") as refused:
        experiments.resume(copy, QUIET)
    assert all(part in str(refused.value) for part in told)
    assert f"--init-from {copy}" in str(refused.value)


def test_more_epochs_are_the_longer_run_where_the_learning_rates_stay(tmp_path: Path, run: RunFolder) -> None:
    longer = experiments.resume(edited(run, tmp_path / "a", training__epochs=5), QUIET)
    whole = do(tmp_path / "whole", penalty__l2=1e-3, training__epochs=5)
    assert (longer.path / run_folder.WEIGHTS).read_bytes() == (whole.path / run_folder.WEIGHTS).read_bytes()
    assert longer.result.epochs == whole.result.epochs
    falling = do(tmp_path / "falling", schedule__name="cosine")
    with pytest.raises(RunError, match=r"training\.epochs was 3, is 5"):
        experiments.resume(edited(falling, tmp_path / "b", training__epochs=5), QUIET)


def test_a_change_before_the_first_epoch_is_the_plan(tmp_path: Path, run: RunFolder) -> None:
    copy = edited(run, tmp_path / "a", optimizer__lr=0.5)
    shutil.rmtree(copy / run_folder.CHECKPOINTS)
    assert set(experiments.resume(copy, QUIET).history["learning_rate"]) == {0.5}


@pytest.mark.parametrize("changes", [{"penalty__l2": 1e-4}, {"data__validation": 0.0}])
def test_numbers_beyond_all_bounds_leave_no_folder(tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = {"optimizer__name": "sgd", "optimizer__lr": 1e38, "training__batch_size": 500, "training__epochs": 1}
    with pytest.raises(TrainingError, match=r"overflowed|became"):
        do(tmp_path / "a", **(settings | changes))
    assert not (tmp_path / "a").exists()


def test_a_resumed_run_is_in_progress_until_its_own_result_is_there(tmp_path: Path, run: RunFolder) -> None:
    copy = tmp_path / "a"
    shutil.copytree(run.path, copy)
    result = json.loads((copy / run_folder.RESULT).read_text()) | {"status": "interrupted"}
    (copy / run_folder.RESULT).write_text(json.dumps(result))
    experiment_file = copy / run_folder.EXPERIMENT
    experiment_file.write_text(experiment_file.read_text().replace("epochs = 3", "epochs = 4"))
    seen: list[bool] = []

    class Look(TrainingProgress):
        def training_started(self, epochs: int, images: int, done: int) -> None:
            seen.append(RunFolder.open(copy).finished)

    resumed = experiments.resume(copy, Look(Console(quiet=True)))
    assert seen == [False]
    assert resumed.result.epochs.run == 4
    assert resumed.result.measured_before is True, "the test images were measured when it was interrupted"
    assert not run.result.measured_before


def test_early_stopping_needs_something_to_judge_by() -> None:
    with pytest.raises(ExperimentError, match=r"training\.early_stopping needs validation"):
        experiments.set_up(experiment(data__validation=0.0, training__early_stopping=2))


def test_steps_per_epoch_take_full_batches() -> None:
    with pytest.raises(ExperimentError, match=r"training\.steps_per_epoch takes full batches.*200 training images"):
        experiments.set_up(experiment(training__steps_per_epoch=2, training__batch_size=300))


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_steps_per_epoch_reach_rates_costs_and_records(tmp_path: Path, engine: str) -> None:
    changes = {"training__steps_per_epoch": 4, "training__batch_size": 20, "training__epochs": 6, "engine": engine}
    changes |= {"training__cost_every": 3, "schedule__name": "exponential", "schedule__factor": 0.5, "device": "cpu"}
    run = do(tmp_path / "run", **changes)
    assert run.costs is not None
    assert run.costs["step"].tolist() == [3, 6, 9, 12, 15, 18, 21, 24]
    rate = run.history["learning_rate"]
    np.testing.assert_allclose(rate, rate[0] * 0.5 ** np.arange(6), rtol=1e-12)  # of the fourth step of each epoch
    seconds = run.result.seconds.train
    assert run.result.images_per_second == pytest.approx(6 * 80 / seconds)
    asked = dict(settings(read(run)))
    assert asked["Epochs"].startswith("6, each of 4 steps: 80 images, where there are 200 to train on")


def test_a_warm_up_longer_than_the_training_is_found_before_the_first_step() -> None:
    with pytest.raises(ExperimentError, match=r"schedule\.warmup"):
        experiments.set_up(experiment(schedule__warmup=3))


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("result.json", "status"),
        ("data.json", "splits"),
        ("model.json", "preparation"),
    ],
)
def test_a_record_without_its_keys_is_damaged(tmp_path: Path, run: RunFolder, file: str, key: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    value = json.loads((copy / file).read_text())
    del value[key]
    (copy / file).write_text(json.dumps(value))
    with pytest.raises(RunError, match=f"has no '{key}'"):
        getattr(RunFolder.open(copy), file.partition(".")[0])


def test_no_validation_split_means_no_validation_columns(tmp_path: Path) -> None:
    folder = do(tmp_path / "a", data__validation=0.0)
    assert "val_loss" not in folder.history
    assert set(folder.predictions) == {"test"}
    assert folder.result.epochs.best == 3


def test_leaks_are_warned_of(few_digits: Dataset) -> None:
    train = few_digits.splits["train"]
    copies = train.take(np.arange(7))
    again = Images(copies.pixels, copies.labels, np.char.add("again/", copies.ids), copies.class_names)
    leaky = Dataset("leaky", {"train": train, "test": again})
    setup: Setup = experiments.set_up(experiment(data__limit=None), leaky)
    assert any("7" in warning and "leak" in warning for warning in setup.warnings())
    assert len(setup.findings.leaks) >= 7


@pytest.mark.parametrize("damage", ["result.json", "data.json", "history.csv", "predictions.npz", "experiment.toml"])
def test_damaged_records_are_named(tmp_path: Path, run: RunFolder, damage: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    data = (copy / damage).read_bytes()
    (copy / damage).write_bytes(data[: len(data) // 2] + b"\xff")
    folder = RunFolder.open(copy)
    with pytest.raises(RunError, match=damage.replace(".", r"\.")):
        getattr(folder, damage.partition(".")[0])


def test_a_newer_format_is_refused(tmp_path: Path, run: RunFolder) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    (copy / "result.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(RunError, match=r"format 99.*pip install --upgrade"):
        _ = RunFolder.open(copy).result


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run folder"):
        RunFolder.open(tmp_path / "absent")
    with pytest.raises(RunError, match="not a run folder"):
        RunFolder.open(tmp_path)


def test_a_few_images_are_enough_for_the_samples() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1)
    images = Images(pixels, np.array([0] * 10 + [1] * 2), np.array([f"{i}" for i in range(12)]), ("a", "b"))
    from firstlight.experiments.train import _spread

    chosen = _spread(images, 0)
    assert sorted(chosen.tolist()) == list(range(12))


def test_no_epoch_at_all_measures_the_weights_it_starts_from(run: RunFolder, tmp_path: Path) -> None:
    loaded = do(tmp_path / "loaded", weights__init_from=str(run.path), training__epochs=0)
    for split, predictions in run.predictions.items():
        np.testing.assert_array_equal(loaded.predictions[split].probabilities, predictions.probabilities)
    assert loaded.result.epochs.run == 0
    assert loaded.result.status == "finished"


def test_costs_within_the_epochs_are_kept_and_go_on_after_a_stop(tmp_path: Path) -> None:
    changes = {"training__cost_every": 4, "training__epochs": 3, "training__batch_size": 20, "data__validation": 0}
    whole = do(tmp_path / "whole", **changes)
    assert whole.costs is not None
    assert whole.costs["step"].tolist() == [4, 8, 12, 16, 20, 24, 28]  # 200 images, ten steps per epoch
    first, second = whole.costs["loss"][:2]  # two spans of 80 images, and 40 that the next epoch does not count
    assert whole.history["loss"][0] * 200 > 80 * (first + second)
    assert (np.diff(whole.costs["loss"]) < 0.1).all()

    cut = do(tmp_path / "cut", **{**changes, "training__epochs": 1})
    text = (cut.path / run_folder.EXPERIMENT).read_text()
    (cut.path / run_folder.EXPERIMENT).write_text(text.replace("epochs = 1\n", "epochs = 3\n"))
    (cut.path / run_folder.RESULT).unlink()
    resumed = experiments.resume(cut.path, QUIET)
    assert resumed.costs is not None
    np.testing.assert_array_equal(resumed.costs["loss"], whole.costs["loss"])


def test_a_published_split_can_be_pooled_and_the_run_is_recalled(digits: Dataset, tmp_path: Path) -> None:
    parts = data.split(digits, test=0.3, validation=0)
    arrays = {
        f"{name}_{key}": values
        for name, part in parts.items()
        for key, values in (("images", part.pixels), ("labels", part.labels))
    }
    np.savez(tmp_path / "mine.npz", **arrays)  # type: ignore[arg-type]
    pooled = do(tmp_path / "run", data__source=str(tmp_path / "mine.npz"), data__pool=True)
    splits = pooled.data.splits
    assert splits["test"].images == round(0.2 * len(digits.splits["train"]))
    assert {sample.split("/")[0] for sample in splits["test"].ids} == {"train", "test"}
    assert "pooled" in pooled.data.how_split
    _, again = experiments.reload_splits(pooled)
    for name in ("test", "train"):
        assert again[name].ids.tolist() == list(splits[name].ids)


def test_a_net_without_compiled_operations_says_so_on_the_screen_in_the_record_and_in_the_report(
    tmp_path: Path, few_digits: Dataset
) -> None:
    layers = [{"type": "Flatten"}, {"type": "Dense", "units": 9}, {"type": "Softmax"}, {"type": "Dense", "units": 10}]
    tables = {"data": {"source": "digits"}, "model": {"layers": layers}, "training": {"epochs": 1}}
    screen = Console(record=True, width=400)
    progress = TrainingProgress(screen)
    gated = experiments.start(experiments.set_up(Experiment.of(tables), few_digits), tmp_path / "gated", progress)
    assert screen.export_text().count("no compiled operation for the layer softmax1 (Softmax)") == 1
    assert gated.environment.not_compiled == "softmax1 (Softmax)"
    assert any("layer softmax1 (Softmax)" in text.text for text in cautions.of_run(read(gated)) if text.tone == "note")
    del layers[2]
    plain = experiments.start(experiments.set_up(Experiment.of(tables), few_digits), tmp_path / "plain", QUIET)
    assert plain.environment.not_compiled == ""
    assert not any("compiled" in text.text for text in cautions.of_run(read(plain)))
