"""What a layer must pass on each of its examples, ours and a user's alike."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight.checks import gradients as g
from firstlight.checks.demand import (
    Demand,
    DemandError,
    Fault,
    NotApplicableError,
    must_be_close,
    must_be_unwritten,
    must_equal,
    must_have_pytorch,
    must_store_nothing,
    spoilt,
)
from firstlight.errors import ModelError
from firstlight.kernels import load
from firstlight.layers import LAYERS, Backward, Chain, Conv2D, Dense, Example, Flatten, Layer, Pass, Tree, from_json
from firstlight.types import Array, Shape

N = 3
MODES = {"training": True, "evaluation": False}
TWIN = 1e-12  # relative, in float64
ALONE = 1e-12


@dataclass(frozen=True)
class Case:
    """A layer with an input shape, without N, as an `Example` gives it."""

    layer: Layer
    input_shape: Shape
    smooth: bool = False

    @classmethod
    def of(cls, example: Example) -> Case:
        return cls(example.layer, example.input_shape, example.smooth)

    def __str__(self) -> str:
        given = {name: value for name, value in self.layer.to_json().items() if name != "type"}
        options = ", ".join(f"{name}={value!r}" for name, value in given.items())
        return f"{type(self.layer).__name__}({options}) on {self.input_shape}"

    def drawn(self, n: int = N, dtype: Any = np.float64, seed: int = 1) -> tuple[Mapping[str, Any], Array]:
        """Random parameters, and a random input (*input_shape, n)."""
        generator = np.random.default_rng(seed)
        p = g.parameters(self.layer, self.input_shape, generator, dtype)
        return p, g.inputs(self.input_shape, n, generator, smooth=self.smooth).astype(dtype)


# --- demands ----------------------------------------------------------------------------------------------------------


def shapes(case: Case) -> None:
    """The output has the shape that `output_shape` says, each gradient that of what it is by, none is missing."""
    promised = (*case.layer.output_shape(case.input_shape), N)
    for mode, training in MODES.items():
        p, x = case.drawn()
        y, backward = case.layer.forward(p, x, g.a_pass(training=training))
        must_equal(f"{mode}, output", promised, np.shape(y), "the shape {}, as output_shape says")
        dx, grads = backward(np.ones_like(y))
        must_equal(
            f"{mode}, gradient with respect to x",
            x.shape,
            None if dx is None else dx.shape,
            "the shape {}, as x has it",
        )
        wanted = {".".join(path): value.shape for path, value in g.leaves(g.trained(case.layer, x))}
        given = {".".join(path): np.shape(value) for path, value in g.leaves(grads)}
        must_equal(f"{mode}, gradients with respect to parameters", wanted, given, "{}, as parameters says")


def dtypes(case: Case) -> None:
    """Everything that is computed has the dtype of x, float32 or float64; running statistics keep theirs."""
    for mode, training in MODES.items():
        for dtype in (np.float32, np.float64):
            p, x = case.drawn(dtype=dtype)
            y, backward = case.layer.forward(p, x, g.a_pass(training=training))
            dx, grads = backward(np.ones_like(y))
            arrays = {"output": y, "gradient with respect to x": dx}
            arrays |= {f"gradient with respect to {'.'.join(path)}": value for path, value in g.leaves(grads)}
            arrays |= {".".join(path): value for path, value in g.leaves(p)}
            for what, array in arrays.items():
                if array is not None:
                    must_equal(f"{mode}, {what}", np.dtype(dtype).name, array.dtype.name, "{}, as x has it")


def gradients(case: Case) -> None:
    """Each gradient is that of central differences, in float64, for random cotangents."""
    for check in gradient_checks(case):
        check.verify()


def gradient_checks(case: Case) -> Iterator[g.GradientCheck]:
    """The gradient with respect to x and to each parameter, in training and in evaluation."""
    for training in MODES.values():
        p, x = case.drawn()
        yield from g.of_layer(case.layer, p, x, np.random.default_rng(2), training=training)


def unwritten(case: Case) -> None:
    """Neither x nor dy nor a trained parameter is written to: other layers share them."""
    for mode, training in MODES.items():
        p, x = case.drawn()
        trained = {".".join(path): g.leaf(p, path) for path, _ in g.leaves(g.trained(case.layer, x))}
        y, backward = case.layer.forward(p, x, g.a_pass(training=training))
        dy = np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape)
        shared = {"x": x, "dy": dy, **trained}
        fresh_p, fresh_x = case.drawn()
        before = {"x": fresh_x, "dy": dy.copy()}
        before |= {".".join(path): g.leaf(fresh_p, path) for path, _ in g.leaves(g.trained(case.layer, x))}
        backward(dy)
        for what, array in shared.items():
            must_be_unwritten(f"{mode}, {what}", array, before[what])


def nothing_stored(case: Case) -> None:
    """Nothing stays on the layer, and one pass knows nothing of the next: what backward needs is in its closure."""
    held = dict(vars(case.layer))
    kind = dict(vars(type(case.layer)))
    (p, x), (_, other) = case.drawn(), case.drawn(seed=3)
    y, backward = case.layer.forward(g.copied(p), x, g.a_pass(training=True))
    expected = backward(np.sin(y))
    y, backward = case.layer.forward(g.copied(p), x, g.a_pass(training=True))
    case.layer.forward(g.copied(p), other, g.a_pass(training=True))[1](np.cos(y))
    after = backward(np.sin(y))
    must_store_nothing("training, layer", held, case.layer, "pass")
    must_store_nothing("training, class", kind, type(case.layer), "pass")
    _same("training, backward after another pass", expected, after)


def evaluation(case: Case) -> None:
    """In evaluation each sample is seen alone, the answer is the same every time, and nothing changes."""
    p, x = case.drawn()
    before, run = g.copied(p), Pass(load("reference"))
    y, _ = case.layer.forward(p, x, run)
    if not np.array_equal(y, case.layer.forward(p, x, run)[0]):
        raise DemandError("evaluation, the same input again", "the same output", "another")
    for i in range(N):
        alone, _ = case.layer.forward(p, x[..., i : i + 1], run)
        if not np.allclose(alone[..., 0], y[..., i], rtol=ALONE, atol=ALONE):
            received = f"one that is {np.abs(alone[..., 0] - y[..., i]).max():.2g} off"
            raise DemandError(
                f"evaluation, sample {i + 1} of {N} alone", "the output that it has among the others", received
            )
    for path, value in g.leaves(p):
        if value.tobytes() != g.leaf(before, path).tobytes():
            raise DemandError(
                f"evaluation, {'.'.join(path)}", "a parameter that is left as it was", "one that was changed"
            )


def without_dx(case: Case) -> None:
    """Where no gradient with respect to x is needed, output and gradients with respect to parameters are the same."""
    for mode, training in MODES.items():
        results = []
        for needs_dx in (True, False):
            p, x = case.drawn()
            y, backward = case.layer.forward(p, x, g.a_pass(training=training, needs_dx=needs_dx))
            results.append((y, backward(np.cos(y))[1]))
        _same(f"{mode}, needs_dx = False", *results)


def backward_again(case: Case) -> None:
    """backward may be called twice, and says the same."""
    p, x = case.drawn()
    y, backward = case.layer.forward(p, x, g.a_pass(training=True))
    _same("training, backward called again", backward(np.sin(y)), backward(np.sin(y)))


def one_sample(case: Case) -> None:
    """A batch of one trains, or a ModelError says why it cannot."""
    p, x = case.drawn(n=1)
    try:
        y, backward = case.layer.forward(p, x, g.a_pass(training=True))
    except ModelError as error:
        raise NotApplicableError(str(error)) from None
    dx, _ = backward(np.ones_like(y))
    must_equal(
        "training, one sample, gradient with respect to x", x.shape, None if dx is None else dx.shape, "the shape {}"
    )


def json_round_trip(case: Case) -> None:
    """The layer can be written as JSON and read back equal, as an experiment and a run folder do."""
    if LAYERS.get(type(case.layer).__name__) is not type(case.layer):
        raise DemandError("JSON", "a registered layer: put @fl.layer above its class", type(case.layer).__name__)
    layer = from_json(json.loads(json.dumps(case.layer.to_json())))
    if layer != case.layer or type(layer) is not type(case.layer):
        raise DemandError("JSON", repr(case.layer), repr(layer))


def multiply_adds(case: Case) -> None:
    """Multiply-adds are counted where a parameter is a kernel, and nowhere else."""
    kernels = any(value.kernel for _, value in g.leaves(case.layer.parameters(case.input_shape)))
    count = case.layer.multiply_adds(case.input_shape)
    if (count > 0) != kernels:
        raise DemandError(
            "multiply_adds", "a number above 0, for its kernels" if kernels else "0: it has no kernel", count
        )


def twin(case: Case) -> None:
    """The PyTorch twin gives the same output and, by autograd, the same gradients and running statistics."""
    if type(case.layer).twin is Layer.twin:
        raise NotApplicableError("it has no twin, so the engine torch cannot run it")
    must_have_pytorch()
    from firstlight.engines import autograd

    for mode, training in MODES.items():
        p, x = case.drawn(n=N + 1)
        after, run = g.copied(p), g.a_pass(training=training)
        y, backward = case.layer.forward(after, x, run)
        v = np.random.default_rng(4).standard_normal(y.shape)
        dx, grads = backward(v)
        theirs = autograd.of_layer(case.layer, p, x, v, training=training, noise=run.noise)
        must_be_close(f"{mode}, output", y, theirs.y, TWIN, "its twin")
        must_be_close(f"{mode}, gradient with respect to x", dx, theirs.dx, TWIN, "autograd")
        for path, value in g.leaves(grads):
            name = ".".join(path)
            must_be_close(
                f"{mode}, gradient with respect to {name}", value, theirs.gradients.get(name), TWIN, "autograd"
            )
        for path, value in g.leaves(after):
            if ".".join(path) in theirs.statistics:
                must_be_close(f"{mode}, {'.'.join(path)}", value, theirs.statistics[".".join(path)], TWIN, "its twin")


def recorded(case: Case) -> None:
    """What `record` writes on the compiled graph gives the outputs and gradients that `forward` gives."""
    if type(case.layer).record is Layer.record:
        raise NotApplicableError("it has no record: the engine numpy runs the net layer by layer, which is slower")
    from firstlight import kernels, losses, optimizers
    from firstlight.engine_parity.check import random_images
    from firstlight.engine_parity.graph import compare_graph
    from firstlight.engines import Task
    from firstlight.models import Model
    from firstlight.prepare import Preparation

    model = Model("check", net_of(case), _image_shape(case.input_shape), 2)
    images = random_images(model.input_shape, 2, 8, seed=0)
    task = Task(model, losses.CrossEntropy(), Preparation.fit(images), optimizers.SGD())
    vector = model.layout.initial(0, np.float64)
    vector += np.random.default_rng(0).uniform(0.05, 0.2, len(vector))
    found = compare_graph(task, images, vector, kernels.load("compiled"))
    if found is None:
        raise NotApplicableError("there are no compiled kernels here")
    if found.not_compiled:
        raise NotApplicableError(
            f"{found.not_compiled} cannot be written on a graph: it runs layer by layer, which is slower"
        )
    if found.fault:
        fault = found.fault
        where = f"compiled graph, {fault.result}, by {', '.join(fault.operations)}"
        raise DemandError(where, "what forward gives", f"a relative difference of {fault.difference:.1e}")


def net_of(case: Case) -> Chain:
    """A net with the layer between others, which ends in two outputs."""
    shape = case.input_shape
    before = (Flatten(), Dense(shape[0])) if len(shape) == 1 else (Conv2D(shape[0], 1),)
    return Chain((*before, case.layer, Flatten(), Dense(2)))


def _image_shape(shape: Shape) -> Shape:
    if len(shape) not in (1, 3):
        raise NotApplicableError(f"a graph is compared on vectors and images; this example takes {shape}")
    return (4, 5, 1) if len(shape) == 1 else (shape[1], shape[2], 1)


DEMANDS = (
    Demand("shapes", shapes),
    Demand("gradients", gradients),
    Demand("both dtypes", dtypes),
    Demand("inputs unwritten", unwritten),
    Demand("nothing stored", nothing_stored),
    Demand("evaluation", evaluation),
    Demand("without dx", without_dx),
    Demand("backward again", backward_again),
    Demand("one sample", one_sample),
    Demand("JSON", json_round_trip),
    Demand("multiply-adds", multiply_adds),
    Demand("twin", twin),
)
COMPILED = Demand("compiled graph", recorded, slow=True)


# --- mistakes ---------------------------------------------------------------------------------------------------------


def _with(case: Case, **methods: Callable[..., Any]) -> Case:
    return Case(spoilt(case.layer, **methods), case.input_shape, case.smooth)


def _backward_changed(change: Callable[[Array | None, Tree], tuple[Array | None, Tree]]) -> Callable[[Case], Case]:
    def spoil(case: Case) -> Case:
        def forward(p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
            y, backward = case.layer.forward(p, x, run)
            return y, lambda dy: change(*backward(dy))

        return _with(case, forward=forward)

    return spoil


def _forward_changed(change: Callable[[Case, Tree, Array, Pass], tuple[Array, Backward]]) -> Callable[[Case], Case]:
    return lambda case: _with(case, forward=lambda p, x, run: change(case, p, x, run))


def _must_move(case: Case) -> None:
    """Raise NotApplicableError where the gradient with respect to x is zero everywhere."""
    p, x = case.drawn()
    y, backward = case.layer.forward(p, x, g.a_pass(training=True))
    dx = backward(np.sin(np.arange(y.size, dtype=y.dtype)).reshape(y.shape))[0]
    if dx is None or not dx.any():
        raise NotApplicableError("its gradient with respect to x is zero")


def _scaled(case: Case) -> Case:
    _must_move(case)
    return _backward_changed(lambda dx, grads: (None if dx is None else dx * dx.dtype.type(1.01), grads))(case)


def _lost(case: Case) -> Case:
    _must_move(case)
    return _backward_changed(lambda dx, grads: (None if dx is None else np.zeros_like(dx), grads))(case)


def _another_sample(case: Case) -> Case:
    _must_move(case)
    return _backward_changed(lambda dx, grads: (None if dx is None else dx[..., ::-1], grads))(case)


def _needs_weights(case: Case) -> None:
    if not g.trained(case.layer, np.empty((*case.input_shape, N))):
        raise NotApplicableError("it has no weights")


def _weights_scaled(case: Case) -> Case:
    _needs_weights(case)
    return _backward_changed(lambda dx, grads: (dx, _mapped(grads, lambda value: value * value.dtype.type(1.01))))(case)


def _weights_lost(case: Case) -> Case:
    _needs_weights(case)
    return _backward_changed(lambda dx, grads: (dx, {}))(case)


def _mapped(tree: Tree, change: Callable[[Array], Array]) -> Tree:
    return {
        name: _mapped(value, change) if isinstance(value, Mapping) else change(value) for name, value in tree.items()
    }


def _writes_x(case: Case, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
    passed = case.layer.forward(p, x.copy(), run)
    if x.flags.writeable:
        x *= x.dtype.type(0.5)
    return passed


def _writes_dy(case: Case, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
    y, backward = case.layer.forward(p, x, run)

    def writing(dy: Array) -> tuple[Array | None, Tree]:
        passed = backward(dy.copy())
        if dy.flags.writeable:
            dy *= dy.dtype.type(0.5)
        return passed

    return y, writing


def _stores_x(case: Case) -> Case:
    made = _with(case)

    def forward(p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        object.__setattr__(made.layer, "x", x)
        return case.layer.forward(p, x, run)

    object.__setattr__(made.layer, "forward", forward)
    return made


def _float32(case: Case, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
    y, backward = case.layer.forward(p, x, run)
    return y.astype(np.float32), backward


def _batch_mean(case: Case, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
    y, backward = case.layer.forward(p, x, run)
    return (y, backward) if run.training else (y - y.mean(axis=-1, keepdims=True), backward)


def _one_row_more(case: Case, p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
    y, backward = case.layer.forward(p, x, run)
    return np.concatenate((y, y[:1])), lambda dy: backward(dy[: len(y)])


def _formula_scaled(case: Case) -> Case:
    if type(case.layer).record is Layer.record:
        raise NotApplicableError("it has no record")

    def forward(p: Tree, x: Array, run: Pass) -> tuple[Array, Backward]:
        y, backward = case.layer.forward(p, x, run)
        return y * y.dtype.type(1.01), lambda dy: backward(dy * dy.dtype.type(1.01))

    return _with(case, forward=forward)


def _twin_scaled(case: Case) -> Case:
    if type(case.layer).twin is Layer.twin or importlib.util.find_spec("torch") is None:
        raise NotApplicableError("it has no twin, or PyTorch is not installed")
    p, x = case.drawn()
    if not case.layer.forward(p, x, g.a_pass(training=False))[0].any():
        raise NotApplicableError("its output is zero")
    return _with(case, twin=lambda torch, p, x, run: case.layer.twin(torch, p, x, run) * 1.01)


FAULTS = (
    Fault("gradient with respect to x × 1.01", _scaled),
    Fault("gradient with respect to x lost", _lost),
    Fault("gradient with respect to x of another sample", _another_sample),
    Fault("gradients with respect to weights × 1.01", _weights_scaled),
    Fault("gradients with respect to weights missing", _weights_lost),
    Fault("output of another shape", _forward_changed(_one_row_more)),
    Fault("output always float32", _forward_changed(_float32)),
    Fault("forward writes to x", _forward_changed(_writes_x)),
    Fault("backward writes to dy", _forward_changed(_writes_dy)),
    Fault("x stored on the layer", _stores_x),
    Fault("evaluation looks at the whole batch", _forward_changed(_batch_mean)),
    Fault("JSON names another type", lambda case: _with(case, to_json=lambda: {"type": "Flatten"})),
    Fault("twin × 1.01", _twin_scaled),
    Fault("record of another formula", _formula_scaled, slow=True),
)


# --- comparisons ------------------------------------------------------------------------------------------------------


def _same(where: str, before: tuple[Array | None, Tree], after: tuple[Array | None, Tree]) -> None:
    """Raise DemandError unless both have the same bits."""
    (a, grads), (b, others) = before, after
    pairs = [("the array", a, b), *((".".join(path), value, g.leaf(others, path)) for path, value in g.leaves(grads))]
    for name, one, other in pairs:
        if (one is None) != (other is None) or (one is not None and not np.array_equal(one, other)):
            raise DemandError(f"{where}, {name}", "the same numbers", "others")
