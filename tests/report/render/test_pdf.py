"""The report as a PDF: every block is within A4, every text stays text, the same records give the same bytes."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.report.run_folders import MakeRun

from firstlight import report
from firstlight.errors import FirstlightError, RunError
from firstlight.records.model import LayerRecord
from firstlight.report.document import (
    Bar,
    Beside,
    Block,
    Chart,
    Code,
    Diagram,
    Document,
    Heading,
    ImageGrid,
    Link,
    Number,
    Numbers,
    Panel,
    Panels,
    Picture,
    Section,
    Table,
    Text,
)
from firstlight.report.render.pdf import MARGIN, TALLEST, TEMPLATE, TEXT_WIDTH, lay_out
from firstlight.report.sections import class_counts
from firstlight.types import Array

typst = pytest.importorskip("typst")

PPI = 72  # a pixel a point
A4 = (595, 842)
HOSTILE = (
    "#pagebreak() #panic(1)",
    "*star* _under_ `tick` $x^2$ <label> @reference",
    "= not a heading",
    '"quoted" \\ back // no comment /* none */ [b] {c} ~ -- ---',
    "<script>alert(1)</script> & </svg>",
    "var(--ink) var(--hit)",
    "a\x00bell\x07 and \ufffe no letter",
    "Кошка 猫 고양이 قطة 😀 ▲ ★ ≈ − ×",
    "x" * 300,
)


def chart(names: tuple[str, ...] = ("cat", "dog"), height: int = 200, width: int = 720) -> Chart:
    spec = class_counts.chart(names, range(1, len(names) + 1), "images")
    return Chart({**spec, "height": height}, "Images of each class.", "A caption.", width)


def pixels(*shape: int) -> Array:
    return np.random.default_rng(0).integers(0, 200, shape, dtype=np.uint8)


def panel(name: str, right: bool = False) -> Panel:
    bars = (Bar(name, 0.9, "90 %", "true" if right else "wrong"), Bar("b" + name, 0.1, "10 %", "other"))
    return Panel(pixels(28, 28, 1), f"{name} 90 % ({name})", right, bars)


def every_block(text: str) -> dict[str, Block]:
    """Each kind of block with `text` wherever it has one."""
    picture = Picture(pixels(28, 28, 1), text, text, right=False)
    table = Table(
        titles=(text, "n", "where"),
        rows=((text, "1.0", Link(text, "folder/report.html")), ("b", text, "c")),
        right=frozenset({1}),
        strong=frozenset({1}),
        caption=text,
    )
    facts = Table(((text, text), ("b", "c")), caption=text)
    named = chart((text, "other"))
    return {
        "heading": Heading(text),
        "text": Text(text),
        "note": Text(text, "note"),
        "warning": Text(text, "warning"),
        "numbers": Numbers(tuple(Number(text, "12 345.67 ± 0.12 %", text) for _ in range(7))),
        "table": table,
        "facts": facts,
        "chart": replace(named, caption=text, description=text),
        "grid": ImageGrid((picture, Picture(pixels(200, 90, 3), "a")), columns=10, caption=text),
        "panels": Panels((panel(text), panel(text, right=True), panel("c")), caption=text),
        "diagram": Diagram((LayerRecord(text, text, (8, 8, 1), 0, 0, 0, ("",)),), (8, 8, 1), text, caption=text),
        "code": Code(f"{text}\n\tb = 2", title=text),
        "tables beside": Beside((facts, facts), caption=text),
        "charts beside": Beside((named, named, named), caption=text),
    }


def document(*blocks: Block, title: str = "A title", about: str = "about") -> Document:
    numbers = Numbers((Number("accuracy", "98.3 %", "95 % interval"), Number("images", "10 000")))
    return Document("Report of a test", title, about, about, numbers, (Section(title, "one", blocks),))


def pages(made: Document, folder: Path) -> list[Array]:
    """The pages as grey levels, a pixel a point; typst has nothing to remark."""
    folder.mkdir(exist_ok=True)
    drawn, warnings = typst.compile_with_warnings(lay_out(made, folder), root=folder, format="png", ppi=PPI)
    assert warnings == []
    return [
        np.asarray(Image.open(io.BytesIO(page)).convert("L"))
        for page in (drawn if isinstance(drawn, list) else [drawn])
    ]


def assert_within(page: Array) -> None:
    """Nothing stands in the margins but the running title and the foot."""
    assert abs(page.shape[1] - A4[0]) <= 1
    assert abs(page.shape[0] - A4[1]) <= 1
    edge = int(MARGIN) - 3
    for strip in (page[:, :edge], page[:, -edge:], page[:25], page[-25:], page[789:800]):
        assert (strip == 255).all()
    assert (page < 200).any()


def headings(folder: Path) -> list[str]:
    """What typst takes for headings in a document that was laid out in `folder`, as it shows them."""
    found = json.loads(typst.query(folder / TEMPLATE, "heading", field="body", root=folder))
    return [body["text"] for body in found]


@pytest.mark.parametrize("place", [(300, 590), (300, 20), (795, 300), (10, 300)])
def test_the_check_rejects_what_stands_in_a_margin(place: tuple[int, int], tmp_path: Path) -> None:
    [page] = pages(document(), tmp_path / "page")
    assert_within(page)
    page = page.copy()
    page[place] = 0
    with pytest.raises(AssertionError):
        assert_within(page)


@pytest.mark.parametrize("kind", every_block("").keys())
@pytest.mark.parametrize("text", ["a name", "two words " * 60, HOSTILE[1]], ids=["short", "long", "hostile"])
def test_every_block_stays_on_the_page(kind: str, text: str, tmp_path: Path) -> None:
    empty = pages(document(), tmp_path / "empty")
    shown = pages(document(every_block(text)[kind]), tmp_path / "shown")
    assert len(shown) <= 2
    for page in shown:
        assert_within(page)
    assert (shown[0] < 200).sum() > (empty[0] < 200).sum()


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_stay_texts(text: str, tmp_path: Path) -> None:
    made = document(*every_block(text).values(), title=text, about=text)
    for page in pages(made, tmp_path / "pages"):
        assert_within(page)
    assert headings(tmp_path / "pages") == [text, text]


def test_a_caption_is_the_text_that_was_given(tmp_path: Path) -> None:
    """A name that would be strong as markup is drawn with its stars, and so is wider than the same in letters."""
    stars, plain = (pages(document(Text(text)), tmp_path / str(n))[0] for n, text in enumerate(("#strong[x]*y*", "xy")))
    assert (stars < 128).sum() > (plain < 128).sum() + 20


def test_colours_named_in_a_text_are_not_replaced(tmp_path: Path) -> None:
    lay_out(document(chart(("var(--ink)", "dog"))), tmp_path)
    drawing = (tmp_path / "1.svg").read_text()
    assert ">var(--ink)<" in drawing
    assert '"var(' not in drawing


@pytest.mark.parametrize(
    "odd",
    [
        {"channels": 3, "side": 32},
        {"class_names": tuple(f"species {k}" for k in range(60)), "test": 120},
        {"class_names": ("a very long name of a class " * 4, "x" * 90, "ü")},
        {"class_names": HOSTILE[:6]},
        {"status": "interrupted", "epochs": 0},
        {"status": "diverged", "losses": (0.9, 0.5, 2.0**101, 3.6e30)},
        {"skill": 99.0, "validation": False, "test": 12},
    ],
    ids=["colour", "60 classes", "long names", "hostile names", "interrupted", "diverged", "few"],
)
def test_the_report_of_an_odd_run(make_run: MakeRun, odd: dict[str, Any], tmp_path: Path) -> None:
    made = report.build_document(make_run(**odd))
    drawn = pages(made, tmp_path / "pages")
    for page in drawn:
        assert_within(page)
    titles = headings(tmp_path / "pages")
    assert [title for title in titles if title in {s.title for s in made.sections}] == [s.title for s in made.sections]


def test_long_tables_go_on_with_their_titles(tmp_path: Path) -> None:
    rows = tuple((f"class {n}", f"{n}.0") for n in range(200))
    drawn = pages(document(Table(rows, titles=("class", "number"), right=frozenset({1}))), tmp_path / "titled")
    assert len(drawn) >= 3
    top = slice(60, 78)  # the first line of text
    assert (drawn[1][top] == drawn[2][top]).all()
    assert (drawn[1][top] < 200).any()


def test_a_wide_table_is_set_smaller(tmp_path: Path) -> None:
    """Thirteen columns of numbers, and sixteen of words."""
    numbers = Table(
        tuple(("run",) + ("98.31 ± 0.12 %",) * 12 for _ in range(3)), titles=("a",) * 13, right=frozenset(range(1, 13))
    )
    words = Table((("incomprehensibility of it",) * 16,) * 2, titles=("internationalisation",) * 16)
    for n, table in enumerate((numbers, words)):
        for page in pages(document(table), tmp_path / str(n)):
            assert_within(page)


def test_charts_keep_their_proportions_and_find_room(tmp_path: Path) -> None:
    tall, wide = chart(height=5000), chart(width=4000)
    lay_out(document(tall, wide, Beside((chart(width=300),) * 3)), tmp_path)
    section = json.loads((tmp_path / "content.json").read_text())["sections"][0]
    a, b, beside = section["blocks"]
    assert a["height"] <= TALLEST + 1e-6
    assert a["width"] < b["width"] <= TEXT_WIDTH
    assert beside["columns"] == 3
    assert sum(inner["width"] for inner in beside["blocks"]) < TEXT_WIDTH
    for page in pages(document(tall, wide), tmp_path / "pages"):
        assert_within(page)


def test_the_same_document_gives_the_same_bytes(make_run: MakeRun) -> None:
    run = make_run(test=20)
    assert report.render_pdf(run) == report.render_pdf(run)


def test_the_pdf_of_a_run_lies_in_its_folder(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    assert report.write(run, pdf=True) == run.path / "report.pdf"
    made = (run.path / "report.pdf").read_bytes()
    assert made.startswith(b"%PDF-")
    assert b"/Title" in made
    assert b"CreationDate" not in made
    assert not (run.path / "report.html").exists()
    assert report.write(run, tmp_path / "new" / "a.pdf").read_bytes() == made
    assert report.write(run, tmp_path / "named", pdf=True).read_bytes() == made
    assert report.write(run, tmp_path / "a.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(("name", "as_pdf"), [("a.html", True), ("a.pdf", False)])
def test_a_name_that_contradicts_the_format(make_run: MakeRun, tmp_path: Path, name: str, as_pdf: bool) -> None:
    with pytest.raises(RunError, match=name):
        report.write(make_run(), tmp_path / name, pdf=as_pdf)
    assert not (tmp_path / name).exists()


def test_runs_compared(make_run: MakeRun, tmp_path: Path) -> None:
    compared = report.Comparison([make_run("a"), make_run("b", model="mlp-128", seed=1)], "Two & more")
    path = report.write(compared, tmp_path / "two.pdf")
    assert path.read_bytes().startswith(b"%PDF-")
    for page in pages(report.build_document(compared, tmp_path), tmp_path / "pages"):
        assert_within(page)
    with pytest.raises(RunError, match="give a file for the report"):
        report.write(compared, pdf=True)


def test_without_typst_the_error_names_the_extra(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(FirstlightError, match=r"pip install 'firstlight\[pdf\]'"):
        report.write(run, pdf=True)
    assert not (run.path / "report.pdf").exists()


def test_a_run_without_a_result(make_run: MakeRun) -> None:
    run = make_run()
    (run.path / "result.json").unlink()
    with pytest.raises(RunError, match="no result yet"):
        report.write(run, pdf=True)
    assert not (run.path / "report.pdf").exists()
