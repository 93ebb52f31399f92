"""The measurement of near copies: what is planted is what it says, and the published list is read as it is meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.test_near_copies import images, scenes

from benchmarks import near_copies
from firstlight.types import Images


def test_copies_are_planted_and_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_copies, "EACH", 3)
    some = images(scenes(60))
    planted, kinds = near_copies._planted(some)
    assert len(planted) == 60 + len(kinds) == 60 + 3 * len(near_copies.ALTERED)
    assert all(
        planted.pixels[60 + n].shape == (32, 32, 3) and not np.array_equal(planted.pixels[60 + n], some.pixels[i])
        for n, (_, i) in enumerate(kinds)
    )
    shares = near_copies._shares(some, kinds, near_copies._found(planted))
    assert min(shares.values()) >= 2 / 3
    assert near_copies._shares(some, kinds, ()) == dict.fromkeys(near_copies.ALTERED, 0.0)
    assert near_copies._made({"some": some}).count("\n") == 2


def test_the_published_list(tmp_path: Path) -> None:
    head = "TestID,TrainID,Distance,Judgment\n"
    (tmp_path / "duplicates_cifar10.csv").write_text(f"{head}1,0,0.07,1\n0,2,0.08,2\n")
    (tmp_path / "duplicates_cifar10_test.csv").write_text(f"{head}1,0,0.07,1\n")
    first = scenes(3)
    ids = np.array([*(f"train/{i:05}" for i in range(3)), *(f"test/{i:05}" for i in range(2))])
    some = Images(np.concatenate([first, first[:2, ::-1]]), np.zeros(5, np.int64), ids, ("a", "b"))
    assert near_copies._pairs_of_list(some, tmp_path) == {(0, 4): 1, (2, 3): 2, (3, 4): 1}
    assert near_copies._listed(some, tmp_path).count("0 of 2") == len(near_copies.AT)
