"""`check`: a component in, what it passes out, with spoilt versions of it that do not."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from firstlight import components, models, plugins
from firstlight.checks import architectures, augmentations, gradients, layers, losses, metrics, optimizers, schedules
from firstlight.checks.demand import examine
from firstlight.checks.result import ComponentCheck, Finding
from firstlight.errors import ExperimentError, FirstlightError, ModelError, brief, nearest
from firstlight.layers import Layer
from firstlight.losses import Loss
from firstlight.optimizers import Optimizer
from firstlight.prepare.augmentations import AUGMENTATIONS, Transform
from firstlight.schedules import Schedule
from firstlight.types import Shape

SHAPES: tuple[Shape, ...] = ((6,), (2, 5, 6), (3, 8, 8))
CHECKED = ("layer", "loss", "optimizer", "schedule", "architecture", "augmentation", "metric")
VALUES: dict[str, tuple[Any, ...]] = {"int": (3, 2, 1), "float": (0.5, 2.0), "bool": (True,), "str": ("a",)}


def check(component: Any, *, input_shape: Sequence[int] | None = None) -> ComponentCheck:
    """Run on a component all that firstlight's own must pass, and show which spoilt versions of it that catches.

    component    a layer, loss, optimizer, schedule, architecture, augmentation or metric: the class or function, or one
                 made with its options, as in Scale(factor=2.0)
    input_shape  of a layer without `examples`, for one sample: (features,) or (channels, height, width); simple ones
                 are tried where none is given

    Raises ExperimentError for anything else, and where a layer takes none of the shapes that are tried.
    """
    if input_shape is not None and not _is(component, Layer):
        raise ExperimentError("check: an input shape is for a layer.")
    if _is(component, Layer):
        cases = _layer_cases(component, None if input_shape is None else tuple(input_shape))
        return examine("layer", _name(component), cases, (*layers.DEMANDS, layers.COMPILED), layers.FAULTS)
    if _is(component, Loss):
        return examine("loss", _name(component), losses.Case.all_of(_made(component)), losses.DEMANDS, losses.FAULTS)
    if _is(component, Optimizer):
        cases_of = [optimizers.Case(_made(component))]
        return examine("optimizer", _name(component), cases_of, optimizers.DEMANDS, optimizers.FAULTS)
    if _is(component, Schedule):
        scheduled = schedules.Case.all_of(_made(component))
        return examine("schedule", _name(component), scheduled, schedules.DEMANDS, schedules.FAULTS)
    if inspect.isfunction(component) and (known := AUGMENTATIONS.name_of(component)):
        component = AUGMENTATIONS[known]
    if _is(component, Transform):
        drawn = augmentations.Case.all_of(augmentations.made(component), _name(component))
        return examine("augmentation", _name(component), drawn, augmentations.DEMANDS, augmentations.FAULTS)
    if (name := models.ARCHITECTURES.name_of(component)) is not None:
        built = architectures.Case.all_of(name)
        return examine("architecture", name, built, architectures.DEMANDS, architectures.FAULTS)
    if callable(component) and not inspect.isclass(component):
        name = getattr(component, "__name__", repr(component))
        return examine("metric", name, metrics.Case.all_of(component, name), metrics.DEMANDS, metrics.FAULTS)
    raise ExperimentError(
        "check: give a layer, a loss, an optimizer, a schedule, an architecture, an augmentation or a metric; "
        f"received {brief(component)}."
    )


def check_plugin(
    name: str, names: Sequence[str] = (), *, input_shape: Sequence[int] | None = None
) -> list[ComponentCheck]:
    """Load a plugin, a file or an installed module, and check its components: those called `names`, or all.

    Raises PluginError where it cannot be loaded, ExperimentError for a name that it does not define.
    """
    [plugin] = plugins.load([name], "check")
    defined: dict[str, list[components.Registry[Any]]] = {}  # a loss and a metric may have one name
    for registry in components.registries():
        for own in registry.defined_in(plugin.module):
            defined.setdefault(own, []).append(registry)
    for asked in names:
        if asked not in defined:
            raise ExperimentError(f"check: {name} defines no {asked!r}. {nearest(asked, defined)}")
    found = []
    for asked in names or defined:
        for registry in defined[asked]:
            component = registry[asked]
            component = getattr(component, "function", component)  # a metric is known with what it is called in tables
            checked = registry.kind in CHECKED
            shape = input_shape if registry.kind == "layer" else None
            found.append(check(component, input_shape=shape) if checked else _not_checked(registry.kind, asked))
    return found


def _not_checked(kind: str, name: str) -> ComponentCheck:
    reason = f"there are no checks for {kind}s yet"
    return ComponentCheck(kind, name, (Finding("everything", "", None, reason=reason),))


def _is(component: Any, base: type) -> bool:
    return issubclass(component, base) if inspect.isclass(component) else isinstance(component, base)


def _name(component: Any) -> str:
    """The name that it is registered under, or its class's."""
    kind = component if inspect.isclass(component) else type(component)
    names = (registry.name_of(kind) for registry in components.registries())
    return next(filter(None, names), kind.__name__)


def _made(component: Any) -> Any:
    """The component with its defaults, where its class is given."""
    if not inspect.isclass(component):
        return component
    name = component.__name__
    if needed := [*_needed(component)]:
        raise ExperimentError(f"check: {name} needs {', '.join(needed)}. Give an instance: {name}({needed[0]}=…).")
    return component()


def _needed(kind: Any) -> dict[str, str]:
    """The fields of a class that have no default, and their types."""
    return {entry.name: str(entry.type) for entry in fields(kind) if entry.default is MISSING is entry.default_factory}


def _layer_cases(component: Any, shape: Shape | None) -> list[layers.Case]:
    """The examples of a layer; with a shape, or where there are none, itself on that shape, or on simple ones."""
    made = component if not inspect.isclass(component) else None
    examples = (component if made is None else type(made)).examples
    if made is None and examples and shape is None:
        return [layers.Case.of(example) for example in examples]
    tried = [made] if made is not None else _layers_of(component)
    found, refusals = [], []
    for given in (shape,) if shape is not None else SHAPES:
        for layer in tried:
            case = layers.Case(layer, given)
            try:
                layer.output_shape(given)
                layer.forward(*case.drawn(), gradients.a_pass(training=False))
            except Exception as error:
                if shape is not None and not isinstance(error, FirstlightError):
                    found.append(case)  # told as a failure, with its place
                refusals.append(f"{case}: {error}")
            else:
                found.append(case)
                break
    if not found:
        told = "; ".join(refusals[:3])
        raise ModelError(
            f"check: {_name(component)} accepted none of the inputs that were tried ({told}). Give it examples, or a "
            f"shape that it accepts: fl.check({_name(component)}(…), input_shape=(2, 5, 5))."
        )
    return found


def _layers_of(kind: Any) -> list[Layer]:
    """A layer of a class with its defaults, and simple values for what has none."""
    hints = _needed(kind)
    if not hints:
        return [kind()]
    made, reasons = [], []
    for place in range(3):
        chosen = {}
        for name, hint in hints.items():
            word = next((word for word in VALUES if word in hint), "float")
            values = VALUES[word]
            chosen[name] = values[min(place, len(values) - 1)]
        try:
            made.append(kind(**chosen))
        except Exception as error:
            reasons.append(f"{error}")
    if not made:
        raise ModelError(
            f"check: {kind.__name__} needs {', '.join(hints)}, and simple values do not work ({reasons[0]}). Give an "
            f"instance, as in fl.check({kind.__name__}({next(iter(hints))}=…)), or give it examples."
        )
    return made
