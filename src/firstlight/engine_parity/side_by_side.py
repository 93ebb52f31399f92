"""Two training runs from the same start, on the same batches, step by step on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from firstlight.engine_parity.differences import relative_difference
from firstlight.engines import Task, open_engine
from firstlight.prepare import batches, epoch_order
from firstlight.records.parity import SideBySide
from firstlight.types import Array, Images


def compare_runs(
    task: Task,
    images: Images,
    *,
    precision: str,
    steps: int,
    batch_size: int,
    rate: float,
    kernels: str,
    note: Callable[[str], None],
) -> SideBySide:
    """Take `steps` steps on each engine in turn; torch on the CPU, with numpy's dropout masks."""
    ours = open_engine("numpy", kernels=kernels, precision=precision).session(task, images)
    theirs = open_engine("torch", device="cpu", precision=precision, exact_noise=True).session(task, images)
    losses, differences, weights = [], [], []
    difference = np.zeros(task.model.layout.size)
    for done, (epoch, step, index) in enumerate(step_order(task.seed, len(images), batch_size, steps), 1):
        note(f"training in {precision}: step {done} of {steps}")
        pair = [session.train_step(index, epoch, step, rate)[0] for session in (ours, theirs)]
        losses.append(pair)
        differences.append(relative_difference(*np.array(pair).reshape(2, 1)))
        vector, other = ours.vector(), theirs.vector()
        difference = np.abs(vector.astype(np.float64) - other)
        weights.append(float(difference.max()) / float(np.abs(vector).max()) if vector.size else 0.0)
    first, second = zip(*losses, strict=True)
    return SideBySide(precision, rate, first, second, tuple(differences), tuple(weights), _where(task, difference))


def step_order(seed: int, n: int, batch_size: int, steps: int) -> Iterator[tuple[int, int, Array]]:
    """(epoch, step of the epoch, its images) for the first `steps` steps of training."""
    taken = epoch = 0
    while taken < steps:
        for step, index in enumerate(batches(epoch_order(seed, epoch, n), batch_size)):
            if taken == steps:
                return
            yield epoch, step, index
            taken += 1
        epoch += 1


def _where(task: Task, difference: Array) -> str:
    """The array in which the largest of the differences lies."""
    place = int(difference.argmax())
    return next((entry.name for entry in task.model.layout.entries if entry.start <= place < entry.stop), "")
