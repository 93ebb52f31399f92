"""The images of a run: which of them have what answer, and each as a PNG by (run, source, split, index).

Normally they are the run's own, loaded again; where those cannot be had, the few that the run folder keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from firstlight.app.index import Index
from firstlight.app.server import responses
from firstlight.app.server.errors import UnknownError
from firstlight.data.decoding import ImageLimits
from firstlight.errors import FirstlightError
from firstlight.image_encoding import png
from firstlight.types import Array, Images, Json, Predictions

PER_PAGE = 60
UPLOADS = ImageLimits(pixels=25_000_000, side=10_000)  # the most that a picture from the browser may have
KEPT_BY_BROWSER = {"Cache-Control": "private, max-age=86400, immutable"}  # the address names the images' hash

Source = Literal["own", "kept"]


@dataclass(frozen=True, eq=False)
class Shown:
    """The images of a split that can be shown; `note` says why they are not all of them."""

    source: Source
    images: Images
    version: str
    note: str = ""


def shown(index: Index, key: str, split: str) -> Shown:
    """The images of a split of a run. Raises UnknownError where there is no such split."""
    folder = index.run(key)
    try:
        record = folder.data.splits.get(split)
        version = "" if record is None else record.sha256[:12]
        return Shown("own", index.images(key, split), version)
    except UnknownError:
        raise
    except FirstlightError as error:
        kept = folder.samples.get(split)
        if kept is None:
            raise
        note = f"Only the {len(kept):,} images saved in the run folder are shown. {error}"
        return Shown("kept", kept, kept.digest[:12], note)


def source(index: Index, key: str, name: str, split: str) -> Images:
    """The images of a split from one source, "own" or "kept"."""
    if name == "own":
        return index.images(key, split)
    found = index.run(key).samples.get(split) if name == "kept" else None
    if found is None:
        raise UnknownError(f"There are no images of {split!r} from {name!r}.")
    return found


def one(index: Index, key: str, name: str, split: str, position: int) -> Images:
    """One image. Raises UnknownError where there is none."""
    images = source(index, key, name, split)
    if not 0 <= position < len(images):
        raise UnknownError(f"There are {len(images):,} images of {split}; there is no number {position}.")
    return images.take(np.array([position]))


def image(request: Request) -> Response:
    """One image as a PNG."""
    index: Index = request.app.state.index
    asked = request.path_params
    found = one(index, asked["id"], asked["source"], asked["split"], number(asked["index"]))
    return Response(png(found.pixels[0]), media_type="image/png", headers=KEPT_BY_BROWSER)


def listed(request: Request) -> Response:
    """A page of the images that have a certain true class, a certain answer, or a right or wrong one."""
    index: Index = request.app.state.index
    key, asked = request.path_params["id"], request.query_params
    split = asked.get("split", "test")
    folder = index.run(key)
    predictions = folder.predictions.get(split)
    if predictions is None:
        raise UnknownError(f"{folder.path} has no predictions of {split!r}.")
    names = folder.class_names
    true, predicted = (class_number(asked.get(name, ""), names) for name in ("true", "predicted"))
    chosen = _chosen(predictions, true, predicted, asked.get("answer", ""), asked.get("order", ""))
    images = shown(index, key, split)
    places = {sample: i for i, sample in enumerate(images.images.ids.tolist())}
    found = [n for n in chosen.tolist() if str(predictions.ids[n]) in places]
    page = number(asked.get("page", "0"))
    rows = [
        _row(key, split, images, places[str(predictions.ids[n])], predictions, n)
        for n in found[page * PER_PAGE : (page + 1) * PER_PAGE]
    ]
    return responses.reply(
        {
            "total": len(chosen),
            "shown": len(found),
            "page": page,
            "pages": -(-len(found) // PER_PAGE),
            "note": images.note,
            "images": rows,
        }
    )


def by_id(request: Request) -> Response:
    """Where one image is, by its id, with its answer where it has one."""
    index: Index = request.app.state.index
    key, asked = request.path_params["id"], request.query_params
    split, sample = asked.get("split", "test"), asked.get("id", "")
    images = shown(index, key, split)
    found = np.flatnonzero(images.images.ids == sample)
    if not len(found):
        raise UnknownError(f"There is no image {sample!r} among the {split} images that can be shown. {images.note}")
    place = int(found[0])
    predictions = index.run(key).predictions.get(split)
    known: list[int] = [] if predictions is None else np.flatnonzero(predictions.ids == sample).tolist()
    if predictions is not None and known:
        return responses.reply(_row(key, split, images, place, predictions, known[0]))
    row = {"id": sample, "split": split, "source": images.source, "index": place}
    row |= {"label": int(images.images.labels[place])}
    return responses.reply(row | {"src": address(key, images.source, split, place, images.version)})


def _chosen(predictions: Predictions, true: int | None, predicted: int | None, answer: str, order: str) -> Array:
    """The predictions (indices) that are asked for, in the order that is asked for."""
    answers, confidence = predictions.probabilities.argmax(axis=1), predictions.probabilities.max(axis=1)
    right = answers == predictions.labels
    wanted = np.ones(len(answers), bool)
    if true is not None:
        wanted &= predictions.labels == true
    if predicted is not None:
        wanted &= answers == predicted
    if answer in ("right", "wrong"):
        wanted &= right == (answer == "right")
    chosen = np.flatnonzero(wanted)
    if order in ("surest", "unsurest"):
        sign = -1 if order == "surest" else 1
        chosen = chosen[np.argsort(sign * confidence[chosen], kind="stable")]
    return chosen


def _row(key: str, split: str, images: Shown, place: int, predictions: Predictions, n: int) -> Json:
    answer = int(predictions.probabilities[n].argmax())
    return {
        "id": str(predictions.ids[n]),
        "split": split,
        "source": images.source,
        "index": place,
        "label": int(predictions.labels[n]),
        "predicted": answer,
        "confidence": float(predictions.probabilities[n, answer]),
        "src": address(key, images.source, split, place, images.version),
    }


def address(key: str, name: Source, split: str, position: int, version: str) -> str:
    """Where an image is; another image has another address."""
    return f"/image/{key}/{name}/{split}/{position}.png?v={version}"


def class_number(text: str, names: tuple[str, ...]) -> int | None:
    """A class by its number; None where none is asked for. Raises UnknownError for one that there is not."""
    if not text:
        return None
    found = number(text)
    if found >= len(names):
        raise UnknownError(f"There are {len(names)} classes; there is no number {found}.")
    return found


def number(text: str) -> int:
    """A number as it stands in an address. Raises UnknownError where it is none."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UnknownError(f"A number is expected; received {text[:20]!r}.")
    return int(text)


routes: list[BaseRoute] = [
    Route("/image/{id}/{source}/{split}/{index}.png", responses.endpoint(image)),
    Route("/api/runs/{id}/images", responses.endpoint(listed)),
    Route("/api/runs/{id}/image", responses.endpoint(by_id)),
]
