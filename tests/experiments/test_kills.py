"""A run whose process, disk or folder goes at the wrong instant: nothing is lost, and the same bits come of it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.experiments import small_runs
from tests.experiments.small_runs import QUIET

from firstlight import experiments, locks, report
from firstlight.console import TrainingProgress
from firstlight.errors import FolderGoneError, RunError
from firstlight.experiments import train
from firstlight.locks import LOCK, is_locked
from firstlight.records import run_folder
from firstlight.records.locked_folder import LockedFolder, locked_folder
from firstlight.records.run_folder import RunFolder

TABLES: dict[str, Any] = {
    "data": {"source": "digits", "limit": 200},
    "model": {"name": "mlp-128", "units": [16]},
    "training": {"epochs": 3, "cost_every": 3},
}
experiment, do = partial(small_runs.experiment, TABLES), partial(small_runs.do, TABLES)
PLAN = (run_folder.EXPERIMENT, run_folder.ENVIRONMENT, run_folder.DATA, run_folder.MODEL)
NOBODY = 2**22 + 1  # no process of Linux has this number


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return do(tmp_path_factory.mktemp("runs") / "run")


def leftover(folder: Path, name: str) -> Path:
    """A temporary file of a process that was killed as it wrote `name`."""
    path = folder / f".{name}.{NOBODY}.1.tmp"
    path.write_text("half a fi")
    return path


def cut(run: RunFolder, copy: Path, *kept: str) -> Path:
    """A copy of the run with some of its files alone."""
    copy.mkdir()
    for name in kept:
        if (run.path / name).is_dir():
            shutil.copytree(run.path / name, copy / name)
        else:
            shutil.copy(run.path / name, copy / name)
    return copy


def assert_the_same(one: RunFolder, other: RunFolder) -> None:
    for name in (run_folder.EXPERIMENT, run_folder.DATA, run_folder.MODEL, run_folder.WEIGHTS, run_folder.COSTS):
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name
    assert one.result.test == other.result.test
    assert not list(other.path.rglob(".*.tmp"))


@pytest.mark.parametrize("written", range(1, 5))
def test_killed_while_its_plan_was_written_it_goes_on(tmp_path: Path, run: RunFolder, written: int) -> None:
    copy = cut(run, tmp_path / "a", *PLAN[:written])
    leftover(copy, [*PLAN, run_folder.HISTORY][written])
    assert_the_same(run, experiments.resume(copy, QUIET))


def test_a_folder_with_nothing_but_what_a_killed_process_left_is_taken(tmp_path: Path, run: RunFolder) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / LOCK).touch()
    leftover(tmp_path / "a", run_folder.EXPERIMENT)
    assert_the_same(run, do(tmp_path / "a"))


@pytest.mark.parametrize("name", [".hidden", ".notes.12.34", "x"])
def test_a_folder_with_anything_else_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).touch()
    with pytest.raises(RunError, match="exists already"):
        do(tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == [name]


def test_killed_after_the_last_checkpoint_it_has_all_its_costs(tmp_path: Path, run: RunFolder) -> None:
    copy = cut(run, tmp_path / "a", *PLAN, run_folder.CHECKPOINTS, run_folder.COSTS)
    rows = (copy / run_folder.COSTS).read_text().splitlines(keepends=True)
    (copy / run_folder.COSTS).write_text("".join(rows[:-3]))
    leftover(copy, run_folder.COSTS)
    assert_the_same(run, experiments.resume(copy, QUIET))


class After(TrainingProgress):
    """Does something after an epoch."""

    def __init__(self, epoch: int, action: Any) -> None:
        super().__init__(Console(quiet=True))
        self.epoch, self.action = epoch, action

    def epoch_done(self, row: dict[str, float], best: bool) -> None:
        if row["epoch"] == self.epoch:
            self.action()


def test_a_folder_deleted_while_it_trains_stays_deleted(tmp_path: Path) -> None:
    out = tmp_path / "a"
    with pytest.raises(FolderGoneError, match="is gone"):
        experiments.start(experiments.set_up(experiment()), out, After(1, lambda: shutil.rmtree(out)))
    assert not out.exists()


def test_a_folder_moved_while_it_trains_goes_on_where_it_is(tmp_path: Path, run: RunFolder) -> None:
    out, there = tmp_path / "a", tmp_path / "b"
    setup = experiments.set_up(experiment())
    with pytest.raises(FolderGoneError, match="firstlight resume NEW_PLACE"):
        experiments.start(setup, out, After(2, lambda: out.rename(there)))
    assert not out.exists()
    assert_the_same(run, experiments.resume(there, QUIET))


def test_a_folder_that_another_run_has_taken_is_left_alone(tmp_path: Path, run: RunFolder) -> None:
    out = tmp_path / "a"

    def replaced() -> None:
        shutil.rmtree(out)
        shutil.copytree(run.path, out)

    with pytest.raises(FolderGoneError, match="replaced"):
        experiments.start(experiments.set_up(experiment(seed=1)), out, After(1, replaced))
    assert_the_same(run, RunFolder.open(out))


def test_a_run_that_ends_before_its_folder_is_held_is_complete(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that continue with a run, the second finds it complete, not as it was when it first looked."""
    copy = cut(run, tmp_path / "a", *(path.name for path in run.path.iterdir() if path.name != run_folder.RESULT))
    held = locked_folder

    @contextmanager
    def late(*arguments: Any) -> Iterator[LockedFolder]:
        shutil.copy(run.path / run_folder.RESULT, copy / run_folder.RESULT)
        with held(*arguments) as claim:
            yield claim

    monkeypatch.setattr(train, "locked_folder", late)
    with pytest.raises(RunError, match="nothing to resume"):
        experiments.resume(copy, QUIET)
    assert (copy / run_folder.RESULT).read_bytes() == (run.path / run_folder.RESULT).read_bytes()


class Noted(TrainingProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.skipif(sys.platform == "win32", reason="has no locks of this kind")
@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EINVAL", "EIO"])
def test_without_locks_it_works_and_says_what_is_not_protected(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def none(*arguments: Any) -> None:
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr("fcntl.flock", none)
    copy = cut(run, tmp_path / "a", *PLAN, run_folder.CHECKPOINTS)
    told = Noted()
    assert_the_same(run, experiments.resume(copy, told))
    assert len([note for note in told.notes if "has no locks" in note]) == 1
    assert not is_locked(copy)


def test_a_run_that_was_killed_before_it_had_saved_anything_begins_again(tmp_path: Path) -> None:
    with locked_folder(tmp_path), pytest.raises(RunError, match=r"is not a run folder: it has no experiment\.toml\.$"):
        RunFolder.open(tmp_path)  # it has only begun
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    with pytest.raises(RunError, match="ended before it had saved anything: start it again"):
        experiments.resume(tmp_path, QUIET)
    assert do(tmp_path).finished


def test_where_it_went_on_is_added_to_where_it_began(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = cut(run, tmp_path / "a", *PLAN, run_folder.CHECKPOINTS)
    shutil.rmtree(copy / run_folder.CHECKPOINTS / "epoch-00003")
    record = json.loads((copy / run_folder.ENVIRONMENT).read_text())
    (copy / run_folder.ENVIRONMENT).write_text(json.dumps(record | {"threads": record["threads"] + 7}))
    told = Noted()
    found = experiments.resume(copy, told).environment
    assert found.threads == record["threads"] + 7
    assert [(one.after_epoch, one.threads) for one in found.resumed] == [(2, record["threads"])]
    [note] = [note for note in told.notes if "last digits" in note]
    assert f"threads {record['threads']} instead of {record['threads'] + 7}" in note
    [told_later] = found.continuations()
    assert told_later == f"after epoch 2, with threads {record['threads']} instead of {record['threads'] + 7}"
    assert told_later in report.write(RunFolder(copy)).read_text()
    (copy / run_folder.RESULT).unlink()
    again = Noted()
    assert experiments.resume(copy, again).environment.continuations() == [told_later, "after epoch 3"]
    assert not [note for note in again.notes if "last digits" in note], "it went on as it was last"


def test_a_thread_of_ours_that_writes_is_no_leftover(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    mine = tmp_path / "a" / f".x.{os.getpid()}.{threading.get_ident()}.tmp"
    gone = [leftover(tmp_path / "a", "y"), tmp_path / "a" / f".x.{os.getpid()}.1.tmp"]
    for path in (mine, *gone):
        path.touch()
    with locked_folder(tmp_path / "a"):
        assert mine.exists()
        assert not any(path.exists() for path in gone)


@pytest.mark.parametrize("name", [run_folder.RESULT, run_folder.WEIGHTS])
def test_what_is_in_the_way_is_named(tmp_path: Path, run: RunFolder, name: str) -> None:
    copy = cut(run, tmp_path / "a", *PLAN, run_folder.CHECKPOINTS)
    (copy / name).mkdir()
    with pytest.raises(RunError) as told:
        experiments.resume(copy, QUIET)
    assert str(told.value).startswith(f"{copy / name} cannot be written")
    assert str(told.value).endswith(f"Fix that, then resume it: firstlight resume {copy}")
    (copy / name).rmdir()
    assert_the_same(run, experiments.resume(copy, QUIET))


def test_a_run_on_a_read_only_disk_is_told_with_what_cannot_be_written(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = cut(run, tmp_path / "a", *PLAN, run_folder.CHECKPOINTS)

    def refused(path: Path, **more: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(locks, "open_lock", refused)
    for attempt, place in (
        (lambda: experiments.resume(copy, QUIET), copy),
        (lambda: do(tmp_path / "b"), tmp_path / "b"),
    ):
        with pytest.raises(RunError, match="Read-only file system") as told:
            attempt()
        assert str(told.value).startswith(str(place))
