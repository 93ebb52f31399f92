"""The sources' readers, on small files in the published formats that stand in for the published ones."""

import bz2
import gzip
import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from tests.data.making import idx, pixels, published, tarred

from firstlight.data import SOURCES, load
from firstlight.errors import DataError


def given(source, root, contents, archive=None):
    """The source with other files, which lie in the folder `root`, or in an archive there."""
    files = tuple(published(file.name, data, file.urls) for file, data in zip(source.files, contents, strict=True))
    folder = root / source.folder
    if archive is None:
        for file, data in zip(files, contents, strict=True):
            (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.name).write_bytes(data)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / source.archive.name).write_bytes(
            archive({file.name: data for file, data in zip(files, contents, strict=True)})
        )
    return replace(source, files=files)


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr("gzip/emnist-byclass-mapping.txt", "0 48\n")
    return buffer.getvalue()


SEVEN = np.array([[1, 1, 1], [0, 0, 1], [0, 1, 0]], np.uint8) * 200  # no other way up is it a 7


def emnist_files(labels=(1, 26)):
    """An image as EMNIST is published: column by column."""
    images = np.stack([SEVEN.T] * len(labels))
    return [gzip.compress(idx(array), mtime=0) for array in (images, np.array(labels, np.uint8)) * 2]


def test_emnist_is_upright_and_stays_in_its_archive(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(tmp_path))
    letters = given(SOURCES["emnist-letters"], tmp_path, emnist_files(), zipped)
    assert letters.at_hand
    dataset = letters.load(cache=tmp_path)
    assert (dataset.splits["train"].pixels[0, :, :, 0] == SEVEN).all()
    assert dataset.class_names[0] == "A"
    assert dataset.splits["test"].labels.tolist() == [0, 25]
    assert dataset.verified
    assert (tmp_path / "emnist" / "gzip.zip").is_file()  # five other sets are in it
    assert dataset.files[0].name == "gzip/emnist-letters-train-images-idx3-ubyte.gz"


def test_a_set_of_emnist_that_was_not_turned_is_noticed(tmp_path):
    files = emnist_files()
    files[0] = files[2] = gzip.compress(idx(np.stack([SEVEN, SEVEN])))
    dataset = given(SOURCES["emnist-letters"], tmp_path, files).load(cache=tmp_path)
    assert not (dataset.splits["train"].pixels[0, :, :, 0] == SEVEN).all()


def test_emnist_classes():
    counts = {"balanced": 47, "byclass": 62, "bymerge": 47, "letters": 26, "digits": 10, "mnist": 10}
    assert {name: len(SOURCES[f"emnist-{name}"].class_names) for name in counts} == counts
    merged = SOURCES["emnist-balanced"].class_names
    assert "".join(merged[36:]) == "abdefghnqrt"  # by the published mapping: 97, 98, 100, 101, … 116
    assert len({SOURCES[f"emnist-{name}"].folder for name in counts}) == 1


def test_labels_out_of_range_are_named(tmp_path):
    with pytest.raises(DataError, match=r"labels must lie in 0\.\.25; received -1\.\.25"):
        given(SOURCES["emnist-letters"], tmp_path, emnist_files((0, 26))).load(cache=tmp_path)


@pytest.mark.parametrize(
    ("data", "says"), [(b"PK\3\4 and no more", "truncated or damaged"), (zipped({}), "lacks a file")]
)
def test_a_damaged_archive(tmp_path, data, says):
    source = given(SOURCES["emnist-digits"], tmp_path, emnist_files((1, 2)), lambda members: data)
    with pytest.raises(DataError, match=says):
        source.load(cache=tmp_path)


def test_cifar_100_has_fine_and_coarse_labels(tmp_path):
    batches = [bytes([coarse, fine]) + pixels(1, 3, 1024, seed=fine).tobytes() for coarse, fine in ((4, 0), (19, 99))]
    fine = given(SOURCES["cifar-100"], tmp_path, batches, tarred).load(cache=tmp_path)
    assert fine.splits["train"].labels.tolist() == [0]
    assert fine.splits["test"].labels.tolist() == [99]
    assert (fine.class_names[0], fine.class_names[99]) == ("apple", "worm")
    assert fine.shape == (32, 32, 3)
    plane = np.frombuffer(batches[0], np.uint8)[2:].reshape(3, 32, 32)
    assert (fine.splits["train"].pixels[0] == plane.transpose(1, 2, 0)).all()
    coarse = given(SOURCES["cifar-100-coarse"], tmp_path, batches).load(cache=tmp_path)
    assert coarse.splits["test"].labels.tolist() == [19]
    assert [len(SOURCES[name].class_names) for name in ("cifar-100", "cifar-100-coarse")] == [100, 20]
    with pytest.raises(DataError, match="not a whole number of records of 3,074 bytes"):
        given(SOURCES["cifar-100"], tmp_path, [batches[0][:-1], batches[1]]).load(cache=tmp_path)


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def medmnist(labels, **others):
    return npz(
        **{
            f"{split}_{role}": array
            for split in ("train", "val", "test")
            for role, array in (("images", pixels(len(labels), 28, 28, 3)), ("labels", np.array(labels)[:, None]))
        }
        | others
    )


def test_medmnist_has_three_splits_of_its_own(tmp_path):
    dataset = given(SOURCES["pathmnist"], tmp_path, [medmnist([0, 8, 3])]).load(cache=tmp_path)
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert dataset.splits["validation"].labels.tolist() == [0, 8, 3]
    assert dataset.licence == "CC BY 4.0"
    assert SOURCES["dermamnist"].licence == "CC BY-NC 4.0"
    grey = medmnist([1, 0], **{f"{split}_images": pixels(2, 28, 28)[..., 0] for split in ("train", "val", "test")})
    assert given(SOURCES["breastmnist"], tmp_path, [grey]).load(cache=tmp_path).shape == (28, 28, 1)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PK no archive", "not a readable .npz"),
        (npz(train_images=pixels(2), train_labels=np.array([[0], [1]])), "lacks val_images or val_labels"),
        (medmnist([0, 1], val_labels=np.zeros((2, 14), int)), r"one integer per image, \(N, 1\); .* \(2, 14\)"),
        (medmnist([0, 1], test_labels=np.array([[0], [9]])), r"labels must lie in 0\.\.8; received 0\.\.9"),
    ],
)
def test_medmnist_of_another_form(tmp_path, data, says):
    with pytest.raises(DataError, match=says):
        given(SOURCES["pathmnist"], tmp_path, [data]).load(cache=tmp_path)


def test_sets_that_are_not_read_say_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="chestmnist is not supported: each of its images has any number of 14 labels"):
        load("chestmnist")
    with pytest.raises(DataError, match="volumes"):
        load("organmnist3d")


def usps(*rows):
    lines = [" ".join([str(label), *(f"{place}:{value}" for place, value in row)]) for label, row in rows]
    return bz2.compress("\n".join(lines).encode())


def test_usps(tmp_path):
    one = usps((1, [(k, -1) for k in range(1, 257)]), (10, [(1, 1), (17, -1)]))
    dataset = given(SOURCES["usps"], tmp_path, [one, one]).load(cache=tmp_path)
    images = dataset.splits["test"]
    assert images.labels.tolist() == [0, 9]
    assert images.pixels[0].max() == 0
    assert images.pixels[1, :2, :2, 0].tolist() == [[255, 128], [0, 128]]  # what is left out is 0 of −1..1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (usps((1, []), (2, [(257, 0)])), "line 2: an image is a label and up to 256 values"),
        (usps((1, [(0, 1)])), "line 1"),
        (usps((1, [(1, 2)])), "from -1 to 1"),
        (bz2.compress(b"1 1:x"), "line 1"),
        (usps((1, []))[:-10], "truncated or damaged"),
        (b"no bzip2", "truncated or damaged"),
        (usps((11, [])), r"labels must lie in 0\.\.9"),
    ],
)
def test_usps_of_another_form(tmp_path, data, says):
    with pytest.raises(DataError, match=says):
        given(SOURCES["usps"], tmp_path, [data, usps((1, []))]).load(cache=tmp_path)
