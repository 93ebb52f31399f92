"""The confusion matrix: what stands on which axis, which numbers it prints, and what its caption names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.report.run_folders import MakeRun

from firstlight import design_tokens
from firstlight.records.group import of_runs
from firstlight.records.run import read
from firstlight.report.document import Beside, Chart
from firstlight.report.sections import confusion
from firstlight.report.sections.confusion import Confusion, chart

NAMES = ("cat", "<b>dog</b>", "bird")
MATRIX = np.array([[8, 2, 0], [0, 9, 1], [0, 0, 5]])


def rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Every row of data in a specification."""
    layers = [spec, *spec.get("layer", [])]
    inline = [layer.get("data", {}).get("values", []) for layer in layers]
    return [row for values in (*inline, *spec.get("datasets", {}).values()) for row in values]


def test_confusion_rows_are_true_and_columns_predicted() -> None:
    spec = chart(Confusion("a", NAMES, MATRIX))
    for layer in spec["layer"]:
        assert layer["encoding"]["y"]["field"] == "true_key"
        assert layer["encoding"]["y"]["title"] == "true class"
        assert layer["encoding"]["x"]["field"] == "predicted_key"
        assert layer["encoding"]["x"]["title"] == "predicted class"
    cells = {(row["true"], row["predicted"]): row for row in rows(spec)}
    assert cells["cat", "<b>dog</b>"]["images"] == 2
    assert cells["cat", "<b>dog</b>"]["share"] == 0.2
    assert ("<b>dog</b>", "cat") not in cells
    assert sum(row["images"] for row in cells.values()) == MATRIX.sum()


def test_confusion_prints_counts_up_to_twelve_classes() -> None:
    def texts(classes: int, small: bool = False) -> int:
        spec = chart(Confusion("a", [f"c{k}" for k in range(classes)], np.eye(classes, dtype=np.int64)), small)
        return sum(layer["mark"]["type"] == "text" for layer in spec["layer"])

    assert (texts(12), texts(13), texts(5, small=True), texts(6, small=True)) == (2, 0, 2, 0)


def test_the_caption_names_true_then_predicted() -> None:
    said = confusion.caption(Confusion("a", ("c0", "c1"), np.array([[7, 3], [1, 9]])))
    assert said.startswith("c0 is most often misclassified as c1: 3 of 10. Next: c1 for c0 (1 of 10).")
    assert confusion.most_confused(Confusion("a", ("c0", "c1"), np.diag([7, 3]))) == "No test image was misclassified."


def test_a_group_is_added_up_over_its_seeds_and_several_stand_side_by_side(make_run: MakeRun) -> None:
    records = [read(make_run(f"{model}-{s}", model=model, seed=s, skill=0.5)) for model in "ab" for s in (0, 1)]
    (first, _) = groups = of_runs(records)
    assert confusion.numbers(first).matrix.tolist() == np.sum([r.test.confusion for r in records[:2]], axis=0).tolist()
    section = confusion.section(groups)
    assert section is not None
    (beside,) = section.blocks
    assert isinstance(beside, Beside)
    assert [block.kind for block in beside.blocks if isinstance(block, Chart)] == [confusion.KIND] * 2
    assert beside.caption.startswith("Confusion matrices, added up over the seeds.")


def _luminance(colour: np.ndarray) -> float:
    linear = np.where(colour <= 0.03928, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _contrast(first: np.ndarray, second: np.ndarray) -> float:
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_the_counts_on_the_diagonal_are_read_against_their_cells(dark: bool) -> None:
    """At least 4.5 to 1 where a class is recognized well or badly; 4 between, where neither ink does better."""
    tokens = design_tokens.LIGHT | (design_tokens.DARK if dark else {})
    colours = {
        name: np.array(list(bytes.fromhex(value[1:]))) / 255 for name, value in tokens.items() if value.startswith("#")
    }
    for share in np.linspace(0, 1, 41):
        opacity = 0.04 + 0.96 * np.sqrt(share)
        for fill in ("hit", "miss"):
            cell = opacity * colours[fill] + (1 - opacity) * colours["wash"]
            ink = "on-hit" if fill == "hit" and share > confusion.DARK_FROM else "ink"
            least = 4.5 if share > 0.85 and fill == "hit" else 3.9
            assert _contrast(cell, colours[ink]) >= least, (share, fill)
