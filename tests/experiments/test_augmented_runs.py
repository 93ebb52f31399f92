"""Augmentation in a run: asked for in the file, the same after a stop, warned of, and shown."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from firstlight import experiments, report
from firstlight.console import TrainingProgress
from firstlight.errors import ExperimentError
from firstlight.experiments import Experiment
from firstlight.prepare import Augmentation
from firstlight.records import run_folder
from firstlight.records.run_folder import RunFolder
from firstlight.types import Dataset, Images

QUIET = TrainingProgress(Console(quiet=True))
AUGMENT = {"rotate": 15, "shift": 0.1, "noise": {"range": 0.05, "p": 0.5}, "cutout": 0.25}


def experiment(augment: dict[str, Any] | None = None, **training: Any) -> Experiment:
    tables: dict[str, Any] = {
        "data": {"source": "digits", "limit": 200},
        "model": {"name": "mlp-128", "units": [16]},
        "training": {"epochs": 3, **training},
    }
    return Experiment.of(tables | ({} if augment is None else {"augment": augment}))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return experiments.start(
        experiments.set_up(experiment(AUGMENT)), tmp_path_factory.mktemp("runs") / "augmented", QUIET
    )


def test_the_file_says_all_that_is_drawn_and_means_the_same() -> None:
    text = experiment(AUGMENT).to_toml()
    table = tomllib.loads(text)["augment"]
    assert table["rotate"] == {"range": [-15.0, 15.0], "p": 1.0}
    assert table["fill"] == "nearest"
    assert Experiment.of(tomllib.loads(text)).to_toml() == text
    assert not experiment().build_augmentation()


def test_a_key_that_there_is_not_is_an_error_before_anything_starts() -> None:
    with pytest.raises(ExperimentError, match=r"augment\.shif: there is no such key\. Did you mean shift"):
        experiment({"shif": 0.1})


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path, run: RunFolder) -> None:
    class PowerCut(Exception):  # noqa: N818
        pass

    class Cut(TrainingProgress):
        def epoch_done(self, row: dict[str, float], best: bool) -> None:
            if row["epoch"] == 1:
                raise PowerCut

    with pytest.raises(PowerCut):
        experiments.start(experiments.set_up(experiment(AUGMENT)), tmp_path / "cut", Cut(Console(quiet=True)))
    resumed = experiments.resume(tmp_path / "cut", QUIET)
    assert (resumed.path / run_folder.WEIGHTS).read_bytes() == (run.path / run_folder.WEIGHTS).read_bytes()
    assert resumed.history["loss"].tolist() == run.history["loss"].tolist()
    plain = experiments.start(experiments.set_up(experiment()), tmp_path / "plain", QUIET)
    assert plain.history["loss"].tolist() != run.history["loss"].tolist()
    assert "augmented" not in plain.samples


def test_both_engines_learn_along_the_same_curve(tmp_path: Path) -> None:
    curves = []
    for engine in ("numpy", "torch"):
        settings: dict[str, Any] = {"engine": engine, "precision": "float64", "augment": AUGMENT}
        tables = experiment().model_dump() | settings | ({"device": "cpu"} if engine == "torch" else {})
        done = experiments.start(experiments.set_up(Experiment.of(tables)), tmp_path / engine, QUIET)
        curves.append(done.history["loss"])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-9)


def test_samples_hold_what_the_first_epochs_saw(run: RunFolder) -> None:
    drawn, train = run.samples["augmented"], run.samples["train"]
    names, counts = np.unique(drawn.ids, return_counts=True)
    assert len(names) == 6
    assert set(counts) == {4}
    assert set(names) <= set(train.ids)
    setup = experiments.set_up(experiment(AUGMENT))
    from firstlight.kernels import load

    augmented = setup.task.augmented(setup.train, load())
    assert augmented is not None
    places = {name: i for i, name in enumerate(setup.train.ids.tolist())}
    for turn in range(len(drawn)):
        again = augmented.batch(np.array([places[drawn.ids[turn].item()]]), turn // 6)
        assert np.array_equal(again.pixels[0], drawn.pixels[turn]), "the draws of training itself"


def test_the_report_shows_and_names_the_augmentation(run: RunFolder) -> None:
    page = report.write(run).read_text()
    assert "rotate ±15°" in page
    assert "noise 5" in page
    assert "(p 0.5)" in page
    assert "The train curves are of augmented images" in page
    assert page.count(">epoch 4<") == 6


def mirrored(dataset: Dataset | None = None, **augment: Any) -> list[str]:
    return [line for line in experiments.set_up(experiment(augment), dataset).warnings() if line.startswith("augment")]


def test_flips_and_wide_turns_of_written_characters_are_warned_of(digits: Dataset) -> None:
    [line] = mirrored(flip_horizontal=0.5)
    assert "augment.flip_horizontal" in line
    assert "a mirrored 2 is no 2" in line
    [line] = mirrored(flip_horizontal=0.5, flip_vertical=0.1)
    assert "augment.flip_horizontal and augment.flip_vertical" in line
    [line] = mirrored(rotate={"range": [0, 180], "p": 0.5})
    assert "augment.rotate" in line
    assert mirrored(rotate=15, shift=0.1) == []
    train = digits.splits["train"]
    things = Images(train.pixels, train.labels, train.ids, tuple(f"thing {k}" for k in range(10)))
    assert mirrored(Dataset("things", {"train": things}), flip_horizontal=0.5, rotate=180) == []


def test_the_user_sees_the_warning(firstlight: Callable[..., Any], tmp_path: Path) -> None:
    done = firstlight(
        *("run", "--data", "digits", "--model", "softmax-regression", "--epochs", 1, "--out", tmp_path / "run"),
        *("--set", "augment.flip_horizontal=0.5"),
    )
    assert done.code == 0
    assert "a mirrored 2 is no 2" in " ".join(done.out.split())


def test_a_run_of_before_there_was_augmentation_opens(tmp_path: Path, run: RunFolder) -> None:
    plain = experiments.start(experiments.set_up(experiment()), tmp_path / "plain", QUIET)
    path = plain.path / run_folder.EXPERIMENT
    tables = tomllib.loads(path.read_text())
    assert not Augmentation.of(tables.pop("augment"))
    import tomli_w

    path.write_text(tomli_w.dumps(tables))
    page = report.write(RunFolder.open(plain.path)).read_text()
    assert "ugmentation" not in page.partition("<script")[0]
    assert Experiment.of(tables) == experiment()
