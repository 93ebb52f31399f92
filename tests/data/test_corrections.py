import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.making import images

from firstlight.data.corrections import (
    COLUMNS,
    Correction,
    Kind,
    applied,
    apply,
    must_fit,
    pixels_sha256,
    read_corrections,
    write_corrections,
)
from firstlight.errors import DataError
from firstlight.types import Dataset

HASH = "0123456789abcdef" * 4


def dataset(labels=(0, 1, 2, 0, 1, 2), **splits):
    return Dataset("some", {"train": images(list(labels)), **splits})


def of(data, sample, new, **more):
    """A correction of an image as it is."""
    held = next(images for images in data.splits.values() if sample in images.ids)
    i = held.ids.tolist().index(sample)
    return Correction(sample, pixels_sha256(held.pixels[i]), data.class_names[held.labels[i]], new, **more)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
names = texts.filter(str.strip)
rows = st.builds(
    Correction,
    id=names,
    pixels=st.text("0123456789abcdef", min_size=64, max_size=64),
    old=names,
    new=texts,
    reason=texts,
    by=texts,
    at=st.sampled_from(["", "2026-11-29T17:10:00Z", "2026-11-29T17:10:00.5+00:00"]),
)


@settings(max_examples=30, deadline=None)
@given(written=st.lists(rows, unique_by=lambda row: row.id, max_size=5))
def test_what_is_written_is_read_in_the_order_of_ids(tmp_path_factory, written):
    path = tmp_path_factory.getbasetemp() / "round.csv"
    write_corrections(path, written)
    first = path.read_bytes()
    assert read_corrections(path) == tuple(sorted(written, key=lambda row: row.id))
    write_corrections(path, reversed(written))
    assert path.read_bytes() == first


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("says", ["", "sep={}\n"])
def test_as_spreadsheets_write_it(tmp_path, separator, encoding, says):
    lines = [["New", "OLD", "id", "pixels", ""], ["", "é, ü", "a/1.png", HASH.upper(), ""], [""] * 5]
    text = says.format(separator) + "".join(
        separator.join(f'"{cell}"' if "," in cell else cell for cell in line) + "\r\n" for line in lines
    )
    path = tmp_path / "c.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        file.write(text)
    assert read_corrections(path) == (Correction("a/1.png", HASH, "é, ü", ""),)


HEAD = "id,pixels,old,new\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: .* it lacks id, pixels, old and new. Received nothing"),
        ("id,old,new\n", "line 1: .* it lacks pixels. Received id, old, new"),
        (HEAD.replace("\n", ",label\n"), "line 1: there is no column 'label'"),
        (HEAD.replace("\n", ",new\n"), "line 1: two columns have the same name, new"),
        (f"{HEAD}a,{HASH},x,y\nb,{HASH},x,y,z\n", "line 3: 5 cells for 4 columns"),
        (f"{HEAD}a,{HASH},x,y\n,{HASH},x,y\n", "line 3, column id: it is empty"),
        (f"{HEAD}\na,{HASH},,y\n", "line 3, column old: it is empty"),
        (f"{HEAD}a,12ab,x,y\n", "line 2, column pixels: it is not a SHA-256, .* received '12ab'"),
        (f"{HEAD}a\n", "line 2, column old: it is empty"),
        (f"{HEAD}a,{HASH},x,y\nb,{HASH},x,y\na,{HASH},x,z\n", "line 4, column id: 'a' is there already, in line 2"),
        (f"id,pixels,old,new,at\na,{HASH},x,y,29.11.2026\n", "line 2, column at: it is not a time"),
        (f'{HEAD}a,{HASH},"x,y\n', "line 2: not a CSV"),
    ],
)
def test_a_table_that_is_none(tmp_path, text, says):
    path = tmp_path / "c.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        read_corrections(path)


def test_no_such_table(tmp_path):
    with pytest.raises(DataError, match=r"c.csv cannot be read: No such file"):
        read_corrections(tmp_path / "c.csv")


@pytest.mark.parametrize(
    "wrong",
    [
        [Correction("a", "12", "x", "y")],
        [Correction("", HASH, "x", "y")],
        [Correction("a\0", HASH, "x", "y")],
        [Correction("a", HASH, "x", "y", by="\ud800")],
        [Correction("a", HASH, "x", "y", at="now")],
        [Correction("a", HASH, "x", "y"), Correction("a", HASH, "x", "")],
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, wrong):
    path = tmp_path / "c.csv"
    write_corrections(path, [])
    before = path.read_text()
    with pytest.raises(DataError, match=r"c\.csv"):
        write_corrections(path, wrong)
    assert path.read_text() == before == ",".join(COLUMNS) + "\n"


def test_relabelled_dropped_and_kept():
    data = dataset(test=images([0, 1], ids=["test/0", "test/1"], seed=1))
    rows = [
        of(data, "train/00000", "c"),
        of(data, "train/00001", ""),
        of(data, "train/00002", "c"),
        of(data, "test/1", "a"),
    ]
    assert [row.kind for row in rows] == ["relabelled", "dropped", "kept", "relabelled"]
    must_fit(data, rows)
    found = applied(data.splits, rows)
    assert found.splits["train"].ids.tolist() == [f"train/0000{i}" for i in (0, 2, 3, 4, 5)]
    assert found.splits["train"].labels.tolist() == [2, 2, 0, 1, 2]
    assert found.splits["test"].labels.tolist() == [0, 0]
    assert data.splits["train"].labels.tolist() == [0, 1, 2, 0, 1, 2]  # the user's own stay
    assert found.counts(rows) == {
        "train": {Kind.RELABELLED: 1, Kind.DROPPED: 1, Kind.KEPT: 1},
        "test": {Kind.RELABELLED: 1, Kind.DROPPED: 0, Kind.KEPT: 0},
    }
    whole = apply(data, rows)
    assert whole.splits["train"].digest == found.splits["train"].digest


def test_images_in_no_split_are_left_alone():
    data = dataset()
    part = {"train": data.splits["train"].take(np.arange(3))}
    found = applied(part, [of(data, "train/00005", "a"), of(data, "train/00000", "b")])
    assert found.places == {"train/00000": "train"}
    assert found.splits["train"].labels.tolist() == [1, 1, 2]
    assert applied(part, []).splits["train"].digest == part["train"].digest


def test_a_name_in_another_form_of_unicode():
    data = Dataset("some", {"train": images([0, 1], ["é", "b"])})
    row = Correction("train/00000", pixels_sha256(data.splits["train"].pixels[0]), "e\u0301", "e\u0301")
    assert row.kind == Kind.KEPT
    assert apply(data, [row]).splits["train"].labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": "train/7"}, r"c\.csv: there is no image 'train/7' in some: .* Put it back, or remove its line"),
        ({"pixels": HASH}, r"1 of 2 images are not those that were reviewed, 'train/00000': .* \(4×5\)"),
        ({"new": "d"}, "the new label of 'train/00000' is 'd', which is none of the classes of some. Known: a, b, c"),
        ({"old": "b"}, "'train/00000' is labelled 'a' now, and was 'b' when it was reviewed. Look at it again"),
        ({"old": "b", "new": "a"}, "'train/00000' is labelled 'a' now, .* It has the new label already"),
        ({"id": "train/00001"}, "'train/00001' has more than one correction"),
    ],
)
def test_a_correction_that_does_not_fit(change, says):
    data = dataset()
    row = of(data, "train/00000", "b")
    wrong = Correction(**{**vars(row), **change})
    with pytest.raises(DataError, match=says):
        apply(data, [wrong, of(data, "train/00001", "")], "c.csv")


def test_no_image_left():
    data = dataset(test=images([0, 1], ids=["test/0", "test/1"], seed=1))
    with pytest.raises(DataError, match="all 2 test images are dropped"):
        apply(data, [of(data, "test/0", ""), of(data, "test/1", "")])


def test_the_hash_knows_the_shape_and_every_pixel():
    image = images([0]).pixels[0]
    other = image.copy()
    other[-1, -1, -1] ^= 1
    assert len({pixels_sha256(one) for one in (image, other, image.reshape(5, 4, 1), image.reshape(20, 1, 1))}) == 4
    assert pixels_sha256(image[::-1]) == pixels_sha256(image[::-1].copy())
