import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run

import numpy as np
import pytest
from tests.data.making import class_folders, published, random_image, write_image

from firstlight.data import SOURCES, load
from firstlight.errors import DataError

REAL = os.environ.get("FIRSTLIGHT_DATA")


def needs(name):
    there = REAL and (Path(str(REAL)) / name).is_dir()
    return pytest.mark.skipif(not there, reason=f"FIRSTLIGHT_DATA holds no {name}")


def test_digits():
    digits = load("digits")
    train = digits.splits["train"]
    assert list(digits.splits) == ["train"]
    assert train.pixels.shape == (1797, 8, 8, 1)
    assert (train.pixels.min(), train.pixels.max()) == (0, 255)
    assert train.counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert train.pixels[0, 0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # 0 0 5 13 9 1 0 0, times 255/16
    assert digits.verified
    assert [file.name for file in digits.files] == ["digits.csv.gz"]
    assert digits.licence


def test_digits_do_not_import_scikit_learn():
    code = "import sys, firstlight.data as d; d.load('digits'); print('sklearn' in sys.modules, 'scipy' in sys.modules)"
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == ["False"] * 2


def test_one_number_means_a_square():
    assert load("digits", size=9).shape == (9, 9, 1)


def test_size_applies_to_named_sources():
    digits = load("digits", size=(28, 20))
    assert digits.shape == (28, 20, 1)
    flat = load("digits").splits["train"].pixels
    assert abs(digits.splits["train"].pixels.mean() - flat.mean()) < 3


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_declarations(source):
    assert len(set(source.class_names)) == len(source.class_names) > 1
    assert source.licence
    assert source.homepage
    assert source.embedded or source.files
    published_files = [source.archive] if source.archive else source.files
    for file in (*source.files, *published_files):
        algorithm, _, digest = file.checksum.partition(":")
        assert len(digest) == {"sha256": 64, "md5": 32}[algorithm]
    for file in published_files:
        assert file.urls
        assert all(url.removesuffix("?download=1").endswith(file.name) for url in file.urls)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_real_idx_sets(name):
    if not (REAL and (Path(str(REAL)) / name).is_dir()):
        pytest.skip(f"FIRSTLIGHT_DATA holds no {name}")
    dataset = load(name)
    source = SOURCES[name]
    assert {split: len(images) for split, images in dataset.splits.items()} == source.counts
    assert dataset.shape == source.shape
    assert dataset.verified
    assert len(dataset.files) == 4


@needs("svhn")
def test_svhn_subset_is_read_only_unverified():
    from hashlib import md5

    path = Path(str(REAL)) / "svhn" / "train_32x32.mat"
    if f"md5:{md5(path.read_bytes()).hexdigest()}" == SOURCES["svhn"].files[0].checksum:
        pytest.skip("FIRSTLIGHT_DATA holds the whole published SVHN")
    with pytest.raises(DataError, match="is not the published file of svhn"):
        load("svhn")
    dataset = load("svhn", unverified=True)
    assert not dataset.verified
    assert dataset.shape == (32, 32, 3)
    assert dataset.splits["train"].counts.argmax() == 1  # as Benford would have it
    assert (dataset.splits["train"].counts > 0).all()


def test_cifar_10_layout(tmp_path):
    rows = {}
    for k in range(6):
        name = "test_batch" if k == 5 else f"data_batch_{k + 1}"
        rows[f"cifar-10-batches-bin/{name}.bin"] = bytes([k]) + random_image(k, (3072,)).tobytes()
    for name, data in rows.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    files = tuple(published(name, data) for name, data in rows.items())
    assert [file.name for file in files] == [file.name for file in SOURCES["cifar-10"].files]
    dataset = replace(SOURCES["cifar-10"], files=files).load(cache=tmp_path)
    assert dataset.splits["train"].labels.tolist() == [0, 1, 2, 3, 4]
    assert dataset.splits["test"].labels.tolist() == [5]
    assert dataset.verified


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("minst", r"no source and no folder called 'minst'\..* Did you mean mnist"),
        ("zzz", r"Known: bloodmnist, .*, cifar-10, .*, digits, .*, usps"),
        ("./mnist", r"\./mnist: there is no such file or folder"),
        ("photos.zip", r"photos\.zip: there is no such file"),
        (Path("mnist"), "mnist: there is no such file"),
    ],
)
def test_what_does_not_exist(source, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=says):
        load(source)


def test_a_file_of_another_kind(tmp_path):
    path = write_image(tmp_path / "one.png", random_image(0))
    with pytest.raises(DataError, match=r"images are read from a folder, a \.csv of .*, or a \.parquet, \.npz"):
        load(path)


@pytest.mark.parametrize("size", [(0, 8), (8, -1), (8,), 0, 1025, (28, 99_999), 99_999, 28.0, "28x", True])
def test_size_out_of_range(size):
    says = f"data.size must be a height and a width, or one number for a square, each 1 to 1024; received {size!r}."
    with pytest.raises(DataError, match=re.escape(says)):
        load("digits", size=size)


def test_a_name_wins_over_a_folder_and_a_path_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    class_folders(Path("digits"), ["a", "b"])
    assert len(load("digits").class_names) == 10
    assert load("./digits").class_names == ("a", "b")
    assert load(Path("digits")).class_names == ("a", "b")


def test_records_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        load("digits").splits["train"].pixels[0] = np.uint8(1)
