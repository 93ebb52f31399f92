"""The card of a model: metadata that hubs read, and Markdown that nobody's name can break."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from tests.report.run_folders import HOSTILE, MakeRun
from tests.report.sections.test_exports import exported

from firstlight import report
from firstlight.records import exports
from firstlight.records.run import read
from firstlight.report.format import percent
from firstlight.report.pages.card import metadata, yaml
from firstlight.types import Json

pyyaml = pytest.importorskip("yaml")
markdown_it = pytest.importorskip("markdown_it")

ODD = (
    "yes",
    "null",
    "1.5",
    "",
    "a: b",
    "- a",
    "#c",
    "'",
    '"',
    "\\",
    "a\nb",
    "---",
    "\x00\x85\u2028\ud7ff\ufeff😀",
    "on",
    "~",
    "é",
)


def parts(card: str) -> tuple[Json, str]:
    """The metadata, as a parser of YAML reads it, and the rest."""
    assert card.startswith("---\n")
    head, _, body = card[4:].partition("\n---\n")
    return pyyaml.safe_load(head), body


@pytest.mark.parametrize("text", [*ODD, *HOSTILE])
def test_no_text_breaks_the_metadata(text: str) -> None:
    value = {"name": text, "list": [text, {"inner": text, "more": [{"deep": text}, 1.5, 3]}], "plain": "a-word"}
    written = yaml(value)
    assert pyyaml.safe_load(written) == value
    assert "---" not in written.splitlines()


def test_a_card_says_what_the_record_does(make_run: MakeRun) -> None:
    own = {"source": "/home/anna/private_photos/animals", "location": "/home/anna/private_photos/animals"}
    run = make_run(data={"licence": "CC0", "homepage": "https://animals.example", **own})
    exports.add(run, exported(run.path / "export"))
    elsewhere = run.path.parent / "private" / "net.c"
    exports.add(run, replace(exported(elsewhere.parent, elsewhere.name), path=str(elsewhere)))
    record = read(run)
    found, body = parts(report.card(run, "apache-2.0"))
    assert found == metadata(record, "apache-2.0")
    [one] = found["model-index"][0]["results"]
    assert one["task"]["type"] == found["pipeline_tag"] == "image-classification"
    assert one["metrics"][0]["value"] == pytest.approx(record.test.accuracy, abs=1e-6)
    assert found["license"] == "apache-2.0"
    assert parts(report.card(run))[0]["license"] == "unknown"
    assert "| net.c |" in body
    assert "private" not in body

    tree = markdown_it.MarkdownIt("commonmark").enable("table").parse(body)
    headings = [text.content for head, text in pairwise(tree) if head.type == "heading_open"]
    assert headings == [
        "lenet5 on animals",
        *("What it is", "Data and licences", "Before you trust it", "The model", "Class by class"),
        *("The most frequent confusions", "Confidence", "Exports", "How to reproduce it"),
    ]
    [*fences] = [token.content for token in tree if token.type == "fence"]
    assert record.experiment_text in fences
    cells = {token.content for token in tree if token.type == "inline"}
    assert {"CC0", "apache-2.0", "ONNX Runtime 1.20", *record.class_names} <= cells
    shares = (percent(record.test.accuracy), percent(record.test.calibration_error))
    assert {" ".join(share.split()) for share in shares} <= cells


@pytest.mark.parametrize("odd", [{"class_names": HOSTILE, "model": "a: <b>|#"}, {"skill": 99.0}, {"validation": False}])
def test_cards_of_odd_runs(make_run: MakeRun, odd: Json) -> None:
    run = make_run("it's: a|b", **odd, data={"name": "my: 'cats'\n---", "licence": "<b>"})
    found, body = parts(report.card(run))
    assert found["datasets"] == ["my-cats"]
    assert found["model-index"][0]["results"][0]["dataset"]["name"] == "my: 'cats'\n---"
    tree = markdown_it.MarkdownIt("commonmark").enable("table").parse(body)
    inner = [child.type for token in tree for child in token.children or ()]
    assert {*inner} <= {"text", "text_special", "strong_open", "strong_close", "softbreak"}
    assert "html_block" not in {token.type for token in tree}
    assert not {"nan", "None"} & set(body.split())
