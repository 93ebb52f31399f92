"""Named architectures: registered, built by name with options, and what their files share.

A named architecture is a function of the input shape (H, W, C) and the number of classes that returns a chain of
layers; its other arguments are options with the usual choices as defaults.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ParamSpec, overload

from annotated_types import Ge, Lt

from firstlight.components import Functions, Option, kebab
from firstlight.constraints import OneOf, as_tuple, fits, refusal
from firstlight.errors import ModelError, nearest
from firstlight.layers import ACTIVATIONS, Chain, Dense, Layer, from_json
from firstlight.models.model import Model
from firstlight.types import Shape

GREY28: Shape = (28, 28, 1)
GREY32: Shape = (32, 32, 1)
COLOUR32: Shape = (32, 32, 3)

Positive = Annotated[int, Ge(1)]
Rate = Annotated[float, Ge(0), Lt(1)]
Penalty = Annotated[float, Ge(0)]
ActivationName = Annotated[str, OneOf(ACTIVATIONS)]

ARCHITECTURES: Functions[Model] = Functions(
    "architecture", takes=("input_shape", "classes"), error=ModelError, place="model"
)
OUTPUTS = Option(
    "outputs",
    Positive,
    "one per class",
    "the units of the head, where they are not one per class, as for one sigmoid of two",
)

P = ParamSpec("P")


@overload
def architecture(layers_of: Callable[P, Chain], /) -> Callable[P, Model]: ...
@overload
def architecture(name: str) -> Callable[[Callable[P, Chain]], Callable[P, Model]]: ...
def architecture(name: Any) -> Any:
    """Register a function that returns layers, as a named architecture that returns a Model with its options.

    name  its name, where it is not to be the function's: `@architecture` makes tiny_net to tiny-net
    Raises ModelError where the function has no docstring or other arguments, or where the name is taken.
    """
    return _registered(name, "") if callable(name) else functools.partial(_registered, name=name)


def _registered(layers_of: Callable[P, Chain], name: str) -> Callable[P, Model]:
    ARCHITECTURES.check(layers_of)
    name, signature = name or kebab(layers_of.__name__), inspect.signature(layers_of)

    @functools.wraps(layers_of)
    def model(*args: P.args, **kwargs: P.kwargs) -> Model:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        options = {key: as_tuple(value) for key, value in bound.arguments.items()}
        input_shape, classes = options.pop("input_shape"), options.pop("classes")
        for option in ARCHITECTURES.options(name):
            _check(option, bound.arguments[option.name])
        return Model(name, layers_of(*args, **kwargs), tuple(input_shape), classes, options)

    ARCHITECTURES.add(name, model, layers_of)
    return model


def _check(option: Option, value: Any) -> None:
    """Raise ModelError unless an option of an architecture may have this value."""
    if not fits(option.annotation, as_tuple(value)):
        text = f"model.{option.name} {refusal(option.annotation, value)} The default is {option.default!r}."
        raise ModelError(text, key=f"model.{option.name}")


def build(name: str, input_shape: Shape, classes: int, options: Mapping[str, Any] | None = None) -> Model:
    """Return the named architecture for images of `input_shape` (H, W, C), with options.

    One option every architecture has: "outputs", the units of its head where they are not one per class, such as the
    one of a sigmoid that tells two classes apart.
    Raises ModelError for an unknown name or option, or where the model does not fit.
    """
    chosen = complete(name, options or {})
    if OUTPUTS.name not in chosen:
        return ARCHITECTURES[name](input_shape, classes, **chosen)
    own = {option: value for option, value in chosen.items() if option != OUTPUTS.name}
    layers: Chain = inspect.unwrap(ARCHITECTURES[name])(input_shape, chosen[OUTPUTS.name], **own)
    return Model(name, layers, tuple(input_shape), classes, chosen)


def complete(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a named architecture: those given, checked, and the defaults of the others."""
    known = {option.name: option for option in options_of(name)}
    chosen = defaults(name)
    for option, value in options.items():
        if option not in known:
            text = f"model.{option}: {name} has no such option. {nearest(option, chosen)}".rstrip()
            raise ModelError(text, key=f"model.{option}")
        _check(known[option], value)
        chosen[option] = as_tuple(value)
    return chosen


def defaults(name: str) -> dict[str, Any]:
    """The options of a named architecture with their defaults."""
    return ARCHITECTURES.defaults(_known(name))


def options_of(name: str) -> tuple[Option, ...]:
    """The options of a named architecture, and the one that all have."""
    return (*ARCHITECTURES.options(_known(name)), OUTPUTS)


def default_shape(name: str) -> tuple[Shape, int]:
    """The input shape (H, W, C) and the number of classes that a named architecture is usually shown with."""
    parameters = inspect.signature(ARCHITECTURES[_known(name)]).parameters
    return parameters["input_shape"].default, parameters["classes"].default


def custom(layers: Sequence[Mapping[str, Any]], input_shape: Shape, classes: int, name: str = "custom") -> Model:
    """A model given layer by layer, as in a file's `[[model.layers]]`."""
    return Model(name, Chain(tuple(from_json(layer) for layer in layers)), input_shape, classes)


def _known(name: str) -> str:
    if name not in ARCHITECTURES:
        raise ModelError(
            f"model.name: there is no model called {name!r}. {nearest(name, ARCHITECTURES)}", key="model.name"
        )
    return name


def head(classes: int) -> Dense:
    return Dense(classes, name="head")


def activation_layer(name: str) -> Layer:
    if name not in ACTIVATIONS:
        text = f"model.activation: {name!r} is unknown. {nearest(str(name), ACTIVATIONS)}"
        raise ModelError(text, key="model.activation")
    return ACTIVATIONS[name]()


def initializer_for(activation: str) -> str:
    """SELU keeps means and variances only from LeCun's start (Klambauer et al. 2017)."""
    return "lecun_normal" if activation == "selu" else "glorot_uniform"
