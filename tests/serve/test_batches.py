"""Images that wait are computed together, in turn, and each asker gets its own rows."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pytest

from firstlight.serve.answers import RefusedError
from firstlight.serve.batches import FEW, Batches
from firstlight.serve.served_models import ServedModel
from firstlight.types import Array

T = TypeVar("T")


@dataclass
class Model:
    """Stands for a `ServedModel`: the "probabilities" of an image are the image."""

    name: str
    swift: bool
    asked: list[int] = field(default_factory=list)

    def warmed(self) -> Model:
        return self

    def answers(self, images: Sequence[Array]) -> Array:
        self.asked.append(len(images))
        if any((image < 0).any() for image in images):
            raise ValueError("negative")
        return np.stack(images)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it gives, as by asyncio.run, in a thread of its own: in this one, playwright's loop may be under way."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def ask(models: list[Model], requests: list[tuple[str, list[int]]], **options: Any) -> tuple[list[Any], list[Any]]:
    """What all requests get, which come in one turn of the loop; and the batches."""
    noted: list[tuple[str, int]] = []
    given: list[ServedModel] = models  # type: ignore[assignment]
    batches = Batches(given, **{"most": 4, "may_wait": 100, "note": lambda *one: noted.append(one), **options})

    async def all_of_them() -> list[Any]:
        asked = (batches.answers(name, [np.array([n]) for n in numbers]) for name, numbers in requests)
        return await asyncio.gather(*asked, return_exceptions=True)

    found = run(all_of_them())
    batches.end()
    assert batches.waiting == 0
    return found, noted


@pytest.mark.parametrize("swift", [True, False])
def test_what_comes_at_once_is_computed_at_once(swift: bool) -> None:
    requests = [("a", [1]), ("a", [2, 3]), ("a", [4]), ("a", [5]), ("a", [6, 7, 8, 9, 10, 11]), ("a", [12])]
    found, noted = ask([Model("a", swift)], requests)
    assert [rows.ravel().tolist() for rows in found] == [numbers for _, numbers in requests]
    if swift:  # the first of them one by one
        assert noted == [("a", 1), ("a", 2), ("a", 1), ("a", 1), ("a", 6), ("a", 1)]
    else:
        assert noted == [("a", 4), ("a", 1), ("a", 6), ("a", 1)]  # whole requests, in the order in which they came


@pytest.mark.parametrize("swift", [True, False])
def test_models_take_turns(swift: bool) -> None:
    models = [Model("a", swift), Model("b", not swift)]
    found, noted = ask(models, [("a", [1, 2, 3]), ("b", [4]), ("a", [5, 6]), ("b", [7])])
    assert [rows.ravel().tolist() for rows in found] == [[1, 2, 3], [4], [5, 6], [7]]
    assert noted == [("a", 3), ("b", 2), ("a", 2)]


@pytest.mark.parametrize("swift", [True, False])
def test_what_goes_wrong_is_told_to_that_batch_alone(swift: bool) -> None:
    found, _ = ask([Model("a", swift)], [("a", [1]), ("a", [-1]), ("a", [2, 3, 4])])
    assert isinstance(found[0], ValueError) != swift, "a swift model has answered the first before"
    assert isinstance(found[1], ValueError)
    assert found[2].ravel().tolist() == [2, 3, 4]


def test_the_turn_before_tells_how_many_come_at_once() -> None:
    """A swift model answers the first requests alone, and all of a turn together after one of many."""
    noted: list[int] = []
    batches = Batches([Model("a", True)], most=99, may_wait=99, note=lambda _, n: noted.append(n))  # type: ignore[list-item]

    async def turns() -> None:
        for requests in (FEW + 3, FEW + 2, 2, 2):
            await asyncio.gather(*(batches.answers("a", [np.array([n])]) for n in range(requests)))
            await asyncio.sleep(0)

    run(turns())
    batches.end()
    assert noted == [1] * FEW + [3, FEW + 2, 2, 1, 1]


def test_beyond_what_may_wait_a_request_is_refused() -> None:
    found, noted = ask([Model("a", False)], [("a", [1, 2]), ("a", [3, 4]), ("a", [5])], may_wait=3)
    assert isinstance(found[1], RefusedError)
    assert found[1].status == 429
    assert found[2].ravel().tolist() == [5]
    assert noted == [("a", 3)]
    alone, _ = ask([Model("a", True)], [("a", [1, 2, 3, 4, 5])], may_wait=3)
    assert len(alone[0]) == 5, "one request by itself is always taken"


def test_one_who_gives_up_does_not_keep_the_others_from_their_answer() -> None:
    batches = Batches([Model("a", False)], most=4, may_wait=9, note=lambda *_: None)  # type: ignore[list-item]

    async def some() -> list[int]:
        first = asyncio.ensure_future(batches.answers("a", [np.array([1])]))
        second = asyncio.ensure_future(batches.answers("a", [np.array([2])]))
        await asyncio.sleep(0)
        first.cancel()
        return (await second).ravel().tolist()

    assert run(some()) == [2]
    batches.end()
    assert batches.waiting == 0
