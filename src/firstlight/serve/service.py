"""The service: which request is let in, which route answers it, and what a prediction looks like."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
from starlette.datastructures import State
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from firstlight import design_tokens
from firstlight.data.decoding import ImageLimits
from firstlight.errors import brief, nearest
from firstlight.members import NO_NUMBERS
from firstlight.serve import bodies, metrics, openapi
from firstlight.serve.answers import PLAIN_HEADERS, Answer, Header, RefusedError, dumped
from firstlight.serve.batches import Batches
from firstlight.serve.bodies import Bodies, DisconnectedError, Incoming, NamedImage
from firstlight.serve.limits import Limits
from firstlight.serve.served_models import ServedModel
from firstlight.text import listed
from firstlight.types import Array, Json
from firstlight.web.access import HEADERS, from_elsewhere, hostname, same
from firstlight.web.listening import hosts_of

LOG = logging.getLogger("firstlight.serve")
PAGE = Path(__file__).parent / "page"
PREDICT = "/v1/predict"
METRICS = "/metrics"
OTHER = "other"  # what there is not
OF_A_MODEL = ("/v1/models/", "/predict")  # what stands before and behind its name
OPEN = ("/health", "/openapi.json")  # which need no token, as the page does
LOCAL = frozenset(hosts_of("127.0.0.1"))
# What is decoded at once, in a fraction of a millisecond: to hand it to a thread would take as long.
SMALL_BODY = 16_384  # bytes
SMALL_IMAGE = 16_384  # pixels
DECODERS = 4  # threads: a large image needs hundreds of megabytes while it is decoded

Headers = Mapping[bytes, bytes]


class Service:
    """An ASGI application that answers with the probabilities of trained models. `end` follows when it is no longer.

    It is made of a dictionary of routes: through a framework's, an answer for a small image would take a tenth longer.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        *,
        limits: Limits | None = None,
        token: str | None = None,
        hosts: Collection[str] = LOCAL,
    ) -> None:
        """Make the models ready.

        models  the first answers where a request names none and there is only this one
        token   what each request must bring as `Authorization: Bearer TOKEN`, where one is given
        hosts   the names under which it may be asked for without a token: another one is a page's elsewhere on the
                web, that lets it point at this machine; "*" stands for any
        Raises RunError where a run has no weights, or gives no numbers.
        """
        self.limits = limits or Limits()
        self.models = {model.name: model for model in models}
        self.small = replace(self.limits.image, pixels=min(SMALL_IMAGE, self.limits.pixels))
        self.token, self.hosts = token, hosts
        self.state = State()  # as other applications have, for the server
        self.metrics = metrics.Metrics()
        self.bodies = Bodies(self.limits)
        self.batches = Batches(models, most=self.limits.batch, may_wait=self.limits.waiting, note=self.metrics.batch)
        self.decoders = ThreadPoolExecutor(min(DECODERS, os.cpu_count() or 1), "decoder")
        self.fixed = self._fixed()

    def end(self) -> None:
        """Let go of the threads."""
        self.batches.end()
        self.decoders.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; each gets an answer, but one whose asker has gone."""
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        path: str = scope["path"]
        headers, incoming = dict(scope["headers"]), Incoming(receive)
        try:
            answer = await self._answer(scope, headers, path, incoming)
        except RefusedError as refusal:
            answer = refusal.answer()
            if refusal.status != 408 and b"expect" not in headers:
                await incoming.drop()
        except DisconnectedError:
            return
        except Exception:
            LOG.exception("%s", path)
            text = "This is an error in firstlight itself. The terminal in which it serves shows the details."
            answer = Answer(500, dumped({"error": text}))
        self.metrics.request(self._route(path), answer.status, time.perf_counter() - began)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.head()})
        content = b"" if scope["method"] == "HEAD" else answer.content
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Scope, headers: Headers, path: str, receive: Receive) -> Answer:
        self._must_be_let_in(scope, headers, path)
        route = self._route(path)
        if route == OTHER:
            text = f"There is nothing at {brief(path)!r}. / is a page to try the service; /openapi.json describes it."
            raise RefusedError(404, text)
        allowed = ("POST",) if route == PREDICT else ("GET", "HEAD")
        if scope["method"] not in allowed:
            allow = [(b"allow", ", ".join(allowed).encode())]
            raise RefusedError(405, f"{brief(path)} takes {allowed[0]}, not {scope['method']}.", allow)
        if route == PREDICT:
            return await self._predict(self._model(path, scope["query_string"]), headers, receive)
        if route == METRICS:
            return Answer(200, self.metrics.text(self._gauges()), metrics.MEDIA)
        return self.fixed[path]

    def _must_be_let_in(self, scope: Scope, headers: Headers, path: str) -> None:
        """Refuse what comes under another name, from a page elsewhere, or without the token."""
        if self.token is None:
            host = headers.get(b"host", b"").decode("latin-1")
            if "*" not in self.hosts and hostname(host) not in self.hosts:
                names = listed(sorted(self.hosts), "or")
                raise RefusedError(
                    403, f"Without a token, this service answers to {names} only, not to {brief(host)!r}."
                )
            if b"sec-fetch-site" in headers and from_elsewhere(Request(scope), ("/v1/", "/metrics")):
                raise RefusedError(403, "This request came from a page of another site. Open the service's own page.")
        elif path in OPEN or (path in self.fixed and not path.startswith("/v1/")):
            return
        else:
            scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
            if scheme.lower() != "bearer" or not same(token.strip(), self.token):
                what = "a wrong token" if scheme else "no token"
                text = f"The request has {what}. It needs the header Authorization: Bearer TOKEN."
                raise RefusedError(401, text, [(b"www-authenticate", b"Bearer")])

    def _model(self, path: str, query: bytes) -> ServedModel:
        """The model that a request names, in its path or its query, or the only one."""
        asked = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {}
        if path != PREDICT:
            asked.setdefault("model", path.removeprefix(OF_A_MODEL[0]).removesuffix(OF_A_MODEL[1]))
        name = asked.pop("model", None)
        if asked:
            raise RefusedError(400, f"The address has the query {brief(min(asked))!r}; only ?model=NAME is known.")
        if name is None and len(self.models) > 1:
            names = listed([repr(brief(each)) for each in self.models])
            raise RefusedError(400, f"Several models are served, {names}: name one, by {PREDICT}?model=NAME.")
        if name is not None and name not in self.models:
            raise RefusedError(404, f"There is no model {brief(name)!r}. {nearest(name, self.models)}")
        return self.models[name if name is not None else next(iter(self.models))]

    async def _predict(self, model: ServedModel, headers: Headers, receive: Receive) -> Answer:
        body = await self.bodies.received(headers, receive)
        try:
            named, images = await self._prepared(headers.get(b"content-type", b"").decode("latin-1"), body, model)
        finally:
            self.bodies.done(len(body))
        rows = await self.batches.answers(model.name, images)
        if not np.isfinite(rows).all():
            raise RefusedError(422, NO_NUMBERS)
        return Answer(200, dumped({"model": model.name, "predictions": self._predictions(model, named, rows)}))

    async def _prepared(
        self, content_type: str, body: bytes, model: ServedModel
    ) -> tuple[list[NamedImage], list[Array]]:
        """The images of a body, as the model takes them: here where that is soon done, otherwise in a thread."""

        def found(limits: ImageLimits) -> tuple[list[NamedImage], list[Array]]:
            named = bodies.images_of(content_type, body, self.limits)
            return named, bodies.prepared(named, model.preparation, limits)

        if len(body) <= SMALL_BODY:
            try:
                return found(self.small)
            except RefusedError as refusal:
                if refusal.status != 422:
                    raise
        return await asyncio.get_running_loop().run_in_executor(self.decoders, found, self.limits.image)

    def _predictions(self, model: ServedModel, named: Sequence[NamedImage], rows: Array) -> list[Json]:
        """What is told of each image; its classes are counted."""
        found = []
        for image, (*row, strangeness) in zip(named, rows.tolist(), strict=True):
            best = max(range(len(row)), key=row.__getitem__)
            label = model.class_names[best]
            self.metrics.classes[model.name, label] += 1
            told = {"image": image.name} if image.name else {}
            probabilities = dict(zip(model.class_names, row, strict=True))
            novelty = {"none_of_these": strangeness > 1, "strangeness": strangeness} if model.tells_novelty else {}
            found.append({**told, "class": label, "probability": row[best], **novelty, "probabilities": probabilities})
        return found

    def _gauges(self) -> dict[str, tuple[str, float]]:
        return {
            "firstlight_waiting_images": ("Images that wait for a model, or are computed.", self.batches.waiting),
            "firstlight_held_bytes": ("Bytes of bodies that are held.", self.bodies.held),
        }

    def _route(self, path: str) -> str:
        """The route of a path, under which its requests are counted: few, whatever is asked for."""
        if path in self.fixed or path in (PREDICT, METRICS):
            return path
        return PREDICT if path.startswith(OF_A_MODEL[0]) and path.endswith(OF_A_MODEL[1]) else OTHER

    def _fixed(self) -> dict[str, Answer]:
        """The answers that are always the same."""
        about = [model.about() for model in self.models.values()]
        files = {
            "/": ("index.html", b"text/html; charset=utf-8"),
            "/page.css": ("page.css", b"text/css; charset=utf-8"),
            "/page.js": ("page.js", b"text/javascript; charset=utf-8"),
        }
        headers: tuple[Header, ...] = tuple((key.lower().encode(), value.encode()) for key, value in HEADERS.items())
        return {
            "/health": Answer(200, dumped({"status": "ok", "version": version("firstlight")})),
            "/v1/models": Answer(200, dumped({"models": about})),
            "/openapi.json": Answer(200, dumped(openapi.document(self.limits, locked=self.token is not None))),
            "/palette.css": Answer(200, design_tokens.css().encode(), b"text/css; charset=utf-8", PLAIN_HEADERS),
            **{path: Answer(200, (PAGE / name).read_bytes(), media, headers) for path, (name, media) in files.items()},
        }
