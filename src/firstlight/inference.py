"""Image files through trained nets: read in threads, answered batch by batch, told in their order.

A batch of images is in memory at a time, however many files there are.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from firstlight import evaluation, members
from firstlight.cautions import Caution
from firstlight.data.file_listing import ListedFile
from firstlight.data.names import one_form
from firstlight.errors import DataError, UnreadableImageError
from firstlight.evaluation import Evaluation
from firstlight.experiments.lineage import Seen, SeenImages
from firstlight.members import Answers, Member
from firstlight.prepare import Preparation, outside_images
from firstlight.text import listed, printable_name
from firstlight.types import Array, Json, Predictions, unlabelled

BATCH = 128  # images in memory at a time; a small net answers more of them hardly faster
BYTES = 32_000_000  # of these images, for nets that take large ones
LEARNT_FROM = "left out: the run was trained on it"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a net says of one image file, or why it says nothing.

    path         as it was named or found; bytes that are no UTF-8 are surrogates, as in Python's own names of files
    class_name   the most probable class; empty where the image could not be read
    probability  of that class; NaN where there is none
    top          the most probable classes, each with its probability, the first one first
    reason       why the image could not be read or, where classes are compared, does not count; empty otherwise
    true_class   its class by its folder or a table, where classes are compared
    trained_on   whether the run, or one that its weights come from, was trained on the same pixels
    strangeness  its distance from the classes: above 1, it is of none of them; NaN where that is not known
    """

    path: str
    class_name: str = ""
    probability: float = float("nan")
    top: tuple[tuple[str, float], ...] = ()
    reason: str = ""
    true_class: str = ""
    trained_on: bool = False
    strangeness: float = float("nan")

    @property
    def none_of_these(self) -> bool | None:
        """Whether the image is of none of the classes; None where that is not known. `class_name` is then most like."""
        return None if math.isnan(self.strangeness) else self.strangeness > 1


class NoneOfThese(NamedTuple):
    """How many of the images that were measured a net says are of none of its classes.

    accuracy_of_others  of the images that it takes for one of its classes; None where there are none
    """

    images: int
    accuracy_of_others: float | None


@dataclass(frozen=True, eq=False)
class Measured:
    """What was found where a trained net was measured.

    notes      what to know of which images were measured
    seen       how many of the images the run was trained on, or was chosen by
    with_seen  the evaluation on all images, where those were left out
    """

    evaluation: Evaluation
    predictions: Predictions
    notes: tuple[str, ...] = ()
    seen: int = 0
    with_seen: Evaluation | None = None

    @property
    def none_of_these(self) -> NoneOfThese | None:
        """The images that the net says are of none of its classes; None where it cannot tell."""
        strange = self.predictions.none_of_these
        if strange is None:
            return None
        others = self.predictions.correct[~strange]
        return NoneOfThese(int(strange.sum()), float(others.mean()) if len(others) else None)

    def to_json(self) -> Json:
        """The numbers of the evaluation, and what to know of them."""
        value = self.evaluation.to_json()
        if self.none_of_these is not None:
            value["none_of_these"] = self.none_of_these._asdict()
        if self.notes:
            value["notes"] = list(self.notes)
        if self.seen:
            value["seen"] = self.seen
        if self.with_seen is not None:
            value["with_seen"] = self.with_seen.to_json()
        return value


def without_seen(
    seen: Seen,
    include_seen: bool,
    measure: Callable[[Array], tuple[Evaluation, Predictions]],
    notes: tuple[str, ...] = (),
) -> Measured:
    """What `measure` finds on the images that are new, and a note of the others; on all of them if asked for.

    measure  is given which images, boolean (N,)

    Raises DataError where none is new.
    """
    every = np.ones(len(seen.any), bool)
    if not seen.any.any():
        return Measured(*measure(every), notes)
    trained, chosen = int(seen.trained.sum()), int(seen.chosen.sum())
    parts = [f"{trained:,} were trained on"] if trained else []
    parts += [f"{chosen:,} are validation images, by which weights were chosen"] if chosen else []
    what = f"Of {len(every):,} images, {listed(parts)}"
    if seen.any.all() and not include_seen:
        raise DataError(
            f"{what}: none is new to the run, and its accuracy on them says nothing about new images. To evaluate on "
            "them all the same: --include-seen (include_seen=True)."
        )
    whole = measure(every)
    if include_seen:
        return Measured(
            *whole, (Caution.SEEN_IMAGES.text(f"{what}: the accuracy is too high."), *notes), seen=trained + chosen
        )
    note = Caution.SEEN_IMAGES.text(
        f"{what}: they are left out. With them, the accuracy would be {100 * whole[0].accuracy:.2f} % "
        "(--include-seen, include_seen=True)."
    )
    return Measured(*measure(~seen.any), (note, *notes), seen=trained + chosen, with_seen=whole[0])


@dataclass(frozen=True, eq=False, slots=True)
class _Answer:
    """What became of one file.

    reason           why there is no answer, or ""
    outputs          raw, (units,) of each net
    probabilities    float32 (K,)
    strangeness      see `Prediction`
    trained, chosen  see `Seen`
    """

    file: ListedFile
    reason: str = ""
    outputs: tuple[Array, ...] = ()
    probabilities: Array | None = None
    strangeness: float = float("nan")
    trained: bool = False
    chosen: bool = False


@dataclass(frozen=True, eq=False)
class FileClassifier:
    """Trained nets that are asked of files: what they compute, what their answers mean, what they were trained on."""

    members: Sequence[Member]
    class_names: tuple[str, ...]
    seen: SeenImages

    @property
    def preparation(self) -> Preparation:
        """How images become what all of them take; each has statistics of its own, which its engine applies."""
        return self.members[0].task.preparation

    def predict(self, files: Iterable[ListedFile], top: int | None = 3) -> Iterator[Prediction]:
        """What the net says of each file, in their order; those that are other than images are passed over.

        top  so many classes of each image; all of them with None

        Raises RunError where the answers are not numbers, and what `files` raises.
        """
        return (self._told(answer, top) for answer in self._answers(files))

    def measure(
        self,
        files: Iterable[ListedFile],
        numbers: Mapping[str, int | None],
        *,
        include_seen: bool = False,
        top: int | None = 3,
        each: Callable[[Prediction], object] = lambda prediction: None,
    ) -> Measured:
        """Measure the net on files whose classes their folders, or a table, name.

        numbers       the number of each class by its name; None for one whose images are left out
        include_seen  count images that the net was trained on too
        each          is given every prediction in the order of the files; its reason says where it does not count

        The answers of all files are held, their images are not. Raises DataError where no image counts, and what
        `predict` raises.
        """
        counted: list[tuple[_Answer, int]] = []
        others, first = 0, ""  # of the files that do not count: how many, and the first one
        for answer in self._answers(files):
            name = class_of(answer.file)
            number, reason = numbers.get(name), answer.reason or _no_class(name, numbers)
            if number is not None and not reason:
                counted.append((answer, number))
                reason = LEARNT_FROM if (answer.trained or answer.chosen) and not include_seen else ""
            else:
                others += 1
                first = first or f"{printable_name(answer.file.path)} ({reason})"
            each(replace(self._told(answer, top), true_class=name, reason=reason))
        if not counted:
            classes = listed(self.class_names, most=10)
            raise DataError(f"No image can be evaluated: {first or 'there is none'}. The run's classes are {classes}.")
        notes = (Caution.NOT_MEASURED.text(f"Not measured: {others:,}, such as {first}."),) if others else ()
        return self._measured(counted, include_seen, notes)

    def _measured(self, counted: list[tuple[_Answer, int]], include_seen: bool, notes: tuple[str, ...]) -> Measured:
        answers = [answer for answer, _ in counted]
        ids = np.array([printable_name(answer.file.path) for answer in answers])
        labels = np.array([number for _, number in counted], np.int64)
        strange = np.array([answer.strangeness for answer in answers], np.float32)
        found = Answers(
            tuple(np.stack(rows) for rows in zip(*(answer.outputs for answer in answers), strict=True)),
            np.stack([answer.probabilities for answer in answers if answer.probabilities is not None]),
            None if np.isnan(strange).any() else strange,
        )
        seen = Seen(*(np.array([getattr(answer, name) for answer in answers]) for name in ("trained", "chosen")))

        def measure(which: Array) -> tuple[Evaluation, Predictions]:
            these = Answers(tuple(rows[which] for rows in found.outputs), found.probabilities[which])
            strangeness = None if found.strangeness is None else found.strangeness[which]
            predictions = Predictions(ids[which], labels[which], these.probabilities, strangeness)
            loss = members.mean_loss(self.members, these, predictions.labels)
            return evaluation.measure(predictions, self.class_names, loss, self.members[0].metrics), predictions

        return without_seen(seen, include_seen, measure, notes)

    def _answers(self, files: Iterable[ListedFile]) -> Iterator[_Answer]:
        """Of each file, in order."""
        images, size = (file for file in files if not file.is_other), batch_size(self.preparation)
        while batch := list(islice(images, size)):
            answers = [_Answer(file, file.reason) for file in batch]
            named = [place for place, file in enumerate(batch) if not file.reason]
            read: dict[int, Array] = {}
            decoded = outside_images([batch[place].path for place in named], self.preparation)
            for place, image in zip(named, decoded, strict=True):
                if isinstance(image, UnreadableImageError):
                    answers[place] = _Answer(batch[place], image.reason)
                else:
                    read[place] = image
            answered = self._answered([batch[place] for place in read], list(read.values()))
            for place, answer in zip(read, answered, strict=True):
                answers[place] = answer
            yield from answers

    def _answered(self, files: list[ListedFile], pixels: list[Array]) -> list[_Answer]:
        """The answers to images that could be read."""
        if not files:
            return []
        images = unlabelled(np.stack(pixels))
        found = members.answers(self.members, images)
        members.require_numbers(self.members, found)
        seen = self.seen.among(images, [file.path for file in files])
        outputs = zip(*found.outputs, strict=True)
        strange = [float("nan")] * len(files) if found.strangeness is None else found.strangeness.tolist()
        trained, chosen = seen.trained.tolist(), seen.chosen.tolist()
        columns = (files, [""] * len(files), outputs, found.probabilities, strange, trained, chosen)
        return [_Answer(*row) for row in zip(*columns, strict=True)]

    def _told(self, answer: _Answer, top: int | None) -> Prediction:
        """The answer in names."""
        if answer.probabilities is None:
            return Prediction(answer.file.path, reason=answer.reason)
        return prediction_of(
            answer.file.path,
            answer.probabilities,
            self.class_names,
            top,
            trained_on=answer.trained,
            strangeness=answer.strangeness,
        )


def batch_size(preparation: Preparation) -> int:
    """How many images for a net are in memory at a time."""
    return max(1, min(BATCH, BYTES // math.prod(preparation.input_shape)))


def prediction_of(path: str, probabilities: Array, names: Sequence[str], top: int | None, **more: Any) -> Prediction:
    """One row of probabilities (K,) in the names of the classes; of equal ones the first comes first, as argmax has it.

    more  other fields of the prediction
    """
    order = np.argsort(-probabilities, kind="stable")[:top].tolist()
    ranked = tuple((names[k], float(probabilities[k])) for k in order)
    return Prediction(path, *ranked[0], top=ranked, **more)


def class_of(file: ListedFile) -> str:
    """The class of a file as a table, or the folder that it lies in, names it."""
    folder = Path(os.path.abspath(file.path)).parent  # noqa: PTH100  (links are not followed)
    return one_form(file.label or printable_name(folder.name))


def _no_class(name: str, numbers: Mapping[str, int | None]) -> str:
    """Why a file cannot be compared with the class that it is said to have; nothing where it can be."""
    if name not in numbers:
        return f"its label {name!r}, from its folder or table, is not one of the classes"
    return f"images of {name!r} are left out in this run" if numbers[name] is None else ""
