"""The structure of a picture is that of the net: every layer once, every connection as the engine has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.diagram.nets import inception, nested, own, small

from firstlight.diagram import Block, Join, Repeat, description, structure
from firstlight.diagram.structure import Item, blocks_of, folded, span
from firstlight.kernels import reference
from firstlight.layers import Chain, Concat, Container, Layer, Pass, Residual, join
from firstlight.models import ARCHITECTURES, Model, build, default_shape
from firstlight.records.model import LayerRecord
from firstlight.types import Array


def layers_of(layer: Layer, path: str = "") -> dict[str, Layer]:
    children = layer.named() if isinstance(layer, Container) else ()
    return {path: layer} | {p: one for n, child in children for p, one in layers_of(child, join(path, n)).items()}


def repeats(items: tuple[Item, ...]) -> list[tuple[int, int]]:
    return [(item.count, len(item.items)) for item in items if isinstance(item, Repeat)]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_layer_has_one_place_in_the_order_of_the_data(name: str) -> None:
    rows = build(name, *default_shape(name)).summary()
    assert [block.layers for block in blocks_of(*structure(rows, fold=False))] == [(row,) for row in rows]
    shown = [row.name for block in blocks_of(*structure(rows)) for row in block.layers]
    assert sorted(shown) == sorted(row.name for row in rows)


@pytest.mark.parametrize("model", [m for name, m in small().items() if name != "own"], ids=lambda model: model.name)
def test_what_a_layer_reads_is_what_the_engine_gives_it(model: Model) -> None:
    draw = np.random.default_rng(0)
    weights = model.layout.tree(model.layout.initial(0, np.float64))
    x = draw.normal(size=(*model.channels_first, 2))
    values: dict[str, Array] = {"": x}

    def watch(path: str, y: Array, backward: Any) -> Any:
        values[path] = y
        return y, backward

    kernels: Any = reference
    run = Pass(kernels, watch=watch)
    model.layers.forward(weights, x, run)
    found = layers_of(model.layers)
    for row in model.summary():
        read, layer = [values[source] for source in row.inputs], found[row.name]
        if isinstance(layer, Residual):
            expected = read[0] + read[1]
        elif isinstance(layer, Concat):
            expected = np.concatenate(read)
        else:
            p: Any = weights
            for part in row.name.split("."):
                p = p.get(part, {})
            expected, _ = layer.forward(p, read[0], Pass(kernels, path=row.name))
        np.testing.assert_array_equal(values[row.name], expected, err_msg=row.name)


def test_containers_of_ones_own_are_drawn_with_what_they_hold() -> None:
    conv, squeeze, _, both, _ = structure(own().summary())
    assert isinstance(conv, Block)
    assert isinstance(squeeze, Join)
    gate, itself = squeeze.branches
    assert [block.layer.type for block in blocks_of(*gate)] == ["Conv2D", "ReLU", "Conv2D"]
    assert itself == (), "it works with its own input too"
    assert isinstance(both, Join)
    [inside] = both.branches
    assert [block.label for block in blocks_of(*inside)] == ["first", "second"]


def test_branches_lie_in_branches() -> None:
    deep, twice, doubled, *_ = structure(nested().summary())
    assert isinstance(deep, Join)
    assert [len(branch) for branch in deep.branches] == [0, 1, 3, 1]
    assert isinstance(twice, Join)
    inner, relu = twice.branches[0]
    assert isinstance(inner, Join)
    assert isinstance(relu, Block)
    assert isinstance(doubled, Join)
    assert doubled.branches == ((), ())
    mixed = structure(inception().summary())[0]
    assert isinstance(mixed, Join)
    assert [type(branch[0]) for branch in mixed.branches] == [Join, Block]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vgg16", [(2, 2), (2, 2), (3, 2), (3, 2), (3, 2)]),
        ("resnet20", [(3, 2), (2, 2), (2, 2)]),
        ("resnet50", [(2, 2), (3, 2), (5, 2), (2, 2)]),
        ("densenet121", [(6, 1), (12, 1), (24, 1), (16, 1)]),
        ("lenet5", []),
        ("mlp-500-250-100", []),
    ],
)
def test_what_is_repeated_is_folded_with_its_count(name: str, expected: list[tuple[int, int]]) -> None:
    model = build(name, *default_shape(name))
    items = structure(model.summary())
    assert repeats(items) == expected
    together = sum(item.parameters for item in items if isinstance(item, Repeat))
    alone = [block for item in items if not isinstance(item, Repeat) for block in blocks_of(item)]
    assert together + sum(block.layer.parameters for block in alone) == model.parameters


def test_a_folded_block_tells_the_first_and_the_last_of_what_differs() -> None:
    rows = build("densenet121", (32, 32, 3), 10).summary()
    repeat = next(item for item in structure(rows) if isinstance(item, Repeat))
    norm = blocks_of(*repeat.items)[0]
    assert (norm.label, norm.shape, norm.parameters) == ("norm1", "8×8×64…224", "256…896")
    assert blocks_of(*repeat.items)[2].details.startswith("W 128×64…224×1×1")
    assert blocks_of(*repeat.items)[-1].label == "denselayer1_1…6"


def test_layers_that_are_not_alike_are_not_folded() -> None:
    row = LayerRecord("conv1", "Conv2D", (4, 4, 8), 10, 10, 5, ("",), {"W": (8, 8, 3, 3)})
    second = replace(row, name="conv2", inputs=("conv1",))
    assert repeats(folded((Block((row,)), Block((second,))))) == [(2, 1)]
    for other in (
        replace(second, type="DepthwiseConv2D"),
        replace(second, output_shape=(4, 4, 9)),
        replace(second, settings={"stride": 2}),
        replace(second, trainable=0),
        replace(second, shapes={"W": (8, 8, 3, 3), "b": (8,)}),
    ):
        assert repeats(folded((Block((row,)), Block((other,))))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"head": ()},
        {"head": ("what is not there",)},
        {"relu1": ("head",)},
        {"block3_3": ("block3_3.body.batchnorm2", "block3_3.body.batchnorm2")},
        {"block3_3": ("block3_3.body.batchnorm2", "relu1")},
    ],
)
def test_rows_that_contradict_themselves_are_refused(changes: dict[str, tuple[str, ...]]) -> None:
    rows = build("resnet20", (8, 8, 3), 4, {"width": 4}).summary()
    with pytest.raises(ValueError, match=r"reads|is read|begin"):
        structure([replace(row, inputs=changes.get(row.name, row.inputs)) for row in rows])


def test_nothing_is_no_picture() -> None:
    assert structure([]) == ()
    assert structure(Model("nothing", Chain(()), (1, 1, 2), 2).summary()) == ()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["conv1"], "conv1"),
        (["conv8", "conv9", "conv10"], "conv8…10"),
        (["block1_1", "block1_2"], "block1_1…2"),
        (["64", "96"], "64…96"),
        (["1,024", "3,968"], "1,024…3,968"),
        (["a", "b1"], "a…b1"),
    ],
)
def test_a_span_goes_from_the_first_to_the_last(values: list[str], said: str) -> None:
    assert span(values) == said


def test_the_description_names_every_path() -> None:
    words = description(structure(build("resnet20", (8, 8, 3), 4, {"width": 4}).summary()))
    assert "3 times (block1_1…3: Residual of (conv1: Conv2D to 8×8×4, 144 parameters" in words
    assert "its input as it is" in words
    assert words.endswith("head: Dense to 4, 68 parameters")
