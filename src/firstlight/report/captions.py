"""The sentences of a report: verdicts, and captions that say what to look for, computed from the numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firstlight.evaluation import ClassScore, Evaluation
from firstlight.records.run import RunRecord
from firstlight.report import selection
from firstlight.report.format import THIN, count, counted, interval, listed, percent

CLASSIFICATION = (
    "Precision: of the images taken for this class, the share that belongs to it. Recall: of the images of this class, "
    "the share that was recognized. F1 is their harmonic mean, support the number of test images. "
    "The macro average counts each class the same, the weighted one by its support."
)
REPRODUCE = (
    "The same seed gives bit-identical weights on the same machine with the same number of threads; "
    "elsewhere the last digits may differ."
)


def verdict(record: RunRecord) -> str:
    """The outcome of a run in two sentences."""
    test = record.test
    support = test.confusion.sum(axis=1)
    if test.correct == test.images:
        said = f"{record.model} is right on all {count(test.images)} test images."
    else:
        said = f"{record.model} is right on {count(test.correct)} of {count(test.images)} test images."
    leaked = record.checks.across.get(("train", "test"), 0)
    new = f"{count(leaked)} of them are also among its training images" if leaked else "It had never seen them"
    ended = "Training broke off, as its loss was no longer finite. " if record.status == "diverged" else ""
    last = record.best_epoch is None and record.weights_epoch == record.epochs_run > 0
    expected = record.status != "diverged" and (record.kept_best or last)
    measured = "" if expected else f" Measured were {selection.weights(record)}."
    return (
        f"{ended}{said} {new}; always answering “{test.class_names[int(support.argmax())]}”, the most "
        f"frequent class, would be right on {percent(int(support.max()) / test.images)}.{measured}"
    )


def epochs(record: RunRecord) -> str:
    """How many epochs were run, of how many, which was best, and whose weights were kept."""
    best = "" if record.best_epoch is None else f", best {record.best_epoch}"
    kept = "" if record.best_epoch is None or record.kept_best else f", weights of {record.weights_epoch}"
    ended = "" if record.status == "finished" else f", {record.status}"
    return f"{record.epochs_run} of {record.epochs_asked}{best}{kept}{ended}"


def model(record: RunRecord) -> str:
    """Where the model's parameters and its work lie."""
    text = "Shapes are those of one image. A multiply-add is one multiplication with its addition, for one image."
    total, work = record.parameters(), record.multiply_adds
    if len(record.layers) < 2 or not total or not work:
        return text
    heavy = max(record.layers, key=lambda layer: layer.parameters)
    busy = max(record.layers, key=lambda layer: layer.multiply_adds)
    joint = " and" if busy is heavy else f"; {busy.name}"
    return (
        f"{heavy.name} holds {percent(heavy.parameters / total, 0)} of the parameters{joint} does "
        f"{percent(busy.multiply_adds / work, 0)} of the work. {text}"
    )


def confusion(test: Evaluation) -> str:
    """The pairs of classes that are confused most, and how to read the matrix."""
    names = test.class_names
    pairs = confused(test)[1:3]
    others = [f"{names[t]} for {names[p]} ({count(n)} of {count(support)})" for t, p, n, support in pairs]
    rest = f" Next: {listed(others)}." if others else ""
    return (
        f"{most_confused(test)}{rest} Rows are the true classes, columns the predicted ones; "
        "the colour is the share of the row, with mistakes in their own hue."
    )


def most_confused(test: Evaluation) -> str:
    """The pair of classes that is confused most."""
    pairs = confused(test)
    if not pairs:
        return "No test image was mistaken."
    true, predicted, n, support = pairs[0]
    names = test.class_names
    return f"{names[true]} is most often taken for {names[predicted]}: {count(n)} of {count(support)}."


def confused(test: Evaluation) -> list[tuple[int, int, int, int]]:
    """The pairs of true and predicted class that occur, the most frequent first, with their number and the support."""
    off = test.confusion.copy()
    np.fill_diagonal(off, 0)
    support = test.confusion.sum(axis=1)
    order = sorted(np.argwhere(off).tolist(), key=lambda pair: -off[pair[0], pair[1]])
    return [(t, p, int(off[t, p]), int(support[t])) for t, p in order]


def per_class(test: Evaluation) -> str:
    """The easiest and the hardest class."""
    known = [s for s in test.classes if s.accuracy is not None]
    hardest = min(known, key=lambda s: s.accuracy or 0)
    easiest = max(known, key=lambda s: s.accuracy or 0)
    equal = sum(s.accuracy == easiest.accuracy for s in known)
    if hardest.accuracy == easiest.accuracy:
        said = f"Every class reaches {percent(hardest.accuracy)}."
    elif equal > 1:
        said = f"Hardest is {_scored(hardest)}; {counted(equal, 'class')} reach {percent(easiest.accuracy)}."
    else:
        said = f"Hardest is {_scored(hardest)}, easiest {_scored(easiest)}."
    return (
        f"{said} Whiskers are 95{THIN}% intervals: classes whose whiskers overlap far may well be equally hard. "
        f"The dashed line is the accuracy over all images, {percent(test.accuracy)}."
    )


def _scored(score: ClassScore) -> str:
    return f"{score.name} with {percent(score.accuracy)} ({interval(score.accuracy_interval)})"


def reliability(test: Evaluation) -> str:
    """Whether the model's confidence can be believed."""
    confidence = sum(b.images * (b.confidence or 0) for b in test.bins) / test.images
    gap = confidence - test.accuracy
    means = f"its mean confidence is {percent(confidence)}, its accuracy {percent(test.accuracy)}"
    if abs(gap) < 0.01:
        said = f"The model is about as sure as it is right: {means}."
    else:
        said = f"The model is {'over' if gap > 0 else 'under'}confident: {means}."
    return (
        f"{said} Points below the diagonal are answers given too boldly, points above it too timidly; a larger point "
        f"stands for more images. The expected calibration error over {len(test.bins)} bins is "
        f"{percent(test.calibration_error)}."
    )


def answers(right: int, shown: int) -> str:
    """What the grid of answers shows."""
    drawn = f"{counted(shown, 'test image')}, the classes in turn, with the answer, its confidence and the true class"
    if right == shown:
        return f"{drawn}: all are right."
    wrong = count(shown - right)
    return f"{drawn}: {count(right)} right (✓) and {wrong} wrong (✗, in a dashed frame)."


def panels(sample: int, wrong: int, more: bool) -> str:
    """How to read the prediction panels; `more` classes than have a bar."""
    which = (
        f"The first {count(sample)} are the first of the sample above" if sample > 1 else "An image of the sample above"
    )
    if wrong:
        which += f", the other {count(wrong)} mistakes, from the least sure to the surest that were kept with the run"
    bars = "The bars are the likeliest classes" if more else "The bars are the classes"
    return (
        f"{which}. Above each stands the answer, its probability and the true class. {bars}: blue and ✓ "
        "the true one, red stripes and ✗ a wrong answer. Where the second bar is long too, the model hesitated."
    )


def mistakes(shown: int, total: int, confidence: float) -> str:
    """What the most confident mistakes are good for."""
    return (
        f"The {count(shown)} surest of {counted(total, 'mistake')}, from {percent(confidence, 0)} confidence down. "
        "Look for labels that are wrong, images that a person could not tell either, and what they have in common."
    )


def per_class_comparison(tests: Mapping[str, Evaluation]) -> str:
    """The class on which the runs differ most."""
    names = next(iter(tests.values())).class_names
    table = np.array([[s.accuracy or 0.0 for s in test.classes] for test in tests.values()])
    spread = table.max(axis=0) - table.min(axis=0)
    k = int(spread.argmax())
    if len(tests) < 2 or not spread[k]:
        return "The accuracy of each class."
    runs = list(tests)
    low, high = int(table[:, k].argmin()), int(table[:, k].argmax())
    return (
        f"The runs differ most on {names[k]}: from {percent(float(table[low, k]))} ({runs[low]}) "
        f"to {percent(float(table[high, k]))} ({runs[high]}). "
        "A class where all marks lie far to the left is hard for every model; look at its images and labels."
    )


def missed(name: str, shown: int, wrong: int, images: int) -> str:
    """The class that is recognized least."""
    which = f"The surest {shown} of them" if shown < wrong else "All of them" if wrong > 1 else "Here it is"
    return (
        f"{name} is the class that is missed most: {wrong:,} of its {counted(images, 'test image')} were taken for "
        f"another. {which}, the most confident first. Look for what they have in common."
    )


def still_wrong(shown: int, total: int, name: str, chosen: str) -> str:
    """What the mistakes are good for of a run that was `chosen` so: "the best by validation"."""
    which = "The" if shown == total else f"{count(shown)} of the"
    return (
        f"{which} {counted(total, 'test image')} that {name}, {chosen}, still gets wrong, the surest "
        "first. Where every other run is right, the fault is the model’s; where all are wrong, doubt the label too."
    )
