"""What a recipe may ask for beside the usual: a whitened first convolution, and mirror images at test time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import firstlight as fl
from firstlight.errors import ExperimentError, FirstlightError
from firstlight.experiments import Experiment, set_up
from firstlight.experiments.whitening import first_convolution, prepared
from firstlight.models import build
from firstlight.records.codec import encode
from firstlight.report.sections import summary
from firstlight.weights import bytes_of_run, from_bytes

NET = [
    {"type": "Conv2D", "filters": 10, "kernel": 2, "name": "conv1"},
    {"type": "ReLU"},
    {"type": "MaxPool2D", "size": 2},
    {"type": "Flatten"},
    {"type": "Dense", "units": 10, "name": "head"},
]
TABLES: dict[str, Any] = {
    "data": {"source": "digits", "limit": 200},
    "prepare": {"standardise": "channel"},
    "model": {"layers": NET},
    "training": {"epochs": 1, "batch_size": 50},
}


def asked(**changes: Any) -> Experiment:
    return Experiment.of({**TABLES, **changes}, "a test")


def test_the_first_convolution_starts_as_a_whitening_and_the_rest_as_drawn() -> None:
    setup = set_up(asked(weights={"whiten": True}))
    assert setup.start is not None
    layout = setup.model.layout
    started, drawn = layout.named(setup.start.vector), layout.named(layout.initial(0))
    for name, array in drawn.items():
        if name != "conv1.W":
            np.testing.assert_array_equal(started[name], array)
    W = started["conv1.W"].reshape(10, -1)
    np.testing.assert_array_equal(W[4:8], -W[:4])
    np.testing.assert_array_equal(W[8:], drawn["conv1.W"].reshape(10, -1)[8:])  # four pixels: eight filters
    x = prepared(setup.task.preparation, setup.train.pixels)
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(2, 3)).reshape(-1, 4)
    covariance = np.cov((windows @ W[:4].T).T, bias=True) + np.outer(*[(windows @ W[:4].T).mean(axis=0)] * 2)
    np.testing.assert_allclose(covariance, np.eye(4), atol=0.02)  # but for what ε holds back
    assert setup.start.record is None
    assert "8 of 10 filters of conv1" in " ".join(setup.warnings())


def test_without_it_weights_start_as_ever() -> None:
    assert set_up(asked()).start is None


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_frozen_filters_stay_as_they_started(engine: str, tmp_path: Path) -> None:
    tables = {**TABLES, "engine": engine, "weights": {"whiten": True, "freeze": ["conv1.W"]}}
    run = fl.run(tables, out=tmp_path / engine)
    start = set_up(Experiment.of(tables, "a test")).start
    assert start is not None
    ended, started = from_bytes(bytes_of_run(run.folder), ""), run.task.model.layout.named(start.vector)
    np.testing.assert_array_equal(ended["conv1.W"], started["conv1.W"])
    assert not np.array_equal(ended["conv1.b"], started["conv1.b"])


def test_what_cannot_be_whitened_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"two-layer does not begin with a convolution"):
        set_up(asked(model={"name": "two-layer"}, weights={"whiten": True}))
    with pytest.raises(FirstlightError, match="leave one out"):
        asked(weights={"whiten": True, "init_from": "imagenet"})
    assert first_convolution(build("resnet20", (32, 32, 3), 10)) == "conv1"
    with pytest.raises(ExperimentError):
        first_convolution(build("mlp-128", (28, 28, 1), 10))


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_mirror_images_are_measured_beside_the_plain_ones(engine: str, tmp_path: Path) -> None:
    plain = fl.run({**TABLES, "engine": engine}, out=tmp_path / "plain")
    both = fl.run(
        {**TABLES, "engine": engine, "training": {**TABLES["training"], "test_flip": True}}, out=tmp_path / "b"
    )
    assert plain.folder.result.test_flipped_accuracy is None
    assert "flipped" not in str(encode(plain.folder.result))
    assert both.folder.result.test.accuracy == plain.folder.result.test.accuracy
    for split, told in (("validation", "validation_flipped_accuracy"), ("test", "test_flipped_accuracy")):
        found = both.predictions[split]
        mirrored = both.predict(np.ascontiguousarray(both.images[split].pixels[:, :, ::-1]))
        right = (found.probabilities + mirrored).argmax(axis=1) == found.labels
        assert getattr(both.folder.result, told) == pytest.approx(right.mean())
    rows = [[name for name, _ in summary.numbers(group_of(run)).results] for run in (plain, both)]
    assert [name for name in rows[1] if name not in rows[0]] == [
        "Validation accuracy with mirror images",
        "Test accuracy with mirror images",
    ]


def group_of(run: Any) -> Any:
    from firstlight.records.group import of_runs
    from firstlight.records.run import read

    return of_runs([read(run.folder)])[0]
