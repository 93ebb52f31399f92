"""Near copies: every kind of alteration is found, other images are not, and a spoilt detector is noticed."""

from __future__ import annotations

import io

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from firstlight.data import NearCopies, check, load, near_copies
from firstlight.data.alteration import alteration, turned_back
from firstlight.data.near_copies import TURNS, NearCopy, find, joined
from firstlight.types import Dataset, Images

Pixels = NDArray[np.uint8]


def scenes(n: int, *, side: int = 32, channels: int = 3, seed: int = 0) -> Pixels:
    """Pictures of smooth noise with some edges: each another, and as rich as small photographs are."""
    draw = np.random.default_rng(seed)
    made = np.zeros((n, side, side, channels))
    for cells, weight in ((3, 60), (6, 40), (12, 25)):
        grid = draw.normal(0, weight, (n, cells, cells, channels))
        index = np.linspace(0, cells - 1, side)
        low, part = np.floor(index).astype(int).clip(max=cells - 2), index % 1
        part[-1] = 1.0
        rows = grid[:, low] * (1 - part)[None, :, None, None] + grid[:, low + 1] * part[None, :, None, None]
        made += rows[:, :, low] * (1 - part)[:, None] + rows[:, :, low + 1] * part[:, None]
    for image in made:
        top, left = draw.integers(2, side // 2, 2)
        image[top : top + side // 3, left : left + side // 3] += draw.choice([-70, 70])
    return np.clip(made + 128, 0, 255).round().astype(np.uint8)


def images(pixels: Pixels, labels: list[int] | None = None) -> Images:
    n = len(pixels)
    ids = np.array([f"{i:03}" for i in range(n)], np.str_)
    return Images(pixels, np.array(labels or [0] * n, np.int64), ids, ("a", "b"))


def pairs(found: tuple[NearCopy, ...]) -> set[tuple[int, int]]:
    return {(copy.first, copy.second) for copy in found}


def pil(image: Pixels) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def array(image: Image.Image) -> Pixels:
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def resized(image: Pixels) -> Pixels:
    side = len(image)
    return array(pil(image).resize((side * 2 // 3,) * 2, Image.Resampling.BILINEAR).resize((side,) * 2))


def compressed(image: Pixels) -> Pixels:
    data = io.BytesIO()
    pil(image).save(data, "JPEG", quality=60)
    return array(Image.open(data))


def lit(image: Pixels, more: float, contrast: float) -> Pixels:
    return np.clip((image.astype(float) - 128) * contrast + 128 + more, 0, 255).round().astype(np.uint8)


def shifted(image: Pixels, down: int, right: int) -> Pixels:
    side, padded = len(image), np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="edge")
    return padded[4 - down : 4 - down + side, 4 - right : 4 - right + side]


ALTERED = {
    "turned by 90°": lambda image: np.rot90(image),
    "turned by 180°": lambda image: np.rot90(image, 2),
    "turned by 270°": lambda image: np.rot90(image, 3),
    "mirrored": lambda image: image[:, ::-1],
    "mirrored upside down": lambda image: image[::-1],
    "transposed": lambda image: image.swapaxes(0, 1),
    "resized": resized,
    "compressed": compressed,
    "brighter": lambda image: lit(image, 30, 1),
    "darker, with less contrast": lambda image: lit(image, -15, 0.7),
    "shifted": lambda image: shifted(image, 2, -1),
    "shifted more": lambda image: shifted(image, -3, 2),
    "mirrored, shifted, brighter, compressed": lambda image: compressed(lit(shifted(image[:, ::-1], 1, 2), 20, 0.9)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ALTERED)
def test_every_kind_of_alteration_is_found(kind: str, channels: int) -> None:
    first = scenes(30, channels=channels)
    copies = np.stack([ALTERED[kind](image) for image in first[:15]])
    found = pairs(find(images(np.concatenate([first, copies]))))
    expected = {(i, 30 + i) for i in range(15)}
    assert found <= expected
    assert len(found) >= (13 if "shifted" in kind else 15)


def test_images_that_are_not_square() -> None:
    first = scenes(20)[:, :24]
    assert pairs(find(images(np.concatenate([first, first[:5, ::-1]])))) == {(i, 20 + i) for i in range(5)}


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), side=st.sampled_from([16, 28, 33]), channels=st.sampled_from([1, 3]))
def test_drawn_noise_has_no_copies(seed: int, side: int, channels: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (25, side, side, channels), np.uint8)
    assert find(images(noise)) == ()


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_different_pictures_are_no_copies(seed: int) -> None:
    assert find(images(scenes(30, seed=seed))) == ()


def test_handwriting_is_told_apart() -> None:
    """People write the same digit alike; of 1,797 none is a copy of another."""
    assert find(load("digits").splits["train"]) == ()


def test_a_spoilt_detector_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above can fail: with a hash that does not turn, or a threshold that everything passes."""
    first = scenes(20)
    altered = images(np.concatenate([first, np.rot90(first[:10], axes=(1, 2))]))
    plain = images(scenes(30, seed=5))
    assert len(find(altered)) == 10
    near_copies._found.clear()
    with monkeypatch.context() as spoilt:
        spoilt.setattr(near_copies, "_EXCHANGES", near_copies._EXCHANGES[[0, 0, 0, 0]])
        spoilt.setattr(near_copies, "BITS", 8)
        assert len(find(altered)) < 10
    near_copies._found.clear()
    with monkeypatch.context() as spoilt:
        for name, value in (("LEAST", 0.1), ("MOST", 0.1), ("LIKENESS", -1.0), ("BITS", 40)):
            spoilt.setattr(near_copies, name, value)
        assert find(plain) != ()
    near_copies._found.clear()


@pytest.mark.parametrize("contrast", [0, 1])
def test_blank_images_are_no_copies_of_one_another(contrast: int) -> None:
    """Nor do images of hardly any contrast make pairs by the thousand."""
    draw = np.random.default_rng(0)
    blank = np.full((400, 16, 16, 1), 200, np.uint8) - draw.integers(0, contrast + 1, (400, 16, 16, 1), np.uint8)
    blank += (np.arange(400) % 50).astype(np.uint8)[:, None, None, None]
    assert len(find(images(blank))) < 20


@pytest.mark.parametrize("shape", [(1, 8, 8, 1), (0, 8, 8, 3), (5, 1, 1, 1), (5, 1, 9, 3), (4, 2, 2, 1), (3, 3, 40, 1)])
def test_few_and_tiny_images(shape: tuple[int, ...]) -> None:
    assert find(images(np.random.default_rng(0).integers(0, 256, shape, np.uint8))) == ()


def test_large_images() -> None:
    large = scenes(6, side=150)
    assert pairs(find(images(np.concatenate([large, large[:2, :, ::-1]])))) == {(0, 6), (1, 7)}


def test_what_is_found_does_not_depend_on_the_threads() -> None:
    """The same numbers to the last bit, however many threads share the images."""
    first = scenes(40)
    some = images(np.concatenate([first, *(np.stack([change(i) for i in first[:20]]) for change in ALTERED.values())]))
    threads, found = numba.get_num_threads(), []
    try:
        for number in {1, threads}:
            numba.set_num_threads(number)
            near_copies._found.clear()
            found.append(find(some))
    finally:
        numba.set_num_threads(threads)
    assert all(one == found[0] for one in found)
    assert len(found[0]) > 100


def test_exact_copies_stand_for_each_other() -> None:
    """An image and its exact copy have the same near copies; of one another they are none."""
    first = scenes(12)
    found = find(images(np.concatenate([first, first[:1, :, ::-1], first[:1], first[:1, :, ::-1]])))
    assert pairs(found) == {(0, 12), (12, 13), (0, 14)}


@pytest.mark.parametrize("turn", range(8))
def test_a_pair_told_the_other_way_round(turn: int) -> None:
    """`reversed` undoes a turn and a shift: on images, the two ways show the same."""
    image = scenes(1, side=16)[0].astype(float)
    there = NearCopy(0, 1, 1.0, turn, 2 / 16, -1 / 16)
    back = there.reversed()
    assert back.reversed() == there
    moved = np.roll(turned_back(image, turn), (2, -1), axis=(0, 1))
    again = np.roll(turned_back(moved, back.turn), (round(back.down * 16), round(back.right * 16)), axis=(0, 1))
    assert np.array_equal(again, image)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("mirrored", "mirrored"),
        ("turned by 180°", "turned by 180°"),
        ("transposed", "mirrored and turned by 90°"),
        ("brighter", "brightened"),
        ("shifted", "shifted by 2 pixels"),
        ("compressed", "resized or compressed"),
        ("darker, with less contrast", "with less contrast"),
    ],
)
def test_alterations_are_named(kind: str, words: str) -> None:
    first = scenes(12)
    second = np.stack([ALTERED[kind](image) for image in first])
    found = find(images(np.concatenate([first, second])))
    said = [alteration(first[copy.first], second[copy.second - 12], copy) for copy in found]
    assert sum(words in text for text in said) >= 10
    assert all(text in TURNS for text in said) or "mirrored" not in kind


def test_chains_join() -> None:
    assert joined(6, [(4, 1), (1, 2), (5, 4)]).tolist() == [0, 1, 1, 3, 1, 1]
    assert joined(0, []).tolist() == []


def test_what_was_found_is_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(near_copies, "CACHED", 10)
    first = scenes(20)
    some = images(np.concatenate([first, first[:3, ::-1]]))
    monkeypatch.setattr(near_copies, "MANY", 10)
    said: list[str] = []
    found = find(some, said.append)
    assert len(found) == 3
    [kept] = (tmp_path / "firstlight" / "near-copies").iterdir()
    near_copies._found.clear()
    monkeypatch.setattr(near_copies, "_search", None)  # would end in an error
    assert find(some, said.append) == found
    assert len(said) == 1  # before the search, and not where it was done already
    near_copies._found.clear()
    kept.write_bytes(kept.read_bytes()[:100])  # a damaged one is no reason to fail
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find(some) == found
    near_copies._found.clear()


def test_findings_of_splits() -> None:
    first = scenes(30)
    train = images(np.concatenate([first, first[:1, ::-1]]), [0, 1] * 15 + [0])
    test = Images(first[:4, :, ::-1], np.array([0, 1, 1, 1]), np.array(["t0", "t1", "t2", "t3"]), ("a", "b"))
    dataset = Dataset("any", {"train": train, "test": test})
    findings = check(dataset, near=NearCopies.of(dataset))
    near = findings.near
    assert near is not None
    assert near.across == {("train", "test"): 4}
    assert near.within == {"train": 1, "test": 0}
    assert (near.count, near.leaked, near.conflicting) == (6, 4, 2)  # of the first one there are two
    assert near.pairs[0].samples == (("train", "002", "a"), ("test", "t2", "b"))
    assert near.pairs[0].conflict
    assert [pair.leak for pair in near.pairs] == [True] * 5 + [False]
    assert near.pairs[0].alteration == "mirrored"
    assert [line.split(" ")[0] for line in findings.warnings()] == ["4", "1", "2"]
    assert findings.to_json()["near_copies"]["across"] == {"train-test": 4}
    assert check(dataset).near is None
