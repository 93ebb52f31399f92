"""How much memory there is for this process, and above what size images are mapped from the disk instead."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from firstlight.errors import DataError, brief

VARIABLE = "FIRSTLIGHT_MEMORY_LIMIT"
SHARE = 3  # images may take a third of the memory: a run holds them beside the net, and splitting copies them
UNKNOWN = 1 << 40  # bytes, where a machine does not tell
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)b?", re.IGNORECASE)


def limit() -> int:
    """The bytes of pixels above which a set of images is kept in a store on the disk and mapped.

    That of FIRSTLIGHT_MEMORY_LIMIT, such as "2 GB"; a third of `total` where it is not set. Raises DataError where it
    is not a size.
    """
    given = os.environ.get(VARIABLE, "")
    if not given:
        return total() // SHARE
    if (found := _SIZE.fullmatch(given.strip())) is None:
        raise DataError(
            f'{VARIABLE} must be a number of bytes, or a size such as "500 MB" or "2 GB"; received {brief(given)!r}.'
        )
    return int(float(found[1]) * _UNITS[found[2].lower()])


def total() -> int:
    """The bytes of memory for this process: the machine's, or what its cgroups or limits (ulimit) leave it."""
    return min([UNKNOWN, *_machine(), *_cgroups(), *_limits()])


def in_use() -> int:
    """The bytes of memory that this process holds, without files that are mapped; 0 where the system does not tell.

    Pages of a mapped file are the system's, which takes them back whenever it wants them.
    """
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return 1024 * int(line.split()[1])
    with suppress(ImportError, OSError):
        import resource  # not on Windows

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else 1024 * used
    return 0


def _machine() -> Iterator[int]:
    with suppress(AttributeError, ValueError, OSError):
        yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cgroups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """The limits of the control groups that this process is in, of version 2 and 1; "max" and nonsense are none."""
    with suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            base, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
            folder = base / place.lstrip("/")
            for one in (folder, *folder.parents):
                if one == base.parent:
                    break
                with suppress(OSError, ValueError):
                    if (size := int((one / name).read_text())) > 0:
                        yield size


def _limits() -> Iterator[int]:
    """Those of `ulimit -v` (all addresses) and `ulimit -d` (what is written to)."""
    with suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
            soft, _ = resource.getrlimit(kind)
            if soft != resource.RLIM_INFINITY and soft > 0:
                yield soft
