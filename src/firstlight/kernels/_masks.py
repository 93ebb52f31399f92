"""Dropout's masks: the draws of NumPy's Philox generator, compiled and shared out among the threads.

A counter-based generator (Philox 4x64-10; Salmon et al. 2011) gives any of its numbers without those before it. Bit for
bit these are the draws of `np.random.Generator(np.random.Philox(key=key)).random(n, dtype=np.float32)`: block b holds
four whole numbers of 64 bits made of the counter b + 1, of which each gives two draws, its lower half first, by their
upper 24 bits.
"""

# Numba infers the types of compiled functions.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, import-untyped"

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import prange, types

from firstlight.kernels._jit import inner, parallel
from firstlight.kernels._vectors import intrinsic

PER_BLOCK = 8  # draws
# Blocks from which on another thread is woken.
SHARE = 1 << 10
FACTORS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
BUMPS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
ROUNDS = 10


def least(rate: float) -> int:
    """The upper 24 bits of the first draw that keeps at this rate: a draw of float32 keeps from the rate on."""
    return math.ceil(float(np.float32(rate)) * 2**24)


@parallel
def draw(masks, starts, keys, kept_from, workers):
    """masks[starts[k] : starts[k + 1]] = draw ≥ rate for the key (2,) and `least` of each mask k."""
    for worker in prange(workers):
        for k in range(len(keys)):
            first, end = starts[k], starts[k + 1]
            blocks = -(-(end - first) // PER_BLOCK)
            w = np.int64(worker)
            for block in range(blocks * w // workers, blocks * (w + 1) // workers):
                numbers = _block(np.uint64(block + 1), keys[k, 0], keys[k, 1])
                at = first + block * PER_BLOCK
                if at + PER_BLOCK <= end:
                    _keep(masks[at : at + PER_BLOCK], numbers, kept_from[k])
                else:
                    whole = np.empty(PER_BLOCK, np.uint8)
                    _keep(whole, numbers, kept_from[k])
                    masks[at:end] = whole[: end - at]


@inner
def _keep(masks, numbers, kept_from):
    """The eight masks of a block."""
    a, b, c, d = numbers
    masks[0], masks[1] = _lower(a) >= kept_from, _upper(a) >= kept_from
    masks[2], masks[3] = _lower(b) >= kept_from, _upper(b) >= kept_from
    masks[4], masks[5] = _lower(c) >= kept_from, _upper(c) >= kept_from
    masks[6], masks[7] = _lower(d) >= kept_from, _upper(d) >= kept_from


@inner
def _lower(number):
    return number >> np.uint64(8) & np.uint64(0xFFFFFF)


@inner
def _upper(number):
    return number >> np.uint64(40)


@inner
def _block(counter, key0, key1):
    """The four numbers of a block."""
    a, b, c, d = counter, np.uint64(0), np.uint64(0), np.uint64(0)
    for _ in range(ROUNDS):
        (high, low), (other_high, other_low) = _product(FACTORS[0], a), _product(FACTORS[1], c)
        a, b, c, d = other_high ^ b ^ key0, other_low, high ^ d ^ key1, low
        key0, key1 = key0 + BUMPS[0], key1 + BUMPS[1]
    return a, b, c, d


@intrinsic
def _product(_, a, b):
    """The upper and the lower half of the product of two numbers of 64 bits, of which the processor gives both."""

    def emit(context, builder, signature, args):
        wide, long = ir.IntType(128), ir.IntType(64)
        product = builder.mul(*(builder.zext(each, wide) for each in args))
        halves = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), long), builder.trunc(product, long)
        return context.make_tuple(builder, signature.return_type, halves)

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), emit
