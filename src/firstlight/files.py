"""Files: written whole or not at all, and read within limits, since the folder of a run may be anybody's.

A reader takes the bytes by `read_bytes`, which refuses what is not a regular file, is too large, or lies outside the
folder that it should lie in, and turns them into values by `json_of`, `toml_of`, `csv_rows` or `arrays_of`. Whatever
is wrong is an OSError with a `strerror` for a person where the file cannot be had, and a ValueError whose text goes
on "it …" where its contents are not sound.
"""

from __future__ import annotations

import ast
import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import stat
import struct
import sys
import threading
import tomllib
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from firstlight.errors import brief
from firstlight.text import megabytes
from firstlight.types import Array, Json

MB = 1_000_000

# The most that is read of a file, by its kind. What firstlight writes is far below.
RECORD_LIMIT = 128 * MB  # JSON: data.json names every image
TOML_LIMIT = 1 * MB  # its parser needs a second or more for it
TABLE_LIMIT = 64 * MB  # numbers in CSV: a million steps have some 25 MB
ARRAYS_LIMIT = 512 * MB  # an .npz of a run or an explanation, and the arrays in it when unpacked
PAGE_LIMIT = 256 * MB  # a report
WEIGHTS_LIMIT = 4_000 * MB  # a .safetensors file: a thousand million numbers

VALUES_LIMIT = 4_000_000  # of a JSON text
DEPTH_LIMIT = 64  # of lists and tables within one another
HEADER_LIMIT = 10_000  # bytes of the head of an array

TRIES = 3  # to write a file whose temporary one is taken away
TEMPORARY = re.compile(r"\.(.+)\.(\d+)\.(\d+)\.tmp", re.DOTALL)  # the file's name, process, thread

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnreadableError(OSError):
    """A file that is not read on purpose; `strerror` says why."""

    def __init__(self, path: str | Path, why: str) -> None:
        super().__init__(errno.EINVAL, why, str(path))


class NotTomlError(ValueError):
    """A text that is not written as TOML is."""


def user_cache() -> Path:
    """The user's folder for what can be made or fetched again, which need not exist."""
    from platformdirs import user_cache_dir  # as pooch has it, whose own import takes ten times as long

    return Path(user_cache_dir("firstlight"))


def open_file(path: str | Path, *, limit: int, inside: str | Path | None = None) -> io.BufferedReader:
    """Open a regular file of at most `limit` bytes for reading; nothing else is ever waited for.

    inside  a folder that the file must lie in when all links are followed

    Raises OSError: FileNotFoundError where there is none, UnreadableError where it is something else, or too large.
    """
    for _ in range(100):
        if file := _opened(path, limit, inside):
            return file  # else another was put in its place meanwhile, as each writing of a file does
    raise UnreadableError(path, "it is another file each time that it is looked at")


def _opened(path: str | Path, limit: int, inside: str | Path | None) -> io.BufferedReader | None:
    """None where the path stands for another file than was opened, when where it lies has been looked at."""
    try:
        _regular(path, Path(path).stat())  # opening a device can be more than looking at it
        file = os.fdopen(os.open(path, os.O_RDONLY | _CAREFULLY), "rb")
    except UnicodeError:
        raise UnreadableError(path, "its name is not valid for a file system") from None
    except ValueError:
        raise UnreadableError(path, "its name has a NUL character") from None
    try:
        found = os.fstat(file.fileno())  # what was opened: the name may stand for another file by now
        _regular(path, found)
        if inside is not None:
            real, folder = os.path.realpath(path), os.path.realpath(inside)
            if not Path(real).is_relative_to(folder):
                raise UnreadableError(path, "it is a link to a file outside its folder")
            if not os.path.samestat(os.lstat(real), found):
                file.close()
                return None
        if found.st_size > limit:
            raise _too_large(path, f"it has {megabytes(found.st_size)}", limit)
    except BaseException:
        file.close()
        raise
    return file


def open_lock(path: str | Path, *, make: bool) -> io.BufferedReader:
    """Open the file of a lock, made where it is not there if asked for: no link, never waited for, its text as it is.

    Raises OSError.
    """
    # NFS locks only what was opened to be written.
    flags = os.O_RDWR | (os.O_CREAT if make else 0) if make or os.access(path, os.W_OK) else os.O_RDONLY
    file = os.fdopen(os.open(path, flags | _CAREFULLY | getattr(os, "O_NOFOLLOW", 0), 0o666), "rb")
    try:
        _regular(path, os.fstat(file.fileno()))
    except BaseException:
        file.close()
        raise
    return file


def expanded(path: str | Path) -> Path:
    """The path with ~ as the home folder; as it stands where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def resolved(path: str | Path) -> Path:
    """The absolute path behind all links, as `Path.resolve` has it; also where links lead in a circle."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # no name that a file system takes
        return Path(path).absolute()


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there; no for a name that no file system takes, and where it may not be looked at."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def is_file(path: str | Path) -> bool:
    """As `is_folder`, for a regular file."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def is_there(path: Path) -> bool:
    """Whether a folder has anything by that name, be it a link to nowhere."""
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def read_bytes(path: str | Path, *, limit: int, inside: str | Path | None = None) -> bytes:
    """The bytes of a regular file, at most `limit` of them; as `open_file`, which see."""
    with open_file(path, limit=limit, inside=inside) as file:
        size = min(os.fstat(file.fileno()).st_size, limit)
        data = file.read(size + 1)  # memory is taken for as many bytes as are asked for
        if len(data) > size:  # it has grown, or it is a file of the system that does not tell its size
            data += file.read(limit + 1 - len(data))
    if len(data) > limit:
        raise _too_large(path, "it has more", limit)
    return data


def read_text(path: str | Path, *, limit: int, inside: str | Path | None = None) -> str:
    """As `read_bytes`, for text. Raises ValueError where it is not in UTF-8."""
    return text_of(read_bytes(path, limit=limit, inside=inside))


def text_of(data: bytes) -> str:
    """The text, without a byte order mark. Raises ValueError where it is not in UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"it is not UTF-8 text, from line {line} on") from None


def json_of(data: bytes) -> Any:
    """The value of a JSON text. Raises ValueError where it is none, or none that can be kept (`check_values`)."""
    if sum(map(data.count, (b",", b"[", b"{"))) > VALUES_LIMIT:  # each takes far more memory than text
        raise ValueError(f"it has more than {VALUES_LIMIT:,} values")
    try:
        value = json.loads(text_of(data), parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not valid JSON: {error}") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError as error:
        raise ValueError(_said(error)) from None
    check_values(value)
    return value


def json_object(data: bytes) -> Json:
    """The JSON object in `data`. Raises ValueError where it is something else."""
    value = json_of(data)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def toml_of(data: bytes | str) -> Json:
    """The tables of a TOML text. Raises ValueError where it is none, or has a date or a number that cannot be kept."""
    text = data if isinstance(data, str) else text_of(data)
    if len(text) > TOML_LIMIT:
        raise ValueError(f"it has {megabytes(len(text))}; at most {megabytes(TOML_LIMIT)} of TOML are read")
    if _MANY_DOTS.search(text):  # the parser takes the square of their number
        raise ValueError(_TOO_DEEP)
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = _BACKSLASH if "Unescaped '\\'" in str(error) else ""
        raise NotTomlError(f"it is not valid TOML: {error}{hint}") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError as error:
        raise ValueError(_said(error)) from None
    check_values(value)
    return value


def csv_rows(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV text, each with the line that it ends in. Raises ValueError, also while they are taken."""
    table = csv.reader(io.StringIO(text_of(data), newline=""), strict=True)
    try:
        for row in table:
            yield table.line_num, row
    except csv.Error as error:
        large = "field larger" in str(error)
        why = f"a cell has more than {csv.field_size_limit():,} characters" if large else str(error)
        raise ValueError(f"line {table.line_num}: {why}") from None


def numbers_of(data: bytes) -> dict[str, Array]:
    """The columns of a CSV file of numbers, float64, by the names in its first line. Raises ValueError.

    As many numbers must stand in every row, and each column needs a name of its own. NaN is a number here.
    """
    head, _, body = text_of(data).partition("\n")
    names = next(csv_rows(head.encode()), (0, []))[1]
    if not names or len(set(names)) < len(names):
        raise ValueError("its first line must name its columns, each once")
    if not body.strip():
        return {name: np.empty(0) for name in names}
    try:
        table = np.loadtxt(io.StringIO(body), np.float64, delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        raise ValueError(f"it is not a table of numbers: {error}") from None
    if table.shape[1] != len(names):
        raise ValueError(f"it has {table.shape[1]} columns and {len(names)} names for them")
    return dict(zip(names, table.T, strict=True))


@dataclass(frozen=True)
class ArrayHead:
    """What an array of an archive is: its dtype, its shape, and whether it lies in Fortran's order."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool

    @property
    def nbytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)


def arrays_of(
    source: bytes | BinaryIO, *, limit: int = ARRAYS_LIMIT, without: Collection[str] = ()
) -> dict[str, Array]:
    """The arrays of an .npz archive by name; nothing is ever unpickled.

    limit    bytes of all arrays together, told by the archive and held to while it is unpacked
    without  names of arrays that are left aside

    Raises ValueError where it is not an archive of plain arrays, or one of more.
    """
    with _archive(source) as (archive, members):
        members = {name: member for name, member in members.items() if name not in without}
        if (size := sum(member.file_size for member in members.values())) > limit:
            raise ValueError(f"it unpacks to {megabytes(size)}; at most {megabytes(limit)} are read here")
        return {name: _array(archive, member) for name, member in members.items()}


def array_heads(source: bytes | BinaryIO) -> dict[str, ArrayHead]:
    """What the arrays of an .npz archive are, by name; their numbers are not read. Raises as `arrays_of`."""
    with _archive(source) as (archive, members):
        heads = {}
        for name, member in members.items():
            with _member(archive, member) as file:
                heads[name] = _head(file, member)
        return heads


def array_rows(source: bytes | BinaryIO, name: str, size: int) -> Iterator[Array]:
    """An array of an .npz archive, not in Fortran's order, some rows at a time: about `size` bytes, or one row.

    Raises as `arrays_of`, at the end where the checksum is wrong.
    """
    with _archive(source) as (archive, members), _member(archive, members[name]) as file:
        head = _head(file, members[name])
        row = head.dtype.itemsize * math.prod(head.shape[1:])
        left = head.shape[0]
        while left:
            rows = min(left, max(1, size // max(1, row)))
            data = file.read(rows * row)
            if len(data) < rows * row:
                raise ValueError(_NO_ARCHIVE)
            yield np.frombuffer(data, head.dtype).reshape(rows, *head.shape[1:])
            left -= rows
        file.read(1)  # at the end, the checksum is looked at


def check_values(value: Any, place: str = "", depth: int = 0) -> None:
    """Raise ValueError at what JSON, TOML and Python can spell but nobody downstream can keep.

    That is nesting without end, an integer beyond 64 bits, a number that is not finite, half of a surrogate pair
    in a text, and a date.
    """
    if isinstance(value, Mapping | list | tuple):
        if depth == DEPTH_LIMIT:
            raise ValueError(_TOO_DEEP)
        for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            if isinstance(key, str):
                _check_text(key, f"a key of {brief(place or 'it', 80)}")
            if not isinstance(inner, str) or not inner.isascii():
                check_values(inner, f"{place}.{key}" if place else str(key), depth + 1)
    elif isinstance(value, str):
        _check_text(value, place or "it")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{brief(place or 'it', 80)} is an integer of more than 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{brief(place or 'it', 80)} is {value}, not a finite number")
    elif isinstance(value, date | time):
        raise ValueError(f"{brief(place or 'it', 80)} is a date or a time; write {value} in quotation marks")


def sha256(path: Path, *, limit: int = WEIGHTS_LIMIT, inside: Path | None = None) -> str:
    """The SHA-256 of a regular file's bytes, in hexadecimal."""
    with open_file(path, limit=limit, inside=inside) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file to be written little by little, which is at `path` when it is whole: readers see the old one till then.

    Where what writes it raises, nothing is left of it. Raises OSError that names `path`, also where a device is there.
    """
    _check_place(path)
    remove_leftovers(path.parent, path.name)
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and (error.filename == str(temporary) or _is_full(error)):
            error.filename = str(path)
        raise


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")


def write_bytes(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Put `data` at `path` in one step: readers see the old file or the whole new one, also after a power cut.

    What processes that were killed have left of the same file goes.

    lasting  wait until it is on the disk; what nobody needs after a power cut can do without
    """
    _check_place(path)
    remove_leftovers(path.parent, path.name)
    temporary = _temporary(path)
    for more in range(TRIES - 1, -1, -1):
        try:
            temporary.unlink(missing_ok=True)  # of a process that had our number and was killed
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                if lasting:
                    os.fsync(file.fileno())
            temporary.replace(path)
            return
        except FileNotFoundError as error:
            # A machine on which this process is not to be seen may have taken the temporary file for a leftover.
            if not more or not path.parent.is_dir():
                error.filename = str(path)
                raise
        except BaseException as error:
            with suppress(OSError):  # a disk that became read-only refuses this too
                temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                error.filename = str(path)  # the file that was asked for, not the temporary one
            raise


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files in `folder` whose processes are gone: of all files, or of the one called `name`."""
    with suppress(OSError):  # there may be no such folder, or one that may not be read
        for entry in folder.iterdir():
            found = TEMPORARY.fullmatch(entry.name)
            if found and name in (None, found[1]) and not _is_writing(int(found[2]), int(found[3])):
                with suppress(OSError):
                    entry.unlink()


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, for text in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """As `write_bytes`, for JSON a person can read. NaN and infinity are refused: they are not JSON."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


# Of a named pipe, a device or a terminal, opening does not wait and has no effects; by the system.
_CAREFULLY = sum(getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK"))
_BACKSLASH = "; in single quotes, as in '(.+)_\\d+', a backslash stands for itself"
_TOO_DEEP = f"it has lists or tables within one another, more than {DEPTH_LIMIT} deep"
_MANY_DOTS = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){{{DEPTH_LIMIT}}}")


def _is_writing(process: int, thread: int) -> bool:
    """Whether a process lives, as far as this one can see; of its own threads, whether the thread does."""
    if process == os.getpid():
        return any(one.ident == thread for one in threading.enumerate())
    if sys.platform == "win32":
        return True  # asking would end it
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # somebody else's
    return True


def _is_full(error: OSError) -> bool:
    """Whether a disk took no more of a file, which the system does not name."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _check_place(path: Path) -> None:
    """A device or a named pipe is not to be replaced by a file. Raises UnreadableError."""
    with suppress(FileNotFoundError):
        found = path.stat()
        if not stat.S_ISDIR(found.st_mode):  # which the system refuses by itself
            _regular(path, found)


def _regular(path: str | Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableError(path, f"it is {KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}, not a file")


def _too_large(path: str | Path, has: str, limit: int) -> UnreadableError:
    return UnreadableError(path, f"{has}; at most {megabytes(limit)} are read of such a file")


def _no_number(name: str) -> Any:
    raise ValueError(f"it has {name}, which is not a number in JSON")


def _said(error: ValueError) -> str:
    """What a parser says, but for Python's own words on a number of too many digits."""
    return "it has a number of thousands of digits" if "integer string conversion" in str(error) else str(error)


def _check_text(text: str, place: str) -> None:
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{brief(place, 80)} has half a character, a lone surrogate")


_NO_ARCHIVE = "the archive is truncated, corrupt or holds other objects than arrays"


@contextmanager
def _archive(source: bytes | BinaryIO) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """An .npz archive and its members, by the names of their arrays."""
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            if len(members) < len(archive.infolist()):
                raise ValueError("it has two arrays of one name")
            yield archive, members
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, struct.error):
        raise ValueError(_NO_ARCHIVE) from None  # what they say is advice to a programmer
    except (UnicodeDecodeError, OverflowError, MemoryError):
        raise ValueError(_NO_ARCHIVE) from None


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(_NO_ARCHIVE)
    return archive.open(member)


def _head(file: IO[bytes], member: zipfile.ZipInfo) -> ArrayHead:
    """The head of an array, which must fit what the archive holds; the file stands at the numbers then."""
    plain = ValueError(_NO_ARCHIVE)
    start = file.read(8)
    length = {1: "<H", 2: "<I", 3: "<I"}.get(start[6]) if len(start) == 8 and start[:6] == b"\x93NUMPY" else None
    if length is None:
        raise plain
    (size,) = struct.unpack(length, file.read(struct.calcsize(length)))
    if size > HEADER_LIMIT:
        raise plain
    try:
        head = ast.literal_eval(file.read(size).decode("latin-1" if start[6] < 3 else "utf-8"))
        dtype, shape = np.dtype(head["descr"]), head["shape"]
        fortran = head["fortran_order"]
    except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, AttributeError):
        raise plain from None
    whole = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
    if not whole or type(fortran) is not bool or dtype.hasobject or dtype.shape or dtype.fields is not None:
        raise plain
    before = len(start) + struct.calcsize(length) + size
    count = math.prod(shape)
    if len(shape) > 32 or dtype.itemsize * count != member.file_size - before or (count and not dtype.itemsize):
        raise plain
    return ArrayHead(dtype, shape, fortran)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """One array of an .npz: what its head says must be what the archive holds, before there is memory for it."""
    plain = ValueError(_NO_ARCHIVE)
    with _member(archive, member) as file:
        found = _head(file, member)
        dtype, shape, fortran = found.dtype, found.shape, found.fortran
        array = np.empty(math.prod(shape), dtype)
        view = array.view(np.uint8).data if array.size else memoryview(b"")
        done = 0
        while chunk := file.read(MB):  # to the end, where the checksum is looked at
            view[done : done + len(chunk)] = chunk
            done += len(chunk)
    if done != array.nbytes:
        raise plain
    if dtype.kind == "U" and array.size:
        letters = array.view(dtype.byteorder.replace("|", "=") + "u4")
        if ((letters > 0x10FFFF) | ((letters >= 0xD800) & (letters <= 0xDFFF))).any():
            raise ValueError("it has a string with invalid characters")
    return array.reshape(shape, order="F" if fortran else "C")
