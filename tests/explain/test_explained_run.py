"""Images of a run: drawn by the seed, found again by id."""

from __future__ import annotations

import numpy as np
from tests.explain.nets import images, net

from firstlight.explain import ExplainedRun


def subject(seed: int = 0) -> ExplainedRun:
    return ExplainedRun(net("conv"), {"train": images(9, seed=1), "test": images(5)}, {}, seed)


def test_images_are_drawn_by_the_seed_in_their_order() -> None:
    drawn = subject(3).drawn("train", 4)
    assert drawn.tolist() == sorted(set(drawn.tolist()))
    assert len(drawn) == 4
    assert drawn.tolist() == subject(3).drawn("train", 4).tolist()
    assert any(drawn.tolist() != subject(seed).drawn("train", 4).tolist() for seed in range(4))
    assert subject().drawn("test", 99).tolist() == [0, 1, 2, 3, 4]


def test_images_are_found_by_split_and_id() -> None:
    found = subject().images(["test", "train", "test"], ["test/3", "test/3", "test/0"])
    assert found.ids.tolist() == ["test/3", "test/3", "test/0"]
    np.testing.assert_array_equal(found.pixels[1], images(9, seed=1).pixels[3])
    np.testing.assert_array_equal(found.pixels[2], images(5).pixels[0])
