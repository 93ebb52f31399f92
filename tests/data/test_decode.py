import io
import struct
import zlib

import numpy as np
import pytest
from making import pixels, random_image, write_image
from PIL import Image

from firstlight.data import load_image
from firstlight.data.decode import decode, resize, upright_size
from firstlight.errors import DataError


@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("bmp", {}), ("webp", {"lossless": True})])
def test_lossless_formats(tmp_path, suffix, options):
    array = random_image(0, (7, 5, 3))
    np.testing.assert_array_equal(load_image(write_image(tmp_path / f"a.{suffix}", array, **options)), array)


def test_jpeg(tmp_path):
    array = np.full((16, 8, 3), (200, 100, 50), np.uint8)
    loaded = load_image(str(write_image(tmp_path / "a.JPG", array, quality=95)))
    assert np.abs(loaded.astype(int) - array).max() < 4


def test_grey_stays_grey(tmp_path):
    array = random_image(0, (7, 5))
    np.testing.assert_array_equal(load_image(write_image(tmp_path / "a.png", array))[..., 0], array)
    assert load_image(write_image(tmp_path / "a.jpg", array)).shape == (7, 5, 1)
    Image.fromarray(array > 99).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(load_image(tmp_path / "bits.png")[..., 0], np.where(array > 99, 255, 0))


def test_sixteen_bits_are_scaled(tmp_path):
    array = np.array([[0, 257, 300], [32896, 65278, 65535]], np.uint16)
    loaded = load_image(write_image(tmp_path / "a.png", array))
    assert loaded[..., 0].tolist() == [[0, 1, 1], [128, 254, 255]]


def test_palettes(tmp_path):
    colours = random_image(0, (7, 5, 3)) // 64 * 64
    Image.fromarray(colours).quantize(64).save(tmp_path / "colour.png")
    assert load_image(tmp_path / "colour.png").shape == (7, 5, 3)
    grey = np.repeat(random_image(0, (7, 5, 1)) // 64 * 64, 3, axis=2)
    Image.fromarray(grey).quantize(8).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(load_image(tmp_path / "grey.png"), grey[..., :1])


def test_transparency_is_laid_on_white(tmp_path):
    array = np.zeros((1, 3, 4), np.uint8)
    array[0, :, 0] = 200
    array[0, :, 3] = (0, 255, 51)  # none, all, a fifth
    assert load_image(write_image(tmp_path / "a.png", array))[0].tolist() == [
        [255, 255, 255], [200, 0, 0], [244, 204, 204],
    ]  # fmt: skip
    Image.fromarray(np.array([[[10, 0], [10, 255]]], np.uint8)).save(tmp_path / "grey.png")
    assert load_image(tmp_path / "grey.png").tolist() == [[[255], [10]]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([9, 8, 7, 0, 200, 0])
    palette.save(tmp_path / "palette.png", transparency=1)
    assert load_image(tmp_path / "palette.png").tolist() == [[[9, 8, 7], [255, 255, 255]]]


def test_cmyk(tmp_path):
    Image.new("CMYK", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    assert (load_image(tmp_path / "a.jpg") == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_exif_orientation(tmp_path, suffix, orientation):
    """The stored picture is turned back to how it was seen: bright in its upper left corner."""
    seen = np.zeros((16, 24), np.uint8)
    seen[:8, :8] = 255
    transpose = [
        None, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_270,
    ][orientation - 1]  # fmt: skip
    stored = Image.fromarray(seen) if transpose is None else Image.fromarray(seen).transpose(transpose)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"a.{suffix}", exif=exif)
    loaded = load_image(tmp_path / f"a.{suffix}")
    assert loaded.shape[:2] == seen.shape == upright_size(tmp_path / f"a.{suffix}")
    assert np.abs(loaded[..., 0].astype(int) - seen).mean() < 3


def test_size_is_height_and_width(tmp_path):
    path = write_image(tmp_path / "a.png", random_image(0, (40, 20, 3)))
    assert load_image(path, size=(10, 8)).shape == (10, 8, 3)


def test_resize_is_antialiased_and_equal_for_files_and_arrays(tmp_path):
    board = np.indices((32, 32)).sum(axis=0) % 2 * np.uint8(255)
    small = resize(board.astype(np.uint8)[None, :, :, None], (8, 8))
    assert np.abs(small.astype(int) - 127)[:, 2:-2, 2:-2].max() < 6
    path = write_image(tmp_path / "a.png", board.astype(np.uint8))
    np.testing.assert_array_equal(load_image(path, size=(8, 8)), small[0])
    same = pixels(3)
    assert resize(same, same.shape[1:3]) is same


def png_head(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_decompression_bomb(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png_head(side, side))
    with pytest.raises(DataError, match=r"bomb\.png: more than 89,478,485 pixels; scale it down first"):
        load_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_truncated(tmp_path, suffix, part):
    path = write_image(tmp_path / f"a.{suffix}", random_image(0, (64, 64, 3)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(DataError, match=rf"a\.{suffix}: (truncated or damaged|not a PNG)"):
        load_image(path)


@pytest.mark.parametrize("data", [b"GIF89a" + bytes(50), b"hello", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + bytes(9)])
def test_not_an_image(data):
    with pytest.raises(DataError, match=r"not a PNG, JPEG, BMP or WebP image|truncated or damaged"):
        decode(data, None)


def test_other_formats_are_refused():
    buffer = io.BytesIO()
    Image.new("L", (4, 4)).save(buffer, "TIFF")
    with pytest.raises(DataError, match=r"not a PNG, JPEG, BMP or WebP image"):
        decode(buffer.getvalue(), None)


def test_missing_and_empty(tmp_path):
    with pytest.raises(DataError, match=r"none\.png: the image cannot be read: No such file or directory"):
        load_image(tmp_path / "none.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(DataError, match=r"empty\.png: the file is empty"):
        load_image(tmp_path / "empty.png")
