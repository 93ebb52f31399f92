"""Where a run took place: versions, machine, git revision of the working folder."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from firstlight.processes import cores
from firstlight.types import Json

PACKAGES = ("numpy", "numba", "scikit-learn", "pillow", "safetensors", "pydantic")


def environment() -> Json:
    """What environment.json says, less what the engine says of itself."""
    return {
        "firstlight": metadata.version("firstlight"),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "machine": {
            "system": platform.platform(terse=True),
            "processor": _processor(),
            "cores": cores(),
            "memory_gb": _memory(),
        },
        "git": _revision(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def _revision() -> str | None:
    """The git revision of the working folder, with "+" where files differ from it; None outside git."""
    try:
        revision = _git("rev-parse", "--short=12", "HEAD")
        return revision + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()
