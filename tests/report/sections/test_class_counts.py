"""Images per class: the axis of few images."""

from __future__ import annotations

import re

from firstlight.report.render import vega
from firstlight.report.sections import class_counts


def test_an_axis_of_few_images_has_each_whole_number_once() -> None:
    for most in range(5):
        ticks = re.findall(r">([\d.]+)</text>", vega.svg(class_counts.chart(("a",), [most], "images"), 300))
        assert len(ticks) == len(set(ticks))
        assert str(most) in ticks
