import gzip
import json

import numpy as np
import pytest
from tests.data.making import idx, pixels, published, write_image
from typer.testing import CliRunner

import firstlight as fl
from firstlight import api
from firstlight.cli.data import app
from firstlight.data import SOURCES, PublishedFile, Source, formats, load
from firstlight.errors import DataError, ExperimentError
from firstlight.experiments import Experiment


@pytest.fixture(autouse=True)
def _restored():
    with SOURCES.restored():
        yield


def test_a_function_is_a_source():
    @fl.source
    def my_set():
        """Dots and dashes.

        Drawn by hand.
        """
        return pixels(4), ["dot", "dash"] * 2

    dataset = load("my-set", size=8)
    assert dataset.class_names == ("dash", "dot")
    assert dataset.shape == (8, 8, 1)
    assert (dataset.name, dataset.origin) == ("my-set", "my-set")
    source = SOURCES["my-set"]
    assert (source.shows, source.where, source.at_hand) == ("Dots and dashes", "a function", True)
    assert not SOURCES.is_ours("my-set")
    assert SOURCES.is_ours("digits")
    assert SOURCES.origin("mnist") == "firstlight.data.sources.mnist"


def test_a_function_may_give_splits_or_a_dataset():
    @fl.source(name="splits", licence="CC0", homepage="https://example.org")
    def made():
        """Two splits."""
        return {"x_train": pixels(2), "y_train": [0, 1], "x_test": pixels(2), "y_test": [1, 0]}

    @fl.source
    def again():
        """The same as a Dataset."""
        return load("splits")

    dataset = load("splits")
    assert list(dataset.splits) == ["train", "test"]
    assert (dataset.licence, dataset.homepage) == ("CC0", "https://example.org")
    assert load("again").splits["test"].digest == dataset.splits["test"].digest
    assert load("again").name == "again"


def test_a_function_may_tell_groups():
    @fl.source
    def grouped():
        """Arrays by name."""
        return {"images": pixels(4), "labels": [0, 1, 0, 1], "patient": ["p", "p", "q", "q"]}

    assert np.asarray(load("grouped", group="patient").splits["train"].groups).tolist() == list("ppqq")
    with pytest.raises(DataError, match="has no array of that name"):
        load("grouped", group="video")
    with pytest.raises(DataError, match="it is not known which images of digits belong together"):
        load("digits", group="patient")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "must return a Dataset, a pair"),
        ((pixels(2), [0, 1, 2]), "2 train images need as many labels; received 3"),
        ((pixels(2).astype(float) / 255, [0, 1]), r"must be uint8 .*np\.rint"),
        ({"pixels": pixels(2)}, "must hold images and labels"),
        (pixels(2), "must return a Dataset"),
    ],
)
def test_what_a_function_returns_is_checked(given, says):
    @fl.source
    def odd():
        """Odd."""
        return given

    with pytest.raises(DataError, match=says):
        load("odd")


def test_a_function_that_fails_is_told_with_its_line():
    @fl.source
    def broken():
        """Broken."""
        return {"here": 1}["missing"]

    with pytest.raises(DataError, match=r"broken could not .* KeyError: 'missing' \(.*test_source\.py, line"):
        load("broken")


def undocumented():
    return None


def needs(size):
    """Needs an argument."""


@pytest.mark.parametrize(
    ("definition", "says"),
    [
        (undocumented, "needs a docstring"),
        (needs, "called without arguments; it needs size"),
        (3, "is a Source, or a function"),
    ],
)
def test_what_is_no_source(definition, says):
    with pytest.raises(ExperimentError, match=says):
        SOURCES.register(definition)


def test_a_name_that_is_taken():
    def digits():
        """Mine."""

    with pytest.raises(ExperimentError, match=r"'digits' is firstlight\.data\.sources\.digits\.digits already"):
        SOURCES.register(digits)
    for _ in range(2):  # as a cell of a notebook that is run again
        SOURCES.register(Source("mine", "mine", made=lambda: (pixels(2), [0, 1])))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "it has neither"),
        ({"made": undocumented, "files": (PublishedFile("a", ""),), "read": formats.read_digits}, "it has both"),
        ({"files": (PublishedFile("a", ""),)}, "it has neither"),
        ({"name": "a/b", "made": undocumented}, "needs a name for data.source"),
        ({"name": "", "made": undocumented}, "needs a name"),
    ],
)
def test_a_source_has_one_way_to_its_images(options, says):
    with pytest.raises(ExperimentError, match=says):
        Source(**{"name": "x", "shows": "x", **options})


def published_set(root, checksum=None):
    data = [gzip.compress(idx(array)) for array in (pixels(3)[..., 0], np.array([0, 1, 1], np.uint8)) * 2]
    files = formats.idx_files([""] * 4, ("https://example.org/",))
    if checksum is None:
        files = tuple(published(file.name, one) for file, one in zip(files, data, strict=True))
    for file, one in zip(files, data, strict=True):
        (root / "mine").mkdir(exist_ok=True)
        (root / "mine" / file.name).write_bytes(one)
    return SOURCES.register(Source("mine", "mine", class_names=("a", "b"), files=files, read=formats.read_idx_pairs))


def test_published_files_of_a_users_source_are_verified(tmp_path):
    published_set(tmp_path)
    dataset = load("mine", cache=tmp_path)
    assert dataset.verified
    assert dataset.splits["test"].counts.tolist() == [1, 2]
    path = tmp_path / "mine" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(DataError, match="is not the published file of mine"):
        load("mine", cache=tmp_path)


def test_without_a_checksum_what_is_read_is_not_verified(tmp_path):
    published_set(tmp_path, "")
    dataset = load("mine", cache=tmp_path)
    assert not dataset.verified
    assert dataset.notes[0].startswith("Not verified, as no checksum is known: train-images")


def test_a_reader_that_returns_something_else(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_bytes(b"x")
    SOURCES.register(Source("mine", "mine", files=(PublishedFile("a", ""),), read=lambda paths, names: pixels(2)))
    with pytest.raises(DataError, match="must return Images by split"):
        load("mine", cache=tmp_path)


def test_the_column_of_the_class_is_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(20):
        write_image(tmp_path / f"{i}.png", pixels(1, seed=i)[0, ..., 0])
    rows = "".join(f"{i}.png,{i % 3},{'ab'[i % 2]}\n" for i in range(20))
    (tmp_path / "t.csv").write_text(f"path,label,other\n{rows}")
    dataset = load("t.csv", label="other")
    assert dataset.class_names == ("a", "b")
    table = api._data_table(dataset)
    assert table["label"] == "other"
    assert Experiment.of({"data": table}).data.load().class_names == ("a", "b")
    with pytest.raises(DataError, match=r"data\.label = 'othr': .* Did you mean other"):
        load("t.csv", label="othr")


def test_groups_and_labels_are_of_tables():
    with pytest.raises(DataError, match=r"data\.label = 'x' names a column of a table, and digits has none"):
        load("digits", label="x")
    with pytest.raises(DataError, match="beside arrays there is none"):
        load((pixels(2), [0, 1]), label="x")
    with pytest.raises(DataError, match="is the name of a column"):
        load("digits", label=" ")


PLUGIN = '''
import numpy as np
import firstlight as fl
from firstlight import api

@fl.source(licence="CC0")
def my_set():
    """Noise in two classes."""
    labels = np.arange(60) % 2
    return np.random.default_rng(0).integers(0, 99, (60, 6, 6), np.uint8), labels
'''


def test_the_commands_know_a_users_source():
    exec(PLUGIN, {"__name__": "mine"})

    def firstlight(*arguments):
        return CliRunner().invoke(app, arguments, catch_exceptions=False).stdout

    listed = {source["name"]: source for source in json.loads(firstlight("list", "--json"))}
    assert listed["my-set"]["shows"] == "Noise in two classes"
    assert listed["my-set"]["shape"] == []
    assert "a function" in firstlight("list")
    assert "known when they are loaded" in firstlight("info", "my-set")
    assert json.loads(firstlight("check", "my-set", "--json"))["shape"] == [6, 6, 1]


def test_a_run_of_a_users_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    @fl.source
    def my_set():
        """Noise in two classes."""
        labels = np.arange(60) % 2
        return (pixels(60)[..., 0] // 2 + 100 * labels[:, None, None]).astype(np.uint8), labels

    trained = fl.fit("softmax-regression", "my-set", epochs=1, out="run")
    assert trained.folder.data.source == "my-set"
    assert not trained.folder.data.location
    assert trained.folder.data.name == "my-set"
