"""A run on images that are mapped is the run on images in memory, to the last bit, and never holds them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import firstlight as fl
from firstlight import experiments, memory
from firstlight.data import store
from firstlight.experiments import Experiment
from firstlight.pixels import is_mapped
from firstlight.progress import Watcher
from firstlight.types import Array

LIMIT = "30 kB"  # the digits are 115 kB


@pytest.fixture(autouse=True)
def _small_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "user_cache", lambda: tmp_path / "cache")
    monkeypatch.setenv(memory.VARIABLE, LIMIT)


def _trained(tables: dict[str, Any]) -> tuple[experiments.Setup, Array]:
    setup = experiments.set_up(Experiment.of(tables), look=False)
    return setup, experiments.learn(setup, Watcher()).vector


@pytest.mark.parametrize(
    ("engine", "more"),
    [
        ("numpy", {}),
        ("numpy", {"augment": {"shift": 1, "noise": 0.1}, "data": {"near_copies": "group"}}),
        ("numpy", {"prepare": {"standardise": "imagenet"}, "data": {"folds": 3, "fold": 2}}),
        ("torch", {"prepare": {"standardise": "pixel"}}),
        ("torch", {"augment": {"shift": 1}, "data": {"classes": ["1", "2", "7"]}}),
    ],
)
def test_the_same_weights(engine: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {
        **more,
        "engine": engine,
        "data": {"source": "digits", **more.get("data", {})},
        "model": {"name": "mlp-128"},
        "training": {"epochs": 1},
    }
    mapped, ours = _trained(tables)
    assert all(is_mapped(images.pixels) for images in mapped.splits.values())
    monkeypatch.setenv(memory.VARIABLE, "1 GB")
    held, theirs = _trained(tables)
    assert not is_mapped(held.train.pixels)
    assert mapped.data_record() == held.data_record()
    assert np.array_equal(ours, theirs)


@pytest.mark.slow  # it looks into every layer
def test_everything_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"augment.shift": 1, "data.limit": 900}
    quiet = Console(quiet=True)
    mapped = fl.fit("mlp-128", "digits", epochs=1, settings=settings, out=tmp_path / "mapped", console=quiet)
    images = fl.load("digits").splits["train"]
    assert is_mapped(images.pixels)
    found = mapped.predict(images)
    assert np.array_equal(found[:50], mapped.predict(images.pixels[:50]))
    assert mapped.measure().evaluation.to_json() == mapped.folder.result.test.evaluation.to_json()
    assert len(mapped.strangeness(images)) == len(images)
    mapped.explain(method="pca", points=100)
    assert mapped.report().stat().st_size > 10_000
    monkeypatch.setenv(memory.VARIABLE, "1 GB")
    assert np.array_equal(found, mapped.predict(fl.load("digits").splits["train"]))
