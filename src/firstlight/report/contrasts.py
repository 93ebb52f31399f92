"""Which differences between groups are more than chance, and how that is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstlight.evaluation import LEVEL, McNemar, SignFlip, holm, mcnemar, same_images, sign_flip
from firstlight.evaluation.scores import Interval
from firstlight.report.content import Block, Table, Text
from firstlight.report.groups import Group, leader, selected
from firstlight.report.numbers import DASH, THIN, UNDEFINED, count, counted, listed
from firstlight.report.record import RunRecord

SPACE = "\u00a0"  # at which the line does not break
SEEDS_FOR_LEVEL = 6  # the fewest seeds whose 2/2ⁿ is below LEVEL


@dataclass(frozen=True, eq=False)
class Contrast:
    """One group against the leader of its task.

    seeds     the seeds that both have, over which the runs are paired
    over      the sign-flip test over these seeds, where there are at least two
    images    McNemar's test, where each has one run and these answered the same test images
    p         of whichever test there is, after Holm's correction for all contrasts of the task; None without a test
    tests     how many tests the correction is for
    reachable whether so few seeds could show p < 0.05 in so many tests at all
    """

    leader: Group
    other: Group
    seeds: tuple[int, ...]
    over: SignFlip | None
    images: McNemar | None
    p: float | None = None
    tests: int = 1
    reachable: bool = True

    @property
    def difference(self) -> float | None:
        """Test accuracy of the leader less that of the other, over what is paired."""
        if self.over is not None:
            return self.over.mean
        return self.images.difference if self.images is not None else None

    @property
    def interval(self) -> Interval | None:
        test = self.over or self.images
        return test.interval if test is not None else None

    @property
    def raw(self) -> float | None:
        """The p of the one test by itself."""
        test = self.over or self.images
        return test.p if test is not None else None

    @property
    def verdict(self) -> str:
        """What may be said, in a few words."""
        if self.p is None or self.difference is None:
            return "not paired: no seed in common" if not self.seeds else "not paired: other test images"
        if self.over is not None and not self.over.can_show(LEVEL):
            return f"n\u00a0=\u00a0{self.over.n} seeds cannot show p\u00a0<\u00a0{LEVEL}"
        if self.over is not None and not self.reachable:
            return f"n\u00a0=\u00a0{self.over.n} seeds cannot show p\u00a0<\u00a0{LEVEL} in {self.tests} tests"
        if self.p >= LEVEL:
            return "may be chance"
        return f"{self.leader.name} is better" if self.difference > 0 else f"{self.other.name} is better"


def contrasts(task: Sequence[Group]) -> list[Contrast]:
    """Each other group of a task against its leader, with Holm's correction over those that could be tested."""
    ahead = leader(task)
    found = [_contrast(ahead, other) for other in task if other is not ahead]
    tested = [contrast for contrast in found if contrast.raw is not None]
    corrected = iter(holm([contrast.raw for contrast in tested if contrast.raw is not None]))
    least = min((contrast.over.smallest_p if contrast.over else 0.0 for contrast in tested), default=0.0)
    return [
        Contrast(
            c.leader,
            c.other,
            c.seeds,
            c.over,
            c.images,
            p=next(corrected) if c.raw is not None else None,
            tests=len(tested),
            reachable=len(tested) * least < LEVEL,
        )
        for c in found
    ]


def _contrast(ahead: Group, other: Group) -> Contrast:
    """The test that the runs allow: over seeds where they share two, over images where each is a single run."""
    first, second = ahead.averaged, other.averaged
    seeds = tuple(seed for seed in first if seed in second)
    if len(seeds) > 1:
        if not all(same_images(first[seed].predictions, second[seed].predictions) for seed in seeds):
            return Contrast(ahead, other, seeds, None, None)
        pairs = [(first[seed].test.accuracy, second[seed].test.accuracy) for seed in seeds]
        return Contrast(ahead, other, seeds, sign_flip(*zip(*pairs, strict=True)), None)
    pair = (first[seeds[0]], second[seeds[0]]) if seeds else (ahead.first, other.first)
    return Contrast(ahead, other, seeds, None, by_images(*pair))


def by_images(first: RunRecord, second: RunRecord) -> McNemar | None:
    """McNemar's test of two runs; None where they did not answer the same test images with the same classes."""
    if first.class_names != second.class_names or not same_images(first.predictions, second.predictions):
        return None
    return mcnemar(first.predictions, second.predictions)


def section(task: Sequence[Group]) -> tuple[Block, ...]:
    """The tests of a task: a table, and what was tested, in plain words. A task of one group has none."""
    found = contrasts(task)
    if not found:
        return (Text("There is nothing to test: only one was measured on these images.", tone="note"),)
    rows = tuple(_row(contrast) for contrast in found)
    titles = ("against", "paired", "difference, points", f"95{THIN}% interval", "p", "p, Holm", "what may be said")
    ahead = leader(task)
    against = f"{ahead.name}, {'the best by validation' if selected(task) else 'the first of them'}"
    table = Table(
        titles=titles,
        rows=rows,
        right=frozenset({2, 3, 4, 5}),
        caption=f"The test accuracy of {against}, less that of each other one, in percentage points.",
    )
    return (table, *(Text(text, tone="note") for text in _method(found)))


def _row(contrast: Contrast) -> tuple[str, ...]:
    if contrast.over is not None:
        paired = counted(len(contrast.seeds), "seed")
    elif contrast.images is not None:
        apart = contrast.images.only_first + contrast.images.only_second
        paired = f"{count(contrast.images.images)} images, {count(apart)} apart"
    else:
        paired = UNDEFINED
    return (
        contrast.other.name,
        paired.replace(" ", SPACE),
        signed(contrast.difference),
        between(contrast.interval),
        probability(contrast.raw),
        probability(contrast.p),
        contrast.verdict.replace(" ", SPACE),  # the table scrolls where the page is narrow
    )


def _method(found: Sequence[Contrast]) -> list[str]:
    """How it was tested, and what that does and does not say."""
    said = []
    sizes = sorted({contrast.over.n for contrast in found if contrast.over is not None})
    if sizes:
        said.append(
            "Over seeds: the runs are paired by seed, which gives both the same split and order of images. If the two "
            "were equally good, each difference could as well have the other sign; p is the share of all sign patterns "
            "whose mean is at least as far from zero (the paired sign-flip test). It speaks of the luck of training, "
            "not of other test images. The interval is a bootstrap interval (expanded percentile) over the seeds."
        )
    few = [n for n in sizes if 2.0 ** (1 - n) >= LEVEL]
    if few:
        least = listed([f"{2.0 ** (1 - n):.4g} with n = {n}" for n in few])
        reach = listed([f"{1 - 2.0 ** (1 - n):.0%}".replace("%", f"{THIN}%") for n in few])
        said.append(
            f"So few seeds cannot give a small p, however clear the difference: the least is {least}. That is no "
            f"verdict of equality. From n = {SEEDS_FOR_LEVEL} on, p < {LEVEL} can be shown. Such an interval covers at "
            f"most {reach}."
        )
    if any(contrast.images is not None for contrast in found):
        said.append(
            "Over images: two trained nets answered the same test images, and only those count on which one alone is "
            "right; p is that of a fair coin (McNemar’s test, exact). It speaks of other test images, not of the luck "
            "of the seed: that takes several runs of each. The interval is that of Bonett and Price."
        )
    if len([contrast for contrast in found if contrast.raw is not None]) > 1:
        said.append(
            "Several tests are made at once, so “p, Holm” is what counts: with it, the chance of even one false "
            f"verdict in this table stays below {100 * LEVEL:.0f}{THIN}%."
        )
    return said


def signed(difference: float | None) -> str:
    """A difference of shares in points, with its sign: +0.42."""
    return UNDEFINED if difference is None else f"{100 * difference:+.2f}".replace("-", "−")


def between(interval: Interval | None) -> str:
    """An interval of a difference in points: −0.10 to +0.95."""
    return UNDEFINED if interval is None else f"{signed(interval[0])} to {signed(interval[1])}"


def probability(p: float | None) -> str:
    """A p with the digits that matter: 0.0625, 0.31, <0.0001."""
    if p is None:
        return DASH
    return "<0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"
