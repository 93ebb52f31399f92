import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from firstlight.cli.data import app
from firstlight.data import SOURCES, load
from firstlight.data.corrections import Correction, pixels_sha256, write_corrections
from firstlight.errors import DataError, ExperimentError


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def pets(tmp_path):
    """Two classes of two images each; every image differs."""
    for k, name in enumerate(("cat [indoor]", "dog")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(2):
            array = np.random.default_rng(2 * k + i).integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(array).save(tmp_path / "pets" / name / f"{i}.png")
    return tmp_path / "pets"


def test_list():
    result = call("list")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in SOURCES)
    assert "embedded" in result.stdout
    listed = json.loads(call("list", "--json").stdout)
    assert [source["name"] for source in listed] == list(SOURCES)


def test_list_says_what_is_at_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (tmp_path / "svhn").mkdir()
    for name in ("svhn/train_32x32.mat", "svhn/test_32x32.mat", "cifar-10-binary.tar.gz"):
        (tmp_path / name).touch()
    at_hand = {source["name"]: source["at_hand"] for source in json.loads(call("list", "--json").stdout)}
    assert [name for name, here in at_hand.items() if here] == ["cifar-10", "digits", "svhn"]


def test_info():
    text = call("info", "fashion-mnist").stdout
    for part in ("Ankle boot", "MIT", "train 60,000, test 10,000", "28×28×1", "train-labels-idx1-ubyte.gz"):
        assert part in text
    facts = json.loads(call("info", "cifar-10", "--json").stdout)
    assert facts["class_names"][3] == "cat"
    assert facts["files"][0]["checksum"] == "md5:c32a1d4ab5d03f1284b67883e8d87530"


def test_info_of_an_unknown_name():
    result = call("info", "cifar10")
    assert isinstance(result.exception, DataError)
    assert str(result.exception) == (
        "There is no named source 'cifar10'. Did you mean cifar-10, cifar-100 or cifar-100-coarse?"
    )


def test_check_of_clean_images(pets):
    result = call("check", pets)
    assert result.exit_code == 0
    assert "No unreadable files, duplicates, leaks or conflicting labels." in result.stdout
    assert "cat [indoor]" in result.stdout
    value = json.loads(call("check", pets, "--json").stdout)
    assert value["counts"] == {"train": {"cat [indoor]": 2, "dog": 2}}
    assert value["shape"] == [6, 6, 3]


def test_check_of_images_with_problems(pets):
    (pets / "dog" / "copy.png").write_bytes((pets / "cat [indoor]" / "0.png").read_bytes())
    (pets / "dog" / "empty.png").touch()
    result = call("check", pets)
    assert result.exit_code == 1
    lines = "".join(line.strip() + " " for line in result.stdout.splitlines())
    assert "2 images have an exact copy with another label." in lines
    assert "set aside: dog/empty.png: the file is empty" in lines
    assert "conflict: train:cat [indoor]/0.png (cat [indoor]) = train:dog/copy.png (dog)" in lines
    result = call("check", pets, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["set_aside"] == {"dog/empty.png": "the file is empty"}


def test_check_of_corrected_images(pets, tmp_path):
    (pets / "dog" / "copy.png").write_bytes((pets / "cat [indoor]" / "0.png").read_bytes())
    image = next(images for images in load(pets).splits.values())
    place = image.ids.tolist().index("dog/copy.png")
    row = Correction("dog/copy.png", pixels_sha256(image.pixels[place]), "dog", "")
    table = tmp_path / "corrections.csv"
    write_corrections(table, [row])
    result = call("check", pets, "--corrections", table)
    assert result.exit_code == 0
    assert "Corrections that fit: 1 (0 relabelled, 1 dropped and 0 kept)." in result.stdout
    (pets / "dog" / "copy.png").unlink()
    assert isinstance(call("check", pets, "--corrections", table).exception, DataError)


def test_check_cuts_long_lists_short(pets):
    for i in range(30):
        (pets / "dog" / f"empty{i}.png").touch()
    assert "… and 10 more; --json lists all." in call("check", pets).stdout


def test_preview(pets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("preview", pets)
    assert result.stdout.strip() == "pets.png"
    with Image.open(tmp_path / "pets.png") as image:
        assert image.width > 700
    result = call("preview", "digits", "--out", tmp_path / "sheet.png", "--seed", 3, "--size", "16x12")
    assert result.stdout.strip() == str(tmp_path / "sheet.png")
    with Image.open(io.BytesIO((tmp_path / "sheet.png").read_bytes())) as image:
        assert image.format == "PNG"


def test_preview_of_augmentation(pets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    alone, whole = tmp_path / "alone.toml", tmp_path / "experiment.toml"
    alone.write_text("[augment]\nrotate = 15\nflip_horizontal = 0.5\n")
    whole.write_text(f'seed = 3\n[data]\nsource = "elsewhere"\n{alone.read_text()}')
    sheets = []
    for options in ((alone,), (whole,), (alone, "--seed", 3), (whole, "--seed", 0)):
        result = call("preview", pets, "--augment", *options)
        assert result.stdout.strip() == "pets-augmented.png"
        sheets.append((tmp_path / "pets-augmented.png").read_bytes())
    assert sheets[0] == sheets[3] != sheets[1] == sheets[2]
    assert not (tmp_path / "pets.png").exists()


def test_preview_of_augmentation_has_the_size_that_training_has(pets, tmp_path):
    asked = tmp_path / "asked.toml"
    asked.write_text('[data]\nsource = "elsewhere"\nsize = 24\n[augment]\nrotate = 15\n')
    plain = tmp_path / "plain.toml"
    plain.write_text("[augment]\nrotate = 15\n")

    def sheet(*options):
        result = call("preview", pets, "--augment", *options, "--out", tmp_path / "sheet.png")
        assert result.exit_code == 0, result.output
        return (tmp_path / "sheet.png").read_bytes()

    assert sheet(asked) == sheet(plain, "--size", 24) != sheet(plain)
    assert sheet(asked, "--size", 12) == sheet(plain, "--size", 12) != sheet(asked)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed = 1", r"asked\.toml has no \[augment\] table"),
        ("augment = 3", r"asked\.toml has no \[augment\] table"),
        ("[augment]\nrotat = 3", r"asked\.toml: augment\.rotat: there is no such key\. Did you mean rotate"),
        ("[augment]\nfill = 'reflect'", "table is empty"),
        ("seed = -1\n[augment]\nrotate = 3", "seed must be an integer from 0; received -1"),
        ("[data]\nsize = 'big'\n[augment]\nrotate = 3", r"asked\.toml: data\.size: a size is a height and a width"),
        ("[augment", "is not valid TOML"),
    ],
)
def test_preview_of_augmentation_that_makes_no_sense(pets, tmp_path, text, says):
    path = tmp_path / "asked.toml"
    path.write_text(text)
    result = call("preview", pets, "--augment", path, "--out", tmp_path / "sheet.png")
    assert isinstance(result.exception, ExperimentError)
    assert re.search(says, str(result.exception))
    assert not (tmp_path / "sheet.png").exists()


def test_preview_that_cannot_be_written(pets, tmp_path):
    result = call("preview", pets, "--out", tmp_path / "none" / "sheet.png")
    assert isinstance(result.exception, DataError)
    assert "sheet.png: the contact sheet cannot be written: No such file or directory" in str(result.exception)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("text", "shape"), [("9", [9, 9, 3]), ("8x10", [8, 10, 3]), ("8×10", [8, 10, 3]), ("8X10", [8, 10, 3])]
)
def test_size(pets, text, shape):
    assert json.loads(call("check", pets, "--size", text, "--json").stdout)["shape"] == shape


@pytest.mark.parametrize("text", ["wide", "8x", "8x8x3", "-4", ""])
def test_size_that_is_none(pets, text):
    result = call("check", pets, f"--size={text}")
    assert isinstance(result.exception, DataError)
    assert "--size is HEIGHTxWIDTH, such as 28x28" in str(result.exception)


def test_bad_input(tmp_path):
    for command in ("check", "preview"):
        result = call(command, tmp_path / "none")
        assert isinstance(result.exception, DataError)
        assert "there is no such file or folder" in str(result.exception)


def test_help_imports_nothing_heavy():
    code = "import sys, firstlight.cli.data; print([name for name in ('numpy', 'PIL', 'pooch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_check_says_what_values_the_pixels_have(tmp_path):
    pixels = np.full((20, 4, 4), 7, np.uint8)
    pixels[3, 2, 1], pixels[5, 0, 0] = 231, 2
    np.savez(tmp_path / "mine.npz", images=pixels, labels=np.arange(20) % 2)
    answer = call("check", tmp_path / "mine.npz")
    assert f"values from 2 to 231, {pixels.mean():.1f} on average" in " ".join(answer.output.split())


def test_check_says_what_looks_like_series_and_how_even_groups_split(tmp_path):
    draw = np.random.default_rng(0)
    for k, name in enumerate(("ill", "well")):
        (tmp_path / "scans" / name).mkdir(parents=True)
        for i in range(24):
            array = draw.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(array).save(tmp_path / "scans" / name / f"patient{2 * (i // 3) + k:02d}_{i % 3}.png")
    plain = call("check", tmp_path / "scans")
    assert plain.exit_code == 0
    assert r"data.group = '(.+)_\d+\.'" in plain.stdout.replace("\n", "")
    assert json.loads(call("check", tmp_path / "scans", "--json").stdout)["guessed_group"] == r"(.+)_\d+\."
    grouped = call("check", tmp_path / "scans", "--group", r"(.+)_\d+\.")
    text = " ".join(grouped.stdout.split())
    assert "16 groups of 3 images each" in text
    assert "20% of the images for test, in whole groups: it has 18.8%" in text
    found = json.loads(call("check", tmp_path / "scans", "--group", r"(.+)_\d+\.", "--json").stdout)["groups"]
    assert (found["groups"], found["divided"]) == (16, {})
    with pytest.raises(DataError, match="which has no columns"):
        CliRunner().invoke(app, ["check", str(tmp_path / "scans"), "--group", "patient"], catch_exceptions=False)
