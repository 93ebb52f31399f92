"""Turns and what is made of them."""

from __future__ import annotations

import pytest
from benchmarks.rounds import alternate, fastest, ratio, repeats, summary


def test_the_median_and_half_the_interquartile_range() -> None:
    assert summary([5.0, 1.0, 2.0, 3.0, 4.0]) == (3.0, 1.0, 5)
    assert summary([2.5]) == (2.5, 0.0, 1)
    assert summary([1.0, 2.0, 3.0, 1000.0]).median == 2.5  # one disturbed turn does not count


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [1.0, 0.0], [-1.0]])
def test_what_is_no_measurement_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="A measurement is a positive number"):
        summary(values)


def test_ratios_of_medians_and_of_rounds() -> None:
    # the machine was twice as slow in the last two rounds: each round's own ratio is 4 all the same
    own, peer = [1.0, 1.0, 1.0, 2.0, 2.0], [4.0, 4.0, 4.0, 8.0, 8.0]
    assert ratio(peer, own) == (4.0, 4.0)
    assert ratio([2.0, 2.0, 9.0], [1.0, 4.0, 3.0]) == (2 / 3, 2.0)
    with pytest.raises(ValueError):
        ratio([1.0, 2.0], [1.0])


def test_the_fastest_is_the_one_with_the_least_median() -> None:
    turns = {"a": [1.0, 9.0, 9.0], "b": [3.0, 3.0, 3.0], "c": [1.0, 1.0, 1.0]}
    assert fastest(turns, ("a", "b")) == "b"
    assert fastest(turns, ("absent", "a")) == "a"
    assert fastest(turns, ("absent",)) is None


def test_a_turn_is_long_enough() -> None:
    assert repeats(0.1, 0.3) == 3
    assert repeats(0.11, 0.3) == 3
    assert repeats(0.16, 0.3) == 2
    assert repeats(7.0, 0.3) == 1


def test_they_take_turns() -> None:
    log: list[str] = []

    def taker(name: str, seconds: float) -> float:
        log.append(name)
        return seconds

    turns = alternate(
        {"a": lambda: taker("a", 1.0), "b": lambda: taker("b", 2.0)}, 3, pause=lambda: log.append("pause")
    )
    assert turns == {"a": [1.0] * 3, "b": [2.0] * 3}
    assert log == ["pause", "a", "pause", "b"] * 3
