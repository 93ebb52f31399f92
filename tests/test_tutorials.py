"""The tutorials, as far as that can be seen without running them; `make docs` runs them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
PAGES = sorted(page for page in TUTORIALS.glob("*.md") if page.name != "index.md")
CELL = re.compile(r"^```\{code-cell\} ipython3\n((?::tags: \[[a-z-]+\]\n\n)?)(.*?)^```$", re.DOTALL | re.MULTILINE)


def cells(page: Path) -> list[tuple[str, str]]:
    """The options and the source of each cell of code."""
    text = page.read_text(encoding="utf-8")
    found = CELL.findall(text)
    assert len(found) == text.count("```{code-cell}"), "each cell is written in the one way that is read here"
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_cell_is_python_or_commands(page: Path) -> None:
    found = cells(page)
    for _, source in found:
        if not source.startswith("%%bash\n"):
            ast.parse(source)
    assert page.read_text(encoding="utf-8").startswith("---\njupytext:"), "Jupyter opens it as a notebook"
    checks = [source for tags, source in found if "remove-cell" in tags]
    assert any("assert" in source for source in checks), "what the text says is held by a hidden cell"


def test_every_tutorial_is_in_the_index() -> None:
    index = (TUTORIALS / "index.md").read_text(encoding="utf-8")
    [listed] = re.findall(r"```\{toctree\}\n:hidden:\n\n(.*?)```", index, re.DOTALL)
    assert sorted(listed.split()) == [page.stem for page in PAGES]
    assert all(f"({page.name})" in index for page in PAGES)
