"""What a run will take is told before it starts, and measuring it changes no bit of what it learns."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import firstlight as fl
from firstlight import experiments
from firstlight.experiments import Experiment, estimate
from firstlight.records.estimate import Estimate, Estimated
from firstlight.text import bytes_said, duration
from firstlight.types import Array, Dataset

NET = [
    {"type": "Flatten"},
    {"type": "Dense", "units": 16},
    {"type": "BatchNorm"},
    {"type": "Dropout", "rate": 0.2},
    {"type": "Dense", "units": 10},
    {"type": "Softmax"},
]


def _setup(images: Dataset, engine: str, **more: Any) -> experiments.Setup:
    tables = {
        "engine": engine,
        "data": {"source": "in memory"},
        "model": {
            "name": "small",
            "layers": [{"type": "Flatten"}, *NET, {"type": "Dense", "units": 10}, {"type": "Softmax"}],
        },
        "training": {"epochs": 2, "batch_size": 30},
        **more,
    }
    return experiments.set_up(Experiment.of(tables), images, look=False)


@pytest.mark.parametrize(
    ("engine", "more"),
    [
        ("numpy", {"augment": {"shift": 1, "noise": 0.1}}),
        ("numpy", {"optimizer": {"name": "rmsprop"}, "kernels": "reference"}),
        ("torch", {"exact_noise": False}),
    ],
)
def test_it_leaves_no_trace(few_digits: Dataset, engine: str, more: dict[str, Any]) -> None:
    setup = _setup(few_digits, engine, **more)
    vectors: list[Array] = []
    described: dict[str, Any] | None = None
    for measured in (False, True):
        session = setup.engine.session(setup.task, setup.train)
        session.warm_up(30, 2, described)
        described = session.describe()
        before = session.vector(), session.state()
        if measured:
            found = estimate.estimate(setup, session)
            assert found is not None
            assert 0 < found.seconds < 600
            after = session.vector(), session.state()
            assert np.array_equal(before[0], after[0])
            assert {name: array.tolist() for name, array in before[1].items()} == {
                name: array.tolist() for name, array in after[1].items()
            }
        rates = np.full(9, 0.01)
        for epoch in range(2):
            steps = setup.task.order(setup.train, epoch, 30)
            session.train_epoch(epoch, 30, rates[: -(-len(steps) // 30)], lambda images, mean: None)
        vectors.append(session.vector())
    assert np.array_equal(vectors[0], vectors[1])


def test_it_grows_with_the_epochs(few_digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = _setup(few_digits, "numpy")
    session = setup.engine.session(setup.task, setup.train)
    session.warm_up(30, 2)
    monkeypatch.setattr(estimate, "_step_seconds", lambda *given: 2.0)
    monkeypatch.setattr(estimate, "_image_seconds", lambda *given: 0.5)
    whole, rest = (estimate.estimate(setup, session, done) for done in (0, 1))
    assert whole is not None
    assert rest is not None
    steps, judged = -(-len(setup.train) // 30), {name: len(setup.splits[name]) for name in ("validation", "test")}
    epoch = 2.0 * steps + 0.5 * judged["validation"]
    assert whole.seconds - rest.seconds == pytest.approx(epoch, abs=0.1)
    last = 0.5 * (2 * sum(judged.values()) + len(setup.train))
    assert rest.seconds - epoch == pytest.approx(last, abs=0.1)


def test_a_loss_that_is_no_number_is_left_to_the_training(few_digits: Dataset) -> None:
    setup = _setup(few_digits, "numpy")
    session = setup.engine.session(setup.task, setup.train)
    broken = np.full_like(session.vector(), np.nan)
    session.restore(broken)
    assert estimate.estimate(setup, session) is None
    assert np.isnan(session.vector()).all()


def test_it_is_told_recorded_and_compared(few_digits: Dataset, tmp_path: Path) -> None:
    said = StringIO()
    run = fl.fit(
        "softmax-regression", few_digits, epochs=1, out=tmp_path / "run", console=Console(file=said, width=200)
    )
    assert said.getvalue().count("About ") == 1
    before, result = run.folder.environment.estimate, run.folder.result
    assert before is not None
    assert result.estimate is not None
    assert result.estimate.told == before
    assert result.estimate.whole
    assert 0 < result.estimate.took.seconds < 600
    assert f"About {duration(before.seconds)} on this machine for an epoch and the evaluation" in said.getvalue()
    assert result.estimate.said() in run.report().read_text().replace("\u2009", " ")


def test_the_command_tells_what_came_out(firstlight: Callable[..., Any], tmp_path: Path) -> None:
    answer = firstlight(
        "run", "--data", "digits", "--model", "softmax-regression", "--epochs", 1, "--out", tmp_path / "run"
    )
    assert answer.code == 0
    assert "Training and evaluation took " in answer.out
    assert "(estimated: " in answer.out


def test_said() -> None:
    one = Estimated(told=Estimate(seconds=40, memory=400_000_000), took=Estimate(seconds=43.2, memory=380_000_000))
    assert one.said() == "took 43 s (estimated: 40 s), 380 MB of memory (estimated: 400 MB)"
    assert Estimated(told=Estimate(seconds=0.2), took=Estimate(seconds=3)).said() == "took 3.0 s (estimated: 1 s)"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "1 s"), (2.34, "2.3 s"), (40.4, "40 s"), (99.6, "100 s"), (100, "1.7 min"), (5999, "100 min"), (6000, "1.7 h"),
     (172_799, "48 h"), (172_800, "2.0 days")],
)  # fmt: skip
def test_a_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(("number", "said"), [(1, "10 MB"), (123e6, "120 MB"), (999e6, "1000 MB"), (1.26e9, "1.3 GB")])
def test_bytes(number: float, said: str) -> None:
    assert bytes_said(number) == said
