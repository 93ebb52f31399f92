"""Activation statistics: the table, and what its caption calls unusual."""

from __future__ import annotations

from tests.report.explanations import chapters_of, explained_run
from tests.report.run_folders import MakeRun

from firstlight.records.explanation import LayerStatistics
from firstlight.report.document import Table
from firstlight.report.format import UNDEFINED
from firstlight.report.sections.activation_statistics import ROWS, Statistics, blocks, unusual


def layer(
    name: str = "relu1",
    kind: str = "ReLU",
    units: int = 32,
    dead: int = 0,
    std: float = 1.0,
    saturated: float | None = None,
) -> LayerStatistics:
    return LayerStatistics(name, kind, (units,), 0.5, std, 0.0, 3.5, units, 0.25, tuple(range(dead)), saturated)


def test_the_caption_names_what_is_unusual() -> None:
    assert unusual([layer(dead=12)]) == "12 of 32 units of relu1 are dead."
    assert unusual([layer(dead=1)]) == "1 of 32 units of relu1 is dead."
    assert unusual([layer(saturated=0.9)]).startswith("Nothing is unusual"), "half of a ReLU is flat"
    assert "tanh1 (60\u202f%)" in unusual([layer("tanh1", "Tanh", saturated=0.6)])
    assert unusual([layer(), layer("dense9", "Dense", std=0.005)]) == (
        "The standard deviation of the values is 200 times as large in relu1 as in dense9."
    )
    many = [layer(f"relu{k}", dead=k) for k in range(10, 16)]
    assert unusual(many).endswith("So are units of 3 other layers.")
    [table] = blocks(Statistics(many, 50))
    assert isinstance(table, Table)
    assert table.rows[0][8] == "10 of 32"


def test_saturated_units_are_counted_where_they_are_known(make_run: MakeRun) -> None:
    [table] = [
        block
        for block in chapters_of(explained_run(make_run))["layers"].blocks
        if isinstance(block, Table) and block.titles[0] == "layer"
    ]
    assert table.titles[-1] == "saturated units"
    assert [row[-1] for row in table.rows] == [UNDEFINED, "2 of 4"]


def test_of_a_deep_net_layers_are_chosen_evenly() -> None:
    [table] = blocks(Statistics([layer(f"conv{k}", "Conv2D") for k in range(100)], 50))
    assert isinstance(table, Table)
    assert (len(table.rows), table.rows[0][0], table.rows[-1][0]) == (ROWS, "conv0", "conv99")
    assert "60 layers between these are left out" in table.caption
