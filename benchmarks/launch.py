"""Run a command and print its seconds, peak memory in bytes and exit code as JSON: `python -I -S launch.py COMMAND …`.

Its seconds are those of the clock; `processor` are those that all its threads and processes computed.

It imports next to nothing: a process starts out with the peak memory of whoever started it.
"""

import json
import os
import sys
import time


def main() -> None:
    """What the command prints goes nowhere; its errors go where ours go."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    command = sys.argv[1:]
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere, 1)])
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    told = {"seconds": seconds, "processor": usage.ru_utime + usage.ru_stime, "memory": memory}
    print(json.dumps({**told, "code": os.waitstatus_to_exitcode(status)}))


if __name__ == "__main__":
    main()
