"""The example of docs/guide/questions.md is run as it stands, and its gradients held against differences."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).parent.parent / "docs" / "guide" / "questions.md"


@pytest.mark.parametrize(("layer", "name"), [("dense1", "W"), ("dense1", "b"), ("dense2", "W"), ("dense2", "b")])
def test_the_example_gives_the_gradients(layer: str, name: str) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    array, gradient = found["weights"][layer][name], found["gradients"][layer][name]
    slopes = np.empty_like(array)
    for place in np.ndindex(array.shape):
        before, around = array[place], []
        for step in (1e-6, -1e-6):
            array[place] = before + step
            y, _ = found["net"].forward(found["weights"], found["x"], found["Pass"](found["reference"]))
            around.append(np.square(y - found["t"]).sum() / 2 / 5)
        array[place] = before
        slopes[place] = (around[0] - around[1]) / 2e-6
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-9)
