"""Random generators by key: the same (seed, purpose, ...) gives the same draws on every engine, worker and resume.

A counter-based generator (Philox 4x64; Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") takes a
hash of the key as its own key, so no generator's state has to be saved, sent or advanced.
"""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *key: str | int) -> np.random.Generator:
    """Return the generator that belongs to `seed` and `key`, such as (0, "order", epoch)."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(philox_key(seed, *key), "little")))


def philox_key(seed: int, *key: str | int) -> bytes:
    """Return the 16 bytes that are the key of that generator, the lowest first."""
    text = "\x1f".join([str(seed), *map(str, key)])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
