"""What goes wrong, goes wrong as its sentence says; and the same mended does not."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

import firstlight as fl
from firstlight.errors import ExperimentError
from firstlight.training_step import Step
from firstlight.training_step.presets import PRESETS, preset


def both(name: str) -> tuple[Step, Step]:
    return preset(name).step(), preset(name).step(mended=True)


def gradient(step: Step, path: str) -> float:
    """That by the weights of a layer, root mean square."""
    found = step.statistics[path].gradient
    assert found is not None
    return found


def test_a_learning_rate_that_is_too_large() -> None:
    wrong, mended = both("learning-rate-too-large")
    losses, right = (np.array([row.loss for row in step.history]) for step in (wrong, mended))
    assert (losses[1:] > losses[0]).sum() >= 3  # above where it began, more than once
    assert (np.diff(losses) > 0).sum() >= 5
    assert (np.diff(right) < 0).all()


def test_relus_that_are_dead_stay_dead() -> None:
    wrong, mended = both("dead-relus")
    assert wrong.statistics["relu1"].silent == 1
    assert wrong.statistics["dense1"].gradient == wrong.forward(3).statistics["dense1"].gradient == 0
    assert mended.statistics["relu1"].silent < 0.2
    assert gradient(mended, "dense1") > 1e-3


def test_gradients_vanish_with_the_depth() -> None:
    """Of the notebooks' five-layer net: 784 (here 64), 500, 250, 100 and 10."""
    wrong, mended = ([gradient(step, path) for path in ("dense1", "dense2", "dense3", "head")]
                     for step in both("vanishing-gradients"))  # fmt: skip
    assert all(deeper > 4 * before for before, deeper in pairwise(wrong))
    assert wrong[-1] > 100 * wrong[0]
    assert mended[-1] < 5 * mended[0]


def test_without_initialization_only_biases_of_the_head_move() -> None:
    wrong, mended = both("no-initialization")
    layout = wrong.course.task.model.layout
    moved = {name for name, array in layout.named(wrong.vector).items() if array.any()}
    assert moved == {"head.b"}
    assert gradient(wrong, "dense1") == 0 < gradient(mended, "dense1")
    assert mended.loss.value < wrong.loss.value - 0.3


def test_batch_norm_in_training_asks_the_other_images() -> None:
    wrong, mended = both("batch-norm-not-in-evaluation")
    subject = preset("batch-norm-not-in-evaluation")
    np.testing.assert_array_equal(wrong.vector, mended.vector)
    assert (subject.seen(wrong) < 0.25, subject.seen(mended)) == (True, 1)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_in_one_sentence_what_to_watch(name: str) -> None:
    one = preset(name)
    assert all(text.endswith(".") and text.count(". ") == 0 for text in (one.watch, one.cause, one.remedy))
    assert json.dumps(one.to_json())
    step = fl.step(name)
    assert step.number == 0
    assert not one.path or one.seen(step) >= 0


def test_an_unknown_preset() -> None:
    with pytest.raises(ExperimentError, match=r"dead-relu'. Did you mean dead-relus"):
        preset("dead-relu")
