"""Whatever names image files is listed in order, file by file."""

import io
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.data import file_listing, table
from firstlight.data.file_listing import listed_files, survey
from firstlight.errors import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """b.png, deep/er/{1,2}.JPG, deep/none, and what is not an image."""
    monkeypatch.chdir(tmp_path)
    for name in ("new/b.png", "new/deep/er/2.JPG", "new/deep/er/1.JPG", "new/deep/none", "new/z.webp"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    for name in ("new/notes.txt", "new/.hidden.png", "new/Thumbs.db", "new/.folder/a.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "new/gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "new/loop").symlink_to(tmp_path / "new")
    (tmp_path / "new/other.png").symlink_to(tmp_path / "new/b.png")
    return tmp_path / "new"


BELOW = ["b.png", "deep/er/1.JPG", "deep/er/2.JPG", "deep/none", "gone.png", "loop", "notes.txt", "other.png", "z.webp"]


def listed(*named, **options):
    return list(listed_files(named, **options))


def test_a_folder_is_listed_with_all_below_in_order(folder):
    for name in ("new", "new/", "./new", folder):
        files = listed(name)
        base = str(folder) if name is folder else "new"
        assert [file.path for file in files] == [f"{base}/{path}" for path in BELOW]
        assert {Path(file.path).name: file.reason for file in files if file.reason} == {
            "gone.png": "a broken link",
            "loop": "a link to a folder",
            "notes.txt": "its extension, .txt, is not that of a supported image format",
        }
        assert [file.path for file in files if file.is_other] == [f"{base}/notes.txt"]


def test_the_folder_that_one_is_in(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert [file.path for file in listed(".")] == BELOW


def test_patterns_that_the_shell_did_not_expand(folder):
    assert [file.path for file in listed("new/*.png")] == ["new/b.png", "new/gone.png", "new/other.png"]
    assert [file.path for file in listed("new/deep/**/*.JPG")] == ["new/deep/er/1.JPG", "new/deep/er/2.JPG"]
    assert [file.path for file in listed("new/d*")] == [f"new/{path}" for path in BELOW[1:4]], "a folder is gone into"
    (folder / "a[1].png").write_bytes(b"")
    assert [file.path for file in listed("new/a[1].png")] == ["new/a[1].png"], "a file of that name comes first"


def test_a_file_that_is_named_is_listed_whatever_it_is(folder):
    assert [(file.path, file.reason) for file in listed("new/notes.txt", "absent.png", folder / "b.png")] == [
        ("new/notes.txt", ""), ("absent.png", ""), (str(folder / "b.png"), ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("empty", "empty: the folder holds no image"),
        ("new/*.gif", "no image matches the pattern"),
        ("bare.csv", "the first line must name the column path"),
        ("absent.csv", "absent.csv cannot be read: No such file"),
        ("-", "standard input"),
    ],
)
def test_what_names_nothing_is_an_error(folder, named, told):
    (folder.parent / "empty").mkdir()
    (folder.parent / "bare.csv").write_text("a.png\nb.png\n")
    with pytest.raises(DataError, match=told):
        listed(named)
    if named != "-":
        with pytest.raises(DataError, match=told):
            survey([named])


def test_why_a_folder_has_no_image_is_told(folder):
    (folder.parent / "links").mkdir()
    (folder.parent / "links/notes.txt").touch()
    (folder.parent / "links/a.png").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"holds no image\. links/a\.png: a broken link\."):
        survey(["links"])


def test_the_survey_counts_what_is_listed(folder):
    found = survey(["new", "new/b.png"])
    assert (found.files, found.others, found.such_as) == (9, 1, ("new/notes.txt",))
    assert survey(["new", "-"]).files is None


class TestTables:
    def listed(self, folder, text, encoding="utf-8", **options):
        path = folder.parent / "lists" / "list.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding=encoding, newline="")
        return [(file.path, file.label, file.reason) for file in listed(path, **options)]

    def test_paths_are_relative_to_the_table(self, folder):
        root = folder.parent / "lists"
        assert self.listed(folder, "path\n../new/b.png\nc.png\n") == [
            (str(root / "../new/b.png"), "", ""), (str(root / "c.png"), "", ""),
        ]  # fmt: skip

    @pytest.mark.parametrize("text", ["label,File Name\ncat,a.png\n", "sep=;\nclass;image\ncat;a.png\n"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("head", [1_000_000, 30])
    def test_columns_are_found_as_for_training(self, folder, text, encoding, head, monkeypatch):
        monkeypatch.setattr(table, "HEAD", head)
        *head_lines, row = text.splitlines(keepends=True)
        rows = self.listed(folder, "".join(head_lines) + 20 * row, encoding)
        assert [(Path(path).name, label) for path, label, _ in rows] == 20 * [("a.png", "cat")]

    def test_a_label_is_wanted_only_where_classes_are_compared(self, folder):
        assert self.listed(folder, "path\na.png\n")[0][1] == ""
        [row] = self.listed(folder, "path,label\na.png,\n", labelled=True)
        assert row[2] == "the label is empty"
        with pytest.raises(DataError, match="columns path and label"):
            self.listed(folder, "path\na.png\n", labelled=True)

    def test_cells_as_they_come(self, folder):
        (folder.parent / "lists").mkdir()
        (folder.parent / "lists" / "x").mkdir()
        (folder.parent / "lists/x/a.png").write_bytes(b"")
        rows = self.listed(folder, 'path,label\n"a\n""b"".png",x\n\n,cat\nx\\a.png,\n')
        root = f"{folder.parent}/lists"
        assert rows == [
            (f'{root}/a\n"b".png', "x", ""), (f"{root}/list.csv, line 5", "", "the path is empty"),
            (f"{root}/x/a.png", "", ""),
        ]  # fmt: skip

    def test_what_is_no_csv_is_told(self, folder):
        with pytest.raises(DataError, match="not a CSV file in UTF-8"):
            self.listed(folder, 'path,label\na.png,"b\n')
        with pytest.raises(DataError, match="not a CSV file in UTF-8"):
            self.listed(folder, "path\nä.png\n", "latin-1")


letters = st.sampled_from([bytes([k]) for k in range(1, 256) if k not in b"\r\n"])
names = st.lists(letters, min_size=1, max_size=8).map(b"".join).filter(bytes.strip)


@settings(max_examples=50)
@given(st.lists(names, max_size=8), st.sampled_from([b"\n", b"\r\n", b"\0"]), st.booleans(), st.integers(1, 20))
def test_lists_on_standard_input(paths, end, closed, block):
    text = end.join(paths) + (end if closed else b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_listing, "_BLOCK", max(block, len(text) if end == b"\0" else 1))
        found = [os.fsencode(file.path) for file in listed("-", standard_input=io.BytesIO(text))]
    alone = end == b"\0" and len(paths) == 1 and not closed
    assert found == paths or alone


def test_a_list_is_read_as_it_comes():
    """Not to its end before the first path is told: there is none."""

    class Endless(io.BytesIO):
        def __init__(self):
            super().__init__()
            self.lines = (b"%d.png\n" % k for k in itertools.count())

        def read1(self, size=-1):
            return next(self.lines)

    found = listed_files(["-"], standard_input=Endless())
    assert [file.path for file in itertools.islice(found, 3)] == ["0.png", "1.png", "2.png"]
