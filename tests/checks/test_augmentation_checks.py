"""The checks of augmentations: ours pass, each fault is caught, and so is one that looks at the whole batch."""

from __future__ import annotations

import numpy as np
import pytest

import firstlight as fl
from firstlight.prepare.augmentations import AUGMENTATIONS
from firstlight.types import Array


@pytest.mark.parametrize("name", AUGMENTATIONS.ours())
def test_ours_pass_and_every_fault_is_caught(name: str) -> None:
    found = fl.check(AUGMENTATIONS[name])
    assert found.kind == "augmentation"
    assert [str(one) for one in found.findings if one.passed is False] == []
    assert [str(proof) for proof in found.proofs if proof.caught is not True] == []


def by_the_batch(images: Array, uniform: Array) -> Array:
    """Less the mean of the batch."""
    return np.clip(images - images.mean(), 0, 255).astype(np.uint8)


def unbounded(images: Array, uniform: Array) -> Array:
    """Brighter, and no bytes any more."""
    return images + uniform[:, :1, None, None]


def test_a_function_is_checked_and_what_is_wrong_with_it_is_told() -> None:
    with AUGMENTATIONS.restored():
        for function, demand in ((by_the_batch, "company"), (unbounded, "images")):
            fl.augmentation(function)
            failed = [one for one in fl.check(function).findings if one.passed is False]
            assert demand in [one.demand for one in failed]
