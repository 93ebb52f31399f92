"""Images per class: before and after what the experiment makes of them."""

from __future__ import annotations

import json
import re

from tests.report.run_folders import MakeRun

from firstlight.records.group import of_runs
from firstlight.records.run import RunRecord, read
from firstlight.report.document import Beside, Block, Chart
from firstlight.report.render import vega
from firstlight.report.sections import class_counts


def test_an_axis_of_few_images_has_each_whole_number_once() -> None:
    for most in range(5):
        ticks = re.findall(r">([\d.]+)</text>", vega.svg(class_counts.chart(("a",), [most], "images"), 300))
        assert len(ticks) == len(set(ticks))
        assert str(most) in ticks


def shown(record: RunRecord) -> tuple[Block, ...]:
    section = class_counts.section(of_runs([record]))
    assert section is not None
    return section.blocks


def said_of(blocks: tuple[Block, ...]) -> str:
    """The headings and captions of a section."""
    return " ".join(getattr(block, "text", "") or getattr(block, "caption", "") for block in blocks)


def test_the_classes_are_drawn_once_where_nothing_changed_them(make_run: MakeRun) -> None:
    record = read(make_run())
    (beside,) = [block for block in shown(record) if isinstance(block, Beside)]
    assert [chart.description for chart in beside.blocks if isinstance(chart, Chart)] == [
        f"Images per class of the {split} split." for split in ("train", "validation", "test")
    ]


BEFORE = {
    "class_names": ["cat", "dog", "bird", "fish"],
    "counts": {"train": [40, 40, 40, 9], "validation": [10, 10, 10, 2], "test": [20, 20, 20, 4]},
}


def test_classes_that_were_left_out_are_shown_before_and_after(make_run: MakeRun) -> None:
    record = read(make_run(data={"before": BEFORE}))
    blocks = shown(record)
    before, after = [block for block in blocks if isinstance(block, Beside)]
    assert [len(row.blocks) for row in (before, after)] == [3, 3]
    texts = said_of(blocks)
    assert "Before: the original classes" in texts
    assert "After: the classes used" in texts
    assert "4 classes became 3; 15 of 225 images were left out." in texts
    assert "fish" in json.dumps(before.blocks[0].spec)  # type: ignore[union-attr]
    assert "fish" not in json.dumps(after.blocks[0].spec)  # type: ignore[union-attr]


def test_balanced_sampling_is_drawn_beside_the_training_images(make_run: MakeRun) -> None:
    counts = {
        split: {"images": sum(each), "counts": each, "ids": [f"{split}/{i}" for i in range(sum(each))]}
        for split, each in {"train": [90, 24, 6], "test": [20, 20, 20]}.items()
    }
    record = read(make_run("drawn", data={"splits": counts, "drawn": [40, 40, 40]}))
    blocks = shown(record)
    texts = said_of(blocks)
    assert "After balanced sampling: what an epoch draws" in texts
    assert "each image of bird, the rarest class, 6.7 times, and 44\u202f% of those of cat" in texts
    pair = [block for block in blocks if isinstance(block, Beside)][-1].blocks
    domains = [chart.spec["encoding"]["x"]["scale"]["domain"] for chart in pair]  # type: ignore[union-attr]
    assert domains == [[0, 90], [0, 90]], "on one scale"
