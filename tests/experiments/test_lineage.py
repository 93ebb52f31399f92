"""No image that a run was trained on is taken for a new one, by whichever door it comes."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import firstlight as fl
from firstlight.errors import DataError, FirstlightError
from firstlight.experiments.lineage import lineage, seen_by
from firstlight.records.record_files import write_record
from firstlight.records.run_folder import DATA, RunFolder
from firstlight.types import Array, Dataset, Images

QUIET = Console(quiet=True)
N = 60


@pytest.fixture(scope="module")
def noise() -> Array:
    """What nobody can learn, only learn by heart."""
    return np.random.default_rng(0).integers(0, 256, (N, 6, 6), dtype=np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, noise: Array) -> Path:
    place = tmp_path_factory.mktemp("data") / "photos"
    for i, pixels in enumerate(noise):
        path = place / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return place


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> fl.Run:
    out = tmp_path_factory.mktemp("runs") / "run"
    settings = {"training.restore_best": False}
    return fl.fit("mlp-500-250-100", photos, epochs=25, out=out, console=QUIET, settings=settings)


@pytest.fixture(scope="module")
def without_pixels(tmp_path_factory: pytest.TempPathFactory, run: fl.Run) -> fl.Run:
    """The same run as it was written before fingerprints were kept."""
    place = tmp_path_factory.mktemp("old") / "run"
    shutil.copytree(run.path, place)
    splits = {name: replace(split, pixels=None) for name, split in run.folder.data.splits.items()}
    write_record(place, DATA, replace(run.folder.data, splits=splits))
    return fl.open_run(place)


def given(noise: Array, name: str = "given") -> Dataset:
    labels = np.arange(N) % 2
    ids = np.array([f"{name}/{i}" for i in range(N)])
    return Dataset(name, {"train": Images(noise[..., None], labels, ids, ("a", "b"))})


def counted(run: fl.Run) -> dict[str, int]:
    return {name: split.images for name, split in run.folder.data.splits.items()}


def test_moved_images_are_split_as_they_were(run: fl.Run, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "moved")
    measured = run.measure(tmp_path / "moved")
    assert measured.evaluation.accuracy == run.accuracy
    assert measured.evaluation.images == counted(run)["test"]
    assert measured.predictions.ids.tolist() == list(run.folder.data.splits["test"].ids)
    assert len(measured.notes) == 1
    assert run.measure(tmp_path / "moved", "train").evaluation.images == counted(run)["train"]


@pytest.mark.parametrize("kind", ["array", "npz", "csv", "renamed", "dataset"])
def test_images_that_were_learnt_are_left_out_whatever_they_come_as(
    run: fl.Run, noise: Array, photos: Path, tmp_path: Path, kind: str
) -> None:
    labels = np.array(["a", "b"])[np.arange(N) % 2]
    other: Any = (noise, labels)
    if kind == "npz":
        other = tmp_path / "other.npz"
        np.savez(other, images=noise, labels=labels)
    elif kind == "csv":
        other = tmp_path / "other.csv"
        other.write_text(
            "path,label\n" + "".join(f"{photos}/{'ab'[i % 2]}/{i:02d}.png,{'ab'[i % 2]}\n" for i in range(N))
        )
    elif kind == "renamed":
        other = tmp_path / "renamed"
        for name in "ab":
            (other / name).mkdir(parents=True)
        for i, pixels in enumerate(noise):
            Image.fromarray(pixels).save(other / "ab"[i % 2] / f"x{i}.bmp")
    elif kind == "dataset":
        other = given(noise)
    measured = run.measure(other)
    learnt = counted(run)["train"] + counted(run)["validation"]
    assert (measured.evaluation.images, measured.seen) == (N - learnt, learnt)
    assert measured.evaluation.accuracy == run.accuracy
    assert measured.with_seen is not None
    assert measured.with_seen.images == N
    assert measured.with_seen.accuracy > measured.evaluation.accuracy + 0.2, "it learnt them by heart"
    with pytest.warns(UserWarning, match=f"Of {N} images"):
        assert run.evaluate(other)[0].images == N - learnt
    assert run.measure(other, include_seen=True).evaluation.images == N


def test_none_but_learnt_images_are_refused(run: fl.Run, noise: Array) -> None:
    train = run.folder.data.splits["train"].ids
    rows = [int(Path(name).stem) for name in train]
    pair = (noise[rows], np.array([name[0] for name in train]))
    with pytest.raises(
        DataError, match=f"Of {len(rows)} images, {len(rows)} were trained on: none is new.*--include-seen"
    ):
        run.measure(pair)


def test_new_images_are_measured_in_silence(run: fl.Run) -> None:
    new = np.random.default_rng(1).integers(0, 256, (9, 6, 6), dtype=np.uint8)
    measured = run.measure((new, ["b"] * 9))
    assert (measured.evaluation.images, measured.notes, measured.seen) == (9, (), 0)
    assert set(measured.predictions.labels.tolist()) == {1}, "some of the run's classes, in its order"


def test_files_that_are_not_read_are_told_of(run: fl.Run, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((6, 6), ord(name), np.uint8)).save(tmp_path / name / "0.png")
    (tmp_path / "a/1.png").write_bytes(b"")
    measured = run.measure(tmp_path)
    assert (measured.evaluation.images, measured.notes) == (2, ("Not read: 1, such as a/1.png (the file is empty).",))


def test_images_that_changed_in_their_place_are_other_images(run: fl.Run, photos: Path, tmp_path: Path) -> None:
    place = tmp_path / "photos"
    shutil.copytree(photos, place)
    again = fl.fit("softmax-regression", place, epochs=1, out=tmp_path / "run", console=QUIET)
    victim = again.folder.data.splits["test"].ids[0]
    Image.fromarray(np.zeros((6, 6), np.uint8)).save(place / victim)
    measured = again.measure(place)
    assert measured.evaluation.images == counted(again)["test"]
    assert measured.seen == counted(again)["train"] + counted(again)["validation"]


def test_runs_from_before_know_files_by_their_hashes(
    without_pixels: fl.Run, photos: Path, noise: Array, tmp_path: Path
) -> None:
    run = without_pixels
    learnt = counted(run)["train"] + counted(run)["validation"]
    for name in "ab":
        shutil.copytree(photos / name, tmp_path / "other" / name)
    Image.fromarray(np.zeros((6, 6), np.uint8)).save(tmp_path / "other/a/new.png")
    (tmp_path / "other" / run.folder.data.splits["test"].ids[0]).unlink()
    measured = run.measure(tmp_path / "other")
    assert (measured.seen, measured.evaluation.images) == (learnt, N - learnt)


def test_weights_that_saw_the_test_images_elsewhere(run: fl.Run, noise: Array, tmp_path: Path) -> None:
    """Another name, another format and another split: pixels tell, also over two runs, and by the file of weights."""
    options: dict[str, Any] = {"epochs": 1, "console": QUIET, "seed": 5}
    set_up = {"weights.init_from": str(run.path)}
    second = fl.fit("mlp-500-250-100", given(noise), out=tmp_path / "second", settings=set_up, **options)
    told = [text for text in second.folder.data.warnings if "test images are among those" in text]
    ids = {int(name.split("/")[1]) for name in second.folder.data.splits["test"].ids}
    learnt = {int(Path(name).stem) for name in run.folder.data.splits["train"].ids}
    assert [int(text.split()[0]) for text in told] == [len(ids & learnt)]
    new = np.random.default_rng(2).integers(0, 256, (20, 6, 6), dtype=np.uint8)
    third_data = Dataset(
        "third", {"train": given(new[:20].repeat(3, axis=0)).splits["train"], "test": given(noise, "t").splits["train"]}
    )
    set_up = {"weights.init_from": str(second.path / "weights.safetensors")}
    third = fl.fit("mlp-500-250-100", third_data, out=tmp_path / "third", settings=set_up, **options)
    assert [run.path for run in lineage(third.folder)] == [third.path, second.path, run.path]
    told = [text for text in third.folder.data.warnings if "test images are among those" in text]
    both = learnt | {int(name.split("/")[1]) for name in second.folder.data.splits["train"].ids}
    assert [int(text.split()[0]) for text in told] == [len(both)]
    seen = seen_by(third.folder, given(noise).splits["train"])
    assert set(np.flatnonzero(seen.trained).tolist()) == both


def test_fingerprints_are_kept_and_tell_pixels_apart(run: fl.Run, noise: Array) -> None:
    images = given(noise).splits["train"]
    prints = images.fingerprints
    assert prints.dtype == np.dtype("<u8")
    assert len(set(prints.tolist())) == N
    assert RunFolder(run.path).data.splits["train"].pixels


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow only names in UTF-8")
def test_names_that_are_not_in_utf8_are_refused_before_training(photos: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(photos, odd / "photos")
    with pytest.raises(FirstlightError, match=r"not in UTF-8|surrogate"):
        fl.fit("softmax-regression", odd / "photos", epochs=1, out=tmp_path / "run", console=QUIET)
    with pytest.raises(FirstlightError, match=r"not in UTF-8"):
        fl.fit("softmax-regression", fl.load(odd / "photos"), epochs=1, out=odd / "run", console=QUIET)
    assert not (tmp_path / "run").exists()
    assert not (odd / "run").exists()


def test_a_pair_of_arrays_is_taken_everywhere(noise: Array, tmp_path: Path) -> None:
    labels = np.array(["a", "b"])[np.arange(N) % 2]
    run = fl.fit("softmax-regression", (noise, labels), epochs=1, out=tmp_path / "run", console=QUIET)
    assert run.measure((noise, labels)).evaluation.images == counted(run)["test"]
    assert fl.load((noise, labels), size=4).shape == (4, 4, 1)
    with pytest.raises(DataError, match=r"np\.rint\(255 \* images\)"):
        fl.fit("softmax-regression", (noise / 255, labels))
    with pytest.raises(DataError, match="received generator"):
        fl.fit("softmax-regression", (pair for pair in ()))
