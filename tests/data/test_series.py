"""Guesses at `data.group` by names: series are found, and files that are only numbered are not taken for one."""

import numpy as np
import pytest

from firstlight.data import group_by_name, guess
from firstlight.types import Dataset, Images

CLASSES = ("run", "walk")


def dataset(names, alike=True):
    """Images of such names, by class; those whose names are the same but for the last number are nearly the same."""
    draw = np.random.default_rng(0)
    looks = {}
    ids, labels, pixels = [], [], []
    for k, of_class in enumerate(names):
        for name in of_class:
            key = name.rsplit("_", 1)[0] if alike else name
            look = looks.setdefault((k, key), draw.integers(0, 256, (8, 8, 1)))
            ids.append(name if "/" in name else f"{CLASSES[k]}/{name}")
            labels.append(k)
            pixels.append(np.clip(look + draw.normal(0, 8, look.shape), 0, 255))
    images = Images(np.array(pixels, np.uint8), np.array(labels), np.array(ids, np.str_), CLASSES)
    return Dataset("some", {"train": images})


def each(*patterns, n=30):
    """Names of both classes, from patterns of a running number."""
    return [[pattern.format(i=i, j=i // 10, k=i % 10, c=c) for i in range(n) for pattern in patterns] for c in CLASSES]


def guessed(data):
    found = guess(data)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("names", "key", "series"),
    [
        (each("{c}_g{j:02d}_{k:04d}.png", n=50), r"(.+)_\d+\.", 10),
        (each("v_{c}_g{j}_c1_{k}.png", "v_{c}_g{j}_c2_{k}.png"), r"(.+)_c\d+_\d+\.", 6),
        (each("patient{j}-{k}.png", n=60), r"(.+)\-\d+\.", 6),
        (each("w{j:03d}_{k}_1.png", "w{j:03d}_{k}_2.png", n=60), r"(.+)_\d+_\d+\.", 6),
        (each("{c}{j} frame{k}.png", n=40), r"(.+)\ frame\d+\.", 8),
        (each("IMG{j}_jpg.rf.00aa{k}e51.png", n=50), r"(.+)\.rf\.", 5),
    ],
)
def test_series_are_found_with_the_pattern_that_keeps_them_together(names, key, series):
    data = dataset(names)
    found = guessed(data)
    assert (found.key, found.series) == (key, series)
    assert found.quoted in found.said()
    groups = np.asarray(group_by_name(data, found.key).splits["train"].groups)
    assert dict(zip(data.splits["train"].ids.tolist(), groups.tolist(), strict=True)) == found.groups


@pytest.mark.parametrize(
    "names",
    [
        each("{c}.{i}.png"),  # Kaggle's cats and dogs
        each("{i:05d}.png"),  # MNIST, written out
        each("img_{i}.png"),
        each("train_{i}_{c}.png"),
        each("IMG_2019{j:02d}{k:02d}_{i}0{k}15.png", n=90),  # by the date
        [[f"{c}{i * 7919 % 1000:03x}.png" for i in range(40)] for c in CLASSES],
        [[f"{w}_s_{i * 97 % 1999:06d}.png" for w in ("bomber", "jet", "glider") for i in range(9)] for _ in CLASSES],
        each("DSC_{i:04d}.png", "GOPR_{i:04d}.png"),  # two cameras
        [["a_1.png", "b_1.png", "c_1.png"]] * 2,
    ],
)
def test_files_that_are_only_numbered_are_no_series(names):
    assert guess(dataset(names, alike=False)) is None


def test_pixels_second_the_names_or_do_not():
    breeds = each("beagle_{i}.png", "boxer_{i}.png", "pug_{i}.png")
    doubtful = guessed(dataset(breeds, alike=False))
    assert not doubtful.sure
    assert doubtful.alike == pytest.approx(1, abs=0.15)
    frames = guessed(dataset(breeds))
    assert frames.sure
    assert frames.alike < 0.3
    assert "differ by" in frames.said()


def test_words_for_what_images_have_in_common_count_as_evidence():
    found = guessed(dataset(each("Patient_{j}_{k}.png", n=60), alike=False))
    assert found.words
    assert found.sure


def test_folders_of_a_table_are_a_guess():
    found = guessed(
        dataset([[f"video{j}{c}/{k}.png" for j in range(4) for k in range(5)] for c in CLASSES], alike=False)
    )
    assert (found.key, found.series, found.sure) == ("parent", 8, True)
    shards = [[f"{i % 8:02x}/{i * 7919 % 10007}.png" for i in range(n, 60, 2)] for n in (0, 1)]
    assert guess(dataset(shards, alike=False)) is None


def test_no_guess_where_groups_are_known_or_images_have_no_names():
    data = dataset(each("patient{j}_{k}.png", n=40))
    assert guess(group_by_name(data, r"(.+)_")) is None
    numbers = np.array([f"train/{i:05d}" for i in range(40)])
    images = Images(np.zeros((40, 2, 2, 1), np.uint8), np.arange(40) % 2, numbers, CLASSES)
    assert guess(Dataset("some", {"train": images})) is None


def test_how_many_images_a_split_divides_from_their_series():
    data = dataset(each("{c}_g{j:02d}_{k:04d}.png", n=50))
    images = data.splits["train"]
    found = guessed(data)
    even, odd = images.take(np.arange(0, 100, 2)), images.take(np.arange(1, 100, 2))
    assert found.divided(even, odd) == 50
    assert found.divided(images.take(images.labels == 0), images.take(images.labels == 1)) == 0
