"""The models that are served: trained runs, each under a name."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from firstlight import api, members
from firstlight.errors import RunError
from firstlight.files import resolved
from firstlight.members import NO_NUMBERS, Answers, Member
from firstlight.prepare import Preparation
from firstlight.text import one_line, printable_name
from firstlight.trained_classifier import TrainedClassifier
from firstlight.types import Array, Json

SWIFT = 1e-4  # seconds for an image on one core; its request takes some 3e-4
VECTOR = 16  # images that the compiled loops compute at once: float32 in AVX-512


@dataclass(frozen=True)
class ServedModel:
    """A trained run under a name, or several runs that answer together.

    swift  whether an image takes less than its request does: one core, and no thread of its own, is then enough
    """

    name: str
    run: TrainedClassifier
    swift: bool = False

    @cached_property
    def preparation(self) -> Preparation:
        """How images become its input."""
        return self.run.preparation

    @cached_property
    def nets(self) -> tuple[Member, ...]:
        """What computes."""
        return self.run.members

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        return self.run.class_names

    @cached_property
    def tells_novelty(self) -> bool:
        """Whether it tells images that are of none of its classes."""
        return not self.run.why_no_novelty

    def answers(self, images: Sequence[Array]) -> Array:
        """Of prepared images, each uint8 (H, W, C), the probabilities (N, K) and, in one more column, the strangeness.

        That is 0 where the model does not tell it.

        The net is made ready again for another number of images, which takes longer than the images do: it is asked for
        1, 2, 4, 8, … images, the last of them empty. On one core, a vector that is full takes as long as six images.
        """
        if len(images) == 1:
            return _columns(members.answers(self.nets, images[0][np.newaxis]))
        n = len(images)
        filled = 1 << (n - 1).bit_length()
        if self.swift and 4 < filled < VECTOR:
            filled = VECTOR
        pixels = np.zeros((filled, *self.preparation.input_shape), np.uint8)
        for i, image in enumerate(images):
            pixels[i] = image
        with _one_thread() if self.swift else nullcontext():
            return _columns(members.answers(self.nets, pixels))[:n]

    def about(self) -> Json:
        """What one who asks must know of it, and how good it is."""
        height, width, channels = self.preparation.input_shape
        model, nets = self.run.task.model, len(self.run.folders)
        return {
            "name": self.name,
            "architecture": model.name,
            "nets": nets,
            "classes": list(self.class_names),
            "input": {"height": height, "width": width, "channels": channels},
            "parameters": model.parameters * nets,
            "data": self.run.folders[0].data.name,
            "test_accuracy": self.run.test_accuracy,
        }

    def warmed(self) -> ServedModel:
        """The same model, ready for its first request, and measured.

        Raises RunError where it gives no numbers.
        """
        image = np.zeros(self.preparation.input_shape, np.uint8)
        if not np.isfinite(self.answers([image])).all():
            raise RunError(f"{self.run.path}: {NO_NUMBERS}")
        alone = replace(self, swift=True)
        return alone if min(_seconds(alone, [image] * VECTOR) for _ in range(3)) < VECTOR * SWIFT else self


def named_runs(
    texts: Sequence[str],
    engine: str | None = None,
    device: str | None = None,
    false_alarm_rate: float | None = None,
) -> list[ServedModel]:
    """The runs that are asked for, each as RUN, which is named as its folder is, or as NAME=RUN.

    Raises RunError where there is no such run, or two have one name.
    """
    models: dict[str, ServedModel] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            name, path = resolved(text).name, text
        name = one_line(printable_name(name))  # so that it can be asked for
        if not name or "/" in name:
            raise RunError(f"{text!r}: the model needs a name without a slash, such as digits={path}")
        if name in models:
            other = models[name].run.path
            raise RunError(f"{other} and {path} would both be called {name!r}. Name one: {name}-2={path}")
        run = api.open_run(path, engine=engine, device=device, false_alarm_rate=false_alarm_rate)
        models[name] = ServedModel(name, run)
    return list(models.values())


def _columns(found: Answers) -> Array:
    """See `ServedModel.answers`."""
    n, k = found.probabilities.shape
    columns = np.zeros((n, k + 1), np.float32)
    columns[:, :k] = found.probabilities
    if found.strangeness is not None:
        columns[:, k] = found.strangeness
    return columns


def _seconds(model: ServedModel, images: Sequence[Array]) -> float:
    began = time.perf_counter()
    model.answers(images)
    return time.perf_counter() - began


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one of Numba's threads, where this thread asks for it."""
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)
