"""Studies carried out: what is missing is done, what is there is kept, and nothing half-written is trusted."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tests.holders import holder

from firstlight import parallel
from firstlight.console import SearchProgress
from firstlight.errors import ExperimentError, RunError
from firstlight.experiments.study import plan
from firstlight.locks import LOCK
from firstlight.parallel import studies
from firstlight.parallel.pool import Pool, WorkerKilledError
from firstlight.parallel.progress import StudyProgress
from firstlight.records import run_folder
from firstlight.records.environment import Environment
from firstlight.records.estimate import Estimate
from firstlight.records.locked_folder import locked_folder
from firstlight.records.record_files import write_record
from firstlight.records.run_folder import RunFolder
from firstlight.records.search_folder import TrialRecord
from firstlight.records.study_folder import StudyFolder

QUIET = Console(quiet=True)
TABLES: dict[str, Any] = {
    "title": "Two nets and one that is loaded",
    "about": "Whether depth helps.",
    "seeds": 2,
    "defaults": {"data": {"source": "digits", "limit": 200}, "training": {"epochs": 2}},
    "run": [
        {"name": "loaded", "model": {"name": "mlp-128"}, "weights": {"init_from": "@mlp"}, "training": {"epochs": 0}},
        {"name": "softmax", "model": {"name": "softmax-regression"}, "published": 0.5},
        {"name": "mlp", "model": {"name": "mlp-128"}},
    ],
}


def carried_out(out: Path, tables: dict[str, Any] = TABLES, **options: Any) -> StudyFolder:
    return parallel.run_study(plan(tables, "two"), out, console=QUIET, **options)


def written(folder: StudyFolder) -> dict[str, float]:
    """When each run's result was written."""
    return {
        str(p.relative_to(folder.path)): p.stat().st_mtime_ns for p in folder.path.glob(f"*/seed-*/{run_folder.RESULT}")
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return carried_out(tmp_path_factory.mktemp("studies") / "two")


@pytest.fixture
def copy(study: StudyFolder, tmp_path: Path) -> Path:
    """The complete study elsewhere; what starts from another run now starts from that of the copy."""
    shutil.copytree(study.path, tmp_path / "two")
    return tmp_path / "two"


def test_every_run_is_done_once_and_reported(study: StudyFolder) -> None:
    assert [entry.name for entry in study.entries] == ["loaded", "softmax", "mlp"]
    for entry in study.entries:
        assert set(study.finished(entry)) == {0, 1}
        assert all((run.path / run_folder.REPORT).is_file() for run in study.finished(entry).values())
    assert "Whether depth helps." in (study.path / run_folder.REPORT).read_text()
    loaded, _, mlp = (study.finished(entry) for entry in study.entries)
    for seed in (0, 1):
        own, origin = loaded[seed].predictions["test"], mlp[seed].predictions["test"]
        np.testing.assert_array_equal(own.probabilities, origin.probabilities)


def test_what_is_there_is_kept_and_what_is_missing_is_done(copy: Path) -> None:
    before = written(StudyFolder.open(copy))
    (copy / "mlp" / "seed-1" / run_folder.RESULT).unlink()  # cut off after its last epoch
    shutil.rmtree(copy / "softmax" / "seed-0" / run_folder.CHECKPOINTS)
    (copy / "softmax" / "seed-0" / run_folder.RESULT).unlink()  # cut off with nothing to continue with
    after = written(carried_out(copy))
    assert before.keys() == after.keys()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"mlp/seed-1/result.json", "softmax/seed-0/result.json"}


def test_seeds_can_be_added(copy: Path) -> None:
    before = written(StudyFolder.open(copy))
    more = carried_out(copy, {**TABLES, "seeds": 3}, only=["softmax"])
    after = written(more)
    assert set(after) - set(before) == {"softmax/seed-2/result.json"}
    assert all(after[name] == before[name] for name in before)
    assert [len(more.finished(entry)) for entry in more.entries] == [2, 3, 2]


def test_workers_in_processes_give_the_same_runs(study: StudyFolder, tmp_path: Path) -> None:
    """Of one thread each; a run's numbers depend on its threads in the last bits only."""
    side_by_side = carried_out(tmp_path / "two", workers=2)
    for entry in study.entries:
        for seed, run in study.finished(entry).items():
            other = side_by_side.finished(entry)[seed]
            assert other.environment.threads == max(1, len(os.sched_getaffinity(0)) // 2)
            ours, theirs = (r.predictions["test"].probabilities for r in (run, other))
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_run_of_another_experiment_is_not_taken_for_this_one(copy: Path) -> None:
    tables = {**TABLES, "defaults": {**TABLES["defaults"], "training": {"epochs": 2, "batch_size": 16}}}
    with pytest.raises(RunError, match=r"another experiment.*training.batch_size"):
        carried_out(copy, tables)
    with pytest.raises(ExperimentError, match=r"holds the study two, not three"):
        parallel.run_study(plan(TABLES, "three"), copy, console=QUIET)


def test_a_run_that_now_starts_from_another_is_not_taken_for_this_one(copy: Path) -> None:
    runs_ = [dict(run) for run in TABLES["run"]]
    runs_[0]["weights"] = {"init_from": "@softmax"}
    before = (copy / run_folder.STUDY).read_bytes()
    with pytest.raises(RunError, match=r"loaded.*another experiment.*weights.init_from"):
        carried_out(copy, {**TABLES, "run": runs_, "title": "Changed"})
    assert (copy / run_folder.STUDY).read_bytes() == before  # the record still says what the runs are


def test_what_is_no_run_is_not_removed(copy: Path) -> None:
    place = copy / "mlp" / "seed-1"
    shutil.rmtree(place)
    place.mkdir()
    (place / "precious.txt").write_text("mine")
    with pytest.raises(RunError, match=r"precious.txt and is not a run"):
        carried_out(copy)
    assert (place / "precious.txt").read_text() == "mine"


def test_a_lost_report_of_a_run_is_written_again(copy: Path) -> None:
    page = copy / "softmax" / "seed-0" / run_folder.REPORT
    page.unlink()
    carried_out(copy)
    assert page.is_file()


def test_fewer_seeds_leave_the_others_in_the_record(copy: Path) -> None:
    folder = carried_out(copy, {**TABLES, "seeds": 1})
    assert [entry.seeds for entry in folder.entries] == [(0, 1)] * 3


@pytest.mark.parametrize("options", [{"threads": 0}, {"workers": -3}, {"backend": "slurm"}])
def test_options_that_make_no_sense(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ExperimentError, match=next(iter(options))):
        carried_out(tmp_path / "two", **options)
    assert not (tmp_path / "two").exists()


@pytest.mark.slow
@pytest.mark.skipif(not [*Path("/proc/self/task").glob("*/children")], reason="reads a process's children from /proc")
def test_workers_end_with_the_process_that_asked_for_them(tmp_path: Path) -> None:
    """Killed, it can tell them nothing; they look for it themselves, and keep what they have learnt."""
    file = tmp_path / "two.toml"
    file.write_text(
        "title = 'Left alone'\nseeds = 2\n[defaults]\nmodel = { name = 'mlp-128' }\n"
        "data = { source = 'digits' }\ntraining = { epochs = 5000 }\n[[run]]\nname = 'mlp'\n"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-m", "firstlight", "study", str(file), "--out", str(out), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    places = [out / "mlp" / f"seed-{seed}" for seed in (0, 1)]
    deadline = time.monotonic() + 120
    while not all((place / run_folder.HISTORY).exists() for place in places) and time.monotonic() < deadline:
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    while not all((place / run_folder.RESULT).exists() for place in places) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [RunFolder(place).result.status for place in places] == ["interrupted"] * 2
    assert len(children) >= 2
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_a_run_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    run: list[dict[str, Any]] = [
        {"name": "wild", "optimizer": {"name": "sgd", "lr": 1e30}, "loss": {"name": "mse"}},
        {"name": "after", "weights": {"init_from": "@wild"}},
        {"name": "tame"},
    ]
    tables = {**TABLES, "seeds": 1, "run": [{**each, "model": {"name": "mlp-128"}} for each in run]}
    with pytest.raises(RunError) as caught:
        carried_out(tmp_path / "two", tables)
    assert "wild, seed 0: The loss" in str(caught.value)
    assert "after, seed 0:" in str(caught.value)
    folder = StudyFolder.open(tmp_path / "two")
    assert [len(folder.finished(entry)) for entry in folder.entries] == [0, 0, 1]
    page = (folder.path / run_folder.REPORT).read_text()
    assert "wild, seed 0 has no result: The loss" in page
    assert "after, seed 0 has no result: " in page

    # those that are not tried again are told again
    console = Console(record=True, width=300, file=io.StringIO())
    parallel.run_study(plan(tables, "two"), tmp_path / "two", only=["tame"], console=console)
    assert "wild, seed 0: The loss" in console.export_text()

    mended = [{**each, "model": {"name": "mlp-128"}} for each in run]
    mended[0] = {"name": "wild", "model": {"name": "mlp-128"}}
    folder = carried_out(tmp_path / "two", {**tables, "run": mended})
    assert [len(folder.finished(entry)) for entry in folder.entries] == [1, 1, 1]
    assert not list(folder.path.glob("*/*.failed"))
    assert "has no result" not in (folder.path / run_folder.REPORT).read_text()


@pytest.mark.slow
def test_a_damaged_run_is_named_and_the_others_are_done(copy: Path) -> None:
    """Whatever is damaged: what says which experiment it is of, what came out, or what only the report reads."""
    (copy / "mlp" / "seed-0" / run_folder.EXPERIMENT).write_text("[data")
    (copy / "softmax" / "seed-0" / run_folder.RESULT).write_text("{")
    (copy / "softmax" / "seed-1" / run_folder.PREDICTIONS).write_bytes(b"nothing")
    for page in copy.glob("*/*/report.html"):
        page.unlink()
    with pytest.raises(RunError) as caught:
        carried_out(copy, {**TABLES, "seeds": 3})
    message = str(caught.value)
    for named, file in (("mlp, seed 0", run_folder.EXPERIMENT), ("softmax, seed 0", run_folder.RESULT)):
        assert f"{named}: " in message
        assert f"{copy / named.replace(', ', '/').replace(' ', '-') / file} is damaged" in message
    assert f"softmax, seed 1: {copy / 'softmax' / 'seed-1' / run_folder.PREDICTIONS} is damaged" in message
    assert f"To train it again, remove {copy / 'softmax' / 'seed-1'}." in message
    folder = StudyFolder.open(copy)
    assert all((copy / name / "seed-2" / run_folder.RESULT).exists() for name in ("mlp", "softmax", "loaded"))
    text = (copy / run_folder.REPORT).read_text()
    assert all(f"{run}: " in text for run in ("mlp, seed 0", "softmax, seed 0", "softmax, seed 1"))

    for name in ("mlp/seed-0", "softmax/seed-0", "softmax/seed-1"):
        shutil.rmtree(copy / name)
    assert [len(folder.finished(entry)) for entry in carried_out(copy, {**TABLES, "seeds": 3}).entries] == [3, 3, 3]


def test_an_optional_run_may_be_left_out(tmp_path: Path) -> None:
    missing = {"name": "missing", "optional": True, "weights": {"init_from": str(tmp_path / "no.safetensors")}}
    tables = {**TABLES, "seeds": 1, "run": [missing, {"name": "softmax", "model": {"name": "softmax-regression"}}]}
    with Console(record=True, width=200).capture():
        console = Console(record=True, width=200)
        folder = parallel.run_study(plan(tables, "two"), tmp_path / "two", console=console)
    assert "Left out: missing, seed 0" in console.export_text()
    assert [len(folder.finished(entry)) for entry in folder.entries] == [0, 1]


def test_a_second_command_on_the_same_folder_is_told(copy: Path) -> None:
    with locked_folder(copy), pytest.raises(RunError, match=r"another process"):
        carried_out(copy)


@pytest.mark.slow
def test_the_winner_of_a_search_is_trained_with_the_studys_seeds(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    search = {"name": "grid", "tune": {"sampler": "grid"}, "space": {"optimizer.lr": [1e-6, 1e-2]}}
    tables = {**TABLES, "search": [search], "run": [{"name": "winner", "winner_of": "grid"}]}
    tables["defaults"] = {**TABLES["defaults"], "model": {"name": "softmax-regression"}}
    folder = carried_out(tmp_path / "two", tables)
    found = folder.finished(folder.entries[0])
    assert {seed: run.experiment.seed for seed, run in found.items()} == {0: 0, 1: 1}
    assert {run.experiment.optimizer.options["lr"] for run in found.values()} == {1e-2}
    before = written(folder)
    assert written(carried_out(tmp_path / "two", tables)) == before


def test_an_interrupted_search_of_a_study_leaves_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")

    def interrupt(display: SearchProgress, trial: TrialRecord) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SearchProgress, "trial_done", interrupt)
    search = {"name": "grid", "tune": {"sampler": "grid"}, "space": {"optimizer.lr": [1e-3, 1e-2]}}
    tables = {**TABLES, "search": [search], "run": [{"name": "winner", "winner_of": "grid"}]}
    tables["defaults"] = {**TABLES["defaults"], "model": {"name": "softmax-regression"}}
    with pytest.raises(KeyboardInterrupt):
        carried_out(tmp_path / "two", tables)
    assert "The search is not complete" in (tmp_path / "two" / "search-grid" / run_folder.REPORT).read_text()
    assert not (tmp_path / "two" / "winner").exists()


@pytest.mark.slow
def test_of_several_workers_a_single_run_that_is_missing_needs_none(tmp_path: Path) -> None:
    tables = {**TABLES, "seeds": 1, "run": TABLES["run"][2:]}
    for seeds in (1, 2, 3):  # one more each time
        folder = carried_out(tmp_path / "two", {**tables, "seeds": seeds}, workers=2)
        assert len(written(folder)) == seeds
    assert "OMP_NUM_THREADS" not in os.environ


def test_another_folder_is_not_overwritten(study: StudyFolder, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(study.path / "mlp" / "seed-0", run)
    search = tmp_path / "search"
    search.mkdir()
    (search / "tune.toml").write_text("")
    for place, what, name in ((run, "run", "experiment.toml"), (search, "search", "tune.toml")):
        before = {path.name: path.stat().st_mtime_ns for path in place.iterdir() if path.name != LOCK}
        with pytest.raises(ExperimentError, match=f"is a {what}: it contains {name}"):
            carried_out(place)
        assert {path.name: path.stat().st_mtime_ns for path in place.iterdir() if path.name != LOCK} == before


def test_a_folder_beside_the_seeds_is_none_of_them(copy: Path) -> None:
    shutil.copytree(copy / "mlp" / "seed-0", copy / "mlp" / "seed-0-old2")
    assert [entry.seeds for entry in carried_out(copy).entries] == [(0, 1)] * 3


def test_workers_that_are_killed_again_and_again_end_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class KilledPool(Pool):
        def map(self, function: Any, items: Sequence[Any]) -> Any:
            asked.append(len(items))
            raise WorkerKilledError

    monkeypatch.setattr(studies, "pool", lambda *options: nullcontext(KilledPool()))
    with pytest.raises(RunError, match=r"killed 7 times in a row before any run was finished.*fewer --workers"):
        carried_out(tmp_path / "two", workers=2)
    assert asked == [4] * 7


@pytest.mark.slow
def test_what_a_killed_worker_left_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(StudyProgress, "note", lambda progress, text: told.append(text))
    tables = {**TABLES, "run": TABLES["run"][1:]}
    tables["defaults"] = {**TABLES["defaults"], "training": {"epochs": 100}}
    begun = tmp_path / "two" / "softmax" / "seed-0" / run_folder.HISTORY

    def kill() -> None:
        while not begun.exists():
            time.sleep(0.02)
        os.kill(holder(begun.parent / LOCK), signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    folder = carried_out(tmp_path / "two", tables, workers=2)
    killer.join()
    assert len(written(folder)) == 4
    assert any("A worker was killed" in text for text in told)
    whole = carried_out(tmp_path / "whole", {**tables, "seeds": 1}, only="softmax", threads=1)
    weights = [place.path / "softmax" / "seed-0" / "weights.safetensors" for place in (folder, whole)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.slow
def test_a_study_that_was_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """With SIGKILL; what was complete then is not done again."""
    file = tmp_path / "two.toml"
    file.write_text(
        "title = 'Killed'\nseeds = 3\n[defaults]\nmodel = { name = 'mlp-128' }\n"
        "data = { source = 'digits' }\ntraining = { epochs = 40 }\n[[run]]\nname = 'mlp'\n"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-m", "firstlight", "study", str(file), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "mlp" / "seed-1" / run_folder.HISTORY).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (out / "mlp" / "seed-1" / run_folder.HISTORY).exists()
    kept = written(StudyFolder.open(out))
    assert "mlp/seed-0/result.json" in kept
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    folder = StudyFolder.open(out)
    assert len(folder.finished(folder.entries[0])) == 3
    assert {name: written(folder)[name] for name in kept} == kept
    assert "complete before" in done.stdout
    for finished in folder.finished(folder.entries[0]).values():
        assert len(RunFolder(finished.path).history["epoch"]) == 40


@pytest.mark.slow
def test_a_dask_cluster_does_the_work(study: StudyFolder, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        folder = carried_out(tmp_path / "two", backend="dask", address=cluster.scheduler_address, threads=1)
    assert [len(folder.finished(entry)) for entry in folder.entries] == [2, 2, 2]
    with pytest.raises(ExperimentError, match=r"no Dask scheduler"):
        carried_out(tmp_path / "other", backend="dask", address="tcp://127.0.0.1:1")
    with pytest.raises(ExperimentError, match=r"--address"):
        carried_out(tmp_path / "other", backend="dask")


def test_what_all_runs_will_take_is_told_by_the_first(tmp_path: Path) -> None:
    said = io.StringIO()
    jobs: Any = [SimpleNamespace(title=f"{n}", folder=tmp_path / f"{n}") for n in range(6)]
    study: Any = SimpleNamespace(name="some")
    progress = StudyProgress(study, 6, Console(file=said, width=200), workers=2)
    progress.expect(jobs, 0)
    for n in range(2):
        progress._tell(2)
        assert said.getvalue() == ""
        (tmp_path / f"{n}").mkdir()
        here = Environment(estimate=Estimate(seconds=30 + 20 * n, memory=300_000_000))
        write_record(tmp_path / f"{n}", run_folder.ENVIRONMENT, here)
    progress._tell(2)
    assert said.getvalue() == (
        "About 2.0 min on this machine for 6 runs in 2 processes, and 600 MB of memory, if each takes as long as the "
        "first 2.\n"
    )
