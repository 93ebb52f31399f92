"""A step as the page reads it: the net, tensors of one image, what a value is made of, and what changes, as JSON."""

from __future__ import annotations

import base64
import sys
from collections.abc import Container, Iterator
from html import escape
from importlib.util import find_spec

import numpy as np

from firstlight import diagram
from firstlight.app.server.errors import UnknownError
from firstlight.formulas import FormulaError, formulas_of, mathml
from firstlight.layers.layer_step import LayerStep
from firstlight.losses import LossStep
from firstlight.report.format import counted, percent
from firstlight.training_step import Step
from firstlight.types import Array, Json, Shape
from firstlight.working import Working, number

SHOWN = ("ratio", "gradient", "weights", "silent")  # of `LayerStatistics`
POINTS = 120  # of a curve over the steps
SENT_AT_ONCE = 100_000  # values of a tensor; of a larger one, a channel is asked for at a time
LONGEST = 60  # characters of a place in an address


def net(step: Step, width: int) -> Json:
    """The net: its picture, at most `width` CSS pixels wide where that can be, its layers, and its loss.

    first   the number of the layer that is shown first: the first one with weights
    weight  the place of a weight to begin with, in the middle of the first array
    """
    task = step.course.task
    layers = [layer(each) for each in step.layers.values()]
    first = next((n for n, each in enumerate(step.layers.values()) if each.parameters), 0)
    name, array = next(_learnt(step), ("", None))
    middle = None if array is None else [side // 2 for side in array.shape]
    rows = [row for row in task.model.summary() if row.name in step.course.places]
    formulas = formulas_of(task.loss)
    lines = [*formulas.forward, *formulas.where, *formulas.backward]
    return {
        "net": diagram.embedded(rows, task.model.input_shape, step.course.name, width=width, interactive=True),
        "layers": layers,
        "first": first,
        "weight": None if middle is None else {"name": name, "index": middle},
        "loss": {"name": task.loss.name, "formulas": [typeset(line) for line in lines]},
        "classes": list(step.images.class_names),
        "size": list(step.images.shape[:2]),
        "epoch": step.course.steps_per_epoch,
    }


def _learnt(step: Step) -> Iterator[tuple[str, Array]]:
    """The arrays that are trained, by their names in the net."""
    for path, each in step.layers.items():
        for name, array in each.parameters.items():
            if name in each.parameter_gradients:
                yield f"{path}.{name}", array


def state(step: Step, n: int, ended: str = "") -> Json:
    """What changes with the step, beside the layer that is looked at; n is the image that is shown."""
    names, loss = step.images.class_names, step.loss
    answer = int(step.predicted[n])
    share = float(loss.probabilities[n, answer])
    return {
        "at": step.number,
        "text": f"loss {loss.value:.4g} · prediction {names[answer]} ({percent(share)})",
        "loss": {
            "value": number(float(loss.values[n])),
            "mean": number(loss.value),
            "penalty": loss.penalty,
            "label": int(step.images.labels[n]),
            "rows": [{"name": name} | _outputs(loss, n, k) for k, name in enumerate(names)],
        },
        "history": _history(step),
        "ended": ended,
    }


def _outputs(loss: LossStep, n: int, k: int) -> Json:
    """What stands beside class k; one output of two classes stands beside the first."""
    found: Json = {"p": number(float(loss.probabilities[n, k]))}
    if k < len(loss.y):
        found |= {name: number(float(array[k, n])) for name, array in (("y", loss.y), ("t", loss.t), ("dy", loss.dy))}
    return found


def _history(step: Step) -> Json:
    """The numbers of the steps before, at most POINTS of them, and of this one."""
    rows = step.history
    kept = np.linspace(0, len(rows) - 1, min(POINTS, len(rows))).astype(int)
    rows = [rows[n] for n in dict.fromkeys(kept.tolist())]
    leaves = {path: now for path, now in step.statistics.items() if not step.layers[path].inner}
    return {
        "numbers": [*(row.number for row in rows), step.number],
        "loss": [*(_plain(row.looked) for row in rows), number(step.loss.value)],
        "trained": None if step.course.own else [*(number(row.loss) for row in rows), None],
        "layers": [
            {"path": path}
            | {
                key: [*(_plain(getattr(row.layers.get(path), key, None)) for row in rows), _plain(getattr(now, key))]
                for key in SHOWN
                if getattr(now, key) is not None
            }
            for path, now in leaves.items()
        ],
    }


def _plain(value: float | None) -> float | str | None:
    return None if value is None else number(value)


def layer(step: LayerStep) -> Json:
    """What is known of a layer before its numbers."""
    formulas = formulas_of(step.layer)
    count = sum(array.size for array in step.parameters.values())
    told = f"{_sides(step.input_shape)} in, {_sides(step.output_shape)} out, {counted(count, 'parameter')}"
    return {
        "path": step.path,
        "type": step.type,
        "output": list(step.output_shape),
        "told": f"{told}, from {step.source}." if step.source else f"{told}.",
        "forward": [typeset(line) for line in (*formulas.forward, *formulas.where)],
        "backward": [typeset(line) for line in formulas.backward],
        "tensors": [*_tensors(step)],
    }


def _tensors(step: LayerStep) -> Iterator[Json]:
    """What is shown of a layer, in order: on which side, and what becomes of a value that is chosen there.

    explains  whose working it has, as `LayerStep.working` calls it
    dials     the parameter that a value is one of, or the gradient of
    """
    dials = {name: f"{step.path}.{name}" for name in step.parameter_gradients}
    yield {"name": "x", "label": "x, the input", "side": "forward"}
    for name in step.parameters:
        learnt = {"dials": dials[name]} if name in dials else {}
        yield {"name": name, "label": f"{name}, learnt" if learnt else name, "side": "forward", **learnt}
    yield {"name": "y", "label": "y, the output", "side": "forward", "explains": "y"}
    yield {"name": "dy", "label": "dy, which comes in", "side": "backward"}
    for name in step.parameters:
        if name in dials:
            told = {"explains": name, "dials": dials[name]}
            yield {"name": f"d{name}", "label": f"d{name}", "side": "backward", **told}
    yield {"name": "dx", "label": "dx, which goes out", "side": "backward", "explains": "dx"}


def arrays(step: LayerStep, n: int) -> dict[str, Array]:
    """The tensors of a layer by the names that the page has, of image n of the batch."""
    of_image = {"x": step.x, "y": step.y, "dy": step.dy, "dx": step.dx}
    gradients = {f"d{name}": array for name, array in step.parameter_gradients.items()}
    return {name: array[..., n] for name, array in of_image.items()} | step.parameters | gradients


def tensors(step: LayerStep, n: int) -> Json:
    """All tensors of a layer, the values of those that are not too large for it."""
    return {name: _tensor(array) for name, array in arrays(step, n).items()}


def channel(step: LayerStep, n: int, name: str, at: int) -> Json:
    """One channel of a tensor."""
    known = arrays(step, n)
    if name not in known:
        raise UnknownError(f"{step.path} has no {name[:LONGEST]!r}.")
    array = known[name] if known[name].ndim > 1 else known[name][None]
    if not 0 <= at < len(array):
        raise UnknownError(f"{name} of {step.path} has {counted(len(array), 'channel')}; there is no number {at}.")
    return {"values": packed(array[at])}


def _tensor(array: Array) -> Json:
    finite = array[np.isfinite(array)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return {
        "shape": list(array.shape),
        "low": low,
        "high": high,
        "extent": max(abs(low), abs(high)),
        "values": packed(array) if array.size <= SENT_AT_ONCE else None,
    }


def packed(array: Array) -> str:
    """float32 in the order of C, little-endian, in base64."""
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def working(step: LayerStep, n: int, of: str, place: str) -> Json:
    """What a value of a layer is made of."""
    index = place_of(place)
    found = step.working(of, (*index, n) if of in ("y", "dx") else index)
    name = of if of in ("y", "dx") else f"d{of}"
    title = f"{name}[{', '.join(map(str, index))}]"
    return written(found, title, keep=step.parameters if step.x.shape[-1] == 1 else None) | {"place": list(index)}


def loss_working(step: Step, n: int, of: str, k: int) -> Json:
    """What the loss of image n, or its gradient with respect to output k, is made of."""
    found = step.loss.working(of, (n,) if of == "value" else (k, n))
    title = "the loss" if of == "value" else f"dy[{k}]"
    return written(found, title, keep=() if len(step.images) == 1 else None)


def weight(step: Step, name: str, place: str, autograd: bool) -> Json:
    """One weight: `WeightStep.to_json`, with the formulas of its update typeset.

    autograd  whether PyTorch is loaded for it, where it is not yet; else that is `pending`
    """
    found = step.weight(name, place_of(place))
    ready = autograd or "torch" in sys.modules or find_spec("torch") is None
    told = found.to_json(autograd=ready)
    return told | {"update": written(found.update, name), "working": written(found.working, name), "pending": not ready}


def written(found: Working, title: str, keep: Container[str] | None = None) -> Json:
    """A working as the page shows it: `Working.to_json`, with a title, and its formulas typeset.

    keep  of a batch of one image, the arrays that have no axis for the batch; the others' is left out
    """
    told = found.to_json()
    for line in told["lines"]:
        line["mathml"] = typeset(line["formula"], plain="")
        for operand in (operand for product in line["products"] for operand in product["operands"]):
            if keep is not None and operand["index"] is not None and operand["array"] not in keep:
                operand["index"] = [place[:-1] for place in operand["index"]]
    return told | {"title": title}


def place_of(text: str) -> tuple[int, ...]:
    """A place such as "3,5,7" in an address. Raises UnknownError where it is none."""
    parts = text.split(",")
    if len(text) > LONGEST or not all(part.isascii() and part.isdecimal() for part in parts):
        raise UnknownError(f"A place is integers with commas between them; received {text[:LONGEST]!r}.")
    return tuple(map(int, parts))


def typeset(text: str, plain: str | None = None) -> str:
    """A formula as MathML; `plain`, or the text itself in the element <span>, where it is more words than formula."""
    try:
        return mathml(text)
    except FormulaError:
        return f"<span>{escape(text)}</span>" if plain is None else plain


def _sides(shape: Shape) -> str:
    return "×".join(map(str, shape))
