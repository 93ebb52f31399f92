"""docs/why/benchmarks.md, from the record alone."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.goals import goals
from benchmarks.passages import PASSAGES, Lines, table
from firstlight.types import Json

HERE = Path(__file__).parent


def page(record: Json) -> str:
    """The whole page."""
    sections = record["sections"]
    introduction = (HERE / "introduction.md").read_text().format(instructions=_instructions(sections))
    lines = [introduction, *_where(sections), "", *_goals(sections)]
    for name, (title, write) in PASSAGES.items():
        if name in sections:
            lines += ["", f"## {title}", "", *write(sections[name]), "", _note(sections[name])]
    if missing := [name for name in PASSAGES if name not in sections]:
        lines += ["", "## Not measured yet", "", f"`python -m benchmarks --only {' '.join(missing)}`"]
    return "\n".join([*lines, "", (HERE / "method.md").read_text().format(idle=_idle(sections))])


def _instructions(sections: Json) -> str:
    """What the title says of the processor, where all sections that tell were measured on one kind."""
    found = {section["instructions"] for section in sections.values() if "instructions" in section}
    return f", {found.pop()}" if len(found) == 1 else ""


def _where(sections: Json) -> Lines:
    """Machines and versions; more than one where sections were measured in different places."""
    found: dict[str, list[str]] = {}
    for name, section in sections.items():
        machine = section["machine"]
        versions = ", ".join(f"{package} {version}" for package, version in section["versions"].items())
        instructions = f" with {section['instructions']}" if "instructions" in section else ""
        text = (
            f"{machine['processor']}{instructions}, {machine['cores']} cores, {machine['memory_gb']} GB, "
            f"{machine['system']}, Python {section['python']}; {versions}."
        )
        found.setdefault(text, []).append(name)
    if len(found) == 1:
        return list(found)
    return [f"{text} ({', '.join(names)})\n" for text, names in found.items()]


def _goals(sections: Json) -> Lines:
    found = list(goals(sections))
    rows = [
        (goal.what, goal.goal, goal.found, "reached" if goal.reached else "**missed**")
        for goal in found
        if goal.reached is not None
    ]
    missing = "; ".join(goal.what for goal in found if goal.reached is None)
    told = ["", f"Not measured yet: {missing}."] if missing else []
    return ["## The goals", "", *table(("", "goal", "found", ""), rows, left=4), *told]


def _note(section: Json) -> str:
    """When, of what, how often."""
    quick = " **A quick look with few turns, no measurement.**" if section["quick"] else ""
    revision = f" on revision {section['git']}" if section["git"] else ""
    counts = {len(turns) for case in _cases(section) for turns in case["turns"].values()}
    n = f", n = {', '.join(map(str, sorted(counts)))}" if counts else ""
    return f"*Measured {section['started'][:10]}{revision}{n}, in {section['seconds']:.0f} s.*{quick}"


def _cases(section: Json) -> list[Json]:
    return section.get("cases") or ([section] if "turns" in section else [])


def _idle(sections: Json) -> str:
    shares = [
        share for section in sections.values() for case in _cases(section) for share in case.get("idle", {}).values()
    ]
    if not shares:
        return "not watched yet"
    return f"idle, they used at most {max(shares):.1%} of a core, in the median {statistics.median(shares):.1%}"
