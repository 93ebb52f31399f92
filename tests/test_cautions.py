"""Whatever is warned of has a code, which is explained."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from typer.testing import CliRunner

import firstlight
from firstlight.cautions import EXPLAINED, Caution
from firstlight.cli import app

SOURCES = {path: path.read_text(encoding="utf-8") for path in Path(firstlight.__file__).parent.rglob("*.py")}


def without_code(source: str) -> Iterator[str]:
    """Of a source, the warnings that have no code: calls of `warnings.warn`, and texts that begin with "Note: "."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "warnings.warn":
            told = ast.unparse(node.args[0])
            if not told.startswith("Caution.") and told != "note":  # which Measured has given one
                yield told
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("Note: "):
            yield node.value


def test_every_warning_has_a_code() -> None:
    found = {path.name: told for path, source in SOURCES.items() if (told := [*without_code(source)])}
    assert found == {"cautions.py": ["Note: "]}


def test_a_warning_without_a_code_is_found() -> None:
    assert [*without_code('warnings.warn(f"{x} is odd.", stacklevel=2)\nsay(f"Note: {x}")')] == [
        "f'{x} is odd.'",
        "Note: ",
    ]
    assert not [*without_code('warnings.warn(Caution.DIVERGED.text("It did."))')]


def test_codes_are_explained_and_used() -> None:
    assert len(EXPLAINED) == len(Caution)
    used = Counter(re.findall(r"\bCaution\.([A-Z_]+)\b", "".join(SOURCES.values())))
    assert {caution.name for caution in Caution} == used.keys()
    for code, about in EXPLAINED.items():
        assert re.fullmatch(r"FL[1-5]\d\d", code)
        assert not about.title.endswith(".")
        assert about.meaning.endswith(".")
        assert about.remedy.endswith(".")


def test_the_command_line_explains_a_code() -> None:
    assert Caution.COPIES_ACROSS_SPLITS.note("Two images.") == "Note: Two images. (FL103)"
    told = CliRunner().invoke(app, ["help", "fl103"]).output
    assert told.startswith("FL103: The same image in two splits\n\nImages of the")
