"""The courses that are held: each a net under training on some images, with the step that was looked at last.

Everything follows from what was asked for and the number of the step, so that what is dropped can be made again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from firstlight.app.index import Kept
from firstlight.app.pages.step.opening import Opened
from firstlight.app.server.errors import UnknownError
from firstlight.errors import TrainingError
from firstlight.training_step import Step

HELD = 4  # courses; each keeps the weights of some steps to go back to
MOST_STEPS = 100_000
PATIENCE = 0.5  # seconds that an answer trains for; the page then asks for the rest
NO_LONGER_HELD = "This step is no longer held. Reload the page."
STRIDE = 8  # steps between two looks at the clock


@dataclass(eq=False)
class Held:
    """A course, and the step that was asked for last, as in training and as in evaluation.

    reached  the furthest step; whoever wants a later one goes there by `toward`
    ended    why it goes no further than `most` steps; "" where it does
    """

    opened: Opened
    step: Step | None = None
    evaluated: Step | None = None
    reached: int = 0
    most: int = MOST_STEPS
    ended: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, number: int) -> Step:
        """The step of this number. Raises UnknownError for one that was not reached."""
        with self.lock:
            if not 0 <= number <= self.reached:
                raise UnknownError(NO_LONGER_HELD)
            return self._at(number)

    def toward(self, start: int, number: int) -> Step:
        """A step on the way from `start` to `number`: the last one for which there was time, or that there is."""
        with self.lock:
            until, at = time.monotonic() + PATIENCE, min(start, number, self.reached)
            number = min(number, self.most)
            step = self._at(at)
            while at < number and time.monotonic() < until:
                following = min(at + STRIDE, number)
                try:
                    step = self._at(following)
                except TrainingError as error:
                    step = self._as_far_as_it_goes(at, following, str(error))
                    break
                at = following
            return step

    def in_evaluation(self, step: Step) -> Step:
        """The step as in evaluation."""
        with self.lock:
            if self.evaluated is None or self.evaluated.number != step.number:
                self.evaluated = step.in_evaluation()
            return self.evaluated

    def _as_far_as_it_goes(self, at: int, end: int, why: str) -> Step:
        """The last step before the loss is no number any more."""
        self.ended = why
        for number in range(at + 1, end):
            try:
                self._at(number)
            except TrainingError:
                break
            at = number
        self.most = at
        return self._at(at)

    def _at(self, number: int) -> Step:
        if self.step is None or self.step.number != number:
            self.step = self.opened.course.at(number)
            self.reached = max(self.reached, number)
        return self.step


class Courses:
    """A few courses, each under a key that says all that it follows from."""

    def __init__(self) -> None:
        self._held = Kept[Held](HELD)

    def begin(self, key: str, make: Callable[[], Opened]) -> Held:
        """The course under a key, made where it is not held."""
        return self._held.get(key, None, lambda: Held(make()))

    def get(self, key: str) -> Held:
        """The course under a key. Raises UnknownError where it is not held any more."""
        return self._held.get(key, None, _no_longer_held)


def _no_longer_held() -> Held:
    raise UnknownError(NO_LONGER_HELD)
