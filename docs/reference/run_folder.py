"""The files that runs, studies and searches leave behind: run_folder.md."""

from __future__ import annotations

import re
from collections.abc import Iterator

from docs.reference.commands import explained
from docs.reference.markdown import escaped, table

from firstlight.records import run_folder, search_folder
from firstlight.records.study_folder import StudyFolder

INTRODUCTION = """\
# What is left behind

Made by `python -m docs.reference` from the program itself. Every file is written whole or not at all, and nothing is \
ever unpickled. What is read is checked: a file that is not the one that the run wrote, weights that are no finite \
numbers, and records of other kinds are named and refused. Of a folder, regular files inside it alone are read, each \
up to a limit."""

FOLDERS = {
    "The folder of a run": run_folder.__doc__,
    "The folder of a study, or of folds": StudyFolder.__doc__,
    "The folder of a search": search_folder.__doc__,
}


def files(text: str | None) -> dict[str, str]:
    """What a docstring says of each file that it lists, indented, by its name."""
    found: dict[str, str] = {}
    name = ""
    for line in (text or "").splitlines():
        if entry := re.match(r" {4}(\S+(?: and \S+)?) +(\S.*)$", line):
            name = entry[1]
            found[name] = entry[2]
        elif name and line.startswith(" " * 8):
            found[name] += f" {line.strip()}"
        else:
            name = ""
    return found


def page() -> str:
    """The text of run_folder.md. Raises ValueError where a folder has no list."""
    return "\n\n".join([INTRODUCTION, *_parts()]) + "\n"


def _parts() -> Iterator[str]:
    for title, text in FOLDERS.items():
        yield f"## {title}"
        yield explained(escaped((text or "").partition("\n\n")[0].replace("\n", " ")), title)
        yield table(("file", "what it is"), ((f"`{name}`", escaped(about)) for name, about in files(text).items()))
