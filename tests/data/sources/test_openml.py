import hashlib
import json
import re

import numpy as np
import pytest

from firstlight.data import SOURCES, load
from firstlight.errors import DataError


def smooth(n, side=6, channels=3):
    """Colour images whose neighbouring pixels are alike, and whose planes differ."""
    ramp = np.add.outer(np.arange(side), 2 * np.arange(side))
    image = np.stack([ramp * 3, 150 - ramp, 90 + ramp * 2], axis=2)[..., :channels]
    return np.stack([image + i for i in range(n)]).astype(np.uint8)


def arff(rows, labels, names=None, classes="{0,1}", after=True):
    head = ["% a comment", "@RELATION 'my set'", ""]
    columns = [f"@ATTRIBUTE V{k} REAL" for k in range(len(rows[0]))]
    head += [*columns, f"@attribute class {classes}"] if after else [f"@attribute class {classes}", *columns]
    lines = [
        ",".join([*map(str, row), label] if after else [label, *map(str, row)])
        for row, label in zip(rows, labels, strict=True)
    ]
    return "\n".join([*head, "@DATA", *lines, ""]).encode()


def put(root, data, number=41081, md5=None, **about):
    folder = root / f"openml-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number}.arff").write_bytes(data)
    described = {
        "id": str(number),
        "name": "SVHN",
        "format": "ARFF",
        "licence": "Public",
        "url": f"https://api.openml.org/data/v1/download/{number}/SVHN.arff",
        "md5_checksum": hashlib.md5(data).hexdigest() if md5 is None else md5,
        "default_target_attribute": "class",
    }
    described = {key: value for key, value in (described | about).items() if value is not None}
    (folder / "description.json").write_text(json.dumps({"data_set_description": described}), encoding="utf-8")
    return root


@pytest.mark.parametrize("planes", [False, True])
def test_how_the_colours_lie_is_told_by_the_images(tmp_path, planes):
    images = smooth(4)
    rows = (images.transpose(0, 3, 1, 2) if planes else images).reshape(4, -1)
    put(tmp_path, arff(rows, "0101"))
    dataset = load("openml:41081", cache=tmp_path)
    assert (dataset.splits["train"].pixels == images).all()
    assert dataset.splits["train"].labels.tolist() == [0, 1, 0, 1]
    assert dataset.verified
    assert dataset.licence == "Public"
    assert dataset.name == "openml:41081"
    assert any(("one colour after the other" if planes else "pixel by pixel") in note for note in dataset.notes)


def test_a_shape_may_be_said(tmp_path, monkeypatch):
    rows = np.arange(24)[None] * [[1], [2]]
    put(tmp_path, arff(rows, "01"), 41084)
    with pytest.raises(DataError, match=r"24 values per image are not a square.*openml:41084:HEIGHTxWIDTH"):
        load("openml:41084", cache=tmp_path)
    assert load("openml:41084:6x4", cache=tmp_path).splits["train"].pixels[1, 2, :, 0].tolist() == [16, 18, 20, 22]
    assert load("openml:41084:2x4x3", cache=tmp_path).splits["train"].pixels[0, 0, 1].tolist() == [3, 4, 5]
    assert load("openml:41084:3x2x4", cache=tmp_path).splits["train"].pixels[0, 0, 1].tolist() == [1, 9, 17]
    with pytest.raises(DataError, match=r"3×5 has 15 values; a row has 24"):
        load("openml:41084:3x5", cache=tmp_path)
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(tmp_path))
    assert SOURCES["openml:41084:6x4"].at_hand
    assert not SOURCES["openml:554"].at_hand


@pytest.mark.parametrize("name", ["openml:", "openml:0", "openml:x", "openml:554:28", "openml:554:2x2x2", "openml:-1"])
def test_no_number(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name not in SOURCES
    with pytest.raises(DataError, match="openml:NUMBER"):
        load(name)


@pytest.mark.parametrize(
    ("values", "pixel", "note"),
    [
        ([0, 255, 17, 3], [0, 255, 17, 3], ""),
        ([0, 16, 8, 4], [0, 255, 128, 64], "0..16"),
        ([0.0, 1.0, 0.5, 0.25], [0, 255, 128, 64], "0..1"),
        ([-1.0, 1.0, 0.0, -0.5], [0, 255, 128, 64], "-1..1"),
        ([0.5, 254.6, 17.0, 3.0], [0, 255, 17, 3], ""),
    ],
)
def test_values_are_scaled_to_a_byte(tmp_path, values, pixel, note):
    put(tmp_path, arff([values, values], "01", after=False))
    dataset = load("openml:41081", cache=tmp_path)
    assert dataset.splits["train"].pixels[0].ravel().tolist() == pixel
    assert any(note in said for said in dataset.notes) if note else len(dataset.notes) == 1


def test_classes_and_other_columns(tmp_path):
    data = b"""@relation t
@attribute id string
@attribute 'p 1' numeric
@attribute "p2" numeric
@attribute p3 integer
@attribute p4 REAL
@attribute 'the class' {'b, or so', "a"}
@data
% nothing
'x,1', 1, 2, 30, 4, a

'y', 1, 2, 30, 4.0, 'b, or so'
"""
    put(tmp_path, data, default_target_attribute="the class", row_id_attribute="id")
    dataset = load("openml:41081", cache=tmp_path)
    assert dataset.class_names == ("b, or so", "a")
    assert dataset.splits["train"].labels.tolist() == [1, 0]
    assert dataset.splits["train"].pixels[1].ravel().tolist() == [1, 2, 30, 4]


def test_numbers_as_classes_are_in_their_order(tmp_path):
    put(tmp_path, arff([[20] * 4] * 3, ["10.0", "2", "10"], classes="numeric"))
    dataset = load("openml:41081", cache=tmp_path)
    assert dataset.class_names == ("2", "10")
    assert dataset.splits["train"].labels.tolist() == [1, 0, 1]


def test_which_column_is_the_class_may_be_said(tmp_path):
    put(tmp_path, arff([[20] * 4] * 2, "01"), default_target_attribute=None)
    with pytest.raises(DataError, match=r"names no column as the class. Say which: data\.label\. Its columns: V0"):
        load("openml:41081", cache=tmp_path)
    assert load("openml:41081", cache=tmp_path, label="class").class_names == ("0", "1")
    with pytest.raises(DataError, match=r"no column 'klass'\. Did you mean class"):
        load("openml:41081", cache=tmp_path, label="klass")


GOOD = arff([[20, 1, 2, 3], [30, 1, 2, 3]], "01")


@pytest.mark.parametrize(
    ("data", "about", "says"),
    [
        (GOOD, {"format": "Sparse_ARFF"}, "of the format Sparse_ARFF"),
        (GOOD, {"url": "file:///etc/passwd"}, "tables in ARFF"),
        (GOOD, {"md5": "0" * 32}, "not the published file of openml-41081"),
        (GOOD.replace(b"@DATA", b"@no"), {}, "no line @data"),
        (b"<html>", {}, "no line @data"),
        (GOOD[: GOOD.index(b"@DATA") + 6], {}, "it holds no image"),
        (GOOD[:-8], {}, "line 11: 5 values were expected"),
        (GOOD.replace(b"30,1", b"x,1"), {}, "line 11: .*x,1,2,3"),
        (GOOD.replace(b"30,1", b"?,1"), {}, "line 11"),
        (GOOD.replace(b"3,1", b"3,?"), {}, "the class is missing"),
        (GOOD.replace(b"30,1", b"3000,1"), {}, "values go from 1 to 3000"),
        (GOOD.replace(b"30,1", b"nan,1"), {}, "values go from"),
        (GOOD.replace(b"V0 REAL", b"V0 string"), {}, "does not hold images: .* V0 are not numeric"),
        (GOOD.replace(b"{0,1}", b"{0,2}"), {}, "class '1' is none of those"),
        (GOOD.replace(b"V1", b"V0"), {}, "two of its attributes have one name"),
    ],
)
def test_other_files(tmp_path, data, about, says):
    put(tmp_path, data, **about)
    with pytest.raises(DataError, match=says):
        load("openml:41081", cache=tmp_path)


def test_a_file_without_a_checksum_is_not_verified(tmp_path):
    put(tmp_path, GOOD, md5="")
    dataset = load("openml:41081", cache=tmp_path)
    assert not dataset.verified
    assert any("not verified" in note for note in dataset.notes)


def test_a_damaged_description(tmp_path):
    put(tmp_path, GOOD)
    (tmp_path / "openml-41081" / "description.json").write_text('{"error": {"code": "111"}}')
    with pytest.raises(DataError, match=re.escape("not the description of a set as OpenML gives it")):
        load("openml:41081", cache=tmp_path)
    assert not SOURCES["openml:41081"].at_hand
