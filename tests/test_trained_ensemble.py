"""Several runs as one classifier: the mean of what their nets say, on either engine; what cannot answer together."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import firstlight as fl
from firstlight.cli import app
from firstlight.errors import DataError, ExportError, RunError
from firstlight.evaluation import negative_log_likelihood
from firstlight.export import inference_graph
from firstlight.records import exports
from firstlight.records.group_folder import GroupFolder, is_group
from firstlight.records.run_folder import RESULT, WEIGHTS
from firstlight.types import Array, Dataset, Images

NAMES = ("bright", "dark", "even")
SHAPE = (6, 6, 1)


def images(n: int, seed: int, name: str = "train") -> Images:
    """Noise whose mean tells its class, more or less."""
    draw = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    pixels = draw.integers(0, 160, (n, *SHAPE)) + np.array([95, 0, 45])[labels][:, None, None, None]
    return Images(pixels.astype(np.uint8), labels, np.array([f"{name}/{i}" for i in range(n)]), NAMES)


WHOLE = images(90, 0)
SHARED = Dataset("noise", {"train": images(60, 0), "test": images(30, 1, "test")})


def fit(out: Path, data: Dataset | str, seed: int, model: str = "softmax-regression", **settings: object) -> None:
    quiet = Console(quiet=True)
    fl.fit(model, data, epochs=2, lr=0.01, seed=seed, out=out, console=quiet, settings=settings)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of one recipe that share their test images, each net with statistics of its own."""
    folder = tmp_path_factory.mktemp("ensemble") / "linear"
    for seed in range(3):
        fit(folder / f"seed-{seed}", SHARED, seed, **{"prepare.standardise": "pixel"})
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds whose splits were drawn by them."""
    folder = tmp_path_factory.mktemp("ensemble") / "drawn"
    for seed in range(2):
        fit(folder / f"seed-{seed}", Dataset("noise", {"train": WHOLE}), seed)
    return folder


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of one recipe, each with a third of all images for its test."""
    folder = tmp_path_factory.mktemp("ensemble") / "folds"
    for fold in range(3):
        mine = np.arange(90) // 30 == fold
        data = Dataset("noise", {"train": WHOLE.take(~mine), "test": WHOLE.take(mine)})
        fit(folder / f"fold-{fold + 1}", data, 0)
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A new image, and one that every seed was trained on or validated by."""
    folder = tmp_path / "files" / "dark"
    folder.mkdir(parents=True)
    Image.fromarray(images(4, 5).pixels[1, :, :, 0]).save(folder / "new.png")
    Image.fromarray(SHARED.splits["train"].pixels[1, :, :, 0]).save(folder / "old.png")
    return folder.parent


def mean_of_recorded(folder: Path) -> Array:
    recorded = [fl.Run(run).predictions["test"] for run in sorted(folder.glob("*-*"))]
    return np.mean([each.probabilities.astype(np.float64) for each in recorded], axis=0)


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_probabilities_are_the_mean_of_those_of_the_nets(seeds: Path, engine: str) -> None:
    ensemble = fl.open_run(seeds, engine=engine, device="cpu" if engine == "torch" else None)
    assert isinstance(ensemble, fl.Ensemble)
    assert len(ensemble) == 3
    shifts = [member.task.preparation.shift for member in ensemble.members]
    assert not np.array_equal(shifts[0], shifts[1])  # so the nets cannot do with one preparation
    test = SHARED.splits["test"]
    found = ensemble.predict(test)
    expected = mean_of_recorded(seeds)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert found.dtype == np.float32
    for image_by_image in (test.pixels, test.pixels.repeat(3, axis=3)):  # grey, and grey as colour
        np.testing.assert_allclose(ensemble.predict(image_by_image), expected, atol=2e-6)


def test_the_order_of_the_nets_does_not_matter(seeds: Path, tmp_path: Path) -> None:
    for old, new in ((0, "a-2"), (1, "a-0"), (2, "a-1")):
        shutil.copytree(seeds / f"seed-{old}", tmp_path / new)
    ensemble, other = fl.Ensemble(seeds), fl.Ensemble(tmp_path)
    other.runs = other.runs[::-1]
    pixels = images(40, 3).pixels
    np.testing.assert_allclose(other.predict(pixels), ensemble.predict(pixels), atol=1e-7)


def test_of_a_single_net_it_is_the_run(seeds: Path, tmp_path: Path) -> None:
    shutil.copytree(seeds / "seed-1", tmp_path / "seed-1")
    pixels = images(40, 3).pixels
    np.testing.assert_array_equal(fl.Ensemble(tmp_path).predict(pixels), fl.Run(seeds / "seed-1").predict(pixels))


def test_it_is_measured_on_the_test_images_that_the_nets_share(seeds: Path) -> None:
    ensemble = fl.Ensemble(seeds, data=SHARED)
    measured = ensemble.measure()
    recorded = ensemble.predictions["test"]
    assert measured.evaluation.accuracy == ensemble.accuracy == ensemble.test_accuracy == recorded.correct.mean()
    loss = negative_log_likelihood(recorded.probabilities, recorded.labels)
    assert measured.evaluation.loss == pytest.approx(loss, abs=1e-5)
    assert not measured.notes
    others = ensemble.measure(Dataset("others", {"train": images(20, 9, "new")}))
    assert others.evaluation.images == 20


def test_over_folds_each_image_is_answered_by_the_net_that_has_not_seen_it(folds: Path) -> None:
    ensemble = fl.Ensemble(folds, data=Dataset("noise", {"train": WHOLE}))
    predictions = ensemble.predictions["test"]
    expected = np.concatenate([fl.Run(folds / f"fold-{k}").predictions["test"].probabilities for k in (1, 2, 3)])
    np.testing.assert_array_equal(predictions.probabilities, expected)
    assert sorted(predictions.ids.tolist()) == sorted(WHOLE.ids.tolist())
    assert ensemble.test_accuracy is None  # that of the nets together is not known


def test_where_one_was_trained_on_what_another_is_tested_on_nothing_is_measured(drawn: Path) -> None:
    ensemble = fl.Ensemble(drawn, data=Dataset("noise", {"train": WHOLE}))
    assert ensemble.test_accuracy is None
    for ask in (ensemble.measure, lambda: ensemble.predictions):
        with pytest.raises(DataError, match=r"(?s)do not have the same test images.*--data.*split_seed"):
            ask()
    assert ensemble.predict(WHOLE).shape == (90, 3)


def test_an_image_is_seen_where_any_net_was_trained_on_it(drawn: Path, tmp_path: Path) -> None:
    splits = [fl.Run(drawn / f"seed-{seed}").folder.data.splits for seed in (0, 1)]
    one = next(name for name in splits[0]["train"].ids if name in splits[1]["test"].ids)
    Image.fromarray(WHOLE.pixels[WHOLE.ids == one][0, :, :, 0]).save(tmp_path / "one.png")
    told = [
        next(net.predict_files(tmp_path / "one.png")).trained_on
        for net in (fl.Ensemble(drawn), fl.Run(drawn / "seed-1"))
    ]
    assert told == [True, False]


def test_files_are_answered_and_measured(seeds: Path, files: Path) -> None:
    ensemble = fl.Ensemble(seeds)
    found = list(ensemble.predict_files(files, top=None))
    rows = ensemble.predict(sorted((files / "dark").iterdir()))
    for prediction, row in zip(found, rows, strict=True):
        np.testing.assert_array_equal([dict(prediction.top)[name] for name in NAMES], row)
    measured = ensemble.measure_files(files, include_seen=True)
    assert (measured.evaluation.images, measured.seen) == (2, 1)
    expected = negative_log_likelihood(rows, np.array([1, 1]))
    assert measured.evaluation.loss == pytest.approx(expected, rel=1e-6)


def test_threads_share_it_and_it_is_pickled(seeds: Path) -> None:
    ensemble = fl.Ensemble(seeds)
    batches = [images(n, n).pixels for n in (1, 7, 20, 33)]
    alone = [ensemble.predict(batch) for batch in batches]
    fresh = pickle.loads(pickle.dumps(ensemble))
    for shared in (ensemble, fresh):
        with ThreadPoolExecutor(4) as threads:
            for expected, found in zip(alone, threads.map(shared.predict, batches), strict=True):
                np.testing.assert_array_equal(found, expected)


def test_what_is_not_finished_or_was_interrupted_is_left_out(seeds: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(seeds, tmp_path / "linear")
    (copy / "seed-1" / RESULT).unlink()
    folder = GroupFolder.open(copy)
    assert [run.path.name for run in folder.runs] == ["seed-0", "seed-2"]
    assert folder.left_out == {copy / "seed-1": "it has no result yet"}
    for seed in (0, 2):
        (copy / f"seed-{seed}" / RESULT).unlink()
    with pytest.raises(RunError, match="none of its 3 runs has a result yet"):
        GroupFolder.open(copy)


def of_other_classes(folder: Path) -> str:
    train = images(60, 0)
    other = Images(train.pixels, train.labels, train.ids, ("bright", "even", "dark"))
    fit(folder / "seed-7", Dataset("noise", {"train": other}), 7, **{"prepare.standardise": "pixel"})
    return (
        r"(?s)seed-0 and .*seed-7 cannot form an ensemble: the classes bright, dark and even .* bright, even and dark"
    )


def of_another_size(folder: Path) -> str:
    shutil.rmtree(folder)
    train = images(60, 0)
    for seed in (0, 7):  # the same file, which then holds wider images
        np.savez(folder.parent / "noise.npz", x=train.pixels.repeat(1 + seed // 7, axis=2), y=train.labels)
        fit(folder / f"seed-{seed}", str(folder.parent / "noise.npz"), seed)
    return r"(?s)seed-0 and .*seed-7 cannot form an ensemble: images of 6, 6 and 1 .* 6, 12 and 1"


def of_another_recipe(folder: Path) -> str:
    fit(folder / "seed-7", SHARED, 7)
    return r"(?s)runs of several recipes, such as seed-0 and seed-7.*the entry of a study, or a single run"


@pytest.mark.parametrize("spoil", [of_other_classes, of_another_size, of_another_recipe])
def test_nets_that_cannot_answer_together_are_refused(
    seeds: Path, tmp_path: Path, spoil: Callable[[Path], str]
) -> None:
    folder = shutil.copytree(seeds, tmp_path / "linear")
    told = spoil(folder)
    with pytest.raises(RunError, match=told):
        fl.open_run(folder)


def test_a_damaged_net_is_named(seeds: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(seeds, tmp_path / "linear")
    weights = folder / "seed-1" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(RunError, match=r"seed-1/weights\.safetensors is damaged"):
        fl.Ensemble(folder).predict(images(2, 2))


def test_a_folder_that_is_none_says_so(seeds: Path, tmp_path: Path) -> None:
    assert is_group(seeds)
    assert not is_group(seeds / "seed-0")
    assert not is_group(tmp_path)
    with pytest.raises(RunError, match=r"no run folder.*|not a run folder"):
        fl.open_run(tmp_path)
    with pytest.raises(RunError, match=r"It holds runs: give one of them, such as .*seed-0"):
        fl.Run(seeds)


def test_the_command_line_takes_it(seeds: Path, files: Path, tmp_path: Path) -> None:
    asked = CliRunner().invoke(app, ["predict", str(seeds), str(files), "--json"])
    assert asked.exit_code == 0
    assert '"probabilities"' in asked.stdout
    assert "some of the nets were trained on 1 of these 2 images" in asked.stderr
    copy = shutil.copytree(seeds, tmp_path / "linear")
    (copy / "seed-1" / RESULT).unlink()
    measured = CliRunner().invoke(app, ["evaluate", str(copy), str(files), "--include-seen"])
    assert measured.exit_code == 0
    assert "seed-1 is left out: it has no result yet" in measured.stderr


def test_it_leaves_as_one_file_that_is_verified_and_recorded(seeds: Path, folds: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(seeds, tmp_path / "linear")
    ensemble = fl.Ensemble(folder, data=SHARED)
    record = ensemble.export("onnx")
    assert record.verified
    assert (record.path, record.images, record.weights) == ("export/linear.onnx", 30, ensemble.folder.weights)
    assert exports.read(ensemble.folder) == (record,)
    assert fl.Ensemble(folder).accuracy == ensemble.accuracy  # what was exported is not a run
    other = fl.Ensemble(folds, data=Dataset("noise", {"train": WHOLE})).export("onnx", tmp_path / "folds.onnx")
    assert other.verified


def test_a_file_that_lacks_a_net_is_not_written(seeds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = inference_graph.side_by_side
    monkeypatch.setattr(sys.modules["firstlight.export.exportable"], "side_by_side", lambda nets: whole(nets[:2]))
    with pytest.raises(ExportError, match="does not agree with the model"):
        fl.Ensemble(seeds, data=SHARED).export("onnx", tmp_path / "two.onnx")
    assert not (tmp_path / "two.onnx").exists()


def test_a_notebook_shows_it_as_text(seeds: Path) -> None:
    ensemble = fl.Ensemble(seeds)
    assert not hasattr(ensemble, "_repr_html_")
    assert repr(ensemble) == f"Ensemble({str(seeds)!r})"
