"""A run written for TensorBoard, read back by TensorBoard's own readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector import projector_plugin

import firstlight as fl
from firstlight.errors import DataError, ExperimentError, RunError
from firstlight.explain import tensorboard
from firstlight.explain.tensorboard import Vectors, sprite, write
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array, Dataset
from firstlight.weights import from_file


@pytest.fixture(scope="module")
def run(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    out = tmp_path_factory.mktemp("tensorboard") / "run"
    fl.fit("slim-cnn", few_digits, epochs=3, lr=3e-3, out=out, console=Console(quiet=True))
    return RunFolder.open(out)


@pytest.fixture
def vectors(few_digits: Dataset) -> Vectors:
    images = few_digits.splits["train"]
    features = images.pixels.reshape(300, -1)[:, ::2] / 255
    splits = np.repeat(["train", "test"], [200, 100])
    return Vectors("head", features, images.labels, images.pixels, images.ids, np.roll(images.labels, 1), splits)


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0}).Reload()


def test_scalars_overlay_by_epoch(run: RunFolder, tmp_path: Path) -> None:
    write(run, tmp_path / "board")
    for where, prefix in (("train", ""), ("validation", "val_")):
        events = read(tmp_path / "board" / where)
        assert set(events.Tags()["scalars"]) == {"loss", "accuracy"}
        for tag in ("loss", "accuracy"):
            scalars = events.Scalars(tag)
            assert [scalar.step for scalar in scalars] == [1, 2, 3]
            np.testing.assert_allclose([s.value for s in scalars], run.history[prefix + tag], rtol=1e-6)
            times = np.diff([s.wall_time for s in scalars])
            np.testing.assert_allclose(times, run.history["seconds"][1:], atol=1e-4)
    whole = read(tmp_path / "board")
    rates = [s.value for s in whole.Scalars("learning_rate")]
    np.testing.assert_allclose(rates, run.history["learning_rate"], rtol=1e-6)


def test_histograms_are_of_the_weights(run: RunFolder, tmp_path: Path) -> None:
    write(run, tmp_path / "board")
    events = read(tmp_path / "board")
    arrays = from_file(run.path / "weights.safetensors")
    assert set(events.Tags()["histograms"]) == {"/".join(name.rsplit(".", 1)) for name in arrays}
    for name, array in arrays.items():
        (event,) = events.Histograms("/".join(name.rsplit(".", 1)))
        found = event.histogram_value
        assert event.step == run.result.epochs.weights
        assert found.num == sum(found.bucket) == array.size
        assert (found.min, found.max) == pytest.approx((array.min(), array.max()))
        assert found.sum_squares == pytest.approx(float(np.square(array, dtype=np.float64).sum()))
        below = int((array <= found.bucket_limit[14]).sum())
        assert sum(found.bucket[:15]) == pytest.approx(below, abs=1)


def test_the_projector_reads_what_was_given(run: RunFolder, vectors: Vectors, tmp_path: Path) -> None:
    write(run, tmp_path / "board", vectors)
    config = projector_plugin.ProjectorConfig()
    projector_plugin.text_format.Parse((tmp_path / "board" / "projector_config.pbtxt").read_text(), config)
    (shown,) = config.embeddings
    assert (shown.tensor_name, list(shown.tensor_shape)) == ("head", [300, 32])
    read_back = projector_plugin._read_tensor_tsv_file(str(tmp_path / "board" / shown.tensor_path))
    np.testing.assert_allclose(read_back, vectors.features, rtol=1e-5)

    head, *lines = (tmp_path / "board" / shown.metadata_path).read_text().splitlines()
    assert head.split("\t") == ["class", "id", "split", "predicted", "right"]
    cells = [line.split("\t") for line in lines]
    assert [row[0] for row in cells] == [run.class_names[label] for label in vectors.labels]
    assert [row[1] for row in cells] == vectors.ids.tolist()
    assert [row[2] for row in cells] == ["train"] * 200 + ["test"] * 100
    assert {row[4] for row in cells if row[0] != row[3]} == {"no"}

    assert list(shown.sprite.single_image_dim) == [8, 8]
    with Image.open(tmp_path / "board" / shown.sprite.image_path) as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (18 * 8, 18 * 8)
    for i in (0, 17, 18, 299):
        top, left = i // 18 * 8, i % 18 * 8
        assert np.array_equal(pixels[top : top + 8, left : left + 8], vectors.pixels[i, ..., 0])
    assert not pixels[-8:, -8:].any()


def test_a_sheet_of_colours_that_are_not_square(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 12, 3), np.uint8)
    sheet, size = sprite(pixels)
    assert (sheet.size, size, sheet.mode) == ((36, 18), (12, 6), "RGB")
    assert np.array_equal(np.asarray(sheet)[6:12, 12:24], pixels[4])
    monkeypatch.setattr(tensorboard, "SHEET", 18)
    sheet, size = sprite(pixels)
    assert (sheet.size, size) == ((18, 9), (6, 3))
    block = pixels[4].reshape(3, 2, 6, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(np.asarray(sheet)[3:6, 6:12].astype(float), block, atol=1)


def test_names_keep_to_their_cells(run: RunFolder, vectors: Vectors) -> None:
    names = ("a\tb", "line\nbreak", "", *"3456789")
    lines = tensorboard._metadata(vectors, names).splitlines()
    assert len(lines) == 301
    assert {len(line.split("\t")) for line in lines} == {5}
    assert {line.split("\t")[0] for line in lines[1:]} == {"a b", "line break", "–", *"3456789"}


def test_a_second_time_takes_the_place_of_the_first(run: RunFolder, vectors: Vectors, tmp_path: Path) -> None:
    out = tmp_path / "board"
    write(run, out, vectors)
    write(run, out)
    assert len(list(out.glob("events.*"))) == 1
    assert not (out / "sprite.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["board"]


def test_a_folder_with_other_things_is_left_alone(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"holds thesis.tex, which TensorBoard did not write"):
        write(run, tmp_path)
    with pytest.raises(RunError, match="is a file"):
        write(run, tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_nothing_is_left_where_writing_fails(
    run: RunFolder, vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "board"
    write(run, out)
    before = sorted(path.name for path in out.rglob("*"))

    def fail(pixels: Array) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(tensorboard, "sprite", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write(run, out, vectors)
    assert sorted(path.name for path in out.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["board"]


def test_what_cannot_be_written_is_told(
    run: RunFolder, vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="300 vectors need as many ids; received 3"):
        write(run, tmp_path / "a", Vectors("head", vectors.features, vectors.labels, vectors.pixels, vectors.ids[:3]))
    with pytest.raises(DataError, match=r"Labels must lie in 0\.\.9; received 1\.\.10"):
        write(run, tmp_path / "a", Vectors("h", vectors.features, vectors.labels + 1, vectors.pixels, vectors.ids))
    with pytest.raises(DataError, match="Thumbnails are uint8"):
        write(run, tmp_path / "a", Vectors("h", vectors.features, vectors.labels, vectors.features, vectors.ids))
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    with pytest.raises(RunError, match="has no result yet"):
        write(RunFolder(unfinished), tmp_path / "a")
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(ExperimentError, match=r"pip install 'firstlight\[tensorboard\]'"):
        write(run, tmp_path / "a")
    assert not (tmp_path / "a").exists()
