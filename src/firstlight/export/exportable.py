"""What leaves with a model: its operations and weights, its preparation, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from firstlight.engines import Task
from firstlight.evaluation import Evaluation
from firstlight.evaluation.novelty import ClassDistances
from firstlight.export.inference_graph import Operation, operations_of, prefix, side_by_side, tells_strangeness
from firstlight.prepare.strokes import StrokeStyle, style_of_run
from firstlight.records.group_folder import GroupFolder
from firstlight.records.run_folder import RunFolder
from firstlight.types import Array, Images, Shape

Calibration = Callable[[], Images]


@dataclass(frozen=True, eq=False)
class Expected:
    """What the engine says of prepared test images.

    probabilities  float32 (N, K)
    strangeness    float32 (N,), see `evaluation.novelty`; None where nothing tells it
    """

    images: Images
    probabilities: Array
    strangeness: Array | None = None

    @property
    def answers(self) -> Array:
        """What an export has to give: the probabilities, with the strangeness as a last column where it is told."""
        told = [] if self.strangeness is None else [self.strangeness[:, None]]
        return np.concatenate([self.probabilities, *told], axis=1)

    def samples(self, count: int) -> Expected:
        """So many of them, of as many classes as the engine tells apart: the first of each, then the second."""
        classes = self.probabilities.argmax(axis=1)
        order = np.argsort(classes, kind="stable")
        first = np.searchsorted(classes[order], classes[order])
        turn = np.empty(len(order), np.int64)
        turn[order] = np.arange(len(order)) - first
        return self.take(np.lexsort((classes, turn))[:count])

    def take(self, index: Array) -> Expected:
        """The images at these places, in that order."""
        strangeness = None if self.strangeness is None else self.strangeness[index]
        return Expected(self.images.take(index), self.probabilities[index], strangeness)


@dataclass(frozen=True, eq=False)
class Exportable:
    """A trained model as the formats take it.

    name         of the run, and so of the files
    task         model (its layers, its summary), loss and preparation
    arrays       the weights by name, such as "conv1.W", float32
    operations   the same as a list of operations from image to probabilities; see `inference_graph`
    class_names  the K classes
    facts        what is kept in the file: pairs of a short name and a text, such as ("test accuracy", "0.9871")
    training     the prepared training images, for a calibration; loaded when they are asked for, and RunError where
                 they are not there
    strokes      what the training images are like as drawings; loaded, and raises, as `training` does
    samples      some test images with what the engine says of them, for an export that checks itself; None where they
                 are not at hand
    nets         those that answer together, where there are several; `task` is then that of the first, and what all
                 have in arrays and operations is called as `inference_graph.prefix` says
    """

    name: str
    task: Task
    arrays: Mapping[str, Array]
    operations: tuple[Operation, ...]
    class_names: tuple[str, ...]
    facts: Mapping[str, str]
    training: Calibration
    strokes: Callable[[], StrokeStyle]
    samples: Expected | None = None
    nets: tuple[Exportable, ...] = ()

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What stands before the paths of each net."""
        return tuple(map(prefix, range(len(self.nets)))) or ("",)

    @property
    def tells_strangeness(self) -> bool:
        """Whether it says how strange an image is."""
        return tells_strangeness(self.operations)

    @property
    def columns(self) -> int:
        """Of the answers to an image: the probabilities, and the strangeness where it is told."""
        return len(self.class_names) + self.tells_strangeness

    @property
    def title(self) -> str:
        """What it is called: its architecture, and how many there are."""
        name = self.task.model.name
        return f"{name} (mean of {len(self.nets)} nets)" if self.nets else name

    @property
    def input_shape(self) -> Shape:
        """(H, W, C) of the uint8 image."""
        return self.task.model.input_shape


def exportable(
    folder: RunFolder,
    task: Task,
    vector: Array,
    training: Calibration,
    novelty: tuple[ClassDistances, float] | None = None,
) -> Exportable:
    """The model of a run; `vector` has its weights. Raises ModelError where a layer cannot leave.

    novelty  distances from its classes, divided by the threshold, and the rate of false alarms that this is for
    """
    distances, rate = novelty or (None, 0.0)
    return Exportable(
        name=folder.name,
        task=task,
        arrays={name: array.astype("float32") for name, array in task.model.layout.named(vector).items()},
        operations=operations_of(task, vector, distances),
        class_names=folder.class_names,
        facts=_facts(folder) | ({} if novelty is None else {NONE_OF_THESE: none_of_these(rate)}),
        training=training,
        strokes=lambda: style_of_run(folder, training),
    )


def exportable_ensemble(folder: GroupFolder, nets: Sequence[Exportable], test: Evaluation | None) -> Exportable:
    """The nets of a group as one model.

    test  what it came to on the test images, where these are new to all nets
    """
    first = nets[0]
    named = [(prefix(number), net) for number, net in enumerate(nets)]
    measured = {} if test is None else _measured(test)
    operations = side_by_side([net.operations for net in nets])
    own = MEASURED if tells_strangeness(operations) else (*MEASURED, NONE_OF_THESE)
    facts = {
        **{name: text for name, text in first.facts.items() if name not in own},
        "run": folder.name,
        "nets": f"{len(nets)}: {', '.join(net.name for net in nets)}; their probabilities are averaged",
        **measured,
        "weights, SHA-256": folder.weights,
    }
    return Exportable(
        name=folder.name,
        task=first.task,
        arrays={f"{before}{name}": array for before, net in named for name, array in net.arrays.items()},
        operations=operations,
        class_names=first.class_names,
        facts={name: text for name, text in facts.items() if text},
        training=first.training,
        strokes=first.strokes,
        nets=tuple(nets),
    )


NONE_OF_THESE = "none of these"


def none_of_these(rate: float) -> str:
    """What is kept in the file of the images that are of none of the classes."""
    return f"where the strangeness is above 1, as of {rate:g} of new images of the classes at most"


MEASURED = ("test accuracy", "95 % interval", "test images")


def _measured(test: Evaluation) -> dict[str, str]:
    low, high = test.accuracy_interval
    told = (f"{test.accuracy:.4f}", f"{low:.4f} to {high:.4f}", str(test.images))
    return dict(zip(MEASURED, told, strict=True))


def _facts(folder: RunFolder) -> dict[str, str]:
    data = folder.data
    facts = {
        "run": folder.name,
        "model": folder.model.name,
        "data": data.name,
        "licence of the data": data.licence or "",
        "homepage of the data": data.homepage or "",
        **_measured(folder.result.test.evaluation),
        "weights, SHA-256": folder.weights,
        "trained": folder.environment.started,
        "written by": f"firstlight {version('firstlight')}",
    }
    return {name: text for name, text in facts.items() if text}
