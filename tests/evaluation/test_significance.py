"""The tests of significance against SciPy and by simulation: they err as often as they say, and no test is a rubber."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from firstlight.errors import DataError
from firstlight.evaluation import (
    LEVEL,
    bootstrap_interval,
    corrected_t,
    holm,
    mcnemar,
    paired_t,
    same_images,
    sign_flip,
    significance,
    spread,
)
from firstlight.types import Array, Predictions

NUMBERS = st.floats(-1, 1, allow_subnormal=False).map(lambda x: round(x, 6))


def predictions(correct: Sequence[bool] | Array, labels: Array | None = None) -> Predictions:
    """Predictions of two classes that are right where `correct` says so."""
    right = np.asarray(correct, bool)
    true = np.zeros(len(right), np.int64) if labels is None else labels
    answered = np.where(right, true, 1 - true)
    return Predictions(np.array([f"i{k}" for k in range(len(right))]), true, np.eye(2, dtype=np.float32)[answered])


def pair(both: int, first: int, second: int, neither: int) -> tuple[Predictions, Predictions]:
    a = [True] * both + [True] * first + [False] * second + [False] * neither
    b = [True] * both + [False] * first + [True] * second + [False] * neither
    return predictions(a), predictions(b)


# --- mean and standard deviation


@given(st.lists(NUMBERS, min_size=2, max_size=30))
def test_spread_is_that_of_a_sample(values: list[float]) -> None:
    found = spread(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(statistics.stdev(values), abs=1e-9)


def test_one_number_has_no_spread_and_none_has_no_mean() -> None:
    assert spread([0.5]).sd is None
    with pytest.raises(DataError, match="at least one number"):
        spread([])


# --- McNemar


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(1, 40))
def test_mcnemar_equals_the_binomial_test_of_scipy(both: int, first: int, second: int, neither: int) -> None:
    test = mcnemar(*pair(both, first, second, neither))
    assert (test.images, test.only_first, test.only_second) == (both + first + second + neither, first, second)
    if first + second:
        assert test.p == pytest.approx(stats.binomtest(first, first + second).pvalue, rel=1e-9)
    else:
        assert test.p == 1.0
    assert test.difference == pytest.approx((first - second) / test.images)
    assert test.interval[0] <= test.difference <= test.interval[1]
    mirror = mcnemar(*reversed(pair(both, first, second, neither)))
    assert mirror.p == test.p
    assert mirror.interval == pytest.approx((-test.interval[1], -test.interval[0]))


def test_mcnemar_knows_a_published_example() -> None:
    # Agresti, "Categorical Data Analysis", table 10.1: 150 against 86 of 1,600 changed their mind.
    test = mcnemar(*pair(794, 150, 86, 570))
    assert test.p == pytest.approx(3.716e-5, rel=1e-3)
    assert test.difference == pytest.approx(0.04)
    assert test.interval == pytest.approx((0.021, 0.059), abs=1e-3)  # as its text gives it


def test_mcnemar_joins_by_id_and_refuses_other_questions() -> None:
    a, b = pair(30, 20, 10, 15)
    shuffle = np.random.default_rng(0).permutation(len(b))
    shuffled = Predictions(b.ids[shuffle], b.labels[shuffle], b.probabilities[shuffle])
    assert mcnemar(a, shuffled) == mcnemar(a, b)
    relabelled = Predictions(b.ids, 1 - b.labels, b.probabilities)
    elsewhere = Predictions(np.char.add(b.ids, "x"), b.labels, b.probabilities)
    for other in (relabelled, elsewhere, predictions([True] * 3)):
        assert not same_images(a, other)
        with pytest.raises(DataError, match="same images"):
            mcnemar(a, other)
    with pytest.raises(DataError, match="same images"):
        mcnemar(predictions([]), predictions([]))


# --- the sign-flip test


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=9))
def test_sign_flip_equals_the_count_of_all_patterns(pairs: list[tuple[float, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    differences = np.subtract(first, second)
    patterns = np.array(list(itertools.product([1, -1], repeat=len(pairs))))
    sums = np.abs(patterns @ differences)
    test = sign_flip(first, second)
    assert test.p == pytest.approx(np.mean(sums >= abs(differences.sum()) - 1e-9 * np.abs(differences).sum()))
    assert test.smallest_p <= test.p <= 1
    mirror = sign_flip(second, first)
    assert (mirror.p, mirror.mean) == (test.p, -test.mean)
    order = np.random.default_rng(len(pairs)).permutation(len(pairs))
    assert sign_flip(np.array(first)[order], np.array(second)[order]).p == pytest.approx(test.p)


def test_sign_flip_equals_scipy() -> None:
    draw = np.random.default_rng(3)
    first, second = draw.normal(0.3, 1, 9), draw.normal(0, 1, 9)
    theirs = stats.permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(first, second).p == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize(("n", "smallest", "can"), [(1, 1, False), (5, 0.0625, False), (6, 0.03125, True)])
def test_few_seeds_cannot_show_anything(n: int, smallest: float, can: bool) -> None:
    test = sign_flip(np.linspace(1, 2, n), np.zeros(n))  # all in one direction, which is the most that can be
    assert test.p == test.smallest_p == smallest
    assert test.can_show() is can


def test_rounding_does_not_break_ties() -> None:
    # 0.1 + 0.2 is not 0.3 in binary; as decimals, two of the four patterns of these give the observed sum or its mirror
    assert sign_flip([0.1, 0.2, 0.3], [0.0, 0.0, 0.6]).p == 1.0


def test_many_seeds_are_drawn_and_come_close_to_the_exact_p() -> None:
    draw = np.random.default_rng(1)
    differences = draw.normal(0.35, 1, 20)
    exact = sign_flip(differences, np.zeros(20))
    drawn = significance._drawn_p(differences)
    assert drawn == pytest.approx(exact.p, abs=4 * math.sqrt(exact.p / significance.DRAWS))
    many = sign_flip(np.ones(40), np.zeros(40))
    assert many.p == many.smallest_p == 1 / 100_001


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 2.0]), ([math.nan], [0.0])])
def test_what_is_no_pairs_is_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(DataError, match="sign-flip"):
        sign_flip(first, second)


# --- the paired t-test


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=9))
def test_paired_t_equals_scipy(pairs: list[tuple[float, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    test = paired_t(first, second)
    if test.t is None or test.p is None or test.interval is None:
        assert np.ptp(np.subtract(first, second)) < 1e-8  # what scipy calls p = 0, or no number
        return
    theirs = stats.ttest_rel(first, second)
    low, high = theirs.confidence_interval(0.95)
    assert (test.t, test.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-6)
    assert test.interval == pytest.approx((low, high), rel=1e-6, abs=1e-9)
    assert test.mean == pytest.approx(np.mean(np.subtract(first, second)))
    mirror = paired_t(second, first)
    assert (mirror.p, mirror.t) == (test.p, -test.t)


def test_equal_differences_have_no_t() -> None:
    same = paired_t([0.9, 0.8, 0.7], [0.8, 0.7, 0.6])  # 0.1 each, but for rounding
    assert (same.t, same.p, same.interval) == (None, None, None)
    assert same.mean == pytest.approx(0.1)
    assert paired_t([0.9, 0.8], [0.9, 0.8]).p == 1.0


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [0.5]), ([1.0, 2.0], [1.0]), ([math.inf, 1], [0, 0])])
def test_the_t_test_refuses_what_is_no_pairs(first: list[float], second: list[float]) -> None:
    with pytest.raises(DataError, match="paired t-test"):
        paired_t(first, second)


# --- how often the tests err


def rejections(test: Callable[[Array, Array], float], times: int = 2000, n: int = 8, shift: float = 0.0) -> float:
    """How often a test calls a difference, where the truth is one of `shift` standard deviations."""
    draw = np.random.default_rng(5)
    made = (draw.normal(size=(2, n)) for _ in range(times))
    return float(np.mean([test(first + shift, second) < LEVEL for first, second in made]))


def honest(first: Array, second: Array) -> float:
    return significance._exact_p(first - second)  # without the interval, which takes longer


def careless(first: Array, second: Array) -> float:
    """A broken subject: the normal approximation with the seeds' own standard deviation."""
    differences = first - second
    return float(2 * stats.norm.sf(abs(differences.mean()) / (differences.std(ddof=0) / math.sqrt(len(differences)))))


def test_sign_flip_errs_as_often_as_it_says_and_finds_what_is_there() -> None:
    error = math.sqrt(LEVEL * (1 - LEVEL) / 2000)
    assert 0.03 < rejections(honest) < LEVEL + 3 * error
    assert rejections(careless) > LEVEL + 6 * error  # the simulation tells a test that errs too often
    assert rejections(honest, shift=2.0) > 0.9


def test_paired_t_errs_as_often_as_it_says_and_finds_with_five_seeds_what_is_there() -> None:
    def p(first: Array, second: Array) -> float:
        found = paired_t(first, second).p
        assert found is not None
        return found

    error = math.sqrt(LEVEL * (1 - LEVEL) / 2000)
    assert abs(rejections(p, n=5) - LEVEL) < 3 * error
    assert rejections(p, n=5, shift=4.0) > 0.9


def test_mcnemar_errs_no_more_often_than_it_says() -> None:
    draw = np.random.default_rng(7)
    found = [mcnemar(predictions(draw.random(60) < 0.8), predictions(draw.random(60) < 0.8)).p for _ in range(1500)]
    rate = float(np.mean(np.array(found) < LEVEL))
    assert 0.005 < rate < LEVEL
    differ = [mcnemar(predictions(draw.random(200) < 0.9), predictions(draw.random(200) < 0.7)).p for _ in range(50)]
    assert np.mean(np.array(differ) < LEVEL) > 0.9


def test_the_bootstrap_interval_covers_what_it_says_and_the_textbooks_does_not() -> None:
    draw = np.random.default_rng(2)
    samples = draw.normal(size=(1500, 5))

    def covers(interval: tuple[float, float]) -> bool:
        return interval[0] <= 0 <= interval[1]

    def textbook(values: Array) -> tuple[float, float]:
        low, high = np.quantile(significance._resampled_means(values), [0.025, 0.975])
        return float(low), float(high)

    ours = np.mean([covers(bootstrap_interval(values)) for values in samples])
    theirs = np.mean([covers(textbook(values)) for values in samples])
    assert 0.91 < ours < 0.955
    assert theirs < 0.87


@given(st.lists(NUMBERS, min_size=2, max_size=5), st.sampled_from([0.5, 2.0, 8.0]), st.sampled_from([-1.0, 0.25]))
def test_the_bootstrap_interval_moves_with_the_numbers(values: list[float], scale: float, shift: float) -> None:
    low, high = bootstrap_interval(values)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    moved = bootstrap_interval([scale * value + shift for value in values])
    assert moved == pytest.approx((scale * low + shift, scale * high + shift), abs=1e-9)
    mirrored = bootstrap_interval([-value for value in values])
    assert mirrored == pytest.approx((-high, -low), abs=1e-9)


def test_drawn_resamples_come_close_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).normal(size=7)
    every = bootstrap_interval(values)
    monkeypatch.setattr(significance, "EXACT_RESAMPLES", 6)
    assert bootstrap_interval(values) != every
    assert bootstrap_interval(values) == pytest.approx(every, abs=0.02)


def test_one_number_has_no_interval() -> None:
    assert sign_flip([1.0], [0.5]).interval is None
    with pytest.raises(DataError, match="at least two"):
        bootstrap_interval([1.0])


# --- over folds


def test_the_corrected_t_test_knows_a_worked_example() -> None:
    """Differences of 1, 2, 3, 4 and 5 points over five folds, by hand: their mean is 3 and their variance 2.5.

    The corrected variance of the mean is 2.5 (1/5 + 1/4) = 1.125, so that t = 3 / √1.125 = 2.8284; with 4 degrees of
    freedom its 97.5 % quantile is 2.7764, and the interval 3 ± 2.7764 · 1.0607.
    """
    test = corrected_t([0.91, 0.92, 0.93, 0.94, 0.95], [0.9] * 5, 1 / 4)
    assert (test.n, test.ratio) == (5, 0.25)
    assert test.mean == pytest.approx(0.03)
    assert test.t == pytest.approx(2.8284, abs=1e-4)
    assert test.p == pytest.approx(0.0474, abs=1e-4)
    assert test.interval == pytest.approx((0.03 - 0.029448, 0.03 + 0.029448), abs=1e-5)
    plain = paired_t([0.91, 0.92, 0.93, 0.94, 0.95], [0.9] * 5)
    assert plain.t == pytest.approx(4.2426, abs=1e-4)  # 3 / √(2.5 / 5): Student's, half as much again


def test_equal_differences_over_folds_have_no_spread_to_judge_by() -> None:
    assert corrected_t([0.5, 0.5], [0.5, 0.5], 1).p == 1.0
    same = corrected_t([0.6, 0.7, 0.8], [0.5, 0.6, 0.7], 0.5)
    assert (same.t, same.p, same.interval) == (None, None, None)


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan, math.inf])
def test_the_corrected_t_test_refuses_a_ratio_that_is_none(ratio: float) -> None:
    with pytest.raises(DataError, match="ratio"):
        corrected_t([0.1, 0.2], [0.1, 0.3], ratio)


def test_the_corrected_t_test_needs_two_folds() -> None:
    with pytest.raises(DataError, match="at least two"):
        corrected_t([0.1], [0.2], 0.25)


def test_of_correlated_folds_the_corrected_t_test_keeps_its_level_and_students_does_not() -> None:
    """Five folds whose differences are correlated by 1/5, as the correction takes them to be, and zero on the mean."""
    draw, trials, rho = np.random.default_rng(11), 4000, 1 / 5
    shared, own = draw.normal(size=(trials, 1)), draw.normal(size=(trials, 5))
    folds = math.sqrt(rho) * shared + math.sqrt(1 - rho) * own
    nothing = np.zeros(5)
    error = math.sqrt(LEVEL * (1 - LEVEL) / trials)
    ours = np.mean([(corrected_t(row, nothing, rho / (1 - rho)).p or 0) < LEVEL for row in folds])
    students = np.mean([(paired_t(row, nothing).p or 0) < LEVEL for row in folds])
    assert abs(ours - LEVEL) < 3 * error
    assert students > 2 * LEVEL


# --- several tests at once


def test_holm_knows_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_none_and_bonferroni(p: list[float]) -> None:
    corrected = holm(p)
    for raw, value in zip(p, corrected, strict=True):
        assert raw <= value <= min(1.0, len(p) * raw)
    assert [corrected[i] for i in np.argsort(p, kind="stable")] == sorted(corrected)
    assert min(corrected) == min(1.0, len(p) * min(p))


def test_holm_keeps_the_chance_of_any_false_verdict_below_the_level() -> None:
    p = np.random.default_rng(9).random((4000, 5))
    error = math.sqrt(LEVEL * (1 - LEVEL) / 4000)
    assert np.mean([min(holm(row.tolist())) < LEVEL for row in p]) < LEVEL + 3 * error
    assert np.mean(p.min(axis=1) < LEVEL) > 0.2  # without it
