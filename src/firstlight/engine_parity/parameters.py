"""Each parameter's gradient of the loss through the whole net: by hand, by autograd, and by central differences.

These last see the whole net as one function, so they need neither a layer's gradient nor the chain rule. They are the
least exact. Nets of ReLUs and poolings have kinks: with a million units, a step of a millionth of the weights crosses
one, and below that step the rounding of the loss shows. Where they settle is told as their uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from firstlight import randomness
from firstlight.engine_parity.differences import compare, largest
from firstlight.engine_parity.layers import named_arrays
from firstlight.kernels import Kernels
from firstlight.layers import Chain, Pass
from firstlight.losses import Loss
from firstlight.records.parity import ParameterRow
from firstlight.types import Array
from firstlight.weights import Layout

STEP = 1e-3  # the first of the differences, beside the size of the weights
TOLERANCE = 1e-9  # at which an uncertainty is small enough


def compare_parameters(
    layers: Chain,
    loss: Loss,
    layout: Layout,
    vector: Array,
    x: Array,
    labels: Array,
    kernels: Kernels,
    seed: int,
    note: Callable[[str], None],
) -> list[ParameterRow]:
    """A row for each trained parameter, at the weights `vector` and the images x (C, H, W, N)."""
    from firstlight.engines import autograd

    def noise(path: str) -> np.random.Generator:
        return randomness.generator(seed, "noise", path)

    run = Pass(kernels, True, needs_dx=False, noise=noise, trained=layout.trained)  # as the engine goes through

    y, backward = layers.forward(layout.tree(vector.copy()), x, run)
    first = dict(named_arrays(backward(loss.value_and_gradient(y, labels)[1])[1]))
    second = autograd.of_net(layers, loss, layout.tree(vector), x, labels, noise=noise)
    scale = largest(*first.values(), *second.values())
    each = np.full(len(labels), 1 / len(labels))
    rows = []
    for entry in layout.entries:
        if not entry.parameter.trainable:
            continue
        note(f"central differences: {entry.name}")
        part = slice(entry.start, entry.stop)
        by_hand, by_autograd = first.get(entry.name), second[entry.name]

        def moved(values: Array, part: slice = part) -> Array:
            at = vector.copy()
            at[part] = values.ravel()
            return loss.values(layers.forward(layout.tree(at), x, run)[0], labels)

        draw = randomness.generator(seed, "parity", entry.name)
        comparison = compare(
            moved,
            each,
            vector[part].reshape(entry.parameter.shape),
            by_hand,
            by_autograd,
            scale,
            draw,
            step=STEP,
            tolerance=TOLERANCE,
        )
        rows.append(ParameterRow(entry.name, entry.parameter.shape, largest(by_hand, by_autograd), comparison))
    return rows
