"""Tables of the reports, on a terminal."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from firstlight.cautions import Caution

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from firstlight import report
    from firstlight.evaluation import Evaluation
    from firstlight.records.study_folder import StudyFolder
    from firstlight.report import document

# Beside what is recorded of runs
HIDDEN_WHEN_NARROW = ("training accuracy", "gap, points", "test loss", "epochs (kept)", "paired", "p, sign-flip")
LEAST = 12  # columns of the terminal for a text, for which the first numbers are left out where need be


def rich_table(
    table: document.Table, width: int, hidden: Collection[str] = HIDDEN_WHEN_NARROW, wide: int = 120, strong: str = ""
) -> Table:
    """A table of a report, for a terminal of that many columns: numbers stay whole, texts wrap where words end.

    hidden  the titles that are left out where it has fewer than `wide`
    strong  the style of the rows that stand out
    """
    from rich.markup import escape
    from rich.table import Table

    shown = [place for place, title in enumerate(table.titles) if width >= wide or title not in hidden]
    titles = {place: _title(table.titles[place]) for place in shown}
    cells = {place: [plain(_text(row[place])) for row in table.rows] for place in shown}
    natural = {place: max(_width(text) for text in (titles[place], *cells[place])) for place in shown}
    texts = [place for place in shown if place not in table.right]
    numbers = [place for place in shown if place in table.right]
    left = _left(width, natural, texts, numbers)
    while left < sum(min(LEAST, natural[place]) for place in texts) and len(numbers) > 1:
        numbers = numbers[1:]
        left = _left(width, natural, texts, numbers)
    widths = _shared(left, {place: natural[place] for place in texts})
    made = Table(box=None, header_style="bold")
    kept = sorted([*texts, *numbers])
    for place in kept:
        if place in widths:
            cells[place] = [_wrapped(text, widths[place]) for text in cells[place]]
            made.add_column(escape(titles[place]), overflow="fold", max_width=widths[place])
        else:
            made.add_column(escape(titles[place]), justify="right", no_wrap=True, min_width=natural[place])
    for number in range(len(table.rows)):
        row = (escape(cells[place][number]) for place in kept)
        made.add_row(*row, style=strong if number in table.strong else "")
    return made


def _title(text: str) -> str:
    """A title on two lines."""
    return text.replace(", ", ",\n") if "," in text else text.replace(" ", "\n", 1)


def _text(cell: document.Cell) -> str:
    return cell if isinstance(cell, str) else cell.text


def _width(text: str) -> int:
    from rich.cells import cell_len

    return max((cell_len(line) for line in text.split("\n")), default=0)


def _wrapped(text: str, width: int) -> str:
    """A text in lines that end where words do, or after a hyphen or slash of a name."""
    lines = [""]
    for part in re.findall(r" +|[^ /-]*[/-]|[^ /-]+", text):
        if lines[-1] and _width(f"{lines[-1]}{part}".rstrip(" ")) > width:
            lines.append("")
        lines[-1] += part if lines[-1] else part.lstrip(" ")
    return "\n".join(line.rstrip(" ") for line in lines)


def _left(width: int, natural: Mapping[int, int], texts: Collection[int], numbers: Collection[int]) -> int:
    """What columns of numbers leave for texts, with a space on both sides of each column."""
    return width - sum(natural[place] for place in numbers) - 2 * (len(texts) + len(numbers))


def _shared(left: int, natural: Mapping[int, int]) -> dict[int, int]:
    """The room that there is shared among columns: those that need less than the others have what they need."""
    found: dict[int, int] = {}
    for place in sorted(natural, key=lambda place: natural[place]):
        found[place] = max(1, min(natural[place], left // (len(natural) - len(found))))
        left -= found[place]
    return found


def print_outcome(console: Console, subject: StudyFolder | report.Comparison) -> None:
    """The accuracies of runs side by side, which differences are significant, and the outcome in a sentence."""
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


def tell_metrics(measured: Evaluation) -> None:
    """A line of the further metrics, and one for each that gave no number."""
    import typer

    from firstlight.report.format import scored

    told = [f"{score.title} {plain(scored(score))}" for score in measured.scores if score.value is not None]
    if told:
        typer.echo(", ".join(told))
    for score in measured.scores:
        if score.value is None:
            typer.echo(Caution.METRIC_WITHOUT_NUMBER.note(f"{score.title} has no number: {score.trouble}."))
