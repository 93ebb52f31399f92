"""Images that are more than the memory takes are decoded once into a file, whole or not at all, and are the same."""

from __future__ import annotations

import multiprocessing
import shutil
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import firstlight as fl
from firstlight import memory
from firstlight.data import formats, image_files, store
from firstlight.data.decoding import decode
from firstlight.errors import DataError
from firstlight.pixels import is_mapped
from firstlight.types import Array, Dataset

SIDE, N = 8, 40


@pytest.fixture(autouse=True)
def _small_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "user_cache", lambda: tmp_path / "cache")
    monkeypatch.setenv(memory.VARIABLE, "2 kB")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Coloured images in two classes, one of them grey and one unreadable; the first ones are grey."""
    root = tmp_path / "photos"
    for i, pixels in enumerate(_drawn(N)):
        place = root / ("train" if i < 30 else "test") / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels if i > 25 else pixels[..., 0]).save(place / f"{i:03d}.png")
    (root / "train" / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    return root


def _drawn(n: int) -> Array:
    return np.random.default_rng(1).integers(0, 256, (n, SIDE, SIDE, 3), np.uint8)


def _both(source: object, monkeypatch: pytest.MonkeyPatch, **how: object) -> tuple[Dataset, Dataset]:
    """A source mapped, and in memory."""
    mapped = fl.load(source, **how)  # type: ignore[arg-type]
    monkeypatch.setenv(memory.VARIABLE, "1 GB")
    return mapped, fl.load(source, **how)  # type: ignore[arg-type]


def _same(mapped: Dataset, held: Dataset) -> None:
    assert all(is_mapped(images.pixels) for images in mapped.splits.values())
    assert not any(is_mapped(images.pixels) for images in held.splits.values())
    assert {name: images.digest for name, images in mapped.splits.items()} == {
        name: images.digest for name, images in held.splits.items()
    }
    assert mapped.files == held.files
    assert dict(mapped.set_aside) == dict(held.set_aside)


@pytest.mark.parametrize("size", [None, 5, (4, 6)])
def test_a_folder(folder: Path, size: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped, held = _both(folder, monkeypatch, size=size)
    _same(mapped, held)
    assert "train/a/broken.png" in held.set_aside


def test_a_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in sorted(folder.glob("*/*/0*.png"))]
    (folder / "all.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    _same(*_both(folder / "all.csv", monkeypatch))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", [None, 5])
def test_an_npz(tmp_path: Path, packed: bool, size: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = _drawn(N)
    arrays = {
        "x_train": pixels[:30], "y_train": np.arange(30) % 3, "x_test": pixels[30:], "y_test": np.arange(10) % 3,
    }  # fmt: skip
    (np.savez_compressed if packed else np.savez)(tmp_path / "set.npz", **arrays)  # type: ignore[arg-type]
    _same(*_both(tmp_path / "set.npz", monkeypatch, size=size))


def test_grey_images_of_an_npz_without_an_axis_of_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "set.npz", images=_drawn(3 * N)[..., 0], labels=np.arange(3 * N) % 2)
    _same(*_both(tmp_path / "set.npz", monkeypatch))


def test_a_parquet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    files = []
    for pixels in _drawn(N):
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        files.append(buffer.getvalue())
    files[3] = b"nothing"
    rows = pyarrow.table({"image": files, "label": ["ab"[i % 2] for i in range(N)]})
    parquet.write_table(rows, tmp_path / "set.parquet")
    _same(*_both(tmp_path / "set.parquet", monkeypatch))


def test_a_source_that_is_read_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    _same(*_both("digits", monkeypatch))


def test_it_is_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fl.load(folder)
    monkeypatch.setattr(image_files, "decode", None)
    assert fl.load(folder).splits["train"].digest == first.splits["train"].digest


@pytest.mark.parametrize("how", ["another image", "another time", "another name", "another size"])
def test_other_files_are_another_store(folder: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fl.load(folder)
    path = next((folder / "test" / "a").glob("*.png"))
    match how:
        case "another image":
            Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(path)
        case "another time":
            path.touch()
        case "another name":
            path.rename(path.with_stem("z"))
    size = 5 if how == "another size" else None
    decoded = []
    monkeypatch.setattr(image_files, "decode", lambda *given: decoded.append(1) or decode(*given))
    after = fl.load(folder, size=size)
    assert len(decoded) == N + 1
    assert (after.splits["test"].digest == before.splits["test"].digest) == (how == "another time")


def test_a_store_that_was_cut_off_is_made_anew(folder: Path) -> None:
    first = fl.load(folder)
    (pixels,) = store.stores().glob("*.pixels")
    pixels.write_bytes(pixels.read_bytes()[:100])
    assert fl.load(folder).splits["train"].digest == first.splits["train"].digest
    next(iter(store.stores().glob("*.npz"))).write_bytes(b"PK")
    assert fl.load(folder).splits["train"].digest == first.splits["train"].digest


@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_store_that_was_overwritten_at_its_length_is_made_anew(folder: Path, place: float) -> None:
    before = {name: images.digest for name, images in fl.load(folder).splits.items()}
    (pixels,) = store.stores().glob("*.pixels")
    held = bytearray(pixels.read_bytes())
    held[round(place * (len(held) - 1))] ^= 1
    pixels.write_bytes(held)
    again = fl.load(folder)
    assert is_mapped(again.splits["train"].pixels)
    assert {name: images.digest for name, images in again.splits.items()} == before


def test_pieces_of_a_large_file_are_of_its_beginning_its_middle_and_its_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"".join(bytes([i]) * store.PIECE for i in range(9)))
    assert [set(piece) for piece in store._pieces(tmp_path / "file")] == [{0}, {4}, {8}]


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError("no")])
def test_nothing_is_left_of_one_that_was_interrupted(
    folder: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def stops(collector: store.Collector, pixels: Array) -> None:
        nonlocal count
        count += 1
        if count == N:
            assert collector.file is not None
            raise error

        append(collector, pixels)

    append = store.Collector.append
    monkeypatch.setattr(store.Collector, "append", stops)
    with pytest.raises((KeyboardInterrupt, DataError)):
        fl.load(folder)
    assert [path.name for path in store.stores().iterdir() if not path.name.endswith(store.LOCK)] == []


def test_a_disk_without_room_is_told_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(
        DataError, match=r"photos: its decoded images are more than.*takes about.*free\. Free some space"
    ):
        fl.load(folder)
    assert not [*store.stores().glob("*.pixels")]


def test_images_of_several_sizes_are_told_as_ever(folder: Path) -> None:
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(folder / "test" / "a" / "small.png")
    with pytest.raises(DataError, match=r"the images differ in size .*8×8 \(40\) and 3×4 \(1\)"):
        fl.load(folder)


def test_a_class_that_cannot_be_read_is_told_as_ever(folder: Path) -> None:
    for path in (folder / "test" / "b").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"no image of class 'b' in test can be read; test/b/"):
        fl.load(folder)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((N, SIDE, SIDE, 3), np.float32), r"images must be uint8 .* received float32"),
        (np.zeros((N, 3, SIDE, SIDE), np.uint8), r"images must be uint8 .* received uint8"),
        (np.asfortranarray(_drawn(N)), r"do not lie one after the other\. Save it as numpy\.ascontiguousarray"),
    ],
)
def test_arrays_that_are_no_images(images: Array, said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(N) % 2)
    with pytest.raises(DataError, match=said):
        fl.load(tmp_path / "set.npz")


def test_an_npz_with_a_flipped_byte_is_not_kept(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=_drawn(N), labels=np.arange(N) % 2)
    data = bytearray((tmp_path / "set.npz").read_bytes())
    data[2000] ^= 1
    (tmp_path / "set.npz").write_bytes(data)
    with pytest.raises(DataError, match="not a readable"):
        fl.load(tmp_path / "set.npz")
    assert not [*store.stores().glob("*.pixels")]


def test_of_two_processes_one_decodes(folder: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    pair = [context.Process(target=_load_and_tell, args=(folder, told)) for _ in range(2)]
    for one in pair:
        one.start()
    decoded = sorted(told.get(timeout=60) for _ in pair)
    for one in pair:
        one.join()
    assert decoded == [0, N + 1]


def _load_and_tell(folder: Path, told: multiprocessing.Queue[int]) -> None:
    count = 0

    def counted(*given: object) -> Array:
        nonlocal count
        count += 1
        return decode(*given)  # type: ignore[arg-type]

    setattr(image_files, "decode", counted)  # noqa: B010
    fl.load(folder)
    told.put(count)


def test_arrays_that_unpack_to_far_more_than_their_file_are_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "_UNPACKED", 100_000)
    np.savez_compressed(tmp_path / "t.npz", images=np.zeros((400, 32, 32), np.uint8), labels=np.arange(400) % 2)
    with pytest.raises(
        DataError, match=r"409,600 bytes when unpacked, more than the images in a file of its size have"
    ):
        fl.load(tmp_path / "t.npz")
    assert not list((tmp_path / "cache").rglob("*"))
