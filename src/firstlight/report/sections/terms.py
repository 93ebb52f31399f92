"""What a first reader asks of a run, answered for this one: labels, loss, metric, image size, and the terms."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.records.group import Group
from firstlight.records.model import LayerRecord
from firstlight.report.document import Block, Heading, Section, Table
from firstlight.report.format import count, percent
from firstlight.text import listed

LOSSES = {
    "cross-entropy": (
        "cross-entropy: the negative logarithm of the predicted probability of the true class. Its gradient with "
        "respect to the logits is p − t, which stays large as long as a prediction is wrong."
    ),
    "binary-cross-entropy": (
        "binary cross-entropy: cross-entropy for one sigmoid output, the probability of the second class. Its gradient "
        "with respect to the logit is p − t."
    ),
    "softmax-binary-cross-entropy": (
        "cross-entropy with the term of the wrong classes, −(1 − t) log(1 − p), beside it: it is larger than "
        "cross-entropy, so compare it with losses of its own kind alone."
    ),
    "half-mse": "half of the squared error: where a softmax or sigmoid is surely wrong, its gradient is nearly 0.",
    "focal": (
        "focal loss: cross-entropy, multiplied by (1 − p)^γ for the probability p of the true class: images that "
        "the net is sure of count little. Compare it with losses of its own γ alone."
    ),
    "mse": "the mean squared error: where a softmax or sigmoid is surely wrong, its gradient is nearly 0.",
}
SAME_FOR_ANY_SIZE = ("Conv2D", "BatchNorm")
SHOWN = 4  # layers that are named

TERMS = (
    ("Accuracy", "The share of images whose most probable class is the true one."),
    (
        "95 % interval",
        "A range of plausible values of the accuracy on all such images, after Wilson; it is narrower the more test "
        "images there are. It does not cover what another seed would give.",
    ),
    ("Loss", "What training minimizes; a confident wrong prediction costs most."),
    (
        "Validation, test",
        "Images that are not trained on. Validation images choose weights and settings; test images measure the "
        "result.",
    ),
    ("Epoch", "One pass over the training images. A step is one batch of them, and one update of the weights."),
    (
        "Parameters",
        "The numbers of the net. Trainable ones are updated by the optimizer; running statistics of batch norm are "
        "moving averages.",
    ),
    ("Multiply-adds", "Multiplications, each with its addition, for one image (MACs): the work of one prediction."),
    ("Overfitting", "The net does better on the images that it was trained on than on others."),
    (
        "Calibration error",
        "The mean gap between confidence and accuracy, over bins of predictions of similar confidence.",
    ),
    (
        "Precision, recall, F1",
        "Precision: of the images predicted as a class, the share that belongs to it. Recall: of the images of a "
        "class, the share that was predicted as it. F1: their harmonic mean.",
    ),
    ("Top-k accuracy", "The share of images whose true class is among the k most probable ones."),
    (
        "McNemar’s test",
        "Whether the accuracies of two nets differ, judged by the test images on which only one of them is right.",
    ),
    (
        "Holm’s correction",
        "Of many comparisons some are significant by chance alone: the more there are, the smaller each p must be.",
    ),
)


def section(groups: Sequence[Group]) -> Section | None:
    """The answers of the run of a single group, and the terms."""
    if len(groups) != 1 or not groups[0].runs:
        return None
    return Section("Questions and terms", "questions", blocks(numbers(groups[0])))


def blocks(answers: Sequence[tuple[str, str]]) -> tuple[Block, ...]:
    """The answers, and the terms of a report in a sentence each."""
    return Table(tuple(answers)), Heading("Terms"), Table(TERMS)


def numbers(group: Group) -> list[tuple[str, str]]:
    """Why labels, loss and metric are as they are, and what another size of images would change."""
    record = group.first
    classes = len(record.class_names)
    outputs = record.layers[-1].output_shape[-1] if record.layers and record.layers[-1].output_shape else classes
    kind = "one sigmoid output" if outputs == 1 else f"{count(outputs)} outputs, one per class"
    labels = (
        f"Internally, a label is an integer from 0 to {count(classes - 1)}. A class is not a quantity, so the net has "
        f"{kind}; cross-entropy uses the output of the true class alone, so one-hot targets are not needed: they would "
        "give the same numbers."
    )
    name = record.experiment.loss.name
    most = max((n for n in record.test.confusion.sum(axis=1).tolist()), default=0)
    metric = (
        "Accuracy is what is wanted, but it has no useful gradient, so training minimizes the loss. Accuracy is a fair "
        "measure if the classes are about equally frequent: here the most frequent one has "
        f"{percent(most / record.test.images)} of the test images."
    )
    size = by_size(record.layers) if record.layers else ""
    rows = [
        ("How are the labels given to the net?", labels),
        ("Why this loss?", f"The loss is {LOSSES[name]}" if name in LOSSES else ""),
        ("Why accuracy?", metric),
        ("Does the number of parameters depend on the images’ size?", size),
    ]
    return [row for row in rows if row[1]]


def by_size(layers: Sequence[LayerRecord]) -> str:
    """Which layers would have more parameters for larger images: dense ones that see maps or pixels."""
    growing, sees_places = [], False
    for layer in layers:
        if layer.type == "Flatten":
            sees_places = True
        elif layer.type == "GlobalAvgPool2D":
            break  # what follows sees a number per channel
        elif layer.type == "Dense":
            growing += [layer] if sees_places else []
            sees_places = False
    fixed = [layer.name for layer in layers if layer.type in SAME_FOR_ANY_SIZE and layer.parameters]
    kernels = (
        f" The others have the same number for any size: {_named(fixed)} use one kernel at every position."
        if fixed
        else ""
    )
    if not growing:
        return (
            "No: no dense layer sees pixels or maps. What grows with the images is the number of "
            f"multiply-adds.{kernels}"
        )
    total = sum(layer.parameters for layer in layers)
    share = sum(layer.parameters for layer in growing) / total if total else 0
    names = _named([layer.name for layer in growing])
    return (
        f"Yes: {names}, with {percent(share, 0)} of them, {'has' if len(growing) == 1 else 'have'} a weight for "
        f"each input value, and twice the width and height mean four times as many.{kernels}"
    )


def _named(names: Sequence[str]) -> str:
    return listed([*names[:SHOWN], *(["others"] if len(names) > SHOWN else [])])


def examples() -> dict[str, tuple[Block, ...]]:
    """Blocks of odd answers, by what is odd."""
    flat, dense = (
        LayerRecord("flat", "Flatten", (784,), 0, 0, 0),
        LayerRecord("dense <1>", "Dense", (10,), 7850, 7850, 7840),
    )
    return {"one question": blocks([("Does it depend on the size?", by_size([flat, dense]))])}
