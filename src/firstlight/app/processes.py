"""firstlight in a process of its own, begun from a page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

DATA = "FIRSTLIGHT_DATA"


def firstlight(
    *arguments: str, output: int | IO[bytes], folder: Path | None = None, apart: bool = False
) -> subprocess.Popen[bytes]:
    """Begin `firstlight ARGUMENTS`; what it says, plain and in UTF-8, goes to `output`.

    folder   where it runs, if not where the server does
    apart    neither Ctrl-C nor the end of the server reaches it
    """
    more: dict[str, Any] = {}
    if apart and sys.platform == "win32":
        more = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}
    elif apart:
        more = {"start_new_session": True}
    # -P: what lies in the folder of runs is no module to import.
    command = [sys.executable, "-P", "-m", "firstlight", *arguments]
    plain = {**os.environ, "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1"}
    if data := plain.get(DATA):
        plain[DATA] = str(Path(data).expanduser().absolute())  # it may be relative to where the server runs
    if path := plain.get("PYTHONPATH"):
        plain["PYTHONPATH"] = os.pathsep.join(str(Path(each).absolute()) for each in path.split(os.pathsep) if each)
    return subprocess.Popen(
        command, cwd=folder, env=plain, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **more
    )
