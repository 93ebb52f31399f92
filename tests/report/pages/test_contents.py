"""The one list of sections: every file of a section is shown somewhere, and all that it names is there."""

from __future__ import annotations

import inspect
import pkgutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.report.golden_pages import SUBJECTS
from tests.report.run_folders import MakeRun

from firstlight import report
from firstlight.notebook import cards
from firstlight.records.group import of_runs
from firstlight.records.run import read
from firstlight.report import sections
from firstlight.report.document import Heading
from firstlight.report.pages import contents
from firstlight.report.pages.contents import Chapter, Contents

PAGES = (contents.RUN, contents.COMPARISON, contents.SEARCH, contents.PARITY, contents.RATE)


def _file(name: str) -> Any:
    return import_module(f"{sections.__name__}.{name}")


FILES = {module.name for module in pkgutil.iter_modules(sections.__path__)}


def names(page: Contents) -> list[str]:
    return [name for part in page for name in (part.sections if isinstance(part, Chapter) else (part,))]


def test_each_section_is_on_a_page_and_once_on_each() -> None:
    assert {name for page in PAGES for name in names(page)} == FILES
    for page in PAGES:
        assert len(names(page)) == len(set(names(page)))


def test_sections_that_link_are_those_that_take_a_folder() -> None:
    given = {name: inspect.signature(_file(name).section).parameters for name in FILES}
    assert {name for name in FILES if "folder" in given[name]} == set(contents.LINKING)


def test_sections_of_an_explanation_are_on_its_card() -> None:
    assert {name for name in FILES if hasattr(_file(name), "card")} == set(contents.EXPLANATION_CARD)


CARDS = {
    "run": contents.RUN_CARD,
    "study": contents.STUDY_CARD,
    "search": contents.SEARCH_CARD,
    "parity": contents.PARITY_CARD,
}


@pytest.mark.parametrize("name", CARDS)
def test_what_a_card_names_is_on_the_page(name: str, tmp_path: Path) -> None:
    subject = SUBJECTS[name](tmp_path)
    anchors = [section.anchor for section in report.build_document(subject, tmp_path).sections]
    shown = [section.anchor for section in cards.card(subject).sections]
    assert shown == [anchor for anchor in CARDS[name] if anchor in anchors]
    assert set(CARDS[name]) - set(anchors) <= {"wrong", "notes", "folds"}, (
        "which a sound check and a study of seeds do not have"
    )


def test_the_dashboard_begins_with_kinds_that_there_are() -> None:
    kinds = {getattr(_file(name), "KIND", "") for name in names(contents.RUN)}
    assert set(contents.DASHBOARD_FIRST) <= kinds


def test_a_chapter_has_its_sections_in_order_and_none_where_all_are_none(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = of_runs([read(make_run())])
    wanted = Chapter("Both", "both", ("every_run", "calibration", "layers"))
    [made] = contents.sections([wanted], groups)
    assert (made.title, made.anchor) == ("Both", "both")
    titles = [block.text for block in made.blocks if isinstance(block, Heading)]
    assert titles == [section.title for section in contents.sections(["calibration", "layers"], groups)]
    assert contents.sections([replace(wanted, sections=("every_run",)), "every_run"], groups) == ()
    with pytest.raises(ModuleNotFoundError):
        contents.sections(["calibratoin"], groups)
