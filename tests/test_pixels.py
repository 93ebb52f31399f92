"""Mapped pixels are indexed as an array is, and never come into memory as a whole."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight import pixels as module
from firstlight.errors import DataError
from firstlight.pixels import MappedPixels, blocks, changed, concatenated, divided, is_mapped, located, taken
from firstlight.prepare.preparation import luma
from firstlight.types import Array, Images, joined

N, SHAPE = 23, (4, 5, 3)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Array, MappedPixels]:
    """Pixels in memory, and the same mapped."""
    array = np.random.default_rng(0).integers(0, 256, (N, *SHAPE), np.uint8)
    path = tmp_path_factory.mktemp("store") / "some.pixels"
    path.write_bytes(array.tobytes())
    return array, MappedPixels(path, array.shape, np.arange(N))


@settings(max_examples=20)
@given(rows=st.lists(st.integers(0, N - 1), min_size=1, max_size=40), start=st.integers(-9, 9), more=st.integers(1, 9))
def test_as_an_array(stored: tuple[Array, MappedPixels], rows: list[int], start: int, more: int) -> None:
    array, mapped = stored
    index = np.array(rows)
    ours, theirs = mapped.take(index), array[index]
    assert ours.shape == theirs.shape
    assert np.array_equal(np.asarray(ours), theirs)
    assert np.array_equal(ours[start : start + more], theirs[start : start + more])
    assert np.array_equal(ours[-1], theirs[-1])
    assert np.array_equal(ours[[0, -1], ::2, 1:], theirs[[0, -1], ::2, 1:])
    assert np.array_equal(np.stack([*ours]), theirs)
    base, places = located(ours, np.arange(len(rows))[::-1])
    assert base is mapped.take(index).base or np.shares_memory(base, ours.base)
    assert np.array_equal(base[places], theirs[::-1])


def test_blocks_are_small_and_whole(stored: tuple[Array, MappedPixels], monkeypatch: pytest.MonkeyPatch) -> None:
    array, mapped = stored
    monkeypatch.setattr(module, "BLOCK", 4 * array[0].nbytes)
    for pixels in (array, mapped, array[:, ::-1]):
        found = [*blocks(pixels)]
        assert [start for start, _ in found] == [*range(0, N, 4)]
        assert all(block.flags.c_contiguous for _, block in found)
        assert np.array_equal(np.concatenate([block for _, block in found]), pixels[:])


def test_a_change_is_made_when_they_are_read(stored: tuple[Array, MappedPixels]) -> None:
    array, mapped = stored
    grey = changed(mapped, luma)
    assert is_mapped(grey)
    assert grey.shape == (N, 4, 5, 1)
    assert np.array_equal(grey[3:7], luma(array)[3:7])
    again = pickle.loads(pickle.dumps(grey.changed(_turned)))
    assert np.array_equal(again[:], luma(array)[:, ::-1])
    found, places = located(grey, np.array([5, 2]))
    assert np.array_equal(found[places], luma(array)[[5, 2]])
    assert changed(grey, luma) is grey  # which has nothing left to change


def _turned(pixels: Array) -> Array:
    return pixels[:, ::-1]


def test_joined_they_stay_mapped(stored: tuple[Array, MappedPixels]) -> None:
    array, mapped = stored
    both = concatenated([mapped.take(np.arange(5)), taken(mapped, slice(9, 12))])
    assert is_mapped(both)
    assert np.array_equal(both[:], array[[0, 1, 2, 3, 4, 9, 10, 11]])
    assert not is_mapped(concatenated([mapped, array]))


def test_images_are_the_same_wherever_they_lie(stored: tuple[Array, MappedPixels]) -> None:
    array, mapped = stored
    labels, ids = np.arange(N) % 2, np.arange(N).astype(str)
    both: tuple[Any, Any] = (array, mapped)
    one, other = (Images(pixels, labels, ids, ("a", "b")) for pixels in both)
    index = np.array([3, 1, 20])
    for ours, theirs in (
        (other, one),
        (other.take(index), one.take(index)),
        (joined([other, other]), joined([one, one])),
    ):
        assert is_mapped(ours.pixels)
        assert ours.digest == theirs.digest
        assert np.array_equal(ours.fingerprints, theirs.fingerprints)
        assert np.array_equal(ours.held.pixels, theirs.pixels)


def test_parts_are_consecutive(stored: tuple[Array, MappedPixels]) -> None:
    array, mapped = stored
    for pixels in (array, mapped):
        parts = [*divided(pixels, [3, 0, N - 3])]
        assert [len(part) for part in parts] == [3, 0, N - 3]
        assert np.array_equal(concatenated(parts), array)


def test_too_many_do_not_come_into_memory(stored: tuple[Array, MappedPixels], monkeypatch: pytest.MonkeyPatch) -> None:
    _, mapped = stored
    monkeypatch.setenv("FIRSTLIGHT_MEMORY_LIMIT", "1 kB")
    with pytest.raises(
        DataError, match=r"23 images are 1\.4 kB of pixels, more than the 1\.0 kB that.*Take some of them"
    ):
        np.asarray(mapped)
    assert len(np.asarray(mapped.take(np.arange(3)))) == 3


def test_a_store_that_is_gone_is_told(tmp_path: Path) -> None:
    mapped = MappedPixels(tmp_path / "none.pixels", (2, 2, 2, 1), np.arange(2))
    with pytest.raises(DataError, match="cannot be read: No such file"):
        _ = mapped[0]
    mapped.path.write_bytes(b"1234")
    with pytest.raises(DataError, match="is not the store that it was"):
        _ = mapped[0]
