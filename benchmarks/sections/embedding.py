"""A map of images by t-SNE, beside scikit-learn's."""

from __future__ import annotations

from rich.console import Console

from benchmarks.contestants import CONTESTANTS, MAPPING
from benchmarks.sections import Options
from benchmarks.workers import workers
from firstlight.types import Json

SOURCE, POINTS, FEATURES = "fashion-mnist", 10_000, 128
TIMES = {"firstlight-map": 3, "scikit-learn-map": 1}  # how often, where one takes minutes
console = Console(stderr=True, highlight=False)


def embed(options: Options) -> Json:
    """Seconds of each, one at a time; ours again after the other's."""
    points = 1000 if options.quick else POINTS
    found: Json = {"points": points, "features": FEATURES, "source": SOURCE, "turns": {}, "maps": {}, "left_out": {}}
    with workers() as started:
        for number in range(1 if options.quick else max(TIMES.values())):
            for name in MAPPING:
                missing = CONTESTANTS[name].missing
                if missing:
                    found["left_out"][name] = f"{' and '.join(missing)} not installed"
                elif number < TIMES[name]:
                    done = started[name].ask("job", name="map", source=SOURCE, points=points, features=FEATURES)
                    found["turns"].setdefault(name, []).append(done.pop("seconds"))
                    found["maps"][name] = done
                    console.print(f"  {name}: {found['turns'][name][-1]:.1f} s")
    return found
