"""A contestant for the tests of the protocol: well or ill as its option says."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from benchmarks.cases import Case
from benchmarks.worker import Prepared


def prepare(case: Case, behaviour: str = "well") -> Prepared:
    print("libraries chat on standard output")
    if behaviour == "fails":
        raise RuntimeError(f"no kernel for {case.model}")
    if behaviour == "dies":
        print("out of memory, goodbye", file=sys.stderr)
        sys.stderr.flush()
        os._exit(3)
    if behaviour == "sleeps":
        time.sleep(60)
    count = case.build().parameters + (behaviour == "another net")
    return Prepared(count, lambda times: time.sleep(0.01 * times), {"behaviour": behaviour})


def add(behaviour: str, numbers: list[float]) -> dict[str, Any]:
    return {"behaviour": behaviour, "sum": sum(numbers)}


JOBS = {"add": add}
