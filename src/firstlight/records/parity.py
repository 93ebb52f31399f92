"""What a check of the two engines found: plain values, what is tolerated, and sentences for what is not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from firstlight.notebook_display import Shown
from firstlight.records.codec import NullIs, decode, encode
from firstlight.records.environment import Environment
from firstlight.types import Json, Shape

# Each is a relative difference, as `differences.apart` has it.
GRADIENT = 1e-9  # by hand, by autograd, and by central differences of one layer
WHOLE_NET = 1e-5  # central differences of the whole net, which kinks and rounding limit
LOSS = {"float64": 1e-9, "float32": 1e-3}
FLOOR = 1e-3  # beside the largest number among those compared with it, what is smaller counts as this

Difference = Annotated[float, NullIs(math.inf)]  # relative; infinite where a number is lost
Number = Annotated[float, NullIs(math.nan)]


@dataclass(frozen=True)
class Comparison:
    """Relative differences between three derivatives: by hand, by autograd, and by central differences.

    Those with central differences are along a random direction, and None where there are none; `uncertainty` is what
    these say of themselves.
    """

    hand_autograd: Difference
    hand_central: float | None = None
    autograd_central: float | None = None
    uncertainty: float | None = None

    def worse(self, other: Comparison) -> Comparison:
        """The larger of each of the differences of two comparisons."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Comparison(*(max((x for x in pair if x is not None), default=None) for pair in pairs))  # type: ignore[arg-type]

    def with_central(self) -> Comparison:
        """The same, of a record that has central differences: one that is null there was not finite."""
        return Comparison(*(math.inf if difference is None else difference for difference in vars(self).values()))

    def fault(self, central: float = GRADIENT) -> str:
        """What is wrong, in words, or nothing; `central` is what is tolerated of central differences."""
        if self.hand_autograd > GRADIENT:
            said = f"by hand and by autograd differ by {self.hand_autograd:.1e}"
            if self.hand_central is None or self.autograd_central is None:
                return said
            if self.hand_central <= central < self.autograd_central:
                return f"{said}; central differences agree with the gradient by hand, so the twin is wrong"
            if self.autograd_central <= central < self.hand_central:
                return f"{said}; central differences agree with autograd, so the gradient by hand is wrong"
            return said
        if self.hand_central is not None and self.hand_central > central:
            return f"by hand and by central differences differ by {self.hand_central:.1e}"
        return ""


@dataclass(frozen=True)
class LayerRow:
    """One layer beside its twin, at its input in the net and for a random gradient with respect to its output.

    path        of the layer in the net; empty for the chain of all layers
    container   whether it is made of layers, which have rows of their own before it
    y           the relative difference of the outputs
    statistics  that of the running statistics after the pass
    dx          the gradient with respect to its input, and `parameters` those with respect to its parameters, in
                training and in evaluation
    """

    path: str
    type: str
    container: bool
    y: Difference
    statistics: Difference
    dx: Comparison
    parameters: Mapping[str, Comparison]

    def faults(self) -> list[str]:
        """What is wrong with the layer, as parts of a sentence."""
        found = [f"the outputs of layer and twin differ by {self.y:.1e}"] if self.y > GRADIENT else []
        if self.statistics > GRADIENT:
            found.append(f"the running statistics of layer and twin differ by {self.statistics:.1e}")
        gradients = {"dx": self.dx, **{f"d{name}": comparison for name, comparison in self.parameters.items()}}
        return found + [f"{name} {fault}" for name, c in gradients.items() if (fault := c.fault())]


@dataclass(frozen=True)
class LossRow:
    """The loss beside its twin: its value, and its gradient with respect to the net's outputs."""

    name: str
    value: Difference
    dy: Comparison

    def faults(self) -> list[str]:
        """What is wrong with the loss, as parts of a sentence."""
        found = [f"the values of loss and twin differ by {self.value:.1e}"] if self.value > GRADIENT else []
        return found + ([f"dy {fault}"] if (fault := self.dy.fault()) else [])


@dataclass(frozen=True)
class ParameterRow:
    """The gradient of the loss with respect to one parameter, through the whole net.

    largest  the largest magnitude of the gradient
    """

    name: str
    shape: Shape
    largest: Number
    gradient: Comparison


@dataclass(frozen=True)
class GraphFault:
    """The first result of the compiled graph that differs from the layers' own.

    operations  one of these is wrong: no earlier result shows them to be right
    layers      what each of these belongs to, the path of a layer
    result      what differs, in words
    difference  the relative difference; infinite where the result is missing or not finite
    """

    operations: tuple[str, ...]
    layers: tuple[str, ...]
    result: str
    difference: Difference

    @property
    def sentence(self) -> str:
        """Which operation is wrong, and how that shows."""
        named = [f"{operation} of {layer}" for operation, layer in zip(self.operations, self.layers, strict=True)]
        how = f"differs from the layer's own by {self.difference:.1e}"
        if math.isinf(self.difference):
            how = "is missing or not finite"
        return f"The compiled operation {' or '.join(named)} is wrong: {self.result} {how}."


@dataclass(frozen=True)
class CompiledGraph:
    """The compiled graph, which trains, beside the layers' own gradients, in float64.

    operations    how many it has
    images        on how many it was compared
    worst         the largest relative difference of an output, a gradient or a running statistic
    gradients     that of the gradient with respect to each trained parameter
    fault         what was wrong first, if anything was
    not_compiled  the layer that no graph can hold: then there is none, and training goes layer by layer
    """

    operations: int = 0
    images: int = 0
    worst: Difference = 0.0
    gradients: Mapping[str, Difference] = field(default_factory=dict)
    fault: GraphFault | None = None
    not_compiled: str = ""


@dataclass(frozen=True)
class SideBySide:
    """Two training runs from the same start: a number per step for each.

    rate          the learning rate
    numpy, torch  the mean loss of the step's batch on each engine
    loss          the relative difference of these
    weights       the largest difference of a weight after the step, over the largest weight
    where         the name of the array in which weights differ most at the end
    """

    precision: str
    rate: float
    numpy: Sequence[Number]
    torch: Sequence[Number]
    loss: Sequence[Difference]
    weights: Sequence[Difference]
    where: str

    @property
    def tolerance(self) -> float:
        return LOSS[self.precision]

    @property
    def worst(self) -> float:
        """The largest relative difference of the loss."""
        return max(self.loss)

    @property
    def passed(self) -> bool:
        return self.worst <= self.tolerance


@dataclass(frozen=True)
class Seconds:
    """Seconds per step of one engine: the median over blocks of steps, and its quartiles."""

    median: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Speed:
    """How long a step of training takes in float32, measured in turns.

    blocks, steps  so many blocks for each engine, of so many steps
    ratio          torch's seconds over numpy's, the median over pairs of blocks, and its quartiles
    """

    numpy: Seconds
    torch: Seconds
    ratio: Seconds
    blocks: int
    steps: int


@dataclass(frozen=True)
class Parity(Shown):
    """What came of a check; `firstlight.engine_parity` makes it.

    model            its name, with its `options`; `input_shape` is (H, W, C), `classes` are those it tells apart
    parameter_count  the numbers of the model, running statistics included
    images           in words, what images it was made with
    gradient_images  how many of them the gradients were taken on
    batch_size       of the steps side by side, with `seed` and `optimizer`
    layers           in the order of the data, a container after what it is made of
    loss             against its twin, and `parameters`: the gradient of each through the whole net
    runs             in float64 and in float32
    speed            seconds of a step of each engine, measured side by side
    environment      versions and machine
    engines          what each says of itself, as it was timed
    seconds          that the whole check took
    graph            the compiled graph; None with the reference kernels, and in records of before it was compared
    """

    model: str
    options: Mapping[str, Any]
    input_shape: Shape
    classes: int
    parameter_count: int
    images: str
    gradient_images: int
    batch_size: int
    seed: int
    optimizer: str
    layers: tuple[LayerRow, ...]
    loss: LossRow
    parameters: tuple[ParameterRow, ...]
    runs: tuple[SideBySide, ...]
    speed: Speed
    engines: Mapping[str, Json]
    environment: Environment
    seconds: float
    graph: CompiledGraph | None = None

    @classmethod
    def of(cls, record: Json) -> Parity:
        """The check that `to_json` wrote. Raises MismatchError, a ValueError, where it is none."""
        found = decode(cls, record)

        def whole(row: LayerRow) -> LayerRow:
            if row.container:  # what it is made of is differenced by itself
                return row
            parameters = {name: gradient.with_central() for name, gradient in row.parameters.items()}
            return replace(row, dx=row.dx.with_central(), parameters=parameters)

        return replace(
            found,
            layers=tuple(whole(row) for row in found.layers),
            loss=replace(found.loss, dy=found.loss.dy.with_central()),
            parameters=tuple(replace(row, gradient=row.gradient.with_central()) for row in found.parameters),
        )

    @property
    def steps(self) -> int:
        """How many steps were taken side by side."""
        return len(self.runs[0].loss)

    @property
    def hand_autograd(self) -> float:
        """The largest relative difference between gradients by hand and by autograd, of a layer or through the net."""
        of_layers = [c.hand_autograd for row in self.layers for c in (row.dx, *row.parameters.values())]
        through = [row.gradient.hand_autograd for row in self.parameters]
        return max((*of_layers, *through, self.loss.dy.hand_autograd))

    @property
    def hand_central(self) -> float:
        """The largest relative difference between gradients by hand and by central differences of a layer."""
        compared = [c.hand_central for row in self.layers for c in (row.dx, *row.parameters.values())]
        return max(c for c in (*compared, self.loss.dy.hand_central) if c is not None)

    @property
    def whole_central(self) -> float:
        """The largest relative difference between gradients by hand and by central differences of the whole net."""
        return max((row.gradient.hand_central or 0.0 for row in self.parameters), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether all differences are within what is tolerated."""
        return not self.failures

    @property
    def verdict(self) -> str:
        """The outcome in one or two sentences."""
        failures = self.failures
        if failures:
            more = f" (and {len(failures) - 1} more below)" if len(failures) > 1 else ""
            return f"The engines do not agree on {self.model}. {failures[0]}{more}"
        double, single = self.runs
        return (
            f"The engines agree on {self.model}. Gradients by hand and by autograd differ by at most "
            f"{self.hand_autograd:.1e} of their size, the losses of {self.steps} steps by {double.worst:.1e} in "
            f"float64 and by {single.worst:.1e} in float32."
        )

    @property
    def failures(self) -> list[str]:
        """What is wrong, a sentence each: the layers, then what they do not explain."""
        fault = [self.graph.fault.sentence] if self.graph and self.graph.fault else []
        found = self._layer_failures() or fault or self._parameter_failures()
        for run in self.runs:
            if not run.passed:
                step = next(n for n, loss in enumerate(run.loss, 1) if loss > run.tolerance)
                hint = "" if found else self._hint(run)
                found.append(
                    f"Training in {run.precision}: the losses differ by more than {run.tolerance:.0e} from step {step} "
                    f"on, at most by {run.worst:.1e}.{hint}"
                )
        return found

    def _hint(self, run: SideBySide) -> str:
        """Where to look when a run alone fails."""
        if run.precision == "float32" and self.runs[0].passed:
            return " In float64 they agree, so this is rounding error amplified by training."
        return " The gradients agree, so check the optimizer."

    def _layer_failures(self) -> list[str]:
        faulty = [row for row in self.layers if row.faults()]
        sentences = []
        for row in faulty:
            inside = [other for other in faulty if other is not row and _within(other.path, row.path)]
            if not (row.container and inside):  # it differs because they do
                sentences.append(f"{row.path or 'The chain of all layers'} ({row.type}): {'; '.join(row.faults())}.")
        if self.loss.faults():
            sentences.append(f"The loss {self.loss.name}: {'; '.join(self.loss.faults())}.")
        return sentences

    def _parameter_failures(self) -> list[str]:
        faults = {row.name: row.gradient.fault(WHOLE_NET) for row in self.parameters}
        return [f"{name}: its gradients through the whole net {fault}." for name, fault in faults.items() if fault]

    def to_json(self) -> Json:
        """Plain values, with null for a number that is not finite."""
        record = _plain(encode(self))
        assert isinstance(record, dict)
        summary = {
            "hand_autograd": _plain(self.hand_autograd),
            "hand_central": _plain(self.hand_central),
            "whole_central": _plain(self.whole_central),
            "loss": {run.precision: _plain(run.worst) for run in self.runs},
        }
        tolerated = {"gradient": GRADIENT, "whole_central": WHOLE_NET, "loss": dict(LOSS)}
        return {
            "passed": self.passed,
            "failures": self.failures,
            "largest": summary,
            "tolerated": tolerated,
            "steps": self.steps,
            **record,
        }


def _within(path: str, container: str) -> bool:
    return container == "" or path.startswith(f"{container}.")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
