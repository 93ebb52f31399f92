"""firstlight side by side with its peers, measured and written down: `python -m benchmarks`.

Everything goes to docs/why/benchmarks.json, section by section, each whole or not at all; benchmarks.md beside it and
its plots are made from that. With --quick, a look whether all works, it goes to runs/benchmarks instead.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks import plots, record
from benchmarks.contestants import CONTESTANTS, PEERS
from benchmarks.page import page
from benchmarks.processes import CommandError
from benchmarks.record import RecordError
from benchmarks.sections import SECTIONS, Options
from benchmarks.workers import WorkerError
from firstlight.errors import FirstlightError
from firstlight.files import write_text

ROUNDS, QUICK = 7, 2
BEGUN = Path("runs/benchmarks-begun")  # sections that are not whole yet


def main() -> int:
    """Measure what is asked for and write the page; the exit code."""
    asked = _arguments()
    console = Console(stderr=True, highlight=False)
    options = Options(asked.rounds, asked.quick, tuple(asked.peers), asked.seeds)
    path = asked.out / record.NAME
    usual = [name for name, section in SECTIONS.items() if section.usual]
    try:
        record.read(path)
        for name in [] if asked.page else asked.only or usual:
            console.print(f"[bold]{name}[/bold]")
            began = time.perf_counter()
            begun = BEGUN / f"{name}.json"
            # A quick look keeps nothing: it must not take the place of cases that were measured.
            found = SECTIONS[name].measure(options if asked.quick else replace(options, begun=begun))
            record.put(path, name, found, options, time.perf_counter() - began)
            if not asked.quick:
                begun.unlink(missing_ok=True)
            console.print(f"  {time.perf_counter() - began:.0f} s")
        known = record.read(path)
        plots.write(known, asked.out / "images", asked.png)
        write_text(asked.out / "benchmarks.md", page(known))
    except (WorkerError, CommandError, RecordError, FirstlightError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print(
            "Interrupted. Whole sections are kept, and cases of the next one for when it is measured again; "
            "--page writes the page again.",
            soft_wrap=True,
        )
        return 130
    console.print(f"Written: {asked.out / 'benchmarks.md'}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=f"measure these alone: {', '.join(SECTIONS)}"
    )
    parser.add_argument("--rounds", type=int, help=f"turns of each contestant; {ROUNDS}, or more")
    parser.add_argument("--quick", action="store_true", help="see whether all works: few turns, no measurement")
    parser.add_argument(
        "--peers", nargs="*", choices=PEERS, default=PEERS, metavar="PEER", help=f"beside whom: {', '.join(PEERS)}"
    )
    parser.add_argument("--seeds", type=int, default=Options.seeds, help="fashion-fast and its like: runs of each")
    parser.add_argument("--page", action="store_true", help="measure nothing: write page and plots again")
    parser.add_argument("--png", action="store_true", help="the plots as PNG beside the SVG")
    parser.add_argument("--out", type=Path, help="the folder to write to")
    asked = parser.parse_args()
    if asked.rounds is None:
        asked.rounds = QUICK if asked.quick else ROUNDS
    elif asked.rounds < (1 if asked.quick else ROUNDS):
        parser.error(f"--rounds: a median of fewer than {ROUNDS} is not a measurement (--quick takes fewer).")
    asked.out = asked.out or Path("runs/benchmarks" if asked.quick else "docs/why")
    for name in asked.peers:
        if CONTESTANTS[name].missing:
            print(f"Left out: {name} ({' and '.join(CONTESTANTS[name].missing)} not installed)", file=sys.stderr)
    return asked


if __name__ == "__main__":
    sys.exit(main())
