"""The library that draws charts, in a process of its own: its JavaScript engine may end whatever process it runs in.

It does so where the address space is limited (`ulimit -v`), and where memory or threads run out. Here that is one chart
that cannot be drawn. The process starts with the first chart and serves until this one ends.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

PROCESS = Path(__file__).with_name("vega_worker.py")
SECONDS = 120.0  # for one chart, after which it is given up
SAID = 300  # characters of a reason


class ChartError(Exception):
    """A chart cannot be drawn; the text is a reason, without a full stop, that can follow a colon."""


class Renderer:
    """Draws one chart at a time, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __call__(self, function: str, **arguments: Any) -> str:
        """What a function of vl-convert returns, bytes in Base64. Raises ChartError."""
        request = json.dumps([function, arguments]).encode() + b"\n"
        with self._lock:
            try:
                answer, printed = self._ask(request)
            except OSError as error:
                self._end()
                raise ChartError(f"the process that draws it cannot be started: {error.strerror}") from None
            except BaseException:  # such as Ctrl-C: the answer that comes now would be taken for the next one
                self._end()
                raise
        wrong = answer.get("error") or next((line for line in printed.splitlines() if line.startswith("ERROR ")), "")
        if wrong:
            raise ChartError(_sentence(wrong.removeprefix("ERROR ")))
        return str(answer["text"])

    def start(self) -> None:
        """Start the process, to warm up while a report is made. Where it fails, the first chart tells."""
        with self._lock, suppress(OSError):
            if self._process is None or self._process.poll() is not None:
                self._start()

    def close(self) -> None:
        """End the process; the next chart starts another."""
        with self._lock:
            self._end()

    def _ask(self, request: bytes) -> tuple[dict[str, str], str]:
        """The answer, and what was printed meanwhile."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        process, log = self._process, self._log
        assert process is not None
        assert process.stdin
        assert process.stdout
        assert log is not None
        log.seek(0)
        log.truncate()
        late = threading.Timer(SECONDS, process.kill)
        late.daemon = True
        late.start()
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(request)
                process.stdin.flush()
            line = process.stdout.readline()
        finally:
            late.cancel()
        log.seek(0)
        printed = log.read().decode(errors="replace")
        if not line.endswith(b"\n"):
            raise ChartError(self._why_it_ended(printed))
        answer: dict[str, str] = json.loads(line)
        return answer, printed

    def _start(self) -> None:
        self._end()
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        # Its own session: Ctrl-C is for this process, which ends that one by closing its input.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(PROCESS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def _why_it_ended(self, printed: str) -> str:
        """Why the process gave no answer."""
        assert self._process is not None
        code = self._process.wait()
        self._end()
        if limit := _address_space():
            return (
                f"the library that draws it needs more address space than the {limit} GiB that this process may have "
                "(ulimit -v)"
            )
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
            return f"the process that draws it was ended by {name}"
        return f"the process that draws it ended with exit code {code}: {_sentence(printed)}"

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with suppress(OSError):
                        pipe.close()
            process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None


def _sentence(text: str) -> str:
    """The line of an error that says what was wrong: of a traceback of Python the last, of another one the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.endswith("failed:")]
    if not lines:
        return "it does not say why"
    said = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return re.sub(r"\s+", " ", said)[:SAID].rstrip(". ")


def _address_space() -> str:
    """How many GiB this process may map; empty where that has no limit."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return ""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return "" if soft == resource.RLIM_INFINITY else f"{soft / 2**30:.3g}"


render = Renderer()


def _forget() -> None:
    """In a process that was forked: that of its parent is the parent's."""
    global render
    if render._process is not None:
        render._process.returncode = 0
    render = Renderer()


atexit.register(lambda: render.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
