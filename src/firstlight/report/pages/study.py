"""The report of a study: its folder in, a document out. The experiments and their results come first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from firstlight.errors import RunError
from firstlight.files import TOML_LIMIT, is_file, read_text
from firstlight.records import exports
from firstlight.records.group import Group, of_study, present
from firstlight.records.group_folder import GroupFolder
from firstlight.records.run_folder import REPORT, RESULT
from firstlight.records.study_folder import PARITY, StudyFolder
from firstlight.report.document import (
    Block,
    Cell,
    Code,
    Document,
    Link,
    Section,
    Table,
    Text,
)
from firstlight.report.format import DASH, UNDEFINED, counted, date
from firstlight.report.pages import comparison, contents
from firstlight.report.sections import reproduce, results

SEARCHES = "search-"
BEST = "best.toml"


def document(folder: StudyFolder, place: Path | None = None) -> Document:
    """The report of a study, to lie in `place` or else in its folder. Raises RunError where no run has a result."""
    place = place or folder.path
    groups = of_study(folder)
    found = present(groups)
    parts = (
        Section("The experiments", "tried", _tried(folder, groups, place)),
        *contents.sections(contents.COMPARED, groups, place),
        _further(folder, place),
        Section("How to reproduce it", "reproduce", _reproduce(folder, found)),
    )
    return Document(
        kind_of=f"Study of {counted(len(groups), 'experiment')}{f' over {folder.folds} folds' if folder.folds else ''}",
        title=folder.title,
        subtitle=" · ".join([folder.name, ", ".join(dict.fromkeys(group.first.data for group in found)), _when(found)]),
        verdict=comparison.verdict(groups),
        numbers=comparison.headline(groups),
        sections=tuple(part for part in parts if part is not None),
        source="the runs of the study",
    )


def _when(groups: Sequence[Group]) -> str:
    began = [record.environment.started for group in groups for record in group.runs.values()]
    return date(max(filter(None, began), default=None))


def _tried(folder: StudyFolder, groups: Sequence[Group], place: Path) -> tuple[Block, ...]:
    notes = tuple((group.name, group.note) for group in groups if group.note)
    blocks: list[Block] = [Text(part) for part in folder.about.split("\n\n") if part.strip()]
    blocks.append(results.table(results.numbers(groups), place))
    if notes:
        blocks.append(Table(notes, caption="Notes"))
    return tuple(blocks)


def _further(folder: StudyFolder, place: Path) -> Section | None:
    """Links from `place` to what else the study made: its searches and its check of the gradients."""
    rows: list[tuple[Cell, ...]] = []
    for search in sorted(folder.path.glob(f"{SEARCHES}*/")):
        name = search.name.removeprefix(SEARCHES)
        if (search / RESULT).is_file():
            made = [
                Link.to(search / file, text, place) if (search / file).is_file() else UNDEFINED
                for text, file in (("history, importance", REPORT), ("the best experiment", BEST))
            ]
            rows.append((f"search {name}", *made))
        else:
            rows.append((f"search {name}", "no result yet", DASH))
    for entry in folder.entries:
        rows += _exports(folder.path / entry.name, f"{entry.name}, all nets as one", place)
    if (folder.path / PARITY).is_file():
        rows.append(("gradients by hand and by autograd", Link.to(folder.path / PARITY, "parity", place), DASH))
    if not rows:
        return None
    table = Table(titles=("what", "report", "file"), rows=tuple(rows), caption="Further results of the study.")
    return Section("Beyond the runs", "beyond", (table,))


def _exports(home: Path, name: str, place: Path) -> Iterator[tuple[Cell, ...]]:
    """What the nets of an entry were exported to together; nothing where its records cannot be read."""
    if not is_file(home / exports.EXPORTS):
        return
    try:
        group = GroupFolder.open(home)
        found = [(one, exports.state(group, one)) for one in exports.read(group)]
    except RunError:
        return
    for one, since in found:
        verified = f"verified by {one.runtime}" if one.verified else "not verified"
        yield name, Link.to(group.path / one.path, one.title, place), f"{since} since" if since else verified


def _reproduce(folder: StudyFolder, groups: Sequence[Group]) -> tuple[Block, ...]:
    file = folder.file
    blocks: list[Block] = [Code(f"firstlight study {file.name}", title="With the file below, in a shell:")]
    try:
        text = read_text(file, limit=TOML_LIMIT, inside=folder.path)
        blocks.append(Code(text.rstrip("\n"), title=file.name, folded=True))
    except (OSError, ValueError):
        blocks = [Text(f"The study file was not kept: {file.name} is missing or damaged.", tone="warning")]
    return (*blocks, *reproduce.where(groups))
