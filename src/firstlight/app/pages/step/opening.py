"""What a course begins with: the request, the net and the images that it names, and how these are shown."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from firstlight.app.images import UPLOADS, class_number, number
from firstlight.app.index import Index
from firstlight.app.pages.step import subject
from firstlight.app.pages.step.subject import Subject
from firstlight.app.server.errors import UnknownError
from firstlight.prepare import outside_image
from firstlight.report.format import counted
from firstlight.training_step import Course
from firstlight.training_step.presets import preset
from firstlight.types import Images, Json

MOST_IMAGES = 32  # in a batch


@dataclass(frozen=True)
class Asked:
    """What a course follows from.

    of      a run, an architecture or a preset, as `subject` calls it
    data    the named set of an architecture's images
    image   the number of the first image, and `batch` how many there are
    label   the class that is taken for the true one; None for the image's own
    over    "images" for steps on these alone, "train" for steps on batches of the training images
    mended  whether a preset goes well
    drawn   whether the file in `body` is a drawing, to be fitted as the images were
    body    an image file in the place of an image of the set
    """

    of: str
    data: str
    image: int = 0
    batch: int = 1
    label: str = ""
    over: str = "images"
    mended: bool = False
    drawn: bool = False
    body: bytes = field(default=b"", repr=False)

    @classmethod
    def of_query(cls, query: Mapping[str, str], body: bytes) -> Asked:
        """As an address has it. Raises UnknownError where it is malformed."""
        batch = number(query.get("batch") or "1")
        if not 1 <= batch <= MOST_IMAGES:
            raise UnknownError(f"A batch has 1 to {MOST_IMAGES} images here; received {batch}.")
        over = query.get("over", "images")
        if over not in ("images", "train"):
            raise UnknownError(f'over is "images" or "train"; received {over[:20]!r}.')
        return cls(
            query.get("of", subject.FIRST),
            query.get("data", subject.DIGITS),
            number(query.get("image") or "0"),
            batch,
            query.get("label", ""),
            over,
            query.get("mended") == "1",
            query.get("drawn") == "1",
            body,
        )


@dataclass(frozen=True, eq=False)
class Opened:
    """A course, and what its images are.

    told       what they are, in a sentence
    first      the number of the first; None where they are not of the set
    choosable  whether others can be chosen
    """

    subject: Subject
    course: Course
    told: str
    first: int | None
    choosable: bool = True

    def facts(self) -> Json:
        """What the page says of the images."""
        images = self.course.images
        style = self.subject.style
        paper = "#" + "".join(f"{level:02x}" for level in np.broadcast_to(style.paper, 3))
        return {
            "inks": ["#ffffff" if style.light else "#000000", paper],
            "brush": style.brush,
            "images": {
                "count": len(self.subject.images),
                "first": self.first,
                "batch": len(images),
                "choosable": self.choosable,
                "told": self.told,
                "shown": [_seen(images, n) for n in range(len(images))],
            },
            "over": self.subject.train is not None,
        }


def _seen(images: Images, n: int) -> Json:
    """An image as the net is given it, before its scale and shift."""
    pixels = np.asarray(images.pixels[n])
    sides = dict(zip(("height", "width", "channels"), pixels.shape, strict=True))
    return {**sides, "pixels": base64.b64encode(pixels.tobytes()).decode()}


def opened(index: Index, asked: Asked) -> Opened:
    """Begin a course. Raises UnknownError for what there is not, and DataError for a file that is no image."""
    if asked.of.startswith(subject.PRESET):
        return _preset(asked.of.removeprefix(subject.PRESET), asked.mended)
    found = subject.of(index, asked.of, asked.data)
    label = class_number(asked.label, found.images.class_names)
    if asked.body:
        images, told, first = _of_file(found, asked, label or 0), "Your own image.", None
    else:
        images, told = _of_set(found, asked, label)
        first = asked.image
    course = found.course(images, asked.over == "train")
    return Opened(found, course, f"{told} {found.note}".strip(), first)


def _preset(name: str, mended: bool) -> Opened:
    course = preset(name).course(mended)
    images, task = course.images, course.task
    found = Subject(name, task.model, task.preparation, images)
    told = f"{counted(len(images), 'image')} of the digits{'' if course.own else ', all of one class'}."
    return Opened(found, course, told, None, choosable=False)


def _of_set(found: Subject, asked: Asked, label: int | None) -> tuple[Images, str]:
    count = len(found.images)
    if asked.image >= count:
        raise UnknownError(f"There are {counted(count, 'image')}, numbered from 0; there is no number {asked.image}.")
    images = found.images.take(np.arange(asked.image, min(asked.image + asked.batch, count)))
    own = images.class_names[images.labels[0]]
    told = f"{images.ids[0]}, labelled {own}" if len(images) == 1 else f"{len(images)} images from {images.ids[0]} on"
    if label is None or label == images.labels[0]:
        return images, f"{told}."
    labels = np.concatenate([[label], images.labels[1:]])
    told += f", here labelled {images.class_names[label]}"
    return Images(images.pixels, labels, images.ids, images.class_names), f"{told}."


def _of_file(found: Subject, asked: Asked, label: int) -> Images:
    box = found.style.box if asked.drawn and found.style.plain else None
    pixels = outside_image(asked.body, found.preparation, box=box, limits=UPLOADS)
    return Images(pixels[None], np.array([label]), np.array(["your image"]), found.images.class_names)
