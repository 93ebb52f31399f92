"""What a notebook shows of a step of training: its layers, one layer's maps, the loss, a weight, a number's working."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firstlight.layers import LayerStep
from firstlight.losses import LossStep
from firstlight.report.document import Block, Document, ImageGrid, Number, Numbers, Picture, Section, Table, Text
from firstlight.report.format import DASH, count, decimal, significant
from firstlight.report.sections.layers import Layers, blocks
from firstlight.text import display_names
from firstlight.training_step import Step, WeightStep, Working
from firstlight.types import Array
from firstlight.working import Line

IMAGES, MAPS, TERMS, CLASSES = 10, 16, 12, 12  # shown at most
CELLS = 4096  # of a map that is drawn


def step_card(step: Step) -> Document:
    """The images with their answers, the net, and a row per layer: how large everything is, and how far it moves."""
    names, loss, images = display_names(step.images.class_names), step.loss, step.images
    pictures = tuple(
        Picture(
            images.pixels[n],
            f"{names[images.labels[n]]}: loss {decimal(float(loss.values[n]), 3)}",
            f"predicted as {names[step.predicted[n]]}",
            right=bool(step.predicted[n] == images.labels[n]),
        )
        for n in range(min(len(images), IMAGES))
    )
    model = step.course.task.model
    summary = Layers(
        model.name, model.input_shape, model.summary(), model.parameters, model.trainable, model.frozen_parameters,
        model.multiply_adds,
    )  # fmt: skip
    numbers = (
        Number("loss", decimal(loss.value), "before the step"),
        Number("step", count(step.number + 1), f"epoch {step.epoch + 1}"),
        Number("learning rate", significant(step.rate), step.course.optimizer_name),
        Number("images", count(len(images))),
    )
    sections = (
        Section("The images", "images", (ImageGrid(pictures, columns=10),)),
        Section("Layer by layer", "statistics", (_statistics(step),)),
        Section("The loss", "loss", _loss(loss, 0, names)),
        Section("The net", "net", blocks(summary)[:-1]),
    )
    return Document("Step", step.course.name, "one step of training", "", Numbers(numbers), sections)


def _statistics(step: Step) -> Table:
    rows = []
    for path, one in step.statistics.items():
        moved = (one.weights, one.gradient, one.update, one.ratio)
        numbers = (one.output, one.dy, *moved)
        rows.append((path, step.layers[path].type, *map(_number, numbers), f"{100 * one.silent:.0f} %"))
    titles = ("layer", "type", "output", "its gradient", "weights", "their gradient", "update", "update / weights",
              "silent")  # fmt: skip
    text = "Root mean squares. Silent: channels or features that give zero for all images."
    return Table(tuple(rows), titles, right=frozenset(range(2, 9)), caption=text)


def layer_card(layer: LayerStep) -> Document:
    """What one layer gave for the first image, and the gradient with respect to it, as maps; and its parameters."""
    made: list[Block] = [*_maps(layer.y, "The output"), *_maps(layer.dy, "The gradient of the loss with respect to it")]
    for name, gradient in layer.parameter_gradients.items():
        weights = layer.parameters[name]
        made += _maps(weights, name, batch=False) + _maps(gradient, f"The gradient with respect to {name}", batch=False)
    shapes = "×".join(map(str, layer.input_shape)), "×".join(map(str, layer.output_shape))
    numbers = Numbers((Number("input", shapes[0]), Number("output", shapes[1], "channels first")))
    return Document("Layer", layer.path, layer.type, "", numbers, (Section("Maps", "maps", tuple(made)),))


def _maps(array: Array, title: str, batch: bool = True) -> list[Block]:
    """The first maps of an array, from its smallest number in black to its largest in white; of a vector, one row."""
    one = array[..., 0] if batch else array
    if one.ndim == 4:  # the filters of a convolution, of its first channel
        one = one[:, 0]
    maps = (one if one.ndim == 3 else one.reshape(1, 1, -1) if one.ndim < 2 else one[None])[:MAPS]
    low, high = float(one.min()), float(one.max())
    same = f"all {significant(low)}"
    caption = f"{title}: {same if low == high else f'{significant(low)} to {significant(high)}, black to white'}"
    if maps[0].size > CELLS or not np.isfinite(low + high):
        return [Text(f"{caption}; {count(one.size)} numbers.", tone="note")]
    grey = np.zeros(maps.shape, np.uint8) if high == low else ((maps - low) / (high - low) * 255).astype(np.uint8)
    more = f"; the first {MAPS} of {len(one)}" if one.ndim == 3 and len(one) > MAPS else ""
    pictures = tuple(Picture(each[:, :, None], str(k) if len(grey) > 1 else "") for k, each in enumerate(grey))
    return [ImageGrid(pictures, columns=8 if len(grey) > 1 else 1, caption=f"{caption}{more}.")]


def loss_card(loss: LossStep) -> Document:
    """Outputs, probabilities, targets and gradient of the first image."""
    numbers = Numbers((Number("loss", decimal(loss.value), f"the mean of {count(len(loss.values))}"),))
    return Document("Loss", loss.loss.name, "", "", numbers, (Section("The first image", "loss", _loss(loss, 0)),))


def _loss(loss: LossStep, n: int, names: Sequence[str] = ()) -> tuple[Block, ...]:
    units = len(loss.y)
    rows = [
        (
            names[k] if units == len(names) else str(k),
            _number(float(loss.y[k, n])),
            _number(float(loss.probabilities[n, k])) if loss.probabilities.shape[1] == units else DASH,
            _number(float(loss.t[k, n])),
            _number(float(loss.dy[k, n])),
        )
        for k in np.argsort(-loss.y[:, n], kind="stable")[:CLASSES]
    ]
    text = f"Of the first image, the largest first; its loss is {decimal(float(loss.values[n]))}."
    titles = ("class", "output y", "probability p", "target t", "gradient dy")
    return (Table(tuple(rows), titles, right=frozenset(range(1, 5)), caption=text),)


def weight_card(weight: WeightStep) -> Document:
    """The derivative in three ways, the sum that makes it, and what the optimizer does with it."""
    found = [
        ("by hand, in float32", _number(weight.by_hand, 6)),
        ("by autograd", weight.no_autograd if weight.by_autograd is None else _number(weight.by_autograd, 6)),
        ("by a nudge", _number(weight.by_nudge, 6)),
    ]
    if weight.penalty:
        found.append(("of the penalties, beside", _number(weight.penalty)))
    place = ", ".join(map(str, weight.index))
    verdict = "They agree, but for rounding." if weight.agrees else "They do not agree: one of them is wrong."
    sections = (
        Section("The derivative of the loss", "derivative", (Table(tuple(found)),)),
        Section("The sum that makes it", "working", _lines(weight.working)),
        Section("The step of the optimizer", "update", _lines(weight.update)),
    )
    numbers = Numbers((Number("weight", _number(weight.value)), Number("after the step", _number(weight.after))))
    return Document("Weight", f"{weight.name}[{place}]", "", verdict, numbers, sections)


def working_card(working: Working) -> Document:
    """Line by line, and the largest terms."""
    place = ", ".join(map(str, working.index))
    verdict = "" if working.agrees else "The engine has another number than these terms make."
    numbers = (
        Number("the engine's", _number(working.value)),
        Number("by the terms", _number(working.worked), f"apart by {working.difference:.1g}"),
        Number("rounding", f"{working.rounding:.1g}", "at the most"),
    )
    section = Section("Working", "working", _lines(working))
    return Document("Working", f"{working.of}[{place}]", "", verdict, Numbers(numbers), (section,))


def _lines(working: Working) -> tuple[Block, ...]:
    rows = tuple((line.formula or line.symbol, line.says, _number(line.value)) for line in working.lines)
    made: list[Block] = [Table(rows, ("formula", "", "value"), right=frozenset({2}))]
    for line in working.lines:
        made += _terms(line)
    return (*made, *([Text(working.note, tone="note")] if working.note else []))


def _terms(line: Line) -> list[Block]:
    """The largest terms of a sum, factor by factor."""
    tables: list[Block] = []
    for product in line.products if line.kind != "value" else ():
        values = product.values
        chosen = np.sort(np.argsort(-np.abs(values), kind="stable")[:TERMS])
        if len(values) < 2:
            continue
        titles = []
        for operand in product.operands:
            titles += [operand.array or "factor", ""] if operand.index is not None else [operand.array or "factor"]
        rows = []
        for t in chosen:
            cells: list[str] = []
            for operand in product.operands:
                at = [] if operand.index is None else [f"[{', '.join(map(str, operand.index[t]))}]"]
                cells += [*at, _number(float(operand.values[t]))]
            rows.append((*cells, _number(float(values[t]))))
        what = "terms" if line.kind == "sum" else "numbers"
        largest = "" if len(values) <= TERMS else f"The {TERMS} largest of "
        caption = f"{line.symbol}: {largest}{count(len(values))} {what}, together {_number(float(values.sum()))}."
        if line.kind == "largest":
            caption = f"{line.symbol}: {largest}{count(len(values))} {what}, of which the largest counts."
        right = frozenset(range(len(titles) + 1))
        tables.append(Table(tuple(rows), (*titles, "product"), right=right, caption=caption))
    return tables


def _number(value: float | None, digits: int = 4) -> str:
    if value is None:
        return DASH
    return "0" if value == 0 else f"{value:.{digits}g}".replace("-", "−")
