"""How many near copies are found, and how many of what is found are none: `python -m benchmarks.near_copies`.

Into each set copies are put that are altered in one way or in several, and looked for. CIFAR-10 is compared with the
published list of its duplicates (Barz & Denzler 2020, "Do we train on test data?"), which is not part of firstlight, as
its licence is not stated: --list FOLDER with duplicates_cifar10.csv and duplicates_cifar10_test.csv, from
https://github.com/cvjena/cifair/tree/master/meta. Without it, that table is left out. Nothing is downloaded: sets that
are not on this machine are left out too. The tables go to docs/why/near_copies.md, between its markers.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from firstlight.data import SOURCES, load, near_copies
from firstlight.data.near_copies import NearCopy, find
from firstlight.files import write_text
from firstlight.types import Array, Images, joined

PAGE = Path(__file__).parents[1] / "docs" / "why" / "near_copies.md"
SETS = ("cifar-10", "svhn", "fashion-mnist", "mnist", "digits")
EACH = 200  # copies of each kind, and at most a twentieth of the images
AT = (0.70, 0.75, 0.80, 0.85, 0.90)
OUTLYING = (4.0, 6.0, 8.0, 10.0)
NEAR, SIMILAR = 1, 2  # of the list: the same shot, and another that hardly differs

Draw = np.random.Generator


def main() -> None:
    """Measure, and write the tables into the page."""
    parser = argparse.ArgumentParser("python -m benchmarks.near_copies", description=__doc__)
    parser.add_argument("--list", type=Path, help="the folder with the published lists")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    asked = parser.parse_args()
    near_copies.CACHED = 10**9  # nothing is taken from what was found before
    here = [name for name in asked.sets if SOURCES[name].at_hand]
    sets = {name: joined(list(load(name, unverified=True).splits.values())) for name in here}
    tables = [_made(sets)]
    if "mnist" in sets:
        tables.append(_thresholds(sets["mnist"]))
    if asked.list is not None and "cifar-10" in sets:
        tables.append(_listed(sets["cifar-10"], asked.list))
    text = "\n\n".join(tables)
    print(text)
    if not asked.print:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- measured -->\n")
        _, _, after = rest.partition("<!-- end -->")
        write_text(PAGE, f"{before}<!-- measured -->\n{text}\n<!-- end -->{after}")


# --- made copies


def _made(sets: dict[str, Images]) -> str:
    """A row a set: the share of the copies that are found, by kind; pairs among the images as they are; seconds."""
    rows = []
    for name, images in sets.items():
        planted, kinds = _planted(images)
        began, before = time.perf_counter(), time.process_time()
        found = _found(planted)
        seconds, processors = time.perf_counter() - began, time.process_time() - before
        shares = [f"{share:.0%}" for share in _shares(images, kinds, found).values()]
        own = sum(copy.second < len(images) for copy in found)
        rows.append([name, f"{len(planted):,}", *shares, f"{own:,}", f"{seconds:.1f}", f"{processors:.1f}"])
    return _table(["set", "images", *ALTERED, "pairs without them", "seconds", "of all cores"], rows)


def _thresholds(images: Images) -> str:
    """For MNIST, how far out a copy is to be: what is found of compressed and shifted ones, and pairs that are none."""
    planted, kinds = _planted(images)
    rows = []
    for outlying in OUTLYING:
        with _set("OUTLYING", outlying):
            found = _found(planted)
        shares = _shares(images, kinds, found)
        chosen = " (chosen)" if outlying == near_copies.OUTLYING else ""
        own = sum(copy.second < len(images) for copy in found)
        rows.append([f"{outlying:g}{chosen}", *(f"{share:.0%}" for share in shares.values()), f"{own:,}"])
    return _table(["deciles out, MNIST", *ALTERED, "pairs without them"], rows)


def _planted(images: Images) -> tuple[Images, list[tuple[str, int]]]:
    """The images, and after them copies of some of them; of each its kind, and which image it is of."""
    draw = np.random.default_rng(0)
    each = min(EACH, len(images) // 20)
    chosen = draw.choice(len(images), len(ALTERED) * each, replace=False).tolist()
    kinds = [(kind, chosen.pop()) for kind in ALTERED for _ in range(each)]
    copies = np.stack([ALTERED[kind](images.pixels[i], draw) for kind, i in kinds])
    originals = images.take(np.array([i for _, i in kinds]))
    ids = np.array([f"copy {n}" for n in range(len(kinds))])
    return joined([images, Images(copies, originals.labels, ids, images.class_names)]), kinds


def _shares(images: Images, kinds: list[tuple[str, int]], found: tuple[NearCopy, ...]) -> dict[str, float]:
    """Of each kind the share of the copies that were found as copies of their own image."""
    pairs = {(copy.first, copy.second) for copy in found}
    right: dict[str, list[bool]] = {kind: [] for kind in ALTERED}
    for n, (kind, i) in enumerate(kinds):
        right[kind].append((i, len(images) + n) in pairs)
    return {kind: float(np.mean(of_kind)) for kind, of_kind in right.items()}


def _pil(image: Array) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def _array(image: Image.Image) -> Array:
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _resized(image: Array, draw: Draw) -> Array:
    """Made 50 to 80 % as large, and as large as before."""
    height, width = image.shape[:2]
    share = draw.uniform(0.5, 0.8)
    small = _pil(image).resize((max(1, round(width * share)), max(1, round(height * share))), Image.Resampling.BILINEAR)
    return _array(small.resize((width, height), Image.Resampling.BICUBIC))


def _compressed(image: Array, draw: Draw) -> Array:
    """JPEG of quality 40 to 90."""
    data = io.BytesIO()
    _pil(image).save(data, "JPEG", quality=int(draw.integers(40, 90)))
    return _array(Image.open(data))


def _lit(image: Array, draw: Draw) -> Array:
    """15 to 40 grey levels brighter or darker, with 70 to 130 % of the contrast."""
    more, contrast = draw.uniform(15, 40) * draw.choice([-1, 1]), draw.uniform(0.7, 1.3)
    return np.clip((image.astype(float) - 128) * contrast + 128 + more, 0, 255).round().astype(np.uint8)


def _shifted(image: Array, draw: Draw) -> Array:
    """By up to 3 of 32 pixels, with the border drawn out."""
    most = max(1, round(3 * len(image) / 32))
    down, right = 0, 0
    while not (down or right):
        down, right = draw.integers(-most, most + 1, 2).tolist()
    padded = np.pad(image, ((most, most), (most, most), (0, 0)), mode="edge")
    height, width = image.shape[:2]
    return padded[most + down : most + down + height, most + right : most + right + width]


def _mirrored(image: Array, draw: Draw) -> Array:
    return image[:, ::-1] if draw.random() < 0.7 else image[::-1]


ALTERED: dict[str, Callable[[Array, Draw], Array]] = {
    "turned": lambda image, draw: np.rot90(image, int(draw.integers(1, 4))),
    "mirrored": _mirrored,
    "resized": _resized,
    "compressed": _compressed,
    "brightened": _lit,
    "shifted": _shifted,
    "all four": lambda image, draw: _compressed(_lit(_shifted(_mirrored(image, draw), draw), draw), draw),
}


# --- the published list


def _listed(images: Images, folder: Path) -> str:
    """CIFAR-10 by the least similarity: pairs of the list that are found, test images, and those not in the list."""
    pairs = _pairs_of_list(images, folder)
    with _set("LEAST", AT[0]), _set("UNLIKE", AT[0]):
        found = _found(images)
    test = {i for i, name in enumerate(images.ids.tolist()) if name.startswith("test/")}
    told = {i for pair in pairs for i in pair if i in test}
    rows = []
    for least in AT:
        here = {(copy.first, copy.second) for copy in found if copy.similarity >= least}
        of_list = {kind: [pair in here for pair, k in pairs.items() if k == kind] for kind in (NEAR, SIMILAR)}
        hit = {i for pair in here for i in pair if i in test}
        chosen = " (chosen)" if least == near_copies.LEAST else ""
        rows.append(
            [
                f"{least:.2f}{chosen}",
                *(f"{sum(of_kind)} of {len(of_kind)} ({np.mean(of_kind):.0%})" for of_kind in of_list.values()),
                f"{len(hit & told)} of {len(told)}",
                f"{len(hit - told)}",
                f"{len(here):,}",
            ]
        )
    titles = ["least similarity, CIFAR-10", "near duplicates", "very similar", "test images of the list", "others"]
    return _table([*titles, "pairs in all"], rows)


def _pairs_of_list(images: Images, folder: Path) -> dict[tuple[int, int], int]:
    """The pairs of both lists, as places in the images, with what they were judged to be."""
    place = {name: i for i, name in enumerate(images.ids.tolist())}
    pairs = {}
    for name, other in (("duplicates_cifar10.csv", "train"), ("duplicates_cifar10_test.csv", "test")):
        with (folder / name).open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                one, two = place[f"test/{int(row['TestID']):05}"], place[f"{other}/{int(row['TrainID']):05}"]
                pairs[min(one, two), max(one, two)] = int(row["Judgment"])
    return pairs


# ---


def _found(images: Images) -> tuple[NearCopy, ...]:
    near_copies._found.clear()
    return find(images)


@contextmanager
def _set(name: str, value: Any) -> Iterator[None]:
    before = getattr(near_copies, name)
    setattr(near_copies, name, value)
    try:
        yield
    finally:
        setattr(near_copies, name, before)


def _table(titles: list[str], rows: list[list[str]]) -> str:
    head = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in head)


if __name__ == "__main__":
    main()
