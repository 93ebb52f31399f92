"""The page of HTML: what stands in its scripts cannot close them."""

from __future__ import annotations

from firstlight.report.render import html


def test_json_and_code_cannot_close_their_script() -> None:
    assert html.embedded({"a": "</script><!--&"}) == '{"a":"\\u003c/script\\u003e\\u003c!--\\u0026"}'
    assert html.script("a('</SCRIPT>')") == "a('\\x3c/SCRIPT>')"
