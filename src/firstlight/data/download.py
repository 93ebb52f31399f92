"""Find the published files on this machine or download them, and verify what was found.

A file is looked for in `FIRSTLIGHT_DATA`/<source>/ and then in the user's cache folder; a download goes into the first
of the two that can be written.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from firstlight.errors import DataError
from firstlight.files import sha256, user_cache, write_bytes
from firstlight.types import SourceFile


@dataclass(frozen=True)
class PublishedFile:
    """A file as its publisher offers it.

    name      its path inside the source's folder
    checksum  "sha256:..." or "md5:..."; empty where none is known, and what is read then is not verified
    urls      the publisher's address and mirrors, tried in order; empty for a member of an archive
    """

    name: str
    checksum: str
    urls: tuple[str, ...] = ()


def obtain(
    source: str,
    files: Sequence[PublishedFile],
    archive: PublishedFile | None = None,
    *,
    unverified: bool = False,
    cache: Path | None = None,
    progress: bool = False,
    keep_archive: bool = False,
) -> list[tuple[Path, SourceFile]]:
    """Return where each of a source's files lies and its record, downloading or unpacking what is missing.

    `archive` is the published file that holds `files`, if they are not published one by one; it goes once they are
    unpacked, unless `keep_archive`, as other sources have theirs in it. `cache` takes the place of `FIRSTLIGHT_DATA`
    and the user's cache folder.

    Raises DataError when a file can be neither found nor downloaded, or when its checksum is not the published one
    and `unverified` is false.
    """
    paths = find(source, files, archive, cache)
    if None in paths:
        folder = _writable(source, cache)
        if archive is None:
            missing = [file for file, path in zip(files, paths, strict=True) if path is None]
            download(source, missing, folder, progress)
        else:
            packed = find(source, [archive], archive, cache)[0]
            if packed is None:
                download(source, [archive], folder, progress)
            unpack(packed or folder / archive.name, files, folder)
            if packed is None and not keep_archive:
                (folder / archive.name).unlink()  # its members are what is read
        paths = find(source, files, archive, cache)
    return [verify(source, file, path, unverified) for file, path in zip(files, paths, strict=True) if path]


def find(
    source: str, files: Sequence[PublishedFile], archive: PublishedFile | None = None, cache: Path | None = None
) -> list[Path | None]:
    """Where each file lies on this machine, or None; what an archive brings may also lie beside the source's folder."""
    places = _places(cache)
    folders = [place / source for place in places] + (places if archive else [])
    return [next((folder / file.name for folder in folders if (folder / file.name).is_file()), None) for file in files]


def verify(source: str, file: PublishedFile, path: Path, unverified: bool) -> tuple[Path, SourceFile]:
    """Compare a file with its published checksum. Raises DataError where it differs and `unverified` is false."""
    digest = sha256(path)
    if not file.checksum:
        return path, SourceFile(file.name, digest, verified=False)
    algorithm, _, expected = file.checksum.partition(":")
    received = digest if algorithm == "sha256" else _md5(path)
    if received != expected and not unverified:
        raise DataError(
            f"{path} is not the published file of {source}: its {algorithm} is {received}, the published one is "
            f"{expected}. Delete it to download it again, or read it as it is with --unverified (unverified=True); "
            "the run will then say so."
        )
    return path, SourceFile(file.name, digest, received == expected)


def download(source: str, files: Sequence[PublishedFile], folder: Path, progress: bool) -> None:
    """Download each file into `folder`, from its first address that gives the published bytes.

    Raises DataError, which says what to put where by hand, when no address of a file does.
    """
    for i, file in enumerate(files):
        failures = ""
        for url in file.urls:
            failure = _retrieve(file, url, folder, progress)
            if not failure:
                break
            failures += f"  {url}: {failure}\n"
        else:
            with suppress(OSError):
                folder.rmdir()  # leave no empty folder behind; one with files in it stays
            raise DataError(
                f"{source}: {file.name} could not be downloaded.\n{failures}"
                "On a machine without network, set FIRSTLIGHT_DATA to a folder that holds\n"
                + "\n".join(f"  {source}/{missing.name}" for missing in files[i:])
            )


def _retrieve(file: PublishedFile, url: str, folder: Path, progress: bool) -> str:
    """Download one file from one address; return why not, or nothing."""
    import pooch  # slow to import

    pooch.get_logger().setLevel("ERROR")  # it would print each address and where the file goes
    try:
        downloader = pooch.HTTPDownloader(progressbar=progress, timeout=30)
        pooch.retrieve(url, file.checksum or None, fname=file.name, path=folder, downloader=downloader)
    except (OSError, ValueError) as error:
        if "hash" in str(error):
            return "the downloaded file is not the published one (its checksum differs)"
        if type(error).__name__ == "HTTPError":
            return str(error).split(" for url")[0]
        return getattr(error, "strerror", None) or type(error).__name__
    return ""


def unpack(archive: Path, files: Sequence[PublishedFile], folder: Path) -> None:
    """Write the members `files` of a tar or zip archive below `folder`.

    Raises DataError when it is damaged or lacks one.
    """
    try:
        with _opened(archive) as members:
            for file in files:
                (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
                write_bytes(folder / file.name, members(file.name))
    except KeyError as error:
        raise DataError(f"{archive}: the archive lacks a file: {error.args[0]}.") from error
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, zlib.error) as error:
        if isinstance(error, OSError) and error.filename is not None and Path(error.filename) != archive:
            raise  # it is the disk
        raise DataError(f"{archive}: the archive is truncated or damaged ({error}). Download it again.") from error


@contextmanager
def _opened(archive: Path) -> Iterator[Callable[[str], bytes]]:
    """What reads a member of an archive by its name; KeyError where there is none."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            yield zipped.read
        return
    with tarfile.open(archive) as tar:

        def member(name: str) -> bytes:
            file = tar.extractfile(name)
            if file is None:
                raise DataError(f"{archive}: {name} is not a plain file.")
            return file.read()

        yield member


def _places(cache: Path | None) -> list[Path]:
    """The folders that may hold sources."""
    if cache:
        return [cache]
    own = os.environ.get("FIRSTLIGHT_DATA")
    return [*([Path(own).expanduser()] if own else []), user_cache()]


def _writable(source: str, cache: Path | None) -> Path:
    places = _places(cache)
    for place in places:
        folder = place / source
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    raise DataError(
        f"{source}: its files are not on this machine, and no folder for them can be written: "
        f"{', '.join(map(str, places))}. Set FIRSTLIGHT_DATA to one that can."
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
