"""A search from its file to its folder: every sampler and pruner, interrupted, killed, shared and mistaken."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.holders import holder

from firstlight import data, experiments
from firstlight.console import SearchProgress
from firstlight.data import Findings
from firstlight.errors import ExperimentError, ModelError, RunError
from firstlight.experiments import Search
from firstlight.parallel.searches import tune
from firstlight.progress import Watcher
from firstlight.records.search_folder import TrialRecord, TuneFolder
from firstlight.types import Images

SPACE: dict[str, Any] = {"lr": {"log": [1e-4, 1.0]}, "model.units": [4, 16, [16, 8]]}


def tables(space: Mapping[str, Any] = SPACE, **changes: Any) -> dict[str, Any]:
    """A small search over nets on 150 digits; `tune__trials=3` sets a key of it."""
    given: dict[str, Any] = {
        "data": {"source": "digits", "limit": 150},
        "model": {"name": "mlp-128"},
        "training": {"epochs": 2},
        "tune": {"sampler": "random", "trials": 4},
        "space": dict(space),
    }
    for key, value in changes.items():
        experiments.put(given, key.replace("__", "."), value)
    return given


def do(out: Path, workers: int = 1, watcher: SearchProgress | None = None, **changes: Any) -> TuneFolder:
    search = Search.of(tables(**changes))
    return tune(search, out, workers=workers, watcher=watcher or SearchProgress(Console(quiet=True)))


def essence(folder: TuneFolder) -> list[tuple[Any, ...]]:
    """What must not depend on how often a search was interrupted."""
    return [(t.number, t.state, dict(t.values), t.value, t.epochs, t.best) for t in folder.result.trials]


def test_the_folder_holds_everything_and_the_best_file_gives_the_recorded_value(tmp_path: Path) -> None:
    folder = do(tmp_path / "a")
    assert {path.name for path in folder.path.iterdir()} == {
        *("tune.toml", "search.db", "trials", "trials.csv", "best.toml", "result.json", ".lock")
    }
    tuned = folder.result
    assert (tuned.status, tuned.monitor, tuned.maximise) == ("complete", "val_accuracy", True)
    assert [trial.number for trial in tuned.trials] == [1, 2, 3, 4]
    assert tuned.best.value == max(trial.value for trial in tuned.trials if trial.value is not None)
    assert {path.name for path in (folder.path / "trials" / "0001").iterdir()} == {
        *("experiment.toml", "history.csv", ".lock")
    }
    with (folder.path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_accuracy"]) for row in rows] == [trial.value for trial in tuned.trials]
    assert "--seed 1" in folder.best_text

    experiment = experiments.Experiment.of(folder.best.tables)
    run = experiments.start(experiments.set_up(experiment), tmp_path / "run", Watcher())
    assert run.result.validation is not None
    assert run.result.validation.accuracy == pytest.approx(tuned.best.value)
    assert run.history["val_accuracy"].max() == tuned.best.value


def test_no_trial_has_the_test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    before = data.check

    def check(splits: Mapping[str, Images], *others: Any) -> Findings:
        seen.append(set(splits))
        return before(splits, *others)

    monkeypatch.setattr("firstlight.experiments.setup.check_images", check)
    do(tmp_path / "a", tune__trials=2)
    assert seen == [{"train", "validation"}] * 3  # the rehearsal and two trials


def test_random_draws_differ_by_trial_and_not_by_the_hour(tmp_path: Path) -> None:
    one, same, other = (do(tmp_path / name, tune__seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    rates = [trial.values["optimizer.lr"] for trial in one.result.trials]
    assert len(set(rates)) == 4
    assert essence(same) == essence(one)
    assert essence(other) != essence(one)


def test_a_grid_takes_each_point_once_and_more_trials_go_on(tmp_path: Path) -> None:
    space = {"lr": {"log": [0.001, 0.1], "points": 3}, "model.units": [4, [8, 4]]}
    changes: dict[str, Any] = {"space": space, "tune__sampler": "grid"}
    first = do(tmp_path / "a", **changes, tune__trials=2)
    assert len(first.result.trials) == 2
    whole = do(tmp_path / "a", **changes, tune__trials=100)
    points = [(trial.values["optimizer.lr"], str(trial.values["model.units"])) for trial in whole.result.trials]
    assert sorted(points) == sorted((lr, units) for lr in (0.001, 0.01, 0.1) for units in ("4", "[8, 4]"))
    assert essence(whole)[:2] == essence(first)
    fewer = do(tmp_path / "a", **changes, tune__trials=1)  # what is done stays done
    assert essence(fewer) == essence(whole)
    assert fewer.best == whole.best


@pytest.mark.slow
def test_tpe_learns_where_it_is_good(tmp_path: Path) -> None:
    folder = do(tmp_path / "a", tune__sampler="tpe", tune__trials=24, space={"lr": {"log": [1e-6, 1e-1]}})
    values = [trial.value or 0.0 for trial in folder.result.trials]
    assert sum(values[12:]) > sum(values[:10]) * 1.2
    assert folder.result.importance == {"optimizer.lr": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["halving", "hyperband"])
def test_pruners_stop_trials_early_that_are_not_among_the_best(tmp_path: Path, pruner: str) -> None:
    folder = do(tmp_path / "a", tune__pruner=pruner, tune__trials=12, training__epochs=6)
    tuned = folder.result
    stopped = tuned.ended("pruned")
    assert stopped
    assert tuned.complete
    assert all(trial.epochs in (1, 3) for trial in stopped)
    assert all(trial.epochs == 6 for trial in tuned.complete)
    assert tuned.best not in stopped


def test_a_loss_is_made_small(tmp_path: Path) -> None:
    tuned = do(tmp_path / "a", tune__monitor="val_loss").result
    assert not tuned.maximise
    assert tuned.best.value == min(trial.value for trial in tuned.trials if trial.value is not None)


KILLED = """
import sys
from pathlib import Path
from rich.console import Console
from firstlight.console import SearchProgress
from firstlight.experiments import read_search
from firstlight.parallel.searches import tune
tune(read_search(Path(sys.argv[1])), Path(sys.argv[2]), workers=int(sys.argv[3]), watcher=SearchProgress(Console()))
"""


def start(file: Path, out: Path, workers: int = 1) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, str(file), str(out), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_in_the_middle_of_trials_it_gives_the_same_trials(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "data": {"source": "digits", "limit": 800},
        "training__epochs": 5,
        "training__batch_size": 8,
        "tune__sampler": "tpe",
        "tune__trials": 13,
        "tune__pruner": "halving",
    }
    file = tmp_path / "t.toml"
    file.write_text(Search.of(tables(**changes)).to_toml())
    whole = do(tmp_path / "whole", **changes)
    assert whole.result.ended("pruned")

    for number in (3, 12):  # 12 is drawn by what TPE has learnt
        process = start(file, tmp_path / "cut")
        wait_for(tmp_path / "cut" / "trials" / f"{number:04d}" / "experiment.toml", process)
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (tmp_path / "cut" / "result.json").exists()
    cut = do(tmp_path / "cut", **changes)
    assert essence(cut) == essence(whole)
    assert cut.result.importance == whole.result.importance
    again = [trial.number for trial in cut.result.trials if trial.attempts > 1]
    assert again
    assert set(again) <= {3, 4, 12, 13}


@pytest.mark.slow
def test_two_workers_do_each_point_of_a_grid_once(tmp_path: Path) -> None:
    space = {"lr": [0.001, 0.01, 0.1], "model.units": [4, 8]}
    shown = StringIO()
    with SearchProgress(Console(file=shown)) as watcher:
        folder = do(tmp_path / "a", workers=2, watcher=watcher, space=space, tune__sampler="grid", tune__trials=6)
    points = [(trial.values["optimizer.lr"], trial.values["model.units"]) for trial in folder.result.trials]
    assert sorted(points) == sorted((lr, units) for lr in (0.001, 0.01, 0.1) for units in (4, 8))
    assert all(trial.state == "complete" and trial.attempts == 1 for trial in folder.result.trials)
    told, *lines = shown.getvalue().splitlines()
    assert told.startswith("About ")
    assert sorted(line.split("  ")[0] for line in lines) == [f"trial {n}/6" for n in range(1, 7)]
    assert lines[0].endswith("  best so far")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells which process holds a lock")
def test_a_killed_worker_does_not_end_the_search(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"data": {"source": "digits"}, "training__epochs": 15, "training__batch_size": 4}
    file = tmp_path / "t.toml"
    file.write_text(Search.of(tables(**changes)).to_toml())
    process = start(file, tmp_path / "a", workers=2)
    wait_for(tmp_path / "a" / "trials" / "0001" / "experiment.toml", process)
    wait_for(tmp_path / "a" / "trials" / "0002" / "experiment.toml", process)
    os.kill(holder(tmp_path / "a" / "trials" / "0001" / ".lock"), signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "A worker was killed" in out
    trials = TuneFolder.open(tmp_path / "a").result.trials
    assert [trial.state for trial in trials] == ["complete"] * 4
    assert trials[0].attempts == 2


def test_a_trial_whose_process_is_killed_again_and_again_is_given_up(tmp_path: Path) -> None:
    from firstlight.experiments.search.storage import ATTEMPTS, Storage

    search = Search.of(tables(tune__trials=2))
    storage = Storage(search, tmp_path)
    for _ in range(ATTEMPTS):
        claim = storage.claim("this command")
        assert claim is not None
        assert claim.place == 0
        claim.lock.close()  # as the system does when a process ends
    claim = storage.claim("this command")
    assert claim is not None
    assert claim.place == 1
    claim.lock.close()
    first = storage.records()[0]
    assert first.state == "failed"
    assert "killed 3 times" in first.reason


def test_a_live_trial_of_another_process_is_left_alone(tmp_path: Path) -> None:
    from firstlight.experiments.search.storage import Storage

    search = Search.of(tables(tune__trials=3))
    storage = Storage(search, tmp_path)
    mine, theirs = storage.claim("a"), Storage(search, tmp_path).claim("b")
    assert mine is not None
    assert theirs is not None
    assert (mine.place, theirs.place) == (0, 1)
    assert mine.values != theirs.values
    held = dict(mine.values)
    mine.lock.close()
    again = storage.claim("c")
    assert again is not None
    assert (again.place, again.values) == (0, held)
    assert [trial.state for trial in storage.records()] == ["running", "running"]
    theirs.lock.close()
    again.lock.close()


def test_a_url_of_sqlite_shared_by_two_folders(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    first = do(tmp_path / "one" / "same", tune__storage=url, tune__trials=2)
    assert not (first.path / "search.db").exists()
    second = do(tmp_path / "two" / "same", tune__storage=url, tune__trials=4)
    assert essence(second)[:2] == essence(first)
    assert sorted(path.name for path in (second.path / "trials").iterdir()) == ["0003", "0004"]


def test_trials_that_fail_are_told_and_the_search_goes_on(tmp_path: Path) -> None:
    space = {"optimizer.name": ["sgd"], "lr": [1e12, 0.1], "model.name": ["mlp-128", "lenet5"]}
    folder = do(tmp_path / "a", space=space, tune__sampler="grid", tune__trials=None, loss__name="cross-entropy")
    tuned = folder.result
    assert len(tuned.trials) == 4
    unfit = [trial for trial in tuned.ended("failed") if trial.values["model.name"] == "lenet5"]
    diverged = [trial for trial in tuned.ended("failed") if trial.values["model.name"] == "mlp-128"]
    assert len(unfit) == 2
    assert all("does not fit images" in trial.reason for trial in unfit)
    assert len(diverged) == 1
    assert "learning rate of 1e+12" in diverged[0].reason
    assert tuned.best.values["optimizer.lr"] == 0.1


@pytest.mark.parametrize(
    ("kind", "message", "changes"),
    [
        (ExperimentError, "compares trials on validation", {"data": {"source": "digits", "validation": 0.0}}),
        (ModelError, "No model of this search fits", {"model__name": "lenet5", "space": {"lr": [0.1]}}),
        (ExperimentError, "cannot be opened", {"tune__storage": "nonsense"}),
        (ExperimentError, "driver", {"tune__storage": "postgresql+nodriver://me:secret@nowhere/base"}),
    ],
)
def test_a_mistake_that_all_trials_share_stops_at_once(
    tmp_path: Path, kind: type[Exception], message: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(kind, match=message) as caught:
        do(tmp_path / "a", **changes)
    assert "secret" not in str(caught.value)
    if "tune__storage" in changes:
        assert do(tmp_path / "a", tune__trials=1).result.best
        return
    assert not (tmp_path / "a" / "result.json").exists()


def test_a_changed_file_does_not_go_on_in_the_same_folder(tmp_path: Path) -> None:
    do(tmp_path / "a", tune__trials=1)
    with pytest.raises(ExperimentError, match=r"training\.epochs was 2, is 3.*another folder"):
        do(tmp_path / "a", training__epochs=3)
    with pytest.raises(ExperimentError, match="leave --storage out"):
        do(tmp_path / "a", tune__storage=f"sqlite:///{tmp_path / 'b.db'}")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter.txt").touch()
    with pytest.raises(RunError, match="is not a search"):
        do(tmp_path / "b")


class Noted(SearchProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_no_values_are_trained_twice_and_what_is_exhausted_ends(tmp_path: Path, sampler: str) -> None:
    """A training with the same values and the same seed would give the same bits."""
    space = {"lr": [0.001, 0.01], "model.units": [4, 8], "optimizer.lag": {"uniform": [0.0, 0.5], "step": 0.5}}
    told = Noted()
    found = do(tmp_path / "a", watcher=told, space=space, tune__sampler=sampler, tune__trials=20).result
    assert (found.status, found.asked, len(found.trials)) == ("complete", 8, 8)
    assert len({str(sorted(trial.values.items())) for trial in found.trials}) == 8
    assert len([note for note in told.notes if "8 combinations" in note]) == 1
    silent = Noted()
    do(tmp_path / "a", watcher=silent, space=space, tune__sampler=sampler, tune__trials=3)
    assert not [note for note in silent.notes if "combinations" in note]


@pytest.mark.parametrize("left", [[".lock"], [".lock", "search.db-journal", ".tune.toml.4194305.1.tmp"]])
def test_killed_at_its_beginning_the_same_command_goes_on(tmp_path: Path, left: list[str]) -> None:
    (tmp_path / "a").mkdir()
    for name in left:
        (tmp_path / "a" / name).touch()
    assert do(tmp_path / "a", tune__trials=1).result.status == "complete"
    assert not list((tmp_path / "a").glob(".*.tmp"))


def test_a_storage_that_was_emptied_damaged_or_taken_away_is_told(tmp_path: Path) -> None:
    storage = do(tmp_path / "a", tune__trials=1).path / "search.db"
    older = storage.read_bytes()
    before = do(tmp_path / "a", tune__trials=2).path.joinpath("result.json").read_bytes()
    for contents, error, what in (
        (b"", ExperimentError, "does not contain the search"),
        (b"x" * 5000, RunError, r"search\.db is damaged: .*not a database"),
        (None, ExperimentError, r"has no search\.db"),
        (older, ExperimentError, r"lists trial 2 .* lacks: it is an older copy"),
    ):
        storage.unlink(missing_ok=True)
        if contents is not None:
            storage.write_bytes(contents)
        for _ in range(2):
            with pytest.raises(error, match=what):
                do(tmp_path / "a", tune__trials=3)
    assert (tmp_path / "a" / "result.json").read_bytes() == before


def test_values_in_a_storage_that_nobody_can_read_are_told(tmp_path: Path) -> None:
    import sqlite3

    storage = do(tmp_path / "a", tune__trials=1).path / "search.db"
    sound = storage.read_bytes()
    for edit in (
        "update trials set state='FROB'",
        "update trial_params set param_value='x'",
        "update trial_params set distribution_json='{}'",
        'update trial_params set distribution_json=\'{"name": "os.system", "attributes": {}}\'',
        "update trial_user_attributes set value_json='null'",
        "update trial_user_attributes set value_json='{\"state\": \"frob\"}' where key = 'record'",
        f"update trial_user_attributes set value_json='{'[' * 50000}'",
        "update study_directions set direction='FROB'",
    ):
        storage.write_bytes(sound)
        with contextlib.closing(sqlite3.connect(storage)) as database:
            database.execute(edit)
            database.commit()
        with pytest.raises(RunError, match=r"search\.db (is damaged|cannot be used)|damaged") as told:
            do(tmp_path / "a", tune__trials=2)
        assert len(str(told.value)) < 1000


@pytest.mark.parametrize("call", ["_create_new_trial", "set_trial_intermediate_value", "set_study_user_attr"])
def test_a_full_disk_is_a_sentence_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    import sqlite3

    import optuna

    def full(*arguments: Any, **more: Any) -> None:
        try:
            raise sqlite3.OperationalError("database or disk is full")
        except sqlite3.OperationalError as error:
            raise optuna.exceptions.StorageInternalError("An exception is raised during the commit.") from error

    monkeypatch.setattr(optuna.storages.RDBStorage, call, full)
    with pytest.raises(RunError, match=r"search\.db .*disk is full.*the same command then continues"):
        do(tmp_path / "a", tune__trials=1)
    monkeypatch.undo()
    assert do(tmp_path / "a", tune__trials=1).result.status == "complete"


@pytest.mark.skipif(sys.platform == "win32", reason="has no locks of this kind")
def test_without_locks_a_search_works_and_says_what_is_not_protected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from firstlight.experiments.search.storage import Storage

    def none(*arguments: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", none)
    told = Noted()
    assert do(tmp_path / "a", watcher=told, tune__trials=2).result.status == "complete"
    assert len([note for note in told.notes if "has no locks" in note]) == 1
    (tmp_path / "b").mkdir()
    storage = Storage(Search.of(tables(tune__trials=2)), tmp_path / "b")
    claims = [storage.claim("a"), storage.claim("a")]
    assert [claim.place for claim in claims if claim is not None] == [0, 1], "one that lives is not taken for dead"


def test_time_that_is_over_begins_no_trial_and_more_time_goes_on(tmp_path: Path) -> None:
    short = do(tmp_path / "a", tune__timeout=0.4, tune__trials=400).result
    assert short.status == "unfinished"
    assert 0 < len(short.trials) < 400
    assert len(do(tmp_path / "a", tune__trials=len(short.trials) + 1).result.trials) == len(short.trials) + 1


def test_damaged_results_are_told(tmp_path: Path) -> None:
    folder = TuneFolder(do(tmp_path / "a", tune__trials=1).path)
    (folder.path / "result.json").write_text('{"format": 1, "trials": [{}]}')
    with pytest.raises(RunError, match="is damaged"):
        _ = TuneFolder(folder.path).result
    with pytest.raises(RunError, match="not the folder of a search"):
        TuneFolder.open(tmp_path)
    assert TrialRecord(7, "complete", {}).folder == "0007"
