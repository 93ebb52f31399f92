"""The style of a card: of the card alone, in the theme of the notebook."""

from __future__ import annotations

import re

from firstlight.notebook import html


def test_in_a_notebook_numbers_do_not_float_beside_their_labels() -> None:
    """JupyterLab and nbconvert lay out `dl` as a glossary: `dt` and `dd` float, 20 and 80 % wide."""
    rule = re.search(r"dl, dt, dd \{([^}]*)\}", html.style())
    assert rule is not None
    assert "float: none" in rule[1]
    assert "width: auto" in rule[1]


def test_the_style_is_of_the_card_alone_and_knows_the_themes() -> None:
    style = html.style()
    assert "<" not in style
    depth, rules, rule = 0, [], ""
    for letter in style:
        if depth == 0:
            rule += letter
        depth += (letter == "{") - (letter == "}")
        if depth == 0 and letter == "}":
            rules.append(rule.strip().removesuffix("}").removesuffix("{").strip())
            rule = ""
    assert depth == 0
    assert rules
    assert all(".firstlight" in rule or rule.startswith("@media (prefers-color-scheme: dark)") for rule in rules)
    for theme in ('data-jp-theme-light="false"', "vscode-dark"):
        assert theme in style
    assert style.count("--paper: #14171b") == 2  # by the system, by the notebook
