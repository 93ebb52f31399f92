"""Dropout's masks are the draws of NumPy's generator, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from firstlight.kernels import _masks
from firstlight.randomness import generator, philox_key

RATES = (0.0, 0.1, 0.2, 0.5, 1 / 3, 0.999, float(np.nextafter(np.float32(0.5), np.float32(1))))


def drawn(counts: list[int], rates: list[float], workers: int) -> list[np.ndarray]:
    starts = np.cumsum([0, *counts])
    masks = np.full(starts[-1] + 3, 7, np.uint8)
    keys = np.frombuffer(b"".join(philox_key(4, "noise", str(k), 1, 2) for k in range(len(counts))), "<u8")
    kept_from = np.array([_masks.least(rate) for rate in rates], np.uint64)
    _masks.draw(masks, starts, keys.reshape(-1, 2), kept_from, workers, alone=workers == 1)
    assert masks[-3:].tolist() == [7, 7, 7]
    return np.split(masks[:-3], starts[1:-1])


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_draws_are_those_of_the_generator(workers: int) -> None:
    counts = [1, 7, 8, 9, 64, 1001, 40_000]
    for k, (found, count, rate) in enumerate(zip(drawn(counts, list(RATES), workers), counts, RATES, strict=True)):
        truth = generator(4, "noise", str(k), 1, 2).random(count, dtype=np.float32) >= rate
        assert (found == truth).all(), (count, rate)


def test_the_comparison_rejects_another_key() -> None:
    truth = generator(5, "noise", "0", 1, 2).random(64, dtype=np.float32) >= 0.5
    assert not (drawn([64], [0.5], 1)[0] == truth).all()
