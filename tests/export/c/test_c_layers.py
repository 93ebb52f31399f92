"""Every layer's examples as C: compiled strictly, clean under the sanitizers, and equal to the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.export.c.compiling import answers
from tests.export.exporting import CLASSES, exportable_of, images, nets, task_of, weights_of

from firstlight import losses
from firstlight.errors import ExportError
from firstlight.export.c import C
from firstlight.export.c.calls import Calls
from firstlight.export.c.source import Source
from firstlight.export.inference_graph import Operation
from firstlight.export.reference import values
from firstlight.layers import (
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    ReLU,
    Reshape,
    Residual,
)
from firstlight.models import Model
from firstlight.types import Array

pytestmark = pytest.mark.usefixtures("c_compiler")

COLOUR = Model("colour", Chain((Flatten(), Dense(CLASSES))), (5, 4, 3), CLASSES)
NETS = {name: (model, task_of(model)) for name, model in nets()}
NETS |= {
    f"standardise-{kind}": (COLOUR, task_of(COLOUR, standardise=kind))
    for kind in ("none", "pixel", "channel", "image", "imagenet")
}
OTHERS = {  # the first three end in operations of vectors, which stay in float32
    "pooled": (Conv2D(CLASSES, 3), ReLU(), GlobalAvgPool2D()),
    "normed": (Flatten(), Dense(CLASSES), ReLU(), BatchNorm()),
    "added": (Flatten(), Dense(CLASSES), ReLU(), Residual(Dense(CLASSES))),
    "whole": (Conv2D(2, 4), Flatten(), Dense(CLASSES)),
    "whole, but moved": (Conv2D(2, 4, stride=4, padding=1), Flatten(), Dense(CLASSES)),
    "read twice": (
        Conv2D(2, 3),
        Residual(Chain((ReLU(), Conv2D(2, 3, padding=1, stride=2))), Chain((MaxPool2D(2), Reshape((2, 1, 1))))),
        *(Flatten(), Dense(CLASSES)),
    ),
}
for name, end in OTHERS.items():
    model = Model(name, Chain(end), (4, 4, 1), CLASSES)
    NETS[name] = (model, task_of(model))
NETS["estimates"] = (COLOUR, task_of(COLOUR, losses.MeanSquaredError()))
REFUSED = [
    name for name in NETS if name.partition("-")[0] in ("DepthwiseConv2D", "SeparableConv2D", "GroupNorm", "LayerNorm")
]
LEAVING = {name: exportable_of(task, weights_of(model)) for name, (model, task) in NETS.items()}
PIXELS = {name: images(model.input_shape, 6, seed=2).pixels for name, (model, _) in NETS.items()}
PIXELS["standardise-image"] = np.concatenate([PIXELS["standardise-image"], np.full((1, 5, 4, 3), 7, np.uint8)])

Said = dict[str, tuple[Array, Array]]


def said_by_c(folder: Path, nets: Mapping[str, Sequence[Operation]]) -> Said:
    """Probabilities and logits."""
    sources = {
        name: Source(LEAVING[name], operations, "Verified.", {"numbers": ""}).text().encode()
        for name, operations in nets.items()
    }
    logits = {name: Calls(operations).place(operations[-1].inputs[0]) for name, operations in nets.items()}
    return answers(folder, sources, PIXELS, CLASSES, logits)


def by_numpy(operations: Sequence[Operation], pixels: Array) -> tuple[Array, Array]:
    found = {one.output: y.T for one, y in values(operations, pixels)}
    return found[operations[-1].output], found[operations[-1].inputs[0]]


# One test for all nets, as they are compiled and linked at once.


@pytest.mark.slow
def test_every_layer_in_c_gives_what_the_reference_gives(tmp_path: Path) -> None:
    said = said_by_c(tmp_path, {name: C().operations(model) for name, model in LEAVING.items()})
    expected = {name: by_numpy(model.operations, PIXELS[name])[0] for name, model in LEAVING.items()}
    assert {name: np.abs(said[name][0] - expected[name]).max() for name in NETS} == pytest.approx(
        dict.fromkeys(NETS, 0), abs=1e-5
    )


@pytest.mark.slow
def test_every_layer_in_int8_is_bit_by_bit_its_arithmetic_in_numpy_and_near_float32(tmp_path: Path) -> None:
    quantized = {name: C(int8=True).quantized(LEAVING[name])[0] for name in LEAVING if name not in REFUSED}
    said = said_by_c(tmp_path, quantized)
    apart, far = [], []
    for name, operations in quantized.items():
        probabilities, logits = by_numpy(operations, PIXELS[name])
        if not (said[name][1] == logits).all() or np.abs(said[name][0] - probabilities).max() > 1e-6:
            apart.append(name)
        calibrated = LEAVING[name].training().pixels
        _, wanted = by_numpy(LEAVING[name].operations, calibrated)
        _, found = by_numpy(operations, calibrated)
        if np.abs(found - wanted).max() > 0.05 * np.ptp(wanted):
            far.append(name)
    assert (apart, far) == ([], [])


@pytest.mark.parametrize("name", REFUSED)
def test_what_int8_does_not_have_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(ExportError, match=r"int8 has no .* within a net, as .*float32"):
        C(int8=True).quantized(LEAVING[name])


def test_another_rounding_is_seen_in_the_bits(tmp_path: Path) -> None:
    name = "Conv2D-0"
    operations = C(int8=True).quantized(LEAVING[name])[0]
    source = Source(LEAVING[name], operations, "Verified.", {"numbers": ""}).text()
    down = source.replace("(product + half) >> shift", "product >> shift")
    assert down != source
    place = Calls(operations).place(operations[-1].inputs[0])
    said = answers(tmp_path, {name: down.encode()}, PIXELS, CLASSES, {name: place})
    assert (said[name][1] != by_numpy(operations, PIXELS[name])[1]).any()
