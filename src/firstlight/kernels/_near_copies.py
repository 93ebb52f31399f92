"""The loops of the search for near copies: describe each image, find those that are alike, compare these by pixels.

Images are shared out to the threads, each result has a place of its own, and what is compared are integers: the
same bits on however many threads. What is computed and why stands in `data.near_copies`.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import get_num_threads, prange, types
from numba.extending import intrinsic

from firstlight.kernels._jit import inner, parallel
from firstlight.types import Array

SINGLE, BYTE, LONG = np.float32, np.int8, np.int32
TURNS = 4  # pairs of symmetries of the square that a spectrum tells apart: one turned by 180° has the same
LARGEST = SINGLE(127)


def _count_bits(typing, word):
    """How many bits of a word are set: one instruction, which loops take in vectors where the processor can."""
    return types.uint64(types.uint64), lambda context, builder, signature, arguments: builder.ctpop(arguments[0])


_ones: Any = intrinsic(_count_bits)


def describe(
    pixels: Array, waves: tuple[Array, Array], blurs: tuple[Array, ...], around: Array, flat: float
) -> tuple[Array, Array, Array]:
    """Return log-spectra float32 (N, 2k + 1, k + 1), and the details of the images, int8 (N, S, S); all 0 where flat.

    pixels  uint8 (N, H, W, C)
    waves   complex64 (2k + 1, H) and (k + 1, W): waves of −k to k and of 0 to k periods, under a window
    blurs   float32 (S, H), (W, S), (S, H), (W, S): rows and columns slightly blurred, then strongly
    around  float32 (S, S): the blur of what contrast there is around a pixel
    flat    the root mean square of a detail, in grey levels, below which there is nothing to compare
    """
    (down, across), side = waves, len(around)
    spectra = np.zeros((len(pixels), len(down), len(across)), SINGLE)
    details = np.zeros((len(pixels), side, side), BYTE)
    energy = np.zeros(len(pixels), SINGLE)
    workers = max(1, min(get_num_threads(), len(pixels)))
    _describe(
        workers, np.ascontiguousarray(pixels), down, across, *blurs, around, np.ascontiguousarray(around.T),
        SINGLE(flat), spectra, details, energy,
    )  # fmt: skip
    return spectra, details, energy


@parallel
def _describe(
    workers, pixels, down, across, rows, columns, rows2, columns2, around, around_columns, flat,
    spectra, details, energy,
):  # fmt: skip
    for worker in prange(workers):
        n = len(pixels)
        height, width, side = pixels.shape[1], pixels.shape[2], len(around)
        plane = np.empty((height, width), SINGLE)
        fine, coarse = np.empty((side, side), SINGLE), np.empty((side, side), SINGLE)
        half = np.empty((side, max(side, width)), SINGLE)
        for i in range(n * worker // workers, n * (worker + 1) // workers):
            _luminance(pixels[i], plane)
            _spectrum(plane, down, across, spectra[i])
            _blur(plane, rows, columns, half, fine)
            _blur(plane, rows2, columns2, half, coarse)
            for y in range(side):
                for x in range(side):
                    fine[y, x] -= coarse[y, x]
            energy[i] = _detail(fine, around, around_columns, flat, half, coarse, details[i])


@inner
def _luminance(image, plane):
    """Grey, by the weights of ITU-R BT.601."""
    height, width, channels = image.shape
    for y in range(height):
        for x in range(width):
            if channels == 3:
                red, green, blue = SINGLE(image[y, x, 0]), SINGLE(image[y, x, 1]), SINGLE(image[y, x, 2])
                plane[y, x] = SINGLE(0.299) * red + SINGLE(0.587) * green + SINGLE(0.114) * blue
            else:
                plane[y, x] = SINGLE(image[y, x, 0])


@inner
def _spectrum(plane, down, across, spectrum):
    """The logarithms of the amplitudes of waves in an image under a window, whose mean under it is taken away."""
    height, width = plane.shape
    total = np.float64(0)
    weight = np.float64(0)
    middle = len(down) // 2
    for y in range(height):
        for x in range(width):
            both = np.float64(down[middle, y].real) * np.float64(across[0, x].real)  # the window: a wave of no period
            total += both * np.float64(plane[y, x])
            weight += both
    mean = SINGLE(total / weight)
    count = len(across)
    rows, found = np.zeros((height, 2 * count), SINGLE), np.zeros((len(down), 2 * count), SINGLE)
    for y in range(height):
        for x in range(width):
            value = plane[y, x] - mean
            for k in range(count):
                rows[y, k] += value * across[k, x].real
                rows[y, count + k] += value * across[k, x].imag
    for j in range(len(down)):
        for y in range(height):
            real, imaginary = down[j, y].real, down[j, y].imag
            for k in range(count):
                found[j, k] += real * rows[y, k] - imaginary * rows[y, count + k]
                found[j, count + k] += real * rows[y, count + k] + imaginary * rows[y, k]
        for k in range(count):
            power = np.float64(found[j, k]) ** 2 + np.float64(found[j, count + k]) ** 2
            spectrum[j, k] = SINGLE(math.log(1 + math.sqrt(power)))


@inner
def _blur(plane, rows, columns, half, blurred):
    """blurred (S, S) = rows (S, H) plane (H, W) columns (W, S), in the order of memory."""
    height, width = plane.shape
    side = len(rows)
    for y in range(side):
        for x in range(width):
            half[y, x] = SINGLE(0)
        for h in range(height):
            weight = rows[y, h]
            if weight != 0:
                for x in range(width):
                    half[y, x] += weight * plane[h, x]
        for x in range(side):
            blurred[y, x] = SINGLE(0)
        for w in range(width):
            value = half[y, w]
            for x in range(side):
                blurred[y, x] += value * columns[w, x]


@inner
def _detail(fine, around, around_columns, flat, half, contrast, detail):
    """Detail divided by the contrast around it, in bytes; returns its root mean square before that."""
    side = len(fine)
    power = np.float64(0)
    for y in range(side):
        for x in range(side):
            contrast[y, x] = fine[y, x] * fine[y, x]
            power += np.float64(contrast[y, x])
    level = SINGLE(math.sqrt(power / (side * side)))
    if level < flat:
        return level
    squares = contrast.copy()
    _blur(squares, around, around_columns, half, contrast)
    largest = SINGLE(0)
    for y in range(side):
        for x in range(side):
            fine[y, x] /= SINGLE(math.sqrt(contrast[y, x])) + SINGLE(0.25) * level
            largest = max(largest, abs(fine[y, x]))
    for y in range(side):
        for x in range(side):
            detail[y, x] = BYTE(round(fine[y, x] / largest * LARGEST))
    return level


def candidates(hashes: Array, features: Array, most: int, bits: int, likeness: int) -> tuple[Array, Array]:
    """Return for each image the later ones that are most like it, int32 (N, most), −1 where there are fewer; and turns.

    hashes    uint64 (4, N): of the image as it is, turned by 90°, mirrored, and both, which a turn by 180° leaves alone
    features  int8 (4, N, D), likewise
    bits      in which two hashes may differ; likeness is the least product of their features

    The turns, int8 (N, most), are those of the first image that the second one is like.
    """
    n = hashes.shape[1]
    found, turns = np.full((n, most), -1, LONG), np.zeros((n, most), BYTE)
    workers = max(1, min(get_num_threads(), n))
    _candidates(workers, hashes, features, np.uint8(bits), LONG(likeness), found, turns)
    return found, turns


@parallel
def _candidates(workers, hashes, features, bits, likeness, found, turns):
    for worker in prange(workers):
        n, most = found.shape
        apart = np.empty(n, np.uint8)
        products = np.empty(most, LONG)
        plain = hashes[0]
        for i in range(worker, n, workers):  # in turns, as later images have fewer to be compared with
            first, second, third, fourth = hashes[0, i], hashes[1, i], hashes[2, i], hashes[3, i]
            for j in range(i + 1, n):
                other = plain[j]
                one = min(_ones(other ^ first), _ones(other ^ second))
                apart[j] = min(one, min(_ones(other ^ third), _ones(other ^ fourth)))
            filled, least = 0, likeness
            for j in range(i + 1, n):
                if apart[j] > bits:
                    continue
                best, turn = LONG(-1), 0
                for t in range(TURNS):
                    if _ones(plain[j] ^ hashes[t, i]) <= bits:
                        product = _product(features[0, j], features[t, i])
                        if product > best:
                            best, turn = product, t
                if best <= least:
                    continue
                place = filled if filled < most else most - 1
                while place > 0 and products[place - 1] < best:
                    products[place] = products[place - 1]
                    found[i, place] = found[i, place - 1]
                    turns[i, place] = turns[i, place - 1]
                    place -= 1
                products[place], found[i, place], turns[i, place] = best, j, turn
                filled = min(filled + 1, most)
                if filled == most:
                    least = products[most - 1]


@inner
def _product(a, b):
    total = LONG(0)
    for k in range(len(a)):
        total += LONG(a[k]) * LONG(b[k])
    return total


def compare(first: Array, second: Array, turns: Array, details: Array, reach: int) -> tuple[Array, Array]:
    """Return the likeness of pairs of images, float32 (P,), at the turn and the shift at which it is greatest.

    first, second  int32 (P,), the pairs; turns int8 (P,), as `candidates` has them, or −1 to try all symmetries
    details        int8 (N, S, S)
    reach          how far the second one may be shifted, in pixels of the details, up, down, left and right

    Turn and shift are int8 (P, 3): how the second one is turned to be like the first (1 left to right, + 2 upside down,
    and + 4 with rows and columns swapped after that), and how far it is then moved down and to the right.
    """
    likeness, places = np.zeros(len(first), SINGLE), np.zeros((len(first), 3), BYTE)
    workers = max(1, min(get_num_threads(), len(first)))
    if len(first):
        _compare(workers, first, second, turns, details, reach, likeness, places)
    return likeness, places


@parallel
def _compare(workers, first, second, turns, details, reach, likeness, places):
    for worker in prange(workers):
        n, side = len(first), details.shape[1]
        half = side // 2
        turned, small, small_turned = (
            np.empty((side, side), BYTE),
            np.empty((half, half), BYTE),
            np.empty((half, half), BYTE),
        )
        for p in range(n * worker // workers, n * (worker + 1) // workers):
            one, other = details[first[p]], details[second[p]]
            _halved(one, small)
            best, turn, down, right = SINGLE(-2), 0, 0, 0
            steps = reach // 2
            for t in range(8):
                if turns[p] >= 0 and not _fits(turns[p], t):
                    continue
                _turned(other, t, turned)
                _halved(turned, small_turned)
                for dy in range(-steps, steps + 1):
                    for dx in range(-steps, steps + 1):
                        value = _correlation(small, small_turned, dy, dx)
                        if value > best:
                            best, turn, down, right = value, t, 2 * dy, 2 * dx
            _turned(other, turn, turned)
            best = SINGLE(-2)
            for dy in range(down - 1, down + 2):
                for dx in range(right - 1, right + 2):
                    if abs(dy) < side and abs(dx) < side:
                        value = _correlation(one, turned, dy, dx)
                        if value > best:
                            best = value
                            places[p, 1], places[p, 2] = dy, dx
            likeness[p], places[p, 0] = best, turn


@inner
def _fits(pair, turn):
    """Whether a symmetry is one of the two of a pair, which differ by 180° and have the same amplitudes of waves."""
    straight = (turn & 1) == (turn >> 1 & 1)
    if turn & 4:
        return pair == (3 if straight else 1)
    return pair == (0 if straight else 2)


@inner
def _turned(image, turn, turned):
    side = len(image)
    for y in range(side):
        for x in range(side):
            row, column = (x, y) if turn & 4 else (y, x)
            if turn & 1:
                column = side - 1 - column
            if turn & 2:
                row = side - 1 - row
            turned[y, x] = image[row, column]


@inner
def _halved(image, half):
    """The mean of each two by two pixels, rounded down."""
    for y in range(len(half)):
        for x in range(len(half)):
            y2, x2 = 2 * y, 2 * x
            total = (
                LONG(image[y2, x2]) + LONG(image[y2, x2 + 1]) + LONG(image[y2 + 1, x2]) + LONG(image[y2 + 1, x2 + 1])
            )
            half[y, x] = BYTE(total >> 2)


@inner
def _correlation(a, b, down, right):
    """Of a with b moved down and to the right, over what both show; in integers up to the last step."""
    side = len(a)
    top, bottom = max(0, down), min(side, side + down)
    left, wide = max(0, right), side - abs(right)
    products, ones, others = LONG(0), LONG(0), LONG(0)
    for y in range(top, bottom):
        row, other = a[y, left : left + wide], b[y - down, left - right : left - right + wide]
        for x in range(wide):
            p, q = LONG(row[x]), LONG(other[x])
            products += p * q
            ones += p * p
            others += q * q
    if ones == 0 or others == 0:
        return SINGLE(0)
    return SINGLE(products / math.sqrt(np.float64(ones) * np.float64(others)))
