"""A run is stopped from another process, as the dashboard does it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import firstlight as fl
from firstlight.experiments import train as training_run
from firstlight.locks import is_locked
from firstlight.records.locked_folder import STOP, ask_to_stop
from firstlight.records.run_folder import RunFolder


@pytest.mark.slow
def test_a_run_that_is_asked_to_stop_ends_as_after_ctrl_c(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["run", "--data", "digits", "--model", "slim-cnn", "--epochs", "5000", "--out", str(run)]
    with subprocess.Popen([sys.executable, "-m", "firstlight", *command], stdout=subprocess.PIPE, text=True) as process:
        try:
            while not (run / "history.csv").is_file():
                assert process.poll() is None, "it ended before its first epoch"
                time.sleep(0.02)
            ask_to_stop(run)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert f"firstlight resume {run}" in out
    folder = RunFolder.open(run)
    assert folder.result.status == "interrupted"
    assert folder.result.test.images == 359
    assert not (run / STOP).exists()
    assert not is_locked(run)
    epochs = folder.result.epochs.run
    assert 1 <= epochs < 5000
    # It can be resumed, and a request that was left lying does not stop what continues.
    (run / STOP).touch()
    text = (run / "experiment.toml").read_text().replace("epochs = 5000", f"epochs = {epochs + 1}")
    (run / "experiment.toml").write_text(text)
    assert fl.resume(run, console=Console(quiet=True)).result["status"] == "finished"


def test_a_request_before_the_first_step_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plan = training_run._write_plan

    def asked_right_after(setup: Any, session: Any, out: Path) -> None:
        write_plan(setup, session, out)
        ask_to_stop(out)

    monkeypatch.setattr(training_run, "_write_plan", asked_right_after)
    run = fl.fit("mlp-128", "digits", epochs=50, out=tmp_path / "run", console=Console(quiet=True))
    assert run.folder.result.status == "interrupted"
    assert run.folder.result.epochs.run < 50


def test_there_is_nothing_to_stop_where_nothing_trains(tmp_path: Path) -> None:
    with pytest.raises(fl.RunError, match="nothing to stop"):
        ask_to_stop(tmp_path)
