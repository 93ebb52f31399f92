"""The page /step: one step of training, number by number, forward and backward, and what the next ones make of it."""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firstlight.app.images import number
from firstlight.app.index import Index
from firstlight.app.pages.step import answers, subject
from firstlight.app.pages.step.courses import Courses, Held
from firstlight.app.pages.step.opening import MOST_IMAGES, Asked, opened
from firstlight.app.server import responses
from firstlight.app.server.errors import UnknownError
from firstlight.app.server.responses import Page
from firstlight.app.server.security import BODY_LIMIT
from firstlight.training_step import Step
from firstlight.training_step.presets import PRESETS


def page(request: Request) -> Response:
    """The page, for the net that is asked for, or else for an untrained LeNet-5."""
    index: Index = request.app.state.index
    query = request.query_params
    chosen, source = query.get("of", subject.FIRST), query.get("data", subject.DIGITS)
    choices = subject.choices(index)
    tried = PRESETS.get(chosen.removeprefix(subject.PRESET)) if chosen.startswith(subject.PRESET) else None
    mended = query.get("mended") == "1"
    settings = {"of": chosen, "data": source, "mended": int(mended)}
    if tried and not (tried.mended if mended else tried.wrong).training:
        settings["evaluation"] = 1
    return responses.page(
        request,
        "step/page.html.j2",
        title="Step",
        choices=choices,
        chosen=chosen,
        sources=subject.sources() if chosen.startswith(subject.MODEL) else [],
        source=source,
        presets=PRESETS.values(),
        tried=tried,
        mended=mended,
        data={"settings": settings, "path": tried.path if tried else "", "limit": BODY_LIMIT, "most": MOST_IMAGES},
    )


async def begin(request: Request) -> Response:
    """Begin at the first step of a net on images: some of its set, by number, or the image file in the body."""
    body = await request.body()
    return await responses.compute(request, _begin, request, body, inference=True)


def _begin(request: Request, body: bytes) -> Response:
    asked = Asked.of_query(request.query_params, body)
    index: Index = request.app.state.index
    courses: Courses = request.app.state.courses
    settled = repr((asked, subject.version(index, asked.of)))
    key = hashlib.sha256(settled.encode() + body).hexdigest()[:24]
    held = courses.begin(key, lambda: opened(index, asked))
    step = held.at(0)
    net = answers.net(step, number(request.query_params.get("width", "0")))
    return responses.reply({"key": key, **net, **held.opened.facts(), "state": answers.state(step, 0)})


def state(request: Request) -> Response:
    """The step `to` that is gone to from `at`, or one on the way there, where that takes longer."""
    held, query = _held(request), request.query_params
    at = number(query.get("at", "0"))
    step = _mode(request, held.toward(at, number(query.get("to", str(at)))))
    ended = held.ended if step.number == held.most else ""
    return responses.reply(answers.state(step, _shown(request, step), ended))


def tensors(request: Request) -> Response:
    """The tensors of a layer."""
    step, query = _step(request), request.query_params
    return responses.reply({"tensors": answers.tensors(step.layer(query.get("layer", "")), _shown(request, step))})


def channel(request: Request) -> Response:
    """One channel of a tensor of a layer."""
    step, query = _step(request), request.query_params
    n, of, at = _shown(request, step), query.get("of", ""), number(query.get("channel", ""))
    return responses.reply(answers.channel(step.layer(query.get("layer", "")), n, of, at))


def working(request: Request) -> Response:
    """What a value of a layer is made of."""
    step, query = _step(request), request.query_params
    n, of, index = _shown(request, step), query.get("of", ""), query.get("index", "")
    return responses.reply(answers.working(step.layer(query.get("layer", "")), n, of, index))


def loss(request: Request) -> Response:
    """What the loss is made of, or its gradient with respect to an output."""
    step, query = _step(request), request.query_params
    return responses.reply(
        answers.loss_working(step, _shown(request, step), query.get("of", ""), number(query.get("k", "0")))
    )


def weight(request: Request) -> Response:
    """One weight, its derivatives and its update."""
    step, query = _step(request), request.query_params
    autograd = query.get("autograd") == "1"
    return responses.reply(answers.weight(step, query.get("name", ""), query.get("index", ""), autograd))


def _held(request: Request) -> Held:
    courses: Courses = request.app.state.courses
    return courses.get(request.path_params["key"])


def _step(request: Request) -> Step:
    """The step that is asked for."""
    return _mode(request, _held(request).at(number(request.query_params.get("at", "0"))))


def _mode(request: Request, step: Step) -> Step:
    """A step as in training, or as in evaluation."""
    return _held(request).in_evaluation(step) if request.query_params.get("evaluation") == "1" else step


def _shown(request: Request, step: Step) -> int:
    """Which image of the batch is shown. Raises UnknownError where there is none."""
    n = number(request.query_params.get("n", "0"))
    if n >= len(step.images):
        raise UnknownError(f"The batch has {len(step.images)} images; there is no number {n}.")
    return n


READS = (state, tensors, channel, working, loss, weight)
PAGE = Page(
    title="Step",
    address="/step",
    position=2,
    routes=[
        Route("/step", responses.endpoint(page)),
        Route("/api/step", begin, methods=["POST"]),
        *(Route(f"/api/step/{{key}}/{read.__name__}", responses.endpoint(read, inference=True)) for read in READS),
    ],
)
