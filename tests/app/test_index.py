"""What lies below a folder, in whatever state it is, and what its pages say of it."""

from __future__ import annotations

import fcntl
import json
import shutil
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from firstlight.app import images
from firstlight.app.index import Index
from firstlight.app.server.errors import UnknownError
from firstlight.errors import RunError
from firstlight.experiments.progress import FolderProgress
from firstlight.locks import is_locked
from firstlight.progress import Watcher
from firstlight.records.locked_folder import (
    EpochProgress,
    ask_to_stop,
    asked_to_stop,
    locked_folder,
    progress,
    write_progress,
)


@pytest.fixture(scope="module")
def states(trained_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of a finished run, each spoilt in its own way, and a study of two."""
    root = tmp_path_factory.mktemp("states")
    for name in (
        "good",
        "damaged",
        "newer",
        "cut-off",
        "without-predictions",
        "half",
        "two/mlp/seed-0",
        "two/mlp/seed-1",
    ):
        shutil.copytree(trained_runs / "mlp", root / name)
    (root / "damaged" / "result.json").write_text('{"format": 1, "status":')
    (root / "newer" / "result.json").write_text('{"format": 9}')
    (root / "cut-off" / "result.json").unlink()
    (root / "without-predictions" / "predictions.npz").unlink()
    (root / "half" / "history.csv").write_text("epoch,loss\n1,no number\n")
    study = {"format": 1, "name": "two", "title": "Two", "about": "", "runs": [{"name": "mlp", "seeds": [0, 1]}]}
    (root / "two" / "study.json").write_text(json.dumps(study))
    (root / "holidays").mkdir()
    return root


def test_states(states: Path) -> None:
    summaries = {summary.name: summary for summary in Index(states).summaries()}
    assert {name: summary.state for name, summary in summaries.items()} == {
        "good": "finished",
        "damaged": "damaged",
        "newer": "newer",
        "cut-off": "cut off",
        "without-predictions": "finished",
        "half": "damaged",
        "two/mlp/seed-0": "finished",
        "two/mlp/seed-1": "finished",
    }
    assert summaries["two/mlp/seed-1"].group == "two"
    assert "result.json is damaged" in summaries["damaged"].why
    assert "has format 9" in summaries["newer"].why
    assert "firstlight resume" in summaries["cut-off"].why
    assert summaries["good"].epochs == 3
    assert summaries["good"].accuracy is not None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("damaged", "result.json is damaged"),
        ("newer", "pip install --upgrade firstlight"),
        ("cut-off", "firstlight resume"),
        ("without-predictions", "has no predictions.npz"),
        ("half", "history.csv is damaged"),
        ("holidays", "it has no experiment.toml"),
    ],
)
def test_a_page_says_what_is_wrong(states: Path, open_dashboard: Any, name: str, said: str) -> None:
    with open_dashboard(states) as served, httpx.Client(base_url=served.url, trust_env=False, timeout=30) as asking:
        answer = asking.get(f"/run/{served.id(name)}")
        assert answer.status_code == (404 if name == "holidays" else 200)
        assert said in answer.text
        assert "Traceback" not in answer.text
        assert name in asking.get("/").text


def test_no_state_makes_the_browser_complain(states: Path, open_dashboard: Any, page: Any) -> None:
    with open_dashboard(states) as served:
        for name in ("damaged", "newer", "cut-off", "without-predictions", "half"):
            page.goto(f"{served.url}/run/{served.id(name)}")
            page.locator("#trouble").wait_for()
            page.wait_for_timeout(300)
        page.goto("about:blank")


def test_ids_are_of_folders_below_the_root_only(states: Path) -> None:
    index = Index(states)
    entry = next(entry for entry in index.entries() if entry.name == "good")
    assert index.run(entry.id).path == states / "good"
    for key in ("", "good", "../good", "0" * 12, entry.id + "0"):
        with pytest.raises(UnknownError):
            index.run(key)
    with pytest.raises(UnknownError, match="no study"):
        index.entry(entry.id, "study")


def test_a_new_run_and_a_removed_one_are_noticed(states: Path, tmp_path: Path) -> None:
    root = tmp_path / "not-there-yet"
    index = Index(root)
    assert index.summaries() == []
    shutil.copytree(states / "good", root / "later")
    [entry] = index.entries(anew=True)
    assert index.summary(entry).state == "finished"
    shutil.rmtree(root / "later")
    with pytest.raises(UnknownError):
        index.run(entry.id)


def test_the_row_is_read_again_when_a_file_changes(states: Path, tmp_path: Path) -> None:
    shutil.copytree(states / "cut-off", tmp_path / "run")
    index = Index(tmp_path)
    [summary] = index.summaries()
    history = tmp_path / "run" / "history.csv"
    lines = history.read_text().splitlines()
    history.write_text("\n".join([*lines, lines[-1]]) + "\n")
    [after] = index.summaries()
    assert (summary.epochs, after.epochs) == (3, 4)


def test_who_holds_a_run_trains_it(states: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(states / "cut-off", run)
    index = Index(tmp_path)
    with pytest.raises(Exception, match="nothing to stop"):
        ask_to_stop(run)
    with (run / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_locked(run)
        assert index.summaries()[0].state == "training"
        ask_to_stop(run)
        assert asked_to_stop(run)
        assert index.summaries()[0].stopping
    assert not is_locked(run)
    assert index.summaries()[0].state == "cut off"


def test_to_look_whether_a_run_is_held_does_not_keep_it_from_training(states: Path) -> None:
    """A look takes the lock for an instant, in which a run may begin."""
    run = states / "cut-off"
    with (run / ".lock").open("r") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.02, lambda: fcntl.flock(file, fcntl.LOCK_UN)).start()
        with locked_folder(run):
            assert is_locked(run)


def test_the_images_of_a_run_are_its_own(trained_runs: Path) -> None:
    index = Index(trained_runs)
    entry = next(entry for entry in index.entries() if entry.name == "mlp")
    images = index.images(entry.id, "test")
    predictions = index.run(entry.id).predictions["test"]
    assert images.ids.tolist() == predictions.ids.tolist()
    assert images.labels.tolist() == predictions.labels.tolist()
    index.images(entry.id, "train")
    assert index.images(entry.id, "test") is images  # kept
    with pytest.raises(UnknownError, match="no split"):
        index.images(entry.id, "other")


def test_a_lock_that_cannot_be_looked_at_is_of_its_own_run_alone(
    states: Path, tmp_path: Path, open_dashboard: Any
) -> None:
    shutil.copytree(states / "cut-off", tmp_path / "odd")
    shutil.copytree(states / "good", tmp_path / "good")
    (tmp_path / "odd" / ".lock").unlink()
    (tmp_path / "odd" / ".lock").mkdir()
    assert not is_locked(tmp_path / "odd")
    assert {summary.name: summary.state for summary in Index(tmp_path).summaries()} == {
        "good": "finished",
        "odd": "cut off",
    }
    with open_dashboard(tmp_path) as served, httpx.Client(base_url=served.url, trust_env=False, timeout=30) as asking:
        for path in ("/", "/api/runs", f"/run/{served.id('odd')}"):
            assert asking.get(path).status_code == 200


def test_a_folder_that_may_not_be_entered_hides_no_other(
    states: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(states / "good", tmp_path / "good")
    (tmp_path / "closed").mkdir()
    look = Path.is_file

    def guarded(path: Path) -> bool:  # as the system does, which lets root in everywhere
        if path.parent.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(Path, "is_file", guarded)
    assert [summary.name for summary in Index(tmp_path).summaries()] == ["good"]


def test_links_show_no_run_twice_and_lead_nowhere_else(states: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(states / "good", root / "study" / "run")
    shutil.copytree(states / "good", tmp_path / "elsewhere" / "other")
    (root / "a-loop").symlink_to(root)
    (root / "study" / "up").symlink_to("..")
    (root / "alias").symlink_to(root / "study" / "run")
    (root / "out").symlink_to(tmp_path / "elsewhere")
    assert [summary.name for summary in Index(root).summaries()] == ["study/run"]


def test_a_root_may_be_a_link(states: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(states)
    names = {summary.name for summary in Index(tmp_path / "link").summaries()}
    assert names == {summary.name for summary in Index(states).summaries()}


def test_the_small_curve_of_a_long_run_is_short(states: Path, tmp_path: Path) -> None:
    shutil.copytree(states / "cut-off", tmp_path / "long")
    epochs = 500
    rows = [f"{i},{1 / i!r},0.5,{2 / i!r},0.25" for i in range(1, epochs + 1)]
    header = "epoch,loss,accuracy,val_loss,val_accuracy"
    (tmp_path / "long" / "history.csv").write_text("\n".join([header, *rows]) + "\n")
    [summary] = Index(tmp_path).summaries()
    at, loss = summary.curve["at"], summary.curve["loss"]
    assert summary.epochs == epochs
    assert len(at) == len(loss) == len(summary.curve["val_loss"]) == 60
    assert (at[0], at[-1]) == (0, epochs - 1)
    assert loss == [float(f"{1 / (i + 1):.4g}") for i in at if i is not None]
    assert summary.last == {"epoch": 500, "loss": 1 / 500, "accuracy": 0.5, "val_loss": 2 / 500, "val_accuracy": 0.25}
    assert len(json.dumps(asdict(summary))) < 6_000


def test_to_look_at_a_run_downloads_nothing(
    trained_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained_runs / "mlp", tmp_path / "mlp")
    for name in ("data.json", "experiment.toml"):
        file = tmp_path / "mlp" / name
        file.write_text(file.read_text().replace('"digits"', '"mnist"'))
    monkeypatch.setenv("FIRSTLIGHT_DATA", str(tmp_path / "nothing"))

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("it was loaded")

    monkeypatch.setattr("firstlight.experiments.config.Data.load", refused)
    index = Index(tmp_path)
    [entry] = index.entries()
    with pytest.raises(RunError, match=r"MNIST.*is not on this machine\. To download it: firstlight data check mnist"):
        index.images(entry.id, "test")
    shown = images.shown(index, entry.id, "test")  # at once, from the run folder
    assert shown.source == "kept"
    assert "not on this machine" in shown.note


def test_how_far_an_epoch_is_stands_in_the_row_while_it_trains(states: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(states / "cut-off", run)
    index = Index(tmp_path)
    with locked_folder(run):
        [before] = index.summaries()
        assert (before.state, before.within) == ("training", None)
        write_progress(run, 4, 96, 1_000, 0.5)
        [summary] = index.summaries()
        assert summary.within == EpochProgress(epoch=4, images=96, of=1_000, loss=0.5)
        write_progress(run, 4, 128, 1_000, float("nan"))
        assert progress(run) == EpochProgress(epoch=4, images=128, of=1_000, loss=None)
        (run / ".progress").write_text('{"epoch": 4, "ima')
        assert index.summaries()[0].within is None
    assert index.summaries()[0].state == "cut off"
    write_progress(tmp_path / "gone", 1, 1, 1, 1.0)  # nothing ends because it cannot be told
    assert not (tmp_path / "gone").exists()


def test_a_training_tells_its_folder_how_far_it_is_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Quiet(Watcher):
        def __init__(self) -> None:
            self.heard: list[tuple[str, int]] = []

        def batch_done(self, images: int, loss: float) -> None:
            self.heard.append(("batch", images))

        def epoch_done(self, row: dict[str, float], best: bool) -> None:
            self.heard.append(("epoch", int(row["epoch"])))

    now = 100.0
    # This name alone: a server in a thread would take another time.monotonic for its own, and sleep for hours.
    monkeypatch.setattr("firstlight.experiments.progress.monotonic", lambda: now)
    inner = Quiet()
    told = FolderProgress(inner, tmp_path)
    told.training_started(5, 640, 2)
    told.batch_done(32, 1.5)
    assert progress(tmp_path) == EpochProgress(epoch=3, images=32, of=640, loss=1.5)
    now += 0.5
    told.batch_done(64, 1.4)
    assert progress(tmp_path) == EpochProgress(epoch=3, images=32, of=640, loss=1.5)  # not yet
    now += 0.6
    told.epoch_done({"epoch": 3.0}, True)
    told.batch_done(32, 1.2)
    assert progress(tmp_path) == EpochProgress(epoch=4, images=32, of=640, loss=1.2)
    assert inner.heard == [("batch", 32), ("batch", 64), ("epoch", 3), ("batch", 32)]
