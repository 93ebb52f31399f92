"""A run that is kept and used: its images, measuring it again, and what it says of other images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import firstlight as fl
from firstlight.types import Dataset

QUIET = Console(quiet=True)


@pytest.fixture
def run(digits_run: fl.Run) -> fl.Run:
    return digits_run


def test_a_runs_own_images_are_split_as_they_were(run: fl.Run, digits: Dataset) -> None:
    """The test images are those of training time, not all of the source: no trained image is counted."""
    for data in ("digits", digits, None):
        measured, predictions = run.evaluate(data)
        assert measured.accuracy == run.accuracy
        assert predictions.ids.tolist() == list(run.folder.data.splits["test"].ids)
    assert run.evaluate(split="train")[0].images == run.folder.data.splits["train"].images


def test_images_added_since_do_not_change_the_split_and_changed_ones_are_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for k, name in enumerate(("dark", "light")):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i in range(20):
            pixels = random.integers(k * 128, k * 128 + 100, (6, 6), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mine" / name / f"{i}.png")
    run = fl.fit("softmax-regression", tmp_path / "mine", epochs=1, out=tmp_path / "run", console=QUIET)
    for i in (100, 101, 1000):
        Image.fromarray(np.zeros((6, 6), np.uint8)).save(tmp_path / "mine" / "dark" / f"{i}.png")
    _, predictions = fl.open_run(run.path).evaluate()
    assert predictions.ids.tolist() == run.predictions["test"].ids.tolist()

    victim = tmp_path / "mine" / predictions.ids[0]
    Image.fromarray(np.full((6, 6), 7, np.uint8)).save(victim)
    with pytest.raises(fl.RunError, match="no longer the same"):
        fl.open_run(run.path).evaluate()
    victim.unlink()
    with pytest.raises(fl.RunError, match=f"lacks 1 of its test images, such as {predictions.ids[0]}"):
        fl.open_run(run.path).evaluate()


def test_a_run_finds_its_images_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    np.savez("mine.npz", images=pixels, labels=np.arange(40) % 2)
    accuracy = fl.fit("softmax-regression", "mine.npz", epochs=1, out="run", console=QUIET).accuracy
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert fl.open_run(tmp_path / "run").evaluate()[0].accuracy == accuracy


def test_images_given_as_arrays_must_be_given_again(few_digits: Dataset, tmp_path: Path) -> None:
    run = fl.fit("softmax-regression", few_digits, epochs=1, out=tmp_path / "run", console=QUIET)
    with pytest.raises(fl.RunError, match="given as arrays"):
        run.evaluate()
    assert run.evaluate(few_digits)[0].accuracy == run.accuracy
    with pytest.raises(fl.DataError, match="in memory"):
        fl.run(run.path / "experiment.toml", out=tmp_path / "again", console=QUIET)


def test_evaluating_on_other_data(run: fl.Run, digits: Dataset, few_digits: Dataset) -> None:
    with pytest.warns(UserWarning, match=r"Of 300 images, \d+ were trained on"):
        measured, _ = run.evaluate(few_digits, include_seen=True)
    assert measured.images == 300, "all images, where the source has no test split"
    with pytest.raises(fl.DataError, match="few-digits has no split called 'test'"):
        run.evaluate(few_digits, "test")
    train = digits.splits["train"]
    renamed = Dataset("other", {"train": fl.Images(train.pixels, train.labels, train.ids, tuple("abcdefghij"))})
    with pytest.raises(fl.DataError, match="classes"):
        run.evaluate(renamed)
    with pytest.raises(fl.DataError, match="tset"):
        run.evaluate(split="tset")


def test_predicting_files_arrays_and_other_sizes(run: fl.Run, digits: Dataset, tmp_path: Path) -> None:
    train = digits.splits["train"]
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(train.pixels[i, :, :, 0]).save(paths[-1])
    from_files, from_arrays = run.predict(paths), run.predict(train.pixels[:3])
    assert from_files.shape == (3, 10)
    assert np.allclose(from_files, from_arrays)
    assert from_files.argmax(axis=1).tolist() == train.labels[:3].tolist()
    large = tmp_path / "large.jpg"
    Image.fromarray(train.pixels[0, :, :, 0]).convert("RGB").resize((64, 48)).save(large, quality=95)
    assert run.predict(large).shape == (1, 10)
    assert run.predict(large)[0].argmax() == train.labels[0]


def test_what_cannot_be_predicted_is_named(run: fl.Run, digits: Dataset) -> None:
    train = digits.splits["train"]
    assert np.allclose(run.predict(train.take(np.arange(3))), run.predict(train.pixels[:3]))
    with pytest.raises(fl.DataError, match="at least one image"):
        run.predict([])
    for bad in (train.pixels[0], train.pixels[:2, :, :, 0], train.pixels[:2] / 255.0, train.pixels[:0]):
        with pytest.raises(fl.DataError, match=r"uint8 \(N, H, W, 1 or 3\)"):
            run.predict(bad)


def test_an_unfinished_run_says_so(run: fl.Run, tmp_path: Path) -> None:

    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    (copy / "result.json").unlink()
    (copy / "weights.safetensors").unlink()
    with pytest.raises(fl.RunError, match="still training, or it was cut off"):
        fl.open_run(copy).predict(np.zeros((1, 8, 8, 1), np.uint8))


def test_damaged_weights_are_refused(run: fl.Run, tmp_path: Path) -> None:

    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    weights = copy / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(fl.RunError, match=r"weights\.safetensors is damaged"):
        fl.open_run(copy).predict(np.zeros((1, 8, 8, 1), np.uint8))


def test_an_image_that_does_not_decode_is_named(run: fl.Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    with pytest.raises(fl.DataError, match=r"bad\.png"):
        run.predict(bad)
    with pytest.raises(fl.DataError, match=r"absent\.png"):
        run.predict(tmp_path / "absent.png")


def test_the_report_is_written_anew(run: fl.Run) -> None:
    page = run.report()
    assert page == run.path / "report.html"
    assert f"{run.result['test']['images']}" in page.read_text()


def test_a_run_of_one_engine_is_used_on_the_other(tmp_path: Path, few_digits: Dataset) -> None:
    settings = {"engine": "torch", "precision": "bfloat16"}
    run = fl.fit("mlp-128", few_digits, epochs=1, out=tmp_path / "run", settings=settings, console=QUIET)
    other = fl.open_run(run.path, engine="numpy")
    assert other.session.describe()["engine"] == "numpy"
    assert run.session.describe()["precision"] == "float32", "a model is used in full precision"
    pixels = few_digits.splits["train"].pixels
    np.testing.assert_allclose(other.predict(pixels), run.predict(pixels), atol=1e-6)
    with pytest.raises(fl.ExperimentError, match="runs on the CPU"):
        _ = fl.open_run(run.path, engine="numpy", device="cuda").session
