"""Learning curves: what stands on the axes, and what the caption makes of the numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.report.run_folders import MakeRun

from firstlight.records.group import of_runs
from firstlight.records.run import RunRecord, read
from firstlight.report.document import Beside, Chart, Table, Text
from firstlight.report.render import vega
from firstlight.report.sections import learning
from firstlight.report.sections.learning import Learning, caption, chart, numbers, of_history, overlay

HISTORY = {
    "loss": np.array([0.9, 0.5, np.nan, 0.3, 0.2]),
    "accuracy": np.linspace(0.1, 0.9, 5),
    "val_loss": np.linspace(0.9, 0.5, 5),
    "val_accuracy": np.linspace(0.1, 0.9, 5),
}
HUGE = np.array([0.9, 2.0**70, 3.6e30, 1e300, 1.0])
AUGMENT = "flip_horizontal = 0.5\n[augment.rotate]\nrange = [-10.0, 10.0]\np = 1.0"


def of(record: RunRecord) -> Learning:
    return numbers(of_runs([record])[0])


def train(spec: dict[str, Any]) -> list[Any]:
    return [row["train"] for rows in spec["datasets"].values() for row in rows if "train" in row][:5]


def tick_labels(spec: dict[str, Any]) -> set[str]:
    """What stands on the axes of the drawing."""
    return set(re.findall(r">([^<]+)</text>", vega.svg(spec, 500)))


def test_a_loss_that_is_not_finite_leaves_a_gap() -> None:
    assert train(chart(of_history(HISTORY, best=3), "loss")) == [0.9, 0.5, None, 0.3, 0.2]


def test_huge_losses_are_floats_on_a_logarithmic_axis() -> None:
    huge, small = (chart(of_history(HISTORY | change), "loss") for change in ({"loss": HUGE}, {}))
    assert train(huge) == [0.9, 2.0**70, 3.6e30, 1e300, 1]
    assert [type(value) for value in train(huge)] == [float, float, float, float, int]
    assert huge["layer"][0]["encoding"]["y"]["scale"] == {"type": "log"}
    assert small["layer"][0]["encoding"]["y"]["scale"] == {"zero": False}
    zero = chart(of_history(HISTORY | {"loss": np.array([0, 1e30, 1, 1, 1])}), "loss")
    assert zero["layer"][0]["encoding"]["y"]["scale"] == {"zero": False}


def test_the_ticks_beside_a_single_value_are_true() -> None:
    """Without room on both sides the only tick was rounded to an integer: 1 for 0.757, 41 % for 40.8 %."""
    once = of_history({"loss": np.array([0.757]), "accuracy": np.array([0.408])})
    assert tick_labels(overlay([once], "loss")) >= {"0.70", "0.74", "0.76", "0.80"}
    for spec in (overlay([once, replace(once, name="b")], "accuracy"), chart(once, "accuracy")):
        assert tick_labels(spec) >= {"40\u202f%", "42\u202f%"}
        assert "41\u202f%" not in tick_labels(spec)


def test_what_a_transform_makes_keeps_its_name() -> None:
    assert chart(of_history(HISTORY), "loss")["layer"][0]["encoding"]["color"]["field"] == "split"


def test_several_seeds_are_a_mean_and_a_band(make_run: MakeRun) -> None:
    records = [read(make_run(f"r{s}", seed=s, losses=(1.0, 0.5 + s), epochs=3 - s)) for s in (0, 1)]
    (group,) = of_runs(records)
    found = numbers(group)
    assert (found.seeds, found.uneven, found.best) == (2, True, None)
    assert found.curves["loss"].mean.tolist() == [1.0, 1.0, pytest.approx(1 / 3)]
    assert found.curves["loss"].low.tolist()[:2] == [1.0, 0.5]
    band, line, *_ = overlay([found], "loss")["layer"]
    assert (band["mark"]["type"], line["mark"]["type"]) == ("area", "line")


def test_the_best_point_of_each_curve_is_told_with_its_epoch() -> None:
    run = replace(of_history(HISTORY), name="a")
    assert learning.best_points([run]).rows == (
        ("a", "0.2000 (5)", "90.00\u202f% (5)", "0.5000 (5)", "90.00\u202f% (5)"),
    )


def test_one_run_has_a_pair_of_charts_and_several_have_two_and_a_table(make_run: MakeRun) -> None:
    one, other = (read(make_run(name, model=name)) for name in ("a", "b"))
    alone, both = learning.section(of_runs([one])), learning.section(of_runs([one, other]))
    assert alone is not None
    assert both is not None
    assert [type(block) for block in alone.blocks] == [Beside]
    assert [type(block) for block in both.blocks] == [Beside, Beside, Table]
    pairs = [block for block in (*alone.blocks, *both.blocks) if isinstance(block, Beside)]
    kinds = {inner.kind for block in pairs for inner in block.blocks if isinstance(inner, Chart)}
    assert kinds == {learning.KIND}


def test_without_an_epoch_there_are_no_curves(make_run: MakeRun) -> None:
    section = learning.section(of_runs([read(make_run(status="interrupted", epochs=0))]))
    assert section is not None
    assert section.blocks == (Text("Training ended within the first epoch, so there are no curves.", "note"),)


# --- the caption


def test_weights_that_are_not_the_best_are_named(make_run: MakeRun) -> None:
    assert "Evaluated were the weights of the last epoch (4)" in caption(of(read(make_run(restore_best=False))))


def test_it_says_why_train_and_validation_do_not_compare(make_run: MakeRun) -> None:
    drawn = caption(of(read(make_run("drawn", data={"drawn": [40, 40, 40]}))))
    assert "classes sampled equally often" in drawn
    assert "overfitting" not in drawn
    weighted = caption(of(read(make_run("weighted", data={"class_weights": [0.5, 1.0, 3.25]}))))
    assert "Train loss is weighted by class" in weighted


def test_it_says_that_train_is_of_augmented_images(make_run: MakeRun) -> None:
    said = "The train curves are of augmented images, which are harder than those of validation."
    assert said in caption(of(read(make_run("augmented", augment=AUGMENT))))
    assert "augmented" not in caption(of(read(make_run("plain"))))
    alone = caption(of(read(make_run("alone", augment=AUGMENT, validation=False))))
    assert alone.endswith("The train curves are of augmented images.")
    assert said in caption(of(read(make_run("short", augment=AUGMENT, epochs=1))))


def test_a_rising_loss_is_overfitting_only_where_train_goes_on(make_run: MakeRun) -> None:
    record = read(make_run("unstable", losses=(0.5, 0.4, 7.0, 2.0**101)))
    assert "and train loss with it: training became unstable" in caption(of(record))
    falling = {**record.history, "loss": np.array([0.5, 0.4, 0.3, 0.2])}
    assert "rose afterwards while training continued: overfitting" in caption(of(replace(record, history=falling)))


def ended(make_run: MakeRun, images: int = 1000, **last: float) -> str:
    """The caption of the curves of a run that ended so, validated on so many images."""
    record = read(make_run(f"{abs(hash((images, *last.values())))}", test=2 * images, skill=4.0))
    history = {column: values.copy() for column, values in record.history.items()}
    for column, value in last.items():
        history[column][-2:] = value
    return caption(of(replace(record, history=history)))


def test_overfitting_is_judged_by_loss_and_by_accuracy_and_in_numbers(make_run: MakeRun) -> None:
    sure = ended(make_run, loss=0.0020, val_loss=0.0688, accuracy=1.0, val_accuracy=0.985)
    assert "loss is 0.0020 on train and 0.0688 on validation, accuracy 100.0\u202f% and 98.5\u202f%" in sure
    assert "34 times train loss" in sure
    assert "little overfitting" not in sure
    for remedy in ("more images", "augmented images", "dropout", "batch norm", "a weight penalty"):
        assert remedy in sure
    assert "early stopping" not in sure  # of which this run has three epochs
    far = ended(make_run, loss=0.1, val_loss=0.4, accuracy=0.97, val_accuracy=0.90)
    assert "7.0 percentage points ahead, overfitting" in far
    some = ended(make_run, loss=0.2, val_loss=0.25, accuracy=0.97, val_accuracy=0.94)
    assert "3.0 percentage points ahead, some overfitting" in some
    few = ended(make_run, images=60, loss=0.2, val_loss=0.25, accuracy=0.97, val_accuracy=0.94)
    assert "which may be due to chance with 60 images" in few
    assert "may help" not in few
    level = ended(make_run, loss=0.2, val_loss=0.21, accuracy=0.95, val_accuracy=0.95)
    assert "little overfitting" in level
    assert "may help" not in level


def test_steps_of_a_setting_are_drawn_in_its_order() -> None:
    runs = [of_history(HISTORY, name=f"alpha-{k}") for k in range(5)]
    colours = overlay(runs, "val_loss", graded=True)["layer"][0]["encoding"]["color"]["scale"]["range"]
    assert len(set(colours)) == 5
    assert all(colour.startswith("color-mix(") for colour in colours)
