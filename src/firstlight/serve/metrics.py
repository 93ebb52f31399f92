"""What a service has done, in the text format of Prometheus (version 0.0.4)."""

from __future__ import annotations

import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

if sys.platform != "win32":
    import resource

MEDIA = b"text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

Labels = tuple[tuple[str, str], ...]


class Histogram:
    """How often a value was at most each of some bounds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: Labels) -> Iterable[str]:
        """Cumulative counts, the sum, and the count."""
        below = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            below += count
            yield _line(f"{name}_bucket", (*labels, ("le", _number(bound))), below)
        yield _line(f"{name}_sum", labels, self.total)
        yield _line(f"{name}_count", labels, below)


class Metrics:
    """Counts of requests, images, classes and batches; one event loop alone counts."""

    def __init__(self) -> None:
        self.began = time.time()
        self.requests: Counter[tuple[str, int]] = Counter()
        self.classes: Counter[tuple[str, str]] = Counter()
        self.seconds: dict[str, Histogram] = {}
        self.batches: dict[str, Histogram] = {}

    def request(self, path: str, status: int, seconds: float) -> None:
        """One answer, by its route."""
        self.requests[path, status] += 1
        if path not in self.seconds:
            self.seconds[path] = Histogram(SECONDS)
        self.seconds[path].observe(seconds)

    def batch(self, model: str, images: int) -> None:
        """One batch."""
        if model not in self.batches:
            self.batches[model] = Histogram(SIZES)
        self.batches[model].observe(images)

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> bytes:
        """All of it. `gauges`: the name of each value of this moment, with what it means and the value."""
        lines = [
            *_family("firstlight_requests_total", "counter", "Responses by route and status."),
            *(
                _line("firstlight_requests_total", (("path", path), ("status", str(status))), count)
                for (path, status), count in sorted(self.requests.items())
            ),
            *_family("firstlight_request_seconds", "histogram", "Seconds from the head of a request to its response."),
            *_histograms("firstlight_request_seconds", "path", self.seconds),
            *_family("firstlight_predictions_total", "counter", "Images by model and predicted class."),
            *(
                _line("firstlight_predictions_total", (("model", model), ("class", name)), count)
                for (model, name), count in sorted(self.classes.items())
            ),
            *_family("firstlight_batch_images", "histogram", "Images per batch."),
            *_histograms("firstlight_batch_images", "model", self.batches),
        ]
        values = {**gauges, "process_start_time_seconds": ("Start time of the service.", self.began), **_process()}
        for name, (about, value) in values.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [*_family(name, kind, about), _line(name, (), value)]
        return "\n".join([*lines, ""]).encode("utf-8", "backslashreplace")


def _process() -> dict[str, tuple[str, float]]:
    if sys.platform == "win32":
        return {}
    used = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "process_cpu_seconds_total": ("CPU time.", used.ru_utime + used.ru_stime),
        "firstlight_largest_resident_memory_bytes": ("Peak memory.", used.ru_maxrss * unit),
    }


def _histograms(name: str, label: str, histograms: Mapping[str, Histogram]) -> Iterable[str]:
    for key, histogram in sorted(histograms.items()):
        yield from histogram.lines(name, ((label, key),))


def _family(name: str, kind: str, about: str) -> Iterable[str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def _line(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(int(value)) if value == int(value) else repr(float(value))
