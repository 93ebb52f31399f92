"""Makes the pages of the derivations from the files of layers, losses and optimizers; the build of the book calls it.

    python docs/derivations.py

Nothing on them is typed: formulas are the docstring's, steps the module docstring's, code is the source, numbers are
what the code gives.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.checks import gradients
from firstlight.components import kebab, options_of, values_of
from firstlight.formulas import Step, derivation_of, formulas_of, mathml
from firstlight.kernels import reference
from firstlight.layers import LAYERS, Activation, Layer, Softmax
from firstlight.losses import LOSSES, Loss
from firstlight.optimizers import OPTIMIZERS, Lagged, Lookahead, MovingAverage, Optimizer

FOLDER = Path(__file__).absolute().parent / "derivations"
RELATION = re.compile(r"\s(\+=|[=←≈])\s")
WRAPPERS = {"lagged": Lagged, "lookahead": Lookahead, "moving-average": MovingAverage}
TABLE = (
    "table.derivation td{padding:.15em .5em;vertical-align:middle} table.derivation td:first-child{text-align:right}"
)


def main() -> None:
    for name, text in pages().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """The text of each page, by its place in docs/derivations."""
    layers = {f"layers/{kebab(name)}.md": layer_page(name, kind) for name, kind in LAYERS.ours().items()}
    losses = {f"losses/{name}.md": loss_page(name, kind) for name, kind in LOSSES.ours().items()}
    all_optimizers: dict[str, type[Any]] = {**OPTIMIZERS.ours(), **WRAPPERS}
    optimizers = {f"optimizers/{name}.md": optimizer_page(name, kind) for name, kind in all_optimizers.items()}
    return layers | losses | optimizers


def layer_page(name: str, kind: type[Layer]) -> str:
    parts = [*_mathematics(name, kind), *_curves(kind), *_code(kind, ("forward",)), *_twin(kind)]
    return _page([*parts, "## Examples, cost and memory", *_examples(kind)])


def loss_page(name: str, kind: type[Loss]) -> str:
    parts = [*_mathematics(name, kind), *_code(kind, ("values", "gradient")), *_twin(kind)]
    return _page([*parts, "## In numbers", *_loss_example(kind())])


def optimizer_page(name: str, kind: type[Any]) -> str:
    parts = [*_mathematics(name, kind), *_code(kind, ("scalars", "formula", "update")), *_twin(kind)]
    if issubclass(kind, Optimizer) and name not in WRAPPERS:
        parts += ["## In numbers, and memory", *_steps(kind())]
    return _page(parts)


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"


# --- mathematics ------------------------------------------------------------------------------------------------------


def _mathematics(name: str, kind: type[Any]) -> Iterator[str]:
    yield f"# {name}"
    yield (sys.modules[kind.__module__].__doc__ or "").partition("\n")[0]
    found = formulas_of(kind)
    yield "## Formula"
    yield _lines(Step(text) for text in (*found.forward, *found.where, *found.backward))
    yield "## Derivation"
    steps: list[Step] = []
    for part in (*derivation_of(kind), ""):
        if isinstance(part, Step):
            steps.append(part)
            continue
        if steps:
            yield _lines(steps)
            steps = []
        if part:
            yield _plain(part)


def _lines(steps: Iterable[Step]) -> str:
    return _raw(f'<table class="derivation">{"".join(map(_row, steps))}</table>')


def _row(step: Step) -> str:
    """A line in three columns: what it is of, what that is, and why."""
    left, right = _sides(step.formula)
    shown = (f"<td>{mathml(side, display=True) if side else ''}</td>" for side in (left, right))
    return f"<tr>{''.join(shown)}<td>{escape(step.reason)}</td></tr>"


def _sides(formula: str) -> tuple[str, str]:
    """What stands before the first sign of a relation that is in no brackets, and the rest."""
    for found in RELATION.finditer(f" {formula}"):
        before = formula[: max(found.start() - 1, 0)]
        if sum(map(before.count, "([{")) == sum(map(before.count, ")]}")):
            return before.strip(), formula[len(before) :].strip()
    return formula, ""


def _curves(kind: type[Layer]) -> Iterator[str]:
    """Of an activation of each number by itself: y and its derivative, from its own `forward` and `backward`."""
    if not issubclass(kind, Activation) or kind is Softmax:
        return
    x = np.linspace(-4, 4, 161)
    y, backward = kind().forward({}, x, gradients.a_pass(training=True))
    slope = backward(np.ones_like(x))[0]
    low, high = -2.0, 4.0

    def path(values: Any) -> str:
        places = ((40 * (a + 4), 40 * (high - b)) for a, b in zip(x, np.clip(values, low, high), strict=True))
        return "M" + " L".join(f"{a:.1f},{b:.1f}" for a, b in places)

    axes = "M0,160 H320 M160,0 V240"
    yield _raw(
        f'<svg viewBox="-10 -10 340 260" width="340" role="img" aria-label="{kind.__name__} and its derivative from '
        f'−4 to 4" fill="none" stroke="currentColor"><path d="{axes}" stroke-width="0.7" opacity="0.5"/>'
        f'<path d="{path(y)}" stroke-width="2.2"/><path d="{path(slope)}" stroke-width="1.6" stroke-dasharray="5 4"/>'
        "</svg>"
    )
    yield "y for x from −4 to 4, and dashed its derivative y′, which is dx where dy is 1."


# --- code -------------------------------------------------------------------------------------------------------------


def _code(kind: type[Any], methods: Iterable[str]) -> Iterator[str]:
    yield "## The code"
    yield f"`{kind.__module__.replace('.', '/')}.py`:"
    own = [vars(kind)[method] for method in methods if method in vars(kind)]
    own += [value.fget for name, value in vars(kind).items() if isinstance(value, property) and name.startswith("_")]
    yield _source(own)
    helpers = list(dict.fromkeys(helper for method in own for helper in _helpers(method)))
    if helpers:
        yield "What it calls:"
        yield _source(helpers)


def _helpers(method: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The functions of firstlight that a method calls, and the readable kernels."""
    for name in _names(method.__code__):
        found = method.__globals__.get(name)
        if inspect.isfunction(found) and found.__module__.startswith(("firstlight.layers", "firstlight.losses")):
            yield found
        if f"kernels.{name}(" in inspect.getsource(method) and hasattr(reference, name):
            yield getattr(reference, name)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _twin(kind: type[Any]) -> Iterator[str]:
    yield "## The twin in PyTorch"
    if "twin" in vars(kind):
        yield _source([kind.twin])
    elif "twin_step" in vars(kind):
        yield _source([kind.twin_step])
    else:
        yield "It has none of its own: PyTorch works out its formula."


def _source(functions: Iterable[Callable[..., Any]]) -> str:
    text = "\n\n".join(textwrap.dedent(inspect.getsource(function)).rstrip() for function in functions)
    return f"```python\n{text}\n```"


# --- numbers ----------------------------------------------------------------------------------------------------------


def _examples(kind: type[Layer]) -> Iterator[str]:
    rows = []
    for example in kind.examples:
        layer, shape = example.layer, example.input_shape
        parameters = list(gradients.leaves(layer.parameters(shape)))
        size = sum(parameter.size for _, parameter in parameters)
        kept = kept_numbers(layer, shape)
        x, y = ("\u00a0×\u00a0".join(map(str, sides)) for sides in (shape, layer.output_shape(shape)))
        rows.append((f"`{_call(layer)}`", x, y, f"{size:,}", f"{layer.multiply_adds(shape):,}", f"{kept:,}"))
    titles = "example", "x", "y", "parameters", "multiply-adds", "kept for backward"
    yield _table([titles, *rows])
    yield (
        "Shapes, multiply-adds of `forward`, and the numbers that `backward` keeps besides the parameters, are of one "
        "image; a number takes 4 bytes, and the place of a largest value or a mask less."
    )
    if any(example.layer.multiply_adds(example.input_shape) for example in kind.examples):
        yield "`backward` takes about twice the multiply-adds of `forward`: once for dx, and once for the parameters."


def kept_numbers(layer: Layer, shape: tuple[int, ...]) -> int:
    """How many numbers of arrays `backward` holds on to for one image of training, parameters left out."""
    random = np.random.default_rng(0)
    p = gradients.parameters(layer, shape, random)
    ours = {id(_root(array)) for _, array in gradients.leaves(p)}
    count = 2 if "BatchNorm" in repr(layer) else 1  # it needs two images
    x = random.standard_normal((*shape, count))
    _, backward = layer.forward(p, x, gradients.a_pass(training=True))
    found = {id(array): array.size for array in _held(backward, set()) if id(array) not in ours}
    return sum(found.values()) // count


def _held(value: Any, seen: set[int]) -> Iterator[Any]:
    """The arrays that a value holds on to: in the variables of a function, or in a collection."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        yield _root(value)
    elif isinstance(value, types.FunctionType):
        for cell in value.__closure__ or ():
            yield from _held(cell.cell_contents, seen)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _held(each, seen)


def _root(array: Any) -> Any:
    return array if array.base is None or not isinstance(array.base, np.ndarray) else _root(array.base)


def _call(component: Any) -> str:
    """A layer as one writes it, without what is so by default."""
    values = values_of(component)
    given = {o.name: values[o.name] for o in options_of(type(component)) if o.required or values[o.name] != o.default}
    return f"{type(component).__name__}({', '.join(f'{name}={_written(value)}' for name, value in given.items())})"


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_written, value))}{',' if len(value) == 1 else ''})"
    return _call(value) if isinstance(value, Layer) else repr(value)


def _loss_example(loss: Loss) -> Iterator[str]:
    y, label = np.array([[2.0], [1.0], [-0.5]]), np.array([1])
    value, dy = loss.value_and_gradient(y, label)
    p = loss.probabilities(y)[0]
    rows = [
        (k, f"{y[k, 0]:g}", int(k == label[0]), f"{p[k]:.4f}", f"{dy[k, 0]:.4f}".replace("-", "−"))
        for k in range(len(y))
    ]
    yield f"One image of class 1 of three, K = 3 and N = 1. Its loss is {value:.4f}."
    yield _table([("class", "y", "t", "probability", "dy"), *rows])
    yield "`values` and `gradient` take a few operations for each output: next to nothing beside the net's."


def _steps(optimizer: Optimizer) -> Iterator[str]:
    if type(optimizer).formula is Optimizer.formula:
        return
    theta, state = np.array([1.0]), optimizer.state(1, np.float64)
    rows = []
    for t in range(1, 5):
        g = 2 * theta
        optimizer.step(theta, g, state, 0.1)
        moments = (f"{name} = {state[name][0]:.4f}" for name in optimizer.moments)
        rows.append((t, f"{g[0]:.4f}", ", ".join(moments) or "none", f"{theta[0]:.4f}"))
    yield "Steps of a learning rate of 0.1 down L = θ², whose gradient is 2 θ, from θ = 1, with the default options:"
    yield _table([("step", "g", "moments", "θ"), *rows])
    count = len(optimizer.moments)
    yield f"Beside each weight and its gradient it keeps {count or 'no'} number{'s' if count != 1 else ''}."


# --- text -------------------------------------------------------------------------------------------------------------


def _raw(html: str) -> str:
    return f"```{{raw}} html\n{html}\n```"


def _plain(text: str) -> str:
    """A paragraph of a docstring, whose signs are no markup."""
    return re.sub(r"([*_\[\]<>|])", r"\\\1", text)


def _table(rows: Iterable[Iterable[object]]) -> str:
    titles, *found = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, ["---"] * len(titles), *found))


if __name__ == "__main__":
    main()
