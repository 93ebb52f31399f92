"""The lock of a folder: one holds it, whoever looks does not disturb, and the next comes in turn."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from firstlight import locks
from firstlight.locks import LOCK, LockedError, has_locks, is_locked, locked

HOLD = """
import sys
from pathlib import Path
from firstlight import locks
from firstlight.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_held_by_one_and_released_at_the_end(tmp_path: Path) -> None:
    assert not is_locked(tmp_path), "there is no lock yet"
    with locked(tmp_path) as missing:
        assert missing is None
        assert is_locked(tmp_path)
        assert has_locks(tmp_path)
        with pytest.raises(LockedError, match="another process"), locked(tmp_path):
            pass
    assert not is_locked(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert is_locked(tmp_path)
        process.kill()
        process.wait()
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        pass


def test_one_who_waits_comes_in_turn(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path, wait=True):
            order.append("second")

    with locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize("looking", [0, 1, 2])
def test_another_who_looks_is_not_taken_for_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looking: int
) -> None:
    (tmp_path / LOCK).touch()
    answers = iter([False] * looking + [True])
    monkeypatch.setattr(locks, "_lock", lambda file: next(answers))
    assert not is_locked(tmp_path)
