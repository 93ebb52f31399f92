"""What the pages are written with: docstrings and tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence


def escaped(text: str) -> str:
    """Plain text as Markdown; what stands between backticks stays as it is."""
    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(part if part.startswith("`") and len(part) > 1 else _plain(part) for part in parts)


def _plain(text: str) -> str:
    return re.sub(r"([*_<\[\]])", r"\\\1", text)


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a docstring; what is indented is shown as it stands."""
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        lines = paragraph.split("\n")
        if all(line.startswith("    ") for line in lines):
            yield "\n".join(["```text", *(line[4:] for line in lines), "```"])
        else:
            yield " ".join(escaped(line.strip()) for line in lines)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are Markdown; a column without any text is left out."""
    found = [titles, *rows]
    shown = [place for place in range(len(titles)) if any(row[place] for row in found[1:])]
    lines = [[row[place].replace("|", "\\|").replace("\n", " ") for place in shown] for row in found]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (lines[0], ["---"] * len(shown), *lines[1:]))
