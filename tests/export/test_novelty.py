"""How strange an image is leaves with the model, in every format, and what differs in it is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.export.exporting import CLASSES, distances_of, exportable_of, images, task_of, weights_of

from firstlight.errors import ExportError, NoRuntimeError
from firstlight.export import FORMATS, Expected, Exportable
from firstlight.export.c.c_format import C
from firstlight.export.exportable import NONE_OF_THESE, none_of_these
from firstlight.export.gate import STRANGENESS_TOLERANCE, largest_difference
from firstlight.export.inference_graph import NOVELTY, PROBABILITIES, STRANGENESS, Strangeness, operations_of
from firstlight.export.inference_graph import side_by_side as joined
from firstlight.export.reference import values
from firstlight.layers import Chain, Conv2D, Dense, Flatten, GlobalAvgPool2D, Layer, ReLU, SeparableConv2D
from firstlight.models import Model
from firstlight.types import Array, unlabelled

CONV = Conv2D(6, 3, padding="same", name="conv")
LAYERS: dict[str, tuple[Layer, ...]] = {
    "a vector": (CONV, ReLU(), Flatten(), Dense(7, name="hidden"), ReLU(), Dense(CLASSES, name="head")),
    "maps": (CONV, ReLU(), Conv2D(CLASSES, 1, name="head"), GlobalAvgPool2D()),
    "written by what it records": (SeparableConv2D(4, name="sep"), Flatten(), Dense(CLASSES, name="head")),
    "the outputs": (Flatten(), Dense(CLASSES, name="head")),
}
WIDE: tuple[Layer, ...] = (replace(CONV, filters=150), ReLU(), Flatten(), Dense(CLASSES, name="head"))


def model_of(layers: tuple[Layer, ...], seed: int = 0) -> Exportable:
    model = Model("small", Chain(layers), (6, 5, 1), CLASSES)
    task, vector = task_of(model), weights_of(model, seed)
    classes, _ = distances_of(task, vector, images(model.input_shape, 4).pixels)
    usual = exportable_of(task, vector)
    facts = {**usual.facts, NONE_OF_THESE: none_of_these(0.05)}
    return replace(usual, operations=operations_of(task, vector, classes), facts=facts)


def expected_of(model: Exportable, pixels: Array) -> Expected:
    found = {one.output: y for one, y in values(model.operations, pixels)}
    return Expected(unlabelled(pixels), found[PROBABILITIES].T, found[STRANGENESS][0])


def spoilt(model: Exportable) -> Exportable:
    """The same with another threshold."""
    more = 1 + 5 * STRANGENESS_TOLERANCE
    operations = [
        replace(one, W=one.W * more, c=one.c * more) if isinstance(one, Strangeness) else one
        for one in model.operations
    ]
    return replace(model, operations=tuple(operations))


@pytest.mark.slow
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_tells_it_and_another_threshold_is_refused(form: str, layers: str) -> None:
    exported = FORMATS[form]()
    try:
        exported.runtime()
    except NoRuntimeError as error:
        pytest.skip(str(error))
    model = model_of(LAYERS[layers])
    pixels = images(model.input_shape, 12, seed=9).pixels
    expected = expected_of(model, pixels)
    files, _ = exported.verify(model, expected, "here")  # which raises where they differ
    assert NONE_OF_THESE.encode() in b"".join(files.values())
    if layers == "a vector":
        with pytest.raises(ExportError, match=r"of 12 test images .* differ in strangeness"):
            exported.verify(spoilt(model), expected, "here")


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_means_of_maps_whose_vector_would_be_too_wide(form: str) -> None:
    model = model_of(WIDE)
    assert next(one for one in model.operations if isinstance(one, Strangeness)).W.shape[1] == 150
    pixels = images(model.input_shape, 12, seed=9).pixels
    FORMATS[form]().verify(model, expected_of(model, pixels), "here")


@pytest.mark.parametrize("form", FORMATS)
def test_of_nets_side_by_side_it_is_the_mean(form: str) -> None:
    nets = [model_of(LAYERS["a vector"], seed) for seed in range(2)]
    first, second = nets
    both = replace(first, operations=joined([net.operations for net in nets]), nets=(first, second))
    both = replace(
        both, arrays={f"net{n + 1}.{name}": a for n, net in enumerate(nets) for name, a in net.arrays.items()}
    )
    pixels = images(first.input_shape, 12, seed=9).pixels
    expected = expected_of(both, pixels)
    each = [expected_of(net, pixels).answers[:, -1] for net in nets]
    assert expected.strangeness == pytest.approx(np.mean(each, axis=0), rel=1e-6)
    FORMATS[form]().verify(both, expected, "here")


def test_where_one_of_several_nets_cannot_tell_none_does() -> None:
    first, second = (model_of(LAYERS["a vector"], seed) for seed in range(2))
    plain = [one for one in second.operations if one.path != NOVELTY]
    operations = joined([first.operations, plain])
    assert operations[-1].output == PROBABILITIES
    assert not any(isinstance(one, Strangeness) or STRANGENESS in one.output for one in operations)


def test_eight_bits_do_not_tell_it() -> None:
    model = model_of(LAYERS["a vector"])
    pixels = images(model.input_shape, 12, seed=9).pixels
    files, _ = C(int8=True, most_loss=100).verify(model, expected_of(model, pixels), "here")
    [text] = files.values()
    assert b"firstlight_strangeness" not in text
    assert NONE_OF_THESE.encode() not in text


@pytest.mark.parametrize("apart", [2e-3, float("nan"), float("inf")])
def test_the_gate_holds_it_to_the_engines(apart: float) -> None:
    probabilities = np.eye(3, dtype=np.float32)
    expected = Expected(images((2, 2, 1), 3), probabilities, np.array([0.5, 1.0, 40], np.float32))
    found = expected.answers.copy()
    found[2, -1] *= 1 + STRANGENESS_TOLERANCE / 2
    assert largest_difference("table", expected, found) == 0
    found[1, -1] += apart
    with pytest.raises(ExportError, match="of 3 test images 1 differ in strangeness"):
        largest_difference("table", expected, found)
    with pytest.raises(ExportError, match=r"gives .* numbers instead of"):
        largest_difference("table", expected, probabilities)
