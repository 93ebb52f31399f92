"""The questions of a first reader: what another size of images would change."""

from __future__ import annotations

import firstlight as fl
from firstlight.models import Model
from firstlight.report.sections.terms import by_size


def test_the_questions_are_answered_for_the_net_of_the_run() -> None:
    def said(model: Model) -> str:
        return by_size(model.summary())

    lenet = said(fl.models.lenet5((28, 28, 1), 10))
    assert lenet.startswith("Yes: dense1, with ")
    assert "conv1, conv2 and conv3 use one kernel at every position" in lenet
    assert said(fl.models.mlp_128((28, 28, 1), 10)).startswith("Yes: dense1, ")
    assert said(fl.models.resnet20((32, 32, 3), 10)).startswith("No: ")


def test_what_changes_with_the_size_is_what_is_named() -> None:
    for build in (fl.models.lenet5, fl.models.mlp_128, fl.models.softmax_regression):
        small, large = (build((side, side, 1), 10).summary() for side in (28, 36))
        changed = [a.name for a, b in zip(small, large, strict=True) if a.parameters != b.parameters]
        said = by_size(small)
        assert changed
        assert all(name in said.partition(", with")[0] for name in changed)
