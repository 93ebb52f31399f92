"""The door: what is registered, what is refused, and what is derived from a definition."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass, is_dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Le, Lt, MultipleOf

import firstlight as fl
from firstlight import layers
from firstlight.components import REQUIRED, Component, Components, Functions, import_modules, kebab
from firstlight.errors import ExperimentError, ModelError
from firstlight.layers import ACTIVATIONS, LAYERS, Activation, Backward, Layer, Pass, Tree
from firstlight.schedules import SCHEDULES, Schedule
from firstlight.types import Array


@dataclass(frozen=True)
class Tool(Component):
    """The base of all tools."""


@dataclass(frozen=True)
class Part(Component):
    """The base of all parts."""


TOOLS = Components("tool", base=Tool, error=ExperimentError)
PARTS = Components("part", base=Part, error=ModelError, place="{type}")
COUNTS = Functions("count", takes=("labels", "probabilities"))


@TOOLS.register
class TwinSaw(Tool):
    """Cuts in two.

    More about it.

    teeth       how many, and
                what for
    hard, soft  shares
    """

    teeth: Annotated[int, Ge(1)]
    hard: Annotated[float, Ge(0), Lt(1)] = 0.25
    soft: float = 0.5
    edge: Literal["fine", "rough"] = "fine"
    sizes: tuple[Annotated[int, Ge(1)], ...] = (1, 2)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with TOOLS.restored(), PARTS.restored(), COUNTS.restored():
        yield


def test_a_class_is_a_frozen_dataclass_by_the_name_of_its_kind() -> None:
    with pytest.raises(FrozenInstanceError):
        TwinSaw(3).teeth = 4  # type: ignore[misc]
    assert is_dataclass(TwinSaw)
    assert TOOLS["twin-saw"] is TwinSaw
    assert list(TOOLS) == ["twin-saw"]
    assert {"twin-saw": TwinSaw} == TOOLS
    assert (TOOLS.name_of(TwinSaw), TOOLS.name_of(Tool)) == ("twin-saw", None)
    assert (TOOLS.origin("twin-saw"), TOOLS.is_ours("twin-saw")) == (__name__, False)
    assert (SCHEDULES.origin("step").partition(".")[0], SCHEDULES.is_ours("step")) == ("firstlight", True)

    @PARTS.register
    class TwinBolt(Part):
        """Holds."""

    @TOOLS.register(name="axe")
    @dataclass(frozen=True)
    class Hatchet(Tool):
        """Chops."""

    assert PARTS["TwinBolt"] is TwinBolt, "in the style of its kind"
    assert TOOLS["axe"] is Hatchet


@pytest.mark.parametrize(
    ("name", "kebab_case"),
    [
        ("OneCycle", "one-cycle"),
        ("macro_auc", "macro-auc"),
        ("LeakyReLU", "leaky-relu"),
        ("AdamW", "adamw"),
        ("RMSprop", "rmsprop"),
        ("SiLU", "silu"),
        ("SGD", "sgd"),
    ],
)
def test_names_as_files_write_them(name: str, kebab_case: str) -> None:
    assert kebab(name) == kebab_case


def test_a_taken_name_is_an_error_that_says_whose_it_is() -> None:
    with pytest.raises(ExperimentError, match=r"the tool 'twin-saw' is .*test_components\.TwinSaw already.*name="):

        @TOOLS.register(name="twin-saw")
        class Other(Tool):
            """Another."""

    assert TOOLS["twin-saw"] is TwinSaw


def test_the_same_definition_may_be_made_anew() -> None:
    def cell(teeth: int) -> type[Tool]:
        @TOOLS.register
        class Rasp(Tool):
            """Smooths."""

            each: int = teeth

        return Rasp

    old, new = cell(1), cell(2)
    assert TOOLS["rasp"] is new is not old
    assert TOOLS.build("rasp") == new(2)  # type: ignore[call-arg]
    assert TOOLS.name_of(old) == "rasp", "an older definition is known too"


def test_one_without_a_docstring_or_another_base_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"Bare: a tool needs a docstring"):

        @TOOLS.register
        class Bare(Tool):
            teeth: int = 1

    with pytest.raises(ExperimentError, match="needs a docstring"):

        @TOOLS.register
        @dataclass(frozen=True)
        class Generated(Tool):  # dataclass writes one itself, which explains nothing
            teeth: int = 1

    with pytest.raises(ExperimentError, match="a tool is a class that derives from Tool"):

        @TOOLS.register
        class Stray(Part):
            """Of another kind."""

    with pytest.raises(ExperimentError, match="derives from Tool"):
        TOOLS.register(Tool)
    with pytest.raises(ExperimentError, match="derives from Tool"):
        TOOLS.register(lambda: None)
    with pytest.raises(ExperimentError, match="must be a non-empty string; received ' '"):
        TOOLS.register(name=" ")(TwinSaw)
    assert list(TOOLS) == ["twin-saw"]


def test_a_constraint_that_is_not_known_is_refused_where_it_is_written() -> None:
    with pytest.raises(ExperimentError, match=r"Odd: the constraint MultipleOf.* not known here; say it as Fits"):

        @TOOLS.register
        class Odd(Tool):
            """Odd."""

            number: Annotated[int, MultipleOf(2)] = 2

    with pytest.raises(ExperimentError, match="Missing: name 'nowhere' is not defined"):

        @TOOLS.register
        class Missing(Tool):
            """Its annotation cannot be read."""

            number: nowhere = 2  # type: ignore[name-defined]  # noqa: F821


def test_options_come_from_fields_and_docstring() -> None:
    teeth, hard, soft, edge, sizes = TOOLS.options("twin-saw")
    assert (teeth.name, teeth.default, teeth.required) == ("teeth", REQUIRED, True)
    assert (teeth.allowed, teeth.explanation) == ("an integer from 1", "how many, and what for")
    assert (hard.default, hard.allowed, hard.explanation) == (0.25, "a number from 0 to below 1", "shares")
    assert (soft.allowed, soft.explanation) == ("a number", "shares")
    assert (edge.allowed, edge.explanation) == ("fine or rough", "")
    assert sizes.allowed == "a list of integers from 1"
    assert TOOLS.summary("twin-saw") == "Cuts in two."


def test_the_schema_says_types_constraints_defaults_and_explanations() -> None:
    schema = TOOLS.json_schema("twin-saw")
    assert schema["required"] == ["teeth"]
    assert schema["additionalProperties"] is False
    assert schema["description"].startswith("Cuts in two.")
    properties = schema["properties"]
    assert {key: properties["hard"][key] for key in ("type", "minimum", "exclusiveMaximum", "default")} == {
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.25,
    }
    assert properties["teeth"]["description"] == "how many, and what for (an integer from 1)"
    assert "default" not in properties["teeth"]
    assert properties["edge"]["enum"] == ["fine", "rough"]
    assert properties["sizes"]["items"] == {"type": "integer", "minimum": 1}
    assert properties["sizes"]["default"] == [1, 2]


def test_one_is_built_by_name_with_options() -> None:
    assert TOOLS.build("twin-saw", teeth=3, sizes=[4, 5]) == TwinSaw(3, sizes=(4, 5))


@pytest.mark.parametrize(
    ("name", "options", "message", "key"),
    [
        ("twin-sw", {}, "tool: 'twin-sw' is unknown. Did you mean twin-saw?", "tool.name"),
        (["x"], {}, "tool: ['x'] is unknown", "tool.name"),
        ("twin-saw", {"tooth": 1}, "tool.tooth: twin-saw has no such option. Did you mean teeth", "tool.tooth"),
        ("twin-saw", {}, "tool.teeth is required: an integer from 1.", "tool.teeth"),
        ("twin-saw", {"teeth": 0}, "tool.teeth must be an integer from 1; received 0.", "tool.teeth"),
        ("twin-saw", {"teeth": True}, "tool.teeth must be an integer from 1; received True.", "tool.teeth"),
        ("twin-saw", {"teeth": 1, "hard": 1}, "tool.hard must be a number from 0 to below 1; received 1.", "tool.hard"),
        ("twin-saw", {"teeth": 1, "edge": "x"}, "tool.edge must be fine or rough; received 'x'.", "tool.edge"),
        (
            "twin-saw",
            {"teeth": 1, "sizes": [0]},
            "tool.sizes must be a list of integers from 1; received (0,).",
            "tool.sizes",
        ),
        ("twin-saw", {"teeth": 1, "soft": float("nan")}, "tool.soft must be a number; received nan.", "tool.soft"),
    ],
)
def test_what_is_wrong_is_told_with_the_nearest(name: Any, options: dict[str, Any], message: str, key: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        TOOLS.build(name, **options)
    assert message in str(caught.value)
    assert [where for where, _ in caught.value.keys] == [key]


def test_a_field_is_checked_in_one_that_is_not_registered_too() -> None:
    @dataclass(frozen=True)
    class Loose(Part):
        size: Annotated[int, Ge(1)] = 1

    with pytest.raises(ModelError, match=r"^Loose\.size must be an integer from 1; received 0\.$"):
        Loose(0)


def test_a_function_is_a_component_by_its_arguments() -> None:
    @COUNTS.register
    def top_two(labels: Array, probabilities: Array, *, least: Annotated[float, Ge(0)] = 0.1) -> float:
        """How often the label is among the first two.

        least  what the second must have
        """
        return least

    [least] = COUNTS.options("top-two")
    assert COUNTS["top-two"] is top_two
    assert (least.name, least.default, least.allowed) == ("least", 0.1, "a number from 0")
    assert least.explanation == "what the second must have"
    assert COUNTS.json_schema("top-two")["properties"]["least"]["minimum"] == 0

    def silent(labels: Array, probabilities: Array) -> float:
        return 0.0

    def others(targets: Array) -> float:
        """Takes something else."""
        return 0.0

    for refused, message in (
        (silent, "silent: a count needs a docstring"),
        (others, r"function \(labels, probabilities, …\); received \(targets\)"),
        (TwinSaw, r"a count is a function \(labels, probabilities"),
    ):
        with pytest.raises(ExperimentError, match=message):
            COUNTS.register(refused)


def test_what_is_registered_meanwhile_is_forgotten() -> None:
    with TOOLS.restored():

        @TOOLS.register
        class Passing(Tool):
            """Not for long."""

        assert "passing" in TOOLS
    assert "passing" not in TOOLS


def test_the_modules_of_a_package_register_what_they_define(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "toolbox"
    folder.mkdir()
    (folder / "__init__.py").write_text("from firstlight.components import import_modules\n")
    for name in ("b", "a", "_shared"):
        (folder / f"{name}.py").write_text(
            "import sys\nsys.modules['toolbox'].seen = [*vars(sys.modules['toolbox'])]\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        toolbox = importlib.import_module("toolbox")
        import_modules("toolbox", toolbox.__path__)
        assert {name for name in sys.modules if name.startswith("toolbox.")} == {"toolbox.a", "toolbox.b"}
        assert isinstance(toolbox.a, types.ModuleType)
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "toolbox"]:
            del sys.modules[name]


def test_a_schedule_of_ones_own_comes_in_by_the_same_door() -> None:
    with SCHEDULES.restored():

        @fl.schedule(name="Halved_It")
        class Halved(Schedule):
            """Half the rate, all along.

            share  of the rate
            """

            share: Annotated[float, Gt(0), Le(1)] = 0.5

            def curve(self, epochs: Array, progress: Array) -> Array:
                return np.full_like(progress, self.share)

        tables = {"data": {"source": "digits"}, "schedule": {"name": "Halved_It", "share": 0.25}}
        assert fl.Experiment.of(tables).build_schedule() == Halved(0.25)
        with pytest.raises(ExperimentError, match=r"schedule\.share must be a number above 0, to 1; received 2"):
            fl.Experiment.of({**tables, "schedule": {"name": "Halved_It", "share": 2}})
    assert "Halved_It" not in SCHEDULES


def test_a_layer_of_ones_own_is_read_again_and_its_activation_chosen_by_name() -> None:
    with LAYERS.restored():

        @fl.layer
        class HardCut(Activation):
            """y = x, cut off.

            most  where
            """

            most: Annotated[float, Gt(0)] = 1.0

            def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
                return x, lambda dy: (dy, {})

        @fl.layer(name="Scaled")
        class Other(Layer):
            """y = a x.

            a  the factor
            """

            a: float

            def forward(self, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
                return x, lambda dy: (dy, {})

        assert layers.from_json(HardCut(2.0, name="cut").to_json()) == HardCut(2.0, name="cut")
        assert layers.from_json({"type": "Scaled", "a": 2}) == Other(2)
        assert Other(3).to_json()["type"] == "Scaled"
        assert ACTIVATIONS["hard-cut"] is HardCut
        assert fl.models.build("mlp-128", (4, 4, 1), 3, {"activation": "hard-cut"}).layers.layers[2] == HardCut()
        with pytest.raises(ModelError, match=r"HardCut\.most must be a number above 0; received 0\."):
            HardCut(0)
    assert "hard-cut" not in ACTIVATIONS
    assert {"elu", "leaky-relu", "relu", "selu"} <= set(ACTIVATIONS)


@pytest.mark.parametrize("kind", fl._REGISTRIES)
def test_each_component_of_ours_explains_itself_and_its_options(kind: str) -> None:
    module, name = fl._REGISTRIES[kind]
    registry: Components[Any] = getattr(importlib.import_module(module), name)
    assert registry.kind == kind
    unexplained = [
        (name, option.name) for name in registry for option in registry.options(name) if not option.explanation
    ]
    assert unexplained == []
    assert all(registry.summary(name) for name in registry)


def test_a_class_without_what_it_needs_is_refused_with_what_that_gives() -> None:
    class Nothing(fl.optimizers.Optimizer):
        """θ stays"""

    class Half(fl.losses.Loss):
        """Σ y"""

        def values(self, y: Any, targets: Any) -> Any:
            return y.sum(axis=0)

    class Matrices(fl.optimizers.Optimizer):
        """θ ← 0"""

        def update(self, *args: Any) -> None: ...

    with pytest.raises(ExperimentError, match=r"Nothing: an optimizer needs a method `formula` \(formula\(theta, g"):
        fl.optimizer(Nothing)
    with pytest.raises(ExperimentError, match=r"needs methods `gradient` \(dy: .*\) and `probabilities` \(float32"):
        fl.loss(Half)
    with pytest.raises(ExperimentError, match="needs a method `formula`"):  # of one that is not registered
        Nothing().formula(1, 2)
    with fl.optimizers.OPTIMIZERS.restored():
        fl.optimizer(Matrices)
