"""A file system without locks, as some network file systems are: each lock fails with error number FIRSTLIGHT_LOCKS.

Python imports a module of this name by itself at its start.
"""

import fcntl
import os

NUMBER = int(os.environ.get("FIRSTLIGHT_LOCKS", "0"))


def refuse(*_):
    raise OSError(NUMBER, os.strerror(NUMBER))


if NUMBER:
    fcntl.flock = fcntl.lockf = refuse
