"""One spelling, Oxford's: colour, grey, behaviour, with -ize where the Greek has it; keys and names of APIs stay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What is written otherwise here, as parts of words, and how it is written.
SPELLING = {
    r"optimis(?!t|m)": "optimiz",
    r"normalis": "normaliz",
    r"initialis": "initializ",
    r"recognis": "recogniz",
    r"regularis": "regulariz",
    r"generalis": "generaliz",
    r"standardis": "standardiz",
    r"summaris": "summariz",
    r"visualis": "visualiz",
    r"organis": "organiz",
    r"minimis(?!t|m)": "minimiz",
    r"maximis": "maximiz",
    r"quantis": "quantiz",
    r"serialis": "serializ",
    r"randomis": "randomiz",
    r"penalis": "penaliz",
    r"emphasis(?=e|ing)": "emphasiz",
    r"analyz": "analys",
    r"\bcolor": "colour",
    r"\bgray|grayscale": "grey",
    r"behavior": "behaviour",
    r"neighbor": "neighbour",
    r"\bcenter": "centre",
    r"\bfavor": "favour",
    r"\blicense": "licence",
    r"artifact": "artefact",
    r"labeled|labeling": "labelled, labelling",
    r"canceled|canceling": "cancelled, cancelling",
    r"modeling": "modelling",
}
ANY = re.compile("|".join(SPELLING), re.IGNORECASE)
# Names that stay as they are: keys of files, packages, functions of libraries, published architectures and files.
ALLOWED = (
    r"\bstandardise\b|greyscale|maximise|pyramid[-_]regularised|fashion-regularisers|regularisers\.toml",
    r"color[-_ ]?(?:mix|scheme|space|=|:|\()|(?:\w+\.)?Color\(|run_color|background-color|prefers-color-scheme",
    r"LICENSE|license[-_]files|license =|licenses?/|Apache[- ]?License",
    r"text-align: center|align-(?:items|self|content): center|justify-\w+: center|\bcenter\b(?=[;,\"'}\])]| /| no-)",
    r"grayscale\(|convert\(\"L\"\)|upload-artifact|download-artifact|artifact\(",
    r"[Nn](?:earest)?_?[Nn]eighbors|neighbors=|sklearn\.neighbors|kneighbors",
    r"colorectal|StandardScaler|Lavin & Gray|\\centering|\"color\"|alt\.Color",
)


def prose() -> Iterator[tuple[Path, int, str]]:
    """Every line that a person reads: of the docs, of messages and docstrings in the sources, of templates."""
    for pattern in (
        "src/**/*.py",
        "src/**/*.j2",
        "src/**/*.js",
        "src/**/*.toml",
        "docs/**/*.md",
        "*.md",
        "benchmarks/**/*.py",
    ):
        for path in sorted(ROOT.glob(pattern)):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                yield path.relative_to(ROOT), number, line


def other_spellings(line: str) -> list[str]:
    """The parts of words in a line that are written otherwise here."""
    if not ANY.search(line):
        return []
    for allowed in ALLOWED:
        line = re.sub(allowed, "", line, flags=re.IGNORECASE)
    return [
        f"{found[0]} is {ours}"
        for theirs, ours in SPELLING.items()
        if (found := re.search(theirs, line, re.IGNORECASE))
    ]


def test_one_spelling() -> None:
    found = [f"{path}:{number}: {'; '.join(told)}" for path, number, line in prose() if (told := other_spellings(line))]
    assert found == []


@pytest.mark.parametrize(
    "line", ["the optimiser", "a Color of its own", "the behavior", "gray images", "labeled wrong"]
)
def test_a_line_that_is_spelt_otherwise_is_found(line: str) -> None:
    assert other_spellings(line)


@pytest.mark.parametrize(
    "line", ['standardise = "channel"', "optimizer, colour, grey", "align-items: center;", "prefers-color-scheme"]
)
def test_names_stay_as_they_are(line: str) -> None:
    assert not other_spellings(line)
