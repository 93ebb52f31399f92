"""Nets that answer together leave as one graph: side by side, each with its own preparation, and the mean of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from tests.export.exporting import exportable_of, images, weights_of

from firstlight import losses, optimizers
from firstlight.engines import Task
from firstlight.errors import ExportError, NoRuntimeError
from firstlight.export import FORMATS, Expected, Exportable, exportable_ensemble
from firstlight.export.c import C
from firstlight.export.inference_graph import Mean, Prepare, prefix
from firstlight.export.reference import values
from firstlight.layers import BatchNorm, Chain, Conv2D, Dense, Flatten, ReLU, Residual
from firstlight.models import Model
from firstlight.prepare import Preparation
from firstlight.types import Array, unlabelled

CHAIN = Chain(
    (
        Conv2D(3, 3, padding="same", name="conv"),
        BatchNorm(name="norm"),
        Residual(Chain((Conv2D(3, 1, name="inner"), ReLU())), name="block"),
        Flatten(),
        Dense(4, name="head"),
    )
)
MODEL = Model("small", CHAIN, (5, 4, 1), 4)


@dataclass(frozen=True)
class Folder:
    """What an export asks of the folder of a group."""

    name: str = "small"
    weights: str = "0" * 64
    path: Path = Path()


def net(seed: int, kind: str = "pixel", loss: losses.Loss | None = None) -> Exportable:
    fitted = Preparation.fit(images(MODEL.input_shape, 9, seed=seed), standardise=kind)  # type: ignore[arg-type]
    task = Task(MODEL, loss or losses.CrossEntropy(), fitted, optimizers.SGD())
    return replace(exportable_of(task, weights_of(MODEL, seed)), name=f"seed-{seed}")


def together(*nets: Exportable) -> Exportable:
    return exportable_ensemble(Folder(), nets, None)  # type: ignore[arg-type]


def answers(model: Exportable, pixels: Array) -> Array:
    *_, (_, y) = values(model.operations, pixels)
    return y.T


@pytest.mark.parametrize(("kind", "preparations"), [("pixel", 3), ("none", 1), ("image", 1)])
def test_it_is_the_mean_of_what_each_net_gives(kind: str, preparations: int) -> None:
    nets = [net(seed, kind) for seed in range(3)]
    pixels = images(MODEL.input_shape, 20, seed=9).pixels
    model = together(*nets)
    np.testing.assert_allclose(
        answers(model, pixels), np.mean([answers(one, pixels) for one in nets], axis=0), atol=1e-6
    )
    assert sum(isinstance(one, Prepare) for one in model.operations) == preparations
    assert isinstance(model.operations[-1], Mean)
    given = [one.output for one in model.operations]
    assert len(set(given)) == len(given)
    assert set(model.arrays) == {f"{prefix(number)}{name}" for number in range(3) for name in nets[0].arrays}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "loss"),
    [("pixel", losses.CrossEntropy()), ("none", losses.MeanSquaredError())],
    ids=["own preparations", "estimates"],
)
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_holds_it(form: str, kind: str, loss: losses.Loss) -> None:
    exported = FORMATS[form]()
    try:
        exported.runtime()
    except NoRuntimeError as error:
        pytest.skip(str(error))
    model = together(*(net(seed, kind, loss) for seed in range(3)))
    pixels = images(MODEL.input_shape, 12, seed=9).pixels
    expected = Expected(unlabelled(pixels), answers(model, pixels))
    exported.verify(model, expected, "here")  # which raises where they differ


@pytest.mark.parametrize("form", ["onnx", "c"])
def test_another_net_among_them_is_noticed(form: str) -> None:
    pixels = images(MODEL.input_shape, 12, seed=9).pixels
    expected = Expected(unlabelled(pixels), answers(together(net(0), net(1)), pixels))
    with pytest.raises(ExportError, match="does not agree"):
        FORMATS[form]().verify(together(net(0), net(2)), expected, "here")


def test_int8_is_refused_in_a_sentence() -> None:
    with pytest.raises(ExportError, match=r"calibrated for a single net, and small is the mean of 2\. .*seed-0"):
        C(int8=True).write(together(net(0), net(1)), "")


def test_what_it_is_made_of_is_said() -> None:
    model = together(net(0), net(1))
    assert model.facts["nets"] == "2: seed-0, seed-1; their probabilities are averaged"
    assert "test accuracy" not in model.facts  # that of a single net is not the ensemble's
    assert model.title == "small (mean of 2 nets)"
