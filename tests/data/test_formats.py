import gzip

import numpy as np
import pytest
from scipy.io import savemat
from tests.data.making import idx, pixels, write_idx

from firstlight.data.formats import read_cifar, read_digits, read_idx, read_idx_pairs, read_svhn
from firstlight.errors import DataError

DIGITS = tuple("0123456789")


def idx_set(folder, train=4, test=3):
    return [
        write_idx(folder / "train-images.gz", pixels(train)[..., 0]),
        write_idx(folder / "train-labels.gz", np.arange(train, dtype=np.uint8)),
        write_idx(folder / "test-images.gz", pixels(test, seed=1)[..., 0]),
        write_idx(folder / "test-labels.gz", np.arange(test, dtype=np.uint8)),
    ]


def test_idx_pairs(tmp_path):
    splits = read_idx_pairs(idx_set(tmp_path), DIGITS)
    assert list(splits) == ["train", "test"]
    np.testing.assert_array_equal(splits["train"].pixels, pixels(4))
    np.testing.assert_array_equal(splits["test"].labels, [0, 1, 2])
    assert splits["test"].ids.tolist() == ["test/00000", "test/00001", "test/00002"]
    assert splits["train"].labels.dtype == np.int64


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "begins with nothing"),
        (b"\x00\x00\x08\x01" + bytes(20), "begins with 00 00 08 01, not with 00 00 08 03"),
        (idx(np.zeros((2, 3, 3), np.uint8))[:10], "not an idx file"),
        (idx(np.zeros((2, 3, 3), np.uint8))[:-1], "declares 18 bytes (2, 3, 3); the file holds 17"),
        (idx(np.zeros((2, 3, 3), np.uint8)) + b"!", "the file holds 19"),
    ],
)
def test_idx_that_is_damaged(tmp_path, data, says):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(data))
    with pytest.raises(DataError) as error:
        read_idx(path, ndim=3)
    assert says in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("cut", [1, 9, 30])
def test_truncated_gzip(tmp_path, cut):
    path = write_idx(tmp_path / "images.gz", pixels(4)[..., 0])
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match=r"images\.gz: the gzip file is truncated or damaged"):
        read_idx(path, ndim=3)


def test_file_that_is_no_gzip(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="truncated or damaged"):
        read_idx(path, ndim=3)


def test_idx_labels_that_do_not_belong(tmp_path):
    paths = idx_set(tmp_path)
    write_idx(paths[1], np.zeros(7, np.uint8))
    with pytest.raises(DataError, match=r"train-labels\.gz: 7 labels for 4 images"):
        read_idx_pairs(paths, DIGITS)
    write_idx(paths[1], np.full(4, 10, np.uint8))
    with pytest.raises(DataError, match=r"labels must lie in 0\.\.9; received 10\.\.10"):
        read_idx_pairs(paths, DIGITS)


def cifar_batch(path, labels, seed):
    rows = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    path.write_bytes(np.concatenate([np.array(labels, np.uint8)[:, None], rows], axis=1).tobytes())
    return rows.reshape(-1, 3, 32, 32)


def test_cifar(tmp_path):
    paths = [tmp_path / f"{i}.bin" for i in range(3)]
    planes = [cifar_batch(path, [i, 9 - i], seed=i) for i, path in enumerate(paths)]
    splits = read_cifar(paths, DIGITS)
    assert splits["train"].labels.tolist() == [0, 9, 1, 8]
    assert splits["train"].shape == (32, 32, 3)
    np.testing.assert_array_equal(splits["train"].pixels[2, :, :, 1], planes[1][0, 1])
    np.testing.assert_array_equal(splits["test"].pixels[1, 5, 7], planes[2][1, :, 5, 7])


def test_cifar_that_is_damaged(tmp_path):
    paths = [tmp_path / "train.bin", tmp_path / "test.bin"]
    cifar_batch(paths[0], [1], seed=0)
    paths[1].write_bytes(bytes(3072))
    with pytest.raises(DataError, match=r"test\.bin: 3,072 bytes are not a whole number of records"):
        read_cifar(paths, DIGITS)
    cifar_batch(paths[1], [1, 77], seed=0)
    with pytest.raises(DataError, match=r"test\.bin: labels must lie in 0\.\.9; received 1\.\.77"):
        read_cifar(paths, DIGITS)


def test_svhn_stores_zero_as_ten(tmp_path):
    X = np.moveaxis(pixels(3, 32, 32, 3), 0, -1)
    paths = [tmp_path / "train.mat", tmp_path / "test.mat"]
    for path in paths:
        savemat(path, {"X": X, "y": np.array([[10], [1], [9]], np.uint8)})
    splits = read_svhn(paths, DIGITS)
    assert splits["train"].labels.tolist() == [0, 1, 9]
    np.testing.assert_array_equal(splits["test"].pixels, pixels(3, 32, 32, 3))


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"X": np.zeros((32, 32, 3, 2), np.uint8)}, "one of them is missing"),
        ({"X": np.zeros((32, 32, 3, 2)), "y": np.ones((2, 1))}, r"X must be uint8 \(H, W, 3, N\); received float64"),
        ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.ones((3, 1))}, "3 labels for 2 images"),
        ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.full((2, 1), 11)}, "labels must lie"),
    ],
)
def test_svhn_that_is_malformed(tmp_path, arrays, says):
    path = tmp_path / "train_32x32.mat"
    savemat(path, arrays)
    with pytest.raises(DataError, match=rf"train_32x32\.mat: .*{says}"):
        read_svhn([path, path], DIGITS)


@pytest.mark.parametrize("data", [b"", b"no MATLAB file at all" * 20])
def test_mat_that_is_damaged(tmp_path, data):
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"train_32x32\.mat: not a readable MATLAB 5 file"):
        read_svhn([path, path], DIGITS)


def test_mat_that_is_truncated(tmp_path):
    path = tmp_path / "train_32x32.mat"
    savemat(path, {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.ones((2, 1))}, do_compression=True)
    path.write_bytes(path.read_bytes()[:180])
    with pytest.raises(DataError, match=r"train_32x32\.mat"):
        read_svhn([path, path], DIGITS)


def test_digits_of_another_shape(tmp_path):
    path = tmp_path / "digits.csv"
    path.write_text("1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match=r"rows of 65 numbers were expected; received \(2, 3\)"):
        read_digits([path], DIGITS)
