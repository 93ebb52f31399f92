"""The most confident mistakes, read off predictions alone."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.errors import DataError, nearest
from firstlight.evaluation import most_confident_mistakes
from firstlight.types import Array, Predictions


def confident_mistakes(
    predictions: Predictions,
    class_names: Sequence[str],
    *,
    true: str | None = None,
    predicted: str | None = None,
    count: int | None = None,
) -> Array:
    """Indices of the mistakes made with the highest confidence, the surest first, at most `count`; int64.

    true, predicted  the names of the true class and of the class that it was taken for; any unless given

    High confidence in a wrong answer is where a net misleads most. It is no sign that the label is wrong: most nets
    are surer than they are right (see `label_doubts`).

    Raises DataError for a name that is none of the classes, with the nearest that is.
    """
    of = None if true is None else class_number(true, class_names)
    if true is not None and true == predicted:
        raise DataError(f"An image of {true} that is predicted as {true} is not a mistake: give two different classes.")
    found = most_confident_mistakes(predictions, len(predictions), of)
    if predicted is not None:
        found = found[predictions.predicted[found] == class_number(predicted, class_names)]
    return found[:count]


def class_number(name: str, class_names: Sequence[str]) -> int:
    """Which class is called `name`. Raises DataError where none is, with the nearest that exists."""
    if name not in class_names:
        raise DataError(f"There is no class called {name!r}. {nearest(name, class_names)}")
    return list(class_names).index(name)
