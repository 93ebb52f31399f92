"""The numbers of studies as one table, made from their folders: Markdown with notes, LaTeX, or CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from firstlight.errors import RunError
from firstlight.evaluation import Spread
from firstlight.files import TOML_LIMIT, read_bytes
from firstlight.records.environment import Environment
from firstlight.records.group import Group, named_runs, noun, present, read_study, standing
from firstlight.records.study_folder import StudyFolder
from firstlight.report import published
from firstlight.report.document import Link
from firstlight.report.format import UNDEFINED, bare_percent, count, counted
from firstlight.report.published import MARKS, MARKS_EXPLAINED
from firstlight.report.sections import results
from firstlight.report.sections.cautions import merged
from firstlight.text import listed

FILES = "../../src/firstlight/experiments/files"  # where the packaged study files lie, seen from docs/why/

LEGEND = """\
**Test**: the test accuracy in percent, mean ± standard deviation over n seeds (n − 1 in the divisor), or that of the \
only seed; of a study that says so, n are folds. ★: the best of a study by mean validation accuracy. **Training** is \
the accuracy in the epoch whose weights were kept, measured while it trained. **Seconds** are those of training one \
run, on the mean. **Ensemble** of n: one \
model, the mean of the probabilities of n nets, with its own accuracy and the seconds of them all."""

Read = Sequence[tuple[StudyFolder, Sequence[Group]]]


def study_table(studies: Sequence[StudyFolder], folder: Path, ending: str = ".md", preface: str = "") -> str:
    """The numbers of studies in the format of a file that ends so: a key of FORMATS.

    A study without any result is named where there is text, and has no rows; a run that cannot be read counts as
    missing.

    folder   where the file will lie, for its links
    preface  what a page of Markdown begins with, instead of a legend at its end
    Raises RunError where no study has a result, or where there is no such format.
    """
    must_be_a_format(ending)
    read = [(study, read_study(study)) for study in studies]
    if not any(present(groups) for _, groups in read):
        raise RunError("None of these studies has a result yet, so there is no table to write.")
    return FORMATS[ending.lower()](read, folder, preface)


def must_be_a_format(ending: str) -> None:
    """Raise RunError where there is no format of files that end so."""
    if ending.lower() not in FORMATS:
        raise RunError(f"A table is a file in {listed(list(FORMATS), 'or')}; received {ending or 'no ending'!r}.")


def _markdown(read: Read, folder: Path, preface: str) -> str:
    found = [groups for _, groups in read]
    parts = [*([preface] if preface else []), *_machines(found), *_summary(found)]
    for study, groups in read:
        parts += [f"## {_plain(study.title)}", *_study(study, groups, folder)]
    if not preface:
        numbers = any(group.claims or group.beside for groups in found for group in groups)
        parts.append(f"{LEGEND} {MARKS_EXPLAINED}" if numbers else LEGEND)
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _latex(read: Read, folder: Path, preface: str) -> str:
    """A table for each study, as the package booktabs draws it."""
    parts = ["% \\usepackage{booktabs}"]
    for study, groups in read:
        if present(groups):
            titles, rows = _cells(groups)
            lines = [" & ".join(map(_tex, cells)) + r" \\" for cells in (titles, *rows)]
            caption = f"Test accuracy in percent, mean and standard deviation over $n$ {noun(groups)}s."
            parts.append(
                "\n".join(
                    (
                        r"\begin{table}",
                        r"\centering",
                        rf"\caption{{{_tex(study.title)}. {caption}}}",
                        rf"\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}",
                        r"\toprule",
                        lines[0],
                        r"\midrule",
                        *lines[1:],
                        r"\bottomrule",
                        r"\end{tabular}",
                        r"\end{table}",
                    )
                )
            )
    return "\n\n".join(parts) + "\n"


TEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "★": r"$\star$",
    "≈": r"$\approx$",
    "▲": r"$\blacktriangle$",
    "▼": r"$\blacktriangledown$",
    "△": r"$\triangle$",
    "▽": r"$\triangledown$",
    "—": "---",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\n": " ",
}


def _tex(text: str) -> str:
    """Text that LaTeX shows as it is; the triangles are those of the package amssymb."""
    return "".join(TEX.get(sign, sign) for sign in text)


def _csv(read: Read, folder: Path, preface: str) -> str:
    """A line for each run of a study, numbers as they are: accuracies as fractions, nothing rounded."""
    others = list(dict.fromkeys(name for _, groups in read for group in groups for name in group.beside))
    names = ("test", "validation", "greatest_validation", "training", "loss")
    columns = [f"{name}{part}" for name in names for part in ("_mean", "_sd")]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    given = ["published", "published_validation"]
    writer.writerow(["study", "run", "best", "n", *columns, "parameters", "seconds", *given, *others])
    for study, groups in read:
        for result in results.numbers(groups):
            spreads = (result.test, result.validation, result.greatest_validation, result.training, result.loss)
            parts = [part for each in spreads for part in ((each.mean, each.sd) if each else (None, None))]
            beside = [result.published, result.published_validation, *(result.beside.get(name) for name in others)]
            row = [study.name, result.name, int(result.best), result.n, *parts]
            row += [result.recorded.get(place) for place in ("parameters.total", "seconds.train")]
            writer.writerow([*row, *beside])
    return file.getvalue()


FORMATS: dict[str, Callable[[Read, Path, str], str]] = {".md": _markdown, ".tex": _latex, ".csv": _csv}


def _machines(known: Sequence[Sequence[Group]]) -> list[str]:
    """Where the runs took place: versions and machines, each once."""
    places = [r.environment for groups in known for group in groups for r in group.runs.values()]
    found = dict.fromkeys(_machine(place) for place in places)
    torch = dict.fromkeys(f"torch {place.torch}" for place in places if place.torch)
    also = f" ({', '.join(torch)} where that is the engine)" if torch else ""
    return [f"Measured on {_plain('; '.join(found) + also)}."]


def _machine(place: Environment) -> str:
    machine = place.machine
    parts = (
        machine.processor,
        f"{machine.cores} cores" if machine.cores else "",
        f"{machine.memory_gb:.1f} GB" if machine.memory_gb else "",
        machine.system,
        f"Python {place.python}" if place.python else "",
        f"firstlight {place.firstlight}" if place.firstlight else "",
        *(f"{name} {version}" for name, version in place.packages.items() if name in ("numpy", "numba")),
    )
    return ", ".join(filter(None, parts))


def _summary(known: Sequence[Sequence[Group]]) -> list[str]:
    """How many of the published numbers are reached, and how many were not tried."""
    found = published.numbers([group for groups in known for group in groups])
    if not found.tried:
        return []
    tried = f"{counted(found.tried, 'published number')} that {'was' if found.tried == 1 else 'were'} tried"
    left = found.published - found.tried
    others = f"; {counted(left, 'other')} {'has' if left == 1 else 'have'} no result yet" if left else ""
    verb = "is" if found.reached == 1 else "are"
    return [f"{count(found.reached)} of {tried} {verb} reached within two standard deviations, or beaten{others}."]


def _study(study: StudyFolder, groups: Sequence[Group], folder: Path) -> list[str]:
    about = "\n\n".join(" ".join(part.split()) for part in study.about.split("\n\n"))
    file = _file(study, folder)
    if not present(groups):
        unread = any(group.unread for group in groups)
        told = [f"{file}: no run has a result {'that can be read' if unread else 'yet'}."]
        return [*told, "\n".join(_lost(groups))] if unread else told
    folds = [f"- Over {study.folds} folds of all images: n are folds, which share training images."] * bool(study.folds)
    notes = [f"- **{_plain(group.name)}**: {_plain(' '.join(group.note.split()))}" for group in groups if group.note]
    notes += [*folds, *_lost(groups), *(f"- {_plain(text)}" for text in merged(named_runs(groups)))]
    return [part for part in (_plain(about), file, _table(groups), "\n".join(notes)) if part]


def _lost(groups: Sequence[Group]) -> list[str]:
    """The seeds without a number, and whether that is because they were not tried, failed, or cannot be read."""
    told = []
    for group in groups:
        untried = [key for key in group.missing if key not in group.failed]
        for said, keys in (("no result of", untried), ("failed:", group.failed), ("cannot be read:", group.unread)):
            if keys:
                told.append(f"- **{_plain(group.name)}**: {said} {listed([group.title(key) for key in keys])}.")
    return told


def _file(study: StudyFolder, folder: Path) -> str:
    """The name of the study's file as a link: to the packaged one where that is the same, else to the study's own."""
    name = f"{study.name}.toml"
    packaged = Path(os.path.normpath(folder / FILES / name))  # the folder may still have to be made
    try:
        own = read_bytes(study.file, limit=TOML_LIMIT, inside=study.path)
    except OSError:
        return _plain(name)
    same = packaged.is_file() and packaged.read_bytes() == own
    return f"[{_plain(name)}]({Link.to(packaged if same else study.file, name, folder).target})"


def _table(groups: Sequence[Group]) -> str:
    titles, rows = _cells(groups)
    lines = [_line([*map(_plain, titles)]), _line(["---", *["---:"] * (len(titles) - 1)])]
    return "\n".join([*lines, *(_line([*map(_plain, row)]) for row in rows)])


def _cells(groups: Sequence[Group]) -> tuple[list[str], list[list[str]]]:
    """The titles and the rows of a study's table; accuracies are percentages."""
    found = results.numbers(groups)
    others = dict.fromkeys(name for result in found for name in result.beside)
    columns: dict[str, list[str]] = {"run": [f"{result.name}{' ★' * result.best}" for result in found]}
    if any(result.published is not None for result in found):
        columns["published, %"] = [_beside(result.test, result.published) for result in found]
    columns["test, %"] = [mean(result.test) for result in found]
    columns["n"] = [str(result.n) for result in found]
    if any(result.published_validation is not None for result in found):
        columns["published validation, %"] = [
            _beside(result.greatest_validation, result.published_validation) for result in found
        ]
        columns["greatest validation, %"] = [mean(result.greatest_validation) for result in found]
    if any(result.validation for result in found):
        columns["validation, %"] = [mean(result.validation) for result in found]
    columns["training, %"] = [mean(result.training) for result in found]
    columns["seconds"] = [_seconds(result.recorded.get("seconds.train")) for result in found]
    columns |= {name: [_beside(result.test, result.beside.get(name)) for result in found] for name in others}
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def _seconds(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def mean(ours: Spread | None) -> str:
    """A mean with its standard deviation, in percent: 90.66 ± 0.10."""
    if ours is None:
        return UNDEFINED
    return bare_percent(ours.mean, 2) + ("" if ours.sd is None else f" ± {100 * ours.sd:.2f}")


def _beside(ours: Spread | None, number: float | None) -> str:
    if number is None:
        return ""
    return bare_percent(number, 2) + (f" {MARKS[standing(ours, number)]}" if ours else "")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return text
