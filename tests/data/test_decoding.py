import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from tests.data.making import pixels, random_image, write_image

from firstlight.data import load_image
from firstlight.data.decoding import decode, formats, resize, strict_about_size, upright_size
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


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_decompression_bomb(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png(side, side, bytes(100)))
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


@pytest.mark.parametrize("name", ["GIF", "TIFF", "PPM", "AVIF", "JPEG2000", "DIB"])
def test_other_formats(name):
    if name not in formats():
        pytest.skip(f"this Pillow reads no {name}")
    array = random_image(0, (16, 12))
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, name)
    pixels = decode(buffer.getvalue(), None)
    assert pixels.shape[:2] == array.shape
    assert np.abs(pixels.astype(int) - array[..., None]).mean() < (20 if name == "AVIF" else 1)


def test_formats_that_start_other_programs_are_refused():
    assert "EPS" not in formats()
    with pytest.raises(DataError, match="not a PNG"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", None)


@pytest.mark.parametrize("orientation", [6, 8])
def test_a_tiff_is_turned_once(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(random_image(0, (6, 9))).save(tmp_path / "a.tif", exif=exif)
    assert load_image(tmp_path / "a.tif").shape == (9, 6, 1)
    assert upright_size(tmp_path / "a.tif") == (9, 6)


@pytest.mark.parametrize("array", [np.ones((4, 4), np.float32), np.full((4, 4), -1, np.int32), np.full((4, 4), 70_000)])
def test_pixels_that_are_no_bytes(tmp_path, array):
    Image.fromarray(array.astype(np.int32) if array.dtype == np.int64 else array).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="save it with 8 bits"):
        load_image(tmp_path / "a.tif")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, rows, depth=8, colour=0, interlaced=0, extra=b""):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("width", "height"), [(1, 89_000_000), (70_000, 1), (65_536, 2)])
def test_sides_are_bounded(width, height):
    with pytest.raises(DataError, match="a side above 65,535"):
        decode(png(width, height, bytes(100)), (24, 24))


@pytest.mark.parametrize(("depth", "colour", "row"), [(8, 0, 10), (8, 2, 28), (16, 6, 73), (1, 3, 3), (8, 4, 19)])
def test_whole_chunks_with_too_few_pixels(depth, colour, row):
    palette = chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    whole = png(9, 5, bytes(5 * row), depth, colour, extra=palette)
    assert decode(whole, None).shape[:2] == (5, 9)
    for part in (b"", bytes(row), bytes(5 * row - 1)):
        with pytest.raises(DataError, match="truncated"):
            decode(png(9, 5, part, depth, colour, extra=palette), None)


def test_interlaced_pixels_are_counted():
    rows = sum(
        n * (1 + m) for m, n in [(2, 1), (1, 1), (3, 1), (2, 2), (5, 1), (4, 3), (9, 2)]
    )  # of 9 × 5, pass by pass
    assert decode(png(9, 5, bytes(rows), interlaced=1), None).shape == (5, 9, 1)
    with pytest.raises(DataError, match="truncated"):
        decode(png(9, 5, bytes(rows - 1), interlaced=1), None)


def test_sixteen_bit_grey_with_transparency_is_grey():
    row = b"\0" + struct.pack(">4H", 0x8000, 0xFFFF, 0x8000, 0)
    assert decode(png(2, 1, row, 16, 4), None).tolist() == [[[128], [255]]]
    keyed = png(2, 1, b"\0" + struct.pack(">2H", 0x8000, 77), 16, 0, extra=chunk(b"tRNS", struct.pack(">H", 77)))
    assert decode(keyed, None).tolist() == [[[128], [255]]]


ROTATED = struct.pack("<HHIHH", 0x112, 3, 1, 6, 0)
ODD_EXIF = {
    "resolution as text": struct.pack("<HHI4s", 0x11A, 2, 4, b"72\0\0"),
    "width as a float": struct.pack("<HHIf", 0x100, 11, 1, 3.5),
    "width as text": struct.pack("<HHI4s", 0x100, 2, 4, b"300\0"),
    "a value beyond the end": struct.pack("<HHII", 0x11A, 5, 1, 60_000),
    "an unknown type": struct.pack("<HHII", 0x11A, 99, 1, 0),
    "a folder of itself": struct.pack("<HHII", 0x8769, 4, 1, 8),
}


@pytest.mark.parametrize("entry", ODD_EXIF.values(), ids=ODD_EXIF)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_odd_metadata_beside_sound_pixels(entry, name):
    entries = sorted([ROTATED, entry])
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + b"".join(entries) + b"\0\0\0\0"
    buffer = io.BytesIO()
    Image.new("L", (16, 8), 99).save(buffer, name, exif=exif)
    with strict_about_size():  # as all callers do, which also silences Pillow
        assert decode(buffer.getvalue(), None).shape == (16, 8, 1 if name != "WEBP" else 3)


ODD_CHUNKS = {
    "long text": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(3_000_000))),
    "long international text": chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(bytes(3_000_000))),
    "a faulty raw profile": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n   9\nxyz\n")),
    "a short colour profile": chunk(b"iCCP", b"x"),
    "short chromaticities": chunk(b"cHRM", b"abc"),
    "a text with another checksum": chunk(b"tEXt", b"a\0b")[:-4] + b"abcd",
    "a bomb of text": chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(100_000_000))),
}


@pytest.mark.parametrize("extra", ODD_CHUNKS.values(), ids=ODD_CHUNKS)
def test_odd_chunks_beside_sound_pixels(extra):
    turn = Image.Exif()
    turn[0x0112] = 6
    data = png(3, 2, b"\0\1\2\3\0\4\5\6", extra=chunk(b"eXIf", turn.tobytes()[6:]) + extra)
    assert decode(data, None)[..., 0].tolist() == [[4, 1], [5, 2], [6, 3]]


@pytest.mark.parametrize(
    "segment", [b"\xff\xe0\0\x06JFIF", b"\xff\xee\0\x04AB", b"\xff\xe2\0\x10MPF\0II*\0\xff\xff\xff\xff\0\0"]
)
def test_odd_segments_beside_sound_pixels(segment):
    turn = Image.Exif()
    turn[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("L", (16, 8), 99).save(buffer, "JPEG", exif=turn)
    data = buffer.getvalue()
    assert decode(data[:2] + segment + data[2:], None).shape == (16, 8, 1)


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"restart_marker_blocks": 3}, {"subsampling": 0}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_that_ends_early_with_an_end_marker(mode, options):
    if mode != "RGB":
        options = {key: value for key, value in options.items() if key != "subsampling"}
    image = Image.fromarray(random_image(0, (97, 130, 3))).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    data = buffer.getvalue()
    with Image.open(io.BytesIO(data)) as file:
        stored = np.asarray(file.convert("RGB" if mode != "L" else "L")).reshape(97, 130, -1)
    np.testing.assert_array_equal(decode(data, None), stored)
    np.testing.assert_array_equal(decode(data + b"more behind", None), stored)
    start = data.rindex(b"\xff\xda") + 12
    for part in (0.1, 0.5, 0.9):
        with pytest.raises(DataError, match="truncated or damaged"):
            decode(data[: start + int(part * (len(data) - start))] + b"\xff\xd9", None)


def test_the_first_of_several_pictures():
    first, second = (random_image(seed, (16, 16)) for seed in (0, 1))
    for name in ("MPO", "GIF", "PNG", "TIFF"):
        buffer = io.BytesIO()
        Image.fromarray(first).save(buffer, name, save_all=True, append_images=[Image.fromarray(second)])
        with strict_about_size():
            assert np.abs(decode(buffer.getvalue(), None)[..., 0].astype(int) - first).mean() < 20


@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 8), (7, 17), (300, 200)])
def test_whole_jpegs_of_one_colour_are_whole(height, width):
    for quality in (5, 50, 100):
        for progressive in (False, True):
            buffer = io.BytesIO()
            Image.new("RGB", (width, height), (quality, 99, 3)).save(
                buffer, "JPEG", quality=quality, progressive=progressive
            )
            assert decode(buffer.getvalue(), None).shape == (height, width, 3)


def test_several_threads_give_the_filters_of_warnings_back():
    before = list(warnings.filters)
    first, second = strict_about_size(), strict_about_size()
    for guard in (first, second):
        guard.__enter__()
    first.__exit__(None, None, None)
    assert warnings.filters != before
    second.__exit__(None, None, None)
    assert warnings.filters == before


def test_missing_and_empty(tmp_path):
    with pytest.raises(DataError, match=r"none\.png: the image cannot be read: No such file or directory"):
        load_image(tmp_path / "none.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(DataError, match=r"empty\.png: the file is empty"):
        load_image(tmp_path / "empty.png")
