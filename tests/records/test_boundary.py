"""The keys of a run's files are known in records/ alone, and no code looks into the text of a message."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import firstlight

SOURCE = Path(firstlight.__file__).parent
# What a run, a study or a search holds, by the names that code has for it.
RECORDS = {"result", "environment", "data", "model", "experiment", "run", "record", "test", "validation", "tuned"}
# Words of other libraries and of the system, which say what went wrong in no other way.
FOREIGN = {
    "engines/torch",
    "files.py",
    "data/download.py",
    "data/table.py",
    "parallel/",
    "experiments/search/storage.py",
    "locks.py",
}


def keys_of_a_run(tree: ast.AST) -> list[str]:
    """Places where a run's record is indexed by the name of a key, or asked for it by `get`."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Attribute() as of, slice=ast.Constant(value=str() as key)):
                pass
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute() as of, attr="get"), args=[ast.Constant(value=str() as key), *_]
            ):
                pass
            case _:
                continue
        if of.attr in RECORDS:
            found.append(f"line {of.lineno}: {of.attr}, {key!r}")
    return found


def words_of_a_message(tree: ast.AST) -> list[str]:
    """Places that ask whether the text of an error holds certain words, or begins with them."""
    named = set()

    def is_text_of_an_error(node: ast.AST) -> bool:
        match node:
            case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id="error")]):
                return True
            case ast.Name(id=name):
                return name in named
        return False

    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if is_text_of_an_error(value):
                named.add(name)

    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[text]) if is_text_of_an_error(text):
                found.append(f"line {node.lineno}")
            case ast.Call(func=ast.Attribute(value=text, attr="startswith" | "endswith")) if is_text_of_an_error(text):
                found.append(f"line {node.lineno}")
    return found


@cache
def read(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.parent.name != "records")


def test_no_module_outside_records_names_a_key_of_a_run() -> None:
    told = {str(path.relative_to(SOURCE)): keys_of_a_run(read(path)) for path in MODULES}
    assert {path: places for path, places in told.items() if places} == {}


def test_no_module_looks_for_words_in_our_messages() -> None:
    told = {
        str(path.relative_to(SOURCE)): words_of_a_message(read(path))
        for path in MODULES
        if not str(path.relative_to(SOURCE)).startswith(tuple(FOREIGN))
    }
    assert {path: places for path, places in told.items() if places} == {}


@pytest.mark.parametrize(
    "code",
    [
        'run.result["test"]',
        'x = self.folder.result["test"]["accuracy"]',
        'record.environment.get("git")',
        'folder.model["start"]',
        "f\"{group.first.experiment.get('seed', 0)}\"",
    ],
)
def test_a_key_is_noticed(code: str) -> None:
    assert keys_of_a_run(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        '"damaged" in str(error)',
        'str(error).startswith("x")',
        'a = 1 if "x" not in str(error) else 2',
        "text = str(error)\nraise RunError(text if text.startswith(where) else where)",
    ],
)
def test_a_look_into_a_message_is_noticed(code: str) -> None:
    assert words_of_a_message(ast.parse(code))


@pytest.mark.parametrize("code", ["run.result.test", 'record.history["loss"]', 'predictions["test"]', "str(error)"])
def test_what_is_right_is_let_through(code: str) -> None:
    assert not keys_of_a_run(ast.parse(code))
    assert not words_of_a_message(ast.parse(code))
