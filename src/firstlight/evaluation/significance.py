"""Whether a difference between models is significant: over test images, over seeds, and over folds.

Three questions. McNemar's test asks of two trained nets whether other test images could turn their order round. The
paired tests ask of two recipes, each trained from several seeds, whether other seeds could: the sign-flip test assumes
little and needs at least six seeds, the t-test assumes normal differences and can decide with fewer. The corrected
t-test asks of two recipes, trained on the folds of a split, whether other images of the same kind could, those that
they learn from and those that they are tested on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from firstlight.errors import DataError
from firstlight.evaluation.scores import Interval
from firstlight.types import Array, Predictions

LEVEL = 0.05
EXACT_SIGNS = 20  # seeds up to which every pattern of signs is counted: 2^19 sums
EXACT_RESAMPLES = 7  # seeds up to which every resample is counted: 7^7 means
DRAWS = 100_000  # beyond that, so many are drawn, always the same
ROUNDING = 1e-9  # of the sum of all differences: two sums that are closer are the same


@dataclass(frozen=True)
class Spread:
    """Numbers of several seeds: how many, their mean, and their sample standard deviation (over n − 1).

    sd  None for a single number, which says nothing of its spread
    """

    n: int
    mean: float
    sd: float | None


def spread(values: Sequence[float]) -> Spread:
    """The mean and the sample standard deviation. Raises DataError where there is no number.

    >>> spread([1.0, 2.0, 3.0])
    Spread(n=3, mean=2.0, sd=1.0)
    """
    if not len(values):
        raise DataError("A mean needs at least one number; received none.")
    n = len(values)
    return Spread(n, float(np.mean(values)), float(np.std(values, ddof=1)) if n > 1 else None)


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two models on the same images, of which only those count on which one alone is right.

    images       all images
    only_first   images on which the first model alone is right
    only_second  images on which the second model alone is right
    p            exact and two-sided: how often a fair coin would part those images so unevenly
    difference   accuracy of the first less that of the second
    interval     the 95 % interval of the difference, after Bonett and Price

    McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 1947. The
    exact form never rejects too often; the mid-p form, which Fagerland, Lydersen and Laake (2013) prefer for its power,
    calls five images of five a verdict at 0.05. The interval: Bonett and Price, "Adjusted Wald confidence interval for
    a difference of binomial proportions based on paired data", J. Educ. Behav. Stat. 2012.
    """

    images: int
    only_first: int
    only_second: int
    p: float
    difference: float
    interval: Interval


def same_images(first: Predictions, second: Predictions) -> bool:
    """Whether two models answered the same question: the same ids with the same labels, in whatever order."""
    a, b = np.argsort(first.ids), np.argsort(second.ids)
    return np.array_equal(first.ids[a], second.ids[b]) and np.array_equal(first.labels[a], second.labels[b])


def mcnemar(first: Predictions, second: Predictions) -> McNemar:
    """McNemar's test of two models on the same images. Raises DataError where the images or labels differ."""
    from scipy.special import bdtr  # loaded only now: it takes as long as all of this package

    if not len(first) or not same_images(first, second):
        raise DataError("McNemar's test needs two predictions of the same images with the same labels.")
    a, b = first.correct[np.argsort(first.ids)], second.correct[np.argsort(second.ids)]
    n, only_first, only_second = len(a), int((a & ~b).sum()), int((~a & b).sum())
    discordant = only_first + only_second
    p = min(1.0, 2 * float(bdtr(min(only_first, only_second), discordant, 0.5))) if discordant else 1.0
    return McNemar(n, only_first, only_second, p, (only_first - only_second) / n, _paired(n, only_first, only_second))


def _paired(n: int, only_first: int, only_second: int) -> Interval:
    """The interval of a paired difference of shares: Wald's, with one image added to each kind of discordance."""
    one, other = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half = NormalDist().inv_cdf(0.975) * math.sqrt((one + other - (one - other) ** 2) / (n + 2))
    return max(-1.0, one - other - half), min(1.0, one - other + half)


@dataclass(frozen=True)
class SignFlip:
    """The paired sign-flip test over seeds: if two recipes were equal, each difference could as well be its negative.

    n           pairs of runs, one for each seed that both have
    mean        the mean difference, first less second
    p           two-sided: the share of all 2ⁿ patterns of signs whose mean is at least as far from zero
    smallest_p  the least that n pairs can give, 2/2ⁿ: five give 0.0625, so five cannot show p < 0.05
    interval    the 95 % bootstrap interval of the mean difference; None for a single pair

    Fisher, "The Design of Experiments", 1935, section 21. Beyond 20 pairs a fixed 100,000 patterns are drawn and the
    observed one counts as one of them (Phipson and Smyth 2010). The interval is the expanded percentile interval, see
    `bootstrap_interval`.
    """

    n: int
    mean: float
    p: float
    smallest_p: float
    interval: Interval | None

    def can_show(self, level: float = LEVEL) -> bool:
        """Whether so many pairs could give p below `level` at all."""
        return self.smallest_p < level


def sign_flip(first: Sequence[float] | Array, second: Sequence[float] | Array) -> SignFlip:
    """The paired sign-flip test of two recipes, whose numbers stand in the order of their common seeds.

    Raises DataError where there are none, not as many of both, or one is not finite.

    >>> test = sign_flip([0.91, 0.92, 0.93, 0.92, 0.90], [0.89, 0.90, 0.90, 0.91, 0.88])
    >>> test.p, test.can_show()
    (0.0625, False)
    """
    differences = _differences(first, second, "sign-flip test")
    n = len(differences)
    exact = n <= EXACT_SIGNS
    return SignFlip(
        n=n,
        mean=float(differences.mean()),
        p=_exact_p(differences) if exact else _drawn_p(differences),
        smallest_p=2.0 ** (1 - n) if exact else 1 / (DRAWS + 1),
        interval=bootstrap_interval(differences) if n > 1 else None,
    )


@dataclass(frozen=True)
class PairedT:
    """Student's paired t-test over seeds, which assumes that the differences are independent and normal.

    n         pairs of runs, one for each seed that both have
    mean      the mean difference, first less second
    t         the mean divided by its standard error; None where all differences are equal
    p         two-sided; None where all differences are equal but not zero: they have no spread to judge the mean by
    interval  the 95 % interval of the mean difference; None where p is

    Student, "The probable error of a mean", Biometrika 1908.
    """

    n: int
    mean: float
    t: float | None
    p: float | None
    interval: Interval | None


def paired_t(first: Sequence[float] | Array, second: Sequence[float] | Array) -> PairedT:
    """Student's paired t-test of two recipes, whose numbers stand in the order of their common seeds.

    Raises DataError where there are fewer than two, not as many of both, or one is not finite.

    >>> test = paired_t([0.91, 0.92, 0.93, 0.92, 0.90], [0.89, 0.90, 0.90, 0.91, 0.88])
    >>> round(test.t, 3), round(test.p, 4)
    (6.325, 0.0032)
    """
    from scipy.special import stdtr, stdtrit

    differences = _differences(first, second, "paired t-test")
    n, mean = len(differences), float(differences.mean())
    if n < 2:
        raise DataError(f"The paired t-test needs at least two pairs of numbers; received {n}.")
    if np.ptp(differences) <= ROUNDING * np.abs(differences).sum():
        return PairedT(n, mean, None, None if mean else 1.0, None if mean else (0.0, 0.0))
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    half = error * float(stdtrit(n - 1, 0.975))
    return PairedT(n, mean, mean / error, 2 * float(stdtr(n - 1, -abs(mean / error))), (mean - half, mean + half))


@dataclass(frozen=True)
class CorrectedT:
    """The corrected resampled t-test of two recipes over the same folds.

    Folds share training images, so that their accuracies are not independent: the variance of their mean is greater
    than sd²/n, the one of Student's t-test, which calls chance a difference far more often than it says. There is no
    unbiased estimate of it from the folds of one split (Bengio and Grandvalet, "No unbiased estimator of the variance
    of k-fold cross-validation", JMLR 2004). The correction takes sd² (1/n + test/train) instead: Nadeau and Bengio,
    "Inference for the generalization error", Machine Learning 2003. Over the folds of several seeds, each of which
    shares the images out again, it is that of Bouckaert and Frank (2004), with n = folds × seeds.

    n         pairs of runs, one for each fold that both have
    ratio     test images of a fold / the images that its net was trained on: 1 / (k − 1) of k folds
    mean      the mean difference, first less second
    t         the mean divided by its corrected standard error; None where all differences are equal
    p         two-sided, of n − 1 degrees of freedom; None where all differences are equal but not zero
    interval  the 95 % interval of the mean difference; None where p is
    """

    n: int
    ratio: float
    mean: float
    t: float | None
    p: float | None
    interval: Interval | None


def corrected_t(first: Sequence[float] | Array, second: Sequence[float] | Array, ratio: float) -> CorrectedT:
    """The corrected resampled t-test of two recipes, whose numbers stand in the order of their common folds.

    ratio  test images of a fold / the images that its net was trained on, above 0
    Raises DataError where there are fewer than two, not as many of both, one is not finite, or the ratio is none.

    >>> test = corrected_t([0.91, 0.92, 0.93, 0.92, 0.90], [0.89, 0.90, 0.90, 0.91, 0.88], 1 / 4)
    >>> round(test.t, 3), round(test.p, 4)
    (4.216, 0.0135)
    """
    if not 0 < ratio < math.inf:
        raise DataError(f"The corrected t-test needs the ratio of test to training images, above 0; received {ratio}.")
    plain = paired_t(first, second)
    if plain.t is None or plain.interval is None:
        return CorrectedT(plain.n, ratio, plain.mean, plain.t, plain.p, plain.interval)
    from scipy.special import stdtr

    wider = math.sqrt(1 + plain.n * ratio)  # of √(1/n + ratio) to √(1/n)
    t, half = plain.t / wider, wider * (plain.interval[1] - plain.mean)
    p = 2 * float(stdtr(plain.n - 1, -abs(t)))
    return CorrectedT(plain.n, ratio, plain.mean, t, p, (plain.mean - half, plain.mean + half))


def _differences(first: Sequence[float] | Array, second: Sequence[float] | Array, test: str) -> Array:
    """First less second, pair by pair."""
    if len(first) != len(second) or not len(first):
        raise DataError(f"The {test} needs pairs of numbers; received {len(first)} and {len(second)}.")
    differences = np.subtract(first, second, dtype=np.float64)
    if not np.isfinite(differences).all():
        raise DataError(f"The {test} needs finite numbers.")
    return differences


def _exact_p(differences: Array) -> float:
    """Over all patterns of signs; the first sign stays, as a pattern and its mirror image are equally far from zero."""
    sums = differences[:1]
    for difference in differences[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    return float(np.mean(np.abs(sums) >= _reached(differences)))


def _drawn_p(differences: Array) -> float:
    """Over fixed draws of signs, a thousand at a time."""
    draw = np.random.default_rng(0)
    reached = _reached(differences)
    extreme = 0
    for _ in range(DRAWS // 1000):
        signs = draw.integers(0, 2, (1000, len(differences))) * 2 - 1
        extreme += int((np.abs(signs @ differences) >= reached).sum())
    return (1 + extreme) / (1 + DRAWS)


def _reached(differences: Array) -> float:
    """The observed sum, less what rounding may have added: a pattern that gives the same sum counts."""
    return float(abs(differences.sum()) - ROUNDING * np.abs(differences).sum())


def bootstrap_interval(values: Sequence[float] | Array, confidence: float = 0.95) -> Interval:
    """The expanded percentile bootstrap interval of the mean of at least two numbers.

    The textbook's percentile interval of five numbers covers the true mean in about 83 of 100 cases instead of 95. So
    its percentiles are moved outwards by what Student's t and the divisor n − 1 would add to a normal interval:
    Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 2015, section 3.3. It cannot
    reach beyond the numbers themselves, so of n < 6 it covers at most 1 − 2/2ⁿ: 0.94 of five, 0.75 of three. Up to
    seven numbers, all nⁿ resamples are counted, else a fixed 100,000 are drawn. Raises DataError for fewer than two.
    """
    from scipy.special import stdtrit

    numbers = np.asarray(values, np.float64)
    n = len(numbers)
    if n < 2:
        raise DataError(f"A bootstrap interval needs at least two numbers; received {n}.")
    tail = NormalDist().cdf(math.sqrt(n / (n - 1)) * float(stdtrit(n - 1, (1 - confidence) / 2)))
    low, high = np.quantile(_resampled_means(numbers), [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def _resampled_means(numbers: Array) -> Array:
    n = len(numbers)
    if n > EXACT_RESAMPLES:
        draw = np.random.default_rng(0)
        return np.concatenate([numbers[draw.integers(0, n, (1000, n))].mean(axis=1) for _ in range(DRAWS // 1000)])
    sums = numbers
    for _ in range(n - 1):
        sums = np.add.outer(sums, numbers).ravel()
    return sums / n


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction of the p of several tests, in their order: how sure each verdict is if any may be wrong.

    With it, the chance of even one false verdict among all of them stays below the level, however they depend on one
    another. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Stat. 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        least = max(least, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = least
    return corrected
