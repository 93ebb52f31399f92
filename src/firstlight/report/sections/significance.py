"""Which differences between groups are significant, and which is the best: how that is tested and reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from firstlight.evaluation import (
    LEVEL,
    CorrectedT,
    McNemar,
    PairedT,
    SignFlip,
    corrected_t,
    holm,
    mcnemar,
    paired_t,
    same_images,
    sign_flip,
)
from firstlight.evaluation.scores import Interval
from firstlight.records.group import Group, leader, paired, present, selected, tasks, winners
from firstlight.records.run import RunRecord
from firstlight.records.study_folder import RunKey
from firstlight.report.document import Block, Section, Table, Text
from firstlight.report.format import DASH, THIN, UNDEFINED, count, counted, interval, plus_minus, signed, task_name
from firstlight.report.relabelled import of_groups
from firstlight.report.tasks import by_task
from firstlight.text import listed

SPACE = "\u00a0"  # at which the line does not break
SEEDS_FOR_LEVEL = 6  # the fewest seeds whose 2/2ⁿ is below LEVEL
SEEDS_FOR_T = 3  # or folds: two accuracies may agree by rounding alone, and a t-test of two rests on that


@dataclass(frozen=True, eq=False)
class Contrast:
    """One group against the leader of its task, both by name.

    chosen    whether the leader is the best by validation
    other_labels  whether they were tested on the same images, but for labels that were corrected
    seeds     the seeds (or folds) that both have, over which the runs are paired
    flip, t   the sign-flip test and the paired t-test over these seeds, where there are at least two
    folds     the corrected t-test, where these are folds, instead
    images    McNemar's test, where each has one run and these answered the same test images; over the folds of one
              seed, of the nets of all folds on all images
    decides   the test that the conclusion rests on, chosen by the numbers of seeds and of tests alone, never by p
    p         that of the test that decides, after Holm's correction for all contrasts of the task; None without a test
    tests     how many tests the correction is for
    """

    leader: str
    other: str
    chosen: bool
    seeds: tuple[RunKey, ...]
    flip: SignFlip | None = None
    t: PairedT | None = None
    folds: CorrectedT | None = None
    images: McNemar | None = None
    decides: SignFlip | PairedT | CorrectedT | McNemar | None = None
    p: float | None = None
    tests: int = 1
    other_labels: bool = False

    @property
    def difference(self) -> float | None:
        """Test accuracy of the leader minus that of the other, over what is paired."""
        if self.paired is not None:
            return self.paired.mean
        return self.images.difference if self.images is not None else None

    @property
    def paired(self) -> SignFlip | CorrectedT | None:
        """A test over the seeds or folds that both have, where there are several."""
        return self.flip or self.folds

    @property
    def noun(self) -> str:
        """What the runs are paired by."""
        return "seed" if self.folds is None else "fold"

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the difference, by the test that decides."""
        if self.decides is None or self.decides.interval is None:
            return None
        low, high = self.decides.interval
        return max(-1.0, low), min(1.0, high)

    @property
    def test(self) -> str:
        """The test that decides and its p, in words: "paired t-test, p = 0.0032 after Holm"."""
        names = {
            SignFlip: "sign-flip test",
            PairedT: "paired t-test",
            CorrectedT: "corrected t-test",
            McNemar: "McNemar’s test",
        }
        p = probability(self.p)
        equals = f"p {p}" if p.startswith("<") else f"p = {p}"
        return f"{names[type(self.decides)]}, {equals}{' after Holm' * (self.tests > 1)}" if self.decides else "no test"

    @property
    def verdict(self) -> str:
        """The conclusion, in a few words."""
        if self.paired is not None and self.decides is None:
            return f"n\u00a0=\u00a0{self.paired.n} {self.noun}s are too few for a test"
        if self.decides is None or self.difference is None:
            return f"not paired: other test {'labels' if self.other_labels else 'images'}"
        if self.p is None:
            return (
                f"the same difference with each of {len(self.seeds)} {self.noun}s: more {self.noun}s are needed to "
                "test it"
            )
        return "not significant" if self.better is None else f"{self.better} is better"

    @property
    def better(self) -> str | None:
        """The one that is significantly better."""
        if self.p is None or self.p >= LEVEL or self.difference is None:
            return None
        return self.leader if self.difference > 0 else self.other


def numbers(task: Sequence[Group]) -> list[Contrast]:
    """Each other group of a task against its leader, with Holm's correction over those that could be tested."""
    ahead = leader(task)
    return corrected([_contrast(ahead, other, selected(task)) for other in task if other is not ahead])


def corrected(found: Sequence[Contrast]) -> list[Contrast]:
    """The contrasts of a task with the test that decides of each, and its p after Holm's correction."""
    tests = sum(_testable(contrast) for contrast in found)
    least = min((contrast.flip.smallest_p for contrast in found if contrast.flip is not None), default=1.0)
    found = [replace(contrast, decides=_deciding(contrast, tests * least < LEVEL), tests=tests) for contrast in found]
    tested = [c for c in found if c.decides is not None and c.decides.p is not None]
    after = holm([c.decides.p for c in tested if c.decides is not None and c.decides.p is not None])
    p = {id(contrast): value for contrast, value in zip(tested, after, strict=True)}
    return [replace(contrast, p=p.get(id(contrast))) for contrast in found]


def _testable(contrast: Contrast) -> bool:
    if contrast.paired is not None:
        return contrast.paired.n >= SEEDS_FOR_T
    return contrast.images is not None


def _deciding(contrast: Contrast, reachable: bool) -> SignFlip | PairedT | CorrectedT | McNemar | None:
    """Over folds, the corrected t-test. Over seeds, the sign-flip test where that many can give p < 0.05 in that many
    tests, else the t-test. Of single runs, McNemar's.
    """
    if not _testable(contrast):
        return None
    if contrast.folds is not None:
        return contrast.folds
    if contrast.flip is not None and contrast.flip.can_show(LEVEL) and reachable:
        return contrast.flip
    return contrast.t or contrast.images


def _contrast(ahead: Group, other: Group, chosen: bool) -> Contrast:
    """The tests that the runs allow: over seeds or folds where they share two, over images where each is one run."""
    seeds = tuple(seed for seed in ahead.averaged if seed in other.averaged)
    found = Contrast(ahead.name, other.name, chosen, seeds)
    pairs = paired(ahead, other)
    found = replace(found, other_labels=bool(of_groups(ahead, other)))
    if len(seeds) < 2:
        return replace(found, images=by_images(*pairs[0]))
    if not all(same_images(first.predictions, second.predictions) for first, second in pairs):
        return found
    ours, theirs = zip(*[(first.test.accuracy, second.test.accuracy) for first, second in pairs], strict=True)
    if ahead.over_folds:
        ratio = (ahead.test_to_learnt + other.test_to_learnt) / 2
        return replace(found, folds=corrected_t(ours, theirs, ratio), images=_pooled(ahead, other))
    return replace(found, flip=sign_flip(ours, theirs), t=paired_t(ours, theirs))


def _pooled(first: Group, second: Group) -> McNemar | None:
    """McNemar's test of what the nets of all folds said of all images; None over several seeds, or folds that lack."""
    ours, theirs = first.predictions, second.predictions
    return mcnemar(ours, theirs) if ours and theirs and same_images(ours, theirs) else None


def by_images(first: RunRecord, second: RunRecord) -> McNemar | None:
    """McNemar's test of two runs; None where they did not answer the same test images with the same classes."""
    if first.class_names != second.class_names or not same_images(first.predictions, second.predictions):
        return None
    return mcnemar(first.predictions, second.predictions)


def blocks(found: Sequence[Contrast]) -> tuple[Block, ...]:
    """The tests of a task: a table, and what was tested, in plain words. A task of one group has none."""
    if not found:
        return (Text("There is nothing to test: only one was evaluated on these images.", tone="note"),)
    return (table(found), *(Text(text, tone="note") for text in _method(found)))


def section(groups: Sequence[Group]) -> Section | None:
    """The tests of each task, where there are several groups."""
    if len(present(groups)) < 2:
        return None
    return by_task("Significance of the differences", "significance", groups, lambda task: blocks(numbers(task)))


def verdict(groups: Sequence[Group]) -> str:
    """The best of each task, the next one, and whether their difference is significant, in a few sentences."""
    found = tasks(groups)
    several = any(len(group.asked) > 1 for group in groups)
    return " ".join(_best_of(task, "experiment" if several else "run", alone=len(found) == 1) for task in found)


def _best_of(task: Sequence[Group], noun: str, alone: bool) -> str:
    where = "" if alone else f"On {task_name(*task[0].task)}, "
    ahead = leader(task)
    if len(task) == 1:
        return f"{where}{ahead.name} is right on {_right_on(ahead)}."
    of = f"{where}{'of' if where else 'Of'} {counted(len(task), noun)}"
    if not selected(task):
        low, *_, high = sorted(task, key=lambda group: group.accuracy.mean)
        return (
            f"{of}, none is chosen as the best, as not every run has a validation split; their test accuracies go from "
            f"{plus_minus(low.accuracy)} ({low.name}) to {plus_minus(high.accuracy)} ({high.name})."
        )
    level = winners(task)
    if len(level) > 1:
        names = listed([group.name for group in level])
        return (
            f"{of}, {names} are equally good by validation: the same accuracy, the same loss. {ahead.name} is right on "
            f"{_right_on(ahead)}."
        )
    second = leader([group for group in task if group is not ahead])
    [contrast] = [contrast for contrast in numbers(task) if contrast.other == second.name]
    how = "" if contrast.p is None else f" ({contrast.test})"
    yet = ", yet the choice is made by validation" if contrast.better == second.name else ""
    return (
        f"{of}, {ahead.name} is the best by validation: {_right_on(ahead)}. {second.name}, next by validation, reaches "
        f"{plus_minus(second.accuracy)}: {contrast.verdict}{how}{yet}."
    )


def _right_on(group: Group) -> str:
    if len(group.averaged) > 1:
        return f"{plus_minus(group.accuracy)} of the test images ({counted(len(group.averaged), group.noun)})"
    test = group.first.test
    return (
        f"{plus_minus(group.accuracy)} of {counted(test.images, 'test image')} (95{THIN}% interval "
        f"{interval(test.accuracy_interval)})"
    )


def table(found: Sequence[Contrast]) -> Table:
    """A row for each of at least one contrast of a task."""
    columns = {
        "p, sign-flip": [contrast.flip.p if contrast.flip else None for contrast in found],
        "p, corrected t-test": [contrast.folds.p if contrast.folds else None for contrast in found],
        "p, t-test": [contrast.t.p if contrast.t else None for contrast in found],
        "p, McNemar": [contrast.images.p if contrast.images else None for contrast in found],
    }
    shown = {title: values for title, values in columns.items() if any(value is not None for value in values)}
    rows = [
        (
            contrast.other,
            _paired(contrast).replace(" ", SPACE).replace(f",{SPACE}", ", "),
            signed(contrast.difference),
            between(contrast.interval),
            *(probability(values[place]) for values in shown.values()),
            probability(contrast.p),
            contrast.verdict,
        )
        for place, contrast in enumerate(found)
    ]
    titles = ("compared with", "paired", "difference, points", f"95{THIN}% interval", *shown, "p, Holm", "conclusion")
    how = "the best by validation" if found[0].chosen else "the first"
    return Table(
        titles=titles,
        rows=tuple(rows),
        right=frozenset(range(2, len(titles) - 1)),
        caption=f"The difference is the test accuracy of {found[0].leader} ({how}) minus that of the other one, in "
        "percentage points.",
    )


def _paired(contrast: Contrast) -> str:
    if contrast.paired is not None:
        return counted(len(contrast.seeds), contrast.noun)
    if contrast.images is not None:
        differ = contrast.images.only_first + contrast.images.only_second
        return f"{count(contrast.images.images)} images, {count(differ)} discordant"
    return UNDEFINED


def _method(found: Sequence[Contrast]) -> list[str]:
    """How it was tested, and what that does and does not say."""
    said = []
    if any(contrast.flip is not None for contrast in found):
        said += [
            "Over seeds: the runs are paired by seed, which gives both the same split and the same order of images. "
            "These tests generalize to other seeds, not to other test images.",
            "The paired sign-flip test assumes only that, if the two were equally good, each difference could as well "
            "have the other sign; p is the share of all sign patterns whose mean is at least as far from zero. The "
            f"least that n seeds can give is 2/2ⁿ, so fewer than {SEEDS_FOR_LEVEL} seeds cannot give p < {LEVEL}. Its "
            "interval is a bootstrap interval (expanded percentile).",
            "The paired t-test assumes that the differences are independent and normally distributed, which a few "
            "seeds cannot show. In return it can decide with fewer seeds.",
        ]
    if any(contrast.folds is not None for contrast in found):
        said += _method_of_folds(found)
    by_t = [contrast for contrast in found if contrast.t is not None and contrast.decides is contrast.t]
    if by_t:
        n = max(len(contrast.seeds) for contrast in by_t)
        every = "Here" if len(by_t) == len(found) else "Where there are fewer seeds,"
        said.append(
            f"{every} the t-test decides: with {counted(n, 'seed')} the sign-flip test cannot give p < {LEVEL}"
            f"{f' in {found[0].tests} tests' * (found[0].tests > 1)}, however clear the difference."
        )
    elif any(contrast.flip is not None and contrast.decides is contrast.flip for contrast in found):
        said.append("Here the sign-flip test decides, as it assumes less; the t-test is shown beside it.")
    if any(contrast.images is not None and contrast.folds is None for contrast in found):
        said.append(
            "Over images: two trained nets classified the same test images, and only the discordant ones count, on "
            "which one alone is right; p is that of a fair coin (McNemar’s test, exact). It generalizes to other test "
            "images, not to other seeds: that takes several runs of each. The interval is that of Bonett and Price."
        )
    if found[0].tests > 1:
        said.append(
            "Several tests are made at once, so “p, Holm” is what counts: with it, the chance of even one false "
            f"conclusion in this table stays below {100 * LEVEL:.0f}{THIN}%."
        )
    return said


def _method_of_folds(found: Sequence[Contrast]) -> list[str]:
    """How it was tested over folds, and what that can tell."""
    tests = [contrast.folds for contrast in found if contrast.folds is not None]
    least, ratio = min(test.n for test in tests), tests[0].ratio
    said = [
        "Over folds: both recipes were trained and tested on the same folds, and are paired by fold. Any two folds "
        "share most of their training images, so their accuracies are not independent, and Student’s t-test would "
        "find a difference by chance too often. The corrected resampled t-test (Nadeau and Bengio 2003) decides "
        "instead: it widens the variance of the mean difference from sd²/n to sd² (1/n + test/train), here with "
        f"test/train = {ratio:.2f}. It is an approximation: from the folds of one split, no unbiased estimate of that "
        "variance exists.",
        f"With few folds it finds only large differences ({least - 1} degrees of freedom here). That it finds none "
        "does not show that two recipes are equally good.",
    ]
    if any(contrast.images is not None for contrast in found):
        said.append(
            "McNemar’s test is shown beside it, over all images, each classified by the net of either recipe that was "
            "not trained on it. It compares these very nets and does not generalize to other training images, so it "
            "does not decide."
        )
    return said


def between(bounds: Interval | None) -> str:
    """An interval of a difference in points: −0.10 to +0.95."""
    return UNDEFINED if bounds is None else f"{signed(bounds[0])} to {signed(bounds[1])}"


def probability(p: float | None) -> str:
    """A p with the digits that matter: 0.0625, 0.31, <0.0001."""
    if p is None:
        return DASH
    return "<0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd contrasts, by what is odd."""

    def over(seeds: int, less: float, other: str = "<b>") -> Contrast:
        ours = [0.9 + seed / 1000 for seed in range(seeds)]
        theirs = [accuracy - less - seed % 2 / 500 for seed, accuracy in enumerate(ours)]
        return Contrast("a", other, True, tuple(range(seeds)), flip=sign_flip(ours, theirs), t=paired_t(ours, theirs))

    def over_folds(folds: int, less: float) -> Contrast:
        ours = [0.9 + fold / 1000 for fold in range(folds)]
        theirs = [accuracy - less - fold % 2 / 500 for fold, accuracy in enumerate(ours)]
        test = corrected_t(ours, theirs, 1 / 4)
        return Contrast("a", f"<b> {less}", True, tuple(range(folds)), folds=test, images=images)

    images = McNemar(60, 5, 1, p=0.22, difference=4 / 60, interval=(-0.02, 0.15))
    return {
        "over seeds": blocks(corrected([over(8, 0.1), over(8, 0.0, "constructor")])),
        "too few seeds": blocks(corrected([over(2, 0.1)])),
        "over folds": blocks(corrected([over_folds(5, 0.1), over_folds(5, 0.0)])),
        "too few folds": blocks(corrected([over_folds(2, 0.1)])),
        "over images": blocks(corrected([Contrast("a", "b", False, (0,), images=images)])),
        "not paired": blocks(corrected([Contrast("a", "b", False, ())])),
        "one alone": blocks([]),
    }
