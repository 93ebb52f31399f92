"""The numbers of several studies as one page of Markdown, made from their folders."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.errors import RunError
from firstlight.evaluation import Spread
from firstlight.report.grouped import named_runs
from firstlight.report.groups import Group, leader, of_study, present, selected, tasks
from firstlight.report.notes import merged
from firstlight.report.numbers import UNDEFINED, count, counted, listed
from firstlight.report.published import MARKS, reached, standing
from firstlight.runs import StudyFolder
from firstlight.types import Json

FILES = "../src/firstlight/study/files"  # where the study files lie, seen from docs/

INTRODUCTION = """\
# The studies

Every experiment of the notebooks that this project began with, as a file that anyone can run: \
`firstlight study NAME`. This page is made from the run folders by `firstlight study --table docs/studies.md`; no \
number in it was typed.

- **Ours** is the test accuracy, mean ± standard deviation over n seeds (n − 1 in the divisor). A seed draws the \
split, the initial weights, the order of the images and whatever else is random.
- The weights of a run are chosen by its validation images, where it has such, and then measured on the test images, \
once. ★ marks the best of a study by mean validation accuracy, never by test.
- **Published** is one run of the notebook, unless its note says otherwise. {above} ours is higher by more than two of \
our standard deviations, {within} within two, {below} lower by more; {higher} and {lower} where a single seed has no \
standard deviation.
- **Seconds** are those of training one run, on the mean: without reading the images, compiling and the report. Runs \
of a study may have shared the machine with others; a speed is measured in [benchmarks.md](benchmarks.md).
"""


def study_table(studies: Sequence[StudyFolder]) -> str:
    """The page: an introduction, where the runs took place, all published numbers, and a table for each study.

    A study without any result is named and has no table. Raises RunError where none has one.
    """
    read: list[tuple[StudyFolder, tuple[Group, ...] | None]] = []
    for study in studies:
        try:
            read.append((study, of_study(study)))
        except RunError:
            read.append((study, None))
    known = [groups for _, groups in read if groups is not None]
    if not known:
        raise RunError("None of these studies has a result yet, so there is no table to write.")
    parts = [INTRODUCTION.format(**MARKS), *_machines(known), *_summary(known)]
    for study, groups in read:
        parts += [f"## {_plain(study.title)}", *_study(study, groups)]
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
    """How many of all published numbers are reached."""
    judged = [
        reached(group.accuracy, group.published)
        for groups in known
        for group in present(groups)
        if group.published is not None
    ]
    if not judged:
        return []
    of = counted(len(judged), "published number")
    return [f"{count(sum(judged))} of {of} that were tried are reached within two standard deviations, or beaten."]


def _study(study: StudyFolder, groups: Sequence[Group] | None) -> list[str]:
    file = f"[{_plain(study.name)}.toml]({FILES}/{study.name}.toml)"
    about = "\n\n".join(" ".join(part.split()) for part in study.about.split("\n\n"))
    if groups is None:
        return [f"{file}: no run has a result yet."]
    notes = [f"- **{_plain(group.name)}**: {_plain(' '.join(group.note.split()))}" for group in groups if group.note]
    notes += [
        f"- **{_plain(group.name)}**: no result of {listed([f'seed {seed}' for seed in group.missing])}."
        for group in groups
        if group.missing
    ]
    notes += [f"- {_plain(text)}" for text in merged(named_runs(groups))]
    return [part for part in (_plain(about), file, _table(groups), "\n".join(notes)) if part]


def _table(groups: Sequence[Group]) -> str:
    others = list(dict.fromkeys(name for group in groups for name in group.beside))
    ahead = {id(leader(task)) for task in tasks(groups) if selected(task) and len(task) > 1}
    titles = ["run", "published", "ours", "n", "seconds", *map(_plain, others)]
    lines = [_line(titles), _line(["---", *["---:"] * (len(titles) - 1)])]
    for group in groups:
        name = f"{_plain(group.name)}{' ★' if id(group) in ahead else ''}"
        given = [group.published, *(group.beside.get(other) for other in others)]
        if not group.runs:
            published, *beside = ["" if number is None else f"{number:.4f}" for number in given]
            lines.append(_line([name, published, UNDEFINED, "0", UNDEFINED, *beside]))
            continue
        ours = group.accuracy
        published, *beside = [_beside(ours, number) for number in given]
        seconds = group.seconds
        time = "" if seconds is None else f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"
        lines.append(_line([name, published, mean(ours), str(ours.n), time, *beside]))
    return "\n".join(lines)


def mean(ours: Spread) -> str:
    """A mean with its standard deviation, as a fraction: 0.9066 ± 0.0010."""
    return f"{ours.mean:.4f}" if ours.sd is None else f"{ours.mean:.4f} ± {ours.sd:.4f}"


def _beside(ours: Spread, number: float | None) -> str:
    return "" if number is None else f"{number:.4f} {MARKS[standing(ours, number)]}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return text
