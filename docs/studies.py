"""Writes docs/why/studies.md again from the run folders of the packaged studies.

.venv/bin/python docs/studies.py [RUNS] [--shared]     # the folder of the studies' folders; runs otherwise

The section of a study that has no folder there stays as it is, and so does a row for which its folder has no result, so
that a study, or some runs of it, can be run again at a time. With --shared the seconds are left out: the machine had
other work.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from firstlight import report
from firstlight.experiments import packaged
from firstlight.files import write_text
from firstlight.records import run_folder
from firstlight.records.study_folder import StudyFolder
from firstlight.report.published import MARKS

PAGE = Path(__file__).absolute().parent / "why" / "studies.md"

PREFACE = """\
# The studies

Every experiment of the notebooks that this project began with, as a file that anyone can run: \
`firstlight study NAME`. This page is made from the run folders by `docs/studies.py`, study by study; no number in it \
was typed. A line in italics says where a study was mended since it was run, and what was measured before; a run that \
has not been done yet has no number.

- **Test** is our test accuracy in percent, mean ± standard deviation over n seeds (n − 1 in the divisor), or that of \
the one seed where there are no others. A seed draws the split, the initial weights, the order of the images and \
whatever else is random.
- The weights of a run are chosen by its validation images, where it has such, and then measured on the test images, \
once. ★ marks the best of a study by mean validation accuracy, never by test. **Training** is the accuracy in the \
epoch whose weights were kept, measured while it trained, with dropout and augmentation where there are any.
- **Published** is one run of the notebook, unless its note says otherwise. {above} ours is higher by more than two of \
our standard deviations, {within} within two, {below} lower by more; {higher} and {lower} where a single seed has no \
standard deviation, {equal} where it is the same to the last digit. {above}, {within}, {higher} and {equal} count as \
reached.
- **Validation**, where a study has such columns: what the notebook gives is the greatest validation accuracy over its \
epochs. It stands beside the same of ours, which is flattered alike: neither is a test.
- **Seconds** are those of training one run, on the mean: without reading the images, compiling and the report. A \
dash stands where the machine had other work; a speed is measured in [benchmarks.md](benchmarks.md).
"""


MEASURED = re.compile(r"^Measured on (.*)\.$", re.MULTILINE)
COUNTED = re.compile(r"^\d+ of \d+ published numbers.*\.$", re.MULTILINE)
DASH = "—"  # in a cell of which there is no number
FILE = re.compile(r"^\[([\w-]+\.toml)\]", re.MULTILINE)
NO_RESULT = re.compile(r"- \*\*(.+)\*\*: no result of ")
REACHED = [MARKS[mark] for mark in ("above", "within", "higher", "equal")]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/why/studies.md again.")
    parser.add_argument("runs", nargs="?", default="runs", type=Path, help="the folder of the studies' folders")
    parser.add_argument("--shared", action="store_true", help="the machine had other work: leave the seconds out")
    given = parser.parse_args()
    folders = [given.runs / name for name in packaged() if (given.runs / name / run_folder.STUDY).is_file()]
    studies = [StudyFolder.open(folder) for folder in folders]
    kept = PAGE.read_text(encoding="utf-8")
    report.write_study_table(studies, PAGE, PREFACE.format(**MARKS))
    written = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, merged(kept, without_seconds(written) if given.shared else written))
    print(PAGE)


def without_seconds(page: str) -> str:
    """The page with a dash for every number of seconds."""
    lines: list[str] = []
    column = -1
    for line in page.splitlines():
        cells = _cells(line)
        if cells[0] == "run":
            column = cells.index("seconds") if "seconds" in cells else -1
        elif line.startswith("| ") and column > 0 and cells[0] != "---":
            cells[column] = DASH
            line = _row(cells)
        lines.append(line)
    return "\n".join(lines) + "\n"


def merged(before: str, after: str) -> str:
    """The page `after` with the sections of `before` that it lacks, both places, and the published numbers counted."""
    head, new = _parts(after)
    old_head, old = _parts(before)
    sections = [_with_rows(new[name], old.get(name, "")) if name in new else old[name] for name in {**old, **new}]
    places = [place for text in (old_head, head) for found in MEASURED.findall(text) for place in found.split("; ")]
    head = MEASURED.sub(lambda _: f"Measured on {'; '.join(dict.fromkeys(places))}.", head)
    return "\n\n".join([COUNTED.sub("", head).strip(), published(sections), *sections]) + "\n"


def _with_rows(section: str, before: str) -> str:
    """The section with the cells of `before` in the rows of runs of which it has no result itself.

    A section without any result is as it was before. Where rows are kept, no run is marked as the best: runs that were
    measured at different times do not tell which.
    """
    rows, old = _rows(section), _rows(before)
    if not rows:
        return before or section
    lines, keeps = [], False
    notes = {noted[1]: line for line in before.splitlines() if (noted := NO_RESULT.match(line))}
    for line in section.splitlines():
        run = _run(line)
        if line.startswith("| ") and run in old and rows[run]["n"] == "0":
            cells = [old[run].get(title, DASH) for title in list(rows[run])[1:]]
            line = _row([run, *cells])
            keeps = keeps or old[run]["n"] != "0"
        elif (noted := NO_RESULT.match(line)) and rows[noted[1]]["n"] == "0" and noted[1] in old:
            if noted[1] not in notes:
                continue
            line = notes[noted[1]]
        lines.append(line)
    text = "\n".join(lines)
    return text.replace(" ★ |", " |") if keeps else text


def _rows(section: str) -> dict[str, dict[str, str]]:
    """The cells of a section's table by the run and the title of the column."""
    titles, *rows = [_cells(line) for line in section.splitlines() if line.startswith("| ")] or [[]]
    return {_run(_row(row)): dict(zip(titles, row, strict=True)) for row in rows[1:]}


def _run(row: str) -> str:
    return _cells(row)[0].removesuffix(" ★")


def _cells(line: str) -> list[str]:
    return line.removeprefix("| ").removesuffix(" |").split(" | ")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def published(sections: list[str]) -> str:
    """How many of the published numbers in the tables of sections are reached."""
    marks: list[str] = []
    for text in sections:
        rows = [_cells(line) for line in text.splitlines() if line.startswith("| ")]
        places = [n for n, title in enumerate(rows[0]) if title.startswith("published")] if rows else []
        marks += [row[n][-1] for row in rows[2:] for n in places if row[n]]
    tried = [mark for mark in marks if mark in MARKS.values()]
    reached, left = sum(mark in REACHED for mark in tried), len(marks) - len(tried)
    return (
        f"{reached} of {len(tried)} published numbers that were tried are reached within two standard deviations, or "
        f"beaten; {left} others have no result yet."
    )


def _parts(page: str) -> tuple[str, dict[str, str]]:
    """What a page begins with, and its sections by the files of their studies."""
    head, *sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    return head, {FILE.findall(text)[0]: text.strip() for text in sections}


if __name__ == "__main__":
    main()
