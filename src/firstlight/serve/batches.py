"""Images that wait are computed together: a queue for each model, and one thread for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

from firstlight.serve.answers import busy
from firstlight.serve.served_models import ServedModel
from firstlight.types import Array

FEW = 12  # requests of a turn of the event loop, or fewer, are answered at once by a swift model


@dataclass(frozen=True)
class _Waiting:
    """The images of one request, by when it came, and who waits for them."""

    number: int
    images: Sequence[Array]
    answer: asyncio.Future[Array]


class Batches:
    """Takes what waits for a model, up to `most` images, while the thread is free; nothing waits for more to come.

    While a batch is computed, requests gather, so that batches grow with the load by themselves. Everything but the
    computing happens in the event loop, and needs no lock.

    Swift models are computed in the event loop itself: to hand a small net to a thread and back takes about as long as
    the net, and a batch of it holds up the loop less than the requests that it answers do. Few requests of a turn
    of the loop are then answered one after another, as they come. Where more come at once, as the turn before tells,
    they are a batch, which takes less of all together, but each of them waits for it.
    """

    def __init__(
        self, models: Sequence[ServedModel], *, most: int, may_wait: int, note: Callable[[str, int], None]
    ) -> None:
        """Of so many images a batch, where so many may wait; `note` is called with the model and size of each batch."""
        self.most, self.may_wait, self.note = most, may_wait, note
        self.waiting = 0
        self._thread = ThreadPoolExecutor(1, "model")
        self._models = {model.name: model.warmed() for model in models}
        self._in_loop = all(model.swift for model in self._models.values())
        self._queues: dict[str, deque[_Waiting]] = {model.name: deque() for model in models}
        self._numbers = count()
        self._taken = False  # whether a batch is computed, or about to be
        self._came, self._came_before = 0, 0  # requests in this turn of the loop, and in the one before

    async def answers(self, name: str, images: Sequence[Array]) -> Array:
        """What a model says of prepared images, see `ServedModel.answers`. Raises RefusedError where too many wait."""
        if self.waiting and self.waiting + len(images) > self.may_wait:
            raise busy(f"Too many images are waiting already: {self.waiting:,} of at most {self.may_wait:,}.")
        loop = asyncio.get_running_loop()
        if not self._came:
            loop.call_soon(self._next_turn)
        self._came += 1
        if self._in_loop and max(self._came, self._came_before) <= FEW and not self.waiting:
            self.note(name, len(images))
            return self._models[name].answers(images)
        asked = _Waiting(next(self._numbers), images, loop.create_future())
        self._queues[name].append(asked)
        self.waiting += len(images)
        if not self._taken:
            self._taken = True
            loop.call_soon(self._compute, loop)  # soon: the requests that came with this one come along
        return await asked.answer

    def _next_turn(self) -> None:
        self._came, self._came_before = 0, self._came

    def end(self) -> None:
        """Let go of the thread, when nothing waits any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _compute(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the thread the next batch, of the model whose images have waited longest."""
        name = min((queue[0].number, name) for name, queue in self._queues.items() if queue)[1]
        batch = self._next(self._queues[name])
        images = [image for asked in batch for image in asked.images]
        self.note(name, len(images))

        def done(computed: asyncio.Future[Array]) -> None:
            self.waiting -= len(images)
            _answer(batch, computed)
            self._taken = any(self._queues.values())
            if self._taken:
                loop.call_soon(self._compute, loop)

        compute = self._models[name].answers
        if self._in_loop:
            done(_computed(loop, compute, images))
        else:
            loop.run_in_executor(self._thread, compute, images).add_done_callback(done)

    def _next(self, queue: deque[_Waiting]) -> list[_Waiting]:
        """What waits in a queue, whole requests, up to `most` images; one request may bring more by itself."""
        batch = [queue.popleft()]
        size = len(batch[0].images)
        while queue and (size := size + len(queue[0].images)) <= self.most:
            batch.append(queue.popleft())
        return batch


def _computed(
    loop: asyncio.AbstractEventLoop, compute: Callable[[Sequence[Array]], Array], images: Sequence[Array]
) -> asyncio.Future[Array]:
    """What a thread would have computed, here."""
    computed: asyncio.Future[Array] = loop.create_future()
    try:
        computed.set_result(compute(images))
    except Exception as error:
        computed.set_exception(error)
    return computed


def _answer(batch: Sequence[_Waiting], computed: asyncio.Future[Array]) -> None:
    """Give each of a batch its rows, or what went wrong."""
    at = 0
    for asked in batch:
        rows = slice(at, at + len(asked.images))
        at = rows.stop
        if asked.answer.done():  # given up
            continue
        if computed.cancelled():
            asked.answer.cancel()
        elif error := computed.exception():
            asked.answer.set_exception(error)
        else:
            asked.answer.set_result(computed.result()[rows])
