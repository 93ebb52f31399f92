"""How much memory there is for a process, and the size above which images are mapped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from firstlight import memory
from firstlight.errors import DataError


@pytest.mark.parametrize(
    ("given", "size"), [("500", 500), ("500 MB", 500_000_000), ("1.5gb", 1_500_000_000), ("20k", 20_000), ("0", 0)]
)
def test_a_limit_that_is_given(given: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, given)
    assert memory.limit() == size


@pytest.mark.parametrize("given", ["much", "-1", "2 bananas", "1e9"])
def test_a_limit_that_is_no_size_is_an_error(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, given)
    with pytest.raises(DataError, match=r"FIRSTLIGHT_MEMORY_LIMIT must be a number of bytes.*received"):
        memory.limit()


def test_a_third_of_the_memory_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    assert memory.limit() == memory.total() // 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other limits")
@pytest.mark.parametrize("which", ["RLIMIT_DATA", "RLIMIT_AS"])
def test_less_where_ulimit_says_so(which: str) -> None:
    code = (
        f"import resource; resource.setrlimit(resource.{which}, (3_000_000_000,) * 2); "
        "from firstlight import memory; print(memory.total())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) <= 3_000_000_000


@pytest.mark.parametrize(
    ("line", "file"), [("0::/jobs/one", "jobs/memory.max"), ("7:cpu,memory:/jobs", "memory/jobs/memory.limit_in_bytes")]
)
def test_less_where_a_control_group_says_so(line: str, file: str, tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text(f"3:pids:/elsewhere\n{line}\n")
    place = root / file
    place.parent.mkdir(parents=True)
    place.write_text("1500000000\n")
    assert [*memory._cgroups(root, own)] == [1_500_000_000]
    place.write_text("max\n")
    assert [*memory._cgroups(root, own)] == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is the peak")
def test_what_is_in_use_grows_with_an_array() -> None:
    import numpy as np

    before = memory.in_use()
    array = np.ones(80_000_000, np.uint8)  # more than what malloc may have at hand
    assert memory.in_use() - before > 0.9 * len(array)
