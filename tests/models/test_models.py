"""Every named architecture: its published count, its round trip, and what does not fit."""

from __future__ import annotations

import inspect
import json
from typing import Annotated, Any

import pytest
from annotated_types import Ge

import firstlight as fl
from firstlight import models
from firstlight.errors import ModelError
from firstlight.layers import Chain, Dense, Flatten, Softmax
from firstlight.models import ARCHITECTURES, Model, build, default_shape, defaults

COUNTS = [
    ("mlp-128", (28, 28, 1), 101_770, 101_770),
    ("mlp-128-64", (28, 28, 1), 109_386, 109_386),
    ("lenet5", (28, 28, 1), 61_706, 61_706),
    ("lenet5-dropout", (28, 28, 1), 61_706, 61_706),
    ("lenet5-batchnorm", (28, 28, 1), 62_274, 61_990),
    ("mnist-cnn", (28, 28, 1), 56_394, 56_394),
    ("slim-cnn", (28, 28, 1), 208_562, 208_194),
    # The 1.97 M of Jordan 2024; each of the 1,152 normalized channels has two running statistics.
    ("airbench", (32, 32, 3), 1_972_802 + 2 * 1_152, 1_972_802),
    ("pyramid", (32, 32, 3), 404_010, 404_010),
    ("pyramid", (32, 32, 1), 141_866, 141_866),
    ("pyramid-regularised", (32, 32, 1), 142_762, 142_314),
    ("vgg-small", (32, 32, 1), 552_298, 551_146),
    ("vgg16", (32, 32, 3), 14_748_426, 14_748_298),
    # The 20,024,384 of Keras's VGG19 without its top, and the small head.
    ("vgg19", (32, 32, 3), 20_024_384 + 33_738, 20_024_384 + 33_738 - 128),
    # 0.27 M in table 6 of He et al. 2015; each of the 688 normalized channels has two running statistics.
    ("resnet20", (32, 32, 3), 269_722 + 2 * 688, 269_722),
]


@pytest.mark.parametrize(("name", "shape", "total", "trainable"), COUNTS)
def test_parameters_are_the_published_ones(name: str, shape: tuple[int, int, int], total: int, trainable: int) -> None:
    model = build(name, shape, 10)
    assert (model.parameters, model.trainable) == (total, trainable)
    assert sum(row.parameters for row in model.summary()) == total
    assert sum(row.multiply_adds for row in model.summary()) == model.multiply_adds


# As torchvision counts them, and the multiply-adds that it publishes, in units of 10⁹.
IMAGENET = [
    ("resnet18", 11_689_512, 1.81),
    ("resnet34", 21_797_672, 3.66),
    ("resnet50", 25_557_032, 4.09),
    ("densenet121", 7_978_856, 2.83),
    ("densenet169", 14_149_480, 3.36),
    ("densenet201", 20_013_928, 4.29),
]


@pytest.mark.parametrize(("name", "trainable", "billions"), IMAGENET)
def test_nets_for_imagenet_cost_what_is_published(name: str, trainable: int, billions: float) -> None:
    model = build(name, *default_shape(name))
    assert (model.input_shape, model.classes) == ((224, 224, 3), 1000)
    assert model.trainable == trainable
    assert round(model.multiply_adds / 1e9, 2) == billions
    small = build(name, (32, 32, 3), 10)
    assert small.output_shape == (10,)
    features = next(row.output_shape for row in small.summary() if row.type == "GlobalAvgPool2D")
    assert small.trainable == trainable - 990 * (features[-1] + 1), "the head alone depends on the classes"


@pytest.mark.parametrize(
    ("name", "total", "trainable"),
    [("resnet101v2", 44_675_560, 44_577_896), ("resnet152v2", 60_380_648, 60_236_904)],
)
def test_nets_with_norm_and_activation_first_have_the_parameters_that_keras_counts(
    name: str, total: int, trainable: int
) -> None:
    model = build(name, *default_shape(name))
    assert (model.parameters, model.trainable) == (total, trainable)
    rows = model.summary()
    stages = [[row.output_shape for row in rows if row.name.startswith(f"layer{n}_")][-1] for n in range(1, 5)]
    assert stages == [(28, 28, 256), (14, 14, 512), (7, 7, 1024), (7, 7, 2048)]  # each stage ends at half of its size
    assert [row.type for row in rows][-4:] == ["BatchNorm", "ReLU", "GlobalAvgPool2D", "Dense"]
    assert build(name, (32, 32, 3), 10).output_shape == (10,)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_json_gives_the_same_model_back(name: str) -> None:
    model = build(name, *default_shape(name))
    assert Model.from_json(json.loads(json.dumps(model.to_json()))) == model
    assert model == build(name, model.input_shape, model.classes, model.options)
    assert set(model.options) == set(defaults(name))


def test_summary_walks_in_the_order_of_the_data() -> None:
    rows = models.lenet5().summary()
    assert [row.output_shape for row in rows if row.type in ("Conv2D", "Flatten")] == [
        (28, 28, 6),
        (10, 10, 16),
        (1, 1, 120),
        (120,),
    ]
    assert rows[0].multiply_adds == 28 * 28 * 6 * 25
    assert rows[-1].name == "head"
    residual = [row for row in models.resnet20().summary() if row.name.startswith("block2_1")]
    assert residual[-1].name == "block2_1", "a residual's row follows its branches"
    assert residual[-1].output_shape == (16, 16, 32)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("activation", "tanh", "Tanh"),
        ("activation", "gelu", "GELU"),
    ],
)
def test_options_change_the_layers(option: str, value: Any, expected: str) -> None:
    model = build("mlp-500-250-100", (28, 28, 1), 10, {option: value})
    assert [row.type for row in model.summary()].count(expected) == 3
    assert model.options[option] == value


def test_units_change_the_net() -> None:
    assert build("mlp-128", (8, 8, 1), 10, {"units": [7, 5]}).parameters == 65 * 7 + 8 * 5 + 6 * 10


def test_regularizers_stand_where_they_should() -> None:
    model = build("fashion-cnn", (28, 28, 1), 10, {"batch_norm": True, "dropout": 0.2, "l1": 1e-5, "l2": 1e-4})
    assert [row.type for row in model.summary()] == [
        *("Conv2D", "BatchNorm", "ReLU", "MaxPool2D") * 2,
        "Flatten",
        *("Dense", "BatchNorm", "ReLU", "Dropout") * 2,
        "Dense",
    ]
    assert model.parameters == 222_086 + 4 * (32 + 32 + 128 + 84)
    kernels = [entry.parameter for entry in model.layout.entries if entry.path[-1] == "W"]
    assert {(kernel.l1, kernel.l2) for kernel in kernels} == {(1e-5, 1e-4)}
    assert len(kernels) == 5


def test_batch_norm_of_the_convolutions_alone() -> None:
    """The net with batch norm of a published notebook, which counts 222,342 parameters."""
    model = build("fashion-cnn", (28, 28, 1), 10, {"batch_norm": True, "dense_norm": False})
    assert model.parameters == 222_342
    assert [row.type for row in model.summary()].count("BatchNorm") == 2
    plain = build("fashion-cnn", (28, 28, 1), 10, {"dense_norm": False})
    assert plain.layers == build("fashion-cnn", (28, 28, 1), 10).layers


def test_a_slim_net_pools_before_it_normalizes_and_keeps_the_places_of_its_last_features() -> None:
    rows = build("slim-cnn", (28, 28, 1), 10, {"filters": [4, 6], "units": 5, "activation": "elu"}).summary()
    pooled, last = ("Conv2D", "MaxPool2D", "BatchNorm", "ELU"), ("Conv2D", "BatchNorm", "ELU")
    assert [row.type for row in rows] == [*pooled, *last, "Flatten", "Dense", "BatchNorm", "ELU", "Dense"]
    assert [row.parameters for row in rows if row.type == "Conv2D"] == [4 * 9, 6 * 4 * 9]
    assert next(row for row in rows if row.type == "Flatten").output_shape == (14 * 14 * 6,)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("lenet", {}, ["lenet", "lenet5"]),
        ("lenet5", {"activaton": "relu"}, ["model.activaton", "activation"]),
        ("lenet5", {"activation": "rleu"}, ["rleu", "relu"]),
        ("lenet5", {"dropout": "much"}, ["model.dropout", "much"]),
        ("mlp-128", {"units": "many"}, ["model.units", "many"]),
        ("mlp-128", {"units": [0]}, ["units", "0"]),
        ("lenet5", {"pooling": "min"}, ["pooling", "min"]),
        ("vgg-small", {"dropout": [0.1]}, ["3 blocks", "1 rate"]),
    ],
)
def test_what_a_model_does_not_know_is_named(name: str, options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        build(name, (28, 28, 1), 10, options)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_model_too_large_for_the_images_is_refused() -> None:
    with pytest.raises(ModelError, match=r"lenet5 does not fit images of 8×8×1"):
        models.lenet5((8, 8, 1))


def test_a_model_needs_sense() -> None:
    with pytest.raises(ModelError, match="at least 2 classes"):
        models.softmax_regression((8, 8, 1), classes=1)
    with pytest.raises(ModelError, match="height, width, channels"):
        models.softmax_regression((8, 8), classes=3)
    with pytest.raises(ModelError, match="not a description of a model"):
        Model.from_json({"name": "x"})


def test_a_model_may_be_given_layer_by_layer() -> None:
    layers: list[dict[str, Any]] = [{"type": "Flatten"}, {"type": "Dense", "units": 4}, {"type": "Softmax"}]
    model = models.custom(layers, (2, 2, 1), 4)
    assert model.layers == Chain((Flatten(), Dense(4), Softmax()))
    assert model.parameters == 20


def test_an_architecture_of_ones_own_comes_in_by_the_same_door() -> None:
    with ARCHITECTURES.restored():

        @fl.architecture
        def tiny_net(
            input_shape: tuple[int, ...] = (8, 8, 1), classes: int = 10, *, units: Annotated[int, Ge(1)] = 4
        ) -> Chain:
            """A hidden layer.

            units  of it
            """
            return Chain((Flatten(), Dense(units), Dense(classes)))

        assert build("tiny-net", (4, 4, 1), 3, {"units": 2}).parameters == 17 * 2 + 3 * 3
        assert tiny_net(units=2).options == {"units": 2}
        for wrong in ({"units": 0}, {"units": 2.0}):
            with pytest.raises(ModelError, match=r"model\.units must be an integer from 1; received .*default is 4"):
                build("tiny-net", (4, 4, 1), 3, wrong)
            with pytest.raises(ModelError, match=r"model\.units must be an integer from 1"):
                tiny_net(**wrong)
        with pytest.raises(ModelError, match=r"the architecture 'lenet5' is firstlight\.models.* already"):
            fl.architecture("lenet5")(inspect.unwrap(tiny_net))
        with pytest.raises(ModelError, match="needs a docstring"):
            fl.architecture(lambda input_shape, classes: Chain(()))
    assert "tiny-net" not in ARCHITECTURES
