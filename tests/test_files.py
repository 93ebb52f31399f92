"""Files appear whole or not at all, and are read within limits."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import random
import re
import socket
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from firstlight.files import (
    MB,
    UnreadableError,
    arrays_of,
    csv_rows,
    json_of,
    numbers_of,
    open_lock,
    read_bytes,
    resolved,
    sha256,
    toml_of,
    write_bytes,
    write_json,
    write_text,
    writing,
)
from firstlight.types import Array


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_text(path, "new – ü")
    assert path.read_text(encoding="utf-8") == "new – ü"
    assert os.listdir(tmp_path) == ["a.txt"]  # noqa: PTH208  hidden files count


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_json_refuses_what_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_only_regular_files_within_the_limit_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(tmp_path):
        listening.bind("socket")
    assert read_bytes(tmp_path / "a", limit=5) == b"12345"
    for name, why in {"folder": "folder", "pipe": "named pipe", "zero": "device", "socket": "socket"}.items():
        with pytest.raises(UnreadableError) as told:
            read_bytes(tmp_path / name, limit=5)
        assert why in str(told.value.strerror)
        assert told.value.filename == str(tmp_path / name)
    with pytest.raises(UnreadableError, match="MB are read"):
        read_bytes(tmp_path / "a", limit=4)
    for name in ("loop", "a\0b", "\ud800", "x" * 5000, "missing"):
        with pytest.raises(OSError) as failure:
            read_bytes(tmp_path / name, limit=5)
        assert failure.value.strerror
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "missing", limit=5)


def test_a_path_behind_links_is_had_even_where_they_lead_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "circle").symlink_to("circle")
    assert resolved(tmp_path / "link" / "x") == (tmp_path / "link" / "x").resolve()
    assert resolved(tmp_path / "circle").name == "circle"
    assert resolved("a\0b").name == "a\0b"


def test_a_file_that_hides_its_size_is_read_up_to_the_limit() -> None:
    with pytest.raises(UnreadableError, match="it has more"):
        read_bytes("/proc/self/maps", limit=10)  # its size is 0 by stat


def test_a_lock_is_no_link_and_nothing_is_lost_by_it(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "link").symlink_to("mine")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        for make in (True, False):
            with pytest.raises(OSError, match=r"symbolic links|named pipe"):
                open_lock(tmp_path / name, make=make)
    with open_lock(tmp_path / "new", make=True), open_lock(tmp_path / "mine", make=True):
        pass
    assert (tmp_path / "mine").read_text() == "precious"
    with pytest.raises(FileNotFoundError):
        open_lock(tmp_path / "missing", make=False)


def test_a_link_is_followed_inside_the_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    run = tmp_path / "run"
    (run / "deep").mkdir(parents=True)
    (run / "deep" / "a").write_bytes(b"mine")
    (run / "in").symlink_to("deep/a")
    (run / "out").symlink_to("../outside")
    (run / "up").symlink_to("..")
    (tmp_path / "alias").symlink_to("run")  # the folder itself may be a link
    assert read_bytes(tmp_path / "alias" / "in", limit=9, inside=tmp_path / "alias") == b"mine"
    for name in ("out", "up/outside", "../outside"):
        with pytest.raises(UnreadableError, match="outside its folder"):
            read_bytes(run / name, limit=9, inside=run)


def test_a_file_that_is_written_again_meanwhile_is_read_as_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening it and looking at where it lies; a link that is put there instead is still refused."""
    where = os.path.realpath
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "record.json"
    waiting: list[bytes | None] = []

    def looked(name: str | Path) -> str:
        if waiting:
            path.unlink()
            if (data := waiting.pop()) is None:
                path.symlink_to("../outside")
            else:
                path.write_bytes(data)
        return where(name)

    monkeypatch.setattr(os.path, "realpath", looked)
    for times in (1, 3):
        path.write_bytes(b"before")
        waiting = [b"%d" % number for number in range(times)]
        assert read_bytes(path, limit=9, inside=path.parent) == b"0"
    waiting = [None]
    with pytest.raises(UnreadableError, match="outside its folder"):
        read_bytes(path, limit=9, inside=path.parent)
    path.unlink()
    path.write_bytes(b"before")
    waiting = [b"again"] * 1000
    with pytest.raises(UnreadableError, match="another file each time"):
        read_bytes(path, limit=9, inside=path.parent)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"[" * 100_000, "deep"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "deep"),
        (b"9" * 5000, "thousands of digits"),
        (b"[9999999999999999999]", "64 bits"),
        (b"[NaN]", "NaN"),
        (b'{"a": [1, -Infinity]}', "-Infinity"),
        (b'{"a": {"b": [1e999]}}', "a.b.0 is inf"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b"\xff", "UTF-8"),
        (b"{", "not valid JSON"),
    ],
)
def test_json_that_cannot_be_kept_is_a_value_error(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as told:
        json_of(text)
    assert len(str(told.value)) < 200


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"x = " + b"[" * 3000, "deep"),
        (b"a" + b".a" * 5000 + b" = 1", "deep"),
        (b"seed = " + b"9" * 5000, "thousands of digits"),
        (b"seed = 0x" + b"f" * 100_000, "seed is an integer of more than 64 bits"),
        (b"[a]\nb = [1, nan]", "a.b.1 is nan"),
        (b"a = 1e400", "a is inf"),
        (b"a = 2020-01-01", "a is a date"),
        (b"a = 1\na = 2", "not valid TOML"),
        (rb'a = "(.+)_\d+"', "in single quotes"),
        (b"\xff", "UTF-8"),
    ],
)
def test_toml_that_cannot_be_kept_is_a_value_error(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why) as told:
        toml_of(text)
    assert len(str(told.value)) < 300


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert toml_of(b"\xef\xbb\xbfseed = 1\r\n") == {"seed": 1}
    assert json_of(b'\xef\xbb\xbf{"a": "\\ud83d\\ude00"}') == {"a": "😀"}
    assert list(csv_rows(b"\xef\xbb\xbfa,b\n1,2\n")) == [(1, ["a", "b"]), (2, ["1", "2"])]


def test_a_csv_is_numbers_or_an_error() -> None:
    columns = numbers_of(b"epoch,loss\n1,0.5\n2,nan\n")
    np.testing.assert_array_equal(columns["epoch"], [1, 2])
    np.testing.assert_array_equal(columns["loss"], [0.5, np.nan])
    assert {name: column.shape for name, column in numbers_of(b"epoch,loss\n").items()} == {"epoch": (0,), "loss": (0,)}
    for text in (b"", b"\n", b"a,a\n1,2\n", b"a\n1,2\n", b"a,b\n1,2\n3\n", b"a\nx\n", b"\xff", b'"' + b"x" * 200_000):
        with pytest.raises(ValueError):
            numbers_of(text)
    with pytest.raises(ValueError, match="131,072"):
        list(csv_rows(b'a\n"' + b"x" * 200_000 + b'"\n'))


def _npz(**arrays: Array) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _npy(head: str, data: bytes = b"", version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes([version, 0]) + length + head.encode() + data


def test_arrays_come_back_as_they_were() -> None:
    given = {
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "u": np.array(["a", "ü😀"]),
        "none": np.empty((0, 3), np.float32),
        "one": np.array(5),
        "big": np.arange(3, dtype=">i4"),
    }
    for found in (arrays_of(_npz(**given)), arrays_of(io.BytesIO(_npz(**given)))):
        assert found.keys() == given.keys()
        for key, array in given.items():
            np.testing.assert_array_equal(found[key], array, strict=True)


def test_a_bomb_is_refused_before_there_is_memory_for_it() -> None:
    bomb = _npz(a=np.zeros(3_000_000, np.uint8))
    assert len(bomb) < 10_000
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"it unpacks to 3\.0 MB; at most 1\.0 MB"):
        arrays_of(bomb, limit=MB)
    assert tracemalloc.get_traced_memory()[1] < 4 * MB
    tracemalloc.stop()


PLAIN = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }"


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"PK",
        b"\x93NUMPY",
        _npy(PLAIN % "1000000000000", bytes(4)),  # less than its head promises
        _npy(PLAIN % "1", bytes(8)),  # and more
        _npy(PLAIN % "-1", bytes(4)),
        _npy(PLAIN % "True", bytes(4)),
        _npy("{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,), }"),
        _npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", bytes(8)),
        _npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", bytes(4)),
        _npy("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", struct.pack("<I", 0x110000)),
        _npy("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", struct.pack("<I", 0xD800)),
        _npy("(" * 5000),
        _npy("[" * 20_000, version=2),
        _npy("9" * 5000),
        _npy("{}"),
        _npy("3"),
        _npy("{'descr': 'spam', 'fortran_order': False, 'shape': (), }"),
        _npy("\0"),
        _npy("é", version=3),
    ],
)
def test_an_array_that_is_not_what_its_head_says_is_a_value_error(member: bytes) -> None:
    with pytest.raises(
        ValueError, match=r"^(it |the archive is truncated, corrupt or holds other objects than arrays$)"
    ):
        arrays_of(_archive({"a.npy": member}))


def test_a_damaged_archive_is_a_value_error() -> None:
    sound = _npz(a=np.arange(1000), b=np.array(["x", "y"]))
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with pytest.raises(ValueError, match="truncated, corrupt"):
            arrays_of(_archive({"a.npy": _npy(PLAIN % "1", bytes(4))}, method))
    with pytest.raises(ValueError, match="two arrays of one name"):
        arrays_of(_archive({"a.npy": _npy(PLAIN % "1", bytes(4)), "a": b""}))
    draw = random.Random(0)
    for _ in range(300):
        data = bytearray(sound)
        for _ in range(draw.choice([1, 2, 8])):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if draw.random() < 0.2:
            del data[draw.randrange(len(data)) :]
        with contextlib.suppress(ValueError):
            arrays_of(bytes(data))


GONE = 2**22 + 1  # no process of Linux has this number


def test_what_killed_processes_left_of_a_file_goes_with_the_next_one(tmp_path: Path) -> None:
    others = [".y.1.2.tmp", f".y.{GONE}.1.tmp", ".x.notes", f".x.{GONE}", f".x.{os.getppid()}.1.tmp"]
    for name in (f".x.{GONE}.1.tmp", f".x.{GONE}.23.tmp", *others):
        (tmp_path / name).touch()
    write_bytes(tmp_path / "x", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["x", *others])


def test_a_temporary_file_that_is_taken_away_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which this process is not to be seen may take it for one that a killed process left."""
    kept = os.fsync

    def once(number: int) -> None:
        kept(number)
        monkeypatch.undo()
        [temporary] = tmp_path.iterdir()
        temporary.unlink()

    monkeypatch.setattr(os, "fsync", once)
    write_bytes(tmp_path / "x", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x", b"new")]


def test_the_error_of_a_read_only_disk_names_the_file_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *arguments: object, **more: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(OSError, match="Read-only") as told:
        write_bytes(tmp_path / "x", b"new")
    assert told.value.filename == str(tmp_path / "x")


def test_nothing_is_made_where_the_folder_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as told:
        write_bytes(tmp_path / "gone" / "x", b"new")
    assert told.value.filename == str(tmp_path / "gone" / "x")
    assert not (tmp_path / "gone").exists()


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(os.devnull)
    for name in ("pipe", "link"):
        with pytest.raises(UnreadableError, match="not a file"):
            write_bytes(tmp_path / name, b"new")
        with pytest.raises(UnreadableError, match="not a file"), writing(tmp_path / name) as file:
            file.write(b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]
    assert not any(path.is_file() for path in tmp_path.iterdir())


def test_a_disk_that_is_full_is_told_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, writing(tmp_path / "table.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "table.csv")
    assert not any(tmp_path.iterdir())
