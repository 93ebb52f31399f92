"""`python -m benchmarks.reliability`: attack firstlight, and write down what survived."""

from __future__ import annotations

import argparse
import atexit
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import date
from pathlib import Path

from rich.console import Console

from benchmarks.reliability.attack import Attack
from benchmarks.reliability.page import page
from benchmarks.reliability.programs import PROGRAMS
from firstlight.experiments.environment import environment
from firstlight.files import write_json, write_text
from firstlight.records.codec import encode
from firstlight.types import Json


def main() -> int:
    """Run what is asked for, one program after the other; the exit code is 1 where something did not survive."""
    asked = _arguments()
    console = Console(stderr=True, highlight=False)
    record = asked.out / "reliability.json"
    found: dict[str, Json] = json.loads(record.read_text()) if record.exists() else {}
    all_survived = True
    kept = Path(tempfile.mkdtemp(prefix="firstlight-reliability-"))
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    for name in asked.only or PROGRAMS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=kept, ignore_cleanup_errors=True) as work:
            attack = Attack(asked.seed, asked.seconds, Path(work), kept)
            PROGRAMS[name].attack(attack)
        seconds = time.monotonic() - began
        console.print(f"{name}: {attack.tried} tried, {attack.survived} survived, {seconds:.0f} s")
        for fault in attack.faults:
            console.print(f"  {fault.count} × {fault.kind}; the first: {fault.first}", markup=False, soft_wrap=True)
            all_survived = False
        found[name] = {
            **encode(environment()),
            "date": date.today().isoformat(),
            "seed": asked.seed,
            "seconds": round(seconds, 1),
            "tried": attack.tried,
            "survived": attack.survived,
            "faults": [asdict(fault) for fault in attack.faults],
            "notes": attack.notes,
        }
        asked.out.mkdir(parents=True, exist_ok=True)
        write_json(record, found)
        write_text(asked.out / "reliability.md", page(found))
    console.print(f"Written: {asked.out / 'reliability.md'}")
    return 0 if all_survived else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, metavar="PROGRAM", help=", ".join(PROGRAMS))
    parser.add_argument("--seconds", type=float, default=300, help="how long each may continue; 300 unless given")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn")
    parser.add_argument("--out", type=Path, default=Path("docs/why"), help="where reliability.md and .json go")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
