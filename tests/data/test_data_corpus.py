"""Inputs that were once taken wrongly, or ended in a traceback: each is read as it should be, or refused in words."""

from pathlib import Path

import pytest
from tests.data.making import class_folders

from firstlight.data import load, load_image
from firstlight.data.formats import read_any_idx, read_mat
from firstlight.errors import DataError

CORPUS = Path(__file__).parent.parent / "corpus" / "data"
SPLITS = {"train": 4, "validation": 2, "test": 2}

READ = {
    "long-text.png": (8, 8, 1),
    "short-profile.png": (8, 8, 1),
    "grey-16-bit-with-alpha.png": (1, 2, 1),
    "resolution-as-text.jpg": (16, 8, 1),
    "width-as-float.jpg": (16, 8, 1),
    "width-as-text.jpg": (16, 8, 1),
    "label-of-5000-digits.npz": {"train": 4},
    "split-capital.csv": SPLITS,
    "split-space.csv": SPLITS,
    "split-set.csv": SPLITS,
    "label-of-5000-digits.csv": {"train": 8},
}
REFUSED = {
    "one-by-89-million.png": "a side above 65,535",
    "ten-of-24-rows.png": "250 of the 600 bytes",
    "no-rows.png": "0 of the 600 bytes",
    "early-end.jpg": "truncated or damaged",
    "32-bit.tif": "save it with 8 bits",
    "wide-screen.gif": "more than 89,478,485 pixels",
    "program.png": "not a PNG",
    "flipped-byte.npz": "not a readable",
    "promises-six-terabytes.npz": "not a readable",
    "half-a-surrogate-pair.npz": "invalid characters",
    "empty-test-split.npz": "the test split is empty",
    "promises-far-more-idx3-ubyte.gz": "far more than the file can hold",
    "y-as-text.mat": "y must be integers",
    "y-as-cells.mat": "y must be integers",
    "y-sparse.mat": "y must be integers",
    "split-flag.csv": "is_valid looks like a split",
    "unquoted-comma.csv": "line 2: 3 cells for 2 columns",
    "two-labels.csv": "two columns have the same name",
    "path-with-nul.csv": "line 2",
    "very-long-path.csv": "line 2: there is no file",
    "open-quote.csv": "line 3: not a CSV file",
    "latin-1.csv": "Save it as UTF-8",
}


def fed(path, folder):
    """What is made of a file of the corpus: the shape of an image, or the number of images by split."""
    if path.suffix == ".csv":
        class_folders(folder, ["a", "b"], images_each=4)
        (folder / path.name).write_bytes(path.read_bytes())
        path = folder / path.name
    if path.suffix in (".csv", ".npz"):
        return {name: len(images) for name, images in load(path).splits.items()}
    if path.suffix == ".mat":
        return read_mat(path)[0].shape
    return read_any_idx(path).shape if path.suffix == ".gz" else load_image(path).shape


def test_all_of_the_corpus_is_fed():
    assert {path.name for path in CORPUS.iterdir()} == {*READ, *REFUSED}


@pytest.mark.parametrize("name", READ)
def test_what_is_sound_is_read(name, tmp_path):
    assert fed(CORPUS / name, tmp_path) == READ[name]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_is_refused_in_words(name, tmp_path):
    with pytest.raises(DataError, match=REFUSED[name]):
        fed(CORPUS / name, tmp_path)
