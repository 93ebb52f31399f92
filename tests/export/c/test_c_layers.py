"""Every layer's examples as C: compiled strictly, clean under the sanitizers, and equal to the reference."""

from __future__ import annotations

import pytest
from tests.export.c.compiling import answers
from tests.export.exporting import CLASSES, exportable_of, images, nets, task_of, weights_of

from firstlight import losses
from firstlight.export.c import C
from firstlight.export.reference import values
from firstlight.layers import Chain, Dense, Flatten
from firstlight.models import Model
from firstlight.types import Array

pytestmark = pytest.mark.usefixtures("c_compiler")

COLOUR = Model("colour", Chain((Flatten(), Dense(CLASSES))), (5, 4, 3), CLASSES)
NETS = {name: (model, task_of(model)) for name, model in nets()}
NETS |= {
    f"standardise-{kind}": (COLOUR, task_of(COLOUR, standardise=kind))
    for kind in ("none", "pixel", "channel", "image", "imagenet")
}
NETS["estimates"] = (COLOUR, task_of(COLOUR, losses.MeanSquaredError()))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Array, Array]]:
    """What C says, and what the reference says."""
    leaving = {name: exportable_of(task, weights_of(model)) for name, (model, task) in NETS.items()}
    pixels = {name: images(model.input_shape, 6, seed=2).pixels for name, (model, _) in NETS.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("firstlight.export.c.compiler.code_and_stack", lambda source: None)  # it takes a compilation each
        sources = {name: C().write(model, "Proved.")["net.c"] for name, model in leaving.items()}
    said = answers(tmp_path_factory.mktemp("c"), sources, pixels, CLASSES)
    expected = {name: [*values(model.operations, pixels[name])][-1][1].T for name, model in leaving.items()}
    return {name: (said[name], expected[name]) for name in NETS}


@pytest.mark.parametrize("name", NETS)
def test_a_layer_in_c_gives_what_the_reference_gives(name: str, found: dict[str, tuple[Array, Array]]) -> None:
    said, expected = found[name]
    assert said == pytest.approx(expected, abs=1e-5)
