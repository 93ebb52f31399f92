"""The pages of the derivations, which the build of the book makes from the files of layers, losses and optimizers."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from docs import derivations

from firstlight.components import Registry
from firstlight.formulas import Step, derivation_of, formulas_of
from firstlight.layers import LAYERS, BatchNorm, Chain, Conv2D, Dense, MaxPool2D, Tanh
from firstlight.losses import LOSSES, CrossEntropy
from firstlight.optimizers import OPTIMIZERS

PAGES = derivations.pages()
KINDS: dict[str, Registry[Any]] = {"layers": LAYERS, "losses": LOSSES, "optimizers": OPTIMIZERS}


def test_there_is_a_page_for_each_layer_loss_and_optimizer() -> None:
    for folder, registry in KINDS.items():
        titles = {text.partition("\n")[0] for name, text in PAGES.items() if name.startswith(f"{folder}/")}
        assert {f"# {name}" for name in registry.ours()} <= titles


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(name: str) -> None:
    text = PAGES[name]
    assert {"## Formula", "## Derivation", "## The code", "## The twin in PyTorch"} <= {*re.findall("## .*", text)}
    tables = re.findall("<table.*?</table>", text)
    assert len(tables) >= 2
    for table in tables:
        ElementTree.fromstring(table)
    assert " object at 0x" not in text
    assert "nan" not in re.findall(r"\w+", text.rpartition("```")[2])  # among the numbers


def test_a_page_has_each_step_and_the_very_source() -> None:
    page = PAGES["layers/dense.md"]
    steps = [step for step in derivation_of(Dense) if isinstance(step, Step)]
    found = formulas_of(Dense)
    assert page.count("<tr>") == len(steps) + len(found.forward + found.backward + found.where)
    for step in steps:
        assert step.reason in page
    of_loss = PAGES["losses/cross-entropy.md"]
    assert textwrap.dedent(inspect.getsource(CrossEntropy.gradient)) in of_loss
    assert "def log_softmax(" in of_loss  # what it calls is there too
    assert "def conv2d_dx(" in PAGES["layers/conv2d.md"]


def test_numbers_of_the_pages_are_those_of_the_code() -> None:
    assert "| `Conv2D(filters=3)` | 2 × 5 × 6 | 3 × 3 × 4 | 57 | 648 | 60 |" in PAGES["layers/conv2d.md"].replace(
        "\u00a0", " "
    )
    y, t = np.array([[2.0], [1.0], [-0.5]]), np.array([1])
    value, _ = CrossEntropy().value_and_gradient(y, t)
    assert f"Its loss is {value:.4f}." in PAGES["losses/cross-entropy.md"]
    assert "| 1 | 2.0000 | none | 0.8000 |" in PAGES["optimizers/sgd.md"]  # 1 − 0.1 · 2


def test_what_backward_keeps_is_counted_once() -> None:
    assert derivations.kept_numbers(Tanh(), (7,)) == 7  # y
    assert derivations.kept_numbers(Dense(3), (5,)) == 5  # x
    assert derivations.kept_numbers(MaxPool2D(2), (1, 4, 4)) == 4  # where the largest was
    assert derivations.kept_numbers(Chain((Dense(3), Tanh())), (5,)) == 8
    assert derivations.kept_numbers(Conv2D(2), (1, 4, 4)) == 16
    assert derivations.kept_numbers(BatchNorm(), (4,)) < 12
