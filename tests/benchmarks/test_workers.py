"""The workers' protocol, with a contestant that does well, fails, dies or never answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from benchmarks.cases import Case
from benchmarks.contestants import CONTESTANTS, Contestant
from benchmarks.workers import Worker, WorkerError, workers

from benchmarks import contest

CASE = Case("a small net", "mlp-128-64", 4, steps=5)


def fake(behaviour: str, **more: Any) -> Contestant:
    return Contestant(
        f"the one that is {behaviour}", "tests.benchmarks.fake_contestant", {"behaviour": behaviour}, **more
    )


@pytest.fixture
def start() -> Iterator[Callable[[str], Worker]]:
    started: list[Worker] = []

    def start(behaviour: str) -> Worker:
        started.append(Worker(fake(behaviour)))
        return started[-1]

    yield start
    for worker in started:
        worker.close()


def test_a_worker_prepares_takes_turns_and_does_jobs(start: Callable[[str], Worker]) -> None:
    worker = start("well")
    ready = worker.ask("prepare", case=CASE.described())
    assert ready["parameters"] == CASE.build().parameters
    assert ready["chosen"] == {"behaviour": "well"}
    assert worker.ask("turn", repeats=3) >= 0.03
    assert worker.ask("job", name="add", numbers=[1, 2]) == {"behaviour": "well", "sum": 3}
    worker.close()
    assert not worker.alive


def test_a_case_arrives_as_it_was_sent() -> None:
    case = Case("wide", "vgg-small", 2, (32, 32, 1), 3, {"filters": (1, 2, 4)})
    other = Case.of(case.described())
    assert other.shape == case.shape
    assert list(other.layers) == case.build().to_json()["layers"]
    assert all((a == b).all() for a, b in zip(case.noise(), other.noise(), strict=True))


def test_a_failure_is_told_and_the_worker_lives_on(start: Callable[[str], Worker]) -> None:
    worker = start("fails")
    with pytest.raises(WorkerError, match="that is fails failed at prepare: RuntimeError: no kernel for mlp-128-64"):
        worker.ask("prepare", case=CASE.described())
    with pytest.raises(WorkerError, match="failed at turn: ValueError: A turn comes after prepare"):
        worker.ask("turn", repeats=1)
    with pytest.raises(WorkerError, match="received 'dance'"):
        worker.ask("dance")
    assert worker.alive


def test_a_death_is_told_with_its_last_words(start: Callable[[str], Worker]) -> None:
    worker = start("dies")
    with pytest.raises(WorkerError, match="exit code 3 while it was asked to prepare: out of memory, goodbye"):
        worker.ask("prepare", case=CASE.described())
    with pytest.raises(WorkerError, match="exit code 3"):
        worker.ask("turn", repeats=1)


def test_no_answer_is_an_error_and_the_worker_is_ended(start: Callable[[str], Worker]) -> None:
    worker = start("sleeps")
    with pytest.raises(WorkerError, match="did not answer prepare within"):
        worker.ask("prepare", limit=0.1, case=CASE.described())
    assert not worker.alive


def test_whoever_fails_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: fake(name) for name in ("well", "fails", "dies", "another net")}
    known["absent"] = fake("well", requires=("a_library_that_is_not_there",))
    known["firstlight"] = fake("well")
    monkeypatch.setattr(contest, "CONTESTANTS", known)
    monkeypatch.setattr("benchmarks.workers.CONTESTANTS", known)
    with workers() as found:
        record = contest.measure(CASE, list(known), rounds=2, found=found)
        started = list(found.started.values())
    assert record["turns"].keys() == {"well", "firstlight"}
    assert all(len(turns) == 2 and min(turns) >= 0.002 for turns in record["turns"].values())
    assert record["left_out"]["absent"] == "a_library_that_is_not_there not installed"
    assert "no kernel" in record["left_out"]["fails"]
    assert "goodbye" in record["left_out"]["dies"]
    assert "109,387 parameters" in record["left_out"]["another net"]
    assert not any(worker.alive for worker in started)


def test_firstlight_cannot_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"firstlight": fake("fails")}
    monkeypatch.setattr(contest, "CONTESTANTS", known)
    monkeypatch.setattr("benchmarks.workers.CONTESTANTS", known)
    with workers() as found, pytest.raises(WorkerError, match="no kernel"):
        contest.measure(CASE, ["firstlight"], rounds=1, found=found)


def test_firstlight_takes_part() -> None:
    with closing(Worker(CONTESTANTS["firstlight"])) as worker:
        ready = worker.ask("prepare", case=CASE.described())
        assert ready["parameters"] == 109_386
        assert worker.ask("turn", repeats=1) > 0


def test_what_an_epoch_is_made_of() -> None:
    with closing(Worker(CONTESTANTS["firstlight"])) as worker:
        parts = worker.ask("job", name="parts", source="digits", model="mlp-128-64", batch=4)
    assert parts.keys() == {"ready", "gather", "order"}
    assert all(seconds > 0 for seconds in parts.values())
