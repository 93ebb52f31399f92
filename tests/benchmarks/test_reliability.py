"""A short round of each program that attacks firstlight, and what the programs themselves can tell apart."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from benchmarks.reliability.attack import MOST_MEMORY, Attack
from benchmarks.reliability.page import page
from benchmarks.reliability.programs import PROGRAMS

from firstlight.errors import DataError


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished runs that the programs start from."""
    return tmp_path_factory.mktemp("kept")


def test_a_refusal_survives(tmp_path: Path) -> None:
    def refuse() -> None:
        raise DataError("That is not an image.")

    attack = Attack(0, 1, tmp_path)
    attack.read("refused", refuse)
    attack.read("taken", lambda: 3)
    assert (attack.tried, attack.survived, attack.faults) == (2, 2, [])


@pytest.mark.parametrize("error", [ValueError("x"), RecursionError(), MemoryError(), KeyError("x"), AssertionError()])
def test_any_other_error_is_a_fault(tmp_path: Path, error: Exception) -> None:
    def fail() -> None:
        raise error

    attack = Attack(0, 1, tmp_path)
    attack.read("failed", fail)
    [fault] = attack.faults
    assert (attack.survived, fault.first) == (0, "failed")
    assert type(error).__name__ in fault.kind


def test_what_is_taken_and_wrong_is_a_fault(tmp_path: Path) -> None:
    attack = Attack(0, 1, tmp_path)
    attack.read("wrong", lambda: 3, lambda found: f"taken, and {found}")
    assert [fault.kind for fault in attack.faults] == ["taken, and 3"]


def test_a_read_that_takes_too_long_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.reliability.attack.LONGEST_READ", 1)
    attack = Attack(0, 1, tmp_path)
    attack.read("slow", lambda: time.sleep(5))
    assert attack.survived == 0


def test_a_read_that_takes_too_much_memory_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.reliability.attack.MOST_MEMORY", 50 << 20)
    attack = Attack(0, 1, tmp_path)
    attack.read("large", lambda: len(b"x" * (200 << 20)))
    attack.read("small", lambda: len(b"x" * (1 << 20)))
    assert [fault.first for fault in attack.faults] == ["large"]
    assert MOST_MEMORY == 2 << 30


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    one, other, else_ = (Attack(seed, 1, tmp_path).random("x", 3).random() for seed in (0, 0, 1))
    assert one == other != else_


def test_the_page_tells_each_fault_as_it_is() -> None:
    entry: dict[str, Any] = {
        "tried": 1200, "survived": 1199, "seconds": 3.0, "seed": 0, "notes": [], "git": "abc", "python": "3.11.7",
        "date": "2026-01-01", "machine": {"processor": "P", "cores": 2, "system": "S"},
        "faults": [{"kind": "a `tick` <b>", "first": "x\ny", "count": 1}],
    }  # fmt: skip
    text = page(dict.fromkeys(PROGRAMS, entry))
    assert len(re.findall(r"^\| \[", text, re.MULTILINE)) == len(PROGRAMS)
    assert "| 1,200 | 1,199 |" in text
    assert "- 1 × `a 'tick' <b>`; the first: `x y`" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_short_round_survives(name: str, tmp_path: Path, kept: Path) -> None:
    attack = Attack(seed=2, seconds=1, work=tmp_path, kept=kept)
    PROGRAMS[name].attack(attack)
    assert attack.tried > 0
    assert attack.faults == []
