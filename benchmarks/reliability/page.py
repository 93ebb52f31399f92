"""docs/why/reliability.md: one table of what was tried and what survived, with the machine and the revision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.reliability.programs import PROGRAMS
from firstlight.types import Json

HEAD = """\
# Reliability

firstlight is attacked on purpose, by programs of its own: `make reliability`, or `python -m benchmarks.reliability
--only NAME --seconds S --seed N`. This page is what the last round of each found. A short round of each is part of
the test suite. What is promised, and what is not: [security](../guide/security.md).

| program | tried | survived | seconds | seed |
|---|---:|---:|---:|---:|
"""


def page(found: Mapping[str, Json]) -> str:
    """The page of all programs that have been run, in the order of PROGRAMS."""
    known = [name for name in PROGRAMS if name in found]
    rows = [
        f"| [{name}](#{name}) | {entry['tried']:,} | {entry['survived']:,} | {entry['seconds']:.0f} | {entry['seed']} |"
        for name in known
        for entry in [found[name]]
    ]
    return HEAD + "\n".join(rows) + "\n\n" + "\n".join(_section(name, found[name]) for name in known)


def _section(name: str, entry: Json) -> str:
    parts = [f"## {name}", PROGRAMS[name].about, *entry["notes"]]
    if entry["faults"]:
        parts.append("Not survived:\n\n" + "\n".join(map(_fault, entry["faults"])))
    machine = entry["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {entry['python']}"
    parts.append(f"*Revision {entry['git'] or 'unknown'}; {where}; {entry['date']}.*")
    return "\n\n".join(parts) + "\n"


def _fault(fault: Mapping[str, Any]) -> str:
    return f"- {fault['count']} × {_plain(fault['kind'])}; the first: {_plain(fault['first'])}"


def _plain(text: str) -> str:
    """Text of a program's, as Markdown shows it to the letter."""
    return "`" + text.replace("`", "'").replace("\n", " ") + "`"
