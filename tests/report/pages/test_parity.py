"""The page of a parity check: sound, true to its record, and plain about what is wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report.page_checks import assert_sound
from tests.report.parity_checks import parity, run
from tests.report.run_folders import HOSTILE

from firstlight import report
from firstlight.records.environment import Environment
from firstlight.records.parity import Comparison, CompiledGraph, GraphFault, LossRow, Parity
from firstlight.report.format import exponent, power
from firstlight.report.sections import parity_layers

SECTIONS = ["layers", "parameters", "runs", "seconds", "measured"]


def faulty(parity: Parity, path: str) -> Parity:
    """The same, with a layer whose dx by hand is wrong."""
    wrong = Comparison(0.5, 0.5, 1e-12, 1e-12)
    return replace(parity, layers=tuple(replace(row, dx=wrong) if row.path == path else row for row in parity.layers))


ODD = {
    "sound": parity(),
    "at fault": faulty(parity(), "block.conv1"),
    "one step": parity(runs=(run("float64", 1), run("float32", 1))),
    "no difference": parity(runs=(run("float64", loss=0.0), run("float32", loss=0.0))),
    "lost gradient": parity(loss=LossRow("mse", 0.0, Comparison(math.inf, math.inf, 1e-12, 1e-12))),
    "hostile names": parity(model=HOSTILE[0], images=HOSTILE[1], options={"activation": HOSTILE[2]}),
    "nothing known": parity(engines={}, environment=Environment(), options={}),
}


@pytest.mark.parametrize("record", ODD.values(), ids=ODD.keys())
def test_every_page_is_sound_and_complete(record: Parity) -> None:
    text = report.render_html(record)
    page = assert_sound(text)
    anchors = [attributes["id"] for attributes in page.all("section")]
    assert anchors == (SECTIONS if record.passed else ["wrong", *SECTIONS])
    assert len(page.json("specs")) == 4
    assert len(text.encode()) < 2_000_000
    assert " ".join(record.images.split()) in page.text


def test_a_page_of_what_agrees_says_so_with_its_numbers() -> None:
    shown = assert_sound(report.render_html(parity())).text
    assert "The engines agree on lenet5." in shown
    assert "Gradients by hand and by autograd differ by at most 9.0e-15 of their size" in shown
    for number in (
        "9.0e-15",
        "3.0e-12",
        "2.0e-16",
        "1.5e-07",
        "6.0e-08",
        "7.0e-08",
        "tolerated: 1e-9",
        "1e-5",
        "conv1.b",
    ):
        assert number in shown
    assert "compiled kernels, 2 threads" in shown
    assert "PyTorch 2.13.0, channels last, 1 thread" in shown
    assert "1600 images of random pixels" in shown
    assert "from one measurement alone" in shown


def test_the_page_tells_of_the_compiled_graph() -> None:
    sound = CompiledGraph(44, 8, 1.6e-15, {"conv1.W": 1e-15})
    fault = GraphFault(("tiles", "clear"), ("conv1", "block"), "the gradient with respect to the output of relu2", 0.5)
    assert "44 operations, was run on 8 images" in assert_sound(report.render_html(parity(graph=sound))).text
    assert (
        "layer softmax1 (Softmax)"
        in assert_sound(report.render_html(parity(graph=CompiledGraph(not_compiled="softmax1 (Softmax)")))).text
    )
    wrong = parity(graph=replace(sound, fault=fault))
    shown = assert_sound(report.render_html(wrong)).text
    assert "tiles of conv1 or clear of block is wrong" in wrong.failures[0]
    assert wrong.failures[0] in shown


def test_a_page_of_what_differs_begins_with_it() -> None:
    record = faulty(faulty(parity(), "block.conv1"), "block")
    shown = assert_sound(report.render_html(record)).text
    assert record.failures == [
        "block.conv1 (Conv2D): dx by hand and by autograd differ by 5.0e-01; central differences agree with autograd, "
        "so the gradient by hand is wrong."
    ]
    assert "The engines do not agree on lenet5." in shown
    assert shown.count(record.failures[0]) == 2  # in the verdict, and as the first section
    rows = parity_layers.table(record.layers, record.loss)
    assert [row[0] for place, row in enumerate(rows.rows) if place in rows.strong] == ["block.conv1", "block"]


def test_layers_made_of_layers_have_a_line_only_where_they_differ() -> None:
    sound, record = parity(), faulty(parity(), "block")
    rows = [parity_layers.table(one.layers, one.loss).rows for one in (sound, record)]
    assert [row[0] for row in rows[0]] == ["block.conv1", "all layers", "cross-entropy"]
    assert [row[0] for row in rows[1]] == ["block.conv1", "block", "all layers", "cross-entropy"]


def values(layer: Any, spec: Any) -> Any:
    """The rows that a layer of a chart draws, its own or the chart's."""
    return spec["datasets"][layer.get("data", spec.get("data"))["name"]]


def test_charts_hold_the_numbers_of_the_record() -> None:
    record = parity()
    first, _, differences, weights = assert_sound(report.render_html(record)).json("specs")
    numpy, torch = (values(layer, first) for layer in first["layer"])
    assert [row["loss"] for row in numpy] == list(record.runs[0].numpy)
    assert {row["engine"] for row in torch} == {"torch"}
    shown = values(differences["layer"][0], differences)
    assert [row["difference"] for row in shown] == [1e-17, 1e-17, 2e-16, 1e-17, 1e-17, 1.5e-7]  # 1e-17 stands for none
    assert [row["difference"] for row in values(weights["layer"][0], weights)] == [4e-13] * 6
    assert [row["difference"] for row in values(differences["layer"][2], differences)] == [1e-9, 1e-3]


def test_the_page_is_written_whole_over_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "parity.html"
    assert report.write(parity(), path) == path
    report.write(parity(model="other"), path)
    assert "other: by hand and by PyTorch" in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["parity.html"]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (3.14e-16, "3.1e-16"), (math.inf, "∞"), (2.0, "2.0e+00"), (None, "–\u2060")]
)
def test_differences_are_written_in_two_digits(value: float | None, shown: str) -> None:
    assert exponent(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(1e-9, "1e-9"), (1e-3, "1e-3"), (1e-17, "1e-17")])
def test_tolerances_are_written_as_powers(value: float, shown: str) -> None:
    assert power(value) == shown
