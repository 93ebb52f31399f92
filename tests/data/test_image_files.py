import os
import sys
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image
from tests.data.making import class_folders, random_image, write_image

from firstlight.data import check, load
from firstlight.data.decoding import formats
from firstlight.errors import DataError, SizesDifferError
from firstlight.files import sha256


def test_bare_class_folders(tmp_path):
    class_folders(tmp_path / "pets", ["cat", "dog"])
    pets = load(tmp_path / "pets")
    train = pets.splits["train"]
    assert pets.name == "pets"
    assert list(pets.splits) == ["train"]
    assert train.class_names == ("cat", "dog")
    assert train.ids.tolist() == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert [file.name for file in pets.files] == train.ids.tolist()
    assert pets.files[3].sha256 == sha256(tmp_path / "pets/dog/1.png")
    assert pets.verified


@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_split_folders(tmp_path, validation):
    for split in ("train", validation, "test"):
        class_folders(tmp_path / split, ["class10", "class2"])
    dataset = load(tmp_path)
    assert set(dataset.splits) == {"train", "validation", "test"}
    assert dataset.class_names == ("class2", "class10")
    assert f"{validation}/class2/0.png" in dataset.splits["validation"].ids
    for images in dataset.splits.values():
        for sample, label in zip(images.ids, images.labels, strict=True):
            assert sample.split("/")[1] == images.class_names[label]


def test_a_split_may_lack_a_class_but_not_add_one(tmp_path):
    class_folders(tmp_path / "train", ["a", "b"])
    class_folders(tmp_path / "test", ["b"])
    assert load(tmp_path).splits["test"].labels.tolist() == [1, 1]
    class_folders(tmp_path / "test", ["c9", "c10"])
    with pytest.raises(DataError, match=r"test has classes that train lacks: c9, c10\. Train has a, b"):
        load(tmp_path)


def test_a_class_may_be_called_train(tmp_path):
    class_folders(tmp_path, ["bus", "train"])
    assert load(tmp_path).class_names == ("bus", "train")


def test_splits_without_train(tmp_path):
    class_folders(tmp_path / "val", ["a"])
    with pytest.raises(DataError, match=r"there are splits \['val'\] but no folder 'train'"):
        load(tmp_path)


def test_two_folders_for_one_split(tmp_path):
    for split in ("train", "val", "valid"):
        class_folders(tmp_path / split, ["a"])
    with pytest.raises(DataError, match="two folders hold the validation split"):
        load(tmp_path)


def test_a_folder_beside_the_splits(tmp_path):
    class_folders(tmp_path / "train", ["a"])
    class_folders(tmp_path / "extra", ["a"])
    with pytest.raises(
        DataError, match="extra: images must lie directly in their class folder; it holds the folder 'a'"
    ):
        load(tmp_path)


def test_no_class_folders(tmp_path):
    write_image(tmp_path / "a.png", random_image(0))
    with pytest.raises(DataError, match="there are no class folders"):
        load(tmp_path)


def test_empty_class_folder(tmp_path):
    class_folders(tmp_path, ["a"])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").touch()
    with pytest.raises(DataError, match="b: the class folder holds no image"):
        load(tmp_path)


def test_hidden_files_and_what_systems_leave_are_passed_over(tmp_path):
    class_folders(tmp_path, ["a", "b"])
    for name in (".DS_Store", "a/.hidden.png", "a/Thumbs.db", "b/desktop.ini", "readme.md"):
        (tmp_path / name).write_bytes(b"?")
    (tmp_path / ".git").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    dataset = load(tmp_path)
    assert len(dataset.splits["train"]) == 4
    assert dataset.set_aside == {}


def test_unreadable_images_are_set_aside_and_left_alone(tmp_path):
    class_folders(tmp_path, ["a", "b"])
    write_image(tmp_path / "a/cut.jpg", random_image(0, (64, 64, 3)))
    cut = (tmp_path / "a/cut.jpg").read_bytes()[:900]
    (tmp_path / "a/cut.jpg").write_bytes(cut)
    (tmp_path / "b/empty.png").touch()
    (tmp_path / "b/text.bmp").write_text("no image")
    (tmp_path / "b/gone.png").symlink_to(tmp_path / "nowhere")
    write_image(tmp_path / "stray.png", random_image(0))
    dataset = load(tmp_path, size=(6, 6))
    assert len(dataset.splits["train"]) == 4
    assert set(dataset.set_aside) == {"a/cut.jpg", "b/empty.png", "b/text.bmp", "b/gone.png", "stray.png"}
    assert dataset.set_aside["a/cut.jpg"].startswith("truncated or damaged")
    assert dataset.set_aside["b/empty.png"] == "the file is empty"
    assert dataset.set_aside["stray.png"] == "it lies in no class folder"
    assert (tmp_path / "a/cut.jpg").read_bytes() == cut
    assert {file.name for file in dataset.files} == set(dataset.splits["train"].ids)


def test_a_class_of_which_nothing_can_be_read(tmp_path):
    class_folders(tmp_path / "train", ["a", "b"])
    class_folders(tmp_path / "test", ["a", "b"], images_each=1)
    (tmp_path / "test/b/0.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"no image of class 'b' in test can be read; test/b/0\.png: the file is empty"):
        load(tmp_path)


def test_sizes_that_differ(tmp_path):
    class_folders(tmp_path, ["a"], shape=(6, 6, 3), images_each=3)
    class_folders(tmp_path, ["b"], shape=(9, 6, 3))
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert (
        "the images differ in size (height × width): 6×6 (3) and 9×6 (2). Give a size to which all are resized"
        in str(error.value)
    )
    assert load(tmp_path, size=(4, 5)).shape == (4, 5, 3)


def test_many_sizes_are_cut_short(tmp_path):
    for i in range(1, 9):
        write_image(tmp_path / "a" / f"{i}.png", random_image(i, (i, 3, 3)))
    with pytest.raises(DataError, match="and 3 more"):
        load(tmp_path)


def test_grey_and_colour(tmp_path):
    grey = random_image(1, (6, 6))
    write_image(tmp_path / "a/grey.png", grey)
    assert load(tmp_path).shape == (6, 6, 1)
    write_image(tmp_path / "b/colour.png", random_image(2))
    mixed = load(tmp_path).splits["train"]
    assert mixed.shape == (6, 6, 3)
    np.testing.assert_array_equal(mixed.pixels[0], np.repeat(grey[..., None], 3, axis=2))


def test_odd_names(tmp_path):
    names = ["Ärger & Öl", "日本", "a'b\"c", "100%", "[x]"]
    for i, name in enumerate(names):
        write_image(tmp_path / name / f"{name} – {i}.png", random_image(i))
    dataset = load(tmp_path)
    assert set(dataset.class_names) == set(names)
    assert "日本/日本 – 1.png" in dataset.splits["train"].ids


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow only names in UTF-8")
def test_names_that_are_no_utf8(tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    class_folders(tmp_path, ["tea"])
    os.mkdir(folder)  # noqa: PTH102
    os.rename(tmp_path / "tea/0.png", folder + b"/0.png")  # noqa: PTH104
    train = load(tmp_path).splits["train"]
    assert train.ids.tolist() == ["caf\\xe9/0.png", "tea/1.png"]
    assert train.class_names == ("caf\\xe9", "tea")


def test_progress(tmp_path, capsys):
    class_folders(tmp_path, ["a"])
    load(tmp_path)
    assert capsys.readouterr().err == ""
    load(tmp_path, progress=True)
    assert "decoding: 100%" in capsys.readouterr().err


def test_every_format_is_read_whatever_its_ending_and_all_else_is_named(tmp_path):
    class_folders(tmp_path, ["a", "b"])
    array = random_image(5)
    endings = [
        *("jfif", "JPE", "tif", "tiff", "gif", "ppm", "webp", "dib", "jp2"),
        *(["avif"] if "AVIF" in formats() else []),
    ]
    for i, ending in enumerate(endings):
        as_read = {"JPE": "JPEG", "jfif": "JPEG"}.get(ending)
        Image.fromarray(array).save(tmp_path / f"a/{i}x.{ending}", as_read)
    Image.fromarray(array).save(tmp_path / "a/without", "PNG")
    Image.fromarray(array).save(tmp_path / "b/a-gif-called.jpg", "GIF")
    for name in ("a/notes.txt", "a/raw.nef", "b/LICENSE"):
        (tmp_path / name).write_text("no image")
    os.mkfifo(tmp_path / "b/pipe.png")
    (tmp_path / "stray").write_bytes((tmp_path / "a/without").read_bytes())
    (tmp_path / "LICENSE").write_text("no image")
    dataset = load(tmp_path)
    assert len(dataset.splits["train"]) == 4 + len(endings) + 2
    assert set(dataset.set_aside) == {"a/notes.txt", "a/raw.nef", "b/LICENSE", "b/pipe.png", "stray"}
    assert "its extension, .txt," in dataset.set_aside["a/notes.txt"]


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("TRAINING", "Testing"), ("train ", "test")])
def test_split_folders_in_any_case(tmp_path, train, test):
    class_folders(tmp_path / train, ["a", "b"])
    class_folders(tmp_path / test, ["a"])
    dataset = load(tmp_path)
    assert {name: len(images) for name, images in dataset.splits.items()} == {"train": 4, "test": 2}


def test_a_split_without_any_image_is_not_drawn_instead(tmp_path):
    class_folders(tmp_path / "train", ["a", "b"])
    (tmp_path / "test/a").mkdir(parents=True)
    with pytest.raises(DataError, match="the test split holds no image"):
        load(tmp_path)


def test_a_class_folder_of_another_split_may_be_empty(tmp_path):
    class_folders(tmp_path / "train", ["a", "b"])
    class_folders(tmp_path / "val", ["a"])
    (tmp_path / "val/b").mkdir()
    dataset = load(tmp_path)
    assert dataset.splits["validation"].counts.tolist() == [2, 0]
    assert check(dataset).missing["validation"] == ("b",)
    for path in (tmp_path / "train/b").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="train/b: the class folder holds no image"):
        load(tmp_path)


@pytest.mark.skipif(sys.platform == "darwin", reason="there, the two names are one")
def test_one_class_in_two_forms_of_unicode(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    class_folders(tmp_path / "train", [composed, decomposed, "tea"])
    class_folders(tmp_path / "val", [decomposed])
    dataset = load(tmp_path)
    assert dataset.class_names == (composed, "tea")
    assert {name: images.counts.tolist() for name, images in dataset.splits.items()} == {
        "train": [4, 2], "validation": [2, 0],
    }  # fmt: skip
    assert len(dataset.notes) == 1


def test_a_class_that_is_nearly_one_of_train(tmp_path):
    class_folders(tmp_path / "train", ["Cat", "dog"])
    class_folders(tmp_path / "test", ["cat"])
    with pytest.raises(DataError, match=r"test has classes that train lacks: cat.*'cat' is nearly 'Cat'"):
        load(tmp_path)


def test_images_whose_heads_do_not_tell_that_they_lie_on_their_side(tmp_path):
    class_folders(tmp_path, ["a"], shape=(6, 9, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = (tmp_path / "a/0.png").read_bytes()
    at = len(data) - 12  # behind the pixels, where a head alone does not show it
    body = b"eXIf" + exif.tobytes()[6:]
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    (tmp_path / "a/0.png").write_bytes(data[:at] + chunk + data[at:])
    with pytest.raises(SizesDifferError, match=r"6×9 \(1\) and 9×6 \(1\)|9×6 \(1\) and 6×9 \(1\)"):
        load(tmp_path)


def table(folder, text):
    (folder / "list.csv").write_text(text, encoding="utf-8")
    return folder / "list.csv"


def test_table(tmp_path):
    class_folders(tmp_path / "images", ["a", "b"])
    path = table(
        tmp_path,
        "path,label,split\nimages/a/0.png,class10,train\n./images/a/1.png,class2,\nimages/b/0.png,class2,Test\n\n",
    )
    dataset = load(path)
    assert dataset.name == "list"
    assert dataset.class_names == ("class2", "class10")
    assert dataset.splits["train"].ids.tolist() == ["images/a/0.png", "images/a/1.png"]
    assert dataset.splits["train"].labels.tolist() == [1, 0]
    assert dataset.splits["test"].ids.tolist() == ["images/b/0.png"]
    assert dataset.files[0].name == "list.csv"
    assert len(dataset.files) == 4


def test_table_with_a_byte_order_mark_and_no_splits(tmp_path):
    class_folders(tmp_path, ["a"])
    path = table(tmp_path, '\ufeffpath,label\n"a/0.png","red, mostly"\na/1.png,blue\n')
    assert load(path).class_names == ("blue", "red, mostly")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"must name the columns path and label .* received nothing"),
        ("one,two\na/0.png,x\n", "received one,two"),
        ("path,label\na/0.png,\n", "line 2: the label is empty"),
        ("path,label\n,x\n", "line 2: the path is empty"),
        ("path,label\na/0.png\n", "line 2: the label is empty"),
        ("path,label\na/0.png,x\na/9.png,x\n", r"line 3: there is no file .*a/9\.png"),
        ("path,label\na/0.png,x\na/../a/0.png,x\n", r"line 3: a/0\.png is listed in line 2 already"),
        ("path,label,split\na/0.png,x,trian\n", "line 2: the split is one of train, .* received 'trian'"),
        ("path,label,split\na/0.png,x,test\n", "there are no training images"),
        ("path,label,split\na/0.png,x,train\na/1.png,y,test\n", "test has classes that train lacks: y"),
        ('path,label\n"a/0.png,x\n', "not a CSV file in UTF-8"),
    ],
)
def test_table_that_is_malformed(tmp_path, text, says):
    class_folders(tmp_path, ["a"])
    with pytest.raises(DataError, match=says):
        load(table(tmp_path, text))


def test_table_in_another_encoding(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"path,label\na/0.png,caf\xe9\n")
    with pytest.raises(DataError, match="not a CSV file in UTF-8"):
        load(tmp_path / "list.csv")
