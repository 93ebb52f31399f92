"""`firstlight report` of a run as a process, by these sources and by others, in turns: wall and processor time.

git worktree add /tmp/before COMMIT && python -m benchmarks.report RUN --before /tmp/before/src
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parents[1] / "src"


def seconds(run: Path, sources: Path) -> tuple[float, float]:
    """Wall time, and the processor's in the process and those that it waited for."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "firstlight", "report", str(run)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(sources)}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{sources}: the report failed.")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a run, whose report is written again")
    parser.add_argument("--before", type=Path, required=True, help="the folder src of the other version")
    parser.add_argument("--times", type=int, default=9)
    asked = parser.parse_args()
    places = {"before": asked.before, "now": HERE}
    for sources in places.values():
        seconds(asked.run, sources)  # compiled to bytecode, and in the page cache
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in places}
    for _ in range(asked.times):
        for name, sources in places.items():
            found[name].append(seconds(asked.run, sources))
    for name, taken in found.items():
        for what, values in zip(("wall", "processor"), zip(*taken, strict=True), strict=True):
            spread = f"{min(values):.3f} to {max(values):.3f}"
            print(f"{name:6} {what:9} median {statistics.median(values):.3f} s ({spread}, n = {len(values)})")
    ratios = [now[1] / before[1] for before, now in zip(found["before"], found["now"], strict=True)]
    print(f"processor time, now / before, median of the pairs: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
