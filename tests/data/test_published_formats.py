"""Files in published formats that are a user's own: EMNIST, QMNIST, torchvision's folders, SVHN's MATLAB files."""

import gzip
import struct
from importlib.util import find_spec

import numpy as np
import pytest
from scipy.io import savemat
from tests.data.making import idx, pixels

from firstlight.data import load
from firstlight.data.formats import read_any_idx, read_mat
from firstlight.errors import DataError

LABELS = np.array([1, 2, 1, 26], np.uint8)


def idx_files(folder, prefix="", zipped=True, test="t10k", separator="-"):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, split in enumerate(("train", test)):
        images = pixels(4, seed=seed)[..., 0]
        for name, array in ((f"images{separator}idx3", images), (f"labels{separator}idx1", LABELS)):
            data = idx(array)
            path = folder / f"{prefix}{split}-{name}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(data, mtime=0) if zipped else data)
    return folder


@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize(("zipped", "separator"), [(True, "-"), (False, "-"), (False, ".")])
def test_folders_of_idx_files(tmp_path, place, zipped, separator):
    idx_files(tmp_path / "own" / place, zipped=zipped, separator=separator)
    own = load(tmp_path / "own", size=6)
    assert {name: len(images) for name, images in own.splits.items()} == {"train": 4, "test": 4}
    assert own.class_names == ("1", "2", "26")
    assert own.shape == (6, 6, 1)
    assert len(own.files) == 4


def test_a_file_and_what_it_was_unpacked_from(tmp_path):
    idx_files(tmp_path, zipped=True)
    idx_files(tmp_path, zipped=False)
    assert len(load(tmp_path).files) == 4


def test_several_sets_in_one_folder(tmp_path):
    for name in ("emnist-letters-", "emnist-digits-"):
        idx_files(tmp_path, name, test="test")
    with pytest.raises(DataError, match="several sets of images: emnist-digits, emnist-letters"):
        load(tmp_path)
    one = load(tmp_path / "emnist-letters-train-images-idx3-ubyte.gz")
    assert (one.name, len(one.splits["test"])) == ("emnist-letters", 4)
    assert 'upright: data.source = "emnist-letters"' in one.notes[-1]


def test_labels_of_several_columns(tmp_path):
    idx_files(tmp_path, "qmnist-")
    for path in tmp_path.glob("*labels*"):
        path.unlink()
    table = np.arange(4, dtype=">i4")[:, None] * np.ones(8, ">i4")
    for split in ("train", "t10k"):
        head = bytes([0, 0, 12, 2]) + struct.pack(">2I", *table.shape)
        (tmp_path / f"qmnist-{split}-labels-idx2-int").write_bytes(head + table.astype(">i4").tobytes())
    assert load(tmp_path).splits["train"].labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "begins with nothing"),
        (b"\0\0\x0d\3" + bytes(12), "not an idx file of integers"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "far more than the file can hold"),
        (idx(pixels(2)[..., 0])[:-1], "the file holds 39"),
        (idx(pixels(2)[..., 0]) + b"x", "the file holds 41"),
        (gzip.compress(idx(pixels(2)), mtime=0)[:-9], "truncated or damaged"),
    ],
)
def test_damaged_idx(tmp_path, data, says):
    for name, content in (
        ("a-idx3-ubyte", data),
        ("a-idx3-ubyte.gz", data if data[:1] == b"\x1f" else gzip.compress(data, mtime=0)),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=says):
            read_any_idx(tmp_path / name)


def test_a_matlab_file(tmp_path):
    X = np.random.default_rng(0).integers(0, 256, (20, 24, 3, 5), dtype=np.uint8)
    savemat(tmp_path / "train_32x32.mat", {"X": X, "y": np.array([[10], [1], [2], [1], [9]])})
    own = load(tmp_path)
    assert own.class_names == ("0", "1", "2", "9")
    np.testing.assert_array_equal(own.splits["train"].pixels[3], X[..., 3])


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"y": np.array(["a"] * 2)}, "y must be integers"),
        ({"y": np.array([1, "a"], object)}, "y must be integers"),
        ({"y": np.array([[1.5], [1]])}, "y must be integers"),
        ({"y": np.array([[np.nan], [1]])}, "y must be integers"),
        ({"y": np.array([[1e300], [1]])}, "y must be labels"),
        ({"y": np.ones((3, 1))}, "3 labels for 2 images"),
        ({"X": np.ones((4, 4))}, "X must be uint8"),
        ({"X": {"a": 1}}, "X must be uint8"),
        ({"X": "text"}, "X must be uint8"),
        ({"other": 1, "X": None}, "one of them is missing|X must be"),
    ],
)
def test_odd_matlab_files(tmp_path, arrays, says):
    whole = {"X": np.zeros((4, 4, 3, 2), np.uint8), "y": np.ones((2, 1))} | arrays
    savemat(tmp_path / "a.mat", {name: value for name, value in whole.items() if value is not None})
    with pytest.raises(DataError, match=says):
        read_mat(tmp_path / "a.mat")


@pytest.mark.parametrize("data", [b"", b"MATLAB 7.3 MAT-file".ljust(128), b"\x89HDF\r\n\x1a\n" + bytes(500), b"no"])
def test_no_matlab_files(tmp_path, data):
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.mat"):
        read_mat(tmp_path / "a.mat")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.zip", "Unpack it"),
        ("a.xlsx", "as CSV"),
        ("a.pkl", "Nothing is unpickled"),
        ("a.parquet", "not a Parquet file"),
        ("a.h5", "numpy.savez"),
    ],
)
def test_other_files_are_told_how_to_be_read(tmp_path, name, says):
    if name.endswith(".parquet") and find_spec("pyarrow") is None:
        says = r"firstlight\[parquet\]"
    (tmp_path / name).write_bytes(b"?")
    with pytest.raises(DataError, match=says):
        load(tmp_path / name)


@pytest.mark.parametrize("source", ["~nobody_such/x", "x" * 5000 + "/y", "a\0b.csv"])
def test_paths_that_are_none(source):
    with pytest.raises(DataError):
        load(source)
