"""The settings in which several runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firstlight.records.group import Group, differences, noun, present, seed_of
from firstlight.report.document import Block, Section, Table
from firstlight.report.format import DASH
from firstlight.report.settings import value_text


@dataclass(frozen=True)
class SettingsDifferences:
    """The settings whose values differ, with the value in each group, a dash for none.

    several  what any group has several of, "seed" or "fold"; "" where each is a single run
    """

    groups: Sequence[str]
    settings: Mapping[str, Sequence[str]]
    several: str


def numbers(groups: Sequence[Group]) -> SettingsDifferences:
    """Those of the groups of which there are runs; the seed among them where each has a single run."""
    found = present(groups)
    several = any(len(group.runs) > 1 for group in found)
    seeds = [{} if several else {"seed": seed_of(group.first.run)} for group in found]
    settings = differences([group.settings | seed for group, seed in zip(found, seeds, strict=True)])
    shown = {key: [DASH if v is None else value_text(v) for v in values] for key, values in settings.items()}
    differing = {key: values for key, values in shown.items() if len(set(values)) > 1}
    return SettingsDifferences([group.name for group in found], differing, noun(found) if several else "")


def table(found: SettingsDifferences) -> Table:
    """A row per group and a column per setting, or the other way about where there are more settings than groups."""
    only = f", and in each only the {found.several} changes" if found.several else ""
    caption = f"The settings in which they differ; all others are the same{only}."
    if len(found.settings) > len(found.groups):
        rows = tuple((key, *values) for key, values in found.settings.items())
        return Table(titles=("setting", *found.groups), rows=rows, caption=caption)
    rows = tuple(zip(found.groups, *found.settings.values(), strict=True))
    return Table(titles=("run", *found.settings), rows=rows, caption=caption)


def section(groups: Sequence[Group]) -> Section | None:
    """The table, where they differ in anything."""
    found = numbers(groups)
    return Section("Settings that differ", "differences", (table(found),)) if found.settings else None


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd differences, by what is odd."""
    settings = {"model.name": ("a", "<b>"), "optimizer.lr": ("0.1", DASH), "constructor": ("1", "2")}
    return {
        "more settings than groups": (table(SettingsDifferences(["a", "b"], settings, several="seed")),),
        "one setting": (table(SettingsDifferences(["a", "b"], {"model.name": ("a", "b")}, several="")),),
    }
