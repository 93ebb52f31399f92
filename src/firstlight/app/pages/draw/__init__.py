"""The page /draw: draw or upload a picture, and watch a net look at it."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firstlight.app.index import Index
from firstlight.app.pages.draw.live import DrawingRequest, answer, prepared
from firstlight.app.server import responses
from firstlight.app.server.responses import Page
from firstlight.app.server.security import BODY_LIMIT
from firstlight.app.summary import READY, by_data
from firstlight.data.loading import LARGEST_SIDE
from firstlight.errors import DataError, FirstlightError
from firstlight.prepare import Preparation
from firstlight.prepare.strokes import style_of_run
from firstlight.types import Json


def page(request: Request) -> Response:
    """The page, for the run that is asked for or else the one that ended last."""
    index: Index = request.app.state.index
    ready = [summary for summary in index.summaries_within()[0] if summary.state in READY]
    asked = request.query_params.get("run")
    if asked is not None:  # an id that there is not is told as such
        wanted = index.summary(index.entry(asked))
        if wanted.state in READY and wanted not in ready:
            ready.append(wanted)
    summary = next((summary for summary in ready if asked in (None, summary.id)), None)
    values: Json = {"choices": by_data(ready), "chosen": summary, "facts": None, "problem": "", "limit": BODY_LIMIT}
    if summary is not None:
        try:
            values["facts"] = facts(index, summary.id)
        except FirstlightError as error:
            values["problem"] = str(error)
    elif asked is not None:
        values["problem"] = "This run has no weights yet: it is still training, or training was cut off."
    return responses.page(request, "draw/page.html.j2", title="Draw", **values)


def facts(index: Index, key: str) -> Json:
    """What the page must know of a run before the first stroke. Raises RunError where its records are damaged."""
    folder = index.run(key)
    preparation = Preparation.from_json(folder.model.preparation.settings)
    height, width, channels = preparation.input_shape
    ink = style_of_run(folder, lambda: index.images(key, "train"))
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


async def look(request: Request) -> Response:
    """What a net makes of the image file in the body: see `live.answer`."""
    data = await request.body()
    asked = request.query_params
    index: Index = request.app.state.index
    return await responses.compute(request, _look, index, request.path_params["id"], data, dict(asked), inference=True)


def _look(index: Index, key: str, data: bytes, asked: dict[str, str]) -> Response:
    began = time.perf_counter()
    switches = (asked.get(name) == "1" for name in ("invert", "maps", "saliency"))
    drawing = DrawingRequest(_box(asked.get("box")), *switches)
    run = index.opened(key)
    found = answer(run, prepared(data, run.task.preparation, drawing), drawing)
    found["milliseconds"] = 1000 * (time.perf_counter() - began)
    return responses.reply(found)


def _box(text: str | None) -> float | None:
    """The `box` of a request as the address has it."""
    if text is None:
        return None
    try:
        box = float(text)
    except ValueError:
        box = 0.0
    if not 1 <= box <= LARGEST_SIDE:
        raise DataError(f"box is a number of pixels from 1 to {LARGEST_SIDE}; received {text!r}.")
    return box


PAGE = Page(
    title="Draw",
    address="/draw",
    position=1,
    routes=[
        Route("/draw", responses.endpoint(page)),
        Route("/api/draw/{id}", look, methods=["POST"]),
    ],
)
