"""Sections as Markdown, for a file that is read in a repository or on a model hub.

Texts are escaped, so that none is markup: they hold names that anybody may have given. Charts and pictures are left
out; what they show must stand in a table or a text beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from firstlight.report.document import Beside, Block, Cell, Code, Heading, Link, Numbers, Section, Table, Text
from firstlight.text import printable

MARKS = str.maketrans({"&": "&amp;", "<": "&lt;", **{letter: f"\\{letter}" for letter in r"\`*_[]|~$"}})
LINKS = re.compile(r"://|@|\bwww\.", re.IGNORECASE)  # links, and names of people, without any mark
LEADS = re.compile(r"^(?:[-+=>#]|\d{1,9}[.)](?!\S))")  # lists, headings and quotations


def markdown(sections: Iterable[Section]) -> str:
    """The sections, below headings of the second level."""
    parts = [part for section in sections for part in (f"## {escaped(section.title)}", *_blocks(section.blocks))]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """A text on one line in which nothing is markup, an element of HTML or a link."""
    line = " ".join(printable(text).split()).translate(MARKS)
    line = LINKS.sub(lambda found: re.sub("[:@.]", lambda mark: f"&#{ord(mark[0])};", found[0]), line)
    return LEADS.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", line)


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Heading):
            yield f"### {escaped(block.text)}"
        elif isinstance(block, Text):
            yield f"{'**Warning:** ' if block.tone == 'warning' else ''}{escaped(block.text)}"
        elif isinstance(block, Numbers):
            yield _table([(one.label, one.value, one.detail) for one in block.items])
        elif isinstance(block, Table):
            caption = [escaped(block.caption)] if block.caption else []
            yield from [] if block.titles else [f"**{text}**" for text in caption]
            yield _table(block.rows, block.titles, block.right, block.strong)
            yield from caption if block.titles else []
        elif isinstance(block, Code):
            yield from [escaped(block.title)] if block.title else []
            yield _code(block.text)
        elif isinstance(block, Beside):
            yield from _blocks(block.blocks)


def _table(
    rows: Sequence[Sequence[Cell]],
    titles: Sequence[str] = (),
    right: frozenset[int] = frozenset(),
    strong: frozenset[int] = frozenset(),
) -> str:
    """Every row as long as the longest; without titles, the titles are empty, as Markdown has no table without."""
    width = max(map(len, [titles, *rows]))
    lines = [_row([*titles, *[""] * (width - len(titles))])]
    lines.append(_row(["---:" if column in right else "---" for column in range(width)], plain=True))
    for number, row in enumerate(rows):
        texts = [cell.text if isinstance(cell, Link) else cell for cell in row]
        lines.append(_row([*texts, *[""] * (width - len(texts))], bold=number in strong))
    return "\n".join(lines)


def _row(cells: Sequence[str], plain: bool = False, bold: bool = False) -> str:
    texts = cells if plain else [escaped(cell) for cell in cells]
    return f"| {' | '.join(f'**{text}**' if bold and text else text for text in texts)} |"


def _code(text: str) -> str:
    """A block of code, in a fence that the text does not have."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"
