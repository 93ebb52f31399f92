"""Blocks as Markdown: what a reader of it sees is what the blocks say, whatever the names are."""

from __future__ import annotations

import pytest
from tests.report.run_folders import HOSTILE

from firstlight.report.document import Beside, Chart, Code, Heading, Link, Number, Numbers, Section, Table, Text
from firstlight.report.render.markdown import escaped, markdown

markdown_it = pytest.importorskip("markdown_it")

ODD = (
    *HOSTILE,
    *(
        "a | b",
        "`code`",
        "```",
        "*b* _i_ __b__ ~~s~~",
        "[a](http://b)",
        "![a](b)",
        "<https://a.b>",
        "&lt;",
        "\\|",
        "$x$",
    ),
    *("# title", "- item", "+ item", "1. first", "12) twelfth", "> said", "===", "---", "0.5", "new\n\n# line", "a\\"),
    *("http://evil.example", "www.evil.example", "@somebody", "<!-- ", "[x]: y", "| a |", "    code", "a  \nb"),
)


def tokens(text: str):
    """Of the text, parsed as hubs do: block tokens, and what stands inside them."""
    found = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return found, [inner for token in found for inner in token.children or ()]


def shown(inner) -> str:
    return "".join(token.content for token in inner if token.type in ("text", "text_special"))


@pytest.mark.parametrize("text", ODD)
def test_a_text_is_nothing_but_text(text: str) -> None:
    for written in (escaped(text), f"| {escaped(text)} |\n| --- |\n| {escaped(text)} |", f"**{escaped(text)}**"):
        found, inner = tokens(written)
        assert {token.type for token in inner} <= {"text", "text_special", "strong_open", "strong_close"}
        kinds = {token.type.rpartition("_")[0] or token.type for token in found}
        assert kinds <= {"paragraph", "inline", "table", "thead", "tbody", "tr", "th", "td"}, kinds
    _, inner = tokens(escaped(text))
    assert shown(inner) == " ".join(text.split())
    # what GFM makes a link without any mark has none of its letters in the file
    assert "://" not in escaped(text)
    assert "@" not in escaped(text)


def test_every_kind_of_block() -> None:
    blocks = (
        Heading("A heading"),
        Text("Be careful.", tone="warning"),
        Numbers((Number("accuracy", "98 %", "of 100"),)),
        Table((("a", "1"), (Link("b", "there"),)), ("name", "n"), frozenset({1}), frozenset({0}), "Rows."),
        Beside((Table((("k", "v"),), caption="Settings"), Chart({}, "a chart", "its caption"))),
        Code("print('```')", title="code:"),
    )
    text = markdown([Section("One", "one", blocks), Section("Two", "two", ())])
    assert text == (
        "## One\n\n### A heading\n\n**Warning:** Be careful.\n\n"
        "|  |  |  |\n| --- | --- | --- |\n| accuracy | 98 % | of 100 |\n\n"
        "| name | n |\n| --- | ---: |\n| **a** | **1** |\n| b |  |\n\nRows.\n\n"
        "**Settings**\n\n|  |  |\n| --- | --- |\n| k | v |\n\n"
        "code:\n\n````\nprint('```')\n````\n\n## Two\n"
    )
    found, _ = tokens(text)
    [fence] = [token for token in found if token.type == "fence"]
    assert fence.content == "print('```')\n"
