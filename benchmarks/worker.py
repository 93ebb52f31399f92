"""A worker: one contestant in a process of its own, which does what it is asked, line by line.

    python -m benchmarks.worker MODULE '{"option": …}'

A request is a line of JSON on standard input, the answer a line on standard output: {"ok": …} or {"error": "…"}.

    {"do": "prepare", "case": {…}}     build the net, try ways of computing, warm up -> parameters, what was chosen
    {"do": "turn", "repeats": 3}       three epochs, or three calls to predict -> seconds
    {"do": "job", "name": "…", …}      a function of the module's JOBS, with the other values as arguments

Whatever a library prints goes to standard error.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple, TextIO

from benchmarks.cases import Case


class Prepared(NamedTuple):
    """A contestant ready for a case.

    repeat  trains for so many epochs, or predicts so many times
    chosen  what was kept after trials, for the page
    """

    parameters: int
    repeat: Callable[[int], None]
    chosen: dict[str, Any]


class Desk:
    """Does what is asked of one contestant."""

    def __init__(self, module: ModuleType, options: dict[str, Any]) -> None:
        self.module = module
        self.options = options
        self.prepared: Prepared | None = None

    def answer(self, request: dict[str, Any]) -> Any:
        """Raises ValueError for a request that there is not."""
        do = request.pop("do")
        if do == "prepare":
            return self._prepare(Case.of(request["case"]))
        if do == "turn":
            return self._turn(request["repeats"])
        if do == "job":
            return self.module.JOBS[request.pop("name")](**self.options, **request)
        raise ValueError(f"A worker knows prepare, turn and job; received {do!r}.")

    def _prepare(self, case: Case) -> dict[str, Any]:
        self.prepared = None  # the net before may go
        gc.collect()
        began = time.perf_counter()
        self.prepared = self.module.prepare(case, **self.options)
        seconds = time.perf_counter() - began
        gc.collect()
        return {"parameters": self.prepared.parameters, "chosen": self.prepared.chosen, "seconds": seconds}

    def _turn(self, repeats: int) -> float:
        if self.prepared is None:
            raise ValueError("A turn comes after prepare.")
        began = time.perf_counter()
        self.prepared.repeat(repeats)
        return time.perf_counter() - began


def serve(desk: Desk, requests: TextIO, answers: TextIO) -> None:
    """Answer every line until there are no more."""
    for line in requests:
        try:
            answer = {"ok": desk.answer(json.loads(line))}
        except Exception as error:  # what a library raises is an answer; the next case may go well
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".partition("\n")[0]}
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    """Keep standard output for answers alone, then serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, options = sys.argv[1:]
    serve(Desk(importlib.import_module(module), json.loads(options)), sys.stdin, answers)


if __name__ == "__main__":
    main()
