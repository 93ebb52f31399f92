"""Checkpoints: the newest sound one is found, and a damaged one is passed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firstlight.training import Checkpoint, Progress, newest, save


def checkpoint(epoch: int) -> Checkpoint:
    history = tuple({"epoch": float(e + 1), "loss": 1 / (e + 1)} for e in range(epoch))
    arrays = {"m": np.full(3, epoch, np.float32), "t": np.array(epoch)}
    return Checkpoint(
        np.full(3, epoch, np.float32), np.ones(3, np.float32), arrays, Progress(history, best=1, waited=2, seconds=3.5)
    )


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    save(tmp_path, checkpoint(4))
    found, damaged = newest(tmp_path)
    assert found is not None
    assert damaged == []
    assert found.progress == checkpoint(4).progress
    assert (found.vector == 4).all()
    assert (found.best == 1).all()
    assert found.optimizer.keys() == {"m", "t"}
    assert found.optimizer["t"] == 4


def test_the_history_comes_back_to_the_last_sign(tmp_path: Path) -> None:
    """A penalty of 0 is an integer, and so it stays: a run that is resumed has the same history.csv."""
    row = {"epoch": 1.0, "loss": 0.5, "penalty": 0}
    save(tmp_path, Checkpoint(np.zeros(1), np.zeros(1), {}, Progress((row,), best=1, waited=0, seconds=1.0)))
    found, _ = newest(tmp_path)
    assert found is not None
    assert repr(found.progress.history) == repr((row,))


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for epoch in (1, 2, 9, 10, 11):
        save(tmp_path, checkpoint(epoch))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch-00010", "epoch-00011"]


def test_the_newest_is_the_one_of_the_most_epochs(tmp_path: Path) -> None:
    """As text, epoch-100000 comes before epoch-99999."""
    for epoch in (11, 9):
        save(tmp_path, checkpoint(epoch))
    (tmp_path / "epoch-00011").rename(tmp_path / "epoch-100000")
    (tmp_path / "epoch-00009").rename(tmp_path / "epoch-99999")
    found, _ = newest(tmp_path)
    assert found is not None
    assert found.progress.epoch == 11
    save(tmp_path, checkpoint(10))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch-100000", "epoch-99999"]


@pytest.mark.parametrize("damage", ["truncate", "flip", "no manifest", "no arrays", "bad manifest"])
def test_a_damaged_one_is_passed_over(tmp_path: Path, damage: str) -> None:
    for epoch in (1, 2):
        save(tmp_path, checkpoint(epoch))
    folder = tmp_path / "epoch-00002"
    arrays = folder / "arrays.safetensors"
    data = arrays.read_bytes()
    match damage:
        case "truncate":
            arrays.write_bytes(data[:-1])
        case "flip":
            arrays.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "no manifest":
            (folder / "manifest.json").unlink()
        case "no arrays":
            arrays.unlink()
        case "bad manifest":
            (folder / "manifest.json").write_text("{")
    found, damaged = newest(tmp_path)
    assert found is not None
    assert found.progress.epoch == 1
    assert damaged == ([] if damage == "no manifest" else [folder]), "one without a manifest was never complete"


def test_nothing_there_is_none(tmp_path: Path) -> None:
    assert newest(tmp_path / "absent") == (None, [])
