import io
import json
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.data.making import class_folders, pixels

from firstlight.data import formats, load
from firstlight.data.arrow_messages import unpacked_bytes
from firstlight.errors import DataError, SizesDifferError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

CLASSES = {"_type": "ClassLabel", "names": ["zebra", "ant"]}


def encoded(array, kind="PNG", **options):
    buffer = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array.squeeze())
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def images(n, seed=0, channels=3):
    return [encoded(image) for image in pixels(n, 6, 6, channels, seed)]


def table(columns, features=None, struct=True):
    """A table; `image` is a column of bytes, or of (bytes, path)."""
    columns = dict(columns)
    if "image" in columns and struct:
        rows = [{"bytes": one, "path": None} if isinstance(one, bytes) else one for one in columns["image"]]
        kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        columns["image"] = pyarrow.array(rows, kind)
    made = pyarrow.table(columns)
    if features is None:
        return made
    return made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write(path, *given, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table(*given, **options), path)
    return path


def write_arrow(path, made):
    path.parent.mkdir(parents=True, exist_ok=True)
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_stream(sink, made.schema) as writer:
        writer.write_table(made, max_chunksize=2)


def saved(folder, made):
    """As datasets' save_to_disk writes it, in two files."""
    half = made.num_rows // 2
    names = [f"data-0000{i}-of-00002.arrow" for i in range(2)]
    for name, part in zip(names, (made.slice(0, half), made.slice(half)), strict=True):
        write_arrow(folder / name, part)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {"label": CLASSES, "image": {"_type": "Image"}}}))


def test_a_folder_as_on_the_hub(tmp_path):
    features = {"image": {"_type": "Image"}, "label": CLASSES}
    for split, n in (("train", 4), ("test", 3)):
        for shard in range(2):
            data = {"image": images(n, shard), "label": [i % 2 for i in range(n)]}
            write(tmp_path / "data" / f"{split}-0000{shard}-of-00002.parquet", data, features)
    dataset = load(tmp_path)
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 8, "test": 6}
    assert dataset.class_names == ("zebra", "ant")  # the order of the table, not of the alphabet
    assert dataset.splits["train"].labels.tolist() == [0, 1] * 4
    assert (dataset.splits["train"].pixels[4:] == pixels(4, 6, 6, 3, 1)).all()
    assert dataset.splits["test"].ids.tolist()[-1] == "test/00005"
    assert [file.name for file in dataset.files] == [
        f"data/{split}-0000{i}-of-00002.parquet" for split in ("train", "test") for i in range(2)
    ]
    assert (load(tmp_path).splits["test"].ids == dataset.splits["test"].ids).all()


@pytest.mark.parametrize("splits", [True, False])
def test_a_saved_dataset(tmp_path, splits):
    made = table({"image": images(4), "label": [0, 1, 1, 0]})
    if splits:
        (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
        saved(tmp_path / "train", made)
        saved(tmp_path / "validation", made)
    else:
        saved(tmp_path, made)
    dataset = load(tmp_path)
    assert list(dataset.splits) == (["train", "validation"] if splits else ["train"])
    assert dataset.class_names == ("zebra", "ant")
    assert dataset.splits["train"].labels.tolist() == [0, 1, 1, 0]
    assert (dataset.splits["train"].pixels == pixels(4, 6, 6, 3)).all()


def test_one_file_with_bytes_alone_and_labels_as_text(tmp_path):
    path = write(tmp_path / "test-x.parquet", {"img": images(4, channels=1), "Category": ["b", "a", "b", "a"]})
    dataset = load(path)
    assert dataset.name == "test-x"
    assert dataset.class_names == ("a", "b")
    assert dataset.shape == (6, 6, 1)
    assert list(dataset.splits) == ["train"]


def test_paths_are_ids_where_each_image_has_one(tmp_path):
    def rows(name):
        return [{"bytes": data, "path": f"{name}{i}.png"} for i, data in enumerate(images(2))]

    write(tmp_path / "train.parquet", {"image": rows("a"), "label": ["x", "y"]})
    write(tmp_path / "test.parquet", {"image": rows("b"), "label": ["x", "y"]})
    assert load(tmp_path).splits["test"].ids.tolist() == ["b0.png", "b1.png"]
    write(tmp_path / "test.parquet", {"image": rows("a"), "label": ["x", "y"]})
    assert load(tmp_path).splits["test"].ids.tolist() == ["test/a0.png", "test/a1.png"]
    write(tmp_path / "t" / "t.parquet", {"image": [*rows("a"), *rows("b")], "label": list("xyxy")})
    assert np.asarray(load(tmp_path / "t", group="([ab])").splits["train"].groups).tolist() == list("aabb")


def test_a_column_may_be_the_split_or_the_group(tmp_path):
    data = {"image": images(6), "label": ["x", "y"] * 3, "split": ["train", "test", "test", "train", "train", "val"]}
    path = write(tmp_path / "t.parquet", {**data, "patient": [1, 1, 2, 3, 1, 4]})
    dataset = load(path, group="patient")
    assert {split: part.labels.tolist() for split, part in dataset.splits.items()} == {
        "train": [0, 1, 0],
        "validation": [1],
        "test": [1, 0],
    }
    assert (dataset.splits["test"].pixels == pixels(6, 6, 6, 3)[[1, 2]]).all()
    assert np.asarray(dataset.splits["train"].groups).tolist() == ["1", "3", "1"]
    assert "The column split is taken as the split." in dataset.notes


def test_which_column_is_the_class(tmp_path):
    features = {"fine_label": CLASSES, "coarse_label": CLASSES}
    path = write(tmp_path / "t.parquet", {"image": images(2), "fine_label": [0, 1], "coarse_label": [1, 0]}, features)
    with pytest.raises(DataError, match=r"fine_label and coarse_label may all be the class\. Say which: data\.label"):
        load(path)
    dataset = load(path, label="coarse_label")
    assert dataset.splits["train"].labels.tolist() == [1, 0]
    assert dataset.label == "coarse_label"
    with pytest.raises(DataError, match=r"there is no such column\. Did you mean fine_label"):
        load(path, label="fine_labl")


def test_images_are_decoded_as_those_of_folders(tmp_path):
    colour = pixels(1, 6, 6, 3)[0]
    rows = [
        encoded(Image.fromarray(colour).convert("CMYK"), "TIFF"),
        encoded(Image.fromarray(np.full((6, 6), 40_000, np.uint16))),
        encoded(np.rot90(colour).copy(), exif=turned(6)),
        encoded(pixels(1, 6, 6, 1)[0]),
    ]
    dataset = load(write(tmp_path / "t.parquet", {"image": rows, "label": list("abcd")}))
    found = dataset.splits["train"].pixels
    assert found.shape == (4, 6, 6, 3)  # grey among colours is repeated
    assert found[1].tolist() == np.full((6, 6, 3), 156).tolist()
    assert (found[2] == colour).all()
    assert np.abs(found[0].astype(int) - colour).mean() < 3


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_sizes_that_differ(tmp_path):
    rows = [encoded(image) for n in (5, 6) for image in pixels(2, n, n, 3)]
    path = write(tmp_path / "t.parquet", {"image": rows, "label": list("abab")})
    with pytest.raises(SizesDifferError, match=r"5×5 \(2\)"):
        load(path)
    assert load(path, size=8).shape == (8, 8, 3)


def test_what_does_not_decode_is_set_aside(tmp_path):
    rows = [*images(2), None, {"bytes": None, "path": "/else/where.png"}, b"no image", images(1)[0][:60]]
    dataset = load(write(tmp_path / "t.parquet", {"image": rows, "label": list("ababab")}))
    assert dataset.splits["train"].ids.tolist() == ["train/00000", "train/00001"]
    assert dataset.set_aside["train/00002"] == "the row has no image"
    assert dataset.set_aside["train/00003"] == "the table has its path, /else/where.png, and not its bytes"
    assert "not a PNG" in dataset.set_aside["train/00004"]
    assert "truncated" in dataset.set_aside["train/00005"]
    with pytest.raises(DataError, match="no image of class 'b' in train can be read; train/00001: the row has"):
        load(write(tmp_path / "u.parquet", {"image": [images(1)[0], None], "label": list("ab")}))


def test_a_split_without_labels_is_left_out(tmp_path):
    features = {"label": CLASSES}
    write(tmp_path / "train.parquet", {"image": images(2), "label": [0, 1]}, features)
    write(tmp_path / "test.parquet", {"image": images(2), "label": [-1, -1]}, features)
    dataset = load(tmp_path)
    assert list(dataset.splits) == ["train"]
    assert any("test split is left out: none of its 2 images has a label" in note for note in dataset.notes)


def test_a_table_beside_class_folders_is_none_of_images(tmp_path):
    write(tmp_path / "labels.parquet", {"path": ["a/0.png"], "label": ["a"]})
    assert load(class_folders(tmp_path, ["a", "b"])).class_names == ("a", "b")


def test_a_damaged_description_is_done_without(tmp_path):
    made = table({"image": images(2), "label": [0, 1]})
    saved(tmp_path, made)
    (tmp_path / "dataset_info.json").write_bytes(b"\xff{")
    assert load(tmp_path).class_names == ("0", "1")


def test_other_files_beside_splits_are_told(tmp_path):
    for name in ("train", "extra"):
        write(tmp_path / f"{name}.parquet", {"image": images(2), "label": ["a", "b"]})
    assert any("tell no split" in note and "extra.parquet" in note for note in load(tmp_path).notes)


GOOD = {"label": ["a", "b"]}


@pytest.mark.parametrize(
    ("columns", "features", "says"),
    [
        ({"label": ["a", None]}, None, "1 of 2 images of train have no label in the column label"),
        ({"label": [0, 2]}, {"label": CLASSES}, "row 2: label must be a number from 0 to 1"),
        ({"label": [0, -1]}, {"label": CLASSES}, "1 of 2 images of train have no label"),
        ({"label": [[0], [1, 0]]}, None, "one integer or one string per image"),
        ({"label": [0.5, 1.0]}, None, "row 1: label must be one integer"),
        ({"x": [0, 1]}, None, r"no column is called label\. Say which .*It has x"),
        ({**GOOD, "split": ["train", "tset"]}, None, "row 2: the split is one of"),
        ({**GOOD, "split": ["test", "test"]}, None, "no training images"),
        ({**GOOD, "more": [b"x", b"y"]}, None, ""),
        ({**GOOD, "p": ["1", None]}, None, r"row 2: the group \(data\.group, the column p\)"),
    ],
)
def test_columns_that_do_not_fit(tmp_path, columns, features, says):
    path = write(tmp_path / "t.parquet", {"image": images(2), **columns}, features)
    group = "p" if "p" in columns else None
    if not says:
        assert len(load(path).splits["train"]) == 2
        return
    with pytest.raises(DataError, match=says):
        load(path, group=group)


def test_groups_that_are_no_column(tmp_path):
    path = write(tmp_path / "t.parquet", {"image": images(2), **GOOD})
    with pytest.raises(DataError, match="has no column of that name"):
        load(path, group="patient")
    with pytest.raises(DataError, match="is the column that holds the classes"):
        load(path, group="label")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"label": ["a", "b"]}, r"none holds bytes\. It has label \(string\)"),
        ({"one": [b"1", b"2"], "two": [b"1", b"2"], "label": ["a", "b"]}, "one and two may all be the images"),
    ],
)
def test_no_column_of_images(tmp_path, columns, says):
    with pytest.raises(DataError, match=says):
        load(write(tmp_path / "t.parquet", columns))


def test_damaged_and_other_files(tmp_path):
    path = write(tmp_path / "t.parquet", {"image": images(2), **GOOD})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"t\.parquet: not a Parquet file, or it is truncated or damaged"):
        load(path)
    (tmp_path / "a.arrow").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="not an Arrow file"):
        load(tmp_path / "a.arrow")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "state.json").write_text('{"_data_files": [{"filename": "../t.parquet"}]}')
    with pytest.raises(DataError, match="names no file in its folder"):
        load(tmp_path / "s")
    (tmp_path / "s" / "state.json").write_text("[]")
    with pytest.raises(DataError, match="not as datasets' save_to_disk writes it"):
        load(tmp_path / "s")


def test_a_table_that_unpacks_to_far_more_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_UNPACKED", 1_000_000)
    made = table({"image": [bytes(3_000_000), *images(1)], **GOOD})
    parquet.write_table(made, tmp_path / "t.parquet", compression="zstd")
    with pytest.raises(DataError, match="bytes when unpacked, more than the images in a file of its size have"):
        load(tmp_path / "t.parquet")


ARROW_KINDS = pytest.mark.parametrize("kind", [pyarrow.ipc.new_stream, pyarrow.ipc.new_file])
COMPRESSIONS = pytest.mark.parametrize("compression", [None, "lz4", "zstd"])


def write_compressed(path, made, kind, compression):
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with pyarrow.OSFile(str(path), "wb") as sink, kind(sink, made.schema, options=options) as writer:
        writer.write_table(made, max_chunksize=3)
    return path


@COMPRESSIONS
@ARROW_KINDS
def test_an_arrow_file_however_it_is_compressed(tmp_path, kind, compression):
    made = table({"image": images(7), "label": ["a", "b", "a", "b", "a", "b", "a"]})
    dictionary = made.column("label").combine_chunks().dictionary_encode()
    made = made.set_column(1, "label", dictionary)
    loaded = load(write_compressed(tmp_path / "t.arrow", made, kind, compression))
    assert loaded.splits["train"].labels.tolist() == [0, 1] * 3 + [0]
    assert np.array_equal(loaded.splits["train"].pixels, pixels(7, 6, 6, 3))


@COMPRESSIONS
@ARROW_KINDS
@given(lengths=st.lists(st.integers(0, 3_000), min_size=1, max_size=9), null=st.booleans())
def test_what_an_arrow_file_has_when_unpacked_is_told_by_its_heads(kind, compression, lengths, null):
    made = pyarrow.table({"image": pyarrow.array([*map(bytes, lengths), *[None] * null], pyarrow.binary())})
    sink, options = pyarrow.BufferOutputStream(), pyarrow.ipc.IpcWriteOptions(compression=compression)
    with kind(sink, made.schema, options=options) as writer:
        writer.write_table(made, max_chunksize=3)
    file = pyarrow.BufferReader(sink.getvalue())
    file.seek(8 if kind is pyarrow.ipc.new_file else 0)
    messages = pyarrow.ipc.MessageReader.open_stream(file)
    told = sum(unpacked_bytes(one.metadata.to_pybytes(), one.body or b"") for one in messages)
    assert sum(lengths) <= told <= sum(lengths) + 256 * len(lengths)  # offsets, validity and what aligns them


@ARROW_KINDS
def test_an_arrow_file_that_unpacks_to_far_more_is_not_begun(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(formats, "_UNPACKED", 1_000_000)
    made = table({"image": [bytes(3_000_000), *images(1)], **GOOD})
    path = write_compressed(tmp_path / "t.arrow", made, kind, "zstd")
    with pytest.raises(DataError, match=r"3,\d{3},\d{3} bytes when unpacked, more than the images"):
        load(path)


def test_texts_that_lie_outside_of_an_arrow_file_are_damage(tmp_path):
    """Without a look at their places, pyarrow ends the process."""
    write_arrow(tmp_path / "t.arrow", table({"image": images(2), **GOOD}))
    data = (tmp_path / "t.arrow").read_bytes()
    ends = struct.pack("<3i", 0, 1, 2)
    assert data.count(ends) == 1
    (tmp_path / "t.arrow").write_bytes(data.replace(ends, struct.pack("<3i", 0, 1, -(2**30))))
    with pytest.raises(DataError, match="truncated or damaged"):
        load(tmp_path / "t.arrow")


@given(seed=st.integers(0, 10_000), spoilt=st.integers(1, 40))
@example(seed=3, spoilt=1)  # the name of a column is no UTF-8
@settings(max_examples=60)
def test_a_spoilt_arrow_file_is_refused_or_read(tmp_path_factory, seed, spoilt):
    path = tmp_path_factory.mktemp("spoilt") / "t.arrow"
    write_compressed(path, table({"image": images(2), **GOOD}), pyarrow.ipc.new_stream, "lz4")
    data, random = np.frombuffer(path.read_bytes(), np.uint8).copy(), np.random.default_rng(seed)
    data[random.integers(0, len(data), spoilt)] = random.integers(0, 256, spoilt)
    path.write_bytes(data.tobytes())
    with suppress(DataError):
        load(path)


def test_damage_inside_the_pages(tmp_path):
    path = write(tmp_path / "t.parquet", {"image": images(40), "label": ["a", "b"] * 20})
    data = bytearray(path.read_bytes())
    data[100:4_000] = bytes(3_900)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"damaged|no image of class"):
        load(path)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_names_of_classes_that_are_no_text(tmp_path, ending):
    """Which pyarrow does not check: it keeps the bytes of a text as they are."""
    text = pyarrow.array([b"a\xff", b"b"]).cast(pyarrow.binary())
    label = pyarrow.Array.from_buffers(pyarrow.string(), 2, text.buffers())
    made = table({"image": images(2), "label": label})
    path = tmp_path / f"t.{ending}"
    write_arrow(path, made) if ending == "arrow" else parquet.write_table(made, path)
    with pytest.raises(DataError, match=rf"t\.{ending}: .*damaged"):
        load(path)


def test_a_column_that_ends_early_is_damage(tmp_path, monkeypatch):
    """As pyarrow gave a spoilt page: fewer images than labels, and no error."""
    path = write(tmp_path / "t.parquet", {"image": images(4), "label": ["a", "b"] * 2})
    whole = parquet.ParquetFile.iter_batches

    def shorter(self, *given, columns, **options):
        end = 3 if columns == ["image"] else 4
        return (batch.slice(0, end) for batch in whole(self, *given, columns=columns, **options))

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", shorter)
    with pytest.raises(DataError, match=r"damaged: of 4 rows, image has 3"):
        load(path)


def test_several_sets_and_splits_without_training(tmp_path):
    for name in ("digits", "letters"):
        write(tmp_path / name / "train.parquet", {"image": images(2), **GOOD})
    with pytest.raises(DataError, match="several sets of images: digits and letters"):
        load(tmp_path)
    write(tmp_path / "one" / "test.parquet", {"image": images(2), **GOOD})
    with pytest.raises(DataError, match="files of test, and none of train"):
        load(tmp_path / "one")
    write(tmp_path / "one" / "train.parquet", {"image": images(2), "class": ["a", "b"]})
    with pytest.raises(DataError, match="its files differ in their columns"):
        load(tmp_path / "one")


def test_without_pyarrow(tmp_path, monkeypatch):
    import sys

    path = write(tmp_path / "t.parquet", {"image": images(2), **GOOD})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r'pip install "firstlight\[parquet\]"'):
        load(path)
