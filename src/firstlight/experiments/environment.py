"""Where a run took place: versions, machine, the commit that is checked out in the working folder."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from firstlight.files import open_file, read_text
from firstlight.processes import cores
from firstlight.records.codec import decode
from firstlight.records.environment import Environment

PACKAGES = ("numpy", "numba", "scikit-learn", "pillow", "safetensors", "pydantic")
SHOWN = 12  # digits of a commit
LARGEST_LINE, LARGEST_LIST = 4_096, 64_000_000  # bytes of git's files of one line, and of its list of branches


def environment(engine: Mapping[str, Any] | None = None) -> Environment:
    """The versions and the machine here and now, with what an engine says of itself (`Session.describe`)."""
    here = {
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
    return decode(Environment, {**here, **(engine or {})})


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
    """The commit that is checked out in the working folder, or the first above it that git keeps; None outside git.

    It is read from git's own files. Git itself would carry out what a configuration among them names, and the folder
    may be anybody's; whether files differ from the commit, git alone could tell.
    """
    try:
        folder = Path.cwd()
        git = next((place / ".git" for place in (folder, *folder.parents) if (place / ".git").exists()), None)
        return None if git is None else _head(git)
    except (OSError, ValueError):
        return None


def _head(git: Path) -> str | None:
    """The commit of HEAD, its first twelve digits."""
    if git.is_file():  # a worktree or a submodule: the file says where the folder is
        git = git.parent / _line(git).removeprefix("gitdir: ")
    common = git / _line(git / "commondir") if (git / "commondir").is_file() else git  # of all worktrees
    text = _line(git / "HEAD")
    if name := text.removeprefix("ref: ") if text.startswith("ref: ") else "":
        if not name.startswith("refs/") or ".." in name:
            return None
        loose = next((root / name for root in (git, common) if (root / name).is_file()), None)
        text = _packed(common / "packed-refs", name) if loose is None else _line(loose)
    return text[:SHOWN] if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", text) else None


def _packed(file: Path, name: str) -> str:
    """The commit of a branch in git's list of branches, or ""."""
    with open_file(file, limit=LARGEST_LIST) as lines:
        for line in lines:
            commit, _, found = line.decode("utf-8", "replace").rstrip().partition(" ")
            if found == name:
                return commit
    return ""


def _line(file: Path) -> str:
    return read_text(file, limit=LARGEST_LINE).strip()
