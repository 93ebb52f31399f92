"""The gate: what does not agree with the engine is not written, and what cannot be run says so."""

from __future__ import annotations

import errno
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tests.export.exporting import engine_probabilities, exportable_of, images, task_of, weights_of

from firstlight.errors import ExportError, NoRuntimeError, ReportWarning, RunError
from firstlight.export import Expected, Exportable, Format, export
from firstlight.export.gate import largest_difference
from firstlight.layers import Chain, Dense, Flatten
from firstlight.models import Model
from firstlight.records import exports
from firstlight.records.record_files import write_record
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array


@dataclass(frozen=True)
class Table(Format):
    """Probabilities as a table: a format that is easy to spoil.

    wrong  what is added to the first probability of image 2, and taken from the second
    """

    wrong: Any = 0.0  # a number, also one that is not finite
    at_hand: bool = True

    name: ClassVar[str] = "table"
    title: ClassVar[str] = "table"
    about: ClassVar[str] = "a table"
    suffix: ClassVar[str] = ".json"

    def write(self, model: Exportable, claim: str) -> dict[str, bytes]:
        return {"net.json": json.dumps({"claim": claim, "wrong": self.wrong}).encode()}

    def runtime(self) -> str:
        if not self.at_hand:
            raise NoRuntimeError("nothing reads tables here. Install a reader.")
        return "Reader 1.0"

    def run(self, model: Exportable, folder: Path, pixels: Array) -> Array:
        found = engine_probabilities(model.task, weights_of(model.task.model), pixels)
        found[2] += np.array([1, -1, 0]) * json.loads((folder / "net.json").read_bytes())["wrong"]
        return found


@dataclass(frozen=True)
class Folder(Table):
    name: ClassVar[str] = "folder"
    suffix: ClassVar[str] = ""

    def write(self, model: Exportable, claim: str) -> dict[str, bytes]:
        return {**super().write(model, claim), "about.txt": claim.encode()}


@pytest.fixture
def leaving() -> tuple[Exportable, Expected]:
    model = Model("net", Chain((Flatten(), Dense(3))), (2, 2, 1), 3)
    task, vector = task_of(model), weights_of(model)
    test = images(model.input_shape, 5, seed=7)
    return exportable_of(task, vector), Expected(test, engine_probabilities(task, vector, test.pixels))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def test_what_agrees_is_written_and_recorded(folder: RunFolder, leaving: tuple[Exportable, Expected]) -> None:
    model, expected = leaving
    record = export(folder, model, Table(wrong=5e-5), None, expected)
    written = json.loads((folder.path / "export" / "net.json").read_bytes())
    assert "5 test images" in written["claim"]
    assert written["claim"].startswith("Verified: Reader 1.0")
    assert record.verified
    assert record.largest_difference == pytest.approx(5e-5, rel=0.01)
    assert (record.path, record.images, record.options) == ("export/net.json", 5, {"wrong": 5e-5})
    assert exports.read(folder) == (record,)
    again = export(folder, model, Table(), None, expected)
    assert exports.read(folder) == (again,)


@pytest.mark.parametrize("wrong", [2e-4, 0.9, float("nan")])
def test_what_differs_is_not_written(wrong: float, folder: RunFolder, leaving: tuple[Exportable, Expected]) -> None:
    model, expected = leaving
    with pytest.raises(ExportError, match=r"of 5 test images 1 differ.*The first is 2, by"):
        export(folder, model, Table(wrong=wrong), None, expected)
    assert not (folder.path / "export").exists()
    assert exports.read(folder) == ()


def test_another_class_is_refused_however_near(folder: RunFolder, leaving: tuple[Exportable, Expected]) -> None:
    _, expected = leaving
    equal = expected.probabilities.copy()
    equal[2] = [0.4 + 4e-6, 0.4 - 4e-6, 0.2]
    found = equal.copy()
    found[2] = equal[2, [1, 0, 2]]
    with pytest.raises(ExportError, match="1 differ, 1 of them in their class"):
        largest_difference("table", Expected(expected.images, equal), found)


def test_what_cannot_be_run_says_so(folder: RunFolder, leaving: tuple[Exportable, Expected]) -> None:
    model, expected = leaving
    record = export(folder, model, Table(at_hand=False), None, expected)
    assert not record.verified
    assert "Install a reader" in record.not_verified
    written = json.loads((folder.path / "export" / "net.json").read_bytes())
    assert written["claim"] == f"Not verified: {record.not_verified}"
    record = export(folder, model, Table(), folder.path / "other.json", "the images are gone.")
    assert (record.verified, record.path) == (False, "other.json")


def test_a_folder_of_others_is_not_touched(folder: RunFolder, leaving: tuple[Exportable, Expected]) -> None:
    model, expected = leaving
    mine = folder.path.parent / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("keep")
    with pytest.raises(ExportError, match="holds other files"):
        export(folder, model, Folder(), mine, expected)
    with pytest.raises(ExportError, match="is a file"):
        export(folder, model, Folder(), mine / "letter.txt", expected)
    record = export(folder, model, Folder(), folder.path.parent / "new", expected)
    assert record.path == str(folder.path.parent / "new")
    export(folder, model, Folder(), folder.path.parent / "new", expected)
    assert [path.name for path in mine.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("stopped_at", [1, 2, 3])
def test_an_export_that_was_stopped_is_written_by_the_next(
    stopped_at: int,
    folder: RunFolder,
    leaving: tuple[Exportable, Expected],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Whichever file was to get its name next: the record, or one of two."""
    model, expected = leaving
    replace_file, names = Path.replace, []

    def stop(self: Path, target: Path) -> Path:
        names.append(target.name)
        if len(names) == stopped_at:
            raise KeyboardInterrupt
        return replace_file(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            export(folder, model, Folder(), tmp_path / "out", expected)
    record = export(folder, model, Folder(), tmp_path / "out", expected)
    assert exports.read(folder) == (record,)
    assert exports.state(folder, record) == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["about.txt", "net.json"]


def test_what_a_full_disk_does_not_take_is_not_recorded(
    folder: RunFolder, leaving: tuple[Exportable, Expected], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        """Takes a few bytes, which are in memory, and no more."""

        def flush(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("firstlight.export.gate.writing", lambda path: nullcontext(Full()))
    with pytest.raises(OSError, match="No space left"):
        export(folder, leaving[0], Table(), None, leaving[1])
    assert exports.recorded(folder) == ()


def test_a_name_that_no_record_can_hold_is_refused_before_anything_is_written(
    folder: RunFolder, leaving: tuple[Exportable, Expected]
) -> None:
    place = folder.path.parent / os.fsdecode(b"caf\xe9")
    with pytest.raises(ExportError, match=r"caf\\xe9: the name is not in UTF-8"):
        export(folder, leaving[0], Folder(), place, leaving[1])
    assert not place.exists()


def test_an_export_may_carry_samples_of_every_class(
    folder: RunFolder, leaving: tuple[Exportable, Expected], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, expected = leaving
    given: list[Exportable] = []
    monkeypatch.setattr(Table, "write", lambda self, model, claim: given.append(model) or {"net.json": b'{"wrong": 0}'})
    export(folder, model, Table(), None, expected)
    samples = given[0].samples
    assert samples is not None
    assert len(samples.images) == 5
    assert set(samples.probabilities.argmax(axis=1)) == set(expected.probabilities.argmax(axis=1))


def test_samples_take_turns_among_the_classes() -> None:
    classes = np.array([1, 1, 1, 0, 2, 1, 0, 1])
    some = Expected(images((2, 2, 1), 8), np.eye(3, dtype=np.float32)[classes]).samples(6)
    assert some.images.ids.tolist() == ["3", "0", "4", "6", "1", "2"]
    assert some.probabilities.argmax(axis=1).tolist() == [0, 1, 2, 0, 1, 1]


def test_the_record_of_a_run_is_not_replaced(folder: RunFolder, leaving: tuple[Exportable, Expected]) -> None:
    model, expected = leaving
    (folder.path / "experiment.toml").write_text("")
    for name in ("experiment.toml", "result.json", "weights.safetensors"):
        with pytest.raises(RunError, match="part of the record of a run"):
            export(folder, model, Table(), folder.path / name, expected)
    with pytest.raises(ExportError, match="is not a folder"):
        export(folder, model, Table(), folder.path / "experiment.toml" / "net.json", expected)
    assert [path.name for path in folder.path.iterdir()] == ["experiment.toml"]


def test_a_damaged_record_is_told_before_anything_is_written(
    folder: RunFolder, leaving: tuple[Exportable, Expected]
) -> None:
    (folder.path / exports.EXPORTS).write_text("{")
    with pytest.raises(RunError, match="damaged"):
        export(folder, leaving[0], Table(), None, leaving[1])
    assert not (folder.path / exports.FOLDER).exists()


def test_an_export_of_a_run_that_cannot_be_written_is_kept(
    folder: RunFolder, leaving: tuple[Exportable, Expected], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(exports, "write_record", refuse)
    out = folder.path.parent / "mine.json"
    with pytest.warns(ReportWarning, match="but not recorded, as .* Read-only file system"):
        assert export(folder, leaving[0], Table(), out, leaving[1]).verified
    assert out.is_file()


def test_exports_at_once_are_all_recorded(folder: RunFolder, leaving: tuple[Exportable, Expected]) -> None:
    model, expected = leaving
    names = [f"{number}.json" for number in range(8)]
    with ThreadPoolExecutor(4) as threads:
        [*threads.map(lambda name: export(folder, model, Table(), folder.path / name, expected), names)]
    assert sorted(one.path for one in exports.read(folder)) == names


def test_an_export_of_earlier_weights_is_replaced(folder: RunFolder, leaving: tuple[Exportable, Expected]) -> None:
    model, expected = leaving
    export(folder, model, Folder(), None, expected)
    [first] = exports.read(folder)
    write_record(folder.path, exports.EXPORTS, exports.Exports(exports=(replace(first, weights="1" * 64),)))
    assert exports.read(folder) == ()
    export(folder, model, Folder(), None, expected)
    assert [one.path for one in exports.read(folder)] == [first.path]


def test_what_nothing_ran_is_not_verified(folder: RunFolder, leaving: tuple[Exportable, Expected]) -> None:
    record = export(folder, leaving[0], Table(), None, leaving[1])
    assert record.verified
    assert not replace(record, runtime="").verified
    with pytest.warns(DeprecationWarning, match="now called"):
        assert record.proved
