"""The sentences of a report: verdicts, and captions that say what to look for, computed from the numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firstlight.evaluation import Evaluation
from firstlight.report.format import count, counted, percent


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
