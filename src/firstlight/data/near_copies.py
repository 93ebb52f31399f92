"""Near copies: images that show the same picture, turned, mirrored, resized, compressed, brightened or shifted.

In three steps, each for fewer pairs than the one before:

1. A hash of 60 bits: which amplitudes of the slow waves in an image (up to five periods) are greater than those of
   other waves of their length. Amplitudes do not change with a shift, nor with light, and blurring or compressing an
   image changes all waves of a length alike. To turn or mirror an image is to exchange waves, so that four hashes stand
   for all eight symmetries. All pairs are compared; some bits may differ.
2. The same amplitudes as numbers of 8 bits: of those that are like an image, the eight that are most like it are kept.
3. The pixels: details of at most 32×32 (a difference of two Gaussians, divided by the contrast around), correlated at
   each symmetry and each shift of a few pixels.

How great a correlation makes a copy depends on what there is to see: two photographs are like each other to 0.26, two
drawings of a one to 0.5 and often to 0.9. So each class has a threshold of its own, an outlier among the correlations
of pairs drawn from it. How it was chosen, and what it finds and misses: docs/why/near_copies.md.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np

from firstlight.files import ARRAYS_LIMIT, arrays_of, read_bytes, user_cache, write_bytes
from firstlight.pixels import blocks, taken
from firstlight.types import Array, Images

PERIODS = 5  # of the fastest wave of the hash
WINDOW = 0.7  # how far the waves fade towards the border of an image
SIDE = 32  # of a detail, at most
BLURS = (0.7, 2.5)  # the standard deviations of the two Gaussians, in pixels of 32×32
AROUND = 4.0  # and of the contrast around a pixel
FLAT = 0.75  # grey levels: an image whose detail has less shows nothing that could be compared
CANDIDATES = 8  # of an image that are compared by pixels
PER_IMAGE = 1_000  # pairs by their hashes, on average; with more of them alike, fewer bits may differ
BITS = 16  # that may differ at most, of 60
LIKENESS = 0.55  # the least correlation of amplitudes
REACH = 5  # of 32 pixels: the farthest shift
DRAWN = 80  # images of a class, by which its threshold is chosen
FEW = 28  # pairs; with fewer there is nothing to choose by
OUTLYING = 8.0  # how far out a copy is, in distances from the median to the ninth decile
LEAST, MOST = 0.80, 0.99  # the limits of a threshold
UNKNOWN = 0.9  # the threshold where there is nothing to choose by
UNLIKE = 0.9  # and the least one for images of two classes: most pairs are of two, and hardly any copies
CACHED = 2_000  # images from which on what was found is kept on the disk
MANY = 20_000  # images that take a second or more
ROWS = 1 << 14  # of images whose hashes are worked out together
VERSION = 2  # of what is kept: another where any of the above changes

TURNS = (
    "",
    "mirrored",
    "mirrored upside down",
    "turned by 180°",
    "mirrored, turned by 90°",
    "turned by 90°",
    "turned by 90°",
    "mirrored, turned by 90°",
)


@dataclass(frozen=True)
class NearCopy:
    """Two images that show the same picture.

    first, second  where they are in the images that were searched; `find` gives the earlier one first
    similarity     the correlation of their details, at most 1
    turn           how the second one is turned to be like the first, of TURNS
    down, right    how far it is then moved, in shares of the height and of the width
    """

    first: int
    second: int
    similarity: float
    turn: int = 0
    down: float = 0.0
    right: float = 0.0

    def reversed(self) -> NearCopy:
        """The same pair with the other image first: the shift undone, then turned back."""
        mirrored, upside_down, swapped = self.turn & 1, self.turn >> 1 & 1, self.turn >> 2
        down, right = (-self.right, -self.down) if swapped else (-self.down, -self.right)
        down, right = -down if upside_down else down, -right if mirrored else right
        turn = upside_down + 2 * mirrored + 4 if swapped else mirrored + 2 * upside_down
        return NearCopy(self.second, self.first, self.similarity, turn, down, right)


def find(images: Images, tell: Callable[[str], None] | None = None) -> tuple[NearCopy, ...]:
    """Return the near copies among images, in their order; exact copies are left to `data.check`.

    An image has up to CANDIDATES of them among the later ones. One of which there are exact copies stands for these,
    which are then near copies of the same images. One without detail, such as a blank image, is no copy of another.
    What was found among many images is kept in the user's cache, so that it is there at once when the same images are
    asked for again. About 8 s for 70,000 images on two cores; memory grows with the images, not with the pairs.

    tell  is told before a search that takes a while
    """
    name = f"{digest(images)}.npz"
    if name in _found:
        return _found[name]
    path = user_cache() / "near-copies" / name if len(images) >= CACHED else None
    found = None if path is None else _kept(path)
    if found is None:
        if tell is not None and len(images) >= MANY:
            tell(f"Looking for near copies among {len(images):,} images, once for this set …")
        found = _search(images)
        if path is not None:
            _keep(path, found)
    while len(_found) >= _REMEMBERED:
        _found.pop(next(iter(_found)))
    _found[name] = found
    return found


_REMEMBERED = 8
_found: dict[str, tuple[NearCopy, ...]] = {}


def digest(images: Images) -> str:
    """A hash of what the search depends on: the pixels and the classes."""
    made = hashlib.sha256(f"{VERSION} {images.pixels.shape}".encode())
    made.update(np.ascontiguousarray(images.labels).data)
    for _, block in blocks(images.pixels):
        made.update(block.data)
    return made.hexdigest()


def joined(count: int, pairs: Iterable[tuple[int, int]]) -> Array:
    """For each of `count` images the first one that it is joined with, by whatever chain of pairs: int64 (count,)."""
    root = np.arange(count)

    def of(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = int(root[i])
        return i

    for first, second in pairs:
        a, b = of(first), of(second)
        root[max(a, b)] = min(a, b)
    return np.array([of(i) for i in range(count)], np.int64)


def _search(images: Images) -> tuple[NearCopy, ...]:
    """The work of `find`."""
    from firstlight.kernels import _near_copies as kernels  # Numba is imported where it is needed

    _, first, same = np.unique(images.fingerprints, return_index=True, return_inverse=True)
    index = np.sort(first)  # of each set of exact copies the first
    if len(index) < 2 or min(images.shape[:2]) < 2:
        return ()
    pixels = images.pixels if len(index) == len(images) else taken(images.pixels, index)
    labels = images.labels[index]
    side = min(SIDE, max(images.shape[:2]))
    side += side % 2
    how = (_waves(images.shape), _blurs(images.shape, side), *_around(side))
    shown = np.zeros(len(index), bool)
    spectra = np.empty((len(index), 2 * PERIODS + 1, PERIODS + 1), np.float32)
    details = np.empty((len(index), side, side), np.int8)
    n = 0
    for start, block in blocks(pixels):
        *described, levels = kernels.describe(block, *how)
        kept = levels >= FLAT
        shown[start : start + len(block)] = kept
        rows = slice(n, n + int(kept.sum()))
        spectra[rows], details[rows] = (part[kept] for part in described)
        n = rows.stop
    if n < 2:
        return ()
    index, labels, details, spectra = index[shown], labels[shown], details[:n], spectra[:n]
    hashes, features = _hashes(_relative(spectra))
    bits = _allowed(hashes)
    found, turns = kernels.candidates(hashes, features, CANDIDATES, bits, round(LIKENESS * _SCALE**2))
    one, place = np.nonzero(found >= 0)
    other, turn = found[one, place], turns[one, place]
    reach = max(1, round(REACH * side / SIDE))
    similarity, places = kernels.compare(one.astype(np.int32), other, turn, details, reach)
    least = _thresholds(labels, details, len(images.class_names))
    needed = np.maximum(least[labels[one]], least[labels[other]])
    near = similarity >= np.where(labels[one] == labels[other], needed, np.maximum(needed, UNLIKE))
    shifts = places[:, 1:].astype(np.float64) / side
    pairs = [
        NearCopy(int(index[one[p]]), int(index[other[p]]), float(similarity[p]), int(places[p, 0]), *shifts[p].tolist())
        for p in np.flatnonzero(near)
    ]
    if len(first) < len(images):
        pairs = _with_exact_copies(pairs, same)
    return tuple(sorted(pairs, key=lambda copy: (copy.first, copy.second)))


def _with_exact_copies(pairs: Sequence[NearCopy], same: Array) -> list[NearCopy]:
    """The pairs, and those of each exact copy of one image with the other; `same` numbers the images that are equal."""
    members: dict[int, list[int]] = {}
    for place, number in enumerate(same.tolist()):
        members.setdefault(number, []).append(place)
    found = {}
    for pair in pairs:
        firsts, seconds = members[int(same[pair.first])], members[int(same[pair.second])]
        for a, b in [(a, pair.second) for a in firsts] + [(pair.first, b) for b in seconds]:
            copy = replace(pair, first=a, second=b)
            found[min(a, b), max(a, b)] = copy if a < b else copy.reversed()
    return list(found.values())


# --- what an image is compared by

_SCALE = 256  # of features with a length of one, in bytes
_WAVES = [(y, x) for y in range(-PERIODS, PERIODS + 1) for x in range(PERIODS + 1) if x > 0 or y > 0]  # a half plane
_LENGTHS = np.array([max(1, round(math.hypot(*wave))) for wave in _WAVES])


def _exchanged(wave: tuple[int, int]) -> int:
    """The number of a wave, or of the one in the half plane that has the same amplitude."""
    y, x = wave
    return _WAVES.index((y, x) if x > 0 or (x == 0 and y > 0) else (-y, -x))


# Which wave takes the place of each where an image stays as it is, is turned by 90°, is mirrored, or both.
_EXCHANGES = np.array(
    [
        [_exchanged((y, x)) for y, x in _WAVES],
        [_exchanged((x, -y)) for y, x in _WAVES],
        [_exchanged((y, -x)) for y, x in _WAVES],
        [_exchanged((x, y)) for y, x in _WAVES],
    ]
)


def _waves(shape: Sequence[int]) -> tuple[Array, Array]:
    """Waves under a window, complex64: of −PERIODS to PERIODS down the image, and of 0 to PERIODS across."""

    def under_window(length: int, periods: range) -> Array:
        t = (np.arange(length) + 0.5) / length
        window = 1 - WINDOW + WINDOW * np.sin(np.pi * t) ** 2
        return (window * np.exp(-2j * np.pi * np.outer(periods, t))).astype(np.complex64)

    return under_window(shape[0], range(-PERIODS, PERIODS + 1)), under_window(shape[1], range(PERIODS + 1))


def _gaussian(side: int, length: int, deviation: float) -> Array:
    """Rows that make `side` blurred pixels of `length`, float32 (side, length); their weights sum to one at borders."""
    centres = (np.arange(length) + 0.5) * side / length - 0.5
    deviation = max(deviation, 0.4 * side / length)
    weights = np.exp(-0.5 * ((np.arange(side)[:, None] - centres) / deviation) ** 2)
    weights[weights < 1e-4] = 0
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _blurs(shape: Sequence[int], side: int) -> tuple[Array, Array, Array, Array]:
    """Rows and columns of the slight blur, and of the strong one."""
    both = [
        (_gaussian(side, shape[0], deviation), np.ascontiguousarray(_gaussian(side, shape[1], deviation).T))
        for deviation in (deviation * side / SIDE for deviation in BLURS)
    ]
    return *both[0], *both[1]


def _around(side: int) -> tuple[Array, float]:
    return _gaussian(side, side, AROUND * side / SIDE), FLAT


def _relative(spectra: Array) -> Array:
    """Each amplitude beside those of the same length in its image, and beside what is usual among the images.

    float32 (N, 60) of log-spectra (N, 11, 6). What is usual is the same for all symmetries, so that these stay
    exchanges of waves, and counts little where there are few images, of which any could be another's copy.
    """
    y, x = np.array(_WAVES).T
    features = spectra[:, y + PERIODS, x].astype(np.float64)
    for length in np.unique(_LENGTHS):
        features[:, length == _LENGTHS] -= features[:, length == _LENGTHS].mean(axis=1, keepdims=True)
    n = len(features)
    usual = features.mean(axis=0)[_EXCHANGES].mean(axis=0)
    features -= usual * (n / (n + 1000))
    return features


def _hashes(features: Array) -> tuple[Array, Array]:
    """The signs of features as bits, uint64 (4, N), and their values in bytes, int8 (4, N, 60), for the exchanges."""
    n, (kinds, waves) = len(features), _EXCHANGES.shape
    hashes, values = np.empty((kinds, n), np.uint64), np.empty((kinds, n, waves), np.int8)
    powers = np.uint64(1) << np.arange(waves, dtype=np.uint64)
    for start in range(0, n, ROWS):  # so that no copies of all features are made
        rows = slice(start, start + ROWS)
        some = features[rows]
        length = np.sqrt((some**2).sum(axis=1, keepdims=True))
        scaled = np.clip(np.round(some / np.maximum(length, 1e-9) * _SCALE), -127, 127).astype(np.int8)
        for kind, order in enumerate(_EXCHANGES):
            hashes[kind, rows] = np.where(some[:, order] > 0, powers, np.uint64(0)).sum(axis=1, dtype=np.uint64)
            values[kind, rows] = scaled[:, order]
    return hashes, values


def _allowed(hashes: Array) -> int:
    """How many bits may differ, so that about PER_IMAGE pairs an image are left: by some of the images."""
    n = hashes.shape[1]
    rows = np.unique(np.linspace(0, n - 1, min(n, 200)).astype(int))
    counts = np.zeros(65)
    for row in rows:
        counts += np.bincount(np.bitwise_count(hashes[:1] ^ hashes[:, row, None]).min(axis=0), minlength=65)
    pairs: Array = counts.cumsum() / (2 * len(rows))
    return int(np.flatnonzero(pairs[: BITS + 1] <= PER_IMAGE).max(initial=0))


def _thresholds(labels: Array, details: Array, classes: int) -> Array:
    """The least correlation of a near copy of each class, float64 (K,): far out among pairs drawn from the class.

    In Fisher's z, in which correlations spread evenly: the median, and so many times as far as the ninth decile.
    """
    from firstlight.kernels import _near_copies as kernels

    counts = np.bincount(labels, minlength=classes)
    drawn = min(DRAWN, max(8, int(math.sqrt(80_000 / max(1, int((counts > 0).sum()))))))
    found = np.full(classes, UNKNOWN)
    for label in np.flatnonzero(counts):
        members = np.flatnonzero(labels == label)
        members = members[np.unique(np.linspace(0, len(members) - 1, min(len(members), drawn)).astype(int))]
        one, other = (members[side].astype(np.int32) for side in np.triu_indices(len(members), 1))
        if len(one) < FEW:
            continue
        reach = max(1, round(REACH * details.shape[1] / SIDE))
        similarity, _ = kernels.compare(one, other, np.full(len(one), -1, np.int8), details, reach)
        median, decile = np.quantile(np.arctanh(np.clip(similarity, 0, 0.9999)), [0.5, 0.9])
        found[label] = np.clip(np.tanh(median + OUTLYING * (decile - median)), LEAST, MOST)
    return found


# --- what is kept


def _kept(path: Path) -> tuple[NearCopy, ...] | None:
    """What was found earlier; None where it is not at hand, or not whole."""
    try:
        table = arrays_of(read_bytes(path, limit=ARRAYS_LIMIT))["pairs"]
        return tuple(NearCopy(int(a), int(b), c, int(t), y, x) for a, b, c, t, y, x in table.tolist())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(path: Path, found: Sequence[NearCopy]) -> None:
    """Keep what was found where that can be done: a cache is no reason to fail."""
    data = io.BytesIO()
    np.savez(data, pairs=np.array([astuple(copy) for copy in found], np.float64).reshape(-1, len(fields(NearCopy))))
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data.getvalue())
