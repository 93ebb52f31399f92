"""Tables of the reports, on a terminal."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from firstlight import report
    from firstlight.records.study_folder import StudyFolder
    from firstlight.report import document

# Beside what is recorded of runs
HIDDEN_WHEN_NARROW = ("training accuracy", "gap, points", "test loss", "epochs (kept)", "paired", "p, sign-flip")


def rich_table(
    table: document.Table,
    width: int,
    hidden: Collection[str] = HIDDEN_WHEN_NARROW,
    wide: int = 120,
    strong: str = "",
    wraps: int = -1,
) -> Table:
    """A table of a report, for a terminal of that many columns.

    hidden  the titles that are left out where it has fewer than `wide`
    strong  the style of the rows that stand out
    wraps   the place, among those shown, of the column that gives way where all do not fit
    """
    from rich.markup import escape
    from rich.table import Table

    shown = [place for place, title in enumerate(table.titles) if width >= wide or title not in hidden]
    made = Table(box=None, header_style="bold")
    for place in shown:
        title = table.titles[place]
        title = escape(title.replace(", ", ",\n") if "," in title else title.replace(" ", "\n", 1))
        made.add_column(
            title, justify="right" if place in table.right else "left", no_wrap=place != shown[wraps], overflow="fold"
        )
    for number, row in enumerate(table.rows):
        cells = [cell if isinstance(cell, str) else cell.text for cell in row]
        made.add_row(*(escape(plain(cells[place])) for place in shown), style=strong if number in table.strong else "")
    return made


def print_outcome(console: Console, subject: StudyFolder | report.Comparison) -> None:
    """The accuracies of runs side by side, which differences are more than chance, and the outcome in a sentence."""
    from firstlight import report
    from firstlight.records import result

    found = report.outcome(subject)
    hidden = {*HIDDEN_WHEN_NARROW, *(shown.column for shown in result.shown().values())}
    for table in found.tables:
        console.print()
        console.print(rich_table(table, console.width, hidden))
    console.print(f"\n{plain(found.verdict)}", highlight=False, markup=False)


def plain(text: str) -> str:
    """Text without the signs that keep a line whole, for which some terminals have no picture."""
    return text.replace("\u2060", "")
