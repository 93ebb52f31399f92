"""How long a run will take, and how much memory, told from a few measured steps before it starts.

The steps are those of training, on training images; what they have changed is taken back, as when a run continues from
a checkpoint. Their draws are keyed by epoch and step, so that training draws the same afterwards.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from firstlight import memory
from firstlight.engines import Session
from firstlight.engines.features import FeatureNet
from firstlight.errors import TrainingError
from firstlight.experiments.novelty import BLOCK
from firstlight.experiments.novelty import SAMPLE as NOVELTY_SAMPLE
from firstlight.experiments.setup import Setup
from firstlight.prepare import batches, steps
from firstlight.records.estimate import Estimate
from firstlight.text import bytes_said, duration

BUDGET = 0.15  # seconds of steps that are measured; the first one, which may be longer, and at least one more
MOST = 8  # steps, where they are short
FEW, MANY, LONG = 4, 512, 0.05  # images that are evaluated first; and where these take less than LONG seconds
SAVING, TO_DISK = 0.01, 3e8  # seconds that writing a checkpoint takes in any case, and bytes per second
COPIES = 5  # of the weights and the optimizer's arrays: in the session, the newest and the best checkpoint, on the way


def estimate(setup: Setup, session: Session, done: int = 0) -> Estimate | None:
    """What is left of a run after `done` epochs will take; None where its loss is not a number already.

    session  warmed up. Of several processes that train together, all ask at the same point
    """
    try:
        step = _step_seconds(setup, session)
    except TrainingError:  # which the training will tell
        return None
    course, splits = setup.experiment.training, setup.splits
    judged = {name: len(splits[name]) for name in ("validation", "test") if name in splits}
    image = _image_seconds(setup, session)
    taken = setup.task.images_per_epoch(len(setup.train), course.batch_size)
    state = sum(array.nbytes for array in (session.vector(), *session.state().values()))
    epoch = step * steps(taken, course.batch_size) + image * judged.get("validation", 0) + SAVING + state / TO_DISK
    last = image * sum(judged.values())
    if "validation" in judged:  # how strange the images are to the net
        last += image * (min(NOVELTY_SAMPLE, len(setup.train)) + sum(judged.values()))
    return Estimate(seconds=(course.epochs - done) * epoch + last, memory=_memory(setup, state, sum(judged.values())))


def estimate_of(setup: Setup) -> Estimate | None:
    """The same of a run whose session is not open yet, which is opened and warmed up for it."""
    course = setup.experiment.training
    session = setup.engine.session(setup.task, setup.train, None if setup.start is None else setup.start.vector)
    session.warm_up(course.batch_size, course.epochs)
    return estimate(setup, session)


def told(found: Estimate, epochs: int) -> str:
    """The sentence that is told before training."""
    what = "an epoch" if epochs == 1 else f"{epochs} epochs"
    needed = f", and {bytes_said(found.memory)} of memory" if found.memory else ""
    return f"About {duration(found.seconds)} on this machine for {what} and the evaluation{needed}."


def _step_seconds(setup: Setup, session: Session) -> float:
    """The seconds of a step of training: the middle one of a few, the first of which is left out."""
    size = setup.experiment.training.batch_size
    order = setup.task.order(setup.train, 0, size)
    vector, state = session.vector(), session.state()
    seconds: list[float] = []
    try:
        for index, _ in zip(batches(order, size), range(MOST), strict=False):
            began = time.perf_counter()
            session.train_step(index, 0, 0, 0.0)
            seconds.append(time.perf_counter() - began)
            if session.agree(len(seconds) > 1 and sum(seconds) > BUDGET):
                break
    finally:
        session.restore(vector, state)
    return median(seconds[1:] or seconds)


def _image_seconds(setup: Setup, session: Session) -> float:
    """The seconds that the net takes for an image in evaluation."""
    images = setup.validation or setup.splits.get("test") or setup.train
    found = 0.0
    for most in (FEW, MANY):
        some = images.take(np.arange(min(most, len(images))))
        session.outputs(some)  # memory for so many is made ready
        began = time.perf_counter()
        session.outputs(some)
        seconds = time.perf_counter() - began
        found = seconds / len(some)
        if session.agree(seconds > LONG):
            break
    return found


def _memory(setup: Setup, state: int, judged: int) -> int:
    """The bytes that the process will hold: what it holds now, and what is kept or made at the end; 0: not known."""
    now = memory.in_use()
    if not now:
        return 0
    classes = len(setup.train.class_names)
    features = FeatureNet.of(setup.task).width
    answers = 6 * 4 * classes * judged  # outputs, probabilities and what is worked out of them, in 4 bytes each
    novelty = 8 * (NOVELTY_SAMPLE + 2 * BLOCK) * (features + classes)
    return now + COPIES * state + answers + novelty
