import hashlib
import os
from pathlib import Path

import pytest
from tests.data.making import published, tarred

from firstlight.data.download import PublishedFile, find, obtain
from firstlight.errors import DataError

DATA = b"the published bytes"


def put(path, data=DATA):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_file_at_hand_is_verified(tmp_path, algorithm):
    path = put(tmp_path / "set" / "a.gz")
    [(found, record)] = obtain("set", [published("a.gz", DATA, algorithm=algorithm)], cache=tmp_path)
    assert found == path
    assert record.name == "a.gz"
    assert record.sha256 == hashlib.sha256(DATA).hexdigest()
    assert record.verified


def test_another_checksum_is_refused_unless_asked_for(tmp_path):
    path = put(tmp_path / "set" / "a.gz", b"other bytes")
    file = published("a.gz", DATA)
    with pytest.raises(DataError) as error:
        obtain("set", [file], cache=tmp_path)
    for part in (str(path), file.checksum.split(":")[1], hashlib.sha256(b"other bytes").hexdigest(), "--unverified"):
        assert part in str(error.value)
    [(_, record)] = obtain("set", [file], cache=tmp_path, unverified=True)
    assert not record.verified
    assert record.sha256 == hashlib.sha256(b"other bytes").hexdigest()


def test_firstlight_data_comes_before_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    cached = put(tmp_path / "home" / "firstlight" / "set" / "a.gz")
    assert find("set", [published("a.gz", DATA)]) == [cached]
    mine = put(tmp_path / "mine" / "set" / "a.gz")
    assert find("set", [published("a.gz", DATA)]) == [mine]
    assert find("set", [published("b.gz", DATA)]) == [None]


def test_download(server, no_data, tmp_path):
    folder, address = server
    put(folder / "a.gz")
    [(path, record)] = obtain("set", [published("a.gz", DATA, [address + "a.gz"])])
    assert path == tmp_path / "cache-home" / "firstlight" / "set" / "a.gz"
    assert path.read_bytes() == DATA
    assert record.verified


def test_download_shows_progress_and_is_not_repeated(server, tmp_path, capsys):
    folder, address = server
    served = put(folder / "a.gz")
    file = published("a.gz", DATA, [address + "a.gz"])
    obtain("set", [file], cache=tmp_path / "c", progress=True)
    assert "100%" in capsys.readouterr().err
    served.unlink()
    obtain("set", [file], cache=tmp_path / "c")


def test_the_next_mirror_is_tried(server, tmp_path):
    folder, address = server
    put(folder / "altered.gz", b"other bytes")
    put(folder / "a.gz")
    urls = ["http://127.0.0.1:9/a.gz", address + "missing.gz", address + "altered.gz", address + "a.gz"]
    [(path, _)] = obtain("set", [published("a.gz", DATA, urls, "md5")], cache=tmp_path / "c")
    assert path.read_bytes() == DATA
    assert list(path.parent.iterdir()) == [path]


def test_no_mirror_answers(server, tmp_path):
    folder, address = server
    put(folder / "altered.gz", b"other bytes")
    urls = ["http://127.0.0.1:9/a.gz", address + "missing.gz", address + "altered.gz"]
    with pytest.raises(DataError) as error:
        obtain("set", [published("a.gz", DATA, urls), published("b.gz", DATA, urls)], cache=tmp_path / "c")
    lines = str(error.value).splitlines()
    assert lines[0] == "set: a.gz could not be downloaded."
    assert lines[1] == "  http://127.0.0.1:9/a.gz: ConnectionError"
    assert lines[2].endswith("missing.gz: 404 Client Error: File not found")
    assert lines[3].endswith("altered.gz: the downloaded file is not the published one (its checksum differs)")
    assert lines[4] == "On a machine without network, set FIRSTLIGHT_DATA to a folder that holds"
    assert lines[5:] == ["  set/a.gz", "  set/b.gz"]
    assert not (tmp_path / "c" / "set").exists()


def archive_of(members, urls=()):
    data = tarred(members)
    return data, PublishedFile("set.tar.gz", f"md5:{hashlib.md5(data).hexdigest()}", tuple(urls))


def test_archive_is_downloaded_unpacked_and_removed(server, tmp_path):
    folder, address = server
    data, archive = archive_of({"bin/a": DATA, "bin/readme": b""}, [address + "set.tar.gz"])
    put(folder / "set.tar.gz", data)
    [(path, record)] = obtain("set", [published("bin/a", DATA)], archive, cache=tmp_path / "c")
    assert path == tmp_path / "c" / "set" / "bin" / "a"
    assert record.verified
    assert list((tmp_path / "c" / "set").iterdir()) == [path.parent]


@pytest.mark.parametrize("place", ["set/bin/a", "bin/a"])
def test_members_at_hand_need_no_archive(tmp_path, place):
    path = put(tmp_path / place)
    _, archive = archive_of({})
    assert obtain("set", [published("bin/a", DATA)], archive, cache=tmp_path)[0][0] == path


@pytest.mark.parametrize("place", ["set/set.tar.gz", "set.tar.gz"])
def test_archive_at_hand_is_kept(tmp_path, place):
    data, archive = archive_of({"bin/a": DATA})
    path = put(tmp_path / place, data)
    obtain("set", [published("bin/a", DATA)], archive, cache=tmp_path)
    assert path.exists()


def test_archive_in_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    data, archive = archive_of({"bin/a": DATA})
    put(tmp_path / "mine" / "set.tar.gz", data)
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "access", lambda path, mode: "mine" not in Path(path).parts)  # the superuser may all
    [(path, _)] = obtain("set", [published("bin/a", DATA)], archive)
    assert path == tmp_path / "home" / "firstlight" / "set" / "bin" / "a"


def test_archive_that_is_damaged(tmp_path):
    data, archive = archive_of({"bin/a": os.urandom(4000)})
    path = put(tmp_path / "set" / "set.tar.gz", data[:1500])
    with pytest.raises(DataError, match=r"set\.tar\.gz: the archive is truncated or damaged"):
        obtain("set", [published("bin/a", DATA)], archive, cache=tmp_path)
    path.write_bytes(tarred({"bin/b": DATA}))
    with pytest.raises(DataError, match=r"set\.tar\.gz: the archive lacks a file: .*bin/a"):
        obtain("set", [published("bin/a", DATA)], archive, cache=tmp_path)
    assert not list(tmp_path.rglob("bin/*"))


def test_archive_whose_member_is_altered(tmp_path):
    data, archive = archive_of({"bin/a": b"other bytes"})
    put(tmp_path / "set" / "set.tar.gz", data)
    with pytest.raises(DataError, match="is not the published file of set"):
        obtain("set", [published("bin/a", DATA)], archive, cache=tmp_path)


def test_no_folder_can_be_written(tmp_path):
    blocked = put(tmp_path / "a file, not a folder")
    with pytest.raises(DataError, match=r"no folder for them can be written: .*a file, not a folder"):
        obtain("set", [published("a.gz", DATA)], cache=blocked)
