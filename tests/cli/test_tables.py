"""Tables on a terminal: numbers whole, texts in lines that end where words do, whatever its width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from firstlight.cli.tables import rich_table
from firstlight.report.document import Link, Table

NAME = "resnet20-with-warm-up-and-cosine-0"
TABLE = Table(
    titles=("compared with", "paired", "difference, points", "95 % interval", "p, McNemar", "conclusion"),
    rows=(
        (Link("c", "c/report.html"), "60 images", "+43.33", "+28.86 to +55.01", "<0.0001", f"{NAME} is better"),
        (NAME, "60 images", "+0.10", "−0.86 to +1.01", "0.1", "may be [chance]"),
    ),
    right=frozenset({2, 3, 4}),
)


def drawn(table: Table, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(rich_table(table, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 119])
def test_no_number_is_cut_and_no_word_broken(width: int) -> None:
    lines = drawn(TABLE, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for number in ("+43.33", "+28.86 to +55.01", "−0.86 to +1.01", "<0.0001"):
        assert number in text
    place = lines[1].index("conclusion")
    assert {line[place:].strip(" ") for line in lines[2:]} - {""} <= {
        *("resnet20-", "resnet20-with-", "resnet20-with-warm-", "resnet20-with-warm-up-", "resnet20-with-warm-up-and-"),
        *("with-warm-up-", "warm-up-and-", "and-cosine-0", "cosine-0 is", "cosine-0", "is better", "better"),
        *("cosine-0 is better", "and-cosine-0 is", "warm-up-and-cosine-0", "may be", "may be [chance]", "[chance]"),
        *("and-cosine-0 is better", "up-and-cosine-0 is", f"{NAME} is", f"{NAME} is better", NAME),
    }
    assert "paired" not in text


def test_a_narrow_terminal_has_the_last_numbers() -> None:
    lines = drawn(TABLE, 40)
    assert max(map(len, lines)) <= 40
    assert "+28.86 to +55.01" not in "\n".join(lines)
    assert "<0.0001" in "\n".join(lines)


def test_a_wide_one_has_all_on_a_line_each() -> None:
    lines = drawn(TABLE, 160)
    assert len(lines) == 2 + len(TABLE.rows)
    assert f"{NAME} is better" in lines[2]
    assert "60 images" in lines[2]


def test_short_texts_take_no_room_from_numbers() -> None:
    table = Table(titles=("run", "a", "b"), rows=(("x", "123456", "1234567"),), right=frozenset({1, 2}))
    assert drawn(table, 22)[1].split() == ["x", "123456", "1234567"]
