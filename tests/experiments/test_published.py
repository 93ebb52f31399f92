"""The packaged studies are of the nets, groups and steps that were published."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from firstlight.experiments import Experiment, PlannedRun, read_plan, transfer
from firstlight.models import Model

CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
SHAPES = {"fashion-mnist": (28, 28, 1), "mnist": (28, 28, 1), "cifar-10": (32, 32, 3), "svhn": (32, 32, 3)}


def runs(study: str) -> dict[str, PlannedRun]:
    return {run.name: run for run in read_plan(study).runs}


def experiment(run: PlannedRun) -> Experiment:
    return Experiment.of(run.tables)


def model(run: PlannedRun) -> Model:
    """The net of a run, with what is frozen of it."""
    asked = experiment(run)
    shape = SHAPES[asked.data.source]
    made = asked.build_model((*shape[:2], 1) if asked.prepare.greyscale else shape, len(asked.data.regroup) or 10)
    return replace(made, frozen=transfer.frozen(made, asked))


@pytest.mark.parametrize(
    ("study", "run", "total", "trainable"),
    [
        ("fashion-lenet", "mlp-128-64", 109_386, 109_386),
        ("fashion-lenet", "lenet5-batchnorm", 62_274, 61_990),
        ("fashion-regularisers", "dense-plain", 101_770, 101_770),
        ("fashion-regularisers", "cnn", 222_086, 222_086),
        ("fashion-regularisers", "cnn-batchnorm", 222_342, 222_214),
        ("fashion-regularisers", "cnn-batchnorm-dropout", 222_342, 222_214),
        ("fashion-regularisers", "cnn-batchnorm-dropout-l2", 222_342, 222_214),
        ("fashion-regularisers", "cnn-batchnorm-dropout-l1", 222_342, 222_214),
        ("fashion-three-classes", "dense", 100_867, 100_867),
        ("mnist-cnn-transfer", "cnn", 56_394, 56_394),
        ("mnist-cnn-transfer", "frozen", 55_809, 65),
        ("street-numbers", "pyramid-colour", 404_010, 404_010),
        ("street-numbers", "pyramid-grey", 141_866, 141_866),
        ("street-numbers", "pyramid-regularised", 142_762, 142_314),
        ("street-numbers", "augmented-as-published", 552_298, 551_146),
        ("street-numbers-transfer", "vgg16-frozen", 14_748_426, 33_610),
        ("street-numbers-transfer", "vgg16-blocks-4-5", 14_748_426, 13_012_810),
        ("street-numbers-transfer", "vgg19-frozen", 20_058_122, 33_610),
    ],
)
def test_the_nets_have_the_published_parameters(study: str, run: str, total: int, trainable: int) -> None:
    found = model(runs(study)[run])
    assert (found.parameters, found.trainable) == (total, trainable)


def test_each_regularizer_comes_on_top_of_the_one_before() -> None:
    found = {name: model(run) for name, run in runs("fashion-regularisers").items()}
    kinds = {name: [row.type for row in net.summary()] for name, net in found.items()}
    counts = {name: (types.count("BatchNorm"), types.count("Dropout")) for name, types in kinds.items()}
    assert list(counts.values()) == [(0, 0), (0, 0), (0, 0), (2, 0), (2, 2), (2, 2), (2, 2)]
    penalties = {
        name: [(e.parameter.l1, e.parameter.l2) for e in net.layout.entries if e.parameter.kernel]
        for name, net in found.items()
    }
    assert penalties["cnn-batchnorm-dropout-l2"] == [(0, 1e-4)] * 5
    assert penalties["cnn-batchnorm-dropout-l1"] == [(1e-4, 0)] * 5
    assert penalties["cnn-batchnorm-dropout"] == [(0, 0)] * 5


def test_clothes_are_augmented_as_published() -> None:
    """Patches of 1 to 9 pixels on half of the images, and none of anything in the plain run."""
    asked = {name: experiment(run).build_augmentation() for name, run in runs("fashion-regularisers").items()}
    assert [bool(how) for how in asked.values()] == [False, *[True] * 6]
    draws = asked["cnn"].draws(0, 0, np.arange(20_000, dtype=np.uint64) * np.uint64(2**50 + 1), (28, 28))
    heights = draws.patches[:, 1] - draws.patches[:, 0]
    centred = (heights > 0) & (draws.patches[:, 0] > 0) & (draws.patches[:, 1] < 28)  # that the edge does not cut
    assert set(heights[centred].tolist()) == set(range(10)) - {0}
    assert np.bincount(heights[centred], minlength=10)[1:].min() > 0.75 * centred.sum() / 9
    assert (heights == 0).mean() == pytest.approx(0.5, abs=0.01)


def test_three_classes_are_the_published_groups() -> None:
    asked = {name: experiment(run) for name, run in runs("fashion-three-classes").items()}
    for name in ("dense", "cnn"):
        groups = asked[name].data.regroup
        assert [len(members) for members in groups.values()] == [5, 4, 1]
        assert groups["Bottom"] == ["Trouser", "Sandal", "Sneaker", "Ankle boot"]
        assert groups["Accessories"] == ["Bag"]
    own = asked["dense-shoes-apart"].data.regroup
    assert not set(own) & set(asked["dense"].data.regroup), "classes of another meaning have other names"
    assert all(sorted(each.data.used) == sorted(CLOTHES) for each in asked.values())


def test_the_augmented_house_numbers_take_as_many_steps_as_published() -> None:
    found = runs("street-numbers")
    published, few, plain = (
        experiment(found[name]) for name in ("augmented-as-published", "three-passes-augmented", "three-passes")
    )
    steps, batch, epochs = (published.training.model_dump()[key] for key in ("steps_per_epoch", "batch_size", "epochs"))
    assert steps * epochs == 3000
    assert steps * batch * epochs / 63_544 == pytest.approx(3, abs=0.03)
    here = 4087
    assert few.training.model_dump()["steps_per_epoch"] * batch * epochs / here == pytest.approx(3, abs=0.2)
    assert few.training == plain.training
    assert published.build_augmentation() == few.build_augmentation() != plain.build_augmentation()
    assert published.build_augmentation().table()["shear"]["range"] == [-0.15, 0.15], "degrees"


def test_a_published_number_is_counted_once() -> None:
    """Runs that repeat another, or the same net trained otherwise, do not claim its number again."""
    claimed: dict[tuple[Any, ...], str] = {}
    for study in ("street-numbers", "street-numbers-transfer", "mnist-cnn-transfer", "fashion-regularisers"):
        for name, run in runs(study).items():
            for measure in ("published", "published_validation"):
                number = getattr(run.entry, measure)
                if number is not None:
                    assert claimed.setdefault((study, measure, number), name) == name
    assert len(claimed) > 20


def test_the_published_search_for_a_backbone_is_there_whole() -> None:
    found = {name: run for name, run in runs("street-numbers-transfer").items() if run.optional}
    given = sorted(run.entry.published_validation or 0 for run in found.values())
    assert given == [0.302, 0.464, 0.47, 0.55, 0.5733, 0.597, 0.601, 0.606, 0.698, 0.9196]
    assert len({experiment(run).model.name for run in found.values()}) == 8


def test_the_squared_error_of_the_notebook_is_ours_at_twice_the_rate() -> None:
    """Σ (y − t)² + 5e-6 Σ w² at 1e-3: half of that, at 2e-3."""
    asked = experiment(runs("cifar-two-layer")["by-hand"])
    assert (asked.loss.name, asked.training.batch_size) == ("half-mse", 64)
    assert asked.optimizer.lr == 2 * 1e-3
    assert asked.penalty.l2 == 5e-6 / 2
