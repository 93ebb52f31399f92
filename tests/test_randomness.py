"""Draws by key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from firstlight.randomness import generator

keys = st.lists(st.one_of(st.integers(0, 99), st.text(st.characters(codec="ascii"), max_size=5)), max_size=3)


@given(st.integers(0, 2**32), keys)
def test_the_same_key_draws_the_same(seed: int, key: list[str | int]) -> None:
    assert (generator(seed, *key).random(4) == generator(seed, *key).random(4)).all()


def test_different_keys_draw_differently() -> None:
    draws = {
        generator(seed, *key).integers(2**63)
        for seed in (0, 1, 10)
        for key in [(), ("order",), ("order", 0), ("order", 1), ("noise", 1), ("order", 1, 0), ("order", 10)]
    }
    assert len(draws) == 21


def test_the_draws_stay_the_same_from_version_to_version() -> None:
    assert generator(0, "order", 0).integers(1_000_000, size=3).tolist() == [971463, 448306, 462433]
