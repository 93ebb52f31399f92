"""Writes docs/studies.md anew from the run folders of the packaged studies.

.venv/bin/python docs/studies.py [RUNS]     # the folder of the studies' folders; runs otherwise
"""

from __future__ import annotations

import sys
from pathlib import Path

from firstlight import report, runs
from firstlight.report.published import MARKS
from firstlight.study import packaged

PAGE = Path(__file__).absolute().parent / "studies.md"

PREFACE = """\
# The studies

Every experiment of the notebooks that this project began with, as a file that anyone can run: \
`firstlight study NAME`. This page is made from the run folders by `docs/studies.py`; no number in it was typed.

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


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    folders = [root / name for name in packaged() if (root / name / runs.STUDY).is_file()]
    studies = [runs.StudyFolder.open(folder) for folder in folders]
    print(report.write_study_table(studies, PAGE, PREFACE.format(**MARKS)))


if __name__ == "__main__":
    main()
