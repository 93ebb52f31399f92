"""The numbers of several studies as one page of Markdown, made from their folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firstlight.errors import RunError
from firstlight.evaluation import Spread
from firstlight.report.grouped import link, named_runs
from firstlight.report.groups import Group, present, read_study, tasks, winners
from firstlight.report.notes import merged
from firstlight.report.numbers import UNDEFINED, count, counted, listed
from firstlight.report.published import MARKS, standing
from firstlight.runs import StudyFolder
from firstlight.types import Json

FILES = "../src/firstlight/study/files"  # where the packaged study files lie, seen from docs/

INTRODUCTION = """\
# The studies

Every experiment of the notebooks that this project began with, as a file that anyone can run: \
`firstlight study NAME`. This page is made from the run folders by `firstlight study --table docs/studies.md`; no \
number in it was typed.

- **Ours** is the test accuracy, mean ± standard deviation over n seeds (n − 1 in the divisor), or that of the one \
seed where there are no others. A seed draws the split, the initial weights, the order of the images and whatever else \
is random.
- The weights of a run are chosen by its validation images, where it has such, and then measured on the test images, \
once. ★ marks the best of a study by mean validation accuracy, never by test.
- **Published** is one run of the notebook, unless its note says otherwise. {above} ours is higher by more than two of \
our standard deviations, {within} within two, {below} lower by more; {higher} and {lower} where a single seed has no \
standard deviation, {equal} where it is the same to the last digit. {above}, {within}, {higher} and {equal} count as \
reached.
- **Validation**, where a study has such columns: what the notebook gives is the greatest validation accuracy over its \
epochs. It stands beside the same of ours, which is flattered alike: neither is a test.
- **Seconds** are those of training one run, on the mean: without reading the images, compiling and the report. Runs \
of a study may have shared the machine with others; a speed is measured in [benchmarks.md](benchmarks.md).
"""


def study_table(studies: Sequence[StudyFolder], folder: Path) -> str:
    """The page: an introduction, where the runs took place, all published numbers, and a table for each study.

    A study without any result is named and has no table; a run that cannot be read is named and counts as missing.

    folder  where the page will lie, for its links
    Raises RunError where no study has a result.
    """
    read = [(study, read_study(study)) for study in studies]
    if not any(present(groups) for _, groups in read):
        raise RunError("None of these studies has a result yet, so there is no table to write.")
    found = [groups for _, groups in read]
    parts = [INTRODUCTION.format(**MARKS), *_machines(found), *_summary(found)]
    for study, groups in read:
        parts += [f"## {_plain(study.title)}", *_study(study, groups, folder)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _machines(known: Sequence[Sequence[Group]]) -> list[str]:
    """Where the runs took place: versions and machines, each once."""
    places = [r.environment for groups in known for group in groups for r in group.runs.values()]
    found = dict.fromkeys(_machine(place) for place in places)
    torch = dict.fromkeys(f"torch {place['torch']}" for place in places if "torch" in place)
    also = f" ({', '.join(torch)} where that is the engine)" if torch else ""
    return [f"Measured on {_plain('; '.join(found) + also)}."]


def _machine(place: Json) -> str:
    machine = place.get("machine") or {}
    packages = [f"{name} {v}" for name, v in (place.get("packages") or {}).items() if name in ("numpy", "numba")]
    memory = machine.get("memory_gb")
    parts = (
        machine.get("processor"),
        f"{machine['cores']} cores" if machine.get("cores") else "",
        f"{memory:.1f} GB" if memory else "",
        machine.get("system"),
        f"Python {place['python']}" if "python" in place else "",
        f"firstlight {place['firstlight']}" if "firstlight" in place else "",
        *packages,
    )
    return ", ".join(str(part) for part in parts if part)


def _summary(known: Sequence[Sequence[Group]]) -> list[str]:
    """How many of the published numbers are reached, and how many were not tried."""
    given = [claim for groups in known for group in groups for claim in group.claims]
    judged = [claim.reached for claim in given if claim.ours is not None]
    if not judged:
        return []
    tried = f"{counted(len(judged), 'published number')} that {'was' if len(judged) == 1 else 'were'} tried"
    left = len(given) - len(judged)
    others = f"; {counted(left, 'other')} {'has' if left == 1 else 'have'} no result yet" if left else ""
    verb = "is" if sum(judged) == 1 else "are"
    return [f"{count(sum(judged))} of {tried} {verb} reached within two standard deviations, or beaten{others}."]


def _study(study: StudyFolder, groups: Sequence[Group], folder: Path) -> list[str]:
    about = "\n\n".join(" ".join(part.split()) for part in study.about.split("\n\n"))
    file = _file(study, folder)
    if not present(groups):
        unread = any(group.unread for group in groups)
        told = [f"{file}: no run has a result {'that can be read' if unread else 'yet'}."]
        return [*told, "\n".join(_lost(groups))] if unread else told
    notes = [f"- **{_plain(group.name)}**: {_plain(' '.join(group.note.split()))}" for group in groups if group.note]
    notes += [*_lost(groups), *(f"- {_plain(text)}" for text in merged(named_runs(groups)))]
    return [part for part in (_plain(about), file, _table(groups), "\n".join(notes)) if part]


def _lost(groups: Sequence[Group]) -> list[str]:
    """The seeds without a number, and whether that is because they were not tried, failed, or cannot be read."""
    told = []
    for group in groups:
        untried = [seed for seed in group.missing if seed not in group.failed]
        for said, seeds in (("no result of", untried), ("failed:", group.failed), ("cannot be read:", group.unread)):
            if seeds:
                told.append(f"- **{_plain(group.name)}**: {said} {listed([f'seed {seed}' for seed in seeds])}.")
    return told


def _file(study: StudyFolder, folder: Path) -> str:
    """The name of the study's file as a link: to the packaged one where that is the same, else to the study's own."""
    name, packaged = f"{study.name}.toml", folder / FILES / f"{study.name}.toml"
    if not study.file.is_file():
        return _plain(name)
    same = packaged.is_file() and packaged.read_bytes() == study.file.read_bytes()
    return f"[{_plain(name)}]({link(name, packaged if same else study.file, folder).target})"


def _table(groups: Sequence[Group]) -> str:
    others = list(dict.fromkeys(name for group in groups for name in group.beside))
    ahead = {id(group) for task in tasks(groups) for group in winners(task)}
    best = any(group.published_validation is not None for group in groups)
    validation = ["published, validation", "ours, validation"] if best else []
    titles = ["run", "published", "ours", *validation, "n", "seconds", *map(_plain, others)]
    lines = [_line(titles), _line(["---", *["---:"] * (len(titles) - 1)])]
    for group in groups:
        name = f"{_plain(group.name)}{' ★' if id(group) in ahead else ''}"
        given = [group.published, *(group.beside.get(other) for other in others)]
        if not group.runs:
            published, *beside = [_number(number) for number in given]
            claimed = [_number(group.published_validation), UNDEFINED] if best else []
            lines.append(_line([name, published, UNDEFINED, *claimed, "0", UNDEFINED, *beside]))
            continue
        ours = group.accuracy
        published, *beside = [_beside(ours, number) for number in given]
        seconds = group.seconds
        time = "" if seconds is None else f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"
        greatest = group.best_validation
        claimed = [_beside(greatest, group.published_validation), mean(greatest) if greatest else ""] if best else []
        lines.append(_line([name, published, mean(ours), *claimed, str(ours.n), time, *beside]))
    return "\n".join(lines)


def mean(ours: Spread) -> str:
    """A mean with its standard deviation, as a fraction: 0.9066 ± 0.0010."""
    return f"{ours.mean:.4f}" if ours.sd is None else f"{ours.mean:.4f} ± {ours.sd:.4f}"


def _number(number: float | None) -> str:
    return "" if number is None else f"{number:.4f}"


def _beside(ours: Spread | None, number: float | None) -> str:
    return _number(number) if number is None or ours is None else f"{number:.4f} {MARKS[standing(ours, number)]}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return text
