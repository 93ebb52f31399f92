"""Writes docs/studies.md anew from the run folders of the packaged studies.

.venv/bin/python docs/studies.py [RUNS]     # the folder of the studies' folders; runs otherwise

The section of a study that has no folder there stays as it is, so that one study can be run anew at a time.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from firstlight import report
from firstlight.experiments import packaged
from firstlight.files import write_text
from firstlight.records import run_folder
from firstlight.report.published import MARKS

PAGE = Path(__file__).absolute().parent / "studies.md"

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
- **Seconds** are those of training one run, on the mean: without reading the images, compiling and the report. Runs \
of a study may have shared the machine with others; a speed is measured in [benchmarks.md](benchmarks.md).
"""


MEASURED = re.compile(r"^Measured on (.*)\.$", re.MULTILINE)
COUNTED = re.compile(r"^\d+ of \d+ published numbers.*\.$", re.MULTILINE)
REACHED = [MARKS[mark] for mark in ("above", "within", "higher", "equal")]


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    folders = [root / name for name in packaged() if (root / name / run_folder.STUDY).is_file()]
    studies = [run_folder.StudyFolder.open(folder) for folder in folders]
    kept = PAGE.read_text(encoding="utf-8")
    report.write_study_table(studies, PAGE, PREFACE.format(**MARKS))
    write_text(PAGE, merged(kept, PAGE.read_text(encoding="utf-8")))
    print(PAGE)


def merged(before: str, after: str) -> str:
    """The page `after` with the sections of `before` that it lacks, both places, and the published numbers counted."""
    head, new = _parts(after)
    old_head, old = _parts(before)
    sections = [
        (new | {title: text for title, text in old.items() if title not in new})[title] for title in {**old, **new}
    ]
    places = [place for text in (old_head, head) for found in MEASURED.findall(text) for place in found.split("; ")]
    head = MEASURED.sub(lambda _: f"Measured on {'; '.join(dict.fromkeys(places))}.", head)
    return "\n\n".join([COUNTED.sub("", head).strip(), published(sections), *sections]) + "\n"


def published(sections: list[str]) -> str:
    """How many of the published numbers in the tables of sections are reached."""
    marks: list[str] = []
    for text in sections:
        rows = [[cell.strip() for cell in line.split(" | ")] for line in text.splitlines() if line.startswith("| ")]
        places = [n for n, title in enumerate(rows[0]) if title.startswith("published")] if rows else []
        marks += [row[n][-1] for row in rows[2:] for n in places if row[n]]
    tried = [mark for mark in marks if mark in MARKS.values()]
    reached, left = sum(mark in REACHED for mark in tried), len(marks) - len(tried)
    return (
        f"{reached} of {len(tried)} published numbers that were tried are reached within two standard deviations, or "
        f"beaten; {left} others have no result yet."
    )


def _parts(page: str) -> tuple[str, dict[str, str]]:
    """What a page begins with, and its sections by their titles."""
    head, *sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    return head, {text.splitlines()[0]: text.strip() for text in sections}


if __name__ == "__main__":
    main()
