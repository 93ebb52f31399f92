"""What a service has done, as Prometheus reads it."""

from __future__ import annotations

import re

from firstlight.serve.metrics import Histogram, Metrics

LINE = re.compile(r'[a-z_]+(\{[a-z_]+="(\\.|[^"\\\n])*"(,[a-z_]+="(\\.|[^"\\\n])*")*\})? (\+Inf|-?[0-9.e+-]+)')


def test_every_line_is_in_the_text_format() -> None:
    metrics = Metrics()
    metrics.request("/v1/predict", 200, 0.003)
    metrics.batch('odd"\\\nname', 3)
    metrics.classes["digits", 'a"b\\\n\ud800'] += 2
    text = metrics.text({"firstlight_waiting_images": ("Images that wait.", 0.5)}).decode()
    families: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# "):
            _, word, name, *rest = line.split(" ")
            assert word in ("HELP", "TYPE")
            assert rest
            families.add(name)
        else:
            assert LINE.fullmatch(line), line
            assert re.sub(r"_(bucket|sum|count)$", "", re.split(r"[ {]", line)[0]) in families | {
                name for name in families if line.startswith(name)
            }
    assert r'class="a\"b\\\n\ud800"} 2' in text
    assert "firstlight_waiting_images 0.5\n" in text


def test_a_histogram_counts_what_is_at_most_each_bound() -> None:
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 9):
        histogram.observe(value)
    assert list(histogram.lines("x", (("m", "a"),))) == [
        'x_bucket{m="a",le="1"} 2',
        'x_bucket{m="a",le="2"} 3',
        'x_bucket{m="a",le="+Inf"} 4',
        'x_sum{m="a"} 12',
        'x_count{m="a"} 4',
    ]
