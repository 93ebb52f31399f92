"""The page /draw: draw or upload a picture, and watch a net look at it."""

from __future__ import annotations

import time

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from firstlight.app import server
from firstlight.app.gate import BODY_LIMIT
from firstlight.app.ink import Ink
from firstlight.app.library import Entry, Library
from firstlight.app.seen import Wish, answer, prepared
from firstlight.data.sources import LARGEST_SIDE
from firstlight.errors import DataError, FirstlightError, RunError
from firstlight.prepare import Preparation
from firstlight.records.run_folder import RunFolder
from firstlight.types import Images, Json

SAMPLED = 200  # training images are enough to measure ink and paper
READY = ("finished", "stopped early", "interrupted", "diverged")  # states of a run that has its weights


def page(request: Request) -> Response:
    """The page, for the run that is asked for or else the one that ended last."""
    library: Library = request.app.state.library
    ready = [entry for entry in library.entries_within()[0] if entry.state in READY]
    asked = request.query_params.get("run")
    if asked is not None:  # an id that there is not is told as such
        wanted = library.entry(library.place(asked))
        if wanted.state in READY and wanted not in ready:
            ready.append(wanted)
    entry = next((entry for entry in ready if asked in (None, entry.id)), None)
    values: Json = {"choices": _choices(ready), "chosen": entry, "facts": None, "problem": "", "limit": BODY_LIMIT}
    if entry is not None:
        try:
            values["facts"] = facts(library, entry.id)
        except FirstlightError as error:
            values["problem"] = str(error)
    elif asked is not None:
        values["problem"] = "This run has no weights yet: it is still training, or it was cut off."
    return server.page(request, "draw.html.j2", title="Draw", **values)


def facts(library: Library, key: str) -> Json:
    """What the page must know of a run before the first stroke. Raises RunError where its records are damaged."""
    folder = library.run(key)
    preparation = Preparation.from_json(folder.model["preparation"])
    channels, height, width = preparation.input_shape
    ink = Ink.of(_training(library, folder, key))
    return {
        "run": key,
        "classes": list(folder.class_names),
        "size": [height, width],
        "colour": channels == 3,
        "paper": list(ink.paper),
        "light": ink.light,
        "plain": ink.plain,
        "box": ink.box,
        "brush": ink.brush,
    }


def _training(library: Library, folder: RunFolder, key: str) -> Images:
    """Some training images: those that the run folder keeps, or else the run's own, where they can be had."""
    try:
        return folder.samples["train"]
    except (FirstlightError, LookupError) as error:
        try:
            images = library.images(key, "train")
        except FirstlightError as other:
            kept = error if isinstance(error, FirstlightError) else f"{folder.path} keeps no training images."
            raise RunError(f"{kept} {other}") from None
    return images.take(np.arange(min(len(images), SAMPLED)))


async def look(request: Request) -> Response:
    """What a net makes of the image file in the body: see `seen.answer`."""
    data = await request.body()
    asked = request.query_params
    library: Library = request.app.state.library
    return await server.in_turn(request, _look, library, request.path_params["id"], data, dict(asked), alone=True)


def _look(library: Library, key: str, data: bytes, asked: dict[str, str]) -> Response:
    began = time.perf_counter()
    wish = Wish(_box(asked.get("box")), *(asked.get(name) == "1" for name in ("invert", "maps", "saliency")))
    with library.using:
        run = library.opened(key)
        found = answer(run, prepared(data, run.task.preparation, wish), wish)
    found["milliseconds"] = 1000 * (time.perf_counter() - began)
    return server.reply(found)


def _box(text: str | None) -> float | None:
    """The `box` of a wish as the address has it."""
    if text is None:
        return None
    try:
        box = float(text)
    except ValueError:
        box = 0.0
    if not 1 <= box <= LARGEST_SIDE:
        raise DataError(f"box is a number of pixels from 1 to {LARGEST_SIDE}; received {text!r}.")
    return box


def _choices(entries: list[Entry]) -> list[tuple[str, list[Entry]]]:
    """The runs by the data that they learnt, each group in the order of the entries."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.data, []).append(entry)
    return list(groups.items())


routes: list[BaseRoute] = [
    Route("/draw", server.of_folder(page)),
    Route("/api/draw/{id}", look, methods=["POST"]),
]
