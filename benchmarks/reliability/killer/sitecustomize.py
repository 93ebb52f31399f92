"""Ends a process by SIGKILL just before the n-th change that it makes below a folder, or writes down each change.

Python imports a module of this name by itself at its start. It watches what Python says of its own changes
(https://docs.python.org/3/library/audit_events.html): opening for writing, renaming, removing, making folders.
Changes that C libraries make (SQLite's, say) are not seen.

    FIRSTLIGHT_KILL_FOLDER  below which folder
    FIRSTLIGHT_KILL_AT      before which change, from 1
    FIRSTLIGHT_KILL_LOG     the file to write the changes to
"""

import os
import signal
import sys

FOLDER = os.environ.get("FIRSTLIGHT_KILL_FOLDER", "")
AT = int(os.environ.get("FIRSTLIGHT_KILL_AT", "0"))
LOG = os.environ.get("FIRSTLIGHT_KILL_LOG", "")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
seen = 0


def watch(event, arguments):
    global seen
    if event == "open":
        path, _, flags = arguments
        if not flags & WRITES:
            return
        at = -1
    elif event == "os.rename":
        path, at = arguments[1], arguments[3]
    elif event == "os.mkdir":
        path, _, at = arguments
    elif event in ("os.remove", "os.rmdir"):
        path, at = arguments
    else:
        return
    if isinstance(path, int):
        return
    base = os.readlink(f"/proc/self/fd/{at}") if at >= 0 else os.getcwd()
    name = os.path.normpath(os.path.join(base, os.fsdecode(path)))
    if name != FOLDER and not name.startswith(FOLDER + os.sep):
        return
    seen += 1
    if LOG:
        with open(LOG, "a") as file:  # lies outside of the folder
            file.write(f"{event} {os.path.relpath(name, FOLDER)}\n")
    if seen == AT:
        os.kill(os.getpid(), signal.SIGKILL)


if FOLDER:
    FOLDER = os.path.abspath(FOLDER)
    sys.addaudithook(watch)
