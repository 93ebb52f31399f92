"""Some of the classes, classes weighted, classes drawn equally often: whole runs, found again and continued."""

from __future__ import annotations

import json
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tests.experiments import small_runs
from tests.experiments.small_runs import QUIET

import firstlight as fl
from firstlight import data, experiments
from firstlight.console import TrainingProgress
from firstlight.errors import DataError, ExperimentError, FirstlightError, RunError
from firstlight.experiments import Experiment
from firstlight.records import run_folder
from firstlight.records.run_folder import RunFolder
from firstlight.types import Dataset

TABLES: dict[str, Any] = {
    "data": {"source": "digits"},
    "prepare": {"standardise": "channel"},
    "model": {"name": "mlp-128", "units": [16]},
    "training": {"epochs": 2},
}
experiment, do = partial(small_runs.experiment, TABLES), partial(small_runs.do, TABLES)


@pytest.fixture(scope="module")
def rare(digits: Dataset) -> Dataset:
    """The digits with only six eights to learn from; validation and test as they come."""
    splits = data.split(digits)
    train = splits["train"]
    eights = np.flatnonzero(train.labels == 8)
    return Dataset("rare", {**splits, "train": train.take(np.setdiff1d(np.arange(len(train)), eights[6:]))})


# --- some of the classes ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return do(tmp_path_factory.mktemp("runs") / "some", data__classes=["7", "1", "4"])


def test_a_run_on_some_classes_keeps_the_splits_of_one_on_all(some: RunFolder, digits: Dataset) -> None:
    assert some.class_names == ("7", "1", "4")
    assert some.data.class_names == ("7", "1", "4")
    before = some.data.before
    assert before is not None
    for name, images in data.split(digits).items():
        assert list(some.data.splits[name].ids) == images.ids[np.isin(images.labels, (7, 1, 4))].tolist()
        assert list(before.counts[name]) == images.counts.tolist()
    assert before.class_names == tuple(str(k) for k in range(10))
    assert "left out after the split (data.classes)" in some.data.how_split
    assert some.result.test.accuracy > 0.7


def test_its_images_are_found_again_and_others_are_measured_by_their_class(some: RunFolder, digits: Dataset) -> None:
    run = fl.open_run(some.path)
    assert run.evaluate()[0].accuracy == some.result.test.accuracy
    other = Dataset("other", {"train": data.split(digits)["test"]})  # ten classes, in another order
    found, predictions = run.evaluate(other)
    assert found.accuracy == some.result.test.accuracy
    assert set(predictions.ids) == set(some.data.splits["test"].ids)
    train = data.subset(digits.splits, ["1", "4", "9"])["train"]
    with pytest.raises(DataError, match=r"data\.classes: there is no class '7'"):
        run.evaluate(Dataset("without sevens", {"train": train}))


def test_a_run_on_some_classes_goes_on(tmp_path: Path) -> None:
    whole = do(tmp_path / "whole", data__classes=["7", "1"], training__epochs=3)
    cut = stopped(tmp_path / "cut", data__classes=["7", "1"], training__epochs=3)
    assert cut.data.before == whole.data.before
    resumed = experiments.resume(cut.path, QUIET)
    assert (resumed.path / run_folder.WEIGHTS).read_bytes() == (whole.path / run_folder.WEIGHTS).read_bytes()


def test_a_class_that_is_no_longer_there_is_told(some: RunFolder, digits: Dataset) -> None:
    without = Dataset("digits", data.subset(digits.splits, [str(k) for k in range(9) if k != 4]))
    with pytest.raises(RunError, match=r"the run has 7, 1, 4"):
        experiments.reload_splits(some, without)


def test_a_limit_is_of_the_images_that_are_used(tmp_path: Path) -> None:
    assert len(experiments.set_up(experiment(data__classes=["7", "1"], data__limit=60)).train) == 60


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__classes": ["7", "1"], "data__regroup": {"a": ["7"], "b": ["1"]}}, "give classes or regroup, not both"),
        ({"data__classes": ["7", "eleven"]}, r"data\.classes: there is no class 'eleven'"),
        ({"data__classes": "7"}, r"data\.classes: .*list"),
        ({"loss__class_weights": "balnced"}, r'loss\.class_weights: class_weights is "balanced", or a number above 0'),
        ({"loss__class_weights": {"3": 0}}, r"number above 0 for each class.*received \{'3': 0\}"),
        ({"loss__class_weights": {"33": 2}}, r"loss\.class_weights: there is no class '33'\. Did you mean 3\?"),
        ({"loss__class_weight": {"3": 2}}, "class_weight is spelled class_weights here"),
        ({"training__sampling": "equal"}, r"training\.sampling.*'balanced'"),
        ({"loss__class_weights": "balanced", "training__sampling": "balanced"}, "compensated for twice"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FirstlightError, match=message):
        experiments.set_up(experiment(**changes))


# --- weighted classes and balanced sampling ---------------------------------------------------------------------------


def test_the_file_reads_back_the_same() -> None:
    for changes in (
        {"loss__class_weights": {"3": 2}},
        {"loss__class_weights": "balanced"},
        {"training__sampling": "balanced", "data__classes": ["7", "1"]},
    ):
        asked = experiment(**changes)
        assert Experiment.of(tables_of(asked)) == asked
    assert tables_of(experiment())["loss"]["class_weights"] == {}
    assert tables_of(experiment())["training"]["sampling"] == "shuffled"


RECIPE: dict[str, Any] = {"prepare.standardise": "channel", "model.units": [16], "training.restore_best": False}


def recall_of_eight(path: Path, dataset: Dataset, **settings: Any) -> float:
    run = fl.fit(
        "mlp-128", dataset, epochs=6, lr=3e-3, out=path, settings=RECIPE | settings, console=Console(quiet=True)
    )
    assert run.accuracy > 0.8
    return float(run.folder.result.test.classes[8]["recall"])


def test_a_rare_class_is_recognized_once_it_counts_as_much_as_the_others(tmp_path: Path, rare: Dataset) -> None:
    plain = recall_of_eight(tmp_path / "plain", rare)
    weighted = recall_of_eight(tmp_path / "weighted", rare, **{"loss.class_weights": "balanced"})
    sampled = recall_of_eight(tmp_path / "sampled", rare, **{"training.sampling": "balanced"})
    assert plain < 0.1
    assert min(weighted, sampled) > plain + 0.2


def test_validation_and_test_loss_are_not_weighted(tmp_path: Path) -> None:
    """Weights of 2 for all double the train loss, and no other."""
    twice = {str(k): 2 for k in range(10)}
    settings = {"optimizer__name": "sgd", "training__epochs": 1}
    plain = do(tmp_path / "plain", **settings, optimizer__lr=0.1)
    double = do(tmp_path / "double", **settings, optimizer__lr=0.05, loss__class_weights=twice)
    assert double.history["loss"][0] == pytest.approx(2 * plain.history["loss"][0], rel=1e-4)
    for split in ("validation", "test"):
        assert getattr(double.result, split).loss == pytest.approx(getattr(plain.result, split).loss, rel=1e-4)
    assert double.data.class_weights == (2.0,) * 10
    assert plain.data.class_weights is None


class PowerCutError(Exception):
    """The run is cut off."""


def stopped(path: Path, dataset: Dataset | None = None, **changes: Any) -> RunFolder:
    """A run that was cut off after its first epoch."""

    class Cut(TrainingProgress):
        def epoch_done(self, row: dict[str, float], best: bool) -> None:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        experiments.start(experiments.set_up(experiment(**changes), dataset), path, Cut(Console(quiet=True)))
    return RunFolder.open(path)


def tables_of(asked: Experiment) -> dict[str, Any]:
    return tomllib.loads(asked.to_toml())


@pytest.mark.parametrize("changes", [{"training__sampling": "balanced"}, {"loss__class_weights": "balanced"}])
def test_a_run_cut_off_goes_on_in_the_same_bits(tmp_path: Path, rare: Dataset, changes: dict[str, Any]) -> None:
    changes = {**changes, "training__epochs": 3}
    whole = do(tmp_path / "whole", rare, **changes)
    cut = stopped(tmp_path / "cut", rare, **changes)
    resumed = experiments.resume(cut.path, QUIET, dataset=rare)
    assert (resumed.path / run_folder.WEIGHTS).read_bytes() == (whole.path / run_folder.WEIGHTS).read_bytes()
    assert resumed.history["loss"].tolist() == whole.history["loss"].tolist()


def test_engines_and_kernels_agree_on_weighted_and_balanced_runs(tmp_path: Path, rare: Dataset) -> None:
    for changes in ({"loss__class_weights": "balanced"}, {"training__sampling": "balanced"}):
        losses = []
        for number, engine in enumerate(
            ({"kernels": "compiled"}, {"kernels": "reference"}, {"engine": "torch", "device": "cpu"})
        ):
            path = tmp_path / f"{min(changes)}-{number}"
            losses.append(do(path, rare, precision="float64", **engine, **changes).history["loss"])
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
        np.testing.assert_allclose(losses[2], losses[0], rtol=1e-9)


def test_balanced_sampling_says_how_often_it_repeats(tmp_path: Path, rare: Dataset) -> None:
    setup = experiments.set_up(experiment(training__sampling="balanced"), rare)
    (said,) = [line for line in setup.warnings() if "Balanced" in line]
    n = len(setup.train)
    assert f"each of the 6 training images of 8, the rarest class, {n / 10 / 6:.1f} times" in said
    drawn = setup.data_record().drawn
    assert drawn is not None
    assert sum(drawn) == n
    assert max(drawn) - min(drawn) <= 1
    assert not [line for line in experiments.set_up(experiment(), rare).warnings() if "Balanced" in line]


def test_a_run_of_before_there_were_these_keys_still_opens(tmp_path: Path) -> None:
    folder = do(tmp_path / "old")
    text = (folder.path / run_folder.EXPERIMENT).read_text()
    kept = [line for line in text.splitlines() if not line.startswith(("classes", "sampling", "class_weights"))]
    (folder.path / run_folder.EXPERIMENT).write_text("\n".join(kept).replace("[loss.class_weights]", ""))
    record = json.loads((folder.path / run_folder.DATA).read_text())
    assert not {"before", "drawn", "class_weights"} & record.keys()
    run = fl.open_run(folder.path)
    assert run.evaluate()[0].accuracy == run.accuracy
    assert "the original classes" not in run.report().read_text()


def test_both_balanced_is_one_too_many() -> None:
    with pytest.raises(ExperimentError, match="Choose one"):
        experiment(loss__class_weights="balanced", training__sampling="balanced")


def test_classes_may_be_named_by_numbers_and_in_any_form_of_unicode() -> None:
    tables: dict[str, Any] = {"data": {"source": "digits", "classes": [3, "5"]}, "loss": {"class_weights": {3: 2.0}}}
    asked = Experiment.of(tables)
    assert asked.data.classes == ["3", "5"]
    assert asked.loss.class_weights == {"3": 2.0}
    tables["data"] = {"source": "digits", "regroup": {"cafe\u0301": [1, 2], "tea": ["3"]}}
    assert Experiment.of(tables).data.regroup == {"caf\u00e9": ["1", "2"], "tea": ["3"]}
    for wrong in (True, 1.5, ["3"]):
        with pytest.raises(ExperimentError, match=r"data\.classes"):
            Experiment.of({"data": {"source": "digits", "classes": [wrong, "5"]}})
